"""A layer that knows its units only, and makes its kernels when it sees the first input."""

import numpy as np


class SimpleRecurrent:
    def __init__(self, units):
        self.units = units
        self.kernel = None
        self.recurrent_kernel = None
        self.bias = None
        self.built = False

    def build(self, input_shape):
        rng = np.random.default_rng(7)
        limit = np.sqrt(6.0 / (input_shape[-1] + self.units))
        self.kernel = rng.uniform(-limit, limit, size=(input_shape[-1], self.units))
        self.recurrent_kernel = np.linalg.qr(rng.normal(size=(self.units, self.units)))[0]
        self.bias = np.zeros((self.units,))
        self.built = True

    def forward(self, inputs, initial_state=None):
        if not self.built:
            self.build(inputs.shape)
        self.inputs = inputs
        state = np.zeros((len(inputs), self.units)) if initial_state is None else initial_state
        self.history = [state]
        projected = np.einsum("btd,du->btu", inputs, self.kernel) + self.bias
        for step in range(inputs.shape[1]):
            state = np.tanh(projected[:, step] + np.dot(state, self.recurrent_kernel))
            self.history.append(state)
        return np.stack(self.history[1:], axis=1)

    def backward(self, upstream):
        deltas = np.zeros_like(upstream)
        carry = np.zeros((upstream.shape[0], self.units))
        for step in range(upstream.shape[1] - 1, -1, -1):
            slope = 1.0 - np.square(self.history[step + 1])
            deltas[:, step] = slope * (upstream[:, step] + carry)
            carry = np.dot(deltas[:, step], self.recurrent_kernel.T)
        earlier = np.stack(self.history[:-1], axis=1)
        self.kernel_grad = np.einsum("btd,btu->du", self.inputs, deltas)
        self.recurrent_kernel_grad = np.einsum("bth,btu->hu", earlier, deltas)
        self.bias_grad = deltas.sum(axis=(0, 1))
        self.initial_state_grad = carry
        return np.einsum("btu,du->btd", deltas, self.kernel)
