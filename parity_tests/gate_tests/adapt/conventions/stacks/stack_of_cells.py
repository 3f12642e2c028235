"""Several layers: a list of cells, each with its own weights; a list of rows goes in and comes out."""

import numpy as np


class Level:
    """The weights of one layer, and their gradients."""

    def __init__(self, n_in, n_out, rng):
        self.W = rng.normal(0, 0.1, (n_in, n_out))
        self.R = rng.normal(0, 0.1, (n_out, n_out))
        self.b = np.zeros(n_out)
        self.dW, self.dR, self.db = np.zeros_like(self.W), np.zeros_like(self.R), np.zeros_like(self.b)

    def step(self, x, h):
        new = np.tanh(x @ self.W + h @ self.R + self.b)
        return new, (x, h, new)

    def step_back(self, dh, cache):
        x, h, new = cache
        dz = dh * (1 - new**2)
        self.dW += x.T @ dz
        self.dR += h.T @ dz
        self.db += dz.sum(axis=0)
        return dz @ self.W.T, dz @ self.R.T


class DeepRNN:
    def __init__(self, n_in, n_hidden, depth):
        rng = np.random.default_rng(13)
        self.n_hidden = n_hidden
        self.cells = [Level(n_in if k == 0 else n_hidden, n_hidden, rng) for k in range(depth)]

    def forward(self, xs):
        """Take a list of [batch, n_in]; return the list of the last layer's states."""
        self.caches = []
        hs = [np.zeros((len(xs[0]), self.n_hidden)) for _ in self.cells]
        top = []
        for x in xs:
            row = []
            for k, cell in enumerate(self.cells):
                x, cache = cell.step(x, hs[k])
                hs[k] = x
                row.append(cache)
            self.caches.append(row)
            top.append(x)
        self.last = hs
        return top

    def backward(self, dtop):
        """Take a list of gradients; return those of the inputs."""
        later = [0.0] * len(self.cells)
        dxs = []
        for d, row in zip(reversed(dtop), reversed(self.caches), strict=True):
            for k in reversed(range(len(self.cells))):
                d, later[k] = self.cells[k].step_back(d + later[k], row[k])
            dxs.append(d)
        self.dfirst = later
        return dxs[::-1]
