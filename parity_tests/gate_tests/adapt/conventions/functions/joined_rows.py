"""Two functions over lists of rows [batch, width]; one matrix takes the input beside the state."""

import numpy as np


def rnn_forward(xs, h0, W, b):
    """Return the list of states, and what the way back needs."""
    hs = []
    joined = []
    h = h0
    for x in xs:
        xh = np.hstack((x, h))
        a = xh.dot(W) + b
        h = np.tanh(a)
        joined.append(xh)
        hs.append(h)
    cache = (joined, hs, W, xs[0].shape[1])
    return hs, cache


def rnn_backward(dhs, cache):
    """Return the gradients of xs, a list, of h0, of W and of b."""
    joined, hs, W, D = cache
    dW = np.zeros_like(W)
    db = np.zeros(W.shape[1])
    dxs = [None] * len(hs)
    dnext = np.zeros_like(hs[0])
    for t in range(len(hs) - 1, -1, -1):
        dh = dhs[t] + dnext
        da = dh * (1.0 - hs[t] ** 2)
        dW += joined[t].T.dot(da)
        db += da.sum(axis=0)
        dxh = da.dot(W.T)
        dxs[t] = dxh[:, :D]
        dnext = dxh[:, D:]
    return dxs, dnext, dW, db


def sgd(W, b, dW, db, rate=0.1):
    """One step of gradient descent."""
    return W - rate * dW, b - rate * db
