"""Time major: arrays [T, B, ...], or a list with an entry a step."""

import numpy as np

from parity_tests.gate_tests.diagnosis.heads.model import model


def scan(p, f=np.tanh):
    xs = np.swapaxes(p.xs, 0, 1)
    states = [p.h_0]
    for x in xs:
        states.append(f(x @ p.Wx + states[-1] @ p.Wh + p.b))
    return xs, states


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def unroll_back(p, xs, states, dstates, slope=lambda h: 1 - h**2):
    dWx, dWh, db = np.zeros_like(p.Wx), np.zeros_like(p.Wh), np.zeros_like(p.b)
    dx, carry = [None] * len(xs), np.zeros_like(p.h_0)
    for t in reversed(range(len(xs))):
        dz = (dstates[t] + carry) * slope(states[t + 1])
        dWx += xs[t].T @ dz
        dWh += states[t].T @ dz
        db += dz.sum(0)
        dx[t] = dz @ p.Wx.T
        carry = dz @ p.Wh.T
    return {"dx": np.stack(dx, 1), "dh_0": carry, "dWx": dWx, "dWh": dWh, "db": db}


def of_states(states):
    return {"hs": np.stack(states[1:], 1), "h_n": states[-1]}


@model(loss="cross_entropy", reduction="batchmean")
def steps_batchmean(p):
    B, V = len(p.xs), len(p.by)
    xs, states = scan(p)
    logits = [h @ p.Wy + p.by for h in states[1:]]
    loss, dlogits = 0.0, []
    for t, z in enumerate(logits):
        lp = log_softmax(z)
        loss -= lp[np.arange(B), p.targets[:, t]].sum() / B
        dlogits.append((np.exp(lp) - np.eye(V, dtype=z.dtype)[p.targets[:, t]]) / B)
    dWy = sum(h.T @ d for h, d in zip(states[1:], dlogits, strict=True))
    back = unroll_back(p, xs, states, [d @ p.Wy.T for d in dlogits])
    return {**of_states(states), "logits": np.stack(logits, 1), "loss": loss,
            "dWy": dWy, "dby": sum(d.sum(0) for d in dlogits), **back}  # fmt: skip


@model(head=True, nonlinearity="sigmoid")
def steps_sigmoid_given_gradient(p):
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    xs, states = scan(p, sigmoid)
    H = np.stack(states[1:])
    dy = p.dlogits.swapaxes(0, 1)
    back = unroll_back(p, xs, states, dy @ p.Wy.T, lambda h: h * (1 - h))
    return {**of_states(states), "logits": (H @ p.Wy + p.by).swapaxes(0, 1),
            "dWy": np.tensordot(H, dy, axes=([0, 1], [0, 1])), "dby": dy.sum((0, 1)), **back}  # fmt: skip


@model(loss="cross_entropy", reduction="sum", indices=True)
def steps_onehot_einsum(p):
    xs, states = scan(p)
    H = np.stack(states[1:])
    logits = np.einsum("tbh,hv->tbv", H, p.Wy) + p.by
    onehot = (np.arange(len(p.by)) == p.targets.T[..., None]).astype(H.dtype)
    lp = log_softmax(logits)
    d = np.exp(lp) - onehot
    back = unroll_back(p, xs, states, np.einsum("tbv,hv->tbh", d, p.Wy))
    return {**of_states(states), "logits": logits.swapaxes(0, 1), "loss": -np.einsum("tbv,tbv->", onehot, lp),
            "dWy": np.einsum("tbh,tbv->hv", H, d), "dby": np.einsum("tbv->v", d), **back}  # fmt: skip


