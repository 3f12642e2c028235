"""Factors between a subject's tensors and the right ones: constants, and sizes of the case."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.samples import Sample, prefer_float64

LEAST_CASES = 3
"""In how many cases a factor must be seen."""
CLOSE = {"f64": 1e-6, "f32": 1e-3}
"""How near a factor must be to what it is taken for."""


@dataclass(frozen=True, slots=True)
class SizeFactor:
    """A constant times powers of the batch size, the number of steps and the number of outputs."""

    constant: float
    powers: tuple[int, int, int]

    def of(self, case: Case) -> float:
        """Return the factor in a case."""
        value = self.constant
        for size, power in zip((case.B, case.T, case.V), self.powers, strict=True):
            value *= float(size) ** power
        return value


def ratios(samples: Sequence[Sample], names: Sequence[str]) -> Iterator[tuple[Case, float]]:
    """Yield by what factor a subject has a tensor, the first of ``names`` that it returns, in each case."""
    for sample in prefer_float64(samples):
        for got, right in zip(sample.got, sample.truths, strict=False):
            name = next((each for each in names if each in got), None)
            if name is not None and (ratio := _ratio(got[name], right[name], sample.case)) is not None:
                yield sample.case, ratio


def _ratio(got: Array, right: Array, case: Case) -> float | None:
    x, y = right.ravel(), got.ravel()
    if not np.isfinite(x).all() or not np.isfinite(y).all() or not float(x @ x):
        return None
    ratio = float(x @ y / (x @ x))
    close = float(np.abs(y - ratio * x).max()) <= 1e-6 * float(np.abs(y).max()) + 1e-300
    return ratio if ratio and (close or case.dtype == "f32") else None


def size_factor(samples: Sequence[Sample], names: Sequence[str]) -> SizeFactor | None:
    """Return the simplest factor of sizes that a tensor is off by in every case; None if there is none."""
    seen = list(ratios(samples, names))
    if len(seen) < LEAST_CASES or not any(abs(ratio - 1) > CLOSE[case.dtype] for case, ratio in seen):
        return None
    exponents = (0, -1, 1)
    powers = sorted(
        product(exponents, exponents, exponents), key=lambda each: (sum(map(abs, each)), -sum(each))
    )
    for found in (SizeFactor(c, power) for power in powers[1:] for c in (1.0, 2.0, 0.5)):
        if all(abs(ratio / found.of(case) - 1) <= CLOSE[case.dtype] for case, ratio in seen):
            return found
    return None


def constant_factor(samples: Sequence[Sample], names: Sequence[str]) -> float | None:
    """Return the constant that a tensor is off by in every case; None if there is none."""
    seen = [ratio for _, ratio in ratios(samples, names)]
    within = max(1e-7, constant_tolerance(prefer_float64(samples)))
    if len(seen) < LEAST_CASES or max(seen) - min(seen) > 10 * within * abs(seen[0]):
        return None
    factor = round_constant(float(np.median(seen)), within)
    return None if factor == 1 else factor


def divisor_words(powers: Sequence[int], constant: float = 1.0) -> str:
    """Return how something is divided that was multiplied by sizes: ``divided by B * T``."""
    below = " * ".join(size for size, power in zip("BTV", powers, strict=True) if power < 0)
    above = " * ".join(size for size, power in zip("BTV", powers, strict=True) if power > 0)
    words = [f"multiplied by {above}"] * bool(above) + [f"divided by {below}"] * bool(below)
    words = words or ["not divided"]
    if constant != 1:
        words.append("doubled" if constant == 2 else "halved")
    return " and ".join(words)


def declared_powers(case: Case) -> tuple[int, int, int]:
    """Return the powers of B, T and V that the sum of a loss is to be multiplied by."""
    if case.reduction == "sum":
        return 0, 0, 0
    if case.reduction == "batchmean":
        return -1, 0, 0
    return -1, 0 if case.many_to_one else -1, 0 if case.loss == "cross_entropy" else -1
