"""Hints: what is true of the subject's numbers in all cases tried, if no fault matches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer, family
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.samples import Sample, sample_subject
from parity_tests.diagnosis.symptoms import EVALUATED, RANDOM, UNLOADED, Symptom
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import NoNoise

MOST_CONDITIONS = 3
"""How many conditions are stated at most."""


def randomness_symptom(samples: Sequence[Sample], run_case: RunCase) -> Symptom | None:
    """Return the symptom that explains random numbers, or None if the subject repeats its numbers."""
    wrong = [sample for sample in samples if sample.all_wrong]
    # In a large case it is unlikely that random numbers repeat.
    first_time = max(wrong, key=lambda sample: sample.case.size)
    again = sample_subject(first_time.case, run_case)
    same = all(
        np.array_equal(value, second[name], equal_nan=True)
        for first, second in zip(first_time.got, again.got, strict=False)
        for name, value in first.items()
        if name in second
    )
    if same:
        return None
    if all(sample.case.eval and sample.case.dropout for sample in wrong):
        return EVALUATED
    later = [sample for sample in samples if sample.case.calls == "again" and len(sample.wrong) > 1]
    if later and all(sample.wrong[0] and not sample.wrong[1] for sample in later):
        return UNLOADED
    return RANDOM


def hints(samples: Sequence[Sample], run_case: RunCase, restrict: Callable[[Case], Case]) -> str:
    """Return all that is known: where the subject is wrong, and how."""
    wrong = [sample for sample in samples if sample.all_wrong]
    where = f"Wrong in {len(wrong)} of {len(samples)} cases."
    return " ".join([where, *conditions(samples, run_case, restrict), *relations(samples)])


# Where.

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
    ("relu", lambda c: c.relu, {"relu": False}),
    ("tanh", lambda c: not c.relu, {"relu": True}),
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
    if not base.is_cell:
        yield from _length(wrong, right, run_case, restrict)


def _length(
    wrong: Sequence[Sample], right: Sequence[Sample], run_case: RunCase, restrict: Callable[[Case], Case]
) -> Iterator[str]:
    """Yield the number of steps from which on the subject is wrong."""
    shortest = min(wrong, key=lambda sample: sample.case.T).case
    least, most = 0, shortest.T
    while most - least > 1:
        middle = (least + most) // 2
        case = _changed(shortest, {"T": middle}, restrict)
        if case is None:
            return
        if sample_subject(case, run_case).all_wrong:
            most = middle
        else:
            least = middle
    if least:
        yield f"Only with T > {least}."


def _changed(case: Case, change: dict[str, Any], restrict: Callable[[Case], Case]) -> Case | None:
    try:
        other = replace(case, **change)
    except ValueError:
        return None
    return other if restrict(other) == other else None


# How.


def relations(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield how each family of tensors, where it is wrong, is related to the right values."""
    families = dict.fromkeys(family(name) for sample in samples for got in sample.got for name in got)
    wrong = {family(name) for sample in samples for name in sample.all_wrong}
    right = [name for name in families if name not in wrong]
    if right:
        yield f"Right in all cases: {', '.join(right)}."
    without = {text: _without(samples, change) for text, change in _MISSING.items()}
    for name in families:
        if name in wrong:
            for text in _related(name, samples, without):
                yield f"{name}, where it is wrong, {text}."


Tensors = list[tuple[Sample, int, str, Array, Array]]


def _wrong_tensors(name: str, samples: Sequence[Sample]) -> Tensors:
    return [
        (sample, number, tensor, sample.got[number][tensor], sample.truths[number][tensor])
        for sample in samples
        for number, tensors in enumerate(sample.wrong)
        for tensor in sorted(tensors)
        if family(tensor) == name
    ]


def _related(
    name: str, samples: Sequence[Sample], without: dict[str, dict[tuple[int, int], Answer]]
) -> Iterator[str]:
    tensors = _wrong_tensors(name, samples)
    for text, relation in _RELATIONS.items():
        if all(relation(sample, got, right) for sample, _, _, got, right in tensors):
            yield text
            return
    if name in ("hs", "dx"):
        yield from _steps(tensors)
    for text, answers in without.items():
        if all(
            _same(sample, got, answers[id(sample), number][tensor])
            for sample, number, tensor, got, _ in tensors
        ):
            yield f"equals the right one {text}"
            return
    factors = [_factor(sample, got, right) for sample, _, _, got, right in tensors]
    if all(factor is not None for factor in factors):
        yield from _factors(tensors, [factor for factor in factors if factor is not None])
        return
    errors = [
        float(np.abs(got - right).max() / np.abs(right).max())
        for sample, _, _, got, right in tensors
        if sample.case.dtype == "f64" and np.isfinite(got).all() and np.abs(right).max() > 0
    ]
    if errors and len(errors) == len([row for row in tensors if row[0].case.dtype == "f64"]):
        if max(errors) < 1e-5:
            yield "is off by no more than single precision would explain"
        elif max(errors) < 1e-2:
            yield f"is off by at most {max(errors):.1g} of its largest value"


def _same(sample: Sample, got: Array, right: Array) -> bool:
    loose = 1e-7 if sample.case.dtype == "f64" else 1e-3
    return got.shape == right.shape and bool(
        (np.abs(got - right) <= loose * np.abs(right).max(initial=0) + 1e-300).all()
    )


