"""A relu layer with two biases, its parameters and their gradients in two lists."""

import numpy as np


class ReluLayer:
    def __init__(self, n_in, n_out):
        scale = np.sqrt(2.0 / n_in)
        rng = np.random.default_rng(3)
        self.params = [
            rng.normal(0, scale, (n_in, n_out)),
            rng.normal(0, 0.3, (n_out, n_out)),
            np.zeros(n_out),
            np.zeros(n_out),
        ]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, xs, h0):
        Wi, Wh, bi, bh = self.params
        self.xs = xs
        self.h0 = h0
        self.zs = np.zeros((xs.shape[0], xs.shape[1], Wh.shape[1]))
        self.hs = np.zeros_like(self.zs)
        h = h0
        for t in range(xs.shape[1]):
            self.zs[:, t] = (xs[:, t] @ Wi + bi) + (h @ Wh + bh)
            h = np.maximum(self.zs[:, t], 0)
            self.hs[:, t] = h
        return self.hs

    def backward(self, dhs):
        Wi, Wh, _, _ = self.params
        for grad in self.grads:
            grad.fill(0)
        dWi, dWh, dbi, dbh = self.grads
        dxs = np.empty_like(self.xs)
        dh = np.zeros_like(self.h0)
        for t in range(dhs.shape[1])[::-1]:
            dz = np.where(self.zs[:, t] > 0, dhs[:, t] + dh, 0)
            previous = self.hs[:, t - 1] if t > 0 else self.h0
            dWi += self.xs[:, t].T @ dz
            dWh += previous.T @ dz
            dbi += dz.sum(0)
            dbh += dz.sum(0)
            dxs[:, t] = dz @ Wi.T
            dh = dz @ Wh.T
        self.dh0 = dh
        return dxs
