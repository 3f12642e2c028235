import numpy as np


class VanillaRNN:
    """One sample; X is [D, T], a column for every step, and so are the states."""

    def __init__(self, U, W, b):
        self.U, self.W, self.b = U, W, b  # [H, D], [H, H], [H, 1]

    def forward(self, X, s0):
        self.X, self.s0 = X, s0
        self.S = np.zeros((len(self.W), X.shape[1]), X.dtype)
        s = s0
        for t in range(X.shape[1]):
            s = np.tanh(self.U @ X[:, t : t + 1] + self.W @ s + self.b)
            self.S[:, t : t + 1] = s
        return self.S

    def backward(self, dS):
        before = np.hstack([self.s0, self.S[:, :-1]])
        dZ = np.zeros_like(dS)
        carry = np.zeros_like(self.s0)
        for t in reversed(range(dS.shape[1])):
            dZ[:, t : t + 1] = (dS[:, t : t + 1] + carry) * (1 - self.S[:, t : t + 1] ** 2)
            carry = self.W.T @ dZ[:, t : t + 1]
        self.dU, self.dW = dZ @ self.X.T, dZ @ before.T
        self.db = dZ.sum(axis=1, keepdims=True)
        return self.U.T @ dZ, carry


def answer(problem):
    rnn = VanillaRNN(problem.Wx.T, problem.Wh.T, problem.b[:, None])
    S = rnn.forward(problem.xs[0].T, problem.h_0.T)
    dX, ds0 = rnn.backward(problem.dhs[0].T)
    outputs = {"hs": S.T[None], "h_n": S[:, -1][None], "dx": dX.T[None], "dh_0": ds0.T}
    return outputs | {"dWx": rnn.dU.T, "dWh": rnn.dW.T, "db": rnn.db[:, 0]}
