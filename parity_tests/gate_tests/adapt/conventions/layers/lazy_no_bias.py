"""No bias; the weights are a dict that the first forward fills, the gradients a dict beside it."""

import numpy as np


class BiaslessRNN:
    def __init__(self, hidden, seed=11):
        self.hidden = hidden
        self.rng = np.random.default_rng(seed)
        self.weights = {}
        self.gradients = {}

    def _make(self, width):
        self.weights["x"] = self.rng.normal(scale=0.2, size=(width, self.hidden))
        self.weights["h"] = self.rng.normal(scale=0.2, size=(self.hidden, self.hidden))

    def forward(self, seq):
        """A sequence [steps, batch, width]; it begins with a state of zeros."""
        if not self.weights:
            self._make(seq.shape[-1])
        self.seq = seq
        self.outs = []
        h = np.zeros((seq.shape[1], self.hidden))
        for x in seq:
            h = np.tanh(x @ self.weights["x"] + h @ self.weights["h"])
            self.outs.append(h)
        return np.stack(self.outs)

    def backward(self, d_outs):
        Wx, Wh = self.weights["x"], self.weights["h"]
        gx, gh = np.zeros_like(Wx), np.zeros_like(Wh)
        d_seq = np.zeros_like(self.seq)
        d_h = 0.0
        for i in range(len(d_outs) - 1, -1, -1):
            d_h = d_h + d_outs[i]
            d_a = d_h * (1 - self.outs[i] ** 2)
            gx += self.seq[i].T @ d_a
            if i > 0:
                gh += self.outs[i - 1].T @ d_a
            d_seq[i] = d_a @ Wx.T
            d_h = d_a @ Wh.T
        self.gradients["x"] = gx
        self.gradients["h"] = gh
        return d_seq
