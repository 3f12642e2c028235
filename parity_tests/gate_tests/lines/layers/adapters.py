"""Code with conventions of its own, and the functions that ask it for what a problem wants."""

from functools import reduce
from types import SimpleNamespace

import numpy as np


class Elman:
    """Weights are [out, in], inputs [T, B, in]; the loss is somebody else's business."""

    def __init__(self, n_in, n_hidden):
        self.W_ih = np.zeros((n_hidden, n_in))
        self.W_hh = np.zeros((n_hidden, n_hidden))
        self.bias = np.zeros(n_hidden)
        self.zero_grad()

    def zero_grad(self):
        self.gW_ih = np.zeros_like(self.W_ih)
        self.gW_hh = np.zeros_like(self.W_hh)
        self.gbias = np.zeros_like(self.bias)

    def run(self, inputs, state):
        self.inputs, self.states = inputs, [state]
        for u in inputs:
            state = np.tanh(u @ self.W_ih.T + state @ self.W_hh.T + self.bias)
            self.states.append(state)
        return np.array(self.states[1:])

    def run_back(self, errors):
        g_inputs = np.zeros_like(self.inputs)
        g_state = np.zeros_like(self.states[0])
        for k in range(len(errors) - 1, -1, -1):
            g_state = g_state + errors[k]
            g_sum = g_state * (1 - self.states[k + 1] ** 2)
            self.gW_ih += g_sum.T @ self.inputs[k]
            self.gW_hh += g_sum.T @ self.states[k]
            self.gbias += g_sum.sum(axis=0)
            g_inputs[k] = g_sum @ self.W_ih
            g_state = g_sum @ self.W_hh.T
        return g_inputs, g_state


def elman(problem):
    net = Elman(*problem.Wx.shape)
    net.W_ih, net.W_hh, net.bias = problem.Wx.T, problem.Wh.T, problem.b
    net.zero_grad()
    outputs = net.run(problem.xs.swapaxes(0, 1), problem.h_0)
    g_inputs, g_first = net.run_back(problem.dhs.swapaxes(0, 1))
    return {
        "hs": outputs.swapaxes(0, 1),
        "h_n": outputs[-1],
        "dx": g_inputs.swapaxes(0, 1),
        "dh_0": g_first,
        "dWx": net.gW_ih.T,
        "dWh": net.gW_hh.T,
        "db": net.gbias,
    }


def bptt(x, s0, U, W, b, ds):
    """Both passes for one sequence: x [T, D], s0 [H], ds [T, H]."""
    T = len(x)
    s = np.zeros((T + 1, len(s0)), x.dtype)
    s[-1] = s0
    for t in range(T):
        s[t] = np.tanh(x[t].dot(U) + s[t - 1].dot(W.T) + b)
    dU, dW, db = np.zeros_like(U), np.zeros_like(W), np.zeros_like(b)
    dx, back = np.zeros_like(x), np.zeros_like(s0)
    for t in range(T)[::-1]:
        delta = (ds[t] + back) * (1 - s[t] ** 2)
        dU += np.outer(x[t], delta)
        dW += np.outer(s[t - 1], delta)
        db = delta
        dx[t] = U.dot(delta)
        back = W.dot(delta)
    return s[:T], dx, back, dU, dW, db


def bptt_of_batch(xs, firsts, U, W, b, errors):
    """The same for all sequences; the gradients of the weights are those of all together."""
    rows = zip(xs, firsts, errors, strict=True)
    found = [bptt(x, s0, U, W, b, ds) for x, s0, ds in rows]
    states, dx, d_first, dU, dW, db = (np.array(column) for column in zip(*found, strict=True))
    dU = dU.sum(axis=0)
    dW = dW.mean(axis=0)
    db = db.sum(axis=0)
    return states, dx, d_first, dU, dW, db


def sequence_by_sequence(problem):
    given = problem.xs, problem.h_0, problem.Wx, problem.Wh, problem.b, problem.dhs
    states, dx, d_first, dWx, dWh, db = bptt_of_batch(*given)
    return {"hs": states, "h_n": states[:, -1], "dx": dx, "dh_0": d_first, "dWx": dWx, "dWh": dWh, "db": db}


def scan(function, start, items):
    """All values that ``function`` gives one after the other, the start first."""
    return reduce(lambda values, item: [*values, function(values[-1], item)], items, [start])


class FunctionalNet:
    """Two scans: one over the inputs, one back over what the first has found."""

    def __init__(self, weights):
        self.weights = weights

    def states(self, start, inputs):
        w = self.weights
        return scan(lambda h, x: np.tanh(x @ w.input + h @ w.state + w.bias), start, inputs)

    def errors(self, states, upstream):
        w = self.weights

        def undo(later, known):
            h, up = known
            local = (up + later.carry) * (1 - h**2)
            return SimpleNamespace(local=local, carry=local @ w.state.T)

        nothing = SimpleNamespace(local=None, carry=np.zeros_like(states[0]))
        return scan(undo, nothing, list(zip(states[:-1], upstream, strict=True))[::-1])[1:]

    def gradients(self, inputs, start, upstream):
        states = self.states(start, inputs)
        errors = self.errors(states, upstream)
        local = np.array([error.local for error in errors][::-1])
        total = SimpleNamespace(
            input=np.tensordot(inputs, local, axes=([0, 1], [0, 1])),
            state=np.tensordot(np.array(states[:-1]), local, axes=([0, 1], [0, 1])),
            bias=local.sum(axis=(0, 1)),
        )
        return states, local @ self.weights.input.T, errors[-1].carry, total


def functional(problem):
    net = FunctionalNet(SimpleNamespace(input=problem.Wx, state=problem.Wh, bias=problem.b))
    inputs, upstream = np.moveaxis(problem.xs, 1, 0), np.moveaxis(problem.dhs, 1, 0)
    states, d_inputs, d_start, total = net.gradients(inputs, problem.h_0, upstream)
    return {
        "hs": np.stack(states[1:], axis=1),
        "h_n": states[-1],
        "dx": np.moveaxis(d_inputs, 0, 1),
        "dh_0": d_start,
        "dWx": total.input,
        "dWh": total.state,
        "db": total.bias,
    }
