"""Where the value of a loss may be: a number that was returned or kept, or what a function of its name gives."""

import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from parity_tests.adapt.calling.reading import Reading
from parity_tests.adapt.heads.program import HeadProgram
from parity_tests.adapt.language.calls import Callee
from parity_tests.adapt.language.layouts import axes_of
from parity_tests.adapt.language.names import LOSSES, matches
from parity_tests.adapt.language.objects import held
from parity_tests.adapt.language.said import lists_for
from parity_tests.bound_numpy import np

DEPTH = 3
MOST_OF_ONE = 8
"""Calls of one function that are tried."""
OF_OUTPUTS = r"(y_?|out_?)?(hat|pred\w*)|pred\w*|prob\w*|chances?|ps?|outs?|outputs?|logits?|scores?|o|z"
"""Names of parameters that take outputs."""


def numbers_in(text: str, value: Any, depth: int = DEPTH) -> Iterator[tuple[str, float]]:
    """Yield what is a single number in a value: its expression and itself."""
    if isinstance(value, int | float | np.floating) and not isinstance(value, bool):
        yield text, float(value)
    elif isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind == "f":
        yield text, float(value.reshape(-1)[0])
    for inner, item in _parts(text, value) if depth else ():
        yield from numbers_in(inner, item, depth - 1)


def _parts(text: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{text}[{key!r}]", item) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{text}[{number}]", item) for number, item in enumerate(value)]
    if text == "net" and hasattr(value, "__dict__"):
        return [(f"{text}.{name}", item) for name, item in vars(value).items()]
    return []


def loss_calls(
    module: ModuleType, name: str, program: HeadProgram, reading: Reading, env: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the calls of functions whose names are those of a loss, and what they need imported.

    Args:
        module: that of the user.
        name: of the class that was read, or of functions.
        program: the adapter so far.
        reading: of the forward.
        env: the variables after a run.
    """
    targets = _targets_of(program)
    sizes: Any = None
    outputs = []
    given = env.get("case")
    if given is not None:
        sizes = program.sizes(given)
        outputs = [
            text for text, array in held("out", env.get("out")) if "V" in (axes_of(array.shape, sizes) or "")
        ]
    inputs = reading.arguments.given
    options = {"x": (reading.arguments.text.partition(",")[0],), "y": targets, "out": outputs}
    options |= {"h": (inputs["h"],)} if "h" in inputs else {}
    for callee, imported in _callees(module, name):
        named = {
            p.name: outputs[0] for p in callee.parameters if outputs and re.fullmatch(OF_OUTPUTS, p.name)
        }
        lists = lists_for(callee, options, named, ("out", "y", "x"), ("y",))
        for arguments in itertools.islice(lists, MOST_OF_ONE):
            yield f"{callee.text}({arguments.text})", imported


def _callees(module: ModuleType, name: str) -> Iterator[tuple[Callee, tuple[str, ...]]]:
    cls = getattr(module, name, None)
    if isinstance(cls, type):
        for each, function in inspect.getmembers(cls, callable):
            if matches(each, LOSSES) and not each.startswith("__"):
                static = isinstance(inspect.getattr_static(cls, each), staticmethod)
                yield Callee(f"net.{each}", function, 0 if static else 1), ()
    for each, function in vars(module).items():
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if own and matches(each, LOSSES):
            yield Callee(each, function), (each,)


def _targets_of(program: HeadProgram) -> tuple[str, ...]:
    """The targets as the backward is given them, then in other forms."""
    text = "\n".join([*program.forward, *program.backward])
    forms = re.findall(
        r"list\(np\.eye[^()]*\([^()]*\)[^()]*\)|np\.eye\([^()]*\)\[y\]|\by(?:\.\w+\([^()]*\)|\.T|\[[^\]]*\])?",
        text,
    )
    return tuple(dict.fromkeys([*forms, "y", "y.tolist()"]))
