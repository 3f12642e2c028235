"""Whether a loss inside is the sum over the steps or their mean: by its value, never by gradients that fit."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from parity_tests.adapt.program import Program, Trials, evaluated
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

SYMBOLS = ("list(range(T))", "np.arange(T)", "np.arange(T)[None]")
"""A sequence of indices, one symbol a step."""
TARGETS = (
    "list(range(1, T + 1))",
    "np.arange(1, T + 1)",
    "list(np.eye(V, dtype=x.dtype)[1 : T + 1, :, None])",
    "np.eye(V, dtype=x.dtype)[1 : T + 1]",
    "np.arange(1, T + 1)[None]",
    "np.arange(1, T + 1)[:, None]",
)
"""The targets of a forged head: t + 1 at step t."""
NO_VALUE = (
    "the loss is the mean over the steps: no value of it was found, but gradients are shared out so",
    "the loss is the sum over the steps: no value of it was found",
    "the loss is half the sum of squares: no value of it was found",
)
"""What is told where a loss has no value that is known."""
SUM, MEAN, UNKNOWN = "sum", "mean", ""


def scaled(program: Program, trials: Trials, states: Array) -> Program:
    """Return a program whose gradients are those of the sum over the steps.

    Args:
        program: the program.
        trials: run it.
        states: of the batch, as the forward gives them.
    """
    by_value = _by_value(program, trials, states[0])
    kind = by_value or _by_behaviour(program, trials)
    told: tuple[str, ...] = ()
    if not by_value and kind == MEAN:
        told = (NO_VALUE[0],)
    if not by_value and kind == UNKNOWN:
        told = (NO_VALUE[1],)
    if kind == MEAN:
        scaled_up = {name: f"T * {_closed(text)}" for name, text in program.gradients.items()}
        program = replace(program, gradients=scaled_up)
        program = program.adding(notes=("the loss is the mean over the steps: gradients are times T",))
    return program.adding(told=told)


def is_linear(program: Program, trials: Trials) -> bool:
    """Whether gradients are proportional to dhs and not all zero, as where the loss takes any dhs."""
    given, values = trials.given, list[Array]()
    name = next(name for name in ("dWx", "dWh") if name in program.gradients)
    for factor in (2.0**-12, 2.0**-11):  # small, so that nothing is clipped
        env = trials.run(program, backward=True, given=replace(given, dhs=factor * given.dhs))
        found = (
            {} if env is None else {each: evaluated(text, env) for each, text in program.gradients.items()}
        )
        value = found.get(name)
        if not isinstance(value, np.ndarray) or not np.isfinite(value).all():
            return False
        if not any(np.any(each) for each in found.values()):
            return False  # it takes other targets: these are what it answers already
        values.append(value)
    # Through scores of a million, another loss than that of a softmax gives gradients as large.
    if np.abs(values[1]).max() > 1e4 * np.abs(given.dhs).max() * 2.0**-11:
        return False
    return bool(np.allclose(2 * values[0], values[1], rtol=1e-5, atol=1e-12))


def scaled_squares(program: Program, trials: Trials, calls: Iterable[str]) -> Program:
    """Return a program whose gradients are those of half the sum of squares, by the value of the loss.

    Args:
        program: the program.
        trials: run it.
        calls: what may give the value of the loss, besides the backward.
    """
    env = trials.run(program, backward=True)
    if env is None:
        return program
    T, total = len(env["x"]), float((env["dy"] ** 2).sum())
    factors = {"": 0.5, " / 2": 1.0, " * T": 0.5 / T, " * T / 2": 1 / T}
    sources = [env.get("back"), vars(env["net"]) if hasattr(env.get("net"), "__dict__") else None]
    for call in calls:
        after = trials.run(program.adding(backward=(f"loss = {call}",)), backward=True)
        sources.append(None if after is None else after["loss"])
    for value in _numbers(sources):
        for end, factor in factors.items():
            if abs(value - factor * total) < 1e-9 * total:
                return replace(
                    program,
                    gradients={name: f"{_closed(text)}{end}" for name, text in program.gradients.items()},
                )
    return program.adding(told=(NO_VALUE[2],))


def _closed(text: str) -> str:
    return f"({text})" if " " in text else text


def _by_value(program: Program, trials: Trials, hs: Array) -> str:
    """The kind of the loss by its value at ordinary outputs."""
    instead = {
        "F = ": "F = np.sin(np.arange(V * len(b))).reshape(V, len(b))",
        "F[:, -1] = ": "F[:, -1] = 0",
        "top = ": "top = np.zeros(V)",
    }
    env = trials.run(program, backward=True, instead=instead)
    if env is None:
        return UNKNOWN
    logits = hs @ env["F"][:, : hs.shape[-1]].T
    with np.errstate(all="ignore"):
        each = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(hs)), np.arange(1, len(hs) + 1)]
    total = float(each.sum())
    for value in _numbers(
        [env.get("back"), env.get("out"), vars(env["net"]) if hasattr(env.get("net"), "__dict__") else None]
    ):
        for kind, wanted in ((SUM, total), (MEAN, total / len(hs))):
            if abs(value - wanted) < 1e-6 * abs(wanted):
                return kind
    return UNKNOWN


def _numbers(value: Any, depth: int = 3) -> Iterator[float]:
    if isinstance(value, bool | str):
        return
    if isinstance(value, int | float | np.floating):
        yield float(value)
    elif isinstance(value, np.ndarray) and value.size == 1:
        yield float(value.reshape(-1)[0])
    elif isinstance(value, dict) and depth:
        for item in value.values():
            yield from _numbers(item, depth - 1)
    elif isinstance(value, list | tuple) and depth:
        for item in value:
            yield from _numbers(item, depth - 1)


def _by_behaviour(program: Program, trials: Trials) -> str:
    """The kind of the loss by how the gradient of the last step changes with the number of steps."""
    given = trials.given
    T = given.xs.shape[1]
    found: list[Array] = []
    for first in (T - 1, 0):
        dhs = given.dhs[:, first:].copy()
        dhs[:, :-1] = 0
        short = replace(given, xs=given.xs[:, first:], dhs=dhs, Wh=np.zeros_like(given.Wh))
        env = trials.run(program, backward=True, given=short)
        value = None if env is None else evaluated(program.gradients.get("dWx", ""), env)
        if not isinstance(value, np.ndarray) or not value.any():
            return UNKNOWN
        found.append(value)
    for kind, factor in ((SUM, 1), (MEAN, 1 / T)):
        if np.allclose(found[0] * factor, found[1], rtol=1e-6, atol=1e-12):
            return kind
    return UNKNOWN
