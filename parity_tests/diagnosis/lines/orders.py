"""In which order an expression meets the steps, rows and cells of a case, and a right value in that order."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.lines.right_values import RightValue, RightValues


@dataclass(frozen=True, slots=True)
class Order:
    """The steps, rows and cells that the evaluations of an expression belong to, one after another.

    Attributes:
        cells: which cells, in their order.
        time: ``"up"``, ``"down"``, ``"first"`` or ``"last"`` for that step alone, or ``""`` if an evaluation
            is about all steps.
        rows: ``"inner"`` or ``"outer"`` of the steps, or ``""`` if an evaluation is about all rows.
        skipped: ``"first"`` or ``"last"`` if the first or the last step is not met, or ``""``.
        steps_outside: whether all cells are met at a step, before the next.
    """

    cells: tuple[int, ...]
    time: str = ""
    rows: str = ""
    skipped: str = ""
    steps_outside: bool = False

    @property
    def goes_through_time(self) -> bool:
        """Whether it meets the steps one after another."""
        return self.time in ("up", "down")

    def places(self, B: int, T: int) -> list[tuple[int, int | None, int | None]]:
        """Return cell, step and row of every evaluation in a call; None for all."""
        steps: Sequence[int | None] = [None]
        if self.time:
            numbers: list[int | None] = list(range(T))
            numbers = numbers[self.skipped == "first" : T - (self.skipped == "last")]
            steps = {"up": numbers, "down": numbers[::-1], "first": numbers[:1], "last": numbers[-1:]}[
                self.time
            ]
        rows: list[int | None] = [*range(B)] if self.rows else [None]
        outer, inner = (rows, steps) if self.rows == "outer" else (steps, rows)
        pairs = [(a, b) if self.rows != "outer" else (b, a) for a in outer for b in inner]
        if self.steps_outside:
            return [(cell, t, b) for t, b in pairs for cell in self.cells]
        return [(cell, t, b) for cell in self.cells for t, b in pairs]


def orders(values: RightValues, number: int) -> Iterator[Order]:
    """The orders in which an expression may be evaluated so often."""
    case, calls = values.case, values.calls
    for cells in _groups_of_cells(case.layers, case.directions):
        for order in _of_cells(cells):
            if sum(len(order.places(*call.xs.shape[:2])) for call in calls) == number:
                yield order


def _of_cells(cells: tuple[int, ...]) -> Iterator[Order]:
    yield Order(cells)
    for outside in (False, True)[: len(cells)]:
        for time in ("down", "up"):
            yield Order(cells, time, steps_outside=outside)
            for rows in ("inner", "outer"):
                yield Order(cells, time, rows, steps_outside=outside)
    yield Order(cells, rows="inner")
    yield Order(cells, "first")
    yield Order(cells, "last")
    for time in ("down", "up"):
        for skipped in ("first", "last"):
            yield Order(cells, time, skipped=skipped)
            yield Order(cells, time, "outer", skipped)


def _groups_of_cells(layers: int, directions: int) -> list[tuple[int, ...]]:
    """Groups of cells that code may treat alike, in the orders in which it may meet them."""
    every = tuple(range(layers * directions))
    groups = [every, every[::-1]]
    if directions == 2:
        backward = tuple(layer * 2 + direction for layer in reversed(range(layers)) for direction in range(2))
        groups += [backward, every[::2], every[1::2], every[::2][::-1], every[1::2][::-1]]
        # What there is once a layer is met twice, once a direction.
        by_layer = [layer for layer in range(layers) for _ in range(2)]
        groups += [tuple(by_layer), tuple(by_layer[::-1])]
    groups += [every[directions:], every[:-directions], every[directions:][::-1], every[:-directions][::-1]]
    groups += [(cell,) for cell in every]
    return [group for group in dict.fromkeys(groups) if group]


Form = tuple[int, ...]
"""The order of axes in which a right value has the shape of a value of the user's."""


@lru_cache(maxsize=10_000)
def forms(axes: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Form, ...]:
    """The orders of axes in which an array fits a shape; axes of steps and rows may lie in one."""
    target = [size for size in wanted if size != 1]
    if math.prod(shape) != math.prod(wanted):
        return ()
    seen, found = set(), []
    for form in itertools.permutations(range(len(shape))):
        permuted = [(shape[axis], axes[axis]) for axis in form if shape[axis] != 1]
        key = tuple(axis for axis in form if shape[axis] != 1)
        if key not in seen and _fits(permuted, target):
            seen.add(key)
            found.append(form)
    return tuple(found)


def _fits(permuted: list[tuple[int, str]], target: list[int]) -> bool:
    sizes = [size for size, _ in permuted]
    if sizes == target:
        return True
    if len(sizes) != len(target) + 1:
        return False
    for at in range(len(sizes) - 1):
        merged = [*sizes[:at], sizes[at] * sizes[at + 1], *sizes[at + 2 :]]
        if merged == target and permuted[at][1] in "TSB" and permuted[at + 1][1] in "TSB":
            return True
    return False


@dataclass(frozen=True, slots=True)
class Replacement:
    """A right value as it stands in the place of an expression; the same in every case.

    Attributes:
        name: of the right value.
        order: in which its parts are met.
        form: the order of its axes.
    """

    name: str
    order: Order
    form: Form

    def arrays(self, values: RightValues) -> list[Array] | None:
        """The values that stand there in a case, one an evaluation; None if there are none."""
        found = next((value for value in values.values if value.name == self.name), None)
        if found is None:
            return None
        parts = parts_of(found, self.order, values)
        if parts is None:
            return None
        if any(part.ndim != len(self.form) for part in parts):
            return None
        return [part.transpose(self.form) for part in parts]


def parts_of(value: RightValue, order: Order, values: RightValues) -> list[Array] | None:
    """The parts of a right value in the order in which they are met; None if it has no such parts."""
    if len(set(order.cells)) < len(order.cells) and not value.is_of_layers:
        return None
    result = []
    time, row = value.axes.find("T"), value.axes.find("B")
    for call, arrays in zip(values.calls, value.arrays, strict=True):
        if any(cell >= len(arrays) for cell in order.cells):
            return None
        for cell, t, b in order.places(*call.xs.shape[:2]):
            index: list[Any] = [slice(None)] * len(value.axes)
            if t is not None and time >= 0:
                index[time] = t
            if b is not None and row >= 0:
                index[row] = b
            result.append(arrays[cell][tuple(index)])
    return result


def axes_of(value: RightValue, order: Order) -> str:
    """The axes of one part."""
    left_out = ("T" if order.time else "") + ("B" if order.rows else "")
    return "".join(axis for axis in value.axes if axis not in left_out)
