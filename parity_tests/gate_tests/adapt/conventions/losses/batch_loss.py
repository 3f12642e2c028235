"""A tagger made of its weights: batches of sequences, a mean cross entropy, all gradients in a dict."""

import numpy as np


class Tagger:
    def __init__(self, Wx, Wh, b, Wo, bo):
        self.Wx, self.Wh, self.b = Wx, Wh, b
        self.Wo, self.bo = Wo, bo

    def states(self, x, h0):
        """The states of all steps, [N, T, H]."""
        h, found = h0, []
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t].dot(self.Wx) + h.dot(self.Wh) + self.b)
            found.append(h)
        return np.array(found).transpose(1, 0, 2)

    def loss(self, x, y, h0=None):
        """Take x [N, T, D] and labels y [N, T]; return the mean loss and the gradients."""
        N, T, _ = x.shape
        h0 = np.zeros((N, self.Wh.shape[0])) if h0 is None else h0
        h = self.states(x, h0)
        scores = h.dot(self.Wo) + self.bo
        p = np.exp(scores - scores.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        rows, cols = np.indices((N, T))
        loss = -np.log(p[rows, cols, y]).sum() / (N * T)
        dscores = p.copy()
        dscores[rows, cols, y] -= 1
        dscores /= N * T
        grads = {name: np.zeros_like(getattr(self, name)) for name in ("Wx", "Wh", "b")}
        grads["Wo"] = np.einsum("nth,ntc->hc", h, dscores)
        grads["bo"] = dscores.sum(axis=(0, 1))
        dh_all = dscores.dot(self.Wo.T)
        dnext = np.zeros((N, len(self.Wh)))
        for t in range(T - 1, -1, -1):
            h_prev = h[:, t - 1] if t > 0 else h0
            dz = (dh_all[:, t] + dnext) * (1 - h[:, t] ** 2)
            grads["Wx"] += x[:, t].T.dot(dz)
            grads["Wh"] += h_prev.T.dot(dz)
            grads["b"] += dz.sum(axis=0)
            dnext = dz.dot(self.Wh.T)
        return loss, grads
