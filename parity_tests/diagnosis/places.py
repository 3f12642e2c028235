"""Places: where a fault is confined to, such as one direction, upper layers, or rows from some index on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.diagnosis.samples import Sample


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault is: everything that is not None must hold.

    Attributes:
        words: the place in words, such as ``in the reverse direction only``.
        case: in which cases.
        call: in which calls, by their number from 0.
        cell: in which cells of a stack, by their number from 0.
        axis: ``rows``, ``steps`` or ``units`` if it is in some of these only.
        index: in which, of an array of all indices.
        field: the size of a case from which on it holds, if that is what ``case`` tells.
        below: the largest size known for which it does not hold.
    """

    words: str
    case: Callable[[Case], bool] | None = None
    call: Callable[[int], bool] | None = None
    cell: Callable[[Case, int], bool] | None = None
    axis: str = ""
    index: Callable[[Array], Array] | None = None
    field: str = ""
    below: int = 0

    def holds_in(self, case: Case) -> bool:
        """Return whether the place exists in a case."""
        return self.case is None or self.case(case)

    def mask(self, size: int) -> Array:
        """Return which indices of an axis of this size belong to the place."""
        assert self.index is not None
        return np.asarray(self.index(np.arange(size)))


def _upper(case: Case, cell: int) -> bool:
    return cell >= case.directions


def _last(case: Case, cell: int) -> bool:
    return cell >= case.num_cells - case.directions


OPTIONS: tuple[tuple[str, Callable[[Case], bool]], ...] = (
    ("where D = H", lambda c: c.D == c.H),
    ("where D is not H", lambda c: c.D != c.H),
    ("where B = T", lambda c: c.B == c.T),
    ("with relu", lambda c: c.relu),
    ("with tanh", lambda c: c.nonlinearity == "tanh"),
    ("with two directions", lambda c: c.bidirectional),
    ("with one direction", lambda c: not c.bidirectional),
    ("with several layers", lambda c: c.layers > 1),
    ("with one layer", lambda c: c.layers == 1),
    ("with float64", lambda c: c.dtype == "f64"),
    ("with float32", lambda c: c.dtype == "f32"),
    ("with an initial state", lambda c: c.h0),
    ("without an initial state", lambda c: not c.h0),
    ("with arrays that are not contiguous", lambda c: c.layout != "contiguous"),
    ("with a bias of shape [1, H]", lambda c: c.bias == "row"),
    ("with a bias of shape [H]", lambda c: c.bias == "flat"),
    ("with bias=False", lambda c: c.bias == "nobias"),
    ("with unequal lengths", lambda c: c.lengths != "full"),
    ("with full lengths", lambda c: c.lengths == "full"),
    ("with batch_first", lambda c: c.batch_first),
    ("with a packed input", lambda c: c.form == "packed"),
    ("with an unbatched input", lambda c: c.form == "unbatched"),
    ("with dropout", lambda c: c.masked),
    ("in evaluation mode", lambda c: c.eval),
    ("with a gradient of h_n", lambda c: c.grad_outputs != "output"),
    ("in a stateful layer", lambda c: c.stateful),
    ("with B = 1", lambda c: c.B == 1),
    ("with T = 1", lambda c: c.T == 1),
)
"""What a case may have, and whether it has it."""
CELLS = (
    Place("in the reverse direction only", cell=lambda case, cell: case.bidirectional and cell % 2 == 1),
    Place("in the forward direction only", cell=lambda case, cell: not case.bidirectional or cell % 2 == 0),
    Place(
        "in the forward direction of a layer with two only",
        cell=lambda case, cell: case.bidirectional and cell % 2 == 0,
    ),
    Place("in the layers above the first only", cell=_upper),
    Place("in the first layer only", cell=lambda case, cell: cell < case.directions),
    Place("in the last layer only", cell=_last),
    Place(
        "in the last of several layers only", cell=lambda case, cell: case.layers > 1 and _last(case, cell)
    ),
    Place(
        "in layers between the first and the last only",
        cell=lambda case, cell: _upper(case, cell) and not _last(case, cell),
    ),
    Place("in the layers below the last only", cell=lambda case, cell: not _last(case, cell)),
)
"""Places in a stack."""
CALLS = (
    Place("from the second call on only", call=lambda number: number > 0),
    Place("in the first call only", call=lambda number: number == 0),
)
MOST_STEPS = 21
"""Up to which step ranges of steps are tried."""
STRIDES = (2, 3, 4, 5, 8, 10, 16, 32)
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def case_places(samples: Sequence[Sample]) -> Iterator[Place]:
    """Yield the places that are whole cases or calls."""
    yield from (Place(f"{words} only", case=holds) for words, holds in OPTIONS)
    yield from CALLS
    for field in ("B", "T", "H", "D"):
        sizes = sorted({getattr(sample.case, field) for sample in samples})
        for below, size in pairwise(sizes):
            yield at_least(field, size, below)


