"""Batch first, everything in arrays [B, T, ...], the loss in one expression."""

import numpy as np

from parity_tests.gate_tests.diagnosis.heads.model import model


def run(x, h, Wx, Wh, b, act=np.tanh):
    out = np.empty((len(x), x.shape[1], len(Wh)), x.dtype)
    for t in range(x.shape[1]):
        h = act(x[:, t] @ Wx + h @ Wh + b)
        out[:, t] = h
    return out


def bptt(x, h0, hs, dhs, Wx, Wh, slope):
    prev = np.concatenate([h0[:, None], hs[:, :-1]], axis=1)
    dz = np.zeros_like(hs)
    dh = np.zeros_like(h0)
    for t in range(hs.shape[1] - 1, -1, -1):
        dz[:, t] = (dhs[:, t] + dh) * slope[:, t]
        dh = dz[:, t] @ Wh.T
    return {
        "dx": dz @ Wx.T,
        "dh_0": dh,
        "dWx": np.einsum("btd,bth->dh", x, dz),
        "dWh": np.einsum("bti,btj->ij", prev, dz),
        "db": dz.sum(axis=(0, 1)),
    }


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@model(loss="cross_entropy")
def flat_mean(p):
    B, T, _ = p.xs.shape
    hs = run(p.xs, p.h_0, p.Wx, p.Wh, p.b)
    logits = hs @ p.Wy + p.by
    probs = softmax(logits)
    at = np.arange(B)[:, None], np.arange(T), p.targets
    loss = -np.log(probs[at]).mean()
    dy = probs.copy()
    dy[at] -= 1
    dy /= B * T
    back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, 1 - hs**2)
    dWy = hs.reshape(B * T, -1).T @ dy.reshape(B * T, -1)
    return {
        "hs": hs,
        "h_n": hs[:, -1],
        "logits": logits,
        "loss": loss,
        "dWy": dWy,
        "dby": dy.sum((0, 1)),
        **back,
    }


@model(loss="cross_entropy", nonlinearity="relu", indices=True)
def flat_relu_with_symbols(p):
    (B, T), H = p.indices.shape, len(p.Wh)
    h, hs = p.h_0, np.zeros((B, T, H), p.Wx.dtype)
    for t in range(T):
        h = np.maximum(0, p.Wx[p.indices[:, t]] + h @ p.Wh + p.b)
        hs[:, t] = h
    logits = hs @ p.Wy + p.by
    top = logits.max(-1, keepdims=True)
    logprobs = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    picked = np.take_along_axis(logprobs, p.targets[..., None], axis=-1)
    dy = np.exp(logprobs)
    np.put_along_axis(dy, p.targets[..., None], np.take_along_axis(dy, p.targets[..., None], -1) - 1, axis=-1)
    dy = dy / (B * T)
    back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, (hs > 0).astype(hs.dtype))
    dWy = np.einsum("bth,btv->hv", hs, dy)
    return {
        "hs": hs, "h_n": h, "probabilities": np.exp(logprobs), "loss": -picked.mean(),
        "dWy": dWy, "dby": dy.sum((0, 1)), **back,
    }  # fmt: skip


@model("another reduction of the gradient alone", loss="cross_entropy")
def flat_mean_of_loss_alone(p):
    B, T, _ = p.xs.shape
    hs = run(p.xs, p.h_0, p.Wx, p.Wh, p.b)
    logits = hs @ p.Wy + p.by
    probs = softmax(logits)
    at = np.arange(B)[:, None], np.arange(T), p.targets
    loss = -np.log(probs[at]).sum() / (B * T)
    dy = probs.copy()
    dy[at] -= 1
    back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, 1 - hs**2)
    dWy = np.einsum("bth,btv->hv", hs, dy)
    return {
        "hs": hs,
        "h_n": hs[:, -1],
        "logits": logits,
        "loss": loss,
        "dWy": dWy,
        "dby": dy.sum((0, 1)),
        **back,
    }


@model("another reduction", loss="cross_entropy")
def flat_mean_over_steps(p):
    T, V = p.targets.shape[1], len(p.by)
    hs = run(p.xs, p.h_0, p.Wx, p.Wh, p.b)
    logits = hs @ p.Wy + p.by
    probs = softmax(logits)
    onehot = np.eye(V, dtype=probs.dtype)[p.targets]
    loss = -(onehot * np.log(probs)).sum(axis=2).mean(axis=1).sum()
    dy = (probs - onehot) / T
    back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, 1 - hs**2)
    dWy = np.einsum("bth,btv->hv", hs, dy)
    return {
        "hs": hs,
        "h_n": hs[:, -1],
        "logits": logits,
        "loss": loss,
        "dWy": dWy,
        "dby": dy.sum((0, 1)),
        **back,
    }


@model("softmax over the wrong axis", loss="cross_entropy")
def flat_softmax_over_steps(p):
    B, T, V = *p.targets.shape, len(p.by)
    hs = run(p.xs, p.h_0, p.Wx, p.Wh, p.b)
    logits = hs @ p.Wy + p.by
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = e / e.sum(axis=1, keepdims=True)
    onehot = np.eye(V, dtype=probs.dtype)[p.targets]
    loss = -np.log((probs * onehot).sum(-1)).mean()
    dy = (probs - onehot) / (B * T)
    back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, 1 - hs**2)
    dWy = np.einsum("bth,btv->hv", hs, dy)
    return {
        "hs": hs, "h_n": hs[:, -1], "probabilities": probs, "loss": loss,
        "dWy": dWy, "dby": dy.sum((0, 1)), **back,
    }  # fmt: skip


@model("softmax overflows", loss="cross_entropy")
def flat_unshifted(p):
    B, T, V = *p.targets.shape, len(p.by)
    hs = run(p.xs, p.h_0, p.Wx, p.Wh, p.b)
    logits = hs @ p.Wy + p.by
    with np.errstate(all="ignore"):
        probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        onehot = np.eye(V, dtype=probs.dtype)[p.targets]
        loss = -np.log((probs * onehot).sum(-1)).mean()
        dy = (probs - onehot) / (B * T)
        back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, 1 - hs**2)
        dWy = np.einsum("bth,btv->hv", hs, dy)
    return {
        "hs": hs,
        "h_n": hs[:, -1],
        "logits": logits,
        "loss": loss,
        "dWy": dWy,
        "dby": dy.sum((0, 1)),
        **back,
    }


@model("slope missing", loss="cross_entropy")
def flat_without_slope(p):
    B, T, V = *p.targets.shape, len(p.by)
    hs = run(p.xs, p.h_0, p.Wx, p.Wh, p.b)
    logits = hs @ p.Wy + p.by
    probs = softmax(logits)
    dy = (probs - np.eye(V, dtype=probs.dtype)[p.targets]) / (B * T)
    loss = -np.log(np.take_along_axis(probs, p.targets[..., None], -1)).sum() / (B * T)
    back = bptt(p.xs, p.h_0, hs, dy @ p.Wy.T, p.Wx, p.Wh, np.ones_like(hs))
    dWy = np.einsum("bth,btv->hv", hs, dy)
    return {
        "hs": hs,
        "h_n": hs[:, -1],
        "logits": logits,
        "loss": loss,
        "dWy": dWy,
        "dby": dy.sum((0, 1)),
        **back,
    }
