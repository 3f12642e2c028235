"""Squared errors: sequences of numbers are predicted."""

import numpy as np

from parity_tests.gate_tests.diagnosis.heads.model import model


def states_of(p, f=np.tanh):
    H = [p.h_0]
    for t in range(p.xs.shape[1]):
        H.append(f(p.xs[:, t] @ p.Wx + H[t] @ p.Wh + p.b))
    return np.array(H)


def gradients(p, H, dH, slope):
    T = len(H) - 1
    dx = np.empty_like(p.xs)
    g = {"dWx": 0, "dWh": 0, "db": 0}
    carry = 0
    for t in range(T, 0, -1):
        delta = slope(H[t]) * (dH[t - 1] + carry)
        g["dWx"] = g["dWx"] + p.xs[:, t - 1].T @ delta
        g["dWh"] = g["dWh"] + H[t - 1].T @ delta
        g["db"] = g["db"] + delta.sum(axis=0)
        dx[:, t - 1] = delta @ p.Wx.T
        carry = delta @ p.Wh.T
    return {**g, "dx": dx, "dh_0": carry, "hs": H[1:].swapaxes(0, 1), "h_n": H[-1]}


def tanh_slope(h):
    return 1 - h * h


@model(loss="mse")
def squares(p):
    H = states_of(p)
    Y = H[1:] @ p.Wy + p.by
    E = Y - p.targets.swapaxes(0, 1)
    dY = 2 * E / E.size
    dWy = np.einsum("tbh,tbv->hv", H[1:], dY)
    back = gradients(p, H, dY @ p.Wy.T, tanh_slope)
    return {**back, "logits": Y.swapaxes(0, 1), "loss": (E**2).mean(), "dWy": dWy, "dby": dY.sum((0, 1))}


@model(loss="half_mse", reduction="batchmean")
def half_squares(p):
    H = states_of(p)
    B = len(p.xs)
    loss, dWy, dby, dH, Y = 0, 0, 0, [], []
    for t in range(1, len(H)):
        y = H[t] @ p.Wy + p.by
        e = y - p.targets[:, t - 1]
        loss += 0.5 * np.sum(e * e) / B
        dWy = dWy + H[t].T @ e / B
        dby = dby + e.sum(0) / B
        dH.append(e @ p.Wy.T / B)
        Y.append(y)
    back = gradients(p, H, dH, tanh_slope)
    return {**back, "logits": np.stack(Y, 1), "loss": loss, "dWy": dWy, "dby": dby}


@model(loss="mse", reduction="sum", nonlinearity="identity")
def linear_squares(p):
    H = states_of(p, lambda z: z)
    Y = H[1:] @ p.Wy + p.by
    E = Y - np.moveaxis(p.targets, 1, 0)
    dY = 2 * E
    back = gradients(p, H, dY @ p.Wy.T, np.ones_like)
    dWy = np.einsum("tbh,tbv->hv", H[1:], dY)
    return {**back, "logits": np.moveaxis(Y, 0, 1), "loss": np.sum(E**2), "dWy": dWy, "dby": dY.sum((0, 1))}


@model("squared error with another factor", loss="mse")
def squares_without_two(p):
    H = states_of(p)
    Y = H[1:] @ p.Wy + p.by
    E = Y - p.targets.swapaxes(0, 1)
    dY = E / E.size
    dWy = np.einsum("tbh,tbv->hv", H[1:], dY)
    back = gradients(p, H, dY @ p.Wy.T, tanh_slope)
    return {**back, "logits": Y.swapaxes(0, 1), "loss": (E**2).mean(), "dWy": dWy, "dby": dY.sum((0, 1))}


@model("head gradient one step off", loss="half_mse", reduction="sum")
def half_squares_late(p):
    H = states_of(p)
    Y = H[1:] @ p.Wy + p.by
    E = Y - p.targets.swapaxes(0, 1)
    dH = E @ p.Wy.T
    dH = np.concatenate([dH[1:], np.zeros_like(dH[:1])])
    dWy = np.einsum("tbh,tbv->hv", H[1:], E)
    back = gradients(p, H, dH, tanh_slope)
    return {**back, "logits": Y.swapaxes(0, 1), "loss": np.sum(E**2) / 2, "dWy": dWy, "dby": E.sum((0, 1))}


@model("carry dropped", loss="mse")
def squares_without_carry(p):
    H = states_of(p)
    Y = H[1:] @ p.Wy + p.by
    E = Y - p.targets.swapaxes(0, 1)
    dY = 2 * E / E.size
    dWy = np.einsum("tbh,tbv->hv", H[1:], dY)
    back = gradients(p, H, dY @ p.Wy.T, tanh_slope)
    delta = (dY @ p.Wy.T) * tanh_slope(H[1:])
    back["dWx"] = np.einsum("btd,tbh->dh", p.xs, delta)
    back["dWh"] = np.einsum("tbi,tbj->ij", H[:-1], delta)
    back["db"] = delta.sum((0, 1))
    back["dx"], back["dh_0"] = (delta @ p.Wx.T).swapaxes(0, 1), delta[0] @ p.Wh.T
    return {**back, "logits": Y.swapaxes(0, 1), "loss": (E**2).mean(), "dWy": dWy, "dby": dY.sum((0, 1))}
