"""What is nearly right: text, bytes and JSON that were valid before a few changes."""

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Path = tuple[str | int, ...]
Change = Callable[[Any, Any, Any], Any]
"""Of the holder of a part, the key, and an odd value; it returns the holder."""
ODD_TEXTS = ("", " ", "-", ":", "\0", "\n", "0", "9" * 30, "\u0663", "\ud800", "nan", "../", "é", "B1", "#")
ODD_JSON: list[Any] = [
    *(None, True, False, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "a", "\0", "../x", [], {}),
    *([None], {"a": 1}, [[[]]], "9" * 400, {"sha256": "", "cases": []}, ["B1T1D1H1-f64-s0"] * 3),
]


@st.composite
def text(draw: DrawFn, valid: SearchStrategy[str]) -> str:
    """Valid text with up to three characters or pieces left out, doubled, moved or put in."""
    value = draw(valid)
    for _ in range(draw(st.integers(0, 3))):
        at, end = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
        end = min(end, at + draw(st.integers(0, 4)))
        piece = draw(
            st.sampled_from(["", value[at:end] * 2, value[at:end][::-1], *ODD_TEXTS]) | st.text(max_size=3)
        )
        value = value[:at] + piece + value[end:]
    return value


@st.composite
def data(draw: DrawFn, valid: bytes) -> bytes:
    """Valid bytes, cut off, or with some of them changed, left out or put in."""
    kind = draw(st.sampled_from(("cut", "flip", "insert", "remove", "zeros", "other")))
    at = draw(st.integers(0, len(valid) - 1))
    if kind == "other":
        return draw(st.binary(max_size=64))
    if kind == "cut":
        return valid[:at]
    new = {
        "flip": bytes([valid[at] ^ draw(st.integers(1, 255))]),
        "insert": valid[at : at + 1] + draw(st.binary(min_size=1, max_size=9)),
        "remove": b"",
        "zeros": bytes(9),
    }[kind]
    return valid[:at] + new + valid[at + (9 if kind == "zeros" else 1) :]


@st.composite
def tree(draw: DrawFn, valid: Any) -> Any:
    """A valid value of JSON with one to three of its parts replaced, left out, doubled or renamed."""
    value = json.loads(json.dumps(valid))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(paths(value))))
        change: Change = draw(st.sampled_from((replaced, renamed, doubled)))
        odd = draw(st.sampled_from(ODD_JSON))
        value = changed(value, path, change, copy.deepcopy(odd))
    return value


def paths(value: Any, at: Path = ()) -> Any:
    """Where every part of a value is, but no more than the first few of a list."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (key, part) in enumerate(items):
        if number < 4:
            yield from paths(part, (*at, key))


def changed(value: Any, path: Path, change: Change, odd: Any) -> Any:
    """The value after a change of one part."""
    if not path:
        holder = change([value], 0, odd)
        return holder[0] if holder else None
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1], odd)
    return value


def replaced(holder: Any, key: Any, odd: Any) -> Any:
    """Put something else in the place of a part."""
    holder[key] = odd
    return holder


def renamed(holder: Any, key: Any, odd: Any) -> Any:
    """Leave a part out, or give it another key."""
    part = holder.pop(key)
    if isinstance(holder, dict) and isinstance(odd, str):
        holder[odd] = part
    return holder


def doubled(holder: Any, key: Any, odd: Any) -> Any:
    """Put a part in twice."""
    if isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[f"{key}2"] = holder[key]
    return holder
