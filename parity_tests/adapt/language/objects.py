"""What an object, a result or a module holds: every array in it, with the expression that reads it."""

from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from parity_tests.bound_numpy import np

DEPTH = 4
"""Of attributes in attributes."""
MOST = 40
"""Elements of a list or dict that are looked at."""


def is_plain(value: Any) -> bool:
    """Whether it is a value that holds nothing more."""
    return value is None or isinstance(
        value, str | bytes | int | float | complex | type | FunctionType | ModuleType
    )


def is_numbers(value: Any) -> bool:
    """Whether it is an array of floats."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def held(text: str, value: Any, depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield what is in a value, itself first: the expression and the array.

    A list of arrays of one shape is yielded as one array, and then by its elements.

    Args:
        text: the expression of the value.
        value: the value.
        depth: how deep to look.
    """
    seen: set[int] = set()
    yield from _held(text, value, depth, seen)


def _held(text: str, value: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if is_numbers(value):
        yield text, value
        return
    if isinstance(value, np.floating | np.number):
        return
    if depth == 0 or is_plain(value) or id(value) in seen:
        return
    seen.add(id(value))
    yield from _stacked(text, value)
    for inner, item in _parts(text, value):
        yield from _held(inner, item, depth - 1, seen)


def _parts(text: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{text}[{key!r}]", item) for key, item in list(value.items())[:MOST]]
    if isinstance(value, list | tuple):
        names = getattr(value, "_fields", None)
        if names:
            return [(f"{text}.{name}", item) for name, item in zip(names, value, strict=True)]
        return [(f"{text}[{number}]", item) for number, item in enumerate(list(value)[:MOST])]
    if isinstance(value, np.ndarray) or not hasattr(value, "__dict__"):
        return []
    return [
        (f"{text}.{name}", item)
        for name, item in list(vars(value).items())[:MOST]
        if not name.startswith("__")
    ]


def _stacked(text: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A list, or a dict of steps, as one array."""
    if isinstance(value, dict) and value and all(isinstance(key, int) for key in value):
        yield from _steps_of_dict(text, value)
    elif isinstance(value, list | tuple) and len(value) > 0:
        items = list(value)
        if alike(items):
            yield f"np.array({text})", np.array(items)
        elif not is_numbers(items[0]) and alike(items[1:]):
            yield f"np.array({text}[1:])", np.array(items[1:])  # the initial state is None
        yield from _columns(text, items)


def alike(items: list[Any]) -> bool:
    """Whether they are arrays of one shape, each of its own."""
    if not items or not all(is_numbers(item) and item.shape == items[0].shape for item in items):
        return False
    return len({id(item) for item in items}) == len(items)


def _steps_of_dict(text: str, value: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    first, last = min(value), max(value)
    items = [value.get(key) for key in range(first, last + 1)]
    if first in (-1, 0, 1) and alike(items):
        # The last key is a number of steps, or of steps and the initial state: said by the length.
        length = f"len({text})"
        span = {-1: f"-1, {length} - 1", 0: length, 1: f"1, {length} + 1"}[first]
        yield f"np.array([{text}[t] for t in range({span})])", np.array(items)


def _columns(text: str, items: list[Any]) -> Iterator[tuple[str, Any]]:
    """One part of what is kept of each step, in tuples or dicts."""
    first = items[0]
    if len(items) < 2 or not isinstance(first, tuple | dict):
        return
    if not all(type(item) is type(first) and len(item) == len(first) for item in items):
        return
    for key in first if isinstance(first, dict) else range(len(first)):
        try:
            column = [item[key] for item in items]
        except KeyError:
            continue
        if alike(column):
            yield f"np.array([each[{key!r}] for each in {text}])", np.array(column)


def last_name(text: str) -> str:
    """Return the name in an expression that says most: of the last attribute or key.

    Example:
        >>> last_name("net.params['W']"), last_name("net.cell.wi"), last_name("net.params[0]")
        ('W', 'wi', 'params')
    """
    name = ""
    for part in text.replace("]", "").replace("[", ".").split("."):
        plain = part.strip("'\"")
        if plain.isidentifier():
            name = plain
    return name
