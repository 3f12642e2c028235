import numpy as np

import parity_tests


class Forecaster:
    """Predicts a vector at every step; the loss is half of the squared errors."""

    def __init__(self, n_in, n_hidden, n_out, lr=0.01):
        self.W_in = np.random.randn(n_in, n_hidden) * 0.1
        self.W_rec = np.random.randn(n_hidden, n_hidden) * 0.1
        self.b_rec = np.zeros(n_hidden)
        self.W_out = np.random.randn(n_hidden, n_out) * 0.1
        self.b_out = np.zeros(n_out)
        self.lr = lr

    def train_step(self, X, Y):
        """X is [B, T, n_in], Y [B, T, n_out]; changes the weights and returns the loss."""
        B, T, _ = X.shape
        H = [np.zeros((B, len(self.W_rec)), X.dtype)]
        for t in range(T):
            H.append(np.tanh(X[:, t] @ self.W_in + H[-1] @ self.W_rec + self.b_rec))
        errors = np.stack(H[1:], axis=1) @ self.W_out + self.b_out - Y
        gW_in, gW_rec, gb_rec, gW_out, gb_out = 0, 0, 0, 0, 0
        dH = 0
        for t in reversed(range(T)):
            gW_out += H[t + 1].T @ errors[:, t]
            gb_out += errors[:, t].sum(axis=0)
            delta = (errors[:, t] @ self.W_out.T + dH) * (1 - H[t + 1] ** 2)
            gW_in += X[:, t].T @ delta
            gW_rec += H[t].T @ delta
            gb_rec += delta.sum(axis=0)
            dH = delta @ self.W_rec.T
        self.W_in -= self.lr * gW_in
        self.W_rec -= self.lr * gW_rec
        self.b_rec -= self.lr * gb_rec
        self.W_out -= self.lr * gW_out
        self.b_out -= self.lr * gb_out
        return 0.5 * (errors**2).sum()


WEIGHTS = {"W_in": "Wx", "W_rec": "Wh", "b_rec": "b", "W_out": "Wy", "b_out": "by"}


@parity_tests.adapter(loss="half_mse", reduction="sum")
def answer(problem):
    net = Forecaster(*problem.Wx.shape, len(problem.by), lr=2.0**40)
    for name, ours in WEIGHTS.items():
        setattr(net, name, getattr(problem, ours).copy())
    results = {"loss": net.train_step(problem.xs, problem.targets)}
    for name, ours in WEIGHTS.items():
        before, after = getattr(problem, ours), getattr(net, name)
        results[f"d{ours}"] = parity_tests.gradients_from_update(before, after, net.lr)
    return results
