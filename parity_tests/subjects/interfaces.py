"""The interface of a target, recognised by what it is made from and how it is called."""

import inspect
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

from parity_tests.subjects.readings import (
    gates_in_signature,
    is_of_torch,
    refusal,
    refusal_of_gates,
    refusal_of_torch,
)
from parity_tests.subjects.signatures import (
    BIAS,
    WEIGHT,
    has,
    made_by,
    origin,
    parameters_of_method,
    required,
)

INTERFACES = ("layer", "cell", "module", "adapter", "package")
JUDGED_AS = "it was judged as"
"""How messages begin to say what a target is judged as: what it was recognised as, or what its user says."""
IN_WORDS = {
    "TimeRNN": "a layer: a sequence, made of its weights, like rnn_np.TimeRNN",
    "RNN": "a cell: one time step, made of its weights, like rnn_np.RNN",
    "nn.RNN": "a module: a sequence, made by sizes, like torch.nn.RNN",
    "nn.RNNCell": "a cell: one time step, made by sizes, like torch.nn.RNNCell",
}
"""By kind of layer, what a target is that is judged as one."""
OTHERWISE = {
    "nn.RNN": "--as cell judges it as one time step",
    "nn.RNNCell": "--as module judges it as a sequence",
}
"""By kind of layer, what else a target may be that looks like it."""
PARTS = ("RNN", "TimeRNN", "nn")
"""What is judged of a package; one of them is enough."""
MAX_NAMES_LISTED = 8
"""Names shown of what a module holds."""


class TargetError(Exception):
    """A target cannot be judged; the message says why, and what was expected."""


def recognise(obj: Any, spec: str) -> str:
    """Return the interface of an object that a user points at, one of ``INTERFACES``.

    Args:
        obj: a class, a function or a module.
        spec: what the user calls it, for messages.

    Raises:
        TargetError: it is nothing that can be judged, or its interface is not recognised.
    """
    if isinstance(obj, ModuleType):
        if not own_parts(obj):
            raise TargetError(
                f"{spec}: a module without {', '.join(PARTS[:-1])} or {PARTS[-1]} of its own: "
                f"name what to judge in it, {spec}:{_names_in(obj)}"
            )
        return "package"
    check_callable(obj, spec)
    is_class = isinstance(origin(obj), type)
    interface = _of_class(obj) if is_class else _of_function(obj)
    if is_class:
        unit, evidence = gates_in_signature(obj)
        if unit:
            raise TargetError(refusal_of_gates(spec, unit, evidence))
        check_not_of_torch(obj, spec)
    if interface is None:
        raise TargetError(refusal(obj, spec))
    return interface


def own_parts(module: Any) -> dict[str, Any]:
    """The ``PARTS`` that a package has, by name, without those that it has imported from torch."""
    found = {part: getattr(module, part) for part in PARTS if hasattr(module, part)}
    return {part: value for part, value in found.items() if not is_of_torch(value)}


def _names_in(module: ModuleType) -> str:
    """The first class that a module defines, or else its first function; ``Name`` if it has neither."""
    own = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    found = [name for name, value in own.items() if isinstance(value, type)]
    found += [name for name, value in own.items() if inspect.isfunction(value)]
    if not found:
        return "Name"
    more = f" (or {', '.join(found[1:MAX_NAMES_LISTED])})" if found[1:] else ""
    return f"{found[0]}{more}"


def check_not_of_torch(obj: Any, spec: str) -> None:
    """Refuse a class of torch's, which no interface fits.

    Raises:
        TargetError: it is one.
    """
    if reason := refusal_of_torch(obj, spec):
        raise TargetError(reason)


def check_callable(obj: Any, spec: str) -> None:
    """Refuse what can neither be made nor called.

    Raises:
        TargetError: it is no class and no function.
    """
    if not callable(obj):
        raise TargetError(f"{spec}: expected a class or a function, got a value of type {type(obj).__name__}")


def _of_function(obj: Any) -> str | None:
    if not inspect.isroutine(origin(obj)):
        return None
    try:
        inspect.signature(obj).bind("a case")
    except (TypeError, ValueError):
        return None
    return "adapter"


def _of_class(obj: Any) -> str | None:
    cls = origin(obj)
    constructor = made_by(obj)
    names = [parameter.name for parameter in constructor]
    if _is_made_by_sizes(obj) and (has(cls, "forward") or _is_called(cls)):
        if {*required(constructor)} - {"input_size", "hidden_size"}:
            return None
        return "module" if _is_sequence(cls, names) else "cell"
    if not has(cls, "forward") or not has(cls, "backward"):
        return None
    weights = len(names) >= 3 and all(map(WEIGHT.fullmatch, names[:2])) and BIAS.fullmatch(names[2])
    if has(cls, "set_state") or (weights and "stateful" in names):
        return "layer"
    if not weights or len(required(constructor)) > 3:
        return None
    given = parameters_of_method(cls, "forward")
    needed = len(required(given))
    if needed == 2 or (len(given) > 1 and "prev" in given[1].name):
        return "cell"
    return "layer" if needed == len(given) == 1 else None


def _is_made_by_sizes(obj: Any) -> bool:
    """Whether the constructor is torch's, and not given the weights."""
    if not isinstance(origin(obj), type):
        return False
    return {"input_size", "hidden_size"} <= {parameter.name for parameter in made_by(obj)}


def _is_sequence(cls: type, made_by: list[str]) -> bool:
    """Whether a class made by sizes is like ``nn.RNN`` and not like ``nn.RNNCell``, as far as can be seen."""
    if {"num_layers", "bidirectional", "batch_first", "dropout"} & {*made_by}:
        return True
    if "cell" in cls.__name__.lower() or not has(cls, "backward"):
        return False
    # A sequence has gradients of two results: of all outputs and of the final state.
    return len(parameters_of_method(cls, "backward")) > 1


def _is_called(cls: type) -> bool:
    return any("__call__" in vars(base) for base in cls.__mro__)


def subject_of(obj: Any, interface: str) -> Any:
    """Return a loaded target as the gate calls it: a package that holds the layers under their names."""
    if interface == "layer":
        return SimpleNamespace(TimeRNN=obj)
    if interface == "cell":
        by_sizes = _is_made_by_sizes(obj)
        return SimpleNamespace(nn=SimpleNamespace(RNNCell=obj)) if by_sizes else SimpleNamespace(RNN=obj)
    if interface == "adapter":
        return SimpleNamespace(answer=obj)
    if interface == "package":
        # torch's own names: a module of layers that is not inside of a package.
        return (
            SimpleNamespace(nn=obj) if _is_made_by_sizes(getattr(obj, "RNN", None)) else _without_torch(obj)
        )
    return SimpleNamespace(nn=SimpleNamespace(RNN=obj))


def _without_torch(package: Any) -> Any:
    """The package, without the ``nn`` that it may have imported from torch."""
    parts = own_parts(package)
    return (
        package if len(parts) == sum(hasattr(package, part) for part in PARTS) else SimpleNamespace(**parts)
    )


def taken_for(interface: str, kinds: Sequence[str], *, is_forced: bool) -> str:
    """Return in words what a target is judged as.

    Args:
        interface: one of ``INTERFACES``.
        kinds: of the layers that it has.
        is_forced: whether the user chose the interface.
    """
    if interface in ("adapter", "package"):
        return "an adapter" if interface == "adapter" else f"a package with {', '.join(kinds)}"
    words = IN_WORDS[kinds[0]]
    return words if is_forced or kinds[0] not in OTHERWISE else f"{words} ({OTHERWISE[kinds[0]]})"
