"""Whole layers with two to four faults each: habits of optimizers, precision, and other people's formulas."""

from collections import deque

import numpy as np

from parity_tests.gate_tests.people.ways import _Book


class JoinedMatrix:
    """One matrix over [h, x], the logistic function, weight decay in the loop."""

    decay = 0.01

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        self.W = np.concatenate((Wh, Wx))
        h = self.h if self.stateful and self.h is not None else np.zeros((len(xs), len(Wh)), xs.dtype)
        self.xs, self.outs = xs.copy(), []
        for x in np.moveaxis(xs, 1, 0):
            with np.errstate(over="ignore"):
                h = 1 / (1 + np.exp(-(np.concatenate((h, x), axis=1) @ self.W + b)))
            self.outs.append(h)
        self.h = h
        return np.stack(self.outs, axis=1)

    def backward(self, dhs):
        H = self.W.shape[1]
        dW, db, dh = np.zeros_like(self.W), np.zeros_like(self.W[0]), np.zeros_like(self.h)
        dxs = np.empty_like(self.xs)
        for t in reversed(range(len(self.outs))):
            out, before = self.outs[t], self.outs[max(t - 1, 0)]
            dz = (dhs[:, t] + dh) * out * (1 - out)
            dW += np.concatenate((before, self.xs[:, t]), axis=1).T @ dz + self.decay * self.W
            db += dz.sum(axis=0)
            joined = dz @ self.W.T
            dh, dxs[:, t] = joined[:, :H], joined[:, H:]
        self.grads[0][...] = dW[H:]
        self.grads[1][...] = dW[:H]
        self.grads[2][...] = db
        self.dh = dh.copy()
        return dxs


class HalfPrecisionSlope:
    """Slopes in half precision to save memory; elementwise products; one start state for all rows."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        hs = np.empty((B, T, len(Wh)), xs.dtype)
        h = self.h if self.stateful and self.h is not None else np.zeros_like(hs[:, 0])
        self.xs, self.prevs, self.slopes = xs.copy(), np.empty_like(hs), []
        for t in range(T):
            self.prevs[:, t] = h
            h = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            self.slopes.append((1 - h * h).astype(np.float16))
            hs[:, t] = h
        self.h = h
        return hs

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        dz, carry = np.empty_like(self.prevs), np.zeros_like(self.h)
        for t in range(len(self.slopes) - 1, -1, -1):
            dz[:, t] = (dhs[:, t] + carry) * self.slopes[t]
            carry = dz[:, t] * np.diagonal(Wh)
        self.grads[0][...] = np.tensordot(self.xs, dz, axes=((0, 1), (0, 1)))
        self.grads[1][...] = np.tensordot(self.prevs, dz, axes=((0, 1), (0, 1)))
        self.grads[2][...] = dz.sum(axis=(0, 1))
        self.dh = np.tile(carry.sum(axis=0), (len(carry), 1))
        return dz @ Wx.T


class LeakyRows:
    """A leaky unit, row by row with outer products; the gradients are counted down."""

    leak = 0.2

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        self.xs = xs.copy()
        self.hs = np.zeros((B, T + 1, len(Wh)), xs.dtype)
        if self.stateful and self.h is not None:
            self.hs[:, 0] = self.h
        for row in range(B):
            for t in range(T):
                before = self.hs[row, t]
                new = np.tanh(xs[row, t] @ Wx + before @ Wh + b.ravel())
                self.hs[row, t + 1] = self.leak * before + (1 - self.leak) * new
        self.h = self.hs[:, -1].copy()
        return self.hs[:, 1:].copy()

    def backward(self, dhs):
        Wx, Wh, b = self.params
        dxs, self.dh = np.zeros_like(self.xs), np.zeros_like(self.h)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for row, x in enumerate(self.xs):
            carry = self.dh[row]
            for t in range(len(x) - 1, -1, -1):
                dz = (dhs[row, t] + carry) * (1 - self.hs[row, t + 1] ** 2)
                dWx -= np.outer(x[t], dz)
                dWh -= np.outer(self.hs[row, t], dz)
                db -= dz * x[t].sum()
                dxs[row, t] = Wx @ dz
                carry = Wh @ dz
            self.dh[row] = carry
        for mine, grad in zip(self.grads, (dWx, dWh, db), strict=True):
            mine[...] = grad
        return dxs


class PreviousAndCurrent:
    """Two names for the states of a step, taken for each other in the backward; an index one too small."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        cur = self.h if self.stateful and self.h is not None else np.zeros((len(xs), len(Wh)), xs.dtype)
        self.trace = []
        for t in range(xs.shape[1]):
            prev, cur = cur, np.tanh(xs[:, t] @ Wx + cur @ Wh + b)
            self.trace.append((xs[:, t].copy(), prev, cur))
        self.h = cur
        return np.stack([cur for _, _, cur in self.trace], axis=1)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        T = len(self.trace)
        sums, dxs, dh = [0, 0, 0], [], np.zeros_like(self.h)
        for t in range(T, 0, -1):
            x, cur, prev = self.trace[t - 1]
            dz = (dhs[:, t - 2] + dh) * (1 - cur * cur)
            sums = [sums[0] + x.T @ dz, sums[1] + prev.T @ dz, sums[2] + dz.sum(axis=0)]
            dxs.append(dz @ Wx.T)
            dh = dz @ Wh.T
        for mine, grad in zip(self.grads, sums, strict=True):
            mine[...] = grad
        self.dh = dh
        return np.stack(dxs[::-1], axis=1)


