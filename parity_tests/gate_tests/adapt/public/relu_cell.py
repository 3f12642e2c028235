"""Rectified units: a cell for one vector, and a chain of them that answers with its final state.

The cell knows no earlier step; the chain gives it back what it had. Wrong are the mask and the way back.
"""

import numpy as np


class ReluCell:
    def __init__(self, input_size, hidden_size):
        self.w_x = np.full((input_size, hidden_size), 0.1)
        self.w_h = np.full((hidden_size, hidden_size), 0.1)
        self.b = np.full((1, hidden_size), 0.1)

    def forward(self, x_t, h_prev):
        return np.maximum(self.b + np.dot(x_t, self.w_x) + np.dot(h_prev, self.w_h), 0)

    def backward(self, d_h, x_t, h_prev):
        # Wrong: the mask belongs to what comes out of the step, and this holds for all that goes in.
        d_h = d_h * (h_prev >= 0)
        self.dw_x = np.reshape(x_t, (-1, 1)) * d_h
        self.dw_h = np.reshape(h_prev, (-1, 1)) * d_h
        self.db = d_h
        return np.dot(d_h, self.w_h)  # wrong: .T is missing


class ReluRNN:
    def __init__(self, input_size, hidden_size):
        self.cell = ReluCell(input_size, hidden_size)

    def forward(self, x):
        self.past = []
        state = np.zeros(self.cell.w_h.shape[1])
        for x_t in x:
            self.past.append((x_t, state))
            state = self.cell.forward(x_t, state)
        return state

    def backward(self, d_h):
        cell = self.cell
        self.dw_x, self.dw_h, self.db = (np.zeros_like(value) for value in (cell.w_x, cell.w_h, cell.b))
        while self.past:
            d_h = cell.backward(d_h, *self.past.pop())
            self.dw_x += cell.dw_x
            self.dw_h += cell.dw_h
            self.db += cell.db
        return d_h
