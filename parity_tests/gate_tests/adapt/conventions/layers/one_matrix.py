"""One sequence [n, T] whose columns are steps; one matrix [hidden, hidden + n] takes the state above the input."""

import numpy as np


class JoinedRNN:
    def __init__(self, n_hidden, n_input):
        rng = np.random.default_rng(5)
        self.n_hidden = n_hidden
        self.M = rng.normal(0, 0.1, (n_hidden, n_hidden + n_input))
        self.beta = np.zeros((n_hidden, 1))

    def forward(self, X, h_init):
        self.X = X
        self.stacked = []
        self.H = np.zeros((self.n_hidden, X.shape[1]))
        h = h_init.reshape(-1, 1)
        for t in range(X.shape[1]):
            hx = np.vstack([h, X[:, t : t + 1]])
            h = np.tanh(self.M @ hx + self.beta)
            self.stacked.append(hx)
            self.H[:, t : t + 1] = h
        return self.H

    def backward(self, dH):
        n = self.n_hidden
        dM = np.zeros_like(self.M)
        dbeta = np.zeros_like(self.beta)
        dX = np.zeros_like(self.X)
        dh = np.zeros((n, 1))
        for t in reversed(range(dH.shape[1])):
            dh = dh + dH[:, t : t + 1]
            h = self.H[:, t : t + 1]
            da = dh * (1 - h * h)
            dM += da @ self.stacked[t].T
            dbeta += da
            dhx = self.M.T @ da
            dh = dhx[:n]
            dX[:, t : t + 1] = dhx[n:]
        return dX, dh, dM, dbeta
