"""Layers that keep a record for each step: a stack, counters, dictionaries, a dataclass."""

from dataclasses import dataclass

import numpy as np


class PoppedCaches:
    """The forward pushes what it knows, the backward pops it."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None
        self.caches = []

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = (p.copy() for p in self.params)
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), len(Wh)), xs.dtype)
        self.caches, hs = [], []
        for t in range(xs.shape[1]):
            h_prev, x = self.h, xs[:, t].copy()
            self.h = np.tanh(x @ Wx + h_prev @ Wh + b)
            self.caches.append((x, h_prev, self.h, Wx, Wh))
            hs.append(self.h)
        return np.stack(hs, axis=1)

    def backward(self, dhs):
        for grad in self.grads:
            grad *= 0
        caches, dxs, dh = list(self.caches), [], 0
        for dh_t in dhs.swapaxes(0, 1)[::-1]:
            x, h_prev, h, Wx, Wh = caches.pop(0)
            dz = (dh + dh_t) * (1 - h**2)
            self.grads[0] += x.T @ dz
            self.grads[1] += h_prev.T @ dz
            self.grads[2] += dz.sum(axis=0)
            dxs.append(dz @ Wx.T)
            dh = dz @ Wh.T
        self.dh = dh
        return np.stack(dxs[::-1], axis=1)


class WhileSteps:
    """Counters and while loops, as in another language."""

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
        self.xs = xs
        self.out = np.zeros((B, T, H), dtype=xs.dtype)
        self.initial = np.zeros((B, H), dtype=xs.dtype)
        if self.stateful and self.h is not None:
            self.initial = self.h
        current = self.initial
        t = 0
        while t < T:
            current = np.tanh(xs[:, t] @ Wx + current @ Wh + b)
            self.out[:, t] = current
            t += 1
        self.h = current
        return self.out.copy()

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), 0
        dx = np.zeros(self.xs.shape, dhs.dtype)
        flow = np.zeros_like(self.initial)
        t = dhs.shape[1] - 1
        while t > 0:
            flow = (flow + dhs[:, t]) * (1 - self.out[:, t] ** 2)
            previous = self.out[:, t - 1] if t > 0 else self.initial
            dWx += self.xs[:, t].T @ flow
            dWh += previous.T @ flow
            db = db + flow.sum(axis=0)
            dx[:, t] = flow @ Wx.T
            flow = flow @ Wh.T
            t -= 1
        self.grads[0][...] = dWx
        self.grads[1][...] = dWh
        self.grads[2][...] = db
        self.dh = flow
        return dx


class KeyedByTime:
    """Dictionaries whose keys are the times 1 to T; at time 0 there is the initial state alone."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        self.T = xs.shape[1]
        self.x = {t: xs[:, t - 1] for t in range(1, self.T + 1)}
        self.s = {0: np.zeros((len(xs), len(Wh)), xs.dtype)}
        if self.stateful and self.h is not None:
            self.s[0] = self.h
        for t in self.x:
            self.s[t] = np.tanh(np.dot(self.x[t], Wx) + np.dot(self.s[t - 1], Wh) + b)
        self.h = self.s[self.T]
        return np.stack([self.s[t] for t in self.x], axis=1)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        grad = {"Wx": 0, "Wh": 0, "b": 0}
        delta, back = {}, {self.T: np.zeros_like(self.s[0])}
        for t in range(self.T, 0, -1):
            delta[t] = (dhs[:, t - 1] + back[t]) * (1 - self.s[t] ** 2)
            back[t - 1] = np.dot(delta[t], Wh.T)
        for t in delta:
            grad["Wx"] = grad["Wx"] + np.dot(self.x[t].T, delta[t])
            grad["Wh"] = grad["Wh"] + np.dot(self.s[t].T, delta[t])
            grad["b"] = grad["b"] + delta[t].sum(axis=0)
        for mine, name in zip(self.grads, ("Wx", "Wh", "b"), strict=True):
            mine[...] = grad[name]
        self.dh = back[1]
        return np.stack([np.dot(delta[t], Wx.T) for t in self.x], axis=1)


@dataclass
class Step:
    """What a step leaves for the backward pass."""

    x: np.ndarray
    before: np.ndarray
    after: np.ndarray
    slope: np.ndarray


class DataclassSteps:
    """A list of records."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None
        self.steps: list[Step] = []

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        before = self.h if self.stateful else None
        if before is None:
            before = np.zeros((xs.shape[0], Wh.shape[1]), xs.dtype)
        self.steps = []
        for x in xs.transpose(1, 0, 2):
            after = np.tanh(x @ Wx + before @ Wh + b)
            self.steps.append(Step(x, before, after, slope=1 - np.tanh(after) ** 2))
            before = after
        self.h = before
        return np.array([step.after for step in self.steps]).transpose(1, 0, 2)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        dWx, dWh, db, dx = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0]), []
        carry = np.zeros_like(self.steps[0].before)
        for step, upstream in zip(self.steps[::-1], dhs.transpose(1, 0, 2)[::-1], strict=True):
            dz = step.slope * (upstream + carry)
            dWx += step.x.T @ dz
            dWh += step.before.T @ dz
            db += dz.sum(0)
            dx.append(dz @ Wx.T)
            carry = dz @ Wh.T
        self.grads[0][...], self.grads[1][...], self.grads[2][...] = dWx, dWh, db
        self.dh = carry
        return np.array(dx[::-1]).transpose(1, 0, 2)
