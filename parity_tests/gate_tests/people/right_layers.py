"""Right sequence layers, each written in another way."""

import numpy as np


class _Shell:
    """Keeps parameters, gradients and state; `play` and `rewind` do the work on copies."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params, self.stateful = [Wx, Wh, b], stateful
        self.grads = [np.zeros_like(a) for a in self.params]
        self._state = self._dstate = self._memo = None

    h = property(lambda self: None if self._state is None else np.copy(self._state))
    dh = property(lambda self: None if self._dstate is None else np.copy(self._dstate))

    def set_state(self, h):
        self._state = None if h is None else np.copy(h)

    def reset_state(self):
        self._state = None

    def forward(self, xs):
        Wx, Wh, b = (np.copy(a) for a in self.params)
        start = np.zeros((xs.shape[0], Wh.shape[0]), Wx.dtype)
        if self.stateful and self._state is not None:
            start[...] = self._state
        hs, self._memo = self.play(np.copy(xs), start, Wx, Wh, b.reshape(-1))
        self._state = hs[:, -1].astype(Wx.dtype)
        return np.array(hs, Wx.dtype, order="C")

    def backward(self, dhs):
        dtype = self.params[0].dtype
        dxs, dstate, *grads = self.rewind(np.copy(dhs), *self._memo)
        for own, new in zip(self.grads, grads, strict=True):
            own[...] = np.asarray(new).reshape(own.shape)
        self._dstate = np.array(dstate, dtype)
        return np.array(dxs, dtype, order="C")


class RowsAndColumns(_Shell):
    """Right: every batch row alone, with column vectors and outer products."""

    def play(self, xs, start, Wx, Wh, b):
        B, T, _ = xs.shape
        s = np.zeros((B, T + 1, len(b)), xs.dtype)
        for r in range(B):
            s[r, 0] = start[r]
            for t in range(T):
                column = Wx.T @ xs[r, t][:, None] + Wh.T @ s[r, t][:, None] + b[:, None]
                s[r, t + 1] = np.tanh(column)[:, 0]
        return s[:, 1:], (xs, s, Wx, Wh)

    def rewind(self, dhs, xs, s, Wx, Wh):
        dxs, dstart = np.zeros_like(xs), np.zeros_like(s[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for r in range(len(xs)):
            back = np.zeros_like(db)[:, None]
            for t in range(xs.shape[1])[::-1]:
                h = s[r, t + 1][:, None]
                dz = (dhs[r, t][:, None] + back) * (1 - h * h)
                dWx += np.outer(xs[r, t], dz)
                dWh += np.outer(s[r, t], dz)
                db += dz[:, 0]
                dxs[r, t] = (Wx @ dz)[:, 0]
                back = Wh @ dz
            dstart[r] = back[:, 0]
        return dxs, dstart, dWx, dWh, db


class OneProduct(_Shell):
    """Right: one matrix over [x, h, 1], bias included."""

    def play(self, xs, start, Wx, Wh, b):
        B, T, _ = xs.shape
        W = np.concatenate([Wx, Wh, b[None]])
        rows, h = [], start
        hs = np.empty((B, T, len(b)), xs.dtype)
        for t in range(T):
            rows.append(np.concatenate([xs[:, t], h, np.ones((B, 1), xs.dtype)], axis=1))
            h = np.tanh(rows[-1] @ W)
            hs[:, t] = h
        return hs, (rows, hs, W, xs.shape[2])

    def rewind(self, dhs, rows, hs, W, D):
        dW, d = np.zeros_like(W), np.zeros_like(hs[:, 0])
        dxs = np.empty((*dhs.shape[:2], D), dhs.dtype)
        for t in reversed(range(len(rows))):
            dz = (1 - hs[:, t] ** 2) * (dhs[:, t] + d)
            dW += rows[t].T @ dz
            drow = dz @ W.T
            dxs[:, t], d = drow[:, :D], drow[:, D:-1]
        return dxs, d, dW[:D], dW[D:-1], dW[-1]


class AllEinsum(_Shell):
    """Right: einsum throughout, not a single matrix product."""

    def play(self, xs, start, Wx, Wh, b):
        z = np.einsum("btd,dh->bth", xs, Wx)
        before = np.empty_like(z)
        for t in range(z.shape[1]):
            before[:, t] = start
            start = z[:, t] = np.tanh(z[:, t] + np.einsum("bk,kh->bh", start, Wh) + b)
        return z, (xs, before, z.copy(), Wx, Wh)

    def rewind(self, dhs, xs, before, hs, Wx, Wh):
        dz, d = np.empty_like(hs), np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1] - 1, -1, -1):
            dz[:, t] = (dhs[:, t] + d) * (1 - hs[:, t] * hs[:, t])
            d = np.einsum("bh,kh->bk", dz[:, t], Wh)
        dWx, dWh = np.einsum("btd,bth->dh", xs, dz), np.einsum("btk,bth->kh", before, dz)
        return np.einsum("bth,dh->btd", dz, Wx), d, dWx, dWh, np.einsum("bth->h", dz)


class _Wide(_Shell):
    wide = np.float64

    def play(self, *args):
        xs, h, Wx, Wh, b = (a.astype(self.wide) for a in args)
        s = [h]
        for t in range(xs.shape[1]):
            s.append(np.tanh(xs[:, t] @ Wx + s[-1] @ Wh + b))
        return np.stack(s[1:], axis=1), (xs, s, Wx, Wh)

    def rewind(self, dhs, xs, s, Wx, Wh):
        dhs, d = dhs.astype(self.wide), np.zeros_like(s[0])
        dxs, dWx, dWh, db = np.empty_like(xs), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for t in reversed(range(xs.shape[1])):
            dz = (dhs[:, t] + d) * (1 - s[t + 1] ** 2)
            dWx, dWh, db = dWx + xs[:, t].T @ dz, dWh + s[t].T @ dz, db + dz.sum(axis=0)
            dxs[:, t], d = dz @ Wx.T, dz @ Wh.T
        return dxs, d, dWx, dWh, db


class DoubleInside(_Wide):
    """Right: float64 inside whatever comes in, cast back at the end."""


class LongDoubleInside(_Wide):
    """Right: longdouble inside, cast back at the end."""

    wide = np.longdouble


class SumsReversed(_Shell):
    """Right: every sum is taken from its other end, over features, batch and time."""

    def play(self, xs, start, Wx, Wh, b):
        xs, Wx = xs[:, :, ::-1].copy(), Wx[::-1].copy()
        s = [start]
        for t in range(xs.shape[1]):
            s.append(np.tanh(b + s[-1][:, ::-1].copy() @ Wh[::-1].copy() + xs[:, t] @ Wx))
        return np.stack(s[1:], axis=1), (xs, s, Wx, Wh)

    def rewind(self, dhs, xs, s, Wx, Wh):
        T, d = xs.shape[1], np.zeros_like(s[0])
        dz = np.empty_like(dhs)
        for t in reversed(range(T)):
            dz[:, t] = (d + dhs[:, t]) * (1 - s[t + 1] ** 2)
            d = dz[:, t, ::-1].copy() @ Wh[:, ::-1].T.copy()
        dxs = dz[..., ::-1].copy() @ Wx[::-1, ::-1].T.copy()
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for t in range(T):  # the sums over time from the front, those over the batch from its end
            turned = dz[::-1, t].copy()
            dWx += xs[::-1, t].T @ turned
            dWh += s[t][::-1].T @ turned
            for row in turned:
                db += row
        return dxs, d, dWx[::-1], dWh, db


class StableExpTanh(_Shell):
    """Right: tanh from expm1 of -2|z|, which neither overflows nor loses digits near 0."""

    @staticmethod
    def tanh(z):
        m = np.expm1(-2 * np.abs(z))
        return np.copysign(-m / (m + 2), z)

    def play(self, xs, start, Wx, Wh, b):
        hs, before = [], []
        for x in xs.swapaxes(0, 1):
            before.append(start)
            start = self.tanh(x @ Wx + start @ Wh + b)
            hs.append(start)
        return np.stack(hs, axis=1), (xs, before, hs, Wx, Wh)

    def rewind(self, dhs, xs, before, hs, Wx, Wh):
        d, dxs, sums = 0, [], [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])]
        for t in range(len(hs) - 1, -1, -1):
            dz = (dhs[:, t] + d) * (1 - np.square(hs[t]))
            for total, part in zip(sums, (xs[:, t].T @ dz, before[t].T @ dz, dz.sum(0)), strict=True):
                total += part
            dxs.append(dz @ Wx.T)
            d = dz @ Wh.T
        return np.stack(dxs[::-1], axis=1), d, *sums


class FusedOverTime(_Shell):
    """Right: one product for all inputs, one for each gradient, [T * B, *] throughout."""

    def play(self, xs, start, Wx, Wh, b):
        B, T, D = xs.shape
        x = np.ascontiguousarray(xs.transpose(1, 0, 2)).reshape(T * B, D)
        s = np.concatenate([start, x @ Wx + b])
        for t in range(1, T + 1):
            now = s[t * B : (t + 1) * B]
            now += s[(t - 1) * B : t * B] @ Wh
            np.tanh(now, out=now)
        return s[B:].reshape(T, B, len(b)).transpose(1, 0, 2), (x, s, Wx, Wh)

    def rewind(self, dhs, x, s, Wx, Wh):
        B, T, H = dhs.shape
        dz = np.ascontiguousarray(dhs.transpose(1, 0, 2)).reshape(T * B, H)
        slope = 1 - s[B:] * s[B:]
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                dz[t * B : (t + 1) * B] += dz[(t + 1) * B : (t + 2) * B] @ Wh.T
            dz[t * B : (t + 1) * B] *= slope[t * B : (t + 1) * B]
        dx = (dz @ Wx.T).reshape(T, B, len(Wx)).transpose(1, 0, 2)
        ones = np.ones((1, T * B), dz.dtype)
        return dx, dz[:B] @ Wh.T, x.T @ dz, s[: T * B].T @ dz, ones @ dz


class FortranBuffers(_Shell):
    """Right: all buffers in Fortran order, [H, B, T], and weights used as W.T @ column block."""

    def play(self, xs, start, Wx, Wh, b):
        B, T, _ = xs.shape
        x = np.asfortranarray(xs.transpose(2, 0, 1))
        s = np.empty((len(b), B, T + 1), xs.dtype, order="F")
        s[:, :, 0] = start.T
        for t in range(T):
            s[:, :, t + 1] = np.tanh(Wx.T @ x[:, :, t] + Wh.T @ s[:, :, t] + b[:, None])
        return s[:, :, 1:].transpose(1, 2, 0), (x, s, np.asfortranarray(Wx), np.asfortranarray(Wh))

    def rewind(self, dhs, x, s, Wx, Wh):
        g = np.asfortranarray(dhs.transpose(2, 0, 1))
        dx = np.empty(x.shape, x.dtype, order="F")
        dWx, dWh = np.zeros_like(Wx), np.zeros_like(Wh)
        db = np.zeros((len(Wh), 1), x.dtype)
        d = np.zeros_like(g[:, :, 0])
        for t in range(x.shape[2] - 1, -1, -1):
            dz = (g[:, :, t] + d) * (1 - s[:, :, t + 1] ** 2)
            dWx += x[:, :, t] @ dz.T
            dWh += s[:, :, t] @ dz.T
            db += dz.sum(axis=1, keepdims=True)
            dx[:, :, t] = Wx @ dz
            d = Wh @ dz
        return dx.transpose(1, 2, 0), d.T, dWx, dWh, db


class Recursion(_Shell):
    """Right: the sequence is its first step and the rest, forward and backward in one descent each."""

    def play(self, xs, start, Wx, Wh, b):
        chain = None

        def descend(t, h, below):
            nonlocal chain
            if t == xs.shape[1]:
                chain = below
                return ()
            new = np.tanh(h @ Wh + (xs[:, t] @ Wx + b))
            return (new, *descend(t + 1, new, (xs[:, t], h, new, below)))

        hs = np.stack(descend(0, start, None), axis=1)
        return hs, (chain, Wx, Wh)

    def rewind(self, dhs, chain, Wx, Wh):
        def climb(link, t, d):
            x, before, h, below = link
            dz = (d + dhs[:, t]) * (1 - h * h)
            own = [x.T @ dz, before.T @ dz, dz.sum(axis=0)]
            if below is None:
                return [dz @ Wx.T], dz @ Wh.T, own
            dxs, dstart, rest = climb(below, t - 1, dz @ Wh.T)
            return [*dxs, dz @ Wx.T], dstart, [a + c for a, c in zip(own, rest, strict=True)]

        dxs, dstart, sums = climb(chain, dhs.shape[1] - 1, np.zeros_like(dhs[:, 0]))
        return np.stack(dxs, axis=1), dstart, *sums


class FactoredSlope(_Shell):
    """Right: dz = d (1 - h)(1 + h), the notebook's formula, with step objects in a list."""

    def play(self, xs, start, Wx, Wh, b):
        steps = []
        for t in range(xs.shape[1]):
            after = np.tanh(np.matmul(start, Wh) + np.matmul(xs[:, t], Wx) + b)
            steps.append({"x": xs[:, t], "before": start, "after": after})
            start = after
        return np.stack([step["after"] for step in steps], axis=1), (steps, Wx, Wh)

    def rewind(self, dhs, steps, Wx, Wh):
        d, dxs = np.zeros_like(dhs[:, 0]), np.empty((*dhs.shape[:2], len(Wx)), dhs.dtype)
        dWx, dWh, db = 0, 0, 0
        for t, step in reversed(list(enumerate(steps))):
            dz = (d + dhs[:, t]) * (1 - step["after"]) * (1 + step["after"])
            dWx, dWh, db = dWx + step["x"].T @ dz, dWh + step["before"].T @ dz, db + dz.sum(axis=0)
            dxs[:, t], d = dz @ Wx.T, dz @ Wh.T
        return dxs, d, dWx, dWh, db


