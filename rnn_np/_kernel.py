"""The recurrence, unrolled once for every layer.

Forward:   z_t = x_t Wx + h_{t-1} Wh + b,   h_t = tanh(z_t),   t = 1 .. T
Backward:  d_t = dhs_t + dz_{t+1} Wh^T,     dz_t = d_t * (1 - h_t^2)
           dWx = sum x_t^T dz_t,  dWh = sum h_{t-1}^T dz_t,  db = sum dz_t
           dx_t = dz_t Wx^T,      dh_0 = dz_1 Wh^T

Arrays are time-major and contiguous here, so that a time step is a view and all steps together
are one matrix of T * B rows. What does not depend on the step before is one product over that
matrix; only three NumPy calls a step are left in each loop, all into buffers at hand.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Tape(NamedTuple):
    """What a backward pass needs of its forward pass; nothing in it belongs to the caller."""

    x: Array
    """[T, B, D], a copy of the input."""
    h: Array
    """[T + 1, B, H]: h_0, then the state after each step."""
    Wx: Array
    """[D, H], a copy: the weights that this forward used, whatever an optimizer did since."""
    Wh: Array
    """[H, H], a copy likewise."""


def _step_product(H: int) -> Callable[[Array, Array, Array], Array]:
    """The product of each step: ``numpy.dot``, which costs less a call than ``numpy.matmul``, but
    skips a factor of 0 where one operand is 1 x 1, so that 0 * inf would not be NaN."""
    return np.dot if H > 1 else np.matmul


def forward(x: Array, h_0: Array | None, Wx: Array, Wh: Array, b: Array) -> Tape:
    """Run the recurrence over ``x`` [T, B, D] (any strides) from ``h_0`` [B, H] (None: zeros).

    The states are ``tape.h[1:]`` [T, B, H].
    """
    T, B, D = x.shape
    H = len(Wh)
    x = np.array(x, order="C")
    h = np.empty((T + 1, B, H), x.dtype)
    h[0] = 0 if h_0 is None else h_0
    Wx, Wh = np.array(Wx, order="C"), np.array(Wh, order="C")

    # NaN and infinity flow as they do in torch, which does not warn.
    with np.errstate(all="ignore"):
        np.matmul(x.reshape(T * B, D), Wx, out=h[1:].reshape(T * B, H))
        h[1:] += b.reshape(H)
        before = h[0]
        from_before = np.empty((B, H), x.dtype)
        dot, add, tanh = _step_product(H), np.add, np.tanh
        for now in h[1:]:
            dot(before, Wh, from_before)
            add(now, from_before, now)
            tanh(now, now)
            before = now
    return Tape(x, h, Wx, Wh)


def backward(tape: Tape, dhs: Array, dWx: Array, dWh: Array, db: Array) -> tuple[Array, Array]:
    """Backpropagate ``dhs`` [T, B, H] (any strides) through time.

    Writes the parameters' gradients into ``dWx`` [D, H], ``dWh`` [H, H] and ``db`` [H] (all
    C-contiguous) and returns ``dx`` [T, B, D] and ``dh_0`` [B, H].
    """
    x, h, Wx, Wh = tape
    T, B, D = x.shape
    H = len(Wh)
    rows = T * B

    with np.errstate(all="ignore"):
        dz = np.multiply(h[1:], h[1:])
        np.subtract(1, dz, dz)
        carry = np.zeros((B, H), x.dtype)
        WhT = Wh.T
        dot, add, multiply = _step_product(H), np.add, np.multiply
        for upstream, now in zip(dhs[::-1], dz[::-1], strict=True):
            add(upstream, carry, carry)
            multiply(now, carry, now)
            dot(now, WhT, carry)

        flat = dz.reshape(rows, H)
        np.matmul(x.reshape(rows, D).T, flat, out=dWx)
        np.matmul(h[:-1].reshape(rows, H).T, flat, out=dWh)
        np.sum(flat, axis=0, out=db)
        return np.matmul(flat, Wx.T).reshape(T, B, D), carry
