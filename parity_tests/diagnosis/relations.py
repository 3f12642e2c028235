"""Relations: how wrong tensors are related to the right ones, and in which rows, steps and units they are wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer, family
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import NoNoise

SMALL_ERROR = 1e-2
"""Errors below this, relative to the largest value, are stated."""
NEAR = 1e-3
"""How much nearer than to the right values, and how near at all, a tensor must be to what is stated."""


def relations(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield how each family of tensors, where it is wrong, is related to the right values."""
    families = dict.fromkeys(family(name) for sample in samples for got in sample.got for name in got)
    wrong = {family(name) for sample in samples for name in sample.all_wrong}
    right = [name for name in families if name not in wrong]
    if right:
        yield f"Right in all cases: {', '.join(right)}."
    without = {text: _without(samples, change) for text, change in _MISSING.items()}
    without |= {text: _lacking(samples, steps) for text, steps in _TERMS.items()}
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
    yield from _rows_and_units(name, tensors)
    for text, answers in without.items():
        near = [
            _nearness(got, answers[id(sample), number][tensor], right)
            for sample, number, tensor, got, right in tensors
        ]
        if all(distance is not None for distance in near):
            most = max(distance for distance in near if distance is not None)
            yield f"equals the right one {text}, to {most:.0e}"
            return
    factors = [_factor(sample, got, right) for sample, _, _, got, right in tensors]
    known = [factor for factor in factors if factor is not None]
    # A factor of 1, and there 1 / B of one row, says nothing: then the size of the error does.
    if len(known) == len(factors) and any(abs(factor - 1) > 1e-3 for factor in known):
        yield from _factors(tensors, known)
        return
    errors = [
        float(np.abs(got - right).max() / np.abs(right).max())
        for sample, _, _, got, right in tensors
        if sample.case.dtype == "f64" and np.isfinite(got).all() and np.abs(right).max() > 0
    ]
    in_float64 = [sample for sample, *_ in tensors if sample.case.dtype == "f64"]
    if errors and len(errors) == len(in_float64) and max(errors) < SMALL_ERROR:
        yield f"is off by at most {max(errors):.0e} of its largest value"


def _nearness(got: Array, expected: Array, right: Array) -> float | None:
    """How far a tensor is from what a hint expects, relative to its largest value; None if it is no match.

    It must be far nearer to what is expected than to the right one: an expectation that is the right one
    says nothing.
    """
    if got.shape != expected.shape or not np.isfinite(got).all() or not np.isfinite(expected).all():
        return None
    scale = float(np.abs(expected).max(initial=0)) + 1e-300
    distance, error = float(np.abs(got - expected).max()), float(np.abs(got - right).max())
    return distance / scale if distance <= NEAR * error and distance <= NEAR * scale else None


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


class _WithoutTerms(FaultyLoop):
    """The gradients of the parameters lack the terms of some steps or rows."""

    def __init__(self, case: Case, kept: Callable[[Array, Array], Array]) -> None:
        super().__init__(case, NoNoise(case))
        self.kept = kept

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        steps, rows = np.ogrid[: len(dz), : dz.shape[2]]
        kept = np.broadcast_to(self.kept(steps, rows), (len(dz), dz.shape[2]))
        found: tuple[Array, Array, Array] = super().parameter_gradients(trace, dz * kept[:, None, :, None])
        return found


_TERMS: dict[str, Callable[[Array, Array], Array]] = {
    "without the first step's term": lambda steps, rows: steps > 0,
    "without the last step's term": lambda steps, rows: steps < len(steps) - 1,
    "without the first row's term": lambda steps, rows: rows > 0,
    "without the last row's term": lambda steps, rows: rows < rows.size - 1,
}


def _lacking(
    samples: Sequence[Sample], kept: Callable[[Array, Array], Array]
) -> dict[tuple[int, int], Answer]:
    """Return the answers with gradients that lack terms, by sample and number of the call."""
    return {
        (id(sample), number): answer
        for sample in samples
        for number, answer in enumerate(_WithoutTerms(sample.case, kept).answers(sample.calls))
    }


_AXES = {
    "hs": ("rows", "steps", "units"),
    "dx": ("rows",),
    "h_n": ("", "rows", "units"),
    "dh_0": ("", "rows"),
}
_AXES |= {"db": ("units",), "dWh": ("rows of Wh", "units"), "dWx": ("input features", "units")}


def _rows_and_units(name: str, tensors: Tensors) -> Iterator[str]:
    """Yield in which rows and units a tensor is wrong, where these are not all."""
    for number, axis in enumerate(_AXES.get(name, ())):
        if not axis or axis == "steps":
            continue
        found: set[str] = set()
        for sample, _, _, got, right in tensors:
            loose = 1e-9 if sample.case.dtype == "f64" else 1e-4
            off = np.abs(got - right) > loose * np.abs(right).max(initial=0)
            others = tuple(n for n in range(off.ndim) if n != number)
            wrong = np.flatnonzero(off.any(axis=others))
            size = off.shape[number]
            if not len(wrong) or len(wrong) == size:
                found.add("")
            elif len(wrong) == 1:
                found.add(f"{axis} {wrong[0]}" if wrong[0] < size - 1 else f"the last of the {axis}")
            elif wrong.tolist() == list(range(wrong[0], size)):
                found.add(f"{axis} {wrong[0]} and later")
            elif wrong.tolist() == list(range(wrong[-1] + 1)):
                found.add(f"{axis} 0 to {wrong[-1]}")
            else:
                found.add("")
        if len(found) == 1 and "" not in found:
            yield f"is wrong in {found.pop()} only"


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
