"""Two directions made of two lists of weights, time first, with initial states and a dict of gradients."""

import numpy as np


def scan(xs, h, U, W, b):
    """The states of one direction, the first before them."""
    states = [h]
    for x in xs:
        states.append(np.tanh(x @ U.T + states[-1] @ W.T + b))
    return states


def scan_back(xs, states, dys, U, W):
    """The gradients of one direction."""
    dU, dW, db = np.zeros_like(U), np.zeros_like(W), np.zeros(len(W))
    dxs, dh = [], np.zeros_like(states[0])
    for x, old, new, dy in reversed(list(zip(xs, states[:-1], states[1:], dys, strict=True))):
        da = (dy + dh) * (1 - new**2)
        dU += da.T @ x
        dW += da.T @ old
        db += da.sum(axis=0)
        dxs.append(da @ U)
        dh = da @ W
    return np.array(dxs[::-1]), dh, [dU, dW, db]


class BiRNN:
    def __init__(self, forward_weights, backward_weights):
        self.fw = forward_weights
        self.bw = backward_weights

    def forward(self, xs, h_fw, h_bw):
        """Take [time, batch, n]; return [time, batch, 2 h]."""
        self.xs = xs
        self.states_fw = scan(xs, h_fw, *self.fw)
        self.states_bw = scan(xs[::-1], h_bw, *self.bw)
        return np.concatenate([self.states_fw[1:], self.states_bw[:0:-1]], axis=-1)

    def backward(self, dys):
        n = len(self.fw[2])
        dys_fw, dys_bw = dys[..., :n], dys[::-1, :, n:]
        dx_fw, dh_fw, grads_fw = scan_back(self.xs, self.states_fw, dys_fw, self.fw[0], self.fw[1])
        dx_bw, dh_bw, grads_bw = scan_back(self.xs[::-1], self.states_bw, dys_bw, self.bw[0], self.bw[1])
        return {
            "xs": dx_fw + dx_bw[::-1],
            "h_fw": dh_fw,
            "h_bw": dh_bw,
            "fw": grads_fw,
            "bw": grads_bw,
        }
