"""The reference: ``torch.nn.RNN`` and ``torch.nn.RNNCell`` as they are, in float64, with autograd.

torch has no such layer with a sigmoid or without a nonlinearity: there it is a loop of torch's operations.
A head is a ``torch.nn.Linear``, a loss is torch's own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, linear, mse_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights, HeadArrays
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import SECOND_BIAS, Answer, suffixes

LOOPED = ("sigmoid", "identity")
"""Nonlinearities that torch's recurrent layers do not have."""
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _RNN(torch.nn.RNN):
    def reset_parameters(self) -> None:
        """Draw no weights: a case's are set."""


class _RNNCell(torch.nn.RNNCell):
    def reset_parameters(self) -> None:
        """Draw no weights: a case's are set."""


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
    if case.is_cell and case.nonlinearity not in LOOPED:
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
            hs, final = _run(case, module, hs, start[layer * size : (layer + 1) * size], call.lengths)
            finals.append(final)
        h_n = torch.cat(finals)
    if call.head is None:
        of_head = Answer()
        upstream = [(hs, call.dhs), (h_n, call.dh_n)]
        # Of a number: to be given gradients, torch imports sympy, which takes longer than 100 cases.
        sum(
            (value * _tensor(gradient)).sum() for value, gradient in upstream if gradient is not None
        ).backward()
    else:
        of_head = _through_head(case, call.head, hs)
    answer = {"hs": hs, "h_n": h_n, "dx": xs.grad, "dh_0": start.grad}
    return {
        **{name: _array(value) for name, value in answer.items() if name != "hs" or not case.is_cell},
        **_gradients(case, [parameter for module in modules for parameter in module.parameters()]),
        **of_head,
    }


def _through_head(case: Case, arrays: HeadArrays, hs: torch.Tensor) -> Answer:
    """The tensors of head and loss, after the backward through both and through the states ``hs``."""
    has_bias = case.head_bias == "by"
    head = torch.nn.Linear(case.H, case.V, has_bias, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(_tensor(arrays.Wy.T))
        if has_bias:
            head.bias.copy_(_tensor(arrays.by))
    logits = head(hs[:, -1:] if case.many_to_one else hs)
    answer = {"logits": logits}
    if case.loss in ("cross_entropy", "logits"):
        answer["probabilities"] = logits.softmax(-1)
    if case.has_loss:
        assert arrays.targets is not None  # drawn for every loss
        answer["loss"] = loss = _loss(case, logits, torch.tensor(arrays.targets))
        loss.backward()  # type: ignore[no-untyped-call]
    else:
        assert arrays.dlogits is not None  # drawn where there is no loss
        (logits * _tensor(arrays.dlogits)).sum().backward()
    return {
        **{name: _array(value).reshape(value.shape or (1,)) for name, value in answer.items()},
        "dWy": _array(head.weight.grad).T,
        **({"dby": _array(head.bias.grad)} if has_bias else {}),
    }


def _loss(case: Case, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    reduction = "mean" if case.reduction == "mean" else "sum"
    if case.loss == "cross_entropy":
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)
    else:
        loss = mse_loss(logits, targets.to(torch.float64), reduction=reduction)
    loss = loss / len(logits) if case.reduction == "batchmean" else loss
    return loss / 2 if case.loss == "half_mse" else loss


def _cell(case: Case, weights: CellWeights) -> torch.nn.RNNCell:
    nonlinearity = "relu" if case.relu else "tanh"
    bias = case.bias != "nobias"
    cell = _RNNCell(case.D, case.H, bias, nonlinearity, dtype=torch.float64)
    return _with_weights(cell, [weights])


def _stack(case: Case, cells: Sequence[CellWeights], depth: int) -> torch.nn.RNN:
    rnn = _RNN(
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
    case: Case, rnn: torch.nn.RNN, xs: torch.Tensor, start: torch.Tensor, lengths: Array | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """``output`` [B, T, ...] and ``h_n`` of ``xs`` [B, T, ...]; padding is 0 in the output."""
    if case.nonlinearity in LOOPED:
        ends = torch.full((len(xs),), xs.shape[1]) if lengths is None else torch.tensor(lengths)
        return _looped(case, rnn, xs, start, ends)
    if lengths is None:
        output, h_n = rnn(xs, start)
        return output, h_n
    packed = pack_padded_sequence(xs, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    output, h_n = rnn(packed, start)
    return pad_packed_sequence(output, batch_first=True, total_length=xs.shape[1])[0], h_n


def _looped(
    case: Case, rnn: torch.nn.RNN, xs: torch.Tensor, start: torch.Tensor, ends: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same with a nonlinearity that torch's layers do not have; ``ends`` [B] are the lengths."""
    steps = torch.arange(xs.shape[1])
    runs = steps < ends[:, None]
    turned = torch.where(runs, ends[:, None] - 1 - steps, steps)
    rows = torch.arange(len(xs))[:, None]
    parameters, finals = dict(rnn.named_parameters()), list[torch.Tensor]()
    for layer in range(rnn.num_layers):
        outputs = []
        for direction in range(case.directions):
            suffix = f"_l{layer}" + "_reverse" * direction
            of_cell = [parameters.get(f"{name}{suffix}") for name in PARAMETERS]
            own = xs[rows, turned] if direction else xs
            h, states = start[len(finals)], []
            for step in steps:
                h = torch.where(runs[:, step, None], _next(case, own[:, step], h, of_cell), h)
                states.append(torch.where(runs[:, step, None], h, 0))
            output = torch.stack(states, 1)
            outputs.append(output[rows, turned] if direction else output)
            finals.append(h)
        xs = torch.cat(outputs, -1)
    return xs, torch.stack(finals)


def _next(case: Case, x: torch.Tensor, h: torch.Tensor, of_cell: Sequence[Any]) -> torch.Tensor:
    """The state after ``h``, by the parameters of a cell."""
    weight_ih, weight_hh, bias_ih, bias_hh = of_cell
    z = linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)
    return torch.sigmoid(z) if case.nonlinearity == "sigmoid" else z


def _gradients(case: Case, parameters: Sequence[torch.nn.Parameter]) -> Answer:
    gradients = [_array(parameter.grad) for parameter in parameters]
    if case.layer in ("TimeRNN", "RNN"):
        weight_ih, weight_hh, *biases = gradients
        return {
            "dWx": weight_ih.T,
            "dWh": weight_hh.T,
            **dict(zip(("db", SECOND_BIAS), biases, strict=False)),
        }
    kinds = PARAMETERS[: len(gradients) // case.num_cells]
    names = [f"d{kind}{suffix}" for suffix in suffixes(case) for kind in kinds]
    return dict(zip(names, gradients, strict=True))


def _tensor(array: Array) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _array(tensor: torch.Tensor | None) -> Array:
    assert tensor is not None  # every leaf takes part in the loss
    array: Array = tensor.detach().numpy()
    return array
