import numpy as np

import parity_tests


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def rnn_cell_forward(xt, a_prev, parameters):
    Wax, Waa, ba = parameters["Wax"], parameters["Waa"], parameters["ba"]
    a_next = np.tanh(Waa @ a_prev + Wax @ xt + ba)
    yt_pred = softmax(parameters["Wya"] @ a_next + parameters["by"])
    return a_next, yt_pred, (a_next, a_prev, xt, parameters)


def rnn_forward(x, a0, parameters):
    """x is [n_x, m, T], a0 [n_a, m]."""
    caches, states, outputs = [], [], []
    a_next = a0
    for t in range(x.shape[2]):
        a_next, yt_pred, cache = rnn_cell_forward(x[:, :, t], a_next, parameters)
        states.append(a_next)
        outputs.append(yt_pred)
        caches.append(cache)
    return np.stack(states, axis=2), np.stack(outputs, axis=2), (caches, x)


def rnn_cell_backward(da_next, cache):
    a_next, a_prev, xt, parameters = cache
    dz = (1 - a_next**2) * da_next
    return {
        "dxt": parameters["Wax"].T @ dz,
        "da_prev": parameters["Waa"].T @ dz,
        "dWax": dz @ xt.T,
        "dWaa": dz @ a_prev.T,
        "dba": dz.sum(axis=1, keepdims=True),
    }


def rnn_backward(da, caches):
    """da is [n_a, m, T]."""
    caches, x = caches
    dx = np.zeros_like(x)
    sums = dict.fromkeys(("dWax", "dWaa", "dba"), 0)
    da_prev = np.zeros_like(da[:, :, 0])
    for t in reversed(range(x.shape[2])):
        gradients = rnn_cell_backward(da[:, :, t] + da_prev, caches[t])
        dx[:, :, t], da_prev = gradients["dxt"], gradients["da_prev"]
        for name in sums:
            sums[name] = sums[name] + gradients[name]
    return {"dx": dx, "da0": da_prev, **sums}


@parity_tests.adapter(head=True)
def answer(problem):
    parameters = {"Wax": problem.Wx.T, "Waa": problem.Wh.T, "ba": problem.b[:, None]}
    parameters |= {"Wya": problem.Wy.T, "by": problem.by[:, None]}
    a, y_pred, caches = rnn_forward(problem.xs.transpose(2, 0, 1), problem.h_0.T, parameters)
    da = (problem.dlogits @ problem.Wy.T).transpose(2, 0, 1)
    g = rnn_backward(da, caches)
    outputs = {"hs": a.transpose(1, 2, 0), "h_n": a[:, :, -1].T, "probabilities": y_pred.transpose(1, 2, 0)}
    of_weights = {"dWx": g["dWax"].T, "dWh": g["dWaa"].T, "db": g["dba"][:, 0]}
    return outputs | of_weights | {"dx": g["dx"].transpose(1, 2, 0), "dh_0": g["da0"].T}
