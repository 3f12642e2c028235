"""How far a tensor is from the reference, held against what the rounding of the case explains.

Per slice (the last axis: one time step of one batch row, one row of a weight gradient, the whole
bias gradient): ``allow = SPREADS_ALLOWED * (spread + u * scale + tiny)``.
"""

import sys
from dataclasses import dataclass, replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

SPREADS_ALLOWED = 16.0
"""How many measured spreads are allowed; right layers come to at most a quarter of it."""
MAX_RELATIVE_SPREAD = 1e-2
"""A spread of this part of the slice's scale proves nothing: the slice is inconclusive."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is allowed in each slice of one tensor; shapes are the tensor's less its last axis.

    ``disagreement`` is how far the plain loop is from the reference, over what its own spread
    allows, at the worst slice: above 1, the two references cannot both be right.
    """

    allow: Array
    inconclusive: Array
    disagreement: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One tensor of one call against the reference.

    ``worst`` is the largest error over allowed among conclusive slices (0 if there are none), and
    ``wrong`` says where an element is off, or finite where the reference is not or the reverse.
    """

    slices: int
    inconclusive: int
    worst: float
    wrong: Array

    @property
    def equal(self) -> bool:
        """Whether no conclusive slice is off."""
        return not self.wrong.any()


@np.errstate(invalid="ignore", over="ignore")
def allowance(truth: Array, runs: Array, u: float, tiny: float, unsure: Array) -> Allowance:
    """Return what rounding explains in each slice of ``truth`` [...].

    Args:
        truth: the reference tensor, in float64.
        runs: [RUNS, ...], the same tensor by the plain loop, run 0 unperturbed.
        u: unit roundoff of the working precision.
        tiny: its smallest normal number, below which relative precision ends.
        unsure: slices known beforehand to prove nothing; broadcast to the slices.
    """
    finite = np.isfinite(truth)
    scale = _largest(truth, finite)
    spread = _largest(runs[1:] - truth, finite).max(axis=0)
    own_scale = _largest(runs[0], finite)
    own_spread = _largest(runs[1:] - runs[0], finite).max(axis=0)
    # A wrong reference must not pass for a wide spread, hence the loop's spread about itself too.
    own_too_wide = _too_wide(own_spread, np.minimum(scale, own_scale), tiny) | unsure
    apart = _largest(runs[0] - truth, finite) / (SPREADS_ALLOWED * (own_spread + u * scale + tiny))
    apart = np.where(np.isnan(apart), np.inf, apart)
    return Allowance(
        allow=SPREADS_ALLOWED * (spread + u * scale + tiny),
        inconclusive=_too_wide(spread, scale, tiny) | own_too_wide,
        disagreement=float(np.where(own_too_wide, 0.0, apart).max(initial=0.0)),
    )


def with_error(allowed: Allowance, truth: Array, error: float) -> Allowance:
    """Allow for an error of the values compared that is known beforehand, as for a spread.

    Args:
        allowed: what rounding explains.
        truth: the reference tensor.
        error: the largest error of an element; a slice in which it is too wide proves nothing.
    """
    scale = _largest(truth, np.isfinite(truth))
    inconclusive = allowed.inconclusive | _too_wide(np.full(scale.shape, error), scale, 0.0)
    return replace(allowed, allow=allowed.allow + SPREADS_ALLOWED * error, inconclusive=inconclusive)


def exact(truth: Array, loop: Array) -> Allowance:
    """Allow nothing: no sum or product of the case rounds, in any order."""
    slices = truth.shape[:-1]
    disagreement = 0.0 if np.array_equal(truth, loop) else np.inf
    return Allowance(np.zeros(slices), np.zeros(slices, bool), disagreement)


def _largest(values: Array, finite: Array) -> Array:
    """Largest magnitude in each slice, where the reference is finite."""
    magnitude = np.abs(values)
    if not finite.all():
        magnitude = np.where(finite, magnitude, 0.0)
    return np.asarray(magnitude.max(axis=-1, initial=0.0))


def _too_wide(spread: Array, scale: Array, tiny: float) -> Array:
    wide = np.where(scale > 0, spread + tiny > MAX_RELATIVE_SPREAD * scale, spread > 0)
    return np.asarray(wide | ~np.isfinite(spread))


@np.errstate(invalid="ignore", over="ignore")
def compare(truth: Array, got: Array, allowed: Allowance) -> Comparison:
    """Compare ``got`` with ``truth``, arrays of one shape, under what is allowed."""
    finite = np.isfinite(truth)
    error = np.abs(got - truth)
    if not (finite.all() and np.isfinite(got).all()):
        # Finite or not must agree; which non-finite value it is depends on the order of operations.
        error = np.where(finite & np.isfinite(got), error, np.where(finite == np.isfinite(got), 0.0, np.inf))
    with np.errstate(divide="ignore"):
        over = error / allowed.allow[..., None]
    over[error == 0] = 0.0  # also where nothing is allowed
    over[allowed.inconclusive] = 0.0
    return Comparison(
        slices=allowed.allow.size,
        inconclusive=int(allowed.inconclusive.sum()),
        # An infinite error is reported as the largest float: JSON has no infinity.
        worst=min(float(over.max(initial=0.0)), sys.float_info.max),
        wrong=over > 1,
    )
