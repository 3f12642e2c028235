"""Nine ways in which people write a sequence layer, all of them right."""

import numpy as np


class _Book:
    """What all layers here keep: parameters, gradients, state; `_run` and `_back` do the work."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self._h = None
        self._dh = None
        self._tape = None

    @property
    def h(self):
        return None if self._h is None else self._h.copy()

    @property
    def dh(self):
        return None if self._dh is None else self._dh.copy()

    def set_state(self, h):
        self._h = None if h is None else np.array(h, order="C")

    def reset_state(self):
        self._h = None

    def _first(self, B):
        if self.stateful and self._h is not None:
            return self._h.copy()
        return np.zeros((B, self.params[1].shape[0]), self.params[0].dtype)

    def _weights(self):
        Wx, Wh, b = self.params
        return Wx.copy(), Wh.copy(), b.reshape(-1).copy()

    def forward(self, xs):
        hs, last, self._tape = self._run(np.array(xs, order="C"), self._first(len(xs)), *self._weights())
        self._h = np.array(last, order="C")
        return np.array(hs, order="C")

    def backward(self, dhs):
        dxs, dh0, *grads = self._back(np.array(dhs, order="C"), *self._tape)
        self._keep(grads)
        self._dh = np.array(dh0, order="C")
        return np.array(dxs, order="C")

    def _keep(self, grads):
        for mine, new in zip(self.grads, grads, strict=True):
            mine[...] = np.reshape(new, mine.shape)


class _Plain(_Book):
    """A loop over t, arrays [B, T, *], small methods."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh(x @ Wx + h @ Wh + b)

    def _run(self, xs, h, Wx, Wh, b):
        B, T, _ = xs.shape
        hs = np.empty((B, T, len(Wh)), xs.dtype)
        prevs = np.empty_like(hs)
        for t in range(T):
            prevs[:, t] = h
            h = self._step(xs[:, t], h, Wx, Wh, b)
            hs[:, t] = h
        return hs, h, (xs, prevs, hs, Wx, Wh, b)

    def _delta(self, d, h):
        return d * (1 - h**2)

    def _down(self, dz, Wh):
        return dz @ Wh.T

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dh = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t] + dh, hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = self._down(dz, Wh)
        return dxs, dh, dWx, dWh, db


class _TimeMajor(_Book):
    """[T, B, *] inside, inputs projected at once, all weight gradients as one product at the end."""

    def _run(self, xs, h0, Wx, Wh, b):
        x = np.ascontiguousarray(xs.swapaxes(0, 1))
        T, B, D = x.shape
        proj = (x.reshape(T * B, D) @ Wx).reshape(T, B, -1) + b
        s = np.empty((T + 1, B, len(Wh)), x.dtype)
        s[0] = h0
        for t in range(T):
            np.tanh(proj[t] + s[t] @ Wh, out=s[t + 1])
        return s[1:].swapaxes(0, 1), s[T], (x, s, Wx, Wh)

    def _deltas(self, g, s, Wh):
        T = len(g)
        dz = np.empty_like(g)
        carry = np.zeros_like(s[0])
        for t in reversed(range(T)):
            dz[t] = (g[t] + carry) * (1 - s[t + 1] * s[t + 1])
            carry = dz[t] @ Wh.T
        return dz, carry

    def _sums(self, x, s, dz):
        T, B, H = dz.shape
        flat = dz.reshape(T * B, H)
        return x.reshape(T * B, -1).T @ flat, s[:-1].reshape(T * B, H).T @ flat, flat.sum(axis=0)

    def _back(self, dhs, x, s, Wx, Wh):
        dz, dh0 = self._deltas(np.ascontiguousarray(dhs.swapaxes(0, 1)), s, Wh)
        return (dz @ Wx.T).swapaxes(0, 1), dh0, *self._sums(x, s, dz)


