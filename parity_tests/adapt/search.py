"""The search: from a class or functions to an adapter, in the child process that has the user's code."""

import inspect
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from parity_tests.adapt.calling.backward import Backward
from parity_tests.adapt.calling.forward import Forward
from parity_tests.adapt.calling.reading import Reading
from parity_tests.adapt.deep.search import Deep, deep_search
from parity_tests.adapt.heads.own import own_head
from parity_tests.adapt.language.calls import Callee, parameters_of
from parity_tests.adapt.language.names import BACKWARD, FORWARD, LOSSES, matches, roles
from parity_tests.adapt.language.said import arguments_said, name_said
from parity_tests.adapt.language.source import returned_names
from parity_tests.adapt.probe import SIZES, Expected, close, problem, truth
from parity_tests.adapt.program import GaveUp, Program, Trials, evaluated
from parity_tests.adapt.weights.flat import flat_said
from parity_tests.adapt.weights.functions import function_pairs
from parity_tests.adapt.weights.making import Maker, makers
from parity_tests.adapt.weights.torch_code import is_torch, torch_pairs
from parity_tests.bound_numpy import np

LIMIT = 40_000
"""Trials of one search."""
SECONDS = 8.0
MOST_READINGS = 24
"""Forwards for which a backward is looked for."""
ONE_ROW = (
    "it runs in another way too, which gives arrays that have not the shapes of the weights, such as a bias "
    "gradient for each row of the batch; that may be a fault"
)

NO_BATCH = "called with a whole batch, it gives the right states but no gradients; with one row it does: that may be a fault"


