"""Layers that save memory: results go into buffers that exist already."""

import numpy as np


class Workspace:
    """Every product has a buffer of its own."""

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
        H = len(Wh)
        self.xs = np.ascontiguousarray(xs.swapaxes(0, 1))
        self.states = np.zeros((T + 1, B, H), xs.dtype)
        if self.stateful and self.h is not None:
            self.states[0] = self.h
        z = np.empty((B, H), xs.dtype)
        recurrent = np.empty((B, H), xs.dtype)
        for t in range(T):
            np.matmul(self.xs[t], Wx, out=z)
            np.matmul(self.states[t], Wh, out=recurrent)
            z += recurrent
            np.tanh(z, out=self.states[t + 1])
        self.h = self.states[T].copy()
        return self.states[1:].swapaxes(0, 1).copy()

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        T, B, H = len(self.xs), len(dhs), len(Wh)
        for grad in self.grads:
            grad[...] = 0
        dxs = np.empty_like(self.xs)
        dz, slope, dh = (np.zeros((B, H), dhs.dtype) for _ in range(3))
        dWx, dWh = np.empty_like(Wx), np.empty_like(Wh)
        for t in range(T - 1, -1, -1):
            np.add(dhs[:, t], dh, out=dz)
            np.square(self.states[t + 1], out=slope)
            np.subtract(1, slope, out=slope)
            np.multiply(dz, slope, out=dz)
            np.matmul(self.xs[t].T, dz, out=dWx)
            np.matmul(self.states[t].T, dz, out=dWh)
            self.grads[0] += dWx
            self.grads[1] += dWh
            self.grads[2] += dz.sum(axis=0)
            np.matmul(dz, Wx.T, out=dxs[t])
            np.matmul(dz, Wh.T, out=dh)
        self.dh = dh
        return dxs.swapaxes(0, 1)


class OneStateBuffer:
    """The state is one array that each step overwrites; what the backward needs is put aside."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in (Wx, Wh, b)]
        self.stateful = stateful
        self.h, self.dh = None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        state = np.zeros((B, len(Wh)), xs.dtype)
        if self.h is not None and self.stateful:
            state[:] = self.h
        hs = np.empty((B, T, len(Wh)), xs.dtype)
        self.entered, self.left = [], []
        for t in range(T):
            self.entered.append(state)
            state[:] = np.tanh(xs[:, t] @ Wx + state @ Wh + b)
            hs[:, t] = state
            self.left.append(state.copy())
        self.xs, self.h = xs, state
        return hs

    def backward(self, dhs):
        Wx, Wh, _ = self.params
        dWx, dWh, db = self.grads
        dWx[...], dWh[...], db[...] = 0, 0, 0
        dxs, error = np.empty_like(self.xs), np.zeros_like(dhs[:, 0])
        for t in range(len(self.left))[::-1]:
            error += dhs[:, t]
            error *= 1 - self.left[t] ** 2
            dWx += self.xs[:, t].T @ error
            dWh += self.entered[t].T @ error
            db += error.sum(axis=0)
            dxs[:, t] = error @ Wx.T
            error = error @ Wh.T
        self.dh = error
        return dxs
