"""The reference: ``torch.nn.RNN`` and ``torch.nn.RNNCell`` as they are, in float64, with autograd."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import SECOND_BIAS, Answer, suffixes


def torch_answers(case: Case, calls: Sequence[Call]) -> list[Answer]:
    """Return torch's answers, in float64, to the calls of a case."""
    answers: list[Answer] = []
    for call in calls:
        h_0 = answers[-1]["h_n"] if call.carries else call.h_0
        answers.append(_answer(case, call, h_0))
    return answers


def _answer(case: Case, call: Call, h_0: Array | None) -> Answer:
    shape = len(call.weights), len(call.xs), case.H
    xs = _tensor(call.xs).requires_grad_()
    start = torch.zeros(shape, dtype=torch.float64) if h_0 is None else _tensor(h_0)
    start.requires_grad_()
    if case.is_cell:
        modules: list[Any] = [_cell(case, call.weights[0])]
        h_n = modules[0](xs[:, 0], start[0])[None]
        hs = h_n[0, :, None]
    else:
        # With dropout the same masks are applied: a chain of single layers, the masks between them.
        depth = 1 if call.masks else case.layers
        size = depth * case.directions
        modules = [_stack(case, call.weights[i : i + size], depth) for i in range(0, len(call.weights), size)]
        hs, finals = xs, []
        for layer, module in enumerate(modules):
            if layer:
                hs = hs * _tensor(call.masks[layer - 1]) / (1 - case.dropout)
            hs, final = _run(module, hs, start[layer * size : (layer + 1) * size], call.lengths)
            finals.append(final)
        h_n = torch.cat(finals)
    upstream = [(hs, call.dhs), (h_n, call.dh_n)]
    given = [(value, _tensor(gradient)) for value, gradient in upstream if gradient is not None]
    torch.autograd.backward(*zip(*given, strict=True))  # type: ignore[arg-type]
    answer = {"hs": hs, "h_n": h_n, "dx": xs.grad, "dh_0": start.grad}
    return {
        **{name: _array(value) for name, value in answer.items() if name != "hs" or not case.is_cell},
        **_gradients(case, [parameter for module in modules for parameter in module.parameters()]),
    }


def _cell(case: Case, weights: CellWeights) -> torch.nn.RNNCell:
    nonlinearity = "relu" if case.relu else "tanh"
    bias = case.bias != "nobias"
    cell = torch.nn.RNNCell(case.D, case.H, bias, nonlinearity, dtype=torch.float64)
    return _with_weights(cell, [weights])


def _stack(case: Case, cells: Sequence[CellWeights], depth: int) -> torch.nn.RNN:
    rnn = torch.nn.RNN(
        len(cells[0].Wx),
        case.H,
        depth,
        "relu" if case.relu else "tanh",
        case.bias != "nobias",
        batch_first=True,
        dropout=case.dropout if depth > 1 else 0.0,
        bidirectional=case.bidirectional,
        dtype=torch.float64,
    )
    # Drawn masks are applied by hand: left to torch, dropout is only seen to do nothing.
    return _with_weights(rnn.eval(), cells)


def _with_weights(module: Any, cells: Sequence[CellWeights]) -> Any:
    values: list[Array] = []
    for cell in cells:
        values += [cell.Wx.T, cell.Wh.T]
        if cell.b is not None:
            values += [cell.b, np.zeros_like(cell.b) if cell.b_hh is None else cell.b_hh]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.copy_(_tensor(value))
    return module


def _run(
    rnn: torch.nn.RNN, xs: torch.Tensor, start: torch.Tensor, lengths: Array | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """``output`` [B, T, ...] and ``h_n`` of ``xs`` [B, T, ...]; padding is 0 in the output."""
    if lengths is None:
        output, h_n = rnn(xs, start)
        return output, h_n
    packed = pack_padded_sequence(xs, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    output, h_n = rnn(packed, start)
    return pad_packed_sequence(output, batch_first=True, total_length=xs.shape[1])[0], h_n


def _gradients(case: Case, parameters: Sequence[torch.nn.Parameter]) -> Answer:
    gradients = [_array(parameter.grad) for parameter in parameters]
    if case.layer in ("TimeRNN", "RNN"):
        weight_ih, weight_hh, bias_ih, bias_hh = gradients
        return {"dWx": weight_ih.T, "dWh": weight_hh.T, "db": bias_ih, SECOND_BIAS: bias_hh}
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: len(gradients) // case.num_cells]
    names = [f"d{kind}{suffix}" for suffix in suffixes(case) for kind in kinds]
    return dict(zip(names, gradients, strict=True))


def _tensor(array: Array) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _array(tensor: torch.Tensor | None) -> Array:
    assert tensor is not None  # every leaf takes part in the loss
    array: Array = tensor.detach().numpy()
    return array