@dataclass(frozen=True)
class Hints:
    """What the user says of the code.

    Attributes:
        make: statements that make the object, as ``net``.
        weights: statements about the weights, such as ``Wh = Wh.T``.
        call: the call of the forward.
        back: the call of the backward.

    Raises:
        ValueError: a call or a vector of weights cannot be understood.
    """

    make: str = ""
    weights: str = ""
    call: str = ""
    back: str = ""

    def __post_init__(self) -> None:
        for name, check in (("call", arguments_said), ("back", arguments_said), ("weights", flat_said)):
            try:
                check(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"--{name}: {error}") from error


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        name: of what was read.
        reading: of the forward, None if there is none.
        program: the adapter, None if there is none.
        trials: how many programs were run.
        gave_up: whether the search ended at its limit.
    """

    name: str
    reading: Reading | None
    program: Program | None
    trials: int
    gave_up: bool = False


def search(module: ModuleType, names: Sequence[str], hints: Hints) -> Found:
    """Return the reading of what is named in a module, or of what is in it."""
    given = problem(*SIZES)
    deadline = time.monotonic() + SECONDS
    trials = Trials(module, given, LIMIT, lambda: time.monotonic() > deadline)
    best = Found(", ".join(names), None, None, 0)
    try:
        for strict in (True, False):
            for name, pairs, backs in units(module, names, trials, hints, strict=strict):
                best = _better(best, _of_unit(name, pairs, backs, trials, strict=strict))
                if best.program is not None and (best.program.gradients or not backs):
                    return replace(best, trials=trials.count)
            if best.program is not None:
                break
    except GaveUp:
        best = replace(best, gave_up=True)
    return replace(best, trials=trials.count)


def whole(module: ModuleType, names: Sequence[str], hints: Hints) -> Deep:
    """Return what is found of the first class that holds several layers or directions."""
    deadline = time.monotonic() + SECONDS / 2
    deep = Deep("")
    values = {name: getattr(module, name) for name in names} or own_names(module)
    for name, cls in values.items():
        if not isinstance(cls, type) or is_torch(cls) or deep.program is not None:
            continue
        forwards, backs = methods(cls, FORWARD, hints.call), methods(cls, BACKWARD, hints.back)
        if not forwards:
            continue
        try:
            found = deep_search(
                module, name, cls, forwards, backs, hints.make, lambda: time.monotonic() > deadline
            )
        except GaveUp:
            continue
        deep = found if found.directions else deep
    return deep


def _better(one: Found, other: Found) -> Found:
    def rank(found: Found) -> tuple[bool, int]:
        return found.program is not None, len(found.program.gradients) if found.program else 0

    gave_up = one.gave_up or other.gave_up
    best = other if rank(other) > rank(one) or one.reading is None else one
    return replace(best, gave_up=gave_up and best.program is None)


def units(
    module: ModuleType, names: Sequence[str], trials: Trials, hints: Hints, *, strict: bool
) -> Iterator[tuple[str, list[tuple[Maker, Callee]], list[Callee]]]:
    """Yield what may be a layer: its name, the ways to make and call it, and its backwards."""
    found = {name: getattr(module, name) for name in names} or own_names(module)
    classes = {name: value for name, value in found.items() if isinstance(value, type)}
    functions = {name: value for name, value in found.items() if inspect.isroutine(value)}
    for name, cls in classes.items():
        if is_torch(cls):
            yield name, *torch_pairs(name, cls, trials, bases(has_loss=False, weights=hints.weights))
            continue
        forwards = methods(cls, FORWARD, hints.call)
        backs = methods(cls, BACKWARD, hints.back)
        losses = [] if hints.call else methods(cls, LOSSES, "")
        losses += [callee for callee in forwards if hints.call and takes_targets(callee)]
        backs += [callee for callee in losses if callee not in backs]
        has_loss = bool(losses) or any(
            "y" in roles(p.name) for callee in [*backs, *forwards] for p in callee.parameters
        )
        forwards += [
            callee
            for callee in [*losses, *backs]
            if has_loss and callee not in forwards and takes_targets(callee)
        ]
        if not forwards:
            continue
        pairs = [
            (maker, callee)
            for base in bases(has_loss=has_loss, weights=hints.weights)
            for maker in makers(name, cls, trials, base, hints.make)
            for callee in forwards
        ]
        yield name, pairs, backs
    if functions:
        has_loss = any(matches(name, LOSSES) for name in functions) or any(
            "y" in roles(p.name) for f in functions.values() for p in parameters_of(f) or []
        )
        pairs, backs = function_pairs(
            functions,
            trials,
            bases(has_loss=has_loss, weights=hints.weights),
            named=bool(names),
            strict=strict,
            call=hints.call,
            back=hints.back,
            flat=flat_said(hints.weights),
        )
        yield ", ".join(functions), pairs, backs


def bases(*, has_loss: bool, weights: str = "") -> list[Program]:
    """The programs to start from, in order.

    Args:
        has_loss: whether something takes targets.
        weights: the user's statement about the weights.
    """
    flat = flat_said(weights)
    weights = flat.line if flat else weights
    return [replace(base, weights=weights) for base in _bases(has_loss=has_loss)]


def _bases(*, has_loss: bool) -> list[Program]:
    forged = [Program("TD", head="forged"), Program("TD", head="forged", symbols=True)] if has_loss else []
    symbols = [] if has_loss else [Program("TD", symbols=True)]
    padded = [Program("BTD", padded=True), Program("TD", padded=True)]
    return [*forged, Program("BTD"), Program("TD"), *symbols, *padded]


def takes_targets(callee: Callee) -> bool:
    """Whether it has an input and targets among its arguments, so that it may do all in one call."""
    named = [roles(p.name) for p in callee.parameters]
    return any("y" in each[:1] for each in named) and any("x" in each for each in named)


def own_names(module: ModuleType) -> dict[str, Any]:
    """The classes and functions that a module defines, those that are likely layers first."""
    found = {
        name: value
        for name, value in vars(module).items()
        if (isinstance(value, type) or inspect.isfunction(value)) and value.__module__ == module.__name__
    }

    def rank(name: str) -> tuple[bool, bool]:
        lower = name.lower()
        return "rnn" not in lower and "recurrent" not in lower, "cell" in lower

    return {name: found[name] for name in sorted(found, key=rank)}


def methods(cls: type, patterns: tuple[str, ...], chosen: str) -> list[Callee]:
    """The methods of a class that may be called, those with the plainest names first."""
    names = [
        name for base in reversed(cls.__mro__[:-1]) for name, value in vars(base).items() if callable(value)
    ]
    names = list(dict.fromkeys(names))
    if chosen:
        names = [name for name in names if name == name_said(chosen)]
    else:
        names = [name for name in names if matches(name, patterns)]
        names.sort(key=lambda name: (name == "__call__", "step" in name or "cell" in name or "one" in name))
    found = []
    for name in names:
        function = getattr(cls, name)
        text = "net" if name == "__call__" else f"net.{name}"
        static = isinstance(inspect.getattr_static(cls, name), staticmethod)
        said = arguments_said(chosen)
        found.append(Callee(text, function, 0 if static else 1, returned_names(function), said=said))
    return found


def _of_unit(
    name: str, pairs: list[tuple[Maker, Callee]], backs: list[Callee], trials: Trials, *, strict: bool
) -> Found:
    """The best reading of one class, or of some functions: of a whole sequence, else of a step."""
    forward = Forward(trials, Expected(trials.given))
    forward.strict = strict
    backward = Backward(trials, backs, partial(_has_own_head, trials, name))
    first: Reading | None = None
    for readings in _units_of(forward, pairs):
        partly: Found | None = None
        is_whole = False
        for number, reading in enumerate(readings):
            first = first or reading
            is_whole = is_whole or reading.program.frame == "BTD"
            program = next(iter(backward.best(reading)), None)
            if program is not None and not missing_in(program):
                # A column [D, 1] or a plain sequence [T, D] is what code of one sample takes.
                is_row = is_whole and program.frame == "TD"
                is_row = is_row and (
                    "1" in reading.layout.partition("D")[0]
                    or not has_right_weights(program, trials, reading.states.kind)
                )
                told = (ONE_ROW,) if partly else (NO_BATCH,) if is_row else ()
                return Found(name, reading, program.adding(told=told), trials.count)
            if program is not None and partly is None:
                partly = Found(name, reading, _with_missing_told(program), trials.count)
            if number >= MOST_READINGS or not backs:
                break
        if partly:
            return replace(partly, trials=trials.count)
        if first is not None and (not first.states.name or not backs):
            break  # what is called is settled, whether its gradients are found or not
    if first is None:
        return Found(name, None, None, trials.count, gave_up=forward.capped)
    program = first.program
    if backs or program.head == "forged":
        program = program.adding(told=backward.failure())
    return Found(name, first, program, trials.count)


def _has_own_head(trials: Trials, name: str, reading: Reading, program: Program) -> bool:
    """Whether a program can be given its own head."""
    return own_head(trials.module, name, reading, program, trials.is_late).program is not None


def has_right_weights(program: Program, trials: Trials, nonlinearity: str) -> bool:
    """Whether the gradients of weights are right for one row of the probe: a row may not be what it takes."""
    given, last = trials.given, trials.given.dhs[:1].copy()
    last[:, : -1 if program.last else 0] = 0
    row = replace(given, xs=given.xs[:1], h_0=given.h_0[:1], dhs=last)
    right = truth(row, starts=program.starts, nonlinearity=nonlinearity)
    env = trials.run(program, backward=True) or {}
    values = {name: evaluated(program.gradients[name], env) for name in ("dWx", "dWh", "db")}
    return all(
        isinstance(value, np.ndarray) and close(value, right[name], 1e-6) for name, value in values.items()
    )


def _with_missing_told(program: Program) -> Program:
    missing = missing_in(program)
    return program.adding(told=(f"{' and '.join(missing)} were not found, though other gradients were",))


def missing_in(program: Program) -> list[str]:
    """The gradients of weights that a program does not have."""
    return [name for name in ("dWx", "dWh", "db") if name not in program.gradients]


def _units_of(forward: Forward, pairs: Iterable[tuple[Maker, Callee]]) -> Iterator[Iterator[Reading]]:
    """The readings of a whole sequence first, then of a step, then those that are assumed."""
    listed = list(pairs)
    yield forward.sequences(listed)
    attempts = forward.attempts
    yield forward.steps(listed)
    yield forward.depending()
    forward.attempts = attempts
    yield forward.depending()
    yield forward.not_recurring()
