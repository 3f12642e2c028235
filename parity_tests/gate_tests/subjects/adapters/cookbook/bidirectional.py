import numpy as np

import parity_tests


def one_direction(x, h, Wx, Wh, b):
    states = []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        states.append(h)
    return np.stack(states, axis=1), h


def both_directions(x, h0, weights):
    """weights is (Wx, Wh, b) of each direction; the outputs stand side by side, [B, T, 2 * H]."""
    output, last = one_direction(x, h0[0], *weights[0])
    reverse_output, reverse_last = one_direction(x[:, ::-1], h0[1], *weights[1])
    return np.concatenate([output, reverse_output[:, ::-1]], axis=2), np.stack([last, reverse_last])


@parity_tests.adapter(bidirectional=True)
def answer(problem):
    w = problem.weights
    weights = [
        (w["weight_ih" + end].T, w["weight_hh" + end].T, w["bias_ih" + end] + w["bias_hh" + end])
        for end in ["_l0", "_l0_reverse"][: 1 + problem.bidirectional]
    ]
    if problem.bidirectional:
        hs, h_n = both_directions(problem.xs, problem.h_0, weights)
    else:
        hs, h_n = one_direction(problem.xs, problem.h_0[0], *weights[0])
    return {"hs": hs, "h_n": h_n.reshape(problem.h_0.shape)}
