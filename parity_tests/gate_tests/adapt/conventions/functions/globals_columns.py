"""A script: the weights are names of the module, a sequence is a matrix of columns, [n, T]."""

import numpy as np

n_in, n_hid = 4, 9
rng = np.random.default_rng(42)

W_xh = rng.standard_normal((n_hid, n_in)) / np.sqrt(n_in)
W_hh = rng.standard_normal((n_hid, n_hid)) / np.sqrt(n_hid)
b_h = np.zeros(n_hid)


def forward(X, h0):
    """Return the states with the first before them, [n_hid, T + 1]."""
    T = X.shape[1]
    H = np.empty((len(h0), T + 1))
    H[:, 0] = h0
    for t in range(T):
        H[:, t + 1] = np.tanh(W_xh @ X[:, t] + W_hh @ H[:, t] + b_h)
    return H


def backward(X, H, dH):
    """Return the gradients of the weights, of X and of h0; dH is [n_hid, T]."""
    T = X.shape[1]
    gW_xh = np.zeros_like(W_xh)
    gW_hh = np.zeros_like(W_hh)
    gb_h = np.zeros_like(b_h)
    gX = np.zeros_like(X)
    back = np.zeros(len(b_h))
    for t in range(T - 1, -1, -1):
        err = (dH[:, t] + back) * (1 - H[:, t + 1] ** 2)
        gW_xh += np.outer(err, X[:, t])
        gW_hh += np.outer(err, H[:, t])
        gb_h += err
        gX[:, t] = W_xh.T @ err
        back = W_hh.T @ err
    return gW_xh, gW_hh, gb_h, gX, back


if __name__ == "__main__":
    series = np.sin(np.linspace(0, 6, 4 * 20)).reshape(4, 20)
    states = forward(series, np.zeros(n_hid))
    print(states.shape, [g.shape for g in backward(series, states, np.ones((n_hid, 20)))])