def at_least(field: str, size: int, below: int) -> Place:
    """Return the place of all cases with a size from ``size`` on; for ``below`` it does not hold."""
    return Place(
        f"with {field} >= {size} only", case=lambda c: getattr(c, field) >= size, field=field, below=below
    )


def index_places(samples: Sequence[Sample], wrong: Iterable[tuple[str, int]]) -> Iterator[Place]:
    """Yield the places that are rows, steps or units.

    Args:
        samples: what they are sought in.
        wrong: which rows, steps and units are wrong anywhere: name of the axis and index.
    """
    sizes = {
        "rows": max(sample.case.B for sample in samples),
        "steps": max(sample.case.T for sample in samples),
        "units": max(sample.case.H for sample in samples),
    }
    seen: dict[str, set[int]] = {}
    for axis, number in wrong:
        seen.setdefault(axis, set()).add(number)
    for axis, size in sizes.items():
        if axis in seen and size > 1:
            yield from _ranges(axis, size, seen[axis])
            yield from _single(axis, seen[axis])
            yield from _every_nth(axis, size)


def _ranges(axis: str, size: int, wrong: set[int]) -> Iterator[Place]:
    # A wrong gradient spreads to earlier steps, a wrong state to later ones.
    steps = range(1, min(size, MOST_STEPS)) if axis == "steps" else ()
    for first in sorted({min(wrong), *steps} - {0}):
        yield Place(f"in {axis} {first} and later only", axis=axis, index=partial(_from, first))
    for last in sorted({max(wrong), *steps} - {0}):
        if last < size - 1:
            yield Place(f"in {axis} 0 to {last} only", axis=axis, index=partial(_up_to, last))


def _single(axis: str, wrong: set[int]) -> Iterator[Place]:
    one = axis[:-1]
    for number in sorted({0, min(wrong), max(wrong)}):
        yield Place(f"in {one} {number} only", axis=axis, index=partial(_only, number))
    yield Place(f"in the last {one} only", axis=axis, index=lambda i: i == len(i) - 1)
    yield Place(f"in all {axis} but the last only", axis=axis, index=lambda i: i < len(i) - 1)


def _every_nth(axis: str, size: int) -> Iterator[Place]:
    one = axis[:-1]
    for stride in STRIDES:
        for start in range(stride) if stride < size else ():
            nth = _ORDINALS.get(stride, f"{stride}th")
            words = f"in every {nth} {one} only, from {one} {start} on"
            yield Place(words, axis=axis, index=partial(_nth, stride, start))


def _from(first: int, indices: Array) -> Array:
    return indices >= first


def _up_to(last: int, indices: Array) -> Array:
    return indices <= last


def _only(number: int, indices: Array) -> Array:
    return indices == number


def _nth(stride: int, start: int, indices: Array) -> Array:
    return indices % stride == start
