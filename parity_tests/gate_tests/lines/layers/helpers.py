"""Layers whose work is done by free functions, or by functions made on the way."""

import numpy as np


def affine(x, W):
    return x @ W


def affine_backward(dy, x, W):
    return dy @ W.T, x.T @ dy


def tanh_slope(h):
    return 1.0 - h**2


class FreeFunctions:
    """Small functions for each operation, and the values that they need in lists."""

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
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), len(Wh)), xs.dtype)
        self.xs, self.zs, self.hs = xs, [], [self.h]
        for t in range(xs.shape[1]):
            z = affine(xs[:, t], Wx) + affine(self.hs[t], Wh) + b
            self.zs.append(z)
            self.hs.append(np.tanh(z))
        self.h = self.hs[-1]
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        for grad in self.grads:
            grad[...] = 0
        dx, dh = np.zeros_like(self.xs), 0
        for t in reversed(range(len(self.zs))):
            dz = (dhs[:, t] + dh) * tanh_slope(self.zs[t])
            dx[:, t], dWx = affine_backward(dz, self.xs[:, t], Wx)
            dh, dWh = affine_backward(dz, self.hs[t], Wh)
            self.grads[0] += dWx
            self.grads[1] += dWh
            self.grads[2] += dz.sum(axis=0)
        self.dh = dh
        return dx


def cell_forward(x, prev, weights):
    Wx, Wh, b = weights
    new = np.tanh(np.dot(x, Wx) + np.dot(prev, Wh) + b)
    return new, (x, prev, new)


def cell_backward(dnew, cache, weights):
    Wx, Wh, _ = weights
    x, prev, new = cache
    draw = dnew * (1 - new * new)
    dx = np.dot(draw, Wx.T)
    dprev = np.dot(draw, Wh.T)
    dWx = np.dot(x.T, draw)
    dWh = np.dot(prev.T, draw)
    db = np.sum(dnew, axis=0)
    return dx, dprev, (dWx, dWh, db)


def sequence_forward(xs, start, weights):
    outputs, caches = np.zeros((*xs.shape[:2], start.shape[1]), xs.dtype), []
    state = start
    for t in range(xs.shape[1]):
        state, cache = cell_forward(xs[:, t], state, weights)
        outputs[:, t] = state
        caches.append(cache)
    return outputs, state, caches


def sequence_backward(douts, caches, weights):
    sums = [np.zeros_like(weight) for weight in weights]
    dstate = np.zeros_like(douts[:, 0])
    dxs = [None] * len(caches)
    for t in range(len(caches) - 1, -1, -1):
        dxs[t], dstate, parts = cell_backward(douts[:, t], caches[t], weights)
        for total, part in zip(sums, parts, strict=True):
            total += part
    return np.stack(dxs, axis=1), dstate, sums


class StepFunctions:
    """Functions of one step, functions of a sequence that call them, and a class around both."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        weights = [p.copy() for p in self.params]
        start = self.h
        if start is None or not self.stateful:
            start = np.zeros((len(xs), len(weights[1])), dtype=xs.dtype)
        outputs, self.h, caches = sequence_forward(xs, start, weights)
        self.last_call = caches, weights
        return outputs

    def backward(self, dhs):
        dxs, self.dh, sums = sequence_backward(dhs, *self.last_call)
        for grad, total in zip(self.grads, sums, strict=True):
            grad[...] = total
        return dxs


class Closures:
    """Each step leaves a function behind that takes its gradient through the step."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h, self.dh = None, None
        self.pulls = []

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = (p.copy() for p in self.params)
        gx, gh, gb = self.grads
        keeps = self.stateful and self.h is not None
        old = self.h if keeps else np.zeros((xs.shape[0], Wh.shape[0]), xs.dtype)
        outputs, self.pulls = [], []
        for x in np.moveaxis(xs, 1, 0):
            new = np.tanh(x @ Wx + old @ Wh + b)

            def pull(d, x=x, old=old):
                e = d * (1 - new**2)
                gx[...] += x.T @ e
                gh[...] += old.T @ e
                gb[...] += e.sum(axis=0)
                return e @ Wx.T, e @ Wh.T

            self.pulls.append(pull)
            outputs.append(new)
            old = new
        self.h = old
        return np.stack(outputs, axis=1)

    def backward(self, dhs):
        for grad in self.grads:
            grad.fill(0)
        dxs, carry = [], 0
        for t, pull in reversed(list(enumerate(self.pulls))):
            dx, carry = pull(dhs[:, t] + carry)
            dxs.append(dx)
        self.dh = carry
        return np.stack(dxs[::-1], axis=1)