def _transposed(sample: Sample, got: Array, right: Array) -> bool:
    return right.ndim == 2 and right.shape[0] == right.shape[1] and _same(sample, got, right.T)


def _reversed(sample: Sample, got: Array, right: Array) -> bool:
    return right.ndim == 3 and right.shape[1] == sample.case.T > 1 and _same(sample, got, right[:, ::-1])


def _late(sample: Sample, got: Array, right: Array) -> bool:
    return right.ndim == 3 and right.shape[1] > 1 and _same(sample, got[:, 1:], right[:, :-1])


def _early(sample: Sample, got: Array, right: Array) -> bool:
    return right.ndim == 3 and right.shape[1] > 1 and _same(sample, got[:, :-1], right[:, 1:])


def _rows_reversed(sample: Sample, got: Array, right: Array) -> bool:
    axis = 1 if right.ndim == 3 and right.shape[0] == sample.case.num_cells != sample.case.B else 0
    return right.ndim == 3 and right.shape[axis] > 1 and _same(sample, got, np.flip(right, axis))


def _zero(sample: Sample, got: Array, right: Array) -> bool:
    return not got.any()


def _not_finite(sample: Sample, got: Array, right: Array) -> bool:
    return not np.isfinite(got).all()


_RELATIONS: dict[str, Callable[[Sample, Array, Array], bool]] = {
    "is zero": _zero,
    "is not finite": _not_finite,
    "is the right one transposed": _transposed,
    "is the right one reversed in time": _reversed,
    "is the right one a step late": _late,
    "is the right one a step early": _early,
    "is the right one with the batch reversed": _rows_reversed,
}


def _without_bias(call: Call) -> Call:
    none = tuple(
        replace(
            cell, b=None if cell.b is None else 0 * cell.b, b_hh=None if cell.b_hh is None else 0 * cell.b_hh
        )
        for cell in call.weights
    )
    return replace(call, weights=none)


def _without_start(call: Call) -> Call:
    return replace(call, h_0=None)


def _without_recurrence(call: Call) -> Call:
    return replace(call, weights=tuple(replace(cell, Wh=0 * cell.Wh) for cell in call.weights))


def _without_final(call: Call) -> Call:
    return replace(call, dh_n=None)


_MISSING: dict[str, Callable[[Call], Call]] = {
    "without the bias": _without_bias,
    "without the initial state": _without_start,
    "without the recurrent part": _without_recurrence,
    "without the gradient of h_n": _without_final,
}


def _without(samples: Sequence[Sample], change: Callable[[Call], Call]) -> dict[tuple[int, int], Answer]:
    """Return the answers to the changed calls, by sample and number of the call."""
    result = {}
    for sample in samples:
        loop = Loop(sample.case, NoNoise(sample.case))
        for number, answer in enumerate(loop.answers([change(call) for call in sample.calls])):
            result[id(sample), number] = answer
    return result


def _steps(tensors: Tensors) -> Iterator[str]:
    """Yield in which steps a tensor is wrong."""
    firsts, lasts, alone = set(), set(), []
    for sample, _, _, got, right in tensors:
        loose = 1e-6 if sample.case.dtype == "f64" else 1e-2
        off = np.abs(got - right).max(axis=(0, 2)) > loose * np.abs(right).max()
        if not off.any():
            return
        places = np.flatnonzero(off)
        if right.shape[1] > 1:
            alone.append(places.tolist() == [0])
        firsts.add(int(places[0]))
        lasts.add(int(places[-1]) - right.shape[1])
    if alone and all(alone):
        yield "is wrong in the first step only"
    elif len(firsts) == 1 and firsts != {0}:
        yield f"is right before step {min(firsts)}"
    elif lasts == {-2}:
        yield "is right in the last step"


def _factor(sample: Sample, got: Array, right: Array) -> float | None:
    square = float((right * right).sum())
    if not square or not np.isfinite(got).all():
        return None
    factor = float((got * right).sum()) / square
    return factor if factor and _same(sample, got, factor * right) else None


def _factors(tensors: Tensors, factors: Sequence[float]) -> Iterator[str]:
    def like(expected: Callable[[Array, Case], float]) -> bool:
        return all(
            abs(factor - expected(sample.calls[number].xs, sample.case)) <= 1e-3 * abs(factor)
            for factor, (sample, number, *_) in zip(factors, tensors, strict=True)
        )

    formulas: dict[str, Callable[[Array, Case], float]] = {
        "1 / B": lambda xs, case: 1 / len(xs),
        "1 / T": lambda xs, case: 1 / xs.shape[1],
        "1 / (B * T)": lambda xs, case: 1 / (len(xs) * xs.shape[1]),
        "B": lambda xs, case: len(xs),
        "T": lambda xs, case: xs.shape[1],
    }
    for text, formula in formulas.items():
        if like(formula):
            yield f"is the right one times {text}"
            return
    if max(factors) - min(factors) <= 1e-3 * abs(max(factors, key=abs)):
        yield f"is the right one times {factors[0]:.4g}"
    else:
        yield "is the right one times a number that is not the same in all cases"
