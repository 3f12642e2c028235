"""What rounding may move in a case, measured: the same mathematics, perturbed at every store.

A plain float64 loop, independent of ``rnn_np``'s kernel and of torch, runs a case 1 + 8 times at
once along a leading axis. Run 0 is exact as float64 goes, a second reference; in the others every
stored intermediate value is multiplied by 1 + 2u r with r random in (-1, 1) and u the unit roundoff
of the working precision (Monte Carlo arithmetic), and every product of matrices moved by what the
rounding of its partial sums comes to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from parity_tests._answer import Answer, cell_answer, cell_slices
from parity_tests._case import Case
from parity_tests._inputs import DTYPES, Array, Call

PERTURBED = 8
"""Runs that are perturbed; four leave the small slices to chance."""
RUNS = 1 + PERTURBED
OVERFLOW_MARGIN = 2.0**-20
"""Of the largest float: beyond it an order of operations may overflow where another does not."""


LOST = 1e-3
"""A state that has moved by this much has left the range in which errors grow in proportion: from
then on, and in the gradients that pass through it, eight runs measure nothing."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One call's tensors in every run, [RUNS, ...] each, run 0 unperturbed.

    ``unsure`` says for each tensor which slices the runs cannot speak for: those that a lost state
    reaches, or a gradient near the working precision's largest float.
    """

    runs: Answer
    unsure: Answer


def unit_roundoff(dtype: str) -> float:
    """2^-24 for float32, 2^-53 for float64."""
    return float(np.finfo(DTYPES[dtype]).eps) / 2


def spreads(case: Case, calls: Sequence[Call]) -> list[Spread]:
    """Return every call's tensors, in every run."""
    noise = _Noise(case)
    limit = float(np.finfo(DTYPES[case.dtype]).max) * OVERFLOW_MARGIN
    result: list[Spread] = []
    with np.errstate(all="ignore"):
        for call in calls:
            kept = result[-1] if call.carries else None
            runs, overflow = _run(call, kept.runs["h_n"] if kept else call.h_0, noise, limit)
            lost = np.abs(runs["hs"][1:] - runs["hs"][0]).max(axis=(0, -1), initial=0.0) > LOST
            if kept:
                lost[:, 0] |= kept.unsure["h_n"]
            result.append(Spread(runs, _unsure(np.logical_or.accumulate(lost, axis=1), overflow)))
    if case.layer == "cell":
        return [Spread(cell_answer(s.runs), cell_slices(s.unsure)) for s in result]
    return result


def _unsure(lost: Array, overflow: Array) -> Answer:
    """From [B, T] each: the state lost at this step or before, the gradient too large here."""
    row = lost[:, -1]
    reached = np.logical_or.accumulate(overflow[:, ::-1], axis=1)[:, ::-1] | row[:, None]
    anywhere = np.asarray(reached.any())
    every = dict.fromkeys(("dWx", "dWh", "db"), anywhere)
    return {"hs": lost, "h_n": row, "dx": reached, "dh_0": reached[:, 0], **every}


