"""A layer of a small library: time first, weights as [out, in], the gradients come back in a dict."""

import numpy as np


class Recurrent:
    def __init__(self, input_dim, hidden_dim, seed=0):
        rng = np.random.default_rng(seed)
        bound = 1.0 / np.sqrt(hidden_dim)
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        self.w_in = rng.uniform(-bound, bound, (hidden_dim, input_dim))
        self.w_rec = rng.uniform(-bound, bound, (hidden_dim, hidden_dim))
        self.bias = np.zeros(hidden_dim)
        self._tape = None

    def forward(self, inputs, state=None):
        steps, batch, _ = inputs.shape
        if state is None:
            state = np.zeros((batch, self.hidden_dim))
        before, after = [], []
        for k in range(steps):
            before.append(state)
            drive = inputs[k] @ self.w_in.T + state @ self.w_rec.T
            drive = drive + self.bias
            state = np.tanh(drive)
            after.append(state)
        self._tape = inputs, np.array(before), np.array(after)
        return np.array(after), state

    def backward(self, grad_states, grad_last=None):
        inputs, before, after = self._tape
        found = {
            "inputs": np.zeros_like(inputs),
            "w_in": np.zeros_like(self.w_in),
            "w_rec": np.zeros_like(self.w_rec),
            "bias": np.zeros_like(self.bias),
        }
        flowing = np.zeros_like(before[0]) if grad_last is None else grad_last
        for k in reversed(range(len(inputs))):
            total = grad_states[k] + flowing
            local = total * (1.0 - after[k] ** 2)
            found["w_in"] += local.T @ inputs[k]
            found["w_rec"] += local.T @ before[k]
            found["bias"] += local.sum(axis=0)
            found["inputs"][k] = local @ self.w_in
            flowing = local @ self.w_rec
        found["state"] = flowing
        return found
