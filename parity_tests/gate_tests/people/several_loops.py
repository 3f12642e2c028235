"""Whole layers as people write them, two to four faults each: loops over the steps, cells, dictionaries."""

import numpy as np


class LibraryRecurrent:
    """Of a small library: weights by name, and an array of states that has one more than there are steps."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, X):
        p = {name: weight.copy() for name, weight in zip("WUb", self.params, strict=True)}
        n, T, _ = X.shape
        S = np.zeros((n, T + 1, len(p["U"])), X.dtype)
        if self.stateful and self.h is not None:
            S[:, -1] = self.h
        for t in range(T):
            S[:, t] = np.tanh(X[:, t] @ p["W"] + S[:, t - 1] @ p["U"] + p["b"])
        self.h = S[:, T - 1].copy()
        self.kept = X.copy(), S, p
        return S[:, :-1].copy()

    def backward(self, delta):
        X, S, p = self.kept
        grad = {name: np.zeros_like(weight) for name, weight in p.items()}
        accumulated = np.zeros_like(S[:, 0])
        below = np.zeros_like(X)
        for t in reversed(range(X.shape[1])):
            derivative = 1 - np.tanh(S[:, t]) ** 2
            error = derivative * (delta[:, t] + accumulated)
            grad["W"] += X[:, t].T @ error
            grad["U"] += S[:, t - 1].T @ error
            grad["b"] += delta[:, t].sum(axis=0)
            below[:, t] = (derivative * delta[:, t]) @ p["W"].T
            accumulated = error @ p["U"].T
        for mine, name in zip(self.grads, "WUb", strict=True):
            mine[...] = grad[name]
        self.dh = accumulated
        return below


class OneStep:
    """A cell of its own for each step, as in a notebook."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(np.dot(x, Wx) + np.dot(h_prev, Wh) + b)
        self.cache = x, h_prev, h_next
        return h_next

    def backward(self, dh_next):
        Wx, Wh, _ = self.params
        x, _, h_next = self.cache
        N = len(x)
        dt = dh_next * h_next**2
        self.grads[0][...] = np.dot(x.T, dt) / N
        self.grads[1][...] = np.dot(h_next.T, dt) / N
        self.grads[2][...] = np.mean(dt, axis=0)
        return np.dot(dt, Wx.T), np.dot(dt, Wh.T)