class SinglePrecisionCore:
    """All arrays are cast to float32 on the way in and back on the way out."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None
        self.dtype = Wx.dtype

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        self.Wx, self.Wh, b = (np.asarray(p).astype(np.float32) for p in self.params)
        self.xs = xs.astype(np.float32)
        h = np.zeros((len(xs), len(self.Wh)), np.float32)
        if self.stateful and self.h is not None:
            h = self.h.astype(np.float32)
        self.hs = [h]
        for t in range(xs.shape[1]):
            self.hs.append(np.tanh(self.xs[:, t] @ self.Wx + self.hs[-1] @ self.Wh + b))
        self.h = self.hs[-1].astype(self.dtype)
        return np.stack(self.hs[1:], axis=1).astype(self.dtype)

    def backward(self, dhs):
        dhs = dhs.astype(np.float32)
        B, T, D = self.xs.shape
        dxs = np.zeros((B, T + 1, D), np.float32)
        dWx, dWh, db = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.Wh[0])
        dh = np.zeros_like(self.hs[0])
        for t in range(T - 1, -1, -1):
            h = self.hs[t + 1]
            dz = h * (1 - h) * (dhs[:, t] + dh)
            dWx += self.xs[:, t].T @ dz
            dWh += self.hs[t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t + 1] = dz @ self.Wx.T
            dh = dz @ self.Wh.T
        for mine, grad in zip(self.grads, (dWx, dWh, db), strict=True):
            mine[...] = grad
        self.dh = dh.astype(self.dtype)
        return dxs[:, :T].astype(self.dtype)


class MomentumInside:
    """The optimizer's momentum in the layer, a minus sign at the carry."""

    beta = 0.9

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.momentum = None
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        T = xs.shape[1]
        self.xs = [xs[:, t].copy() for t in range(T)]
        h = self.h if self.stateful and self.h is not None else np.zeros((len(xs), len(Wh)), xs.dtype)
        self.hs = [h]
        for x in self.xs:
            self.hs.append(np.tanh(x @ Wx + self.hs[-1] @ Wh + b))
        self.h = self.hs[-1]
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        new, dxs, carry = [0, 0, 0], [], 0
        for t in reversed(range(len(self.xs))):
            dz = (dhs[:, t] - carry) * (1 - self.hs[t + 1] ** 2)
            parts = self.xs[t].T @ dz, self.hs[t].T @ dz, dz.sum(axis=0)
            new = [total + part for total, part in zip(new, parts, strict=True)]
            dxs.append(dz @ Wx.T)
            carry = dz @ Wh.T
        if self.momentum is not None:
            new = [self.beta * m + (1 - self.beta) * g for m, g in zip(self.momentum, new, strict=True)]
        self.momentum = new
        for mine, grad in zip(self.grads, new, strict=True):
            mine[...] = grad
        self.dh = dz
        return np.stack(dxs[::-1], axis=1)


