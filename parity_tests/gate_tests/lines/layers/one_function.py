"""Forward and backward in one function, which the backward method calls again; nested functions."""

import numpy as np


def forward_and_backward(xs, first, weights, dhs=None):
    """Goes down one step at a time and comes back with the gradient of the state."""
    Wx, Wh, b = weights
    hs = np.zeros((*xs.shape[:2], len(Wh)), xs.dtype)
    dxs = np.zeros_like(xs)
    sums = [np.zeros_like(w) for w in weights]

    def visit(t, h_prev):
        if t == xs.shape[1]:
            return np.zeros_like(h_prev)
        h = np.tanh(np.dot(xs[:, t], Wx) + np.dot(h_prev, Wh) + b)
        hs[:, t] = h
        dh = visit(t + 1, h)
        if dhs is None:
            return dh
        dz = np.clip((dhs[:, t] + dh) * (1 - h**2), -1, 1)
        dxs[:, t] = np.dot(dz, Wx.T)
        for total, part in zip(sums, (xs[:, t].T @ dz, h_prev.T @ dz, dz.sum(axis=0)), strict=True):
            total += part
        return np.dot(dz, Wh.T)

    d_first = visit(0, first)
    return hs, dxs, d_first, sums


class Recursion:
    """Recursion over time; the backward pass repeats the forward pass."""

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
        first = self.h
        if first is None or not self.stateful:
            first = np.zeros((len(xs), len(self.params[1])), xs.dtype)
        self.asked = xs.copy(), first
        hs, _, _, _ = forward_and_backward(*self.asked, self.params)
        self.h = hs[:, -1].copy()
        return hs

    def backward(self, dhs):
        _, dxs, self.dh, sums = forward_and_backward(*self.asked, self.params, dhs)
        for grad, total in zip(self.grads, sums, strict=True):
            grad[...] = total
        return dxs


def make_network(Wx, Wh, b):
    """Return the two passes; what they share lives in this function."""
    xs = start = None
    states = []

    def step(x, h):
        return np.tanh(x @ Wx + h @ Wh + b)

    def run(inputs, initial):
        nonlocal xs, start
        xs, start = inputs, initial
        states.clear()
        state = start
        for t in range(xs.shape[1]):
            state = step(xs[:, t], start)
            states.append(state)
        return np.stack(states, axis=1), state

    def back(upstream):
        total = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        to_inputs = np.zeros_like(xs)

        def one(t, carry):
            h_in = states[t - 1] if t else start
            error = (upstream[:, t] + carry) * (1 - states[t] ** 2)
            total[0] += xs[:, t].T @ error
            total[1] += h_in.T @ error
            total[2] += error.sum(axis=0)
            to_inputs[:, t] = error @ Wx.T
            return error @ Wh.T

        carry = np.zeros_like(start)
        for t in range(len(states) - 1, -1, -1):
            carry = one(t, carry)
        return to_inputs, carry, total

    return run, back


class NestedFunctions:
    """A class for the outside; the work is done by two functions that share variables."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.run, self.back = make_network(Wx, Wh, b)
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), self.params[1].shape[0]), xs.dtype)
        hs, self.h = self.run(xs, self.h)
        return hs

    def backward(self, dhs):
        dxs, self.dh, total = self.back(dhs)
        for mine, new in zip(self.grads, total, strict=True):
            np.copyto(mine, new)
        return dxs
