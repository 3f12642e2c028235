"""States and an output matrix, no bias; ``backward`` goes back a few steps from each output, then takes a step of descent.

Wrong are the number of steps, where it matters, and what is handed down.
"""

import numpy as np


class TruncatedRNN:
    def __init__(self, hidden_size, bptt_steps=5):
        self.hidden_size = hidden_size
        self.bptt_steps = bptt_steps

    def build(self, input_size, optimizer):
        scale = 1 / np.sqrt(self.hidden_size)
        shapes = dict(w_xh=(self.hidden_size, input_size), w_hh=(self.hidden_size,) * 2)
        shapes["w_hy"] = input_size, self.hidden_size
        self.optimizers = {}
        for name, shape in shapes.items():
            setattr(self, name, np.random.uniform(-scale, scale, shape))
            self.optimizers[name] = optimizer()

    def forward(self, x):
        self.x = x
        self.h = [np.zeros((x.shape[0], self.hidden_size))]
        for x_t in np.moveaxis(x, 1, 0):
            self.h.append(np.tanh(np.dot(x_t, self.w_xh.T) + np.dot(self.h[-1], self.w_hh.T)))
        return np.stack([np.dot(h, self.w_hy.T) for h in self.h[1:]], 1)

    def backward(self, dy):
        grads = {name: np.zeros_like(getattr(self, name)) for name in self.optimizers}
        dx = []
        for last in range(1, len(self.h)):
            error = dy[:, last - 1]
            grads["w_hy"] += np.dot(error.T, self.h[last])
            delta, t = np.dot(error, self.w_hy), last
            while t > 0 and last - t <= self.bptt_steps:  # wrong for sequences of more than six steps
                delta = delta * (1 - self.h[t] ** 2)
                if t == last:
                    dx.append(np.dot(delta, self.w_xh))  # wrong: the outputs that follow depend on it too
                grads["w_xh"] += np.dot(delta.T, self.x[:, t - 1])
                grads["w_hh"] += np.dot(delta.T, self.h[t - 1])
                delta = np.dot(delta, self.w_hh)
                t -= 1
        for name, optimizer in self.optimizers.items():
            setattr(self, name, optimizer.update(getattr(self, name), grads[name]))
        return np.stack(dx, 1)