class NotebookCells:
    """A list of such cells."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.layers = None
        self.h, self.dh = None, None
        self.stateful = stateful

    def set_state(self, h):
        self.h = np.array(h)

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        B, T, _ = xs.shape
        Wx, Wh, b = (p.copy() for p in self.params)
        H = Wh.shape[0]
        hs = np.empty((B, T, H), dtype=xs.dtype)
        if not self.stateful or self.h is None:
            self.h = np.zeros((B, H), dtype=xs.dtype)
        self.layers = []
        for t in range(T):
            layer = OneStep(Wx, Wh, b)
            self.h = layer.forward(xs[:, t, :].copy(), self.h)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        dxs = [None] * len(self.layers)
        totals = [0, 0, 0]
        dh = 0
        for t, layer in reversed(list(enumerate(self.layers))):
            dxs[t], dh = layer.backward(dhs[:, t, :] + dh)
            totals = [total + grad for total, grad in zip(totals, layer.grads, strict=True)]
        for grad, total in zip(self.grads, totals, strict=True):
            grad[...] = total
        self.dh = dh
        return np.stack(dxs, axis=1)


class CharacterModel:
    """Dictionaries by step, the state before the first under -1, and clipping at the end."""

    def __init__(self, Wxh, Whh, bh, stateful=False):
        self.params = [Wxh, Whh, bh]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = np.copy(h)

    def reset_state(self):
        self.h = None

    def forward(self, inputs):
        Wxh, Whh, bh = self.params
        xs, hs = {}, {}
        start = (
            self.h if self.stateful and self.h is not None else np.zeros((len(inputs), len(Whh)), Whh.dtype)
        )
        hs[-1] = np.copy(start)
        for t in range(inputs.shape[1]):
            xs[t] = np.copy(inputs[:, t])
            hs[t] = np.tanh(np.dot(xs[t], Wxh) + np.dot(hs[t - 1], Whh) + bh)
        self.tape = xs, hs, Wxh.copy(), Whh.copy()
        self.h = hs[len(xs) - 1].copy()
        return np.stack([hs[t] for t in range(len(xs))], axis=1)

    def backward(self, douts):
        xs, hs, Wxh, Whh = self.tape
        dWxh, dWhh = np.zeros_like(Wxh), np.zeros_like(Whh)
        dhnext = np.zeros_like(hs[0])
        dxs = {}
        for t in reversed(range(len(xs))):
            dh = douts[:, t] + dhnext
            dhraw = (1 - hs[t] * hs[t]) * dh
            dbh = dhraw.sum(axis=0)
            dWxh += np.dot(xs[t].T, dhraw)
            dWhh += np.dot(hs[t - 1].T, dhraw)
            dxs[t] = np.dot(dhraw, Wxh.T)
            dhnext = np.dot(dhraw, Whh)
        for mine, dparam in zip(self.grads, [dWxh, dWhh, dbh], strict=True):
            np.clip(dparam, -1, 1, out=dparam)
            mine[...] = dparam
        self.dh = dhnext
        return np.stack([dxs[t] for t in range(len(xs))], axis=1)


class ColumnSamples:
    """One sample at a time, column vectors, the gradients scaled down to a norm at the end."""

    threshold = 1.0

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        self.U, self.V, c = Wx.T.copy(), Wh.T.copy(), b.reshape(-1, 1)
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), len(c)), xs.dtype)
        self.inputs, self.states = [], []
        for sample, first in zip(xs, self.h, strict=True):
            h = first.reshape(-1, 1)
            inputs, states = [], []
            for x in sample:
                inputs.append(x.reshape(-1, 1).copy())
                h = np.tanh(self.U @ inputs[-1] + self.V @ h + c)
                states.append(h)
            self.inputs.append(inputs)
            self.states.append(states)
        hs = np.array(self.states)[..., 0]
        self.h = hs[:, -1].copy()
        return hs

    def backward(self, dhs):
        U, V = self.U, self.V
        dU, dV, dc = np.zeros_like(U), np.zeros_like(V), np.zeros_like(V[:, :1])
        dxs, self.dh = [], np.zeros_like(self.h)
        for row, (inputs, states) in enumerate(zip(self.inputs, self.states, strict=True)):
            d_next, dx = np.zeros_like(dc), []
            for t in reversed(range(len(states))):
                dh = dhs[row, t].reshape(-1, 1) + d_next
                df = (1 - np.abs(states[t])) * dh
                dU += df @ inputs[t].T
                dV += df @ states[t - 1].T
                dc += df
                dx.insert(0, (U.T @ df)[:, 0])
                d_next = V.T @ df
            dxs.append(dx)
            self.dh[row] = dh[:, 0]
        norm = np.sqrt(sum(np.sum(g * g) for g in (dU, dV, dc)))
        rate = self.threshold / norm if norm > self.threshold else 1
        for mine, g in zip(self.grads, (dU.T, dV.T, dc.T), strict=True):
            mine[...] = (g * rate).reshape(mine.shape)
        return np.array(dxs)


class PreallocatedBuffers:
    """Buffers made beforehand, by dtype='f'."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        H = Wh.shape[0]
        self.xs = np.array(xs)
        self.before = np.empty((T, B, H), dtype="f")
        self.after = np.empty((T, B, H), dtype="f")
        hs = np.empty((B, T, H), dtype="f")
        h = self.h if self.stateful and self.h is not None else np.zeros((B, H), dtype="f")
        for t in range(T):
            self.before[t] = h
            h = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            self.after[t] = h
            hs[:, t] = h
        self.h = h
        return hs

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        dxs = np.empty(self.xs.shape, dtype="f")
        dWx, dWh, db = 0, np.zeros_like(Wh), 0
        dz = np.zeros(self.after.shape[1:], dtype="f")
        for t in range(len(self.after) - 1, -1, -1):
            dWh += self.before[t].T @ dz
            dz = dhs[:, t] * (1 - self.after[t] ** 2)
            dWx = dWx + self.xs[:, t].T @ dz
            db = db + dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            self.dh = dz @ Wh.T
        self.grads[0][...], self.grads[1][...], self.grads[2][...] = dWx, dWh, db
        return dxs


