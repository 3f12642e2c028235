"""The search for stacks and two directions: from a class to an adapter of the whole of it."""

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from parity_tests.adapt.deep.backward import DeepBackward
from parity_tests.adapt.deep.forward import DeepForward, DeepReading
from parity_tests.adapt.deep.groups import Groups, groups_in
from parity_tests.adapt.deep.program import DeepProgram
from parity_tests.adapt.deep.truth import probe
from parity_tests.adapt.language.calls import Callee, parameters_of
from parity_tests.adapt.language.names import KINDS, WEIGHTS, roles
from parity_tests.adapt.program import Trials, evaluated
from parity_tests.adapt.weights.configs import config_options, imported_in
from parity_tests.adapt.weights.making import BIASES, constructions
from parity_tests.adapt.weights.slots import slots_in
from parity_tests.bound_numpy import np

NUMBER = "case.num_layers"
"""The number of layers, where code takes any."""
MOST_MADE = 24
ONE_WEIGHT = {*WEIGHTS} - {"b"}
"""What a parameter that takes all weights of a direction, such as ``bw``, is not called."""
LIMIT = 4000
"""Trials with one way to make an object."""


@dataclass(frozen=True)
class Deep:
    """What was found of a class.

    Attributes:
        name: of the class.
        directions: how many it has; 0 if it holds one group of weights.
        reading: of its forward.
        program: its adapter.
        trials: how many programs were run.
    """

    name: str
    directions: int = 0
    reading: DeepReading | None = None
    program: DeepProgram | None = None
    trials: int = 0


def deep_search(
    module: ModuleType,
    name: str,
    cls: type,
    forwards: list[Callee],
    backs: list[Callee],
    make: str,
    is_late: Callable[[], bool],
) -> Deep:
    """Return what is found of a class that may hold several layers or directions.

    Args:
        module: that of the user.
        name: of the class.
        cls: the class.
        forwards: what may be its forward.
        backs: what may be its backward.
        make: the statements of a hint that make it.
        is_late: whether the time is up.

    Raises:
        GaveUp: there were too many trials, or the time is up.
    """
    found = Deep(name)
    sequences = [callee for callee in forwards if "step" not in callee.text]
    for base, groups in _made(module, name, cls, make, is_late):
        found = Deep(name, groups.directions) if not found.directions else found
        layers = len(groups.keys) if groups.directions == 1 else 1
        given = probe(directions=groups.directions, layers=layers)
        trials = Trials(module, given, LIMIT, is_late)  # type: ignore[arg-type]
        forward, backward = DeepForward(trials, given), DeepBackward(trials, backs)
        readings = itertools.chain(forward.readings(base, groups, sequences), forward.faulty())
        first: DeepReading | None = None
        for reading in itertools.islice(readings, 12):
            first = first or reading
            program = backward.best(reading)
            if program is not None:
                return Deep(name, groups.directions, reading, program, trials.count)
        if first is not None:
            return Deep(name, groups.directions, first, first.program, trials.count)
    return found


def _made(
    module: ModuleType, name: str, cls: type, make: str, is_late: Callable[[], bool]
) -> Iterator[tuple[DeepProgram, Groups]]:
    """The ways to make an object with several groups of weights."""
    parameters = parameters_of(cls) or []
    configs = config_options(cls, parameters)
    texts = [
        text
        for text, _ in itertools.islice(constructions(name, parameters, make, configs, NUMBER), MOST_MADE)
    ]
    texts += [] if make else _of_weights(name, parameters)
    for text, directions in itertools.product(texts, (2, 1)):
        given = probe(directions=directions, layers=3 - directions)
        trials = Trials(module, given, LIMIT, is_late)  # type: ignore[arg-type]
        imports = (name, *imported_in(text, trials))
        base = DeepProgram("BTD", imports=imports, make=tuple(text.split("; ")), directions=directions)
        env = trials.run(base)
        if env is None or "net" not in env:
            continue
        slots = slots_in("net", env["net"], base.sizes(trials.given))
        for groups in groups_in(slots):
            if groups.directions != directions or (NUMBER in text and len(groups.keys) != 2):
                continue
            from_weights = "in weights" in text
            if from_weights and not _holds(env, groups, env["weights"]):
                continue
            layers = 1 if directions == 2 else 0 if NUMBER in text or from_weights else len(groups.keys)
            lines = [] if from_weights else groups.filled()
            yield replace(base, make=(*base.make, *lines), layers=layers), groups


def _of_weights(name: str, parameters: Sequence[inspect.Parameter]) -> list[str]:
    """The ways to make an object of the weights of each direction, or of a list of those of each layer."""
    needed = [p for p in parameters if p.default is p.empty]
    if len(needed) not in (1, 2) or any(
        {*roles(p.name)} & {*KINDS, *ONE_WEIGHT, "shape", "rate"} for p in needed
    ):
        return []
    star = "*" if len(needed) == 2 else ""
    return [
        f"net = {name}({star}[[Wx{end}, Wh{end}, {bias}] for Wx, Wh, b in weights])"
        for end in ("", ".T")
        for bias in BIASES.values()
    ]


def _holds(env: dict[str, Any], groups: Groups, weights: list[tuple[Any, ...]]) -> bool:
    """Whether an object holds the weights that it was made of, each in its group."""
    for slot in groups.slots:
        if slot.kind == "state":
            continue
        cell = groups.cells[0]
        for own, group in zip(groups.cells, weights, strict=True):
            at_group = {**env, **dict(zip(("Wx", "Wh", "b"), group, strict=True))}
            there = evaluated(own + slot.texts[0].removeprefix(cell), env)
            if not np.array_equal(there, evaluated(slot.value, at_group)):
                return False
    return True
