"""What rounding may move, as noise: Monte Carlo arithmetic.

In every run but the first each stored value is multiplied by 1 + 2u r, with r random in (-1, 1) and u
the unit roundoff of the working precision, and every product of matrices is moved by what the
rounding of its partial sums comes to.
"""

import itertools
from functools import cache

import numpy as np

from parity_tests.cases.arrays import DTYPES, Array
from parity_tests.cases.case import Case

PERTURBED = 8
"""Runs that are perturbed; four leave the small slices to chance."""
RUNS = 1 + PERTURBED
OVERFLOW_MARGIN = 2.0**-20
"""Of the largest float: beyond it an order of operations may overflow where another does not."""
KINK_SPREADS = 16.0
"""A pre-activation of relu within so many of its spreads of 0 may be on either side."""


def unit_roundoff(dtype: str) -> float:
    """2^-24 for float32, 2^-53 for float64."""
    return float(np.finfo(DTYPES[dtype]).eps) / 2


class RoundingNoise:
    """Perturbations of a case's working precision, the same ones for the same case.

    The arrays given hold the perturbed runs only, and are changed in place.
    """

    def __init__(self, case: Case) -> None:
        self.runs = RUNS
        self.u = unit_roundoff(case.dtype)
        self.limit = float(np.finfo(DTYPES[case.dtype]).max) * OVERFLOW_MARGIN
        """What a gradient or a state of relu must stay below."""
        self.relative_table, self.absolute_table = noise_tables(self.u)
        self.position = case.seed * 7919

    def _next(self, table: Array, size: int) -> Array:
        if size >= len(table):
            return np.resize(table, size)
        start = self.position % (len(table) - size)
        self.position += size
        return table[start : start + size]

    def relative(self, values: Array) -> None:
        """Multiply every value by its own 1 + 2u r."""
        values *= self._next(self.relative_table, values.size).reshape(values.shape)

    def absolute(self, values: Array) -> None:
        """Move every value by its own 2u r."""
        values += self._next(self.absolute_table, values.size).reshape(values.shape)

    def product(self, values: Array, rows: Array, weights: Array) -> None:
        """Perturb ``rows @ weights``, of which ``values`` [..., perturbed, B, H] are the perturbed runs
        and ``rows`` [..., B, D] those of the first: the rounding of its result and of its partial
        sums. These walk at random, so that partial sum k has k terms' share of the square."""
        self.relative(values)
        walk: Array = (rows * rows) @ (weights * weights)
        walk *= rows.shape[-1] / 2
        np.sqrt(walk, out=walk)
        walk = walk[:, None] if values.ndim == 4 else walk
        values += self._next(self.absolute_table, values.size).reshape(values.shape) * walk

    def partial_sums(self, terms: Array, *factors: Array) -> Array:
        """Return ``terms`` [runs, N, H] such that their sum over N, under any of the factors, carries
        the error of a running sum that is perturbed after every term: term k takes part in the
        partial sums k .. N, hence in their perturbations."""
        result = terms.copy()
        shape = terms[1:].shape
        steps = self._next(self.absolute_table, terms[1:].size).reshape(shape)
        result[1:] *= 1 + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        return result

    def kinks(self, slope: Array, z: Array) -> None:
        """Let relu's slope, [T, runs, B, H] like its pre-activations ``z``, fall on either side of 0
        where rounding may: on each side in half of the perturbed runs."""
        spread = np.abs(z[:, 1:] - z[:, :1]).max(axis=1)
        places = np.argwhere(np.abs(z[:, 0]) <= KINK_SPREADS * spread)
        for number, (t, row, unit) in enumerate(places.tolist()):
            slope[t, 1:, row, unit] = _HALVES[number * 29 % len(_HALVES)]

    def too_large(self, values: Array, relu: bool) -> Array:
        """Which slices of ``values`` [runs, ...] are near the largest float, where states are not
        bounded and gradients of weights may be."""
        return np.asarray(relu & ~(np.abs(values[0]).max(axis=-1, initial=0.0) < self.limit))


class NoNoise(RoundingNoise):
    """No noise: one run, as exact as float64 goes."""

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
    """One run that tells how large a sum may become, whatever the order of its terms."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.largest = 0.0

    def product(self, values: Array, rows: Array, weights: Array) -> None:
        """Note how large the sums in ``rows @ weights`` may become."""
        self._note(np.abs(rows) @ np.abs(weights))

    def partial_sums(self, terms: Array, *factors: Array) -> Array:
        """Note how large the sums of ``terms`` may become, alone and under any of the factors."""
        magnitude = np.abs(terms)
        self._note(magnitude.sum(axis=1))
        for factor in factors:
            self._note(np.abs(factor).swapaxes(1, 2) @ magnitude)
        return terms

    def _note(self, sums: Array) -> None:
        self.largest = max(self.largest, float(sums.max(initial=0.0)))


_HALVES = [
    [float(run in chosen) for run in range(PERTURBED)]
    for chosen in itertools.combinations(range(PERTURBED), PERTURBED // 2)
]


@cache
def noise_tables(u: float) -> tuple[Array, Array]:
    """A stretch of 1 + 2u r and one of 2u r; cases read them from anywhere.

    r is uniform in (-1, -1/2) and (1/2, 1): never so small that float64, where 2u is a step or two,
    rounds the perturbation away in all runs at once.
    """
    raw = np.random.PCG64(2**31 - 1).random_raw(2**20)
    r = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5
    r += np.copysign(0.5, r)
    return 1 + 2 * u * r, 2 * u * r[::-1]
