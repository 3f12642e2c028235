import numpy as np


def forward(inputs, h, Wx, Wh, b):
    """inputs is a list of T arrays [B, D]; returns the list of states."""
    states = []
    for x in inputs:
        h = np.tanh(x @ Wx + h @ Wh + b)
        states.append(h)
    return states


def backward(inputs, h0, states, dstates, Wx, Wh):
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wx[0])
    dinputs = []
    dh = np.zeros_like(h0)
    previous = [h0, *states[:-1]]
    for x, h_prev, h, dstate in zip(inputs[::-1], previous[::-1], states[::-1], dstates[::-1]):
        dz = (dstate + dh) * (1 - h * h)
        dWx += x.T @ dz
        dWh += h_prev.T @ dz
        db += dz.sum(axis=0)
        dinputs.insert(0, dz @ Wx.T)
        dh = dz @ Wh.T
    return dinputs, dh, dWx, dWh, db


def answer(problem):
    inputs, dstates = list(problem.xs.swapaxes(0, 1)), list(problem.dhs.swapaxes(0, 1))
    states = forward(inputs, problem.h_0, problem.Wx, problem.Wh, problem.b)
    dinputs, dh0, dWx, dWh, db = backward(inputs, problem.h_0, states, dstates, problem.Wx, problem.Wh)
    outputs = {"hs": np.stack(states, axis=1), "h_n": states[-1]}
    return outputs | {"dx": np.stack(dinputs, axis=1), "dh_0": dh0, "dWx": dWx, "dWh": dWh, "db": db}
