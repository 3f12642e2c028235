"""Public code with the head and the loss that it has: for each file of ``adapt/public``, one adapter.

The other adapters of such code, in ``people/strangers.py``, take the head away: an identity matrix, a
gradient in the place of a loss, an input of ones for a bias.
"""

from types import SimpleNamespace

import numpy as np

import parity_tests
from parity_tests.gate_tests.adapt.public import (
    last_output,
    library_layer,
    line_break,
    loss_inside,
    relu_cell,
    sigmoid,
    truncated_optimizer,
    two_directions,
    update_inside,
)


@parity_tests.adapter(without="dh_0")
def of_library_layer(problem):
    layer = library_layer.SimpleRecurrent(len(problem.b))
    layer.build(problem.xs.shape)
    layer.params = {"w_in": problem.Wx, "w_rec": problem.Wh, "bias": problem.b}
    layer.state = problem.h_0
    hs = layer.forward(problem.xs)
    dx, g = layer.backward(problem.dhs), layer.grads
    return {"hs": hs, "h_n": layer.state, "dx": dx, "dWx": g["w_in"], "dWh": g["w_rec"], "db": g["bias"]}


@parity_tests.adapter(nonlinearity="identity", without="batch,backward")
def of_line_break(problem):
    neurons = line_break.Neurons(*problem.Wx.T.shape)
    neurons.w_in, neurons.w_rec, neurons.bias = problem.Wx.T, problem.Wh.T, problem.b
    neurons.state = problem.h_0[0]
    hs = np.stack([neurons.advance(x) for x in problem.xs[0]])
    return {"hs": hs[None], "h_n": hs[-1:]}


@parity_tests.adapter(head=True, without="bias,head-bias,initial-state,h_n,dh_0")
def of_truncated_optimizer(problem):
    kept = []
    net = truncated_optimizer.TruncatedRNN(len(problem.Wh))
    net.build(
        len(problem.Wx), lambda: SimpleNamespace(update=lambda weight, gradient: kept.append(gradient.T))
    )
    net.w_xh, net.w_hh, net.w_hy = problem.Wx.T, problem.Wh.T, problem.Wy.T
    logits = net.forward(problem.xs)
    dx = net.backward(problem.dlogits)
    gradients = dict(zip(("dWx", "dWh", "dWy"), kept, strict=True))
    return {"hs": np.stack(net.h[1:], axis=1), "logits": logits, "dx": dx, **gradients}


@parity_tests.adapter(loss="cross_entropy", reduction="sum", without="batch,dx,dh_0,dWy,dby")
def of_loss_inside(problem):
    params = problem.Wx.T, problem.Wh.T, problem.Wy.T, problem.b[:, None], problem.by[:, None]
    xs, targets = problem.xs[0, :, :, None], np.eye(len(problem.by))[problem.targets[0]]
    probabilities, hidden = loss_inside.forward(xs, problem.h_0.T, params)
    loss, (dWx, dWh, db) = loss_inside.backward(xs, probabilities, hidden, targets, params)
    hs, probabilities = np.stack(hidden)[None, ..., 0], np.stack(probabilities)[None, ..., 0]
    outputs = {"hs": hs, "h_n": hidden[-1].T, "probabilities": probabilities, "loss": loss}
    return outputs | {"dWx": dWx.T, "dWh": dWh.T, "db": db[:, 0]}


@parity_tests.adapter(nonlinearity="relu", without="batch,initial-state,dense-gradient,hs,dx,dh_0")
def of_relu_cell(problem):
    net = relu_cell.ReluRNN(*problem.Wx.shape)
    net.cell.w_x, net.cell.w_h, net.cell.b = problem.Wx, problem.Wh, problem.b[None]
    h_n = net.forward(problem.xs[0])
    net.backward(problem.dhs[:, -1])
    return {"h_n": h_n, "dWx": net.dw_x, "dWh": net.dw_h, "db": net.db[0]}


@parity_tests.adapter(nonlinearity="relu", final_gradient=True)
def of_bias_by_width(problem):
    import torch

    from parity_tests.gate_tests.adapt.public.bias_by_width import ReluSequence

    given = {"x": problem.xs, "h_0": problem.h_0, **problem.weights}
    given = {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}
    hs, h_n = ReluSequence.apply(*given.values())
    upstream = torch.tensor(problem.dhs), torch.tensor(problem.dh_n)
    gradients = torch.autograd.grad((hs, h_n), [*given.values()], upstream)
    return {"hs": hs, "h_n": h_n} | {f"d{name}": value for name, value in zip(given, gradients, strict=True)}


@parity_tests.adapter(nonlinearity="sigmoid", without="batch,bias,initial-state,dense-gradient,dx,dh_0")
def of_sigmoid(problem):
    net = sigmoid.LogisticRNN(problem.Wx.T, problem.Wh.T)
    hs = np.stack(net.forward(problem.xs[0, :, :, None]))[None, ..., 0]
    dw_x, dw_h = net.backward(problem.dhs[0, -1, :, None])
    return {"hs": hs, "h_n": hs[:, -1], "dWx": dw_x.T, "dWh": dw_h.T}


@parity_tests.adapter(
    head=True, many_to_one=True, without="batch,initial-state,head-bias,hs,probabilities,dx,dh_0,dWy"
)
def of_last_output(problem):
    net = last_output.ManyToOne(problem.Wx, problem.Wh, problem.Wy, problem.b[None])
    logits = net.forward(problem.xs[0])
    dWx, dWh, db = net.backward(problem.xs[0], problem.dlogits)
    return {"h_n": net.hidden[-1], "logits": logits, "dWx": dWx, "dWh": dWh, "db": db[0]}


@parity_tests.adapter(bidirectional=True, without="backward")
def of_two_directions(problem):
    H = len(problem.Wh)
    net = two_directions.TwoWayCell(len(problem.Wx), H)
    (net.w_right, net.b_right), (net.w_left, net.b_left) = (
        (np.vstack([cell.Wh, cell.Wx]), cell.b) for cell in problem.cells
    )
    hs = two_directions.run(net, problem.xs.swapaxes(0, 1), *problem.h_0).swapaxes(0, 1)
    return {"hs": hs, "h_n": np.stack([hs[:, -1, :H], hs[:, 0, H:]])}


@parity_tests.adapter(
    head=True, many_to_one=True, outputs=1, without="batch,initial-state,hs,probabilities,dx,dh_0,dWy,dby"
)
def of_update_inside(problem):
    net = update_inside.Regressor(*problem.Wx.shape, lr=2.0**40)
    before = net.W_x, net.W_h, net.b_h = problem.Wx, problem.Wh, problem.b[:, None]
    net.W_y, net.b_y = problem.Wy, problem.by[:, None]
    logits = net.forward(problem.xs[0])
    net.backward(problem.dlogits.item())
    after = net.W_x, net.W_h, net.b_h
    dWx, dWh, db = (parity_tests.gradients_from_update(*pair, net.lr) for pair in zip(before, after))
    return {"h_n": net.steps[-1][2].T, "logits": logits, "dWx": dWx, "dWh": dWh, "db": db[:, 0]}
