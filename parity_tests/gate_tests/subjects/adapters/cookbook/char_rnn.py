import numpy as np

import parity_tests

# what the functions below read, as a script of one file has it
Wxh = Whh = Why = bh = by = None


def loss_and_gradients(inputs, targets, h_prev):
    """inputs and targets are lists of whole numbers, h_prev is [H, 1]."""
    xs, hs, ps = {}, {-1: h_prev}, {}
    loss = 0.0
    for t in range(len(inputs)):
        xs[t] = np.zeros((Wxh.shape[1], 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        y = Why @ hs[t] + by
        y = y - y.max()
        ps[t] = np.exp(y) / np.exp(y).sum()
        loss += np.log(np.exp(y).sum()) - y[targets[t], 0]

    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dh_next = np.zeros_like(h_prev)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        dz = (1 - hs[t] ** 2) * (Why.T @ dy + dh_next)
        dbh += dz
        dWxh += dz @ xs[t].T
        dWhh += dz @ hs[t - 1].T
        dh_next = Whh.T @ dz
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


@parity_tests.adapter(loss="cross_entropy", reduction="sum", indices=True)
def answer(problem):
    global Wxh, Whh, Why, bh, by
    Wxh, Whh, Why = problem.Wx.T, problem.Wh.T, problem.Wy.T
    bh, by = problem.b[:, None], problem.by[:, None]
    loss, dWxh, dWhh, dWhy, dbh, dby, h = loss_and_gradients(
        problem.indices[0], problem.targets[0], problem.h_0.T
    )
    of_layer = {"h_n": h.T, "dWx": dWxh.T, "dWh": dWhh.T, "db": dbh[:, 0]}
    return of_layer | {"loss": loss, "dWy": dWhy.T, "dby": dby[:, 0]}
