"""Many to one: a list of column vectors, an output of the last state, and a backward that updates."""

import numpy as np


class Classifier:
    def __init__(self, input_size, output_size, hidden_size=64):
        rng = np.random.default_rng(6)
        self.Whh = rng.standard_normal((hidden_size, hidden_size)) / 100
        self.Wxh = rng.standard_normal((hidden_size, input_size)) / 100
        self.Why = rng.standard_normal((output_size, hidden_size)) / 100
        self.bh = np.zeros((hidden_size, 1))
        self.by = np.zeros((output_size, 1))

    def forward(self, inputs):
        """Take vectors [input_size, 1]; return the scores and the last state."""
        h = np.zeros((self.Whh.shape[0], 1))
        self.seen = inputs
        self.kept = {0: h}
        for i, x in enumerate(inputs):
            h = np.tanh(self.Wxh @ x + self.Whh @ h + self.bh)
            self.kept[i + 1] = h
        return self.Why @ h + self.by, h

    def backward(self, d_y, lr=0.02):
        """Take the gradient of the scores; every weight moves by lr times its gradient."""
        n = len(self.seen)
        d_Why = d_y @ self.kept[n].T
        d_by = d_y
        d_Whh = np.zeros(self.Whh.shape)
        d_Wxh = np.zeros(self.Wxh.shape)
        d_bh = np.zeros(self.bh.shape)
        d_h = self.Why.T @ d_y
        for t in reversed(range(n)):
            inner = (1 - self.kept[t + 1] ** 2) * d_h
            d_bh += inner
            d_Whh += inner @ self.kept[t].T
            d_Wxh += inner @ self.seen[t].T
            d_h = self.Whh.T @ inner
        self.Whh -= lr * d_Whh
        self.Wxh -= lr * d_Wxh
        self.Why -= lr * d_Why
        self.bh -= lr * d_bh
        self.by -= lr * d_by
