"""What the values of a user's expressions are: right values, at which step, or none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.lines.orders import Form, Order, Replacement, axes_of, forms, orders, parts_of
from parity_tests.diagnosis.lines.recording import Seen
from parity_tests.diagnosis.lines.right_values import TURNED, RightValue, RightValues

SAME = 1e-8
"""Of the largest number of a value: two values that differ by less are the same."""
CONSTANT = ("h_0", "Wx", "Wh", "[Wx; Wh]", "[Wh; Wx]", "b", "b_ih", "b_hh", "Wy", "by")
"""Right values that are the same at every step."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A right value in one order.

    Attributes:
        value: the right value.
        order: the order.
        arrays: its parts.
        sums: the sum of each part.
        axes: of a part.
    """

    value: RightValue
    order: Order
    arrays: list[Array]
    sums: Array
    axes: str


@dataclass(slots=True)
class Match:
    """A right value that an expression is, or may be.

    Attributes:
        replacement: the right value.
        hits: at which evaluations it is that value.
    """

    replacement: Replacement
    hits: list[bool]

    @property
    def name(self) -> str:
        """Of the right value."""
        return self.replacement.name

    @property
    def is_turned(self) -> bool:
        """Whether it has the steps of a reverse direction in the order of the sequence."""
        return self.name.endswith(TURNED)

    @property
    def is_whole(self) -> bool:
        """Whether it is that value at every evaluation."""
        return all(self.hits)


class Recogniser:
    """Compares values of a user's with the right values of a case."""

    def __init__(self, values: RightValues) -> None:
        self.values = values
        self._parts: dict[int, list[Parts]] = {}

    def parts(self, number: int) -> list[Parts]:
        """Every right value in every order that has so many parts."""
        if number not in self._parts:
            found = []
            for order in orders(self.values, number):
                for value in self.values.values:
                    if order.time and "T" not in value.axes and value.name not in CONSTANT:
                        continue
                    arrays = parts_of(value, order, self.values)
                    if arrays is not None and len(arrays) == number:
                        sums = np.array([float(array.sum()) for array in arrays])
                        found.append(Parts(value, order, arrays, sums, axes_of(value, order)))
            self._parts[number] = found
        return self._parts[number]

    def fitting(self, seen: Seen) -> Iterator[tuple[Parts, Form]]:
        """The right values that have the shape of a user's."""
        shape = seen.values[0].shape
        if any(value.shape != shape for value in seen.values):
            return
        for parts in self.parts(seen.number):
            if any(array.shape != parts.arrays[0].shape for array in parts.arrays):
                continue
            for form in forms(parts.axes, parts.arrays[0].shape, shape):
                yield parts, form

    def matches(self, seen: Seen) -> list[Match]:
        """The right values that an expression is at one evaluation at least."""
        if not seen.values or not seen.is_array:
            return []
        sums = np.array([float(value.sum()) for value in seen.values])
        sizes = np.array([float(np.abs(value).sum()) for value in seen.values])
        found = []
        for parts, form in self.fitting(seen):
            near = np.abs(parts.sums - sums) <= 1e-7 * sizes + 1e-200
            if not near.any():
                continue
            arrays = [array.transpose(form).reshape(seen.values[0].shape) for array in parts.arrays]
            hits = [
                bool(close) and same(array, value)
                for close, array, value in zip(near, arrays, seen.values, strict=True)
            ]
            if any(hits):
                found.append(Match(Replacement(parts.value.name, parts.order, form), hits))
        return found


@dataclass(slots=True)
class Known:
    """Everything that is recognised in a run.

    Attributes:
        matches: by expression and context.
        orders: by function, context and number of evaluations, how many expressions have an order.
    """

    matches: dict[Any, list[Match]] = field(default_factory=dict)
    orders: dict[Any, dict[Order, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, seen: Mapping[Any, Seen], place: Any, recogniser: Recogniser) -> "Known":
        """Recognise all values of a run; ``place`` gives what shares an order."""
        known = cls()
        for key, each in seen.items():
            matches = known.matches[key] = recogniser.matches(each)
            counts = known.orders.setdefault(place(key), {})
            for order in {
                m.replacement.order for m in matches if m.is_whole and m.replacement.order.goes_through_time
            }:
                counts[order] = counts.get(order, 0) + 1
        for key, matches in known.matches.items():
            counts = known.orders[place(key)]
            matches.sort(key=lambda m: (-sum(m.hits), -counts.get(m.replacement.order, 0)))
        return known


def same(one: Array, other: Array) -> bool:
    """Whether two arrays have one shape and are equal, but for rounding."""
    if one.shape != other.shape:
        return False
    scale = max(float(np.abs(one).max(initial=0)), float(np.abs(other).max(initial=0)), 1e-300)
    return bool(np.abs(one - other).max(initial=0) <= SAME * scale)
