"""A layer made of its weights and called like a function; the states stay in it, the gradients are a tuple."""

import numpy as np


class ElmanLayer:
    def __init__(self, U, W, c):
        self.U = U
        self.W = W
        self.c = c
        self.states = None

    def __call__(self, x, s0=None):
        return self.forward(x, s0)

    def forward(self, x, s0=None):
        N, T, _ = x.shape
        H = self.W.shape[0]
        self.x = x
        self.states = np.zeros((N, T + 1, H), dtype=x.dtype)
        if s0 is not None:
            self.states[:, 0] = s0
        for t in range(T):
            z = np.dot(x[:, t], self.U) + np.dot(self.states[:, t], self.W) + self.c
            self.states[:, t + 1] = np.tanh(z)
        return self.states[:, 1:]

    def backward(self, dstates):
        x, s = self.x, self.states
        T = x.shape[1]
        dx = np.zeros_like(x)
        dU = np.zeros_like(self.U)
        dW = np.zeros_like(self.W)
        dc = np.zeros_like(self.c)
        ds_next = np.zeros_like(s[:, 0])
        for t in range(T - 1, -1, -1):
            ds = dstates[:, t] + ds_next
            dz = (1 - s[:, t + 1] * s[:, t + 1]) * ds
            dU += np.dot(x[:, t].T, dz)
            dW += np.dot(s[:, t].T, dz)
            dc += np.sum(dz, axis=0)
            dx[:, t] = np.dot(dz, self.U.T)
            ds_next = np.dot(dz, self.W.T)
        return dx, ds_next, dU, dW, dc