class Blocks(_Shell):
    """Right: products in blocks of 3 features and 2 hidden units, batches in blocks of 2 rows."""

    @staticmethod
    def product(A, B, size=3):
        total = np.zeros((A.shape[0], B.shape[1]), A.dtype)
        for k in range(0, A.shape[1], size):
            for j in range(0, B.shape[1], 2):
                total[:, j : j + 2] += A[:, k : k + size] @ B[k : k + size, j : j + 2]
        return total

    def play(self, xs, start, Wx, Wh, b):
        B, T, _ = xs.shape
        s = np.empty((T + 1, B, len(b)), xs.dtype)
        s[0] = start
        for r in range(0, B, 2):
            part = slice(r, r + 2)
            for t in range(T):
                s[t + 1, part] = np.tanh(self.product(xs[part, t], Wx) + self.product(s[t, part], Wh) + b)
        return s[1:].swapaxes(0, 1), (xs, s, Wx, Wh)

    def rewind(self, dhs, xs, s, Wx, Wh):
        dxs, dstart = np.empty_like(xs), np.empty_like(s[0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for r in range(0, len(xs), 2):
            part = slice(r, r + 2)
            d = np.zeros_like(s[0, part])
            for t in reversed(range(xs.shape[1])):
                dz = (dhs[part, t] + d) * (1 - s[t + 1, part] ** 2)
                dWx += self.product(xs[part, t].T, dz)
                dWh += self.product(s[t, part].T, dz)
                db += dz.sum(axis=0)
                dxs[part, t], d = self.product(dz, Wx.T), self.product(dz, Wh.T)
            dstart[part] = d
        return dxs, dstart, dWx, dWh, db


class DeferredWeights(_Shell):
    """Right: slopes first, then the carries as a Jacobian chain per row, weight gradients last."""

    def play(self, xs, start, Wx, Wh, b):
        z, h = xs @ Wx, start
        s = np.empty((len(xs), z.shape[1] + 1, len(b)), xs.dtype)
        s[:, 0] = h
        for t in range(z.shape[1]):
            h = s[:, t + 1] = np.tanh(z[:, t] + (h @ Wh + b))
        return s[:, 1:], (xs, s, Wx, Wh)

    def rewind(self, dhs, xs, s, Wx, Wh):
        slopes = 1 - s[:, 1:] ** 2
        d = np.zeros_like(dhs)
        T = dhs.shape[1]
        for t in reversed(range(T)):
            d[:, t] = dhs[:, t]
            if t + 1 < T:
                jacobians = slopes[:, t + 1, None, :] * Wh  # [B, H of t, H of t + 1]
                d[:, t] += np.matmul(jacobians, d[:, t + 1, :, None])[:, :, 0]
        dz = d * slopes
        dWx = np.matmul(xs.transpose(0, 2, 1), dz).sum(axis=0)
        dWh = np.matmul(s[:, :-1].transpose(0, 2, 1), dz).sum(axis=0)
        return dz @ Wx.T, dz[:, 0] @ Wh.T, dWx, dWh, dz.sum(axis=(0, 1))


RIGHT_LAYERS = [
    ("rows-columns", "every batch row alone, column vectors and outer products", RowsAndColumns),
    ("one-product", "one matrix over [x, h, 1]", OneProduct),
    ("einsum", "einsum throughout", AllEinsum),
    ("float64-inside", "float64 inside, cast back", DoubleInside),
    ("longdouble-inside", "longdouble inside, cast back", LongDoubleInside),
    ("sums-reversed", "every sum from its other end", SumsReversed),
    ("exp-tanh", "tanh from expm1(-2|z|)", StableExpTanh),
    ("fused", "[T * B, *] throughout, one product for each gradient", FusedOverTime),
    ("fortran", "Fortran-ordered buffers [H, B, T]", FortranBuffers),
    ("recursion", "recursion over a linked chain", Recursion),
    ("factored-slope", "d (1 - h)(1 + h)", FactoredSlope),
    ("blocks", "block-wise products and batches", Blocks),
    ("jacobians", "per-row Jacobian chain, weight gradients last", DeferredWeights),
]
