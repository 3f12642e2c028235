"""Cells, one time step each."""

import numpy as np


class TextbookCell:
    """np.dot throughout."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(np.dot(x, Wx) + np.dot(h_prev, Wh) + b)
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        self.grads[0][...] = np.dot(x.T, dt)
        self.grads[1][...] = np.dot(h_prev.T, dt)
        self.grads[2][...] = np.sum(dt, axis=0)
        dx = np.dot(dt, Wx.T)
        dh_prev = np.dot(dt, Wh)
        return dx, dh_prev


class EinsumCell:
    """The products as sums over indices."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x, h_prev):
        w_in, w_rec, bias = self.params
        self.inputs = x, h_prev
        self.new = np.tanh(np.einsum("nd,dh->nh", x, w_in) + np.einsum("nk,kh->nh", h_prev, w_rec) + bias)
        return self.new.copy()

    def backward(self, dh_next):
        w_in, w_rec, _ = self.params
        x, h_prev = self.inputs
        d_sum = np.einsum("nh,nh->nh", dh_next, 1 - self.new**2)
        np.einsum("nd,nh->dh", x, d_sum, out=self.grads[0])
        np.einsum("nk,nh->kh", self.new, d_sum, out=self.grads[1])
        self.grads[2][...] = np.einsum("nh->h", d_sum)
        dx = np.einsum("nh,dh->nd", dh_next, w_in)
        return dx, np.einsum("nh,kh->nk", d_sum, w_rec)


class VectorCell:
    """One row of the batch after the other."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.rows = []

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        states = [np.tanh(Wx.T @ u + Wh.T @ v + b.ravel()) for u, v in zip(x, h_prev, strict=True)]
        self.rows = list(zip(x, h_prev, states, strict=True))
        return np.array(states)

    def backward(self, dh_next):
        Wx, Wh, b = self.params
        deltas = [d * (1 - old**2) for d, (_, old, _) in zip(dh_next, self.rows, strict=True)]
        self.grads[0][...] = sum(np.outer(u, e) for e, (u, _, _) in zip(deltas, self.rows, strict=True))
        self.grads[1][...] = sum(np.outer(v, e) for e, (_, v, _) in zip(deltas, self.rows, strict=True))
        self.grads[2][...] = np.reshape(sum(deltas), b.shape)
        return np.array([Wx @ e for e in deltas]), np.array([Wh @ e for e in deltas])
