"""One cell of the plain loop over a sequence, forward and backward, in float64."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, CellWeights
from parity_tests.cases.case import Case
from parity_tests.references.float64_head import rows_of
from parity_tests.references.nonlinearities import DERIVATIVES, sigmoid
from parity_tests.references.rounding import RoundingNoise

CHAOS_THRESHOLD = 1e-3
"""If rounding moves a state by more than this, errors no longer grow in proportion to it. A few runs
then say nothing about the later states, nor about gradients that pass through them."""
ROUNDOFFS_OF_CHAOS = 20.0
"""The same where values may be off by more than by rounding, in what they may be off by."""


@dataclass(slots=True)
class CellTrace:
    """What the forward of one cell over a sequence leaves for the backward.

    Time runs in the cell's own direction.
    """

    weights: CellWeights
    x: Array
    """[T, runs or 1, B, D]"""
    sums: Array
    """[T, runs, B, H], the pre-activations; unless they are kept, a step's state overwrites its own"""
    h: Array
    """[T + 1, runs, B, H], h_0 first; after the end of a sequence its last state is repeated"""
    running: Array | None
    """[T, B], whether the sequence has not ended yet; None if no sequence ends early"""
    preactivations_kept: bool
    d: Array = field(default_factory=lambda: np.empty(0))
    """[T, runs, B, H], the gradients of the states; set by the backward"""
    dz: Array = field(default_factory=lambda: np.empty(0))
    """[T, runs, B, H], the gradients of the pre-activations; set by the backward"""

    @property
    def z(self) -> Array:
        """The pre-activations, [T, runs, B, H].

        Raises:
            RuntimeError: they were overwritten by the states.
        """
        if not self.preactivations_kept:
            raise RuntimeError("a loop that reads pre-activations must set keep_preactivations = True")
        return self.sums

    @property
    def steps(self) -> int:
        """The number of time steps."""
        return len(self.h) - 1


@dataclass(slots=True)
class Gradients:
    """The gradients of one cell: [runs, ...] each, except ``dx``: [T, runs, B, D]."""

    dx: Array
    dh_0: Array
    dWx: Array
    dWh: Array
    db: Array
    large: Array
    """[T, B], whether a gradient of the state is near the largest float"""


