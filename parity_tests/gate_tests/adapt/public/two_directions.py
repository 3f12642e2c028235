"""Both ways through a sequence [T, B, D], forward only, each from its own state; nothing is wrong.

A direction has one matrix for the state with the input below it. One call is one step of one direction.
"""

import numpy as np


class TwoWayCell:
    def __init__(self, input_size, hidden_size):
        shape = hidden_size + input_size, hidden_size
        self.w_right, self.w_left = np.random.standard_normal((2, *shape))
        self.b_right = np.zeros((1, hidden_size))
        self.b_left = np.zeros((1, hidden_size))

    def forward(self, state, x):
        return np.tanh(self.b_right + np.dot(np.hstack([state, x]), self.w_right))

    def backward(self, state, x):
        return np.tanh(self.b_left + np.dot(np.hstack([state, x]), self.w_left))


def run(cell, inputs, h_start, h_last):
    steps, batch, _ = inputs.shape
    width = h_start.shape[-1]
    both = np.empty((steps, batch, 2 * width))
    for t, x in enumerate(inputs):
        h_start = cell.forward(h_start, x)
        both[t, :, :width] = h_start
    for t in range(steps)[::-1]:
        h_last = cell.backward(h_last, inputs[t])
        both[t, :, width:] = h_last
    return both
