"""The interface of a target, recognised by what it is made from and how it is called."""

import functools
import inspect
import re
from types import ModuleType, SimpleNamespace
from typing import Any

INTERFACES = ("layer", "cell", "module", "adapter", "package")
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
    if {"input_size", "hidden_size"} <= set(names) and _has(cls, "forward"):
        return "module"
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
        return SimpleNamespace(RNN=obj)
    if interface == "adapter":
        return SimpleNamespace(answer=obj)
    if interface == "package":
        # torch's own names: a module of layers that is not inside of a package.
        return SimpleNamespace(nn=obj) if _is_module(getattr(obj, "RNN", None)) else obj
    return SimpleNamespace(nn=SimpleNamespace(**{"RNN" if _is_module(obj) else "RNNCell": obj}))


def _is_module(cls: Any) -> bool:
    """Whether it is made like ``nn.RNN`` and not like ``nn.RNNCell``."""
    try:
        names = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return False
    return "num_layers" in names or ("input_size" in names and "bidirectional" in names)
