"""The reference: ``torch.nn.RNN`` and ``torch.nn.RNNCell`` as they are, in float64, with autograd."""

from collections.abc import Sequence
from typing import TypeVar

import torch

from parity_tests._answer import SECOND_BIAS, Answer
from parity_tests._case import Case
from parity_tests._inputs import Array, Call

Module = TypeVar("Module", bound=torch.nn.Module)


def torch_answers(case: Case, calls: Sequence[Call]) -> list[Answer]:
    """Return torch's answers, in float64, to the calls of a case."""
    answers: list[Answer] = []
    for call in calls:
        h_0 = answers[-1]["h_n"] if call.carries else call.h_0
        answers.append(_cell(call, h_0) if case.layer == "cell" else _sequence(call, h_0))
    return answers


def _sequence(call: Call, h_0: Array | None) -> Answer:
    D, H = call.Wx.shape
    rnn = _with_weights(torch.nn.RNN(D, H, batch_first=True, dtype=torch.float64), call)
    xs, start = _leaf(call.xs), _start(call, h_0)
    output, h_n = rnn(xs, start[None])
    output.backward(_tensor(call.dhs))
    return {"hs": _array(output), "h_n": _array(h_n[0]), **_gradients(rnn, xs, start)}


def _cell(call: Call, h_0: Array | None) -> Answer:
    D, H = call.Wx.shape
    cell = _with_weights(torch.nn.RNNCell(D, H, dtype=torch.float64), call)
    x, start = _leaf(call.xs[:, 0]), _start(call, h_0)
    h_next = cell(x, start)
    h_next.backward(_tensor(call.dhs[:, 0]))
    return {"h_n": _array(h_next), **_gradients(cell, x, start)}


def _with_weights(module: Module, call: Call) -> Module:
    weight_ih, weight_hh, bias_ih, bias_hh = module.parameters()
    with torch.no_grad():
        weight_ih.copy_(_tensor(call.Wx.T))
        weight_hh.copy_(_tensor(call.Wh.T))
        bias_ih.copy_(_tensor(call.b))
        bias_hh.zero_()
    return module


def _gradients(module: torch.nn.Module, x: torch.Tensor, start: torch.Tensor) -> Answer:
    weight_ih, weight_hh, bias_ih, bias_hh = (_array(p.grad) for p in module.parameters())
    return {
        "dx": _array(x.grad),
        "dh_0": _array(start.grad),
        "dWx": weight_ih.T,
        "dWh": weight_hh.T,
        "db": bias_ih,
        SECOND_BIAS: bias_hh,
    }


def _start(call: Call, h_0: Array | None) -> torch.Tensor:
    shape = len(call.xs), len(call.Wh)
    return torch.zeros(shape, dtype=torch.float64, requires_grad=True) if h_0 is None else _leaf(h_0)


def _tensor(array: Array) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _leaf(array: Array) -> torch.Tensor:
    return _tensor(array).requires_grad_()


def _array(tensor: torch.Tensor | None) -> Array:
    assert tensor is not None  # every leaf takes part in the output
    array: Array = tensor.detach().numpy()
    return array
