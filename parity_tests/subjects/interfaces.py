"""The interface of a target, recognised by what it is made from and how it is called."""

import functools
import inspect
import re
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

INTERFACES = ("layer", "cell", "module", "adapter", "package")
TAKEN_FOR = "it was taken for"
"""How messages begin to say what a target is judged as."""
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

FORCE = "--as layer|cell|module|adapter"

_WEIGHT = re.compile(r"w\w{0,2}|[uv]|[wuv]_\w+|weight\w*|kernel\w*|recurrent\w*", re.IGNORECASE)
_BIAS = re.compile(r"b\w?|b_\w+|bias\w*", re.IGNORECASE)


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
        if not any(hasattr(obj, part) for part in PARTS):
            raise TargetError(
                f"{spec}: a module without {', '.join(PARTS[:-1])} or {PARTS[-1]}: "
                f"name what to judge in it, {spec}:Name"
            )
        return "package"
    check_callable(obj, spec)
    interface = _of_class(obj) if isinstance(_origin(obj), type) else _of_function(obj)
    if interface is None:
        raise TargetError(f"{spec}: cannot tell what it is, {_described(obj)}; say so with {FORCE}")
    return interface


def check_callable(obj: Any, spec: str) -> None:
    """Refuse what can neither be made nor called.

    Raises:
        TargetError: it is no class and no function.
    """
    if not callable(obj):
        raise TargetError(f"{spec}: expected a class or a function, got a value of type {type(obj).__name__}")


def _origin(obj: Any) -> Any:
    """What decorators and ``functools.partial`` have been put around."""
    while True:
        inner = obj.func if isinstance(obj, functools.partial) else inspect.unwrap(obj)
        if inner is obj:
            return obj
        obj = inner


def _of_function(obj: Any) -> str | None:
    if not inspect.isroutine(_origin(obj)):
        return None
    try:
        inspect.signature(obj).bind("a case")
    except (TypeError, ValueError):
        return None
    return "adapter"


def _of_class(obj: Any) -> str | None:
    cls = _origin(obj)
    made_by = _made_by(obj)
    names = [parameter.name for parameter in made_by]
    if _is_made_by_sizes(obj) and (_has(cls, "forward") or _is_called(cls)):
        return "module" if _is_sequence(cls, names) else "cell"
    if not _has(cls, "forward") or not _has(cls, "backward"):
        return None
    weights = len(names) >= 3 and all(map(_WEIGHT.fullmatch, names[:2])) and _BIAS.fullmatch(names[2])
    if _has(cls, "set_state") or (weights and "stateful" in names):
        return "layer"
    if not weights or _required(made_by) > 3:
        return None
    given = _parameters(inspect.getattr_static(cls, "forward"))[1:]
    required = _required(given)
    if required == 2 or (len(given) > 1 and "prev" in given[1].name):
        return "cell"
    return "layer" if required == len(given) == 1 else None


def _is_made_by_sizes(obj: Any) -> bool:
    """Whether the constructor is torch's, and not given the weights."""
    if not isinstance(_origin(obj), type):
        return False
    return {"input_size", "hidden_size"} <= {parameter.name for parameter in _made_by(obj)}


def _is_sequence(cls: type, made_by: list[str]) -> bool:
    """Whether a class made by sizes is like ``nn.RNN`` and not like ``nn.RNNCell``, as far as can be seen."""
    if {"num_layers", "bidirectional", "batch_first", "dropout"} & {*made_by}:
        return True
    if "cell" in cls.__name__.lower() or not _has(cls, "backward"):
        return False
    # A sequence has gradients of two results: of all outputs and of the final state.
    return len(_parameters(inspect.getattr_static(cls, "backward"))) > 2


def _is_called(cls: type) -> bool:
    return any("__call__" in vars(base) for base in cls.__mro__)


def _has(cls: type, name: str) -> bool:
    return callable(getattr(cls, name, None))


def _required(parameters: list[inspect.Parameter]) -> int:
    return sum(parameter.default is parameter.empty for parameter in parameters)


def _parameters(function: Any) -> list[inspect.Parameter]:
    """The parameters of a function, stars among them; none where they cannot be known."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _made_by(obj: Any) -> list[inspect.Parameter]:
    """The constructor's parameters, those included that stars pass on to a base class."""
    cls = _origin(obj)
    inherited = [_parameters(vars(base)["__init__"])[1:] for base in cls.__mro__ if "__init__" in vars(base)]
    named: dict[str, inspect.Parameter] = {}
    for parameters in [_parameters(obj), *inherited]:
        stars = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        named |= {p.name: p for p in parameters if p not in stars and p.name not in named}
        if not stars:
            break
    return list(named.values())


def _described(obj: Any) -> str:
    cls = _origin(obj)
    if not isinstance(cls, type):
        return f"a {type(cls).__name__} that takes ({_listed(_parameters(obj))})"
    methods = [
        f"{name}({_listed(_parameters(inspect.getattr_static(cls, name))[1:])})"
        if _has(cls, name)
        else f"no {name}"
        for name in ("forward", "backward")
    ]
    return f"a class made by ({_listed(_made_by(obj))}) with {' and '.join(methods)}"


def _listed(parameters: list[inspect.Parameter]) -> str:
    return ", ".join(str(p.replace(annotation=p.empty)) for p in parameters)


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
        return SimpleNamespace(nn=obj) if _is_made_by_sizes(getattr(obj, "RNN", None)) else obj
    return SimpleNamespace(nn=SimpleNamespace(RNN=obj))


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
