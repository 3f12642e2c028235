"""The recurrence, unrolled once for every layer of the package.

Forward:   z_t = x_t Wx + h_{t-1} Wh + b,   h_t = tanh(z_t) or relu(z_t),   t = 1 .. T
Backward:  d_t = dhs_t + dz_{t+1} Wh^T,     dz_t = d_t * (1 - h_t^2), or d_t where h_t > 0
           dWx = sum x_t^T dz_t,  dWh = sum h_{t-1}^T dz_t,  db = sum dz_t
           dx_t = dz_t Wx^T,      dh_0 = dz_1 Wh^T

The forward equation is that of ``torch.nn.RNN``'s documentation, with ``Wx = weight_ih.T``,
``Wh = weight_hh.T`` and ``b = bias_ih + bias_hh``. The backward equations are backpropagation through
time: the chain rule over the unrolled recurrence, from the last step to the first (P. Werbos,
"Backpropagation through time: what it does and how to do it", Proceedings of the IEEE 78, 1990).

The rows of a batch are packed: first the rows of step 1, then those of step 2, and so on. The longest
sequence comes first, so the sequences that are still running at step t are the first ``sizes[t]`` rows
of the step before. A time step is then a contiguous view, and all steps together are one matrix of
N = sum(sizes) rows without padding. Every product that does not depend on the step before is done once,
over that matrix; three NumPy calls per step remain in each loop, all of them into existing buffers.

Time is O(N H (D + H)) for each pass. The tape keeps copies of the weights, the input and the states:
N D + (B + N) H + D H + H H numbers.

Nothing is checked here: the layers check shapes and dtypes before they call these functions.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
else:
    # Signatures in help() and on API pages then say ``numpy.ndarray``, without its type parameters.
    Array = np.ndarray


class Tape(NamedTuple):
    """What a backward pass needs from its forward pass. None of it is the caller's memory."""

    x: Array
    """[N, D], the input."""
    h: Array
    """[B + N, H]: h_0, then the state after each step."""
    Wx: Array
    """[D, H], a copy, because an optimizer may update the weights before the backward pass."""
    Wh: Array
    """[H, H], a copy for the same reason."""
    sizes: Sequence[int]
    """[T], the number of rows in each step: B in the first, and never more than in the step before."""
    relu: bool
    """Whether the nonlinearity is relu; otherwise it is tanh."""

    @property
    def states(self) -> Array:
        """[N, H], a view of the state after each step."""
        return self.h[self.sizes[0] :]


def steps(rows: Array, sizes: Sequence[int]) -> list[Array]:
    """Return a view of each step's rows in ``rows`` [N, ...]."""
    if sizes[0] == sizes[-1]:
        return list(rows.reshape(len(sizes), sizes[0], *rows.shape[1:]))
    return [rows[stop - size : stop] for size, stop in zip(sizes, accumulate(sizes), strict=True)]


def _first_rows(arrays: list[Array], sizes: Sequence[int]) -> list[Array]:
    """Return the first ``sizes[t]`` rows of each ``arrays[t]``: the sequences that still run at step t."""
    if sizes[0] == sizes[-1]:
        return arrays
    return [array[:size] for array, size in zip(arrays, sizes, strict=True)]


def _shared_by_all_steps(buffer: Array, sizes: Sequence[int]) -> list[Array]:
    """List ``buffer`` [B, H] once for each step, cut to the step's rows: every step overwrites it."""
    if sizes[0] == sizes[-1]:
        return [buffer] * len(sizes)
    return [buffer[:size] for size in sizes]