class BrokenLines:
    """A sum broken over lines; the bias's gradient as a product with ones."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def step(self, x, h):
        Wx, Wh, b = self.params
        net = np.matmul(x, Wx)
        +np.matmul(h, Wh)
        +b  # noqa: B018
        return np.tanh(net)

    def forward(self, xs):
        B, T, _ = xs.shape
        if self.h is None or not self.stateful:
            self.h = np.zeros((B, self.params[1].shape[0]), xs.dtype)
        self.history = []
        for t in range(T):
            x, before = xs[:, t].copy(), self.h
            self.h = self.step(x, before)
            self.history.append((x, before, self.h))
        return np.stack([after for _, _, after in self.history], axis=1)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        for grad in self.grads:
            grad.fill(0)
        dxs = []
        dh = np.zeros_like(self.h)
        for t, (x, before, after) in reversed(list(enumerate(self.history))):
            d = dhs[:, t] + dh
            dz = (d + dh) * (1 - after**2)
            self.grads[0] += x.T @ dz
            self.grads[1] += before.T @ dz
            self.grads[2] += (np.ones_like(x).T @ dz).sum(axis=0)
            dxs.append(dz @ Wx.T)
            dh = dz @ Wh.T
        self.dh = dh
        return np.stack(dxs[::-1], axis=1)


class ManyToOne:
    """Written for the error of the last output, and a list of states without the one before them."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful = stateful
        self.h, self.dh = None, None

    def set_state(self, h):
        self.h = np.array(h)

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        h = np.zeros((len(xs), len(Wh)), xs.dtype)
        if self.stateful and self.h is not None:
            h = self.h
        self.xs, self.states = xs.copy(), []
        for t in range(xs.shape[1]):
            h = np.tanh(self.xs[:, t].dot(Wx) + h.dot(Wh) + b)
            self.states.append(h)
        self.h = h
        return np.array(self.states).transpose(1, 0, 2).copy()

    def backward(self, dhs):
        Wx, Wh, b = self.params
        gx, gh, gb = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dxs = np.empty_like(self.xs)
        error = dhs[:, -1]
        for t in reversed(range(len(self.states))):
            raw = error * (1 - self.states[t] ** 2)
            gx += self.xs[:, t].T.dot(raw)
            gh += self.states[max(t - 1, 0)].T.dot(raw)
            gb += raw.sum(axis=0)
            dxs[:, t] = raw.dot(Wx.T)
        for grad, g in zip(self.grads, (gx, gh, gb), strict=True):
            grad[...] = g
        self.dh = raw.dot(Wh.T)
        return dxs


class WindowOfSteps:
    """The bias as the weights of an input of ones; each output goes back over a window of steps."""

    trunc = 3

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        self.U, self.W = np.vstack([Wx, b.reshape(1, -1)]), Wh.copy()
        self.X = np.concatenate([xs, np.ones_like(xs[:, :, :1])], axis=2)
        self.S = np.zeros((B, T + 1, len(Wh)), xs.dtype)
        if self.stateful and self.h is not None:
            self.S[:, -1] = self.h
        for t in range(T):
            self.S[:, t] = np.tanh(self.X[:, t] @ self.U + self.S[:, t - 1] @ self.W)
        self.h = self.S[:, -2].copy()
        return self.S[:, :-1].copy()

    def slope(self, t):
        return 1 - self.S[:, t] ** 2

    def backward(self, dhs):
        gU, gW = np.zeros_like(self.U), np.zeros_like(self.W)
        below, self.dh = np.zeros_like(self.X), np.zeros_like(self.h)
        for t in reversed(range(self.X.shape[1])):
            d = dhs[:, t] * self.slope(t)
            below[:, t] = d @ self.U.T
            for s in reversed(range(max(0, t - self.trunc), t + 1)):
                gU += self.X[:, s].T @ d
                gW += self.S[:, s - 1].T @ d
                through = d @ self.W.T
                if s == 0:
                    self.dh += through
                d = through * self.slope(s - 1)
        self.grads[0][...] = gU[:-1]
        self.grads[1][...] = gW
        self.grads[2][...] = gU[-1]
        return below[:, :, :-1].copy()


