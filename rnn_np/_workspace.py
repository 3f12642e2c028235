"""A small problem of ``TimeRNN``, in memory that is kept from call to call.

A step of a small problem costs a microsecond, and as much again to make its arrays and their views. So
they are made once for all calls of the same sizes. And with the rows [h_{t-1}, x_t, 1] of every step and
the matrix [Wh; Wx; b], a forward step is one product and a tanh. Measured beside ``_kernel``, a forward and
backward takes 0.6 of its time at (B, T, D, H) = (1, 16, 8, 8) and 0.7 at (4, 32, 16, 32); beyond the limit
below it gains nothing.
"""

from typing import Any, Self

import numpy as np

from rnn_np._kernel import Array, sum_rows

MOST_NUMBERS = 2**15
"""Of weights, inputs, states and their gradients: what is kept between the calls stays small."""


def is_small(T: int, B: int, D: int, H: int) -> bool:
    """Whether a problem is to be computed in a ``Workspace``.

    With H = 1 it is not: ``_kernel`` says why.
    """
    return T * B > 0 and H > 1 and T * B * (D + 2 * H) + H * (D + H) <= MOST_NUMBERS


class Workspace:
    """The tape of ``TimeRNN`` for sequences of equal length, and all that computes with it.

    The attributes ``sizes``, ``Wx`` and ``h`` are those of ``_kernel.Tape``. A copy or a pickle has the two
    arrays below, and makes the rest anew.

    Args:
        rows: [T + 1, B, H + D + 1], h_{t-1}, x_t and 1 of every step, and the last state.
        weights: [H + D + 1, H], Wh, Wx and b.
    """

    def __init__(self, rows: Array, weights: Array) -> None:
        T, B, H = len(rows) - 1, rows.shape[1], weights.shape[1]
        self.sizes = (B,) * T
        self.rows, self.weights = rows, weights
        self.Wh, self.Wx, self.b = weights[:H], weights[H:-1], weights[-1]
        self.h = rows[:, :, :H]
        self.h_0, self.states = self.h[0], self.h[1:]
        # The caller's arrays are batch-first.
        self.xs, self.hs = (a.transpose(1, 0, 2) for a in (rows[:-1, :, H:-1], self.states))
        self.z, self.carry = np.empty((2, B, H), rows.dtype)
        self.dhs, self.dz = np.empty((2, T, B, H), rows.dtype)
        self.forward_steps = list(zip(rows[:-1], self.states, strict=True))
        self.backward_steps = list(zip(self.dhs[::-1], self.dz[::-1], strict=True))
        self.all_rows, self.all_dz = (a.reshape(T * B, -1) for a in (rows[:-1], self.dz))

    @classmethod
    def of_sizes(cls, T: int, B: int, D: int, H: int, dtype: np.dtype[Any]) -> Self:
        """Make one for T steps of B sequences, with nothing in it yet."""
        rows = np.empty((T + 1, B, H + D + 1), dtype)
        rows[:, :, -1] = 1
        return cls(rows, np.empty((H + D + 1, H), dtype))

    def __reduce__(self) -> tuple[type[Self], tuple[Array, Array]]:
        return type(self), (self.rows, self.weights)

    def copy(self) -> Self:
        """Return one with the same numbers in memory of its own."""
        return type(self)(self.rows.copy(), self.weights.copy())

    def forward(self, xs: Array, h_0: Array | None, Wx: Array, Wh: Array, b: Array) -> Array:
        """Run the recurrence, and return its states in new memory.

        Args:
            xs: [B, T, D], with any strides, as the others.
            h_0: [B, H]. None: zeros.
            Wx: [D, H].
            Wh: [H, H].
            b: [H] or [1, H].
        """
        self.xs[...], self.h_0[...] = xs, 0 if h_0 is None else h_0
        self.Wh[...], self.Wx[...], self.b[...] = Wh, Wx, b
        weights, z, dot, tanh = self.weights, self.z, np.ndarray.dot, np.tanh
        with np.errstate(all="ignore"):
            for row, h in self.forward_steps:
                dot(row, weights, z)
                tanh(z, h)
        return self.hs.copy()

    def backward(self, dhs: Array, dWx: Array, dWh: Array, db: Array) -> tuple[Array, Array]:
        """Backpropagate, write the gradients of the weights, and return dxs [B, T, D] and dh_0 [B, H].

        ``dhs`` [B, T, H] is the upstream gradient, with any strides.
        """
        carry, dz, Wh, H = self.carry, self.dz, self.Wh, len(self.Wh)
        WhT, dot, add, times = Wh.T, np.ndarray.dot, np.add, np.multiply
        with np.errstate(all="ignore"):
            times(self.states, self.states, dz)
            np.subtract(1, dz, dz)  # the slope dh_t/dz_t of every step
            carry[...] = 0
            self.dhs[...] = dhs.transpose(1, 0, 2)
            for upstream, dz_now in self.backward_steps:
                add(upstream, carry, carry)
                times(dz_now, carry, dz_now)
                dot(dz_now, WhT, carry)
            gradients = dot(self.all_rows[:, :-1].T, self.all_dz)
            dWh[...], dWx[...] = gradients[:H], gradients[H:]
            sum_rows(self.all_dz, db)
            dx = dot(self.all_dz, self.Wx.T)
        return dx.reshape(len(self.sizes), -1, dx.shape[1]).transpose(1, 0, 2).copy(), carry.copy()
