"""A group of neurons that is advanced by one input vector; nothing is trained, and the activation is elsewhere."""

import numpy as np


class Neurons:
    def __init__(self, n_neurons, n_inputs):
        draw = np.random.default_rng().random
        self.state = np.zeros(n_neurons)
        self.bias = 2 * draw(n_neurons) - 1
        self.w_in, self.w_rec = (2 * draw((n_neurons, size)) - 1 for size in (n_inputs, n_neurons))

    def advance(self, signal):
        # Wrong: no parentheses, so that the line ends the sum and the other terms are thrown away.
        self.state = self.w_in @ signal
        +self.w_rec @ self.state
        +self.bias
        return self.state
