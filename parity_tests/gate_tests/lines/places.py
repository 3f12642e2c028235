"""A place in the source of a layer, by the text of its line, and how it is found."""

import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class At:
    """One line of source, which stays the same when lines before it come or go.

    Attributes:
        function: the function or method that the line is in, ``Class.method``; a class for a line of its
            own. A function within another counts as a part of that.
        text: the line without the blanks around it.
        number: which of the lines with that text, from 0; None if there is but one.
    """

    function: str
    text: str
    number: int | None = None


Fault = tuple[At, ...]
"""All lines at which one fault may rightly be told."""


def fault(function: str, *texts: str) -> Fault:
    """Return the lines of one function that hold a fault; ``+`` adds those of another one."""
    return tuple(At(function, text) for text in texts)


def line_of(at: At, module: ModuleType) -> tuple[str, int]:
    """Return the file and the line's number, from 1.

    Args:
        at: the place.
        module: what has its function or class, itself or by import.

    Raises:
        LookupError: the text is not there, or there more than once and ``at`` has no number.
    """
    source = _source(at.function, module)
    lines, first = inspect.getsourcelines(source)
    found = [first + n for n, line in enumerate(lines) if line.strip() == at.text]
    if len(found) != 1 if at.number is None else at.number >= len(found):
        raise LookupError(f"{module.__name__}: {at} stands there {len(found)} times")
    return str(inspect.getsourcefile(source)), found[at.number or 0]


def _source(name: str, module: ModuleType) -> Any:
    """The class, or the function itself where a property or a static method is around it."""
    owner, *rest = name.split(".")
    found = vars(module)[owner]
    for part in rest:
        found = vars(found)[part]
    if isinstance(found, property):
        return found.fget
    return inspect.unwrap(getattr(found, "__func__", found))