def _run(call: Call, start: Array | None, noise: "_Noise", limit: float) -> tuple[Answer, Array]:
    """The tensors of every run, and where [B, T] a gradient is beyond ``limit``.

    ``start`` is [B, H] or, carried over, [RUNS, B, H]; arrays are [T, RUNS, B, ...] in here.
    """
    Wx, Wh, b = (np.asarray(w, np.float64) for w in (call.Wx, call.Wh, call.b))
    xs = np.ascontiguousarray(call.xs.transpose(1, 0, 2), np.float64)
    dhs = np.ascontiguousarray(call.dhs.transpose(1, 0, 2), np.float64)
    (T, B, D), H = xs.shape, len(Wh)

    h = np.zeros((T + 1, RUNS, B, H))
    if start is not None:
        h[0] = start
    z = h[1:]
    z[...] = (xs @ Wx)[:, None]
    noise.product(z[:, 1:], _walk(xs, Wx**2)[:, None])
    z += b
    recurrent = np.empty((RUNS, B, H))
    Wh_squared = Wh**2
    for t in range(T):
        np.dot(h[t].reshape(-1, H), Wh, out=recurrent.reshape(-1, H))
        noise.product(recurrent[1:], _walk(h[t, 0], Wh_squared))
        now, perturbed = z[t], z[t, 1:]
        now += recurrent
        noise.relative(perturbed)
        np.tanh(now, out=now)
        noise.absolute(perturbed)  # a tanh made of exponentials errs by about u whatever its size

    slope = 1 - z * z
    noise.relative(slope[:, 1:])
    d, dz = np.empty_like(z), np.empty_like(z)
    carry = np.zeros((RUNS, B, H))
    for t in reversed(range(T)):
        np.add(dhs[t], carry, out=d[t])
        noise.relative(d[t, 1:])
        np.multiply(d[t], slope[t], out=dz[t])
        noise.relative(dz[t, 1:])
        np.dot(dz[t].reshape(-1, H), Wh.T, out=carry.reshape(-1, H))
        noise.product(carry[1:], _walk(dz[t, 0], Wh_squared.T))

    dx = (dz.reshape(-1, H) @ Wx.T).reshape(T, RUNS, B, D)
    noise.product(dx[:, 1:], _walk(dz[:, 0], Wx.T**2)[:, None])
    large = np.any((np.abs(d) > limit) & np.isfinite(d), axis=(1, 3)).T
    rows = noise.partial_sums(_rows(dz))
    before = _rows(h[:-1])
    return (
        {
            "hs": z.transpose(1, 2, 0, 3),
            "h_n": h[-1],
            "dx": dx.transpose(1, 2, 0, 3),
            "dh_0": carry,
            "dWx": xs.reshape(-1, D).T @ rows,
            "dWh": before.transpose(0, 2, 1) @ rows,
            "db": rows.sum(axis=1),
        },
        large,
    )


def _walk(rows: Array, squares: Array) -> Array:
    """Root of the sum of squares of the partial sums of ``rows @ W``, given ``W**2``: they walk at
    random, so that partial sum k has k terms' share of the square."""
    walk: Array = (rows * rows) @ squares
    walk *= rows.shape[-1] / 2
    np.sqrt(walk, out=walk)
    return walk


def _rows(array: Array) -> Array:
    """[T, RUNS, B, H] to [RUNS, T * B, H]."""
    T, _, B, H = array.shape
    return np.ascontiguousarray(array.transpose(1, 0, 2, 3)).reshape(RUNS, T * B, H)


class _Noise:
    """Perturbations of the working precision, the same ones for the same case."""

    def __init__(self, case: Case) -> None:
        self.relative_pool, self.absolute_pool = _pools(unit_roundoff(case.dtype))
        self.position = case.seed * 7919

    def _next(self, pool: Array, size: int) -> Array:
        if size >= len(pool):
            return np.resize(pool, size)
        start = self.position % (len(pool) - size)
        self.position += size
        return pool[start : start + size]

    def relative(self, values: Array) -> None:
        """Multiply every value by its own 1 + 2u r."""
        values *= self._next(self.relative_pool, values.size).reshape(values.shape)

    def absolute(self, values: Array) -> None:
        """Move every value by its own 2u r."""
        values += self._next(self.absolute_pool, values.size).reshape(values.shape)

    def product(self, values: Array, walk: Array) -> None:
        """Perturb a product of matrices: the rounding of its result and of its partial sums."""
        self.relative(values)
        values += self._next(self.absolute_pool, values.size).reshape(values.shape) * walk

    def partial_sums(self, terms: Array) -> Array:
        """Return ``terms`` [RUNS, N, H] such that their sum over N, under whatever factor, carries
        the error of a running sum that is perturbed after every term: term k takes part in the
        partial sums k .. N, hence in their perturbations."""
        result = terms.copy()
        shape = terms[1:].shape
        steps = self._next(self.absolute_pool, terms[1:].size).reshape(shape)
        result[1:] *= 1 + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        return result


@cache
def _pools(u: float) -> tuple[Array, Array]:
    """A stretch of 1 + 2u r and one of 2u r; cases read them from anywhere.

    r is uniform in (-1, -1/2) and (1/2, 1): never so small that float64, where 2u is a step or two,
    rounds the perturbation away in all runs at once.
    """
    raw = np.random.PCG64(2**31 - 1).random_raw(2**20)
    r = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5
    r += np.copysign(0.5, r)
    return 1 + 2 * u * r, 2 * u * r[::-1]
