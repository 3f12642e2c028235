"""A regression on the final state of a sequence of columns: ``backward`` takes the step of descent itself.

Nothing is wrong with its gradients; it gives none of them away.
"""

import numpy as np


class Regressor:
    def __init__(self, input_size, hidden_size, lr):
        self.lr = lr
        self.W_x = np.full((input_size, hidden_size), 0.5)
        self.W_h = np.identity(hidden_size)
        self.W_y = np.full((hidden_size, 1), 0.5)
        self.b_h, self.b_y = np.zeros((hidden_size, 1)), np.zeros((1, 1))

    def forward(self, sequence):
        self.steps = []
        h = np.zeros(self.b_h.shape)
        for values in sequence:
            x = np.asarray(values)[:, None]
            before, h = h, np.tanh(np.dot(self.W_h.T, h) + np.dot(self.W_x.T, x) + self.b_h)
            self.steps.append((x, before, h))
        return np.dot(self.W_y.T, h) + self.b_y

    def backward(self, error):
        dW_x, dW_h, db_h = (np.zeros_like(weight) for weight in (self.W_x, self.W_h, self.b_h))
        dh = self.W_y * error
        for x, before, after in reversed(self.steps):
            dz = dh * (1 - after * after)
            db_h += dz
            dW_x += np.dot(x, dz.T)
            dW_h += np.dot(before, dz.T)
            dh = np.dot(self.W_h, dz)
        self.W_x = self.W_x - self.lr * dW_x
        self.W_h = self.W_h - self.lr * dW_h
        self.b_h = self.b_h - self.lr * db_h
