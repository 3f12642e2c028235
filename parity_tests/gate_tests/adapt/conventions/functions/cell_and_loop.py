"""A cell in two functions and the loops over it; volumes [n, batch, steps], the weights in a dict."""

import numpy as np


def initialize(n_x, n_h, seed=2):
    """Return small random weights."""
    rng = np.random.default_rng(seed)
    return {
        "W": rng.normal(0, 0.1, (n_h, n_x)),
        "R": rng.normal(0, 0.1, (n_h, n_h)),
        "b": np.zeros((n_h, 1)),
    }


def cell_forward(x_t, h_prev, weights):
    """Return the state after one step."""
    pre = np.matmul(weights["W"], x_t) + np.matmul(weights["R"], h_prev) + weights["b"]
    h_t = np.tanh(pre)
    return h_t, (x_t, h_prev, h_t)


def cell_backward(dh_t, cache, weights):
    """Return the gradients of what one step read."""
    x_t, h_prev, h_t = cache
    dpre = dh_t * (1 - np.power(h_t, 2))
    out = {}
    out["x"] = np.matmul(weights["W"].T, dpre)
    out["h_prev"] = np.matmul(weights["R"].T, dpre)
    out["W"] = np.matmul(dpre, x_t.T)
    out["R"] = np.matmul(dpre, h_prev.T)
    out["b"] = dpre.sum(axis=1, keepdims=True)
    return out


def forward(x, h0, weights):
    """All steps of a volume."""
    h = h0
    states, caches = [], []
    for t in range(x.shape[2]):
        h, cache = cell_forward(x[..., t], h, weights)
        states.append(h)
        caches.append(cache)
    return np.stack(states, axis=2), caches


def backward(dh, caches, weights):
    """All steps back."""
    grads = {name: np.zeros_like(value) for name, value in weights.items()}
    dx = []
    d_later = np.zeros_like(dh[..., 0])
    for t in range(dh.shape[2] - 1, -1, -1):
        step = cell_backward(dh[..., t] + d_later, caches[t], weights)
        for name in grads:
            grads[name] = grads[name] + step[name]
        dx.insert(0, step["x"])
        d_later = step["h_prev"]
    grads["x"] = np.stack(dx, axis=2)
    grads["h0"] = d_later
    return grads