class TwoNamesForTheState:
    """`set_state` writes an attribute that nobody reads."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h0 = self.h = self.dh = None

    def set_state(self, h):
        self.h0 = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        if not self.stateful or self.h is None or len(self.h) != B:
            self.h = np.zeros((B, Wh.shape[1]), Wh.dtype)
        self.x, self.prev, self.out = xs.copy(), [], []
        for t in range(T):
            self.prev.append(self.h)
            self.h = np.tanh(np.dot(xs[:, t], Wx) + np.dot(self.h, Wh) + b)
            self.out.append(self.h)
        return np.stack(self.out, axis=1)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        for grad in self.grads:
            grad[...] = 0
        dxs, carry = np.zeros_like(self.x), np.zeros_like(self.h)
        for t in range(len(self.out) - 1, -1, -1):
            local = 1 - self.out[t] * self.out[t]
            d = local * (dhs[:, t] + carry)
            dz = local * d
            self.grads[0] += np.dot(self.x[:, t].T, dz)
            self.grads[1] += np.dot(self.prev[t].T, dz)
            self.grads[2] += dz.sum(axis=0)
            dxs[:, t] = np.dot(dz, Wx.T)
            carry = np.dot(dz, Wh.T)
        self.dh = carry + dhs[:, 0]
        return dxs


class MaskedOutputs:
    """A mask says which outputs have an error, and it is the last one's."""

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
        first = np.zeros((xs.shape[0], Wh.shape[0]), xs.dtype)
        if self.stateful and self.h is not None:
            first = self.h
        self.xs = np.array(xs)
        self.states = [first]
        for x in self.xs.swapaxes(0, 1):
            self.states.append(np.tanh(x @ Wx + self.states[-1] @ Wh + b))
        self.h = self.states[-1]
        self.mask = np.zeros((1, xs.shape[1], 1), bool)
        self.mask[:, -1] = True
        return np.stack(self.states[1:], axis=1)

    def backward(self, dhs):
        Wx, Wh, b = self.params
        errors = np.where(self.mask, dhs, 0)
        dxs, self.dh = np.zeros_like(self.xs), np.zeros_like(self.h)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        back = np.zeros_like(self.h)
        for t in range(len(self.states) - 2, -1, -1):
            total = errors[:, t] + back
            total[self.states[t + 1] <= 0] = 0
            dWx += self.xs[:, t].T @ total
            dWh += self.states[t].T @ total
            db += total.sum(axis=0)
            dxs[:, t] = total @ Wx.T
            back = total @ Wh.T
        self.grads[0][...], self.grads[1][...], self.grads[2][...] = dWx, dWh, db
        return dxs


