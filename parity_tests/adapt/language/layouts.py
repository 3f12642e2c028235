"""Layouts: the axes of an array by letters, and the expressions that turn one order into another.

B is the batch, T the steps, S the steps and the initial state, D the input, H the states, V the outputs and
1 an axis of one element.
"""

from collections.abc import Mapping, Sequence

SEQUENCES = {
    "BTD": ("BTD", "TBD", "DBT", "BDT", "TDB", "DTB", "[TBD]", "[TDB]"),
    "TD": ("TD", "[TD1]", "[T1D]", "DT", "1TD", "T1D", "TD1", "[TD]", "D1T", "1DT"),
}
"""How a whole sequence may be given, by the axes that it has; brackets are a list over the first axis."""
STEPS = {"BD": ("BD", "DB"), "D": ("D1", "D", "1D")}
"""The same for one step."""
STATE_OF = {
    "BTD": ("BH", "1BH", "HB"),
    "TBD": ("BH", "1BH", "HB"),
    "DBT": ("HB", "BH"),
    "BDT": ("BH", "HB"),
    "TDB": ("HB", "BH"),
    "DTB": ("HB", "BH"),
    "BD": ("BH",),
    "DB": ("HB",),
    "D1": ("H1", "H"),
    "1D": ("1H", "H"),
    "D": ("H", "1H"),
    "TD1": ("H1", "H"),
    "T1D": ("1H", "H"),
    "DT": ("H1", "H"),
    "1TD": ("1H", "11H", "H"),
    "TD": ("H", "1H", "H1"),
    "D1T": ("H1",),
    "1DT": ("1H",),
}
"""How an initial state may be given, by the layout of the input without brackets."""


def arranged(name: str, have: str, want: str) -> str:
    """Return the expression of a variable in another layout.

    Args:
        name: of the variable.
        have: its axes.
        want: the axes wanted; axes of one element may be added, and brackets for a list.

    Example:
        >>> arranged("x", "BTD", "TBD"), arranged("x", "TD", "[TD1]"), arranged("h", "H", "1H")
        ('x.swapaxes(0, 1)', 'list(x[:, :, None])', 'h[None]')
    """
    if want.startswith("["):
        return f"list({arranged(name, have, want[1:-1])})"
    order = [have.index(axis) for axis in want if axis != "1"]
    index = ["None" if axis == "1" else ":" for axis in want]
    return f"{name}{permuted(order)}{_indexed(index)}"


def permuted(order: Sequence[int]) -> str:
    """Return the call that permutes axes, ``""`` where they are in order."""
    moved = [number for number, axis in enumerate(order) if number != axis]
    if not moved:
        return ""
    if len(order) == 2:
        return ".T"
    if len(moved) == 2:
        return f".swapaxes({moved[0]}, {moved[1]})"
    return f".transpose({', '.join(map(str, order))})"


def _indexed(index: list[str]) -> str:
    while index and index[-1] == ":":
        index.pop()
    return f"[{', '.join(index)}]" if index else ""


def axes_of(shape: Sequence[int], sizes: Mapping[str, int]) -> str | None:
    """Return the axes of an array by its shape, None where an axis is none of them.

    Args:
        shape: of the array.
        sizes: by letter, all distinct and above 1.
    """
    letters = {size: letter for letter, size in sizes.items()} | {1: "1"}
    found = [letters.get(size, "") for size in shape]
    return "".join(found) if all(found) else None


def read(text: str, axes: str, want: str, *, start: str = "1:") -> str | None:
    """Return the expression that brings a result into an order of axes, None where it has others.

    Args:
        text: the expression of the result.
        axes: its axes.
        want: the order wanted.
        start: what to take of S, the states with the initial one.

    Example:
        >>> read("out", "TBH", "BTH"), read("states", "SH1", "TH"), read("out", "BH", "BTH")
        ('out.swapaxes(0, 1)', 'states[1:, :, 0]', None)
    """
    index = [{"1": "0", "S": start}.get(axis, ":") for axis in axes]
    left = [{"S": "T"}.get(axis, axis) for axis in axes if axis != "1"]
    if sorted(left) != sorted(want):
        return None
    return f"{text}{_indexed(index)}{permuted([left.index(axis) for axis in want])}"
