"""Layers as classes with forward and backward, and params and grads in lists."""

import numpy as np

from parity_tests.gate_tests.diagnosis.heads.model import model


class RNNCell:
    def __init__(self, Wx, Wh, b):
        self.params, self.cache = [Wx, Wh, b], None
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(h_prev @ Wh + x @ Wx + b)
        self.cache = x, h_prev, h_next
        return h_next

    def backward(self, dh_next):
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        for grad, value in zip(self.grads, (x.T @ dt, h_prev.T @ dt, dt.sum(axis=0)), strict=True):
            grad[...] = value
        return dt @ self.params[0].T, dt @ self.params[1].T


class Recurrent:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]

    def forward(self, xs, h):
        self.layers, outs = [], []
        for t in range(xs.shape[1]):
            layer = RNNCell(*self.params)
            h = layer.forward(xs[:, t], h)
            self.layers.append(layer)
            outs.append(h)
        return np.stack(outs, axis=1)

    def backward(self, dhs):
        grads, dxs, dh = [0, 0, 0], [], 0
        for t in reversed(range(dhs.shape[1])):
            dx, dh = self.layers[t].backward(dhs[:, t] + dh)
            dxs.append(dx)
            grads = [a + b for a, b in zip(grads, self.layers[t].grads, strict=True)]
        self.grads, self.dh = grads, dh
        return np.stack(dxs[::-1], axis=1)


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        N, T, _ = x.shape
        self.x = x
        return (x.reshape(N * T, -1) @ self.W + self.b).reshape(N, T, -1)

    def backward(self, dout):
        N, T, V = dout.shape
        dout, rx = dout.reshape(N * T, V), self.x.reshape(N * T, -1)
        self.dW, self.db = rx.T @ dout, dout.sum(axis=0)
        return (dout @ self.W.T).reshape(self.x.shape)


class AffineWithMeanBias(Affine):
    def backward(self, dout):
        dx = super().backward(dout)
        self.db = dout.mean(axis=(0, 1))
        return dx


class AffineFromInitialState(Affine):
    """Reads the state that enters a step."""

    def __init__(self, W, b, h_0):
        super().__init__(W, b)
        self.h_0 = h_0

    def forward(self, x):
        return super().forward(np.concatenate([self.h_0[:, None], x[:, :-1]], axis=1))

    def backward(self, dout):
        dx = super().backward(dout)
        return np.concatenate([dx[:, 1:], np.zeros_like(dx[:, :1])], axis=1)


class AffineWithoutBias(Affine):
    def forward(self, x):
        self.x = x
        return x @ self.W


class SoftmaxWithLoss:
    def forward(self, xs, ts):
        N, T, V = xs.shape
        x = xs.reshape(N * T, V)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.ys, self.ts = e / e.sum(axis=1, keepdims=True), ts.reshape(-1)
        self.shape = N, T, V
        return -np.log(self.ys[np.arange(N * T), self.ts]).sum() / (N * T)

    def backward(self, dout=1):
        N, T, V = self.shape
        dx = self.ys.copy()
        dx[np.arange(N * T), self.ts] -= 1
        return (dx * dout / (N * T)).reshape(N, T, V)


class SafeSoftmaxWithLoss(SoftmaxWithLoss):
    def forward(self, xs, ts):
        super().forward(xs, ts)
        N, T, _ = self.shape
        return -np.sum(np.log(self.ys[np.arange(N * T), self.ts] + 1e-7)) / (N * T)


class ElementwiseSoftmaxWithLoss(SoftmaxWithLoss):
    """The derivative of a logistic unit behind the difference."""

    def backward(self, dout=1):
        return super().backward(dout) * (self.ys * (1 - self.ys)).reshape(self.shape)


class LateTargets(SoftmaxWithLoss):
    def forward(self, xs, ts):
        return super().forward(xs, np.roll(ts, -1, axis=1))


class Language:
    def __init__(self, rnn, affine, criterion):
        self.rnn, self.affine, self.criterion = rnn, affine, criterion

    def answer(self, p):
        hs = self.rnn.forward(p.xs, p.h_0)
        logits = self.affine.forward(hs)
        loss = self.criterion.forward(logits, p.targets)
        dx = self.rnn.backward(self.affine.backward(self.criterion.backward()))
        dWx, dWh, db = self.rnn.grads
        return {
            "hs": hs, "h_n": hs[:, -1], "logits": logits, "loss": loss, "dx": dx, "dh_0": self.rnn.dh,
            "dWx": dWx, "dWh": dWh, "db": db, "dWy": self.affine.dW, "dby": self.affine.db,
        }  # fmt: skip


@model(loss="cross_entropy")
def classes(p):
    return Language(Recurrent(p.Wx, p.Wh, p.b), Affine(p.Wy, p.by), SoftmaxWithLoss()).answer(p)


@model("epsilon inside the logarithm", loss="cross_entropy")
def classes_with_epsilon(p):
    return Language(Recurrent(p.Wx, p.Wh, p.b), Affine(p.Wy, p.by), SafeSoftmaxWithLoss()).answer(p)


@model("loss gradient times p (1 - p)", loss="cross_entropy")
def classes_elementwise(p):
    return Language(Recurrent(p.Wx, p.Wh, p.b), Affine(p.Wy, p.by), ElementwiseSoftmaxWithLoss()).answer(p)


@model("targets one step off", loss="cross_entropy")
def classes_late_targets(p):
    return Language(Recurrent(p.Wx, p.Wh, p.b), Affine(p.Wy, p.by), LateTargets()).answer(p)


@model("dby divided by a size", loss="cross_entropy")
def classes_mean_bias(p):
    return Language(Recurrent(p.Wx, p.Wh, p.b), AffineWithMeanBias(p.Wy, p.by), SoftmaxWithLoss()).answer(p)


@model("logits from the state before", loss="cross_entropy")
def classes_state_before(p):
    affine = AffineFromInitialState(p.Wy, p.by, p.h_0)
    return Language(Recurrent(p.Wx, p.Wh, p.b), affine, SoftmaxWithLoss()).answer(p)


@model("logits bias left out", loss="cross_entropy")
def classes_no_head_bias(p):
    return Language(Recurrent(p.Wx, p.Wh, p.b), AffineWithoutBias(p.Wy, p.by), SoftmaxWithLoss()).answer(p)
