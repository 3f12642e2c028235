"""The cases in which wrong lines are looked for, the simplest first."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from parity_tests.cases.case import Case

_TOKENS = {
    "TimeRNN": ("B3T4D2H7-f64-h0-s1", "B3T4D2H7-f64-h0-again-s2", "B3T6D2H7-f64-h0-chunks2-s3"),
    "RNN": ("cell-B3D2H7-f64-s1", "cell-B3D2H7-f64-again-s2"),
    "nn.RNN": (
        "nn-B3T4D2H7-f64-h0-both-s1",
        "nn-B3T4D2H7L2-f64-h0-both-s2",
        "nn-B3T4D2H7-relu-f64-h0-both-s3",
        "nn-B3T4D2H7-bi-f64-h0-both-s4",
        "nn-B3T4D2H7-f64-h0-both-unsorted-s5",
        "nn-B3T4D2H7L2-bi-f64-h0-both-s6",
        "nn-B3T4D2H7-bf-f64-h0-both-s7",
        "nn-B3T4D2H7-f64-h0-both-again-s8",
        "nn-B3T4D2H7L2-bi-f64-h0-both-unsorted-s9",
        "nn-B3T4D2H7L2-relu-f64-h0-both-s10",
    ),
    "nn.RNNCell": (
        "nncell-B3D2H7-f64-h0-s1",
        "nncell-B3D2H7-relu-f64-h0-s2",
        "nncell-B3D2H7-f64-h0-again-s3",
    ),
}
"""With all sizes distinct, so that the axes of an array tell what it is."""
OUTPUTS = 5
"""Of a head; no other size is this one."""
MOST_CELL_STEPS = 400
"""Of a case of the user's: larger ones take too long."""
MOST_ELEMENTS = 200_000
"""Of a tensor of it."""


def cases_to_search(kind: str, own: Iterable[Case], restrict: Callable[[Case], Case]) -> list[Case]:
    """The cases for a kind of layer, then those in which it was seen to be wrong.

    Args:
        kind: of the layer.
        own: cases in which it is wrong.
        restrict: removes from a case what the target does not support.
    """
    small = sorted((_in_double(case) for case in own if _is_small(case)), key=lambda case: case.size)
    first = (_with_distinct_sizes(restrict(Case.parse(token)), restrict) for token in _TOKENS[kind])
    return list(dict.fromkeys([*first, *map(restrict, small)]))


def _with_distinct_sizes(case: Case, restrict: Callable[[Case], Case]) -> Case:
    return restrict(replace(case, V=OUTPUTS, shift="none")) if case.has_head else case


def _in_double(case: Case) -> Case:
    """The case in float64, where rounding is less in the way."""
    return replace(case, dtype="f64")


def _is_small(case: Case) -> bool:
    return (
        case.nonfinite == "none"
        and case.T * case.num_cells <= MOST_CELL_STEPS
        and case.B * case.T * case.H <= MOST_ELEMENTS
    )