@model("logarithm of another base", loss="cross_entropy", reduction="batchmean")
def steps_bits(p):
    B, V = len(p.xs), len(p.by)
    xs, states = scan(p)
    logits = [h @ p.Wy + p.by for h in states[1:]]
    loss, dlogits = 0.0, []
    for t, z in enumerate(logits):
        e = np.exp(z - z.max(1, keepdims=True))
        prob = e / e.sum(1, keepdims=True)
        loss -= np.log2(prob[np.arange(B), p.targets[:, t]]).sum() / B
        dlogits.append((prob - np.eye(V, dtype=z.dtype)[p.targets[:, t]]) / B)
    dWy = sum(h.T @ d for h, d in zip(states[1:], dlogits, strict=True))
    back = unroll_back(p, xs, states, [d @ p.Wy.T for d in dlogits])
    return {**of_states(states), "logits": np.stack(logits, 1), "loss": loss,
            "dWy": dWy, "dby": sum(d.sum(0) for d in dlogits), **back}  # fmt: skip


@model("head gradient of one step only", loss="cross_entropy", reduction="sum")
def steps_gradient_of_last_step(p):
    B = len(p.xs)
    xs, states = scan(p)
    H = np.stack(states[1:])
    lp = log_softmax(H @ p.Wy + p.by)
    targets = p.targets.T
    loss = -sum(lp[t, n, targets[t, n]] for t in range(len(xs)) for n in range(B))
    d = np.exp(lp)
    for t in range(len(xs)):
        d[t, np.arange(B), targets[t]] -= 1
    dstates = [np.zeros_like(p.h_0)] * len(xs)
    dstates[-1] = d[-1] @ p.Wy.T
    return {**of_states(states), "logits": (H @ p.Wy + p.by).swapaxes(0, 1), "loss": loss,
            "dWy": np.einsum("tbh,tbv->hv", H, d), "dby": d.sum((0, 1)),
            **unroll_back(p, xs, states, dstates)}  # fmt: skip


@model("dby of one step only", loss="cross_entropy", reduction="sum")
def steps_bias_not_added_up(p):
    B, V = len(p.xs), len(p.by)
    xs, states = scan(p)
    dWy = np.zeros_like(p.Wy)
    logits, dstates, loss = [], [], 0.0
    for t, h in enumerate(states[1:]):
        z = h @ p.Wy + p.by
        lp = log_softmax(z)
        onehot = np.eye(V, dtype=z.dtype)[p.targets[:, t]]
        loss -= (lp * onehot).sum()
        d = np.exp(lp) - onehot
        dWy += h.T @ d
        dby = np.ones(B, z.dtype) @ d
        dstates.append(d @ p.Wy.T)
        logits.append(z)
    return {**of_states(states), "logits": np.stack(logits, 1), "loss": loss, "dWy": dWy, "dby": dby,
            **unroll_back(p, xs, states, dstates)}  # fmt: skip


@model("loss gradient with the wrong sign", loss="cross_entropy", reduction="sum")
def steps_target_minus_probability(p):
    V = len(p.by)
    xs, states = scan(p)
    H = np.stack(states[1:])
    logits = H @ p.Wy + p.by
    lp = log_softmax(logits)
    onehot = np.eye(V, dtype=lp.dtype)[p.targets.T]
    d = onehot - np.exp(lp)
    return {**of_states(states), "logits": logits.swapaxes(0, 1), "loss": -(lp * onehot).sum(),
            "dWy": np.einsum("tbh,tbv->hv", H, d), "dby": d.sum((0, 1)),
            **unroll_back(p, xs, states, d @ p.Wy.T)}  # fmt: skip


@model("slope of tanh under sigmoid", loss="cross_entropy", reduction="sum", nonlinearity="sigmoid")
def steps_sigmoid_with_slope_of_tanh(p):
    V = len(p.by)
    xs, states = scan(p, lambda z: 1 / (1 + np.exp(-z)))
    H = np.stack(states[1:])
    logits = H @ p.Wy + p.by
    lp = log_softmax(logits)
    onehot = np.eye(V, dtype=lp.dtype)[p.targets.T]
    d = np.exp(lp) - onehot
    return {**of_states(states), "logits": logits.swapaxes(0, 1), "loss": -(lp * onehot).sum(),
            "dWy": np.einsum("tbh,tbv->hv", H, d), "dby": d.sum((0, 1)),
            **unroll_back(p, xs, states, d @ p.Wy.T)}  # fmt: skip
