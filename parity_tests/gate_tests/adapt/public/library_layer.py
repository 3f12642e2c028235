"""A layer for a home-made model class: built from the shape of a batch, one dict of parameters, one of gradients.

The state outlives a batch. Wrong are the slope, the bias gradient and what is handed down.
"""

import numpy as np


class SimpleRecurrent:
    def __init__(self, n_neurons):
        self.n_neurons = n_neurons

    def build(self, input_shape):
        samples, _steps, features = input_shape
        H = self.n_neurons
        normal = np.random.RandomState(3).standard_normal
        self.params = dict(w_in=normal((features, H)), w_rec=normal((H, H)), bias=np.zeros(H))
        self.state = np.zeros((samples, H))

    def forward(self, inputs):
        self.inputs, self.befores, self.afters = inputs, [], []
        drive = inputs @ self.params["w_in"] + self.params["bias"]
        for z in drive.swapaxes(0, 1):
            self.befores.append(self.state)
            self.state = np.tanh(z + self.state @ self.params["w_rec"])
            self.afters.append(self.state)
        return np.stack(self.afters, axis=1)

    def backward(self, d_out):
        w_in, w_rec = self.params["w_in"], self.params["w_rec"]
        dw_in, dw_rec, dh = 0.0, 0.0, 0.0
        for t, before, after in list(zip(range(len(self.afters)), self.befores, self.afters))[::-1]:
            dh = dh + d_out[:, t]
            dz = dh / np.cosh(after) ** 2  # wrong: 1 - tanh^2, but of what has been through the tanh
            dw_in = dw_in + np.einsum("bi,bj->ij", self.inputs[:, t], dz)
            dw_rec = dw_rec + np.einsum("bi,bj->ij", before, dz)
            dh = dz @ w_rec.T
        db = d_out.sum(axis=(0, 1))  # wrong: the slope and what comes back through time are left out
        self.grads = dict(w_in=dw_in, w_rec=dw_rec, bias=db)
        return d_out @ (w_in @ w_rec).T  # wrong: down through both matrices, and left out here too
