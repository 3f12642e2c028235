"""The recurrence, unrolled once for every layer.

Forward:   z_t = x_t Wx + h_{t-1} Wh + b,   h_t = tanh(z_t) or relu(z_t),   t = 1 .. T
Backward:  d_t = dhs_t + dz_{t+1} Wh^T,     dz_t = d_t * (1 - h_t^2), or d_t where h_t > 0
           dWx = sum x_t^T dz_t,  dWh = sum h_{t-1}^T dz_t,  db = sum dz_t
           dx_t = dz_t Wx^T,      dh_0 = dz_1 Wh^T

BatchLayout are packed: those of step 1, then those of step 2, ... The longest sequence stands first, so that
the rows that are still running are the first ``sizes[t]`` of the step before: a time step is a
contiguous view, and all steps together are one matrix of N = sum(sizes) rows, without padding. What
does not depend on the step before is one product over that matrix; only three NumPy calls a step are
left in each loop, all into buffers at hand.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Tape(NamedTuple):
    """What a backward pass needs of its forward pass; nothing in it belongs to the caller."""

    x: Array
    """[N, D], the input."""
    h: Array
    """[B + N, H]: h_0, then the state after each step."""
    Wx: Array
    """[D, H], a copy: the weights that this forward used, whatever an optimizer did since."""
    Wh: Array
    """[H, H], a copy likewise."""
    sizes: Sequence[int]
    """The number of rows in each step: B at first, never rising."""
    relu: bool

    @property
    def states(self) -> Array:
        """[N, H], a view of the state after each step."""
        return self.h[self.sizes[0] :]


def steps(rows: Array, sizes: Sequence[int]) -> list[Array]:
    """The views of each step's rows in ``rows`` [N, ...]."""
    if sizes[0] == sizes[-1]:
        return list(rows.reshape(len(sizes), sizes[0], *rows.shape[1:]))
    return [rows[stop - size : stop] for size, stop in zip(sizes, accumulate(sizes), strict=True)]


def _first(arrays: list[Array], sizes: Sequence[int]) -> list[Array]:
    """Of each array the first ``size`` rows."""
    if sizes[0] == sizes[-1]:
        return arrays
    return [array[:size] for array, size in zip(arrays, sizes, strict=True)]


def _step_product(H: int) -> Callable[[Array, Array, Array], Array]:
    """The product of each step: ``numpy.dot``, which costs less a call than ``numpy.matmul``, but
    skips a factor of 0 where one operand is 1 x 1, so that 0 * inf would not be NaN."""
    return np.dot if H > 1 else np.matmul


def _relu(z: Array, out: Array) -> None:
    np.maximum(z, 0, out=out)


def forward(
    x: Array,
    sizes: Sequence[int],
    h_0: Array | None,
    Wx: Array,
    Wh: Array,
    b: Array | None,
    relu: bool = False,
) -> Tape:
    """Run the recurrence over the rows ``x`` [N, D] from ``h_0`` [B, H] (None: zeros).

    ``x`` is C-contiguous and becomes the tape's; everything else may have any strides. The states
    are ``tape.states`` [N, H].
    """
    N, B, H = len(x), sizes[0], len(Wh)
    h = np.empty((B + N, H), x.dtype)
    h[:B] = 0 if h_0 is None else h_0
    states = h[B:]
    Wx, Wh = np.array(Wx, order="C"), np.array(Wh, order="C")

    # NaN and infinity flow as they do in torch, which does not warn.
    with np.errstate(all="ignore"):
        np.matmul(x, Wx, out=states)
        if b is not None:
            states += b
        every = steps(h, (B, *sizes))
        from_before = _first([np.empty((B, H), x.dtype)] * len(sizes), sizes)
        dot, add = _step_product(H), np.add
        activate: Callable[[Array, Array], object] = _relu if relu else np.tanh
        for before, now, product in zip(_first(every[:-1], sizes), every[1:], from_before, strict=True):
            dot(before, Wh, product)
            add(now, product, now)
            activate(now, now)
    return Tape(x, h, Wx, Wh, sizes, relu)


def backward(
    tape: Tape,
    dhs: Sequence[Array] | Array,
    dWx: Array,
    dWh: Array,
    db: Array | None,
    dh_n: Array | None = None,
) -> tuple[Array, Array]:
    """Backpropagate through time ``dhs``, for each step its [sizes[t], H], and ``dh_n`` [B, H], the
    gradient of each row's last state (None: zeros); any strides.

    Writes the parameters' gradients into ``dWx`` [D, H], ``dWh`` [H, H] (C- or F-contiguous) and
    ``db`` [H], and returns ``dx`` [N, D] and ``dh_0`` [B, H].
    """
    x, h, Wx, Wh, sizes, relu = tape
    N, B, H = len(x), sizes[0], len(Wh)
    states = h[B:]

    with np.errstate(all="ignore"):
        carry = np.zeros((B, H), x.dtype)
        if dh_n is not None:
            carry[...] = dh_n
        dz = np.empty((N, H), x.dtype)
        slope, factor = dz, carry
        through: np.ufunc = np.multiply
        if relu:
            # All bits or none, so that a dead unit stops infinity and NaN too, as in torch.
            bits = np.dtype(f"i{x.dtype.itemsize}")
            slope, factor, through = dz.view(bits), carry.view(bits), np.bitwise_and
            np.subtract(states <= 0, 1, slope, dtype=bits)
        else:
            np.multiply(states, states, slope)
            np.subtract(1, slope, slope)
        carries = _first([carry] * len(sizes), sizes)
        factors = carries if factor is carry else _first([factor] * len(sizes), sizes)
        nows = steps(dz, sizes)
        slopes = nows if slope is dz else steps(slope, sizes)
        WhT = Wh.T
        dot, add = _step_product(H), np.add
        backwards = map(reversed, (dhs, nows, carries, slopes, factors))
        for upstream, now, d, slope, factor in zip(*backwards, strict=True):
            add(upstream, d, d)
            through(slope, factor, slope)
            dot(now, WhT, d)

        # With equal lengths the states before each step lie one after another already.
        before = h[:N] if sizes[-1] == B else np.concatenate(_first(steps(h, (B, *sizes))[:-1], sizes))
        np.matmul(x.T, dz, out=dWx)
        np.matmul(before.T, dz, out=dWh)
        if db is not None:
            np.sum(dz, axis=0, out=db)
        return np.matmul(dz, Wx.T), carry
