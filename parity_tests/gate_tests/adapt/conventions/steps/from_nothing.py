"""A network of fixed size that is made from nothing, and keeps its own state: one sample, a step a call."""

import numpy as np

INPUTS = 5
UNITS = 8


class Net:
    def __init__(self):
        rng = np.random.default_rng(21)
        self.w_input = rng.uniform(-0.3, 0.3, (UNITS, INPUTS))
        self.w_state = rng.uniform(-0.3, 0.3, (UNITS, UNITS))
        self.b_input = np.zeros(UNITS)
        self.b_state = np.zeros(UNITS)
        self.reset()

    def reset(self, state=None):
        """Begin a new sequence; gradients begin anew with it."""
        self.state = np.zeros(UNITS) if state is None else state
        self.steps = []
        self.error = np.zeros(UNITS)
        self.g_w_input = np.zeros_like(self.w_input)
        self.g_w_state = np.zeros_like(self.w_state)
        self.g_b_input = np.zeros(UNITS)
        self.g_b_state = np.zeros(UNITS)

    def step(self, x):
        """Take one vector in; return the new state."""
        from_input = np.dot(self.w_input, x) + self.b_input
        from_state = np.dot(self.w_state, self.state) + self.b_state
        new = np.tanh(from_input + from_state)
        self.steps.append((x, self.state, new))
        self.state = new
        return new

    def step_back(self, d_state):
        """Undo the last step: return the gradient of its input, and keep that of the state before it."""
        x, old, new = self.steps.pop()
        d_sum = (d_state + self.error) * (1 - new * new)
        self.g_w_input += np.outer(d_sum, x)
        self.g_w_state += np.outer(d_sum, old)
        self.g_b_input += d_sum
        self.g_b_state += d_sum
        self.error = np.dot(self.w_state.T, d_sum)
        return np.dot(self.w_input.T, d_sum)
