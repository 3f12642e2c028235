"""Column vectors, one sample at a time, states and probabilities in dictionaries: character models."""

import numpy as np

from parity_tests.gate_tests.diagnosis.heads.model import model


def forward(w, inputs, hprev):
    Wxh, Whh, Why, bh, by = w
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)
    for t in range(len(inputs)):
        xs[t] = inputs[t].reshape(-1, 1)
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        ys[t] = np.dot(Why, hs[t]) + by
        e = np.exp(ys[t] - np.max(ys[t]))
        ps[t] = e / np.sum(e)
    return xs, hs, ys, ps


def recurrent_part(w, xs, hs, dhs):
    Wxh, Whh, _, bh, _ = w
    dWxh, dWhh, dbh = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(bh)
    dxs, dhnext = {}, np.zeros_like(hs[0])
    for t in reversed(range(len(xs))):
        dh = dhs[t] + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dxs[t] = np.dot(Wxh.T, dhraw)
        dhnext = np.dot(Whh.T, dhraw)
    return dWxh, dWhh, dbh, dxs, dhnext


def by_rows(problem, loss_fun):
    """Each row of the batch by itself; losses and gradients of the parameters add up."""
    p = problem
    w = p.Wx.T, p.Wh.T, p.Wy.T, p.b[:, None], p.by[:, None]
    out = {"loss": 0.0, "dWx": 0, "dWh": 0, "db": 0, "dWy": 0, "dby": 0}
    rows = {"hs": [], "logits": [], "dx": [], "dh_0": []}
    for n in range(len(p.xs)):
        loss, grads, hs, ys, dxs, dh0 = loss_fun(w, p.xs[n], p.targets[n], p.h_0[n][:, None])
        dWxh, dWhh, dWhy, dbh, dby = grads
        out["loss"] += float(loss)
        for name, value in zip(("dWx", "dWh", "dWy"), (dWxh, dWhh, dWhy), strict=True):
            out[name] = out[name] + value.T
        out["db"], out["dby"] = out["db"] + dbh[:, 0], out["dby"] + dby[:, 0]
        T = len(p.xs[n])
        for name, steps in (("hs", hs), ("logits", ys), ("dx", dxs)):
            rows[name].append(np.stack([steps[t][:, 0] for t in range(T)]))
        rows["dh_0"].append(dh0[:, 0])
    out |= {name: np.stack(values) for name, values in rows.items()}
    out["h_n"] = out["hs"][:, -1]
    return out


def loss_of_characters(w, inputs, targets, hprev):
    Why = w[2]
    xs, hs, ys, ps = forward(w, inputs, hprev)
    loss = 0
    dWhy, dby, dhs = np.zeros_like(Why), np.zeros_like(w[4]), {}
    for t in range(len(inputs)):
        loss += -np.log(ps[t][targets[t], 0])
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dhs[t] = np.dot(Why.T, dy)
    dWxh, dWhh, dbh, dxs, dhnext = recurrent_part(w, xs, hs, dhs)
    return loss, (dWxh, dWhh, dWhy, dbh, dby), hs, ys, dxs, dhnext


@model(loss="cross_entropy", reduction="sum")
def characters(problem):
    return by_rows(problem, loss_of_characters)


def loss_that_forgets_the_target(w, inputs, targets, hprev):
    Why = w[2]
    xs, hs, ys, ps = forward(w, inputs, hprev)
    loss = sum(-np.log(ps[t][targets[t], 0]) for t in range(len(inputs)))
    dWhy, dby, dhs = np.zeros_like(Why), np.zeros_like(w[4]), {}
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dhs[t] = np.dot(Why.T, dy)
    dWxh, dWhh, dbh, dxs, dhnext = recurrent_part(w, xs, hs, dhs)
    return loss, (dWxh, dWhh, dWhy, dbh, dby), hs, ys, dxs, dhnext


@model("loss gradient without the target", loss="cross_entropy", reduction="sum")
def characters_without_target(problem):
    return by_rows(problem, loss_that_forgets_the_target)


def loss_overwritten(w, inputs, targets, hprev):
    Why = w[2]
    xs, hs, ys, ps = forward(w, inputs, hprev)
    dWhy, dby, dhs = np.zeros_like(Why), np.zeros_like(w[4]), {}
    for t in range(len(inputs)):
        loss = -np.log(ps[t][targets[t], 0])
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dhs[t] = np.dot(Why.T, dy)
    dWxh, dWhh, dbh, dxs, dhnext = recurrent_part(w, xs, hs, dhs)
    return loss, (dWxh, dWhh, dWhy, dbh, dby), hs, ys, dxs, dhnext


@model("loss of one step only", loss="cross_entropy", reduction="sum")
def characters_last_loss(problem):
    return by_rows(problem, loss_overwritten)


def loss_of_unnormalised(w, inputs, targets, hprev):
    Why = w[2]
    xs, hs, ys, _ = forward(w, inputs, hprev)
    loss = 0
    dWhy, dby, dhs = np.zeros_like(Why), np.zeros_like(w[4]), {}
    for t in range(len(inputs)):
        e = np.exp(ys[t] - ys[t].max())
        loss -= np.log(e[targets[t], 0])
        dy = e / e.sum()
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dhs[t] = np.dot(Why.T, dy)
    dWxh, dWhh, dbh, dxs, dhnext = recurrent_part(w, xs, hs, dhs)
    return loss, (dWxh, dWhh, dWhy, dbh, dby), hs, ys, dxs, dhnext


@model("logarithm of an unnormalised value", loss="cross_entropy", reduction="sum")
def characters_unnormalised(problem):
    return by_rows(problem, loss_of_unnormalised)


def loss_with_old_states(w, inputs, targets, hprev):
    Why = w[2]
    xs, hs, ys, ps = forward(w, inputs, hprev)
    loss = 0
    dWhy, dby, dhs = np.zeros_like(Why), np.zeros_like(w[4]), {}
    for t in range(len(inputs)):
        loss += -np.log(ps[t][targets[t], 0])
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t - 1].T)
        dby += dy
        dhs[t] = np.dot(Why.T, dy)
    dWxh, dWhh, dbh, dxs, dhnext = recurrent_part(w, xs, hs, dhs)
    return loss, (dWxh, dWhh, dWhy, dbh, dby), hs, ys, dxs, dhnext


@model("dWy with another state", loss="cross_entropy", reduction="sum")
def characters_old_states(problem):
    return by_rows(problem, loss_with_old_states)
