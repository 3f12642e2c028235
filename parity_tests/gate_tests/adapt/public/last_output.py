"""A sequence of rows [1, D] in, one row of scores out; the weights come from outside.

Wrong are where the error of the scores enters, what goes back, and one factor.
"""

import numpy as np


class ManyToOne:
    def __init__(self, W_xh, W_hh, W_hy, b_h):
        self.W_xh = W_xh
        self.W_hh = W_hh
        self.W_hy = W_hy
        self.b_h = b_h

    def forward(self, inputs):
        hidden = [np.zeros((1, self.W_hh.shape[0]))]
        for row in inputs:
            z = np.matmul(hidden[-1], self.W_hh) + np.matmul(row, self.W_xh)
            hidden += [np.tanh(z + self.b_h)]
        self.hidden = hidden[1:]
        return np.matmul(self.hidden[-1], self.W_hy)

    def backward(self, inputs, d_scores):
        d_W_xh = np.zeros(self.W_xh.shape)
        d_W_hh = np.zeros(self.W_hh.shape)
        d_b_h = np.zeros((1, self.W_hh.shape[0]))
        d_h = np.zeros_like(d_b_h)
        t = len(inputs)
        while t:
            t -= 1
            d_h = np.matmul(d_h, self.W_hh.T)  # wrong: the step's slope has not been taken
            d_h += np.matmul(d_scores, self.W_hy.T)  # wrong: only the final state leads to the scores
            d_z = d_h - d_h * np.square(self.hidden[t])
            d_b_h += d_z
            d_W_xh += np.matmul(inputs[t].reshape(-1, 1), d_z)
            d_W_hh += np.matmul(self.hidden[t - 1].T, d_z)  # wrong: for t = 0 this is the final state
        return d_W_xh, d_W_hh, d_b_h
