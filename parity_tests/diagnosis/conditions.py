"""Conditions: in which cases a subject is wrong, such as from how many rows on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.fields import CHOICES, FIELD
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.samples import Sample, sample_subject

MOST_CONDITIONS = 3
"""How many conditions are stated at most."""


Condition = tuple[str, Callable[[Case], bool], dict[str, Any]]
_CONDITIONS: tuple[Condition, ...] = (
    ("B = 1", lambda c: c.B == 1, {"B": 3, "form": "batched"}),
    ("B > 1", lambda c: c.B > 1, {"B": 1}),
    ("H > 1", lambda c: c.H > 1, {"H": 1}),
    ("float64", lambda c: c.dtype == "f64", {"dtype": "f32"}),
    ("float32", lambda c: c.dtype == "f32", {"dtype": "f64"}),
    ("an initial state", lambda c: c.h0, {"h0": False}),
    ("no initial state", lambda c: not c.h0, {"h0": True}),
    ("several calls", lambda c: c.calls != "once", {"calls": "once"}),
    ("a memory layout that is not contiguous", lambda c: c.layout != "contiguous", {"layout": "contiguous"}),
    ("relu", lambda c: c.relu, {"nonlinearity": "tanh"}),
    ("tanh", lambda c: c.nonlinearity == "tanh", {"nonlinearity": "relu"}),
    ("unequal lengths", lambda c: c.lengths != "full", {"lengths": "full", "form": "batched"}),
    ("two directions", lambda c: c.bidirectional, {"bidirectional": False}),
    ("more than one layer", lambda c: c.layers > 1, {"layers": 1, "dropout": 0.0, "eval": False}),
    ("dropout in training", lambda c: c.masked, {"dropout": 0.0}),
    ("dropout in evaluation mode", lambda c: c.eval and c.dropout > 0, {"eval": False}),
    ("batch_first", lambda c: c.batch_first, {"batch_first": False}),
    ("no gradient of the output", lambda c: c.grad_outputs == "final", {"grad_outputs": "both"}),
    ("a gradient of h_n", lambda c: c.grad_outputs != "output", {"grad_outputs": "output"}),
    ("unbatched input", lambda c: c.form == "unbatched", {"form": "batched"}),
    ("packed input", lambda c: c.form == "packed", {"form": "batched"}),
    ("biases", lambda c: c.bias != "nobias", {"bias": "nobias"}),
)


def conditions(
    samples: Sequence[Sample], run_case: RunCase, restrict: Callable[[Case], Case]
) -> Iterator[str]:
    """Yield conditions necessary for the failure, each tested by changing only it in a failing case."""
    wrong = [sample for sample in samples if sample.all_wrong]
    right = [sample for sample in samples if not sample.all_wrong and not sample.raised]
    base = min((sample.case for sample in wrong), key=lambda case: case.size)
    stated = 0
    sizes: tuple[Condition, ...] = (
        ("D = H", lambda c: c.D == c.H, {"D": base.H + 1}),
        ("D not equal to H", lambda c: c.D != c.H, {"D": base.H}),
        ("B = T", lambda c: c.B == c.T, {"B": base.T + 1, "form": "batched"}),
    )
    for text, holds, change in (*sizes, *_CONDITIONS):
        if stated == MOST_CONDITIONS:
            return
        if not all(holds(sample.case) for sample in wrong) or all(holds(sample.case) for sample in right):
            continue
        # Another case has other arrays too, and may be right by chance: so several are tried.
        others = [_changed(base, {**change, "seed": base.seed + more}, restrict) for more in range(3)]
        if all(
            other is None or holds(other) or not sample_subject(other, run_case).all_wrong for other in others
        ):
            stated += 1
            yield f"Only with {text}."
    first_calls_right = all(not sample.wrong[0] for sample in samples if sample.wrong)
    if first_calls_right and any(len(sample.wrong) > 1 for sample in wrong):
        yield "Never in the first call."
    for field in ("B", "T", "D", "H"):
        yield from _bound(field, wrong, run_case, restrict)


def _bound(
    field: str, wrong: Sequence[Sample], run_case: RunCase, restrict: Callable[[Case], Case]
) -> Iterator[str]:
    """Yield the size from which on the subject is wrong."""
    smallest = min((sample.case for sample in wrong), key=lambda case: (getattr(case, field), case.size))
    least, exact = least_size(
        smallest, field, 0, lambda case: bool(sample_subject(case, run_case).all_wrong), restrict
    )
    if exact and least > 1:
        yield f"Only with {field} > {least - 1}."


def least_size(
    case: Case, field: str, below: int, fails: Callable[[Case], bool], restrict: Callable[[Case], Case]
) -> tuple[int, bool]:
    """Bisect a size, and return the least for which a case like this one fails, and whether it is exact.

    Args:
        case: one that fails.
        field: the name of the size.
        below: a size for which it does not.
        fails: whether a case does.
        restrict: restricts a case to what the subject supports; the bound is not exact where it stops the
            bisection.
    """
    most = getattr(case, field)
    while most - below > 1:
        middle = (below + most) // 2
        other = _changed(case, {field: middle}, restrict)
        if other is None:
            return most, False
        if fails(other):
            most = middle
        else:
            below = middle
    return most, True


def _changed(case: Case, change: dict[str, Any], restrict: Callable[[Case], Case]) -> Case | None:
    if any(value not in FIELD[name].drawn(case.layer) for name, value in change.items() if name in CHOICES):
        return None
    try:
        other = replace(case, **change)
    except ValueError:
        return None
    return other if restrict(other) == other else None
