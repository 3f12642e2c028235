"""Logistic units without a bias on column vectors; the matrices come from outside, and the error of the final state back.

Wrong is the slope: it is made of a pre-activation, not of a state, and for every step of that of the final one.
"""

import numpy as np


def logistic(z):
    return np.reciprocal(1 + np.exp(-z))


class LogisticRNN:
    def __init__(self, w_x, w_h):
        self.w_x = w_x
        self.w_h = w_h

    def forward(self, columns):
        self.columns = columns
        self.states = []
        state = np.zeros((self.w_h.shape[0], 1))
        for column in columns:
            self.total = np.dot(self.w_h, state) + np.dot(self.w_x, column)
            state = logistic(self.total)
            self.states.append(state)
        return self.states

    def backward(self, error):
        slope = self.total - self.total**2
        dw_x, dw_h = 0 * self.w_x, 0 * self.w_h
        earlier = [np.zeros_like(error), *self.states[:-1]]
        for column, state in zip(self.columns[::-1], earlier[::-1]):
            local = error * slope
            dw_x += np.dot(local, column.T)
            dw_h += np.dot(local, state.T)
            error = np.dot(self.w_h.T, local)
        return dw_x, dw_h