class _Columns(_Book):
    """Batch row by batch row, column vectors, W @ x with W = Wx.T, as in textbooks."""

    def _run(self, xs, h0, Wx, Wh, b):
        U, W, c = Wx.T.copy(), Wh.T.copy(), b.reshape(-1, 1)
        B, T, _ = xs.shape
        hs = np.zeros((B, T, len(b)), xs.dtype)
        rows = []
        for r in range(B):
            states = [h0[r].reshape(-1, 1)]
            for t in range(T):
                states.append(np.tanh(U @ xs[r, t].reshape(-1, 1) + W @ states[-1] + c))
                hs[r, t] = states[-1].ravel()
            rows.append(states)
        return hs, hs[:, -1], (xs, rows, U, W, c)

    def _delta(self, d, h):
        return (1 - h * h) * d

    def _down(self, dz, W):
        return W.T @ dz

    def _back(self, dhs, xs, rows, U, W, c):
        dU, dW, dc = np.zeros_like(U), np.zeros_like(W), np.zeros_like(c)
        dxs, dh0 = np.zeros_like(xs), np.zeros_like(dhs[:, 0])
        for r, states in enumerate(rows):
            d_next = np.zeros_like(c)
            for t in reversed(range(len(states) - 1)):
                dz = self._delta(dhs[r, t].reshape(-1, 1) + d_next, states[t + 1])
                dU += dz @ xs[r, t].reshape(1, -1)
                dW += dz @ states[t].T
                dc += dz
                dxs[r, t] = (U.T @ dz).ravel()
                d_next = self._down(dz, W)
            dh0[r] = d_next.ravel()
        return dxs, dh0, dU.T, dW.T, dc


class _Concat(_Book):
    """One weight matrix over [x, h]."""

    def _run(self, xs, h, Wx, Wh, b):
        W = np.vstack([Wx, Wh])
        joined, outs = [], []
        for x in np.moveaxis(xs, 1, 0):
            joined.append(np.hstack([x, h]))
            h = np.tanh(joined[-1] @ W + b)
            outs.append(h)
        return np.stack(outs, axis=1), h, (joined, outs, W, len(Wx))

    def _back(self, dhs, joined, outs, W, D):
        dW, db = np.zeros_like(W), np.zeros_like(W[0])
        dxs, dh = [], np.zeros_like(outs[0])
        for t in reversed(range(len(outs))):
            dz = (dhs[:, t] + dh) * (1 - outs[t] ** 2)
            dW += joined[t].T @ dz
            db += np.sum(dz, axis=0)
            both = dz @ W.T
            dxs.insert(0, both[:, :D])
            dh = both[:, D:]
        return np.stack(dxs, axis=1), dh, dW[:D], dW[D:], db


class _Dicts(_Book):
    """Dictionaries keyed by t, the start state under -1, as in min-char-rnn."""

    def _run(self, xs, h0, Wx, Wh, b):
        x, h = {}, {-1: h0}
        for t in range(xs.shape[1]):
            x[t] = xs[:, t]
            h[t] = np.tanh(np.dot(x[t], Wx) + np.dot(h[t - 1], Wh) + b)
        T = len(x)
        return np.stack([h[t] for t in range(T)], axis=1), h[T - 1], (x, h, Wx, Wh, b)

    def _back(self, dhs, x, h, Wx, Wh, b):
        dx, dWx, dWh, db = {}, np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dhnext = np.zeros_like(h[0])
        for t in reversed(range(len(x))):
            dh = dhs[:, t] + dhnext
            dhraw = (1 - h[t] * h[t]) * dh
            db += dhraw.sum(0)
            dWx += np.dot(x[t].T, dhraw)
            dWh += np.dot(h[t - 1].T, dhraw)
            dx[t] = np.dot(dhraw, Wx.T)
            dhnext = np.dot(dhraw, Wh.T)
        return np.stack([dx[t] for t in range(len(x))], axis=1), dhnext, dWx, dWh, db