def _step_product(H: int) -> Callable[[Array, Array, Array], Array]:
    """Return the function that multiplies in each step.

    ``numpy.dot`` costs less per call than ``numpy.matmul``. But where one operand is 1 x 1, it skips a
    factor of 0, so 0 * inf would not be NaN; H = 1 takes ``numpy.matmul``.
    """
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
    """Run the recurrence, and return its tape; the states are ``tape.states`` [N, H].

    Args:
        x: [N, D], C-contiguous. The tape keeps it, so it must not be the caller's memory.
        sizes: [T], the number of rows in each step.
        h_0: [B, H], the initial states, with any strides. None: zeros.
        Wx: [D, H], with any strides.
        Wh: [H, H], with any strides.
        b: [H] or [1, H]. None: no bias.
        relu: use relu in place of tanh.
    """
    N, B, H = len(x), sizes[0], len(Wh)
    h = np.empty((B + N, H), x.dtype)
    h[:B] = 0 if h_0 is None else h_0
    states = h[B:]
    Wx, Wh = np.array(Wx, order="C"), np.array(Wh, order="C")

    # NaN and infinity spread as in torch, which does not warn.
    with np.errstate(all="ignore"):
        np.matmul(x, Wx, out=states)
        if b is not None:
            states += b
        h_steps = steps(h, (B, *sizes))  # h_steps[0] is h_0, h_steps[t] is h_t
        before = _first_rows(h_steps[:-1], sizes)
        products = _shared_by_all_steps(np.empty((B, H), x.dtype), sizes)
        dot, add = _step_product(H), np.add
        activate: Callable[[Array, Array], object] = _relu if relu else np.tanh
        for h_before, h_now, product in zip(before, h_steps[1:], products, strict=True):
            dot(h_before, Wh, product)
            add(h_now, product, h_now)
            activate(h_now, h_now)
    return Tape(x, h, Wx, Wh, sizes, relu)


def backward(
    tape: Tape,
    dhs: Sequence[Array] | Array,
    dWx: Array,
    dWh: Array,
    db: Array | None,
    dh_n: Array | None = None,
) -> tuple[Array, Array]:
    """Backpropagate through time, and return ``dx`` [N, D] and ``dh_0`` [B, H].

    Args:
        tape: what ``forward`` returned; it is not changed.
        dhs: for each step t its upstream gradient [sizes[t], H], with any strides.
        dWx: [D, H], C- or F-contiguous; the gradient of ``Wx`` is written into it.
        dWh: [H, H], likewise for ``Wh``.
        db: [H], likewise for ``b``. None: there is no bias.
        dh_n: [B, H], the gradient of each sequence's last state, with any strides. None: zeros.
    """
    x, h, Wx, Wh, sizes, relu = tape
    N, B, H = len(x), sizes[0], len(Wh)
    states = h[B:]

    with np.errstate(all="ignore"):
        # Before step t, ``carry`` holds dz_{t+1} Wh^T; the loop adds dhs_t to it, which makes it d_t.
        carry = np.zeros((B, H), x.dtype)
        if dh_n is not None:
            carry[...] = dh_n
        # ``dz`` starts as the slope dh_t/dz_t of every step; the loop multiplies each slope by d_t.
        dz = np.empty((N, H), x.dtype)
        dz_steps, carry_steps = steps(dz, sizes), _shared_by_all_steps(carry, sizes)
        times: np.ufunc
        if relu:
            # The slope is 0 or 1, but 0 * NaN is NaN where torch's gradient of an inactive unit is 0.
            # So the slope is a mask and the product an ``and`` of bits, through integer views of the
            # same memory: True - 1 = 0 has no bit set, False - 1 = -1 has all bits set.
            integer = np.dtype(f"i{x.dtype.itemsize}")
            slope, times = dz.view(integer), np.bitwise_and
            np.subtract(states <= 0, 1, slope, dtype=integer)
            slope_steps, d_steps = steps(slope, sizes), _shared_by_all_steps(carry.view(integer), sizes)
        else:
            times = np.multiply
            np.multiply(states, states, dz)
            np.subtract(1, dz, dz)
            slope_steps, d_steps = dz_steps, carry_steps
        WhT = Wh.T
        dot, add = _step_product(H), np.add
        # Every list is read from its end: the last time step comes first.
        backwards = map(reversed, (dhs, carry_steps, slope_steps, d_steps, dz_steps))
        for upstream, d, slope_now, d_now, dz_now in zip(*backwards, strict=True):
            add(upstream, d, d)
            times(slope_now, d_now, slope_now)  # d_now is d, and slope_now dz_now, as numbers or as bits
            dot(dz_now, WhT, d)

        # With equal lengths, the states before each step are the first N rows of ``h`` already.
        before = h[:N] if sizes[-1] == B else np.concatenate(_first_rows(steps(h, (B, *sizes))[:-1], sizes))
        np.matmul(x.T, dz, out=dWx)
        np.matmul(before.T, dz, out=dWh)
        if db is not None:
            np.sum(dz, axis=0, out=db)
        return np.matmul(dz, Wx.T), carry
