"""Sizes that a constructor is given in one object: a dataclass, a NamedTuple, a dict, or anything with attributes."""

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from parity_tests.adapt.language.calls import parameters_of
from parity_tests.adapt.language.names import roles
from parity_tests.adapt.language.source import attributes_of, keys_of
from parity_tests.adapt.program import Trials

NUMBERS = {"D": "D", "H": "H", "V": "V", "T": "T", "B": "B", "L": "1", "rate": "2.0**40"}
"""What a member of a configuration is given, by its role."""
HARMLESS = ((r"\w*seed", "0"), (r"\w*dropout\w*|p_?drop", "0.0"), (r"\w*(scale|std|sigma|gain)\w*", "0.1"))
"""What other members are given: the weights are put in later, so no number that they are drawn with matters."""


def config_options(cls: type, parameters: Sequence[inspect.Parameter]) -> Mapping[str, str]:
    """Return the expressions of the configurations that a class is made from, by the names of parameters.

    Args:
        cls: the class.
        parameters: of its constructor.
    """
    found = {}
    for parameter in parameters:
        text = _config(cls, parameter)
        if text:
            found[parameter.name] = text
    return found


def imported_in(text: str, trials: Trials) -> list[str]:
    """Return the names of the user's module, and others, that a construction with a configuration needs."""
    called = re.findall(r"\b([A-Za-z_]\w*)\(", text.partition("(")[2])
    return [name for name in called if name in trials.globals or name == "SimpleNamespace"]


def _config(cls: type, parameter: inspect.Parameter) -> str:
    init: Any = cls.__init__  # type: ignore[misc]
    keys, attributes = keys_of(init, parameter.name), attributes_of(init, parameter.name)
    members = _sizes(keys or attributes)
    if not {"D", "H"} <= {*members.values()}:
        return ""
    given = {name: NUMBERS[role] for name, role in members.items()}
    given |= {name: text for name in keys or attributes if name not in given and (text := _harmless(name))}
    if keys:
        return f"{{{', '.join(f'{key!r}: {text}' for key, text in given.items())}}}"
    kind = _class_of(cls, parameter, attributes)
    if kind:
        fields = parameters_of(kind) or []
        needed = {each.name for each in fields if each.default is each.empty}
        members = _sizes([each.name for each in fields])
        if needed - {*members}:
            return ""
        wanted = {*needed} | {name for name, role in members.items() if role in ("D", "H", "V", "rate")}
        given = {name: NUMBERS[role] for name, role in members.items() if name in wanted}
    inner = ", ".join(f"{name}={text}" for name, text in given.items())
    return f"{kind.__name__ if kind else 'SimpleNamespace'}({inner})"


def _harmless(name: str) -> str:
    return next((text for pattern, text in HARMLESS if re.fullmatch(pattern, name, re.IGNORECASE)), "")


def _sizes(names: Sequence[str]) -> dict[str, str]:
    """The roles of those names that are of sizes and rates."""
    found = {name: next((role for role in roles(name) if role in NUMBERS), "") for name in names}
    return {name: role for name, role in found.items() if role}


def _class_of(cls: type, parameter: inspect.Parameter, attributes: Sequence[str]) -> type | None:
    """The class of a configuration: what the parameter is annotated with, else one that has its members."""
    module = vars(sys.modules[cls.__module__])
    named = (
        parameter.annotation
        if isinstance(parameter.annotation, type)
        else module.get(str(parameter.annotation))
    )
    classes = [named, *module.values()] if isinstance(named, type) else list(module.values())
    for value in classes:
        fields = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", ())
        if isinstance(value, type) and fields and {*attributes} <= {*fields}:
            return value
    return None
