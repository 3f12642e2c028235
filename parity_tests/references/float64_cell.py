"""One cell of the plain loop over a sequence, forward and backward, in float64."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parity_tests.cases.arrays import Array, Weights
from parity_tests.cases.case import Case
from parity_tests.references.rounding import RoundingNoise

CHAOS_THRESHOLD = 1e-3
"""A state that has moved by this much has left the range in which errors grow in proportion: from
then on, and in the gradients that pass through it, a few runs measure nothing."""


@dataclass(slots=True)
class CellTrace:
    """One cell's forward over a sequence, in that cell's own order of time."""

    weights: Weights
    x: Array
    """[T, runs or 1, B, D]"""
    z: Array
    """[T, runs, B, H], the pre-activations"""
    h: Array
    """[T + 1, runs, B, H], h_0 first; behind a sequence's end, its last state again"""
    running: Array | None
    """[T, B], whether the sequence has not ended; None: no sequence has"""
    d: Array = field(default_factory=lambda: np.empty(0))
    """[T, runs, B, H], the gradients of the states, once they are taken back"""
    dz: Array = field(default_factory=lambda: np.empty(0))
    """[T, runs, B, H], those of the pre-activations"""


@dataclass(slots=True)
class Gradients:
    """Of one cell: [runs, ...] each, but ``dx`` [T, runs, B, D]."""

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
    """Whether pre-activations are kept apart from the states with tanh, too."""

    def __init__(self, case: Case, noise: RoundingNoise) -> None:
        self.case = case
        self.noise = noise

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        """Run a cell over ``x`` [T, runs or 1, B, D]."""
        noise = self.noise
        Wx, Wh = self.matrices(weights)
        T, _, B, _ = x.shape
        H, runs = len(Wh), noise.runs
        h = np.zeros((T + 1, runs, B, H))
        h[0] = h_0
        # With tanh the states take the place of the pre-activations, as nobody asks for those.
        z = np.empty((T, runs, B, H)) if self.case.relu or self.keep_preactivations else h[1:]
        z[...] = x @ Wx
        noise.product(z[:, 1:], x[:, 0], Wx)
        for b in self.biases(weights):
            z += b
            noise.relative(z[:, 1:])
        trace = CellTrace(weights, x, z, h, running)
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
        noise, running = self.noise, trace.running
        slope, dhs = self.slope(trace), self.step_gradients(trace, dhs)
        d, dz = np.zeros_like(slope), np.zeros_like(slope)
        trace.d, trace.dz = d, dz
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
        limit = noise.limit
        large = np.any((np.abs(d) > limit) & np.isfinite(d), axis=(1, 3))
        dWx, dWh, db = self.parameter_gradients(trace, dz)
        dh_0 = self.start_gradient(trace, carry)
        return Gradients(self.input_gradient(trace, dz), dh_0, dWx, dWh, db, large)

    def lost(self, trace: CellTrace) -> Array:
        """[T, B], whether the runs have gone apart, or out of the working precision's range."""
        states = trace.h[1:]
        moved = np.abs(states[:, 1:] - states[:, :1]).max(axis=(1, 3), initial=0.0)
        if not self.case.relu:
            return np.asarray(moved > CHAOS_THRESHOLD)
        largest = np.abs(states[:, 0]).max(axis=-1)
        near = (moved <= CHAOS_THRESHOLD * np.maximum(largest, 1)) & (largest < self.noise.limit)
        return np.asarray(~near)

    # Pieces that a fault may replace.

    def matrices(self, weights: Weights) -> tuple[Array, Array]:
        """The input's and the recurrent weights of a forward."""
        return np.asarray(weights.Wx, np.float64), np.asarray(weights.Wh, np.float64)

    def biases(self, weights: Weights) -> list[Array]:
        """What is added to the products."""
        return [b for b in (weights.b, weights.b_hh) if b is not None]

    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        """The state of a step, from its pre-activation without the ``recurrent`` term, and that."""
        trace.z[t] += recurrent
        self.noise.relative(trace.z[t, 1:])
        self.activate(trace, t)

    def previous(self, trace: CellTrace, t: int) -> Array:
        """h_{t-1} of the recurrence."""
        return trace.h[t]

    def activate(self, trace: CellTrace, t: int) -> None:
        """The state of a step from its pre-activation."""
        if self.case.relu:
            np.maximum(trace.z[t], 0, out=trace.h[t + 1])
            return
        np.tanh(trace.z[t], out=trace.h[t + 1])
        self.noise.absolute(trace.h[t + 1, 1:])  # a tanh of exponentials errs by about u whatever its size

    def outputs(self, trace: CellTrace) -> Array:
        """[T, runs, B, H], 0 behind a sequence's end."""
        states = trace.h[1:]
        return states if trace.running is None else np.where(trace.running[:, None, :, None], states, 0.0)

    def slope(self, trace: CellTrace) -> Array:
        """The derivative of the activation, [T, runs, B, H]."""
        if self.case.relu:
            slope = (trace.z > 0).astype(np.float64)
            self.noise.kinks(slope, trace.z)
            return slope
        states = trace.h[1:]
        slope = 1 - states * states
        self.noise.relative(slope[:, 1:])
        return slope

    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        """The gradient of the pre-activation of a step."""
        np.multiply(d, slope, out=out)
        if self.case.relu:
            out[slope == 0] = 0  # a unit that is off stops even infinity
        self.noise.relative(out[1:])

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        """What goes back to the state before."""
        Wh = np.asarray(trace.weights.Wh, np.float64)
        carry: Array = (dz.reshape(-1, len(Wh)) @ Wh.T).reshape(dz.shape)
        self.noise.product(carry[1:], dz[0], Wh.T)
        return carry

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        """The gradients of the outputs as the steps get them."""
        return dhs

    def first_carry(self, trace: CellTrace, dh_n: Array | None) -> Array:
        """What comes to the last step beside the gradient of its output."""
        carry = np.zeros(trace.h.shape[1:])
        if dh_n is not None:
            carry += dh_n
        return carry

    def order(self, T: int) -> Sequence[int]:
        """The steps as they are taken back."""
        return range(T - 1, -1, -1)

    def carry_in_padding(self, carry: Array, dhs: Array) -> Array:
        """What goes back from behind a sequence's end."""
        return carry

    def start_gradient(self, trace: CellTrace, carry: Array) -> Array:
        """Return dh_0 [runs, B, H] from what the first step hands back."""
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
        """The states that the recurrent weights met, [T, runs, B, H]."""
        return trace.h[:-1]

    def final(self, trace: CellTrace) -> Array:
        """Return h_n [runs, B, H]."""
        return trace.h[-1]


def rows_of(array: Array) -> Array:
    """[T, runs, B, H] to [runs, T * B, H]."""
    T, runs, B, H = array.shape
    return np.ascontiguousarray(array.transpose(1, 0, 2, 3)).reshape(runs, T * B, H)
