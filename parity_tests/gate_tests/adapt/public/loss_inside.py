"""A model of characters in two functions: columns, the softmax in one and the cross-entropy in the other.

The activation is built from exponentials. Wrong are its slope and one factor; the gradients are clipped by norm.
"""

import numpy as np

MAX_NORM = 0.25
TINY = 1e-12


def activation(z, derivative=False):
    grow, decay = np.exp(z + TINY), np.exp(-(z + TINY))
    ratio = (grow - decay) / (grow + decay)
    return (1 + ratio) * (1 - ratio) if derivative else ratio


def clipped(gradients):
    total = np.linalg.norm(np.concatenate([gradient.ravel() for gradient in gradients]))
    factor = MAX_NORM / (total + 1e-6) if total > MAX_NORM else 1.0
    return [gradient * factor for gradient in gradients]


def forward(xs, h_prev, params):
    w_xh, w_hh, w_hy, b_h, b_y = params
    probabilities, hidden = [], []
    for x in xs:
        h_prev = activation(b_h + np.dot(w_xh, x) + np.dot(w_hh, h_prev))
        hidden.append(h_prev)
        unnormalized = np.exp(np.dot(w_hy, h_prev) + b_y)
        probabilities.append(unnormalized / unnormalized.sum())
    return probabilities, hidden


def backward(xs, probabilities, hidden, targets, params):
    _, w_hh, w_hy, b_h, _ = params
    loss, dh_next = 0.0, np.zeros_like(b_h)
    dw_xh = dw_hh = db_h = 0
    for t in range(len(xs) - 1, -1, -1):
        right = np.argmax(targets[t])
        loss -= np.log(probabilities[t][right, 0])
        dy = probabilities[t] - np.eye(len(probabilities[t]))[:, [right]]
        # Wrong: what is kept is no pre-activation any more.
        dz = activation(hidden[t], derivative=True) * (dh_next + np.dot(w_hy.T, dy))
        dw_xh = dw_xh + np.dot(dz, xs[t].T)
        dw_hh = dw_hh + np.dot(dz, hidden[t - 1].T)  # wrong: the first step is paired with the final state
        db_h = db_h + dz
        dh_next = np.dot(w_hh.T, dz)
    return loss, clipped([dw_xh, dw_hh, db_h])
