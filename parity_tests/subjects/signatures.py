"""What a class or function is made from and called with, as its signature says."""

import functools
import inspect
import re
from collections.abc import Sequence
from typing import Any

WEIGHT = re.compile(r"w\w{0,2}|[uv]|[wuv]_\w+|weight\w*|kernel\w*|recurrent\w*", re.IGNORECASE)
BIAS = re.compile(r"b\w?|b_\w+|bias\w*", re.IGNORECASE)


def origin(obj: Any) -> Any:
    """What decorators and ``functools.partial`` have been put around."""
    while True:
        inner = obj.func if isinstance(obj, functools.partial) else inspect.unwrap(obj)
        if inner is obj:
            return obj
        obj = inner


def has(cls: type, name: str) -> bool:
    """Whether a class has a method of this name."""
    return callable(getattr(cls, name, None))


def required(given: Sequence[inspect.Parameter]) -> list[str]:
    """The names of the parameters without a default."""
    return [parameter.name for parameter in given if parameter.default is parameter.empty]


def parameters(function: Any) -> list[inspect.Parameter]:
    """The parameters of a function, stars among them; none where they cannot be known."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def parameters_of_method(cls: type, name: str) -> list[inspect.Parameter]:
    """The parameters of a method, without the object itself."""
    static = inspect.getattr_static(cls, name)
    found = parameters(static.__func__ if isinstance(static, staticmethod | classmethod) else static)
    return found if isinstance(static, staticmethod) else found[1:]


def made_by(obj: Any) -> list[inspect.Parameter]:
    """The constructor's parameters, those included that stars pass on to a base class."""
    cls = origin(obj)
    inherited = [parameters(vars(base)["__init__"])[1:] for base in cls.__mro__ if "__init__" in vars(base)]
    named: dict[str, inspect.Parameter] = {}
    for given in [parameters(obj), *inherited]:
        stars = [p for p in given if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        named |= {p.name: p for p in given if p not in stars and p.name not in named}
        if not stars:
            break
    return list(named.values())


def described(obj: Any) -> str:
    """A class by its constructor, forward and backward, anything else by what it takes."""
    cls = origin(obj)
    if not isinstance(cls, type):
        return f"a {type(cls).__name__} that takes ({listed(parameters(obj))})"
    methods = [
        f"{name}({listed(parameters_of_method(cls, name))})" if has(cls, name) else f"no {name}"
        for name in ("forward", "backward")
    ]
    return f"a class made by ({listed(made_by(obj))}) with {' and '.join(methods)}"


def listed(given: list[inspect.Parameter]) -> str:
    """Parameters as they stand in the source, without their types."""
    return ", ".join(str(p.replace(annotation=p.empty)) for p in given)
