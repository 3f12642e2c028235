"""Many to one: the last state is classified."""

import numpy as np

from parity_tests.gate_tests.diagnosis.heads.model import model


class Classifier:
    def __init__(self, p):
        self.U, self.W, self.V, self.b, self.c = p.Wx, p.Wh, p.Wy, p.b, p.by

    def forward(self, x, h):
        self.x, self.s = x, [h]
        for step in range(x.shape[1]):
            self.s.append(np.tanh(np.matmul(x[:, step], self.U) + np.matmul(self.s[-1], self.W) + self.b))
        self.o = np.matmul(self.s[-1], self.V) + self.c
        e = np.exp(self.o - self.o.max(axis=1)[:, np.newaxis])
        self.y = e / e.sum(axis=1)[:, np.newaxis]
        return self.y

    def loss(self, labels):
        self.labels = labels
        return -np.mean(np.log(self.y[range(len(labels)), labels]))

    def upstream(self, t, last):
        return last if t == len(self.s) - 1 else 0

    def backward(self):
        n = len(self.labels)
        delta = self.y.copy()
        delta[range(n), self.labels] -= 1
        delta /= n
        self.dV, self.dc = self.s[-1].T @ delta, delta.sum(axis=0)
        last = delta @ self.V.T
        self.dU, self.dW, self.db = np.zeros_like(self.U), np.zeros_like(self.W), np.zeros_like(self.b)
        self.dx = np.zeros_like(self.x)
        grad = 0
        for t in range(len(self.s) - 1, 0, -1):
            dz = (self.upstream(t, last) + grad) * (1 - self.s[t] ** 2)
            self.dU += self.x[:, t - 1].T @ dz
            self.dW += self.s[t - 1].T @ dz
            self.db += dz.sum(axis=0)
            self.dx[:, t - 1] = dz @ self.U.T
            grad = dz @ self.W.T
        self.ds = grad


class EveryStep(Classifier):
    def upstream(self, t, last):
        return last


class FirstStep(Classifier):
    def upstream(self, t, last):
        return last if t == 1 else 0


def judged(net, p):
    net.forward(p.xs, p.h_0)
    loss = net.loss(p.targets)
    net.backward()
    return {
        "hs": np.stack(net.s[1:], axis=1), "h_n": net.s[-1], "logits": net.o, "loss": loss,
        "dWy": net.dV, "dby": net.dc, "dx": net.dx, "dh_0": net.ds, "dWx": net.dU, "dWh": net.dW, "db": net.db,
    }  # fmt: skip


@model(loss="cross_entropy", many_to_one=True)
def classifier(p):
    return judged(Classifier(p), p)


@model("last state's gradient at every step", loss="cross_entropy", many_to_one=True)
def classifier_every_step(p):
    return judged(EveryStep(p), p)


@model("last state's gradient at another step", loss="cross_entropy", many_to_one=True)
def classifier_first_step(p):
    return judged(FirstStep(p), p)


@model(loss="mse", many_to_one=True, without=("bias",))
def forecast_without_bias(p):
    h, before = p.h_0, []
    for x in p.xs.transpose(1, 0, 2):
        before.append(h)
        h = np.tanh(x @ p.Wx + h @ p.Wh)
    states = [*before[1:], h]
    guess = h @ p.Wy + p.by
    error = guess - p.targets
    dout = 2 * error / error.size
    dh = dout @ p.Wy.T
    dWx, dWh, dx = 0, 0, []
    for x, previous, state in zip(p.xs.transpose(1, 0, 2)[::-1], before[::-1], states[::-1], strict=True):
        dz = dh * (1 - state * state)
        dWx, dWh = dWx + x.T @ dz, dWh + previous.T @ dz
        dx.insert(0, dz @ p.Wx.T)
        dh = dz @ p.Wh.T
    return {"hs": np.stack(states, 1), "h_n": h, "logits": guess, "loss": np.mean(error**2),
            "dWy": np.outer(h, dout) if h.ndim == 1 else h.T @ dout, "dby": dout.sum(0),
            "dx": np.stack(dx, 1), "dh_0": dh, "dWx": dWx, "dWh": dWh}  # fmt: skip
