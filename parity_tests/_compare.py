"""How far a tensor is from the reference, held against what the rounding of the case explains.

Per slice (the last axis: one time step of one batch row, one row of a weight gradient, the whole
bias gradient): ``allow = K * (spread + u * scale + tiny)``.
"""

from dataclasses import dataclass

import numpy as np

from parity_tests._inputs import Array

K = 16.0
"""How many measured spreads are allowed; right layers come to at most a quarter of it."""
BLIND = 1e-2
"""A spread of this part of the slice's scale proves nothing: the slice is inconclusive."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is allowed in each slice of one tensor; shapes are the tensor's less its last axis."""

    allow: Array
    inconclusive: Array


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


def allowance(truth: Array, runs: Array, u: float, tiny: float, unsure: Array) -> Allowance:
    """Return what rounding explains in each slice of ``truth`` [...].

    Args:
        truth: the reference tensor, in float64.
        runs: [RUNS, ...], the same tensor under perturbation.
        u: unit roundoff of the working precision.
        tiny: its smallest normal number, below which relative precision ends.
        unsure: slices known beforehand to prove nothing; broadcast to the slices.
    """
    finite = np.isfinite(truth)
    with np.errstate(invalid="ignore"):  # infinity less infinity, put aside below
        moved, size = np.abs(runs - truth), np.abs(truth)
    if not finite.all():
        moved, size = np.where(finite, moved, 0.0), np.where(finite, size, 0.0)
    spread = moved.max(axis=(0, -1), initial=0.0)
    scale = size.max(axis=-1, initial=0.0)
    blind = np.where(scale > 0, spread + tiny > BLIND * scale, spread > 0)
    blind |= ~np.isfinite(spread) | unsure
    return Allowance(K * (spread + u * scale + tiny), blind)


def compare(truth: Array, got: Array, allowed: Allowance) -> Comparison:
    """Compare ``got`` with ``truth``, arrays of one shape, under what is allowed."""
    finite = np.isfinite(truth)
    with np.errstate(invalid="ignore"):
        error = np.abs(got - truth)
    if not (finite.all() and np.isfinite(got).all()):
        # Finite or not must agree; which non-finite value it is depends on the order of operations.
        error = np.where(finite & np.isfinite(got), error, np.where(finite == np.isfinite(got), 0.0, np.inf))
    with np.errstate(over="ignore"):
        over = error / allowed.allow[..., None]
    over[allowed.inconclusive] = 0.0
    return Comparison(
        slices=allowed.allow.size,
        inconclusive=int(allowed.inconclusive.sum()),
        worst=float(over.max(initial=0.0)),
        wrong=over > 1,
    )