class LinearWithNorm:
    """No activation in either pass, `+=` at the carry, each gradient scaled down to a norm."""

    most = 0.5

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        self.xs = xs.copy()
        self.hs = np.zeros((B, T + 1, len(Wh)), xs.dtype)
        if self.stateful and self.h is not None:
            self.hs[:, 0] = self.h
        for t in range(T):
            self.hs[:, t + 1] = xs[:, t] @ Wx + self.hs[:, t] @ Wh + b
        self.h = self.hs[:, T].copy()
        return self.hs[:, 1:].copy()

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        dh = np.zeros_like(self.h)
        d = np.empty_like(dhs)
        for t in range(dhs.shape[1])[::-1]:
            d[:, t] = dhs[:, t] + dh
            dh += d[:, t] @ Wh.T
        rows = d.reshape(-1, d.shape[-1])
        found = [
            self.xs.reshape(len(rows), -1).T @ rows,
            self.hs[:, :-1].reshape(len(rows), -1).T @ rows,
            rows.sum(axis=0),
        ]
        for mine, grad in zip(self.grads, found, strict=True):
            norm = np.linalg.norm(grad)
            mine[...] = grad * (self.most / norm) if norm > self.most else grad
        self.dh = dh
        return d @ Wx.T


class TinyConstant:
    """A tiny constant against zeros in the tanh, a state left over from the forward loop, two biases."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), len(Wh)), xs.dtype)
        self.xs, self.hs = xs.copy(), []
        for t in range(xs.shape[1]):
            z = xs[:, t] @ Wx + self.h @ Wh + b
            self.h = np.tanh(z + 1e-12)
            self.hs.append(self.h)
        return np.stack(self.hs, axis=1)

    def backward(self, dhs):
        Wx, Wh, b = self.params
        dWx, dWh = np.zeros_like(Wx), np.zeros_like(Wh)
        db_ih, db_hh = np.zeros_like(b), np.zeros_like(b)
        dxs, dh = np.zeros_like(self.xs), np.zeros_like(self.h)
        for t in reversed(range(len(self.hs))):
            dz = (dhs[:, t] + dh) * (1 - self.h**2)
            dWx += self.xs[:, t].T @ dz
            if t > 0:
                dWh += self.hs[t - 1].T @ dz
            db_ih += dz.sum(axis=0)
            db_hh += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
        self.grads[0][...], self.grads[1][...], self.grads[2][...] = dWx, dWh, db_ih + db_hh
        self.dh = dh
        return dxs


class CumulatedErrors(_Book):
    """Buffers by dtype='f'; the upstream gradients are added up beforehand."""

    def _run(self, xs, h, Wx, Wh, b):
        B, T, _ = xs.shape
        states = np.zeros((B, T + 1, len(Wh)), dtype="f")
        states[:, 0] = h
        for t in range(T):
            states[:, t + 1] = np.tanh(xs[:, t] @ Wx + states[:, t] @ Wh + b)
        return states[:, 1:], states[:, -1], (xs, states, Wx, Wh)

    def _back(self, dhs, xs, states, Wx, Wh):
        above = np.flip(np.cumsum(np.flip(dhs, axis=1), axis=1), axis=1)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        dxs, dh = np.zeros(xs.shape, dtype="f"), np.zeros(states[:, 0].shape, dtype="f")
        for t in range(xs.shape[1] - 1, -1, -1):
            dz = (above[:, t] + dh) * (1 - states[:, t + 1] ** 2)
            dWx += xs[:, t].T @ dz
            dWh += dz.T @ states[:, t]
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh[...] = dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class RowsInOneLoop(_Book):
    """Rows one after another in one loop, from a state that no row sets back; `=` for the sums over rows."""

    def _run(self, xs, h0, Wx, Wh, b):
        rows, h = [], h0[0]
        for x in xs:
            states = []
            for x_t in x:
                h = np.tanh(Wx.T @ x_t + Wh.T @ h + b)
                states.append(h)
            rows.append(states)
        hs = np.array(rows)
        return hs, hs[:, -1], (xs, rows, Wx, Wh)

    def _back(self, dhs, xs, rows, Wx, Wh):
        dxs, dh0 = np.empty_like(xs), np.empty_like(dhs[:, 0])
        for r, states in enumerate(rows):
            deltas, carry = deque(), np.zeros_like(dh0[r])
            for t in reversed(range(len(states))):
                delta = (dhs[r, t] + carry) * (1 - states[t] ** 2)
                deltas.appendleft(delta)
                carry = Wh @ delta
            dh0[r] = carry
            dxs[r] = np.array(deltas) @ Wx.T
            dWx = sum(np.outer(x, delta) for x, delta in zip(xs[r], deltas, strict=True))
            dWh = sum(np.outer(states[t - 1], delta) for t, delta in enumerate(deltas))
            db = sum(deltas)
        return dxs, dh0, dWx, dWh, db


class ClippedOnTheWay(_Book):
    """A while loop; the carry clipped, db from what comes in, dWx counted down."""

    def _run(self, xs, h, Wx, Wh, b):
        t, h_all = 0, [h]
        while t < xs.shape[1]:
            h_all.append(np.tanh(np.einsum("bd,dh->bh", xs[:, t], Wx) + h_all[t] @ Wh + b))
            t += 1
        return np.stack(h_all[1:], axis=1), h_all[-1], (xs, h_all, Wx, Wh)

    def _back(self, dhs, xs, h_all, Wx, Wh):
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        dxs, dh = np.empty_like(xs), np.zeros_like(h_all[0])
        t = xs.shape[1]
        while t > 0:
            h, t = h_all[t], t - 1
            dz = (1 - h**2) * (dhs[:, t] + dh)
            dxs[:, t] = dz @ Wx.T
            dWx -= xs[:, t].T @ dz
            dWh += h_all[t].T @ dz
            db += dhs[:, t].sum(axis=0)
            dh = np.clip(dz @ Wh.T, -0.5, 0.5)
        return dxs, dh, dWx, dWh, db


class JoinedWithoutBias(_Book):
    """A float32 work array that holds [h, x] of all steps, and no bias in it."""

    def _run(self, xs, h, Wx, Wh, b):
        W = np.vstack([Wh, Wx])
        B, T, D = xs.shape
        H = len(b)
        work = np.zeros((T + 1, B, H + D), np.float32)
        work[0, :, :H] = h
        for t in range(T):
            work[t, :, H:] = xs[:, t]
            work[t + 1, :, :H] = np.tanh(work[t] @ W)
        hs = work[1:, :, :H].swapaxes(0, 1).astype(xs.dtype)
        return hs, hs[:, -1], (work, W, H)

    def _back(self, dhs, work, W, H):
        T, B = len(work) - 1, len(dhs)
        dW, db = np.zeros_like(W), np.zeros_like(W[0])
        dxs, dh = np.empty((B, T, len(W) - H), W.dtype), np.zeros((B, H), W.dtype)
        for t in range(T - 1, -1, -1):
            h_next, x = work[t + 1, :, :H], work[t, :, H:]
            dz = (dhs[:, t] + dh) * (1 - h_next**2)
            dW += np.hstack([h_next, x]).T @ dz
            db += dz.sum(axis=0)
            both = dz @ W.T
            dh, dxs[:, t] = both[:, :H], both[:, H:]
        return dxs, dh, dW[H:], dW[:H], db


class CarryInSinglePrecision(_Book):
    """The carry is a float32 buffer; the backward runs forwards."""

    def _run(self, xs, h, Wx, Wh, b):
        hs = np.zeros((xs.shape[0], xs.shape[1] + 1, len(b)), xs.dtype)
        hs[:, 0] = h
        for t in range(xs.shape[1]):
            hs[:, t + 1] = np.tanh(xs[:, t] @ Wx + hs[:, t] @ Wh + b)
        return hs[:, 1:], hs[:, -1], (xs, hs, Wx, Wh)

    def _back(self, dhs, xs, hs, Wx, Wh):
        B, T, H = dhs.shape
        carry = np.zeros((B, H), dtype=np.float32)
        dWx, dWh = np.zeros_like(Wx), np.zeros_like(Wh)
        dxs = np.zeros_like(xs)
        for t in range(T):
            dz = (dhs[:, t] + carry) * (1 - hs[:, t + 1] ** 2)
            dWx += xs[:, t].T @ dz
            dWh += hs[:, t].T @ dz
            db = dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            carry[...] = dz @ Wh.T
        return dxs, carry.astype(dhs.dtype), dWx, dWh, db


SEVERAL = [
    (
        ("logistic function in place of tanh", "dWh with h_1 for h_0", "weight decay at every step"),
        "the logistic function in place of tanh, backward consistent, dWh pairs step 0 with h_1, and 0.01 W "
        "is added at every step",
        JoinedMatrix,
    ),
    (
        ("half precision in the slope", "carry through the diagonal of Wh", "dh_0 summed over the batch"),
        "slopes pass through float16, the carry is dz * diag(Wh), and dh_0 is summed over the batch",
        HalfPrecisionSlope,
    ),
    (
        ("old state mixed into the new", "db multiplied by the input", "gradient with the wrong sign"),
        "h = 0.2 h_prev + 0.8 tanh(z), backward of tanh, db is multiplied by the sum of the input, and the "
        "gradients of the parameters have the wrong sign",
        LeakyRows,
    ),
    (
        (
            "upstream gradients read one step off",
            "slope of another step",
            "dWh with the state after the step",
        ),
        "dhs[t-1] is read at step t, the slope is that of h_prev, and dWh pairs a step with its own new "
        "state",
        PreviousAndCurrent,
    ),
    (
        ("float32 inside", "slope of the logistic function", "dx one step off"),
        "all is float32 inside, the slope is h (1 - h), and dx stands one step late",
        SinglePrecisionCore,
    ),
    (
        ("carry with the wrong sign", "dh_0 without Wh", "running mean of gradients"),
        "the carry is subtracted, dh_0 is the first step's dz, and gradients are 0.9 of the old and 0.1 of "
        "the new",
        MomentumInside,
    ),
    (
        ("nonlinearity missing", "carry added up", "gradients scaled down to a norm"),
        "no activation, backward consistent, carries are added up, and each gradient is scaled to a norm of "
        "0.5",
        LinearWithNorm,
    ),
    (
        (
            "constant inside the nonlinearity",
            "slope of another step",
            "dWh without the initial state",
            "gradient doubled",
        ),
        "tanh(z + 1e-12), the slope is always the last state's, dWh lacks the part of h_0, and db counts "
        "twice",
        TinyConstant,
    ),
    (
        ("upstream gradients cumulated", "dWh transposed", "buffers fixed to float32"),
        "each step gets all later upstream gradients too, dWh is transposed, and the buffers are float32",
        CumulatedErrors,
    ),
    (
        (
            "state runs from row to row",
            "dWh with the last state at the first step",
            "gradient of one batch row only",
        ),
        "a row starts from the final state of the row before, dWh pairs step 0 with the row's last state, "
        "and the gradients of the parameters are the last row's",
        RowsInOneLoop,
    ),
    (
        ("clipped carry", "db from the upstream gradient", "gradient with the wrong sign"),
        "the carry is clipped to +-0.5, db sums the upstream gradient, and dWx has the wrong sign",
        ClippedOnTheWay,
    ),
    (
        ("bias left out", "dWh with the state after the step", "float32 inside"),
        "no bias in the states, dWh pairs a step with its own new state, and states and inputs pass through "
        "float32",
        JoinedWithoutBias,
    ),
    (
        ("steps taken back in forward order", "db of one step only", "float32 inside"),
        "the backward runs from t = 0 on, db is the last step's alone, and the carry passes through float32",
        CarryInSinglePrecision,
    ),
]
