"""A stack of relu layers, [time, batch, features]: each goes over the whole sequence before the next begins."""

import numpy as np


class ReluCell:
    """One layer of the stack; weights are [out, in], and there are two biases."""

    def __init__(self, features, hidden, rng):
        self.w_ih = rng.normal(0, 0.2, (hidden, features))
        self.w_hh = rng.normal(0, 0.2, (hidden, hidden))
        self.b_ih = np.zeros(hidden)
        self.b_hh = np.zeros(hidden)

    def forward(self, xs, h0):
        self.xs, self.hs = xs, [h0]
        for x in xs:
            z = x @ self.w_ih.T + self.b_ih + self.hs[-1] @ self.w_hh.T + self.b_hh
            self.hs.append(np.where(z > 0, z, 0.0))
        return np.stack(self.hs[1:])

    def backward(self, dhs):
        self.grads = {name: np.zeros_like(getattr(self, name)) for name in ("w_ih", "w_hh", "b_ih", "b_hh")}
        dxs = np.zeros_like(self.xs)
        dh = np.zeros_like(self.hs[0])
        for t in range(len(dhs) - 1, -1, -1):
            dz = (dhs[t] + dh) * (self.hs[t + 1] > 0)
            self.grads["w_ih"] += dz.T @ self.xs[t]
            self.grads["w_hh"] += dz.T @ self.hs[t]
            self.grads["b_ih"] += dz.sum(axis=0)
            self.grads["b_hh"] += dz.sum(axis=0)
            dxs[t] = dz @ self.w_ih
            dh = dz @ self.w_hh
        return dxs, dh


class ReluStack:
    def __init__(self, features, hidden, layers=2, seed=0):
        rng = np.random.default_rng(seed)
        widths = [features] + [hidden] * (layers - 1)
        self.layers = [ReluCell(width, hidden, rng) for width in widths]

    def forward(self, xs, h0):
        """Take h0 [layers, batch, hidden]; return the outputs and the final states."""
        finals = []
        for layer, first in zip(self.layers, h0, strict=True):
            xs = layer.forward(xs, first)
            finals.append(xs[-1])
        return xs, np.stack(finals)

    def backward(self, dys):
        d_first = []
        for layer in self.layers[::-1]:
            dys, dh = layer.backward(dys)
            d_first.insert(0, dh)
        return dys, np.stack(d_first), [layer.grads for layer in self.layers]
