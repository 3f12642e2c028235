"""A cell, called a step at a time; its gradients add up in it until they are cleared."""

import numpy as np


class Cell:
    def __init__(self, hidden_units, features):
        rng = np.random.default_rng(8)
        self.Wx = rng.normal(size=(features, hidden_units)) * 0.05
        self.Wh = rng.normal(size=(hidden_units, hidden_units)) * 0.05
        self.b = np.zeros((1, hidden_units))
        self.memory = []
        self.zero_grad()

    def zero_grad(self):
        self.dWx = np.zeros_like(self.Wx)
        self.dWh = np.zeros_like(self.Wh)
        self.db = np.zeros_like(self.b)

    def forward(self, x, h):
        """One step: x [batch, features], h [batch, hidden]."""
        mixed = x @ self.Wx
        mixed = mixed + h @ self.Wh
        mixed = mixed + self.b
        new = np.tanh(mixed)
        self.memory.append((x, h, new))
        return new

    def backward(self, dnew):
        """The last step that has not been undone yet; the carry is the caller's to add."""
        x, h, new = self.memory.pop()
        dmixed = dnew - dnew * new**2
        self.dWx += x.T @ dmixed
        self.dWh += h.T @ dmixed
        self.db += dmixed.sum(axis=0, keepdims=True)
        dx = dmixed @ self.Wx.T
        dh = dmixed @ self.Wh.T
        return dx, dh


def sgd(cell, rate):
    """Move the weights, and clear the gradients."""
    for name in ("Wx", "Wh", "b"):
        getattr(cell, name)[...] -= rate * getattr(cell, "d" + name)
    cell.zero_grad()
