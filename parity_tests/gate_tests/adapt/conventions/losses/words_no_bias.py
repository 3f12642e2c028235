"""A language model without biases: a sentence is a list of word numbers, bptt returns three gradients."""

import numpy as np


def softmax(scores):
    """The chances of all words."""
    e = np.exp(scores - np.max(scores))
    return e / e.sum()


class LanguageModel:
    def __init__(self, word_dim, hidden_dim=30):
        rng = np.random.default_rng(9)
        self.word_dim = word_dim
        self.hidden_dim = hidden_dim
        self.U = rng.uniform(-0.2, 0.2, (hidden_dim, word_dim))
        self.V = rng.uniform(-0.2, 0.2, (word_dim, hidden_dim))
        self.W = rng.uniform(-0.2, 0.2, (hidden_dim, hidden_dim))

    def forward(self, sentence):
        """Return the chances [T, word_dim] and the states [T + 1, hidden_dim], the first of which is zeros."""
        T = len(sentence)
        s = np.zeros((T + 1, self.hidden_dim))
        o = np.zeros((T, self.word_dim))
        for t in range(T):
            s[t + 1] = np.tanh(self.U[:, sentence[t]] + self.W.dot(s[t]))
            o[t] = softmax(self.V.dot(s[t + 1]))
        return o, s

    def loss(self, sentence, targets):
        o, _ = self.forward(sentence)
        return -np.sum(np.log(o[np.arange(len(targets)), targets]))

    def bptt(self, sentence, targets):
        T = len(targets)
        o, s = self.forward(sentence)
        dU, dV, dW = np.zeros_like(self.U), np.zeros_like(self.V), np.zeros_like(self.W)
        delta_o = o
        delta_o[np.arange(T), targets] -= 1.0
        delta = np.zeros(self.hidden_dim)
        for t in np.arange(T)[::-1]:
            dV += np.outer(delta_o[t], s[t + 1])
            error = self.V.T.dot(delta_o[t]) + delta
            delta_t = error * (1 - s[t + 1] ** 2)
            dW += np.outer(delta_t, s[t])
            dU[:, sentence[t]] += delta_t
            delta = self.W.T.dot(delta_t)
        return dU, dV, dW