class _Cell:
    """One step, with its own gradients, as in the notebook."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(np.matmul(h_prev, Wh) + np.matmul(x, Wx) + b)
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        self.grads[0][...] = np.matmul(x.T, dt)
        self.grads[1][...] = np.matmul(h_prev.T, dt)
        self.grads[2][...] = np.sum(dt, axis=0)
        return np.matmul(dt, Wx.T), np.matmul(dt, Wh.T)


class _Cells(_Book):
    """A list of step layers, as in the notebook."""

    cell = _Cell

    def _run(self, xs, h, Wx, Wh, b):
        cells, outs = [], []
        for t in range(xs.shape[1]):
            cells.append(self.cell(Wx, Wh, b))
            h = cells[-1].forward(xs[:, t, :], h)
            outs.append(h)
        return np.stack(outs, axis=1), h, (cells, xs.shape)

    def _back(self, dhs, cells, shape):
        dxs = np.empty(shape, dhs.dtype)
        dh = np.zeros_like(dhs[:, 0])
        grads = [np.zeros_like(g) for g in cells[0].grads]
        for t in reversed(range(len(cells))):
            dxs[:, t, :], dh = cells[t].backward(dhs[:, t, :] + dh)
            for total, part in zip(grads, cells[t].grads, strict=True):
                total += part
        return dxs, dh, *grads


class _Closures(_Book):
    """Each step leaves a function that takes it back; the list is walked from its end."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = d * (1 - np.square(h))
            return dz @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

        return pull

    def _run(self, xs, h, Wx, Wh, b):
        pulls, outs = [], []
        for x in xs.swapaxes(0, 1):
            new = np.tanh(x @ Wx + h @ Wh + b)
            pulls.append(self._node(x, h, new, Wx, Wh))
            h = new
            outs.append(h)
        return np.stack(outs, axis=1), h, (pulls,)

    def _back(self, dhs, pulls):
        dh, dxs, totals = 0, [], [0, 0, 0]
        for t, pull in reversed(list(enumerate(pulls))):
            dx, dh, *parts = pull(dhs[:, t] + dh)
            dxs.append(dx)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
        return np.stack(dxs[::-1], axis=1), dh, *totals


class _Recursive(_Book):
    """A step calls the next step and gets the carry back from it."""

    def _act(self, z):
        return np.tanh(z)

    def _run(self, xs, h0, Wx, Wh, b):
        def after(t, h):
            if t == xs.shape[1]:
                return []
            new = self._act(xs[:, t] @ Wx + b + h @ Wh)
            return [new, *after(t + 1, new)]

        outs = after(0, h0)
        return np.stack(outs, axis=1), outs[-1], (xs, [h0, *outs], Wx, Wh, b)

    def _carry(self, d, dz, Wh):
        return dz @ Wh.T

    def _back(self, dhs, xs, states, Wx, Wh, b):
        T = xs.shape[1]
        dxs, sums = np.empty_like(xs), [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]

        def carry_into(t):
            """Return the gradient that reaches h_t from later steps."""
            if t == T:
                return np.zeros_like(states[0])
            d = dhs[:, t] + carry_into(t + 1)
            dz = d - d * states[t + 1] ** 2
            sums[0] += xs[:, t].T @ dz
            sums[1] += states[t].T @ dz
            sums[2] += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            return self._carry(d, dz, Wh)

        return dxs, carry_into(0), *sums


class _Einsum(_Book):
    """Everything but the steps themselves by einsum over whole sequences."""

    rule_x, rule_h, rule_b = "btd,bth->dh", "btk,bth->kh", "bth->h"

    def _run(self, xs, h0, Wx, Wh, b):
        z = np.einsum("btd,dh->bth", xs, Wx) + b
        prevs = np.empty_like(z)
        hs = np.empty_like(z)
        for t in range(z.shape[1]):
            prevs[:, t] = hs[:, t - 1] if t else h0
            hs[:, t] = np.tanh(z[:, t] + np.einsum("bk,kh->bh", prevs[:, t], Wh))
        return hs, hs[:, -1], (xs, prevs, hs, Wx, Wh)

    def _errors(self, dhs, hs, Wh):
        deltas = np.zeros_like(hs)
        slopes = 1 - hs**2
        carry = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1])[::-1]:
            deltas[:, t] = slopes[:, t] * (dhs[:, t] + carry)
            carry = np.einsum("bh,kh->bk", deltas[:, t], Wh)
        return deltas, carry

    def _back(self, dhs, xs, prevs, hs, Wx, Wh):
        deltas, dh0 = self._errors(dhs, hs, Wh)
        return (
            np.einsum("bth,dh->btd", deltas, Wx),
            dh0,
            np.einsum(self.rule_x, xs, deltas),
            np.einsum(self.rule_h, prevs, deltas),
            np.einsum(self.rule_b, deltas),
        )
