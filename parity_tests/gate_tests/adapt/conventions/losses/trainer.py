"""A model of symbols, made from nothing, whose one method does forward, loss, backward and update."""

import numpy as np

ALPHABET = 12
HIDDEN = 7


class SymbolModel:
    def __init__(self):
        rng = np.random.default_rng(4)
        self.Wxh = rng.normal(0, 0.1, (ALPHABET, HIDDEN))
        self.Whh = rng.normal(0, 0.1, (HIDDEN, HIDDEN))
        self.Why = rng.normal(0, 0.1, (HIDDEN, ALPHABET))
        self.bh = np.zeros(HIDDEN)
        self.by = np.zeros(ALPHABET)

    def forward(self, inputs, h):
        hs, ps = [h], []
        for i in inputs:
            h = np.tanh(self.Wxh[i] + np.dot(h, self.Whh) + self.bh)
            y = np.dot(h, self.Why) + self.by
            e = np.exp(y - np.max(y))
            hs.append(h)
            ps.append(e / np.sum(e))
        return hs, ps

    def train_step(self, inputs, targets, h, learning_rate=0.1):
        """Return the loss and the last state; the weights have moved."""
        hs, ps = self.forward(inputs, h)
        loss = -sum(np.log(p[k]) for p, k in zip(ps, targets, strict=True))
        dWxh, dWhh, dWhy = np.zeros_like(self.Wxh), np.zeros_like(self.Whh), np.zeros_like(self.Why)
        dbh, dby = np.zeros_like(self.bh), np.zeros_like(self.by)
        dhnext = np.zeros_like(h)
        for t in range(len(inputs) - 1, -1, -1):
            dy = ps[t].copy()
            dy[targets[t]] -= 1.0
            dWhy += np.outer(hs[t + 1], dy)
            dby += dy
            dh = np.dot(self.Why, dy) + dhnext
            draw = dh * (1 - hs[t + 1] ** 2)
            dbh += draw
            dWxh[inputs[t]] += draw
            dWhh += np.outer(hs[t], draw)
            dhnext = np.dot(self.Whh, draw)
        self.Wxh -= learning_rate * dWxh
        self.Whh -= learning_rate * dWhh
        self.Why -= learning_rate * dWhy
        self.bh -= learning_rate * dbh
        self.by -= learning_rate * dby
        return loss, hs[-1]
