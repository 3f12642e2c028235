"""How far a tensor is from the reference, held against what the rounding of the case explains.

The spread of an element is how far the perturbed runs of the plain loop take it from the truth, or from the
unperturbed run; that of a slice is the largest of its elements'. A slice is the last axis: one time step of one batch row, one row of a weight
gradient, the whole bias gradient. Allowed is the smaller of

    K * (spread of the slice + u * largest element of the slice + tiny)
    ELEMENT_SPREADS * (spread of the element + u * element + tiny)

where u is the unit roundoff, tiny the smallest normal number, and K is ``SLICE_SPREADS``, or ``ALONE`` for a slice
of one element: eight runs of one element may all happen to move it little.
"""

import sys
from dataclasses import dataclass, replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

SLICE_SPREADS = 8.0
ALONE = 16.0
ELEMENT_SPREADS = 24.0
REFERENCE_SPREADS = 16.0
"""How many spreads of a slice the two references may be apart."""
MAX_RELATIVE_SPREAD = 1e-2
"""A spread of this part of the slice's scale proves nothing: the slice is inconclusive. Of values that may be off
by more than rounding it is ``ROUNDOFFS_TOO_WIDE`` times what these are off by, at most ``MAX_RELATIVE_SPREAD_EVER``."""
ROUNDOFFS_TOO_WIDE = 40.0
MAX_RELATIVE_SPREAD_EVER = 0.1
NEARLY_ZERO = 1e-16
"""Where all of a slice is 0, as behind a saturated tanh, a spread up to this one proves something."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is allowed in every element of one tensor, and which slices prove nothing.

    ``inconclusive`` has the tensor's shape less its last axis. ``disagreement`` is how far the plain loop is from the reference, over what its own spread
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
    finite, loop = np.isfinite(truth), runs[0]
    masked = not finite.all()
    lowest, highest = runs[1:].min(axis=0), runs[1:].max(axis=0)

    def largest(values: Array) -> Array:
        """The largest of each slice, where the reference is finite."""
        if masked:
            values = np.where(finite, values, 0.0)
        return np.asarray(values.max(axis=-1, initial=0.0))

    own = np.maximum(highest - loop, loop - lowest)
    # All runs may happen to move to the side on which the truth is.
    spreads = np.maximum(own, np.maximum(highest - truth, truth - lowest))
    sizes = np.abs(truth)
    scale, spread, own_spread = largest(sizes), largest(spreads), largest(own)
    # A wrong reference must not pass for a wide spread, hence the loop's spread about itself too.
    widest = min(max(MAX_RELATIVE_SPREAD, ROUNDOFFS_TOO_WIDE * u), MAX_RELATIVE_SPREAD_EVER)
    own_scale = largest(np.abs(loop))
    own_too_wide = _too_wide(own_spread, own_scale, tiny, widest) | unsure
    rounding = u * scale + tiny
    apart = largest(np.abs(loop - truth)) / (REFERENCE_SPREADS * (own_spread + rounding))
    apart = np.where(np.isnan(apart), np.inf, apart)
    of_slice = (SLICE_SPREADS if truth.shape[-1] > 1 else ALONE) * (spread + rounding)
    of_element = spreads + u * sizes
    of_element += tiny
    of_element *= ELEMENT_SPREADS
    return Allowance(
        allow=np.fmin(of_element, of_slice[..., None]),
        inconclusive=_too_wide(spread, scale, tiny, widest) | own_too_wide,
        disagreement=max(
            float(np.where(own_too_wide, 0.0, apart).max(initial=0.0)), _finite_apart(finite, loop, unsure)
        ),
    )


def _finite_apart(finite: Array, loop: Array, unsure: Array) -> float:
    """Infinity where one reference has a number and the other has none, and no rounding explains it; else 0."""
    apart = (finite != np.isfinite(loop)).any(axis=-1) & ~unsure
    return np.inf if apart.any() else 0.0


def with_error(allowed: Allowance, truth: Array, error: float) -> Allowance:
    """Allow for an error of the values compared that is known beforehand, as for a spread.

    Args:
        allowed: what rounding explains.
        truth: the reference tensor.
        error: the largest error of an element; a slice in which it is too wide proves nothing.
    """
    scale = _largest(truth, np.isfinite(truth))
    inconclusive = allowed.inconclusive | _too_wide(np.full(scale.shape, error), scale, 0.0)
    return replace(allowed, allow=allowed.allow + SLICE_SPREADS * error, inconclusive=inconclusive)


def exact(truth: Array, loop: Array) -> Allowance:
    """Allow nothing: no sum or product of the case rounds, in any order."""
    slices = truth.shape[:-1]
    disagreement = 0.0 if np.array_equal(truth, loop) else np.inf
    return Allowance(np.zeros(truth.shape), np.zeros(slices, bool), disagreement)


def _largest(values: Array, finite: Array) -> Array:
    """Largest magnitude in each slice, where the reference is finite."""
    magnitude = np.abs(values)
    if not finite.all():
        magnitude = np.where(finite, magnitude, 0.0)
    return np.asarray(magnitude.max(axis=-1, initial=0.0))


def _too_wide(spread: Array, scale: Array, tiny: float, widest: float = MAX_RELATIVE_SPREAD) -> Array:
    # Below the smallest normal number every spread is as wide as rounding is there.
    wide = (spread > np.maximum(widest * scale, tiny)) & ((scale > 0) | (spread > NEARLY_ZERO))
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
        over = error / allowed.allow
    over[error == 0] = 0.0  # also where nothing is allowed
    over[allowed.inconclusive] = 0.0
    return Comparison(
        slices=allowed.inconclusive.size,
        inconclusive=int(allowed.inconclusive.sum()),
        # An infinite error is reported as the largest float: JSON has no infinity.
        worst=min(float(over.max(initial=0.0)), sys.float_info.max),
        wrong=over > 1,
    )
