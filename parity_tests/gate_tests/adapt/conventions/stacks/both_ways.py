"""Two directions: one cell goes forth and one goes back over [batch, time, n]; the outputs are put side by side."""

import numpy as np


class Direction:
    """One direction, which knows nothing of the other."""

    def __init__(self, n, h, rng):
        self.Wx = rng.normal(0, 0.1, (n, h))
        self.Wh = rng.normal(0, 0.1, (h, h))
        self.b = np.zeros(h)

    def forward(self, x):
        self.x = x
        self.h = np.zeros((x.shape[0], x.shape[1] + 1, len(self.b)))
        for t in range(x.shape[1]):
            self.h[:, t + 1] = np.tanh(x[:, t] @ self.Wx + self.h[:, t] @ self.Wh + self.b)
        return self.h[:, 1:]

    def backward(self, dh):
        dz = np.zeros_like(dh)
        carry = np.zeros_like(dh[:, 0])
        for t in range(dh.shape[1] - 1, -1, -1):
            dz[:, t] = (dh[:, t] + carry) * (1 - self.h[:, t + 1] ** 2)
            carry = dz[:, t] @ self.Wh.T
        self.dWx = np.einsum("btn,bth->nh", self.x, dz)
        self.dWh = np.einsum("btk,bth->kh", self.h[:, :-1], dz)
        self.db = dz.sum(axis=(0, 1))
        return dz @ self.Wx.T


class TwoWayRNN:
    def __init__(self, n, h, seed=0):
        rng = np.random.default_rng(seed)
        self.h = h
        self.cells = [Direction(n, h, rng), Direction(n, h, rng)]

    def forward(self, x):
        """Return [batch, time, 2 h]."""
        forth = self.cells[0].forward(x)
        back = self.cells[1].forward(x[:, ::-1])
        return np.concatenate([forth, back[:, ::-1]], axis=2)

    def backward(self, dy):
        dforth, dback = dy[:, :, : self.h], dy[:, :, self.h :]
        dx = self.cells[0].backward(dforth)
        return dx + self.cells[1].backward(dback[:, ::-1])[:, ::-1]
