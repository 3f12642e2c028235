"""Rounding errors as random noise: Monte Carlo arithmetic.

In every run but the first, each stored value is multiplied by 1 + 2u r, where r is random in (-1, 1) and
u is the unit roundoff of the working precision. Every matrix product is also moved by as much as the
rounding of its partial sums may amount to.
"""

import itertools
import math
from functools import cache

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import DTYPES, Array
from parity_tests.cases.case import Case

PERTURBED = 8
"""The number of perturbed runs; four are too few for small slices."""
RUNS = 1 + PERTURBED
FLOAT32_TINY = float(np.finfo(np.float32).tiny)
OVERFLOW_MARGIN = 2.0**-20
"""Fraction of the largest float above which one order of operations may overflow and another not."""
KINK_SPREADS = 16.0
"""If a pre-activation of relu is within this many of its spreads of 0, rounding may change its sign."""


def unit_roundoff(dtype: str) -> float:
    """2^-24 for float32, 2^-53 for float64."""
    return float(np.finfo(DTYPES[dtype]).eps) / 2


def squared_errors_of_sums(rows: Array, weights: Array) -> Array:
    """Return the square of what the partial sums of every element of ``rows @ weights`` err by, in units of 2u.

    Their errors add up like a random walk: the square of partial sum k is k terms' share of the whole.
    """
    squares: Array = (rows * rows) @ (weights * weights * (rows.shape[-1] / 2))
    return squares


class RoundingNoise:
    """Perturbations in a case's working precision; the same case always gets the same ones.

    The methods take the perturbed runs only, and change them in place.
    """

    def __init__(self, case: Case) -> None:
        self.runs = RUNS
        self.u = unit_roundoff(case.dtype)
        self.tiny = FLOAT32_TINY if case.dtype == "f32" else 0.0
        """The smallest normal number of float32. float64 itself loses the digits below its own."""
        self.limit = float(np.finfo(DTYPES[case.dtype]).max) * OVERFLOW_MARGIN
        """Gradients and relu states above this may overflow."""
        self.relative_table, self.absolute_table = noise_tables(self.u)
        self.position = case.seed * 7919

    def _next(self, table: Array, size: int) -> Array:
        if size >= len(table):
            return np.resize(table, size)
        start = self.position % (len(table) - size)
        self.position += size
        return table[start : start + size]

    def relative(self, values: Array) -> None:
        """Multiply every value by 1 + 2u r, with an r of its own."""
        values *= self._next(self.relative_table, values.size).reshape(values.shape)

    def absolute(self, values: Array) -> None:
        """Add 2u r to every value, with an r of its own."""
        values += self._next(self.absolute_table, values.size).reshape(values.shape)

    def absolute_noise(self, shape: tuple[int, ...]) -> Array:
        """Return 2u r, with an r of its own for every element."""
        return self._next(self.absolute_table, math.prod(shape)).reshape(shape)

    def product(self, values: Array, rows: Array, weights: Array) -> None:
        """Perturb the matrix product ``rows @ weights`` by the rounding of its result and partial sums.

        ``values`` [..., perturbed, B, H] is the product in the perturbed runs, ``rows`` [..., B, D] its
        factor in the unperturbed run.
        """
        self.relative(values)
        walk = squared_errors_of_sums(rows, weights)
        np.sqrt(walk, out=walk)
        walk = walk[:, None] if values.ndim == 4 else walk
        values += self._next(self.absolute_table, values.size).reshape(values.shape) * walk

    def partial_sums(self, terms: Array, *factors: Array) -> Array:
        """Perturb ``terms`` [runs, N, H] so that their sum over N has the error of a running sum.

        A running sum is rounded after every term. Term k is part of the partial sums k .. N, so it gets
        their perturbations. This holds for the sum alone and for its product with any of ``factors``.
        """
        result = terms.copy()
        shape = terms[1:].shape
        steps = self._next(self.absolute_table, terms[1:].size).reshape(shape)
        result[1:] *= 1 + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        return result

    def kinks(self, slope: Array, z: Array) -> None:
        """Set relu's slope to 0 in half of the perturbed runs and to 1 in the others, where the sign of
        the pre-activation ``z`` is up to rounding. Both are [T, runs, B, H]."""
        spread = np.abs(z[:, 1:] - z[:, :1]).max(axis=1)
        t, row, unit = np.nonzero(np.abs(z[:, 0]) <= KINK_SPREADS * spread)
        slope[t, 1:, row, unit] = _HALVES[np.arange(len(t)) * 29 % len(_HALVES)]

    def too_large(self, values: Array, unbounded: bool) -> Array:
        """Return which slices of ``values`` [runs, ...] are near the largest float. None is where states
        are bounded."""
        return np.asarray(unbounded & ~(np.abs(values[0]).max(axis=-1, initial=0.0) < self.limit))