class Cell:
    """The recurrence of one cell, and its gradients."""

    keep_preactivations = False
    """Whether the pre-activations are kept with tanh too. With relu they always are."""

    def __init__(self, case: Case, noise: RoundingNoise) -> None:
        self.case = case
        self.noise = noise

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        """Run a cell over ``x`` [T, runs or 1, B, D]."""
        noise = self.noise
        Wx, Wh = self.matrices(weights)
        T, _, B, _ = x.shape
        H, runs = len(Wh), noise.runs
        h = np.zeros((T + 1, runs, B, H))
        h[0] = h_0
        # The backward needs none of them, but for relu: each state overwrites its own, in one buffer.
        kept = self.case.relu or self.keep_preactivations
        z = np.empty((T, runs, B, H)) if kept else h[1:]
        z[...] = x @ Wx
        noise.product(z[:, 1:], x[:, 0], Wx)
        for b in self.biases(weights):
            z += b
            noise.relative(z[:, 1:])
        trace = CellTrace(weights, x, z, h, running, kept)
        recurrent = np.empty((runs, B, H))
        for t in range(T):
            np.dot(self.previous(trace, t).reshape(-1, H), Wh, out=recurrent.reshape(-1, H))
            noise.product(recurrent[1:], h[t, 0], Wh)
            self.step(trace, t, recurrent)
            if running is not None:
                np.copyto(h[t + 1], h[t], where=~running[t, :, None])
        return trace

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        """Backpropagate ``dhs`` [T, runs or 1, B, H] and ``dh_n`` [B, H] through a cell."""
        slope, dhs = self.slope(trace), self.step_gradients(trace, dhs)
        trace.d, trace.dz = np.zeros_like(slope), np.zeros_like(slope)
        carry = self.through_time(trace, slope, dhs, dh_n)
        large = self.too_large(trace.d)
        dWx, dWh, db = self.parameter_gradients(trace, trace.dz)
        dh_0 = self.start_gradient(trace, carry)
        return Gradients(self.input_gradient(trace, trace.dz), dh_0, dWx, dWh, db, large)

    def through_time(self, trace: CellTrace, slope: Array, dhs: Array, dh_n: Array | None) -> Array:
        """Set ``trace.d`` and ``trace.dz`` step by step; return the carry of the first, [runs, B, H]."""
        noise, running, d, dz = self.noise, trace.running, trace.d, trace.dz
        carry = self.first_carry(trace, dh_n)
        for t in self.order(len(slope)):
            np.add(dhs[t], carry, out=d[t])
            noise.relative(d[t, 1:])
            self.delta(trace, t, d[t], slope[t], dz[t])
            if running is None:
                carry = self.carry(trace, t, dz[t])
            else:
                dz[t][:, ~running[t]] = 0
                carry = np.where(
                    running[t, :, None], self.carry(trace, t, dz[t]), self.carry_in_padding(carry, dhs[t])
                )
        return carry

    def too_large(self, d: Array) -> Array:
        """Return where a gradient of the state ``d`` [T, runs, B, H] is near the largest float, [T, B]."""
        T, _, B, _ = d.shape
        limit = self.noise.limit
        if -limit <= d.min(initial=0.0) and d.max(initial=0.0) <= limit:
            return np.zeros((T, B), bool)
        return np.any((np.abs(d) > limit) & np.isfinite(d), axis=(1, 3))

    def diverged(self, trace: CellTrace) -> Array:
        """Return where the runs diverge or leave the range of the working precision, [T, B]."""
        states = trace.h[1:]
        moved = np.abs(states[:, 1:] - states[:, :1]).max(axis=(1, 3), initial=0.0)
        threshold = max(CHAOS_THRESHOLD, ROUNDOFFS_OF_CHAOS * self.noise.u)
        if not self.case.is_unbounded:
            return np.asarray(moved > threshold)
        largest = np.abs(states[:, 0]).max(axis=-1)
        near = (moved <= threshold * np.maximum(largest, 1)) & (largest < self.noise.limit)
        return np.asarray(~near)

    # Pieces that a fault may replace: each does one part of the forward or the backward.

    def matrices(self, weights: CellWeights) -> tuple[Array, Array]:
        """Return Wx [D, H] and Wh [H, H] of the forward."""
        return np.asarray(weights.Wx, np.float64), np.asarray(weights.Wh, np.float64)

    def biases(self, weights: CellWeights) -> list[Array]:
        """Return the biases that are added to the products, [H] each."""
        return [b for b in (weights.b, weights.b_hh) if b is not None]

    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        """Set the state after step t, from x_t Wx + b in ``trace.sums[t]`` and the ``recurrent`` term."""
        trace.sums[t] += recurrent
        self.noise.relative(trace.sums[t, 1:])
        self.activate(trace, t)

    def previous(self, trace: CellTrace, t: int) -> Array:
        """Return the state that enters step t, [runs, B, H]."""
        return trace.h[t]

    def activate(self, trace: CellTrace, t: int) -> None:
        """Set the state after step t from its pre-activation."""
        z, h = trace.sums[t], trace.h[t + 1]
        match self.case.nonlinearity:
            case "relu":
                np.maximum(z, 0, out=h)
            case "identity":
                np.copyto(h, z)
            case nonlinearity:
                np.copyto(h, sigmoid(z)) if nonlinearity == "sigmoid" else np.tanh(z, out=h)
                self.noise.absolute(h[1:])  # made of exponentials it has an absolute error of about u

    def outputs(self, trace: CellTrace) -> Array:
        """Return the outputs of the cell, [T, runs, B, H]; 0 after the end of a sequence."""
        states = trace.h[1:]
        return states if trace.running is None else np.where(trace.running[:, None, :, None], states, 0.0)

    def slope(self, trace: CellTrace) -> Array:
        """Return the derivative of the nonlinearity at each step, [T, runs, B, H]."""
        if self.case.relu:
            slope = (trace.z > 0).astype(np.float64)
            self.noise.kinks(slope, trace.z)
            return slope
        states = trace.h[1:]
        slope = DERIVATIVES[self.case.nonlinearity](states)
        if self.case.nonlinearity != "identity":
            self.noise.relative(slope[:, 1:])
        return slope

    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        """Write the gradient of a step's pre-activation into ``out``; all [runs, B, H]."""
        np.multiply(d, slope, out=out)
        if self.case.relu:
            out[slope == 0] = 0  # a unit that is off passes not even infinity on
        self.noise.relative(out[1:])

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        """Return the gradient that step t passes to the state before it, [runs, B, H]."""
        Wh = np.asarray(trace.weights.Wh, np.float64)
        carry: Array = (dz.reshape(-1, len(Wh)) @ Wh.T).reshape(dz.shape)
        self.noise.product(carry[1:], dz[0], Wh.T)
        return carry

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        """Return the upstream gradients as the steps use them, shaped like ``dhs``."""
        return dhs

    def first_carry(self, trace: CellTrace, dh_n: Array | None) -> Array:
        """Return the carry that enters the last step, [runs, B, H]."""
        carry = np.zeros(trace.h.shape[1:])
        if dh_n is not None:
            carry += dh_n
        return carry

    def order(self, T: int) -> Sequence[int]:
        """Return the order in which the backward visits the steps."""
        return range(T - 1, -1, -1)

    def carry_in_padding(self, carry: Array, dhs: Array) -> Array:
        """Return the carry at a step after the end of a sequence."""
        return carry

    def start_gradient(self, trace: CellTrace, carry: Array) -> Array:
        """Return dh_0 [runs, B, H] from the carry of the first step."""
        return carry

    def input_gradient(self, trace: CellTrace, dz: Array) -> Array:
        """Return dx [T, runs, B, D]."""
        Wx = np.asarray(trace.weights.Wx, np.float64)
        dx: Array = (dz.reshape(-1, dz.shape[-1]) @ Wx.T).reshape(*dz.shape[:-1], len(Wx))
        self.noise.product(dx[:, 1:], dz[:, 0], Wx.T)
        return dx

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        """Return dWx [runs, D, H], dWh [runs, H, H] and db [runs, H]."""
        before, x = rows_of(self.previous_states(trace)), rows_of(trace.x)
        rows = self.noise.partial_sums(rows_of(dz), x, before)
        return x.transpose(0, 2, 1) @ rows, before.transpose(0, 2, 1) @ rows, rows.sum(axis=1)

    def previous_states(self, trace: CellTrace) -> Array:
        """Return the states that dWh pairs with dz, [T, runs, B, H]."""
        return trace.h[:-1]

    def final(self, trace: CellTrace) -> Array:
        """Return h_n [runs, B, H]."""
        return trace.h[-1]