class FlatGradients:
    """All gradients in one vector; blocks are turned until their shape fits."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.flat = np.zeros(Wx.size + Wh.size + b.size, Wx.dtype)
        ends = np.cumsum([p.size for p in self.params])
        self.grads = [
            self.flat[end - p.size : end].reshape(p.shape) for p, end in zip(self.params, ends, strict=True)
        ]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), len(Wh)), xs.dtype)
        self.steps = []
        for t in range(xs.shape[1]):
            h = np.tanh(xs[:, t] @ Wx + self.h @ Wh + b)
            self.steps.append((xs[:, t].copy(), self.h, h))
            self.h = h
        return np.stack([h for *_, h in self.steps], axis=1)

    def collect(self, number, block):
        mine = self.grads[number]
        mine += block if block.shape == mine.shape else block.T

    def backward(self, dhs):
        Wx = self.params[0]
        dh, dxs = 0, []
        for t in range(len(self.steps))[::-1]:
            x, h_prev, h = self.steps[t]
            dz = (dhs[:, t] + dh) * (1 - h**2)
            self.collect(0, dz.T @ x)
            self.collect(1, h_prev.T @ dz)
            self.collect(2, dz.sum(axis=0).reshape(self.grads[2].shape))
            dxs.append(dz @ Wx.T)
            dh = dz
        self.dh = dh
        return np.stack(dxs[::-1], axis=1)


class StatesOfAGenerator:
    """A generator yields the states, always from the same one."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def unroll(self, xs, h):
        Wx, Wh, b = self.params
        for t in range(xs.shape[1]):
            h_new = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            yield h_new

    def forward(self, xs):
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), self.params[1].shape[0]), xs.dtype)
        self.xs = xs.copy()
        self.states = [self.h, *self.unroll(self.xs, self.h)]
        self.h = self.states[-1]
        return np.stack(self.states[1:], axis=1)

    def backward(self, dhs):
        Wx, Wh, b = self.params
        dhs = dhs / dhs.shape[0]
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dh = np.zeros_like(self.h)
        for t in reversed(range(dhs.shape[1])):
            dxs = np.zeros_like(self.xs)
            dz = (dhs[:, t] + dh) * (1 - self.states[t + 1] ** 2)
            dWx += self.xs[:, t].T @ dz
            dWh += self.states[t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
        for mine, grad in zip(self.grads, (dWx, dWh, db), strict=True):
            mine[...] = grad
        self.dh = dh
        return dxs


SEVERAL = [
    (
        ("tanh taken again in the slope", "db from the upstream gradient", "dx without the carry"),
        "the slope takes the tanh of the state once more, db sums the upstream gradient, and dx lacks the "
        "carry",
        LibraryRecurrent,
    ),
    (
        ("slope h^2", "dWh with the state after the step", "gradients divided by the batch size"),
        "the slope is h^2, dWh pairs a step with its own new state, and the gradients are means over the "
        "batch",
        NotebookCells,
    ),
    (
        ("carry through Wh not transposed", "db of one step only", "clipped gradients"),
        "the carry goes through Wh, db is step 0's alone, and the gradients are clipped to +-1",
        CharacterModel,
    ),
    (
        (
            "slope 1 - |h|",
            "dWh with the last state at the first step",
            "dh_0 without Wh",
            "gradients scaled down to a norm",
        ),
        "the slope is 1 - |h|, dWh pairs step 0 with the last state, dh_0 is the first step's d, and the "
        "gradients are scaled down to a common norm of 1",
        ColumnSamples,
    ),
    (
        ("carry dropped", "dWh with the dz of another step", "buffers fixed to float32"),
        "no carry, dWh takes the dz of the step after, and hs and dxs are float32",
        PreallocatedBuffers,
    ),
    (
        ("sum broken over lines", "carry doubled", "db times a size"),
        "the recurrent term and the bias are lost, the carry is added twice, and db is D times too large",
        BrokenLines,
    ),
    (
        ("last upstream gradient at every step", "carry dropped", "dWh with h_1 for h_0"),
        "every step gets the last upstream gradient and no carry, and dWh pairs step 0 with h_1",
        ManyToOne,
    ),
    (
        ("truncated backpropagation", "dx without the carry"),
        "each output's gradient goes back four steps at most, and dx is that of its own output",
        WindowOfSteps,
    ),
    (
        ("initial state ignored", "slope applied twice", "dh_0 with an upstream gradient"),
        "a state that is set has no effect, the slope is squared, and dh_0 has the first upstream gradient "
        "added",
        TwoNamesForTheState,
    ),
    (
        ("only the last upstream gradient used", "slope of relu under tanh", "gradient left at zero"),
        "only the last upstream gradient is used, the slope is that of relu, and dh_0 is never filled",
        MaskedOutputs,
    ),
    (
        ("carry without Wh", "dWx transposed where it is square", "gradients accumulate over calls"),
        "the carry is dz, dWx is transposed where D = H, and the gradients add up over the calls",
        FlatGradients,
    ),
    (
        ("state never advances", "upstream gradient divided by the batch size", "dx of one step only"),
        "every step starts from h_0, the upstream gradient is divided by B, and dx holds step 0 alone",
        StatesOfAGenerator,
    ),
]