class LowerPrecisionNoise(RoundingNoise):
    """Rounding noise of a lower precision, used inside a layer whose case has a higher one.

    Args:
        case: the case.
        u: unit roundoff of the lower precision.
        largest: its largest number; None: that of the case's precision.
    """

    def __init__(self, case: Case, u: float, largest: float | None = None) -> None:
        super().__init__(case)
        if u > self.u:
            self.u = u
            self.relative_table, self.absolute_table = noise_tables(u)
            self.tiny = FLOAT32_TINY
        if largest is not None:
            self.limit = largest * OVERFLOW_MARGIN


def noise_of(case: Case, accuracy: float | None = None) -> RoundingNoise:
    """The noise of a case's own precision, or of values that may be off by ``accuracy`` of their size."""
    return RoundingNoise(case) if accuracy is None else LowerPrecisionNoise(case, accuracy / 2)


class NoNoise(RoundingNoise):
    """No noise: one run, as exact as float64 allows."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.runs = 1

    def relative(self, values: Array) -> None:
        """Perturb nothing."""

    def absolute(self, values: Array) -> None:
        """Perturb nothing."""

    def product(self, values: Array, rows: Array, weights: Array) -> None:
        """Perturb nothing."""

    def partial_sums(self, terms: Array, *factors: Array) -> Array:
        """Perturb nothing."""
        return terms

    def kinks(self, slope: Array, z: Array) -> None:
        """Perturb nothing."""


class SumBounds(NoNoise):
    """One run without noise that records how large a sum may become in any order of its terms."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.largest = 0.0

    def product(self, values: Array, rows: Array, weights: Array) -> None:
        """Record how large the sums in ``rows @ weights`` may become."""
        self._note(np.abs(rows) @ np.abs(weights))

    def partial_sums(self, terms: Array, *factors: Array) -> Array:
        """Record how large the sums of ``terms`` may become, alone and multiplied by any of the factors."""
        magnitude = np.abs(terms)
        self._note(magnitude.sum(axis=1))
        for factor in factors:
            self._note(np.abs(factor).swapaxes(1, 2) @ magnitude)
        return terms

    def _note(self, sums: Array) -> None:
        self.largest = max(self.largest, float(sums.max(initial=0.0)))


_HALVES = np.array(
    [
        [float(run in chosen) for run in range(PERTURBED)]
        for chosen in itertools.combinations(range(PERTURBED), PERTURBED // 2)
    ]
)


@cache
def noise_tables(u: float) -> tuple[Array, Array]:
    """Return a table of 1 + 2u r and one of 2u r; each case starts to read them at a place of its own.

    r is uniform in (-1, -1/2) and (1/2, 1). A smaller r could be rounded away in float64, where 2u is
    only one or two steps between neighbouring numbers.
    """
    raw = np.random.PCG64(2**31 - 1).random_raw(2**20)
    r = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5
    r += np.copysign(0.5, r)
    return 1 + 2 * u * r, 2 * u * r[::-1]
