"""A small library: a layer calls a cell, the cell calls its parts, and each part has its own backward."""

import numpy as np


class Linear:
    """A product with a weight matrix; what went in is kept on a stack."""

    def __init__(self, weight, bias=None):
        self.weight, self.bias = weight, bias
        self.d_weight = np.zeros_like(weight)
        self.d_bias = None if bias is None else np.zeros_like(bias)
        self.inputs = []

    def clear(self):
        self.inputs.clear()

    def forward(self, x):
        self.inputs.append(x)
        y = np.dot(x, self.weight)
        return y if self.bias is None else y + self.bias

    def backward(self, dy):
        x = self.inputs.pop()
        self.d_weight += np.dot(x.T, dy)
        if self.bias is not None:
            self.d_bias += np.mean(dy, axis=0)
        return np.dot(dy, self.weight.T)


class Tanh:
    """The activation."""

    def __init__(self):
        self.outputs = []

    def clear(self):
        self.outputs.clear()

    def forward(self, x):
        self.outputs.append(np.tanh(x))
        return self.outputs[-1]

    def backward(self, dy):
        y = self.outputs.pop()
        return dy * (1 - y)


class Cell:
    """One step."""

    def __init__(self, Wx, Wh, b):
        self.from_input = Linear(Wx, b)
        self.from_state = Linear(Wh)
        self.activation = Tanh()

    def parts(self):
        return self.from_input, self.from_state, self.activation

    def forward(self, x, state):
        return self.activation.forward(self.from_input.forward(x) + self.from_state.forward(state))

    def backward(self, d_state):
        d_sum = self.activation.backward(d_state)
        return self.from_input.backward(d_sum), self.from_state.backward(d_sum)


class LayerOfCells:
    """The sequence; one cell does all steps."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.cell = Cell(Wx, Wh, b)
        self.params = [Wx, Wh, b]
        self.grads = [
            self.cell.from_input.d_weight,
            self.cell.from_state.d_weight,
            self.cell.from_input.d_bias,
        ]
        self.stateful = stateful
        self.h = None
        self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        for part in self.cell.parts():
            part.clear()
        if not self.stateful or self.h is None:
            self.h = np.zeros((xs.shape[0], self.params[1].shape[0]), xs.dtype)
        hs = np.zeros((xs.shape[0], xs.shape[1], self.h.shape[1]), xs.dtype)
        for t in range(xs.shape[1]):
            self.h = self.cell.forward(xs[:, t, :], self.h)
            hs[:, t, :] = self.h
        return hs

    def backward(self, dhs):
        for grad in self.grads:
            grad.fill(0)
        dxs = np.zeros((dhs.shape[0], dhs.shape[1], self.params[0].shape[0]), dhs.dtype)
        self.dh = np.zeros_like(dhs[:, 0, :])
        for t in reversed(range(dhs.shape[1])):
            dxs[:, t, :], self.dh = self.cell.backward(dhs[:, t, :] + self.dh)
        return dxs
