"""Why there is no adapter, in the user's terms."""

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from parity_tests.adapt.language.calls import parameters_of
from parity_tests.adapt.language.names import FORWARD, WEIGHTS, matches, roles
from parity_tests.adapt.language.objects import held
from parity_tests.adapt.probe import SIZES, problem
from parity_tests.adapt.program import GaveUp, Program, Trials
from parity_tests.adapt.search import Found, own_names
from parity_tests.adapt.weights.making import made_objects, makers
from parity_tests.adapt.weights.slots import assignments, slots_in

MOST_NAMES = 4
"""Names that a sentence lists."""


def refusal(module: ModuleType, names: Sequence[str], found: Found) -> str:
    """Return why no reading of what is named in a module was found."""
    values = {name: getattr(module, name) for name in names} or own_names(module)
    if not values:
        return f"{module.__name__} defines no class and no function"
    classes = {name: value for name, value in values.items() if isinstance(value, type)}
    likely = {name: cls for name, cls in classes.items() if _has_forward(cls)}
    layers = {name: cls for name, cls in likely.items() if not _is_called_alone(cls)}
    for name, value in (layers or likely or classes).items():
        why = _of_class(module, name, value)
        if why:
            return f"{why}; --make, --call and --back say how it is used"
    if found.gave_up:
        return (
            f"gave up at {found.trials:,} trials: {_described(values)} can be called in more ways than that"
        )
    return (
        f"no call of {_described(values)} gives the states of a recurrent layer, right or with a known fault; "
        "--make, --weights, --call and --back say how it is used"
    )


def _described(values: dict[str, Any]) -> str:
    described = []
    for name, value in list(values.items())[:MOST_NAMES]:
        try:
            described.append(f"{name}{inspect.signature(value)}")
        except (TypeError, ValueError):
            described.append(name)
    return ", ".join(described)


def _of_class(module: ModuleType, name: str, cls: type) -> str:
    """What keeps a class from being read, if it can be said."""
    given = problem(*SIZES)
    trials = Trials(module, given, 200, lambda: False)
    if not _has_forward(cls):
        return f"{name} has no method whose name is that of a forward"
    sizes = Program("BTD").sizes(given)
    objects = list(made_objects(name, cls, trials))
    if not objects:
        return f"{name}{inspect.signature(cls)} could not be made from weights or sizes"
    for net in objects:
        gates = [number for number in (3, 4) if _has_width(net, number * sizes["H"])]
        if gates:
            kind = "a GRU" if gates == [3] else "an LSTM"
            return f"{name} has weights of {gates[0]} H columns: it looks like {kind}, and only plain RNNs are judged"
        slots = slots_in("net", net, sizes)
        if (
            not _takes_weights(cls)
            and not any(True for _ in held("net", net))
            and not _can_be_set_up(name, cls, trials)
        ):
            return f"{name} is made without weights: another method makes them, and which one is not known"
        if slots and not any(True for _ in assignments(slots)):
            listed = ", ".join(f"{slot.texts[0].removeprefix('net.')} {_shape(slot.axes)}" for slot in slots)
            return (
                f"the weights of {name} ({listed}) are not those of one recurrent layer in one direction, so a "
                "weight would be left over"
            )
    return ""


def _is_called_alone(cls: type) -> bool:
    """Whether its only forward is that it can be called, as a nonlinearity is."""
    return not any(matches(each, FORWARD) for each in dir(cls) if not each.startswith("__"))


def _takes_weights(cls: type) -> bool:
    """Whether a class is made from weights, or from something that may hold them."""
    named = [roles(each.name) for each in parameters_of(cls) or []]
    return any({*each} & {*WEIGHTS, "params"} or not each for each in named)


def _can_be_set_up(name: str, cls: type, trials: Trials) -> bool:
    """Whether a method whose name is known makes the weights."""
    try:
        return any(True for _ in makers(name, cls, trials, Program("BTD")))
    except GaveUp:
        return True


def _has_forward(cls: type) -> bool:
    """Whether a class has a method that may be a forward."""
    return any(matches(each, FORWARD) for each in dir(cls) if not each.startswith("__") or each == "__call__")


def _shape(axes: str) -> str:
    letters = {"K": "D + H", "L": "D + H + 1", "E": "D + 1"}
    return f"[{', '.join(letters.get(axis, axis) for axis in axes)}]"


def _has_width(net: Any, width: int) -> bool:
    values = vars(net).values() if hasattr(net, "__dict__") else ()
    return any(width in getattr(value, "shape", ()) for value in values)
