"""Sequence layers with a fault in the nonlinearity or its derivative."""

import numpy as np

from parity_tests.gate_tests.people.ways import (
    _Book,
    _Cell,
    _Cells,
    _Closures,
    _Columns,
    _Dicts,
    _Einsum,
    _Plain,
    _TimeMajor,
)


class _NoUpstreamCell(_Cell):
    def backward(self, dh_next):
        return super().backward(np.ones_like(dh_next))


class NotebookRNN(_Cells):
    """dt = 1 - h^2, the upstream gradient is never multiplied in (cells)."""

    cell = _NoUpstreamCell


class TextbookColumnsNoUpstream(_Columns):
    """dz = 1 - h^2 in a column-vector loop."""

    def _delta(self, d, h):
        return 1 - h * h


def _activate(value, derivative=False):
    return 1 - value**2 if derivative else np.tanh(value)


class ForgotDerivativeFlag(_Plain):
    """The activation itself, tanh(h), where derivative=True was forgotten."""

    def _delta(self, d, h):
        return d * _activate(h)


class DeltaTimesOutput(_Einsum):
    """d * h instead of d * (1 - h^2)."""

    def _errors(self, dhs, hs, Wh):
        deltas = np.zeros_like(hs)
        carry = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1])[::-1]:
            deltas[:, t] = hs[:, t] * (dhs[:, t] + carry)
            carry = np.einsum("bh,kh->bk", deltas[:, t], Wh)
        return deltas, carry


class TangentSlope(_Plain):
    """1 + h^2."""

    def _delta(self, d, h):
        return d * (1 + h**2)


class DividedSlope(_Columns):
    """d / (1 - h^2)."""

    def _delta(self, d, h):
        return d / (1 - h * h)


class HalfCoveredTanh(_Book):
    """tanh(x Wx + b) + h Wh, with the backward of just that."""

    def _run(self, xs, h, Wx, Wh, b):
        B, T, _ = xs.shape
        acts, prevs, hs = (np.empty((B, T, len(Wh)), xs.dtype) for _ in range(3))
        for t in range(T):
            prevs[:, t] = h
            acts[:, t] = np.tanh(xs[:, t] @ Wx + b)
            h = hs[:, t] = acts[:, t] + h @ Wh
        return hs, h, (xs, acts, prevs, Wx, Wh, b)

    def _back(self, dhs, xs, acts, prevs, Wx, Wh, b):
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dxs, d = np.empty_like(xs), np.zeros_like(prevs[:, 0])
        for t in reversed(range(xs.shape[1])):
            d = d + dhs[:, t]
            da = d * (1 - acts[:, t] ** 2)
            dWx += xs[:, t].T @ da
            db += da.sum(axis=0)
            dWh += prevs[:, t].T @ d
            dxs[:, t] = da @ Wx.T
            d = d @ Wh.T
        return dxs, d, dWx, dWh, db


class ParenthesisTooEarly(_Plain):
    """A parenthesis closed too early, np.tanh(x @ Wx) + h @ Wh + b; backward as for the right one."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh(x @ Wx) + h @ Wh + b


class SigmoidSlope(_TimeMajor):
    """The logistic's derivative h (1 - h) under a tanh."""

    def _deltas(self, g, s, Wh):
        dz, carry = np.empty_like(g), 0
        for t in reversed(range(len(g))):
            dz[t] = (g[t] + carry) * s[t + 1] * (1 - s[t + 1])
            carry = dz[t] @ Wh.T
        return dz, carry


class SlopeAtPreactivation(_Book):
    """1 - z^2, the derivative's formula fed with z instead of h."""

    def _run(self, xs, h, Wx, Wh, b):
        zs, states = [], [h]
        for t in range(xs.shape[1]):
            zs.append(xs[:, t].dot(Wx) + states[-1].dot(Wh) + b)
            states.append(np.tanh(zs[-1]))
        return np.stack(states[1:], axis=1), states[-1], (xs, zs, states, Wx, Wh, b)

    def _back(self, dhs, xs, zs, states, Wx, Wh, b):
        gx, gh, gb = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dxs, dh = np.zeros_like(xs), np.zeros_like(states[0])
        for t in range(len(zs) - 1, -1, -1):
            dz = (dhs[:, t] + dh) * (1 - zs[t] ** 2)
            gx, gh, gb = gx + xs[:, t].T.dot(dz), gh + states[t].T.dot(dz), gb + dz.sum(0)
            dxs[:, t], dh = dz.dot(Wx.T), dz.dot(Wh.T)
        return dxs, dh, gx, gh, gb


class TanhAgainInSlope(_Plain):
    """1 - tanh(h)^2, the tanh taken once more on what is already its value."""

    def _delta(self, d, h):
        return d * (1 - np.tanh(h) ** 2)


class SlopeSquareLost(_Closures):
    """1 - h, the square forgotten."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = d * (1 - h)
            return dz @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

        return pull


class SlopeOfPreviousState(_Dicts):
    """The slope of h_{t-1} where that of h_t belongs."""

    def _back(self, dhs, x, h, Wx, Wh, b):
        dx, dWx, dWh, db = {}, np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dhnext = np.zeros_like(h[0])
        for t in reversed(range(len(x))):
            dhraw = (1 - h[t - 1] * h[t - 1]) * (dhs[:, t] + dhnext)
            db += dhraw.sum(0)
            dWx += np.dot(x[t].T, dhraw)
            dWh += np.dot(h[t - 1].T, dhraw)
            dx[t] = np.dot(dhraw, Wx.T)
            dhnext = np.dot(dhraw, Wh.T)
        return np.stack([dx[t] for t in range(len(x))], axis=1), dhnext, dWx, dWh, db


class SlopeMissing(_Plain):
    """No derivative of the nonlinearity at all, dz = d."""

    def _delta(self, d, h):
        return d


class SlopeWithEpsilon(_Plain):
    """1 - h^2 + 1e-3 'for stability'."""

    def _delta(self, d, h):
        return d * (1 - h**2 + 1e-3).astype(d.dtype)


LAYERS = [
    ("upstream-dropped", "dt = 1 - h^2, upstream gradient never multiplied in (cells)", NotebookRNN),
    ("upstream-dropped", "dz = 1 - h^2 in a loop over rows with column vectors", TextbookColumnsNoUpstream),
    ("slope-is-h", "tanh(h) as slope: derivative=True was forgotten", ForgotDerivativeFlag),
    ("slope-is-h", "d * h instead of d * (1 - h^2)", DeltaTimesOutput),
    ("slope-wrong-formula", "slope 1 + h^2", TangentSlope),
    ("slope-wrong-formula", "d / (1 - h^2)", DividedSlope),
    ("tanh-around-one-summand", "tanh(x Wx + b) + h Wh, backward consistent", HalfCoveredTanh),
    (
        "tanh-around-one-summand",
        "tanh(x Wx) + h Wh + b in the forward, backward of the right cell",
        ParenthesisTooEarly,
    ),
    ("slope-sigmoid", "slope h (1 - h) under a tanh", SigmoidSlope),
    ("slope-z", "slope 1 - z^2", SlopeAtPreactivation),
    ("slope-tanh-h", "slope 1 - tanh(h)^2", TanhAgainInSlope),
    ("slope-no-square", "slope 1 - h", SlopeSquareLost),
    ("slope-h-prev", "slope of h_{t-1} instead of h_t", SlopeOfPreviousState),
    ("slope-none", "no slope at all, dz = d", SlopeMissing),
    ("slope-eps", "slope 1 - h^2 + 1e-3", SlopeWithEpsilon),
]
