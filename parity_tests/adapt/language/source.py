"""What the source of a function says: the names of what it returns, and what it takes from its arguments."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def tree_of(function: Callable[..., Any]) -> ast.FunctionDef | None:
    """Return the syntax tree of a function, None where its source cannot be had."""
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    return node if isinstance(node, ast.FunctionDef) else None


def returned_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what a function returns, in order; what has none is empty."""
    node = tree_of(function)
    returns = [each for each in ast.walk(node) if isinstance(each, ast.Return)] if node else []
    if not returns or returns[-1].value is None:
        return ()
    value = returns[-1].value
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return tuple(_name_of(part) for part in parts)


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return _name_of(node.value) if node.attr == "T" else node.attr
    if isinstance(node, ast.Call) and node.args:
        return _name_of(node.args[0])
    if isinstance(node, ast.Subscript):
        return _name_of(node.value)
    return ""


def keys_of(function: Callable[..., Any], parameter: str) -> list[str]:
    """Return the keys that a function reads from a parameter that is a dict."""
    node = tree_of(function)
    found: dict[str, None] = {}
    for each in ast.walk(node) if node else ():
        is_key = (
            isinstance(each, ast.Subscript)
            and isinstance(each.value, ast.Name)
            and each.value.id == parameter
        )
        if is_key and isinstance(each.slice, ast.Constant) and isinstance(each.slice.value, str):  # type: ignore[attr-defined]
            found[each.slice.value] = None  # type: ignore[attr-defined]
    return list(found)


def attributes_of(function: Callable[..., Any], parameter: str) -> list[str]:
    """Return the attributes that a function reads from a parameter."""
    node = tree_of(function)
    found: dict[str, None] = {}
    for each in ast.walk(node) if node else ():
        if (
            isinstance(each, ast.Attribute)
            and isinstance(each.value, ast.Name)
            and each.value.id == parameter
        ):
            found[each.attr] = None
    return list(found)


def unpacked(function: Callable[..., Any], parameter: str) -> list[str]:
    """Return the names that a parameter is unpacked into."""
    node = tree_of(function)
    for each in ast.walk(node) if node else ():
        if (
            not isinstance(each, ast.Assign)
            or not isinstance(each.value, ast.Name)
            or each.value.id != parameter
        ):
            continue
        if isinstance(each.targets[0], ast.Tuple | ast.List):
            return [_name_of(part) for part in each.targets[0].elts]
    return []


def has_loop(function: Callable[..., Any]) -> bool:
    """Return whether a function has a loop of its own."""
    node = tree_of(function)
    return node is not None and any(isinstance(each, ast.For | ast.While) for each in ast.walk(node))


def global_names(function: Callable[..., Any]) -> set[str]:
    """Return all names that a function reads."""
    node = tree_of(function)
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} if node else set()
