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
    WhT: Array
    """[H, H], the transpose of Wh: a copy for the same reason."""
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


def _product(H: int, size: int = 2) -> Callable[..., Array]:
    """Return the function that multiplies matrices with H columns, and an input of ``size`` numbers.

    The method ``dot`` costs less per call than ``numpy.dot``, and that less than ``numpy.matmul``. But
    where one operand is 1 x 1, it skips a factor of 0, so 0 * inf would not be NaN; then it is
    ``numpy.matmul``.
    """
    return np.ndarray.dot if H > 1 and size > 1 else np.matmul


def _rows(W: Array) -> Array:
    """Return a copy of ``W`` in C order."""
    if W.flags.c_contiguous:
        return W.copy()
    copy = np.empty(W.shape, W.dtype)
    for start in range(0, W.shape[1], 32):  # columns that stay in the cache: up to 3 times faster
        copy[:, start : start + 32] = W[:, start : start + 32]
    return copy


def _relu(z: Array, out: Array) -> None:
    np.maximum(z, 0, out=out)


def sum_rows(rows: Array, out: Array) -> None:
    """Write the sum of ``rows`` [N, H], in C order, into ``out`` [H].

    NumPy adds row after row, and rounds N times. So the rows are folded 32 to one until few are left: each
    number is rounded as rarely as in torch's sum, and the longer rows take less time.
    """
    N, H = rows.shape
    if N < 64:
        np.add.reduce(rows, 0, out=out)
        return
    folded = np.add.reduce(rows[: N - N % 32].reshape(32, N // 32 * H), 0)
    sum_rows(folded.reshape(N // 32, H), out)
    out += np.add.reduce(rows[N - N % 32 :], 0)


def _weight_gradients(x: Array, before: Array, dz: Array, dWx: Array, dWh: Array, db: Array | None) -> None:
    """Write the sums over all rows of x^T dz, of h^T dz with the states ``before`` each row, and of dz."""
    dot = _product(dz.shape[1], x.size)
    for rows, dW in ((x, dWx), (before, dWh)):
        if dW.flags.c_contiguous:
            dot(rows.T, dz, dW)
        else:
            dot(dz.T, rows, dW.T)
    if db is not None:
        sum_rows(dz, db)


def _views(h: Array, sizes: Sequence[int]) -> list[tuple[Array, Array, Array]]:
    """For each step list the views of ``h`` [B + N, H] before and after it, and a buffer for their product."""
    h_steps = steps(h, (sizes[0], *sizes))  # h_steps[0] is h_0, h_steps[t] is h_t
    before = _first_rows(h_steps[:-1], sizes)
    products = _shared_by_all_steps(np.empty((sizes[0], h.shape[1]), h.dtype), sizes)
    return list(zip(before, h_steps[1:], products, strict=True))


def _run(
    projected: Array,
    views: list[tuple[Array, Array, Array]],
    x: Array,
    Wx: Array,
    Wh: Array,
    b: Array | None,
    relu: bool,
) -> None:
    """Run the steps of ``views``, whose states are the rows ``projected``; the weights are in C order."""
    np.matmul(x, Wx, out=projected)
    if b is not None:
        projected += b
    dot, add = _product(len(Wh)), np.add
    activate: Callable[[Array, Array], object] = _relu if relu else np.tanh
    for h_before, h_now, product in views:
        dot(h_before, Wh, product)
        add(h_now, product, h_now)
        activate(h_now, h_now)


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
    Wx = _rows(Wx)
    # The loop of ``backward`` multiplies by Wh^T. OpenBLAS packs a transposed view in every step, which
    # takes 1.1 to 2.6 times as long as a product with a copy; with one row or few steps the copy costs more.
    if B > 1 and len(sizes) >= 8:
        WhT = _rows(Wh.T)
        Wh = Wh if Wh.flags.c_contiguous else _rows(Wh)
    else:
        Wh = _rows(Wh)
        WhT = Wh.T
    # NaN and infinity spread as in torch, which does not warn.
    with np.errstate(all="ignore"):
        _run(h[B:], _views(h, sizes), x, Wx, Wh, b, relu)
    return Tape(x, h, Wx, WhT, sizes, relu)


def forward_only(
    x: Array,
    states: Array,
    sizes: Sequence[int],
    h_0: Array | None,
    Wx: Array,
    Wh: Array,
    b: Array | None,
    relu: bool = False,
) -> None:
    """Run the recurrence without a tape, and write the state after each step into ``states``.

    Some steps at a time, so that no more memory is needed than for these. Nothing is kept.

    Args:
        x: [T, B, D], or [N, D] if ``sizes`` differ, with any strides.
        states: [T, B, H] or [N, H], as ``x``. It may be ``x``.
        sizes: [T], the number of rows in each step.
        h_0: [B, H], the initial states, with any strides. None: zeros.
        Wx: [D, H], with any strides.
        Wh: [H, H], with any strides.
        b: [H] or [1, H]. None: no bias.
        relu: use relu in place of tanh.
    """
    D, H = Wx.shape
    Wh = Wh if Wh.flags.c_contiguous else _rows(Wh)
    # Enough rows for a fast product with Wx, few enough to stay in the cache, a quarter of the results at most.
    B, row = sizes[0], D + H
    numbers = min(max(65536, 256 * row), max(8192, sum(sizes) * H // 4))
    count = min(len(sizes), max(1, numbers // (row * max(B, 1))))
    h = np.empty(((1 + count) * B, H), x.dtype)
    h[:B] = 0 if h_0 is None else h_0
    stop = 0
    with np.errstate(all="ignore"):
        for first in range(0, len(sizes), count):
            some = sizes[first : first + count]
            N = sum(some)
            start, stop = stop, stop + (len(some) if x.ndim == 3 else N)
            rows = np.ascontiguousarray(x[start:stop]).reshape(N, D)
            h_some = h[: some[0] + N]
            if first == 0 or some[-1] < B:  # Others have the same views.
                views = _views(h_some, some)
            _run(h_some[some[0] :], views[: len(some)], rows, Wx, Wh, b, relu)
            now = states[start:stop]
            now[...] = h_some[some[0] :].reshape(now.shape)
            h[: some[-1]] = h_some[len(h_some) - some[-1] :]
            del rows  # before the next copy is made


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
    x, h, Wx, WhT, sizes, relu = tape
    N, B, H = len(x), sizes[0], len(WhT)
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
        dot, add = _product(H), np.add
        # Every list is read from its end: the last time step comes first.
        backwards = map(reversed, (dhs, carry_steps, slope_steps, d_steps, dz_steps))
        for upstream, d, slope_now, d_now, dz_now in zip(*backwards, strict=True):
            add(upstream, d, d)
            times(slope_now, d_now, slope_now)  # d_now is d, and slope_now dz_now, as numbers or as bits
            dot(dz_now, WhT, d)

        # With equal lengths, the states before each step are the first N rows of ``h`` already.
        before = h[:N] if sizes[-1] == B else np.concatenate(_first_rows(steps(h, (B, *sizes))[:-1], sizes))
        _weight_gradients(x, before, dz, dWx, dWh, db)
        return _product(H, x.size)(dz, Wx.T), carry


# One time step alone: no views of steps and no transposed weights, which would take more time than it does.


def _columns_pay(rows: Array, W: Array) -> bool:
    """Whether (W^T rows^T)^T takes less time than ``rows`` W; ``W`` is contiguous in C or F order.

    OpenBLAS packs a ``W`` in F order, unless the product has at most 1,200 numbers.
    """
    return not W.flags.c_contiguous and len(rows) * W.shape[1] > 1200


def step(x: Array, h_0: Array | None, Wx: Array, Wh: Array, b: Array | None, relu: bool = False) -> Tape:
    """Compute one time step, and return its tape.

    The arguments are those of ``forward``, but the tape keeps ``Wx`` and ``Wh`` too: they must be
    contiguous, in C or F order, and not the caller's memory.
    """
    B, H = len(x), len(Wh)
    h = np.empty((2 * B, H), x.dtype)
    before, z = h[:B], h[B:]
    before[...] = 0 if h_0 is None else h_0
    dot = _product(H, x.size)
    with np.errstate(all="ignore"):
        if _columns_pay(before, Wh):
            columns = dot(Wx.T, x.T.copy())
            columns += dot(Wh.T, before.T.copy())
            z[...] = columns.T
        else:
            dot(x, Wx, z)
            z += dot(before, Wh)
        if b is not None:
            z += b
        if relu:
            _relu(z, z)
        else:
            np.tanh(z, z)
    return Tape(x, h, Wx, Wh.T, (B,), relu)


def step_backward(tape: Tape, dh: Array, dWx: Array, dWh: Array, db: Array | None) -> tuple[Array, Array]:
    """Backpropagate through ``step``, and return ``dx`` [B, D] and ``dh_0`` [B, H].

    ``dh`` [B, H] is the upstream gradient, with any strides; the other arguments are those of ``backward``.
    """
    x, h, Wx, WhT, (B,), relu = tape
    before, state = h[:B], h[B:]
    dot = _product(len(WhT), x.size)

    def times(W: Array) -> Array:
        if _columns_pay(dz, W):
            return np.array(dot(W.T, dz.T.copy()).T, order="C")
        return dot(dz, W)

    with np.errstate(all="ignore"):
        if relu:
            dz = np.array(dh, order="C")
            dz[state <= 0] = 0
        else:
            dz = state * state
            np.subtract(1, dz, dz)
            np.multiply(dz, dh, dz)
        _weight_gradients(x, before, dz, dWx, dWh, db)
        return times(Wx.T), times(WhT)
