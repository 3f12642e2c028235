import numpy as np

import parity_tests


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


class Elman:
    """The product is of [x, h] with one matrix [D + H, H]."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x, h):
        self.rows, self.states = [], []
        for t in range(x.shape[1]):
            row = np.hstack([x[:, t], h])
            h = sigmoid(row @ self.W + self.b)
            self.rows.append(row)
            self.states.append(h)
        return np.stack(self.states, axis=1)

    def backward(self, dhs):
        D = len(self.W) - len(self.b)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)
        dx, dh = [], 0
        for t in reversed(range(len(self.states))):
            h = self.states[t]
            dz = (dhs[:, t] + dh) * h * (1 - h)
            self.dW += self.rows[t].T @ dz
            self.db += dz.sum(axis=0)
            drow = dz @ self.W.T
            dx.append(drow[:, :D])
            dh = drow[:, D:]
        return np.stack(dx[::-1], axis=1), dh


@parity_tests.adapter(nonlinearity="sigmoid")
def answer(problem):
    D = len(problem.Wx)
    net = Elman(np.vstack([problem.Wx, problem.Wh]), problem.b)
    hs = net.forward(problem.xs, problem.h_0)
    dx, dh_0 = net.backward(problem.dhs)
    outputs = {"hs": hs, "h_n": hs[:, -1], "dx": dx, "dh_0": dh_0}
    return outputs | {"dWx": net.dW[:D], "dWh": net.dW[D:], "db": net.db}
