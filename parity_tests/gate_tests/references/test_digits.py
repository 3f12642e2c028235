"""Both references against a third implementation: the equations in 50 digits, one number after another."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import SECOND_BIAS
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import NoNoise

pytest.importorskip("torch", reason="it is one of the references")
mpmath = pytest.importorskip("mpmath", reason="it computes in 50 digits")

U = 2.0**-53
ALLOWED = 64
"""Unit roundoffs of the largest element of a tensor; the worst seen was 19, in a sum that cancels."""

Numbers = list[Any]
Matrix = list[Numbers]
SLOPES: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda z: 1 - mpmath.tanh(z) ** 2,
    "relu": lambda z: int(z > 0),
    "sigmoid": lambda z: mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2,
}
VALUES: dict[str, Callable[[Any], Any]] = {
    "tanh": mpmath.tanh,
    "relu": lambda z: max(z, 0),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
}


def exactly(array: Any) -> Any:
    return [exactly(part) for part in array] if getattr(array, "ndim", 0) else mpmath.mpf(float(array))


def joined(parts: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def dot(left: Numbers, right: Numbers) -> Any:
    return sum((a * b for a, b in zip(left, right, strict=True)), mpmath.mpf(0))


def times(row: Numbers, weights: Matrix) -> Numbers:
    return [dot(row, list(column)) for column in zip(*weights, strict=True)]


def added(*rows: Numbers) -> Numbers:
    return [sum(numbers) for numbers in zip(*rows, strict=True)]


def outer(left: Matrix, right: Matrix) -> Matrix:
    """Sum over the rows of ``left_n^T right_n``."""
    return [[dot(list(a), list(b)) for b in zip(*right, strict=True)] for a in zip(*left, strict=True)]


class Cell:
    """One direction of one layer over one sequence."""

    def __init__(self, case: Case, weights: Any, xs: Matrix, h_0: Numbers) -> None:
        arrays = weights.arrays()
        self.Wx, self.Wh = exactly(arrays["Wx"]), exactly(arrays["Wh"])
        self.slope, self.xs, self.zs, self.hs = SLOPES[case.nonlinearity], xs, [], [h_0]
        biases = [exactly(arrays[name]) for name in ("b", "b_hh") if name in arrays]
        for x in xs:
            self.zs.append(added(times(x, self.Wx), times(self.hs[-1], self.Wh), *biases))
            self.hs.append([VALUES[case.nonlinearity](z) for z in self.zs[-1]])

    def back(self, dhs: Matrix) -> Matrix:
        dzs: Matrix = []
        carry: Numbers = [0] * len(self.Wh)
        for z, dh in zip(reversed(self.zs), reversed(dhs), strict=True):
            dz = [d * self.slope(value) for d, value in zip(added(dh, carry), z, strict=True)]
            dzs.insert(0, dz)
            carry = [dot(dz, row) for row in self.Wh]
        self.dzs, self.dh_0 = dzs, carry
        return [[dot(dz, row) for row in self.Wx] for dz in dzs]


def turned(rows: Matrix, direction: int) -> Matrix:
    return rows[::-1] if direction else rows


def sequence(case: Case, call: Call, row: int) -> tuple[list[Cell], Matrix]:
    """The cells of all layers and directions over one sequence, and the outputs of the last layer."""
    cells: list[Cell] = []
    xs = exactly(call.xs[row])
    for _ in range(case.layers):
        for direction in range(case.directions):
            h_0 = [mpmath.mpf(0)] * case.H if call.h_0 is None else exactly(call.h_0[len(cells), row])
            cells.append(Cell(case, call.weights[len(cells)], turned(xs, direction), h_0))
        last = [turned(cell.hs[1:], d) for d, cell in enumerate(cells[-case.directions :])]
        xs = [joined(parts) for parts in zip(*last, strict=True)]
    return cells, xs


def back(case: Case, cells: Sequence[Cell], dhs: Matrix) -> Matrix:
    H = case.H
    for layer in reversed(range(case.layers)):
        parts = [
            turned(cell.back(turned([row[d * H : (d + 1) * H] for row in dhs], d)), d)
            for d, cell in enumerate(cells[layer * case.directions : (layer + 1) * case.directions])
        ]
        dhs = [added(*rows) for rows in zip(*parts, strict=True)]
    return dhs


def answer(case: Case, call: Call) -> dict[str, Any]:
    """Every tensor of a case, in 50 digits."""
    ran = [sequence(case, call, row) for row in range(case.B)]
    hs = [outputs for _, outputs in ran]
    head: dict[str, Any] = {}
    if call.head is None:
        dhs = exactly(call.dhs)
    else:
        head, dhs = cross_entropy(call.head, hs)
    dx = [back(case, cells, upstream) for (cells, _), upstream in zip(ran, dhs, strict=True)]
    found = {"hs": hs, "dx": dx, **head}
    found["h_n"] = [[cells[i].hs[-1] for cells, _ in ran] for i in range(case.num_cells)]
    found["dh_0"] = [[cells[i].dh_0 for cells, _ in ran] for i in range(case.num_cells)]
    for i in range(case.num_cells):
        layer, direction = divmod(i, case.directions)
        suffix = f"_l{layer}" + "_reverse" * direction
        of_cell = [cells[i] for cells, _ in ran]
        dzs = joined(cell.dzs for cell in of_cell)
        dWx = outer(joined(cell.xs for cell in of_cell), dzs)
        dWh = outer(joined(cell.hs[:-1] for cell in of_cell), dzs)
        db = added(*dzs)
        if not case.has_torch_interface:
            found |= {"dWx": dWx, "dWh": dWh, "db": db, SECOND_BIAS: db}
        else:
            found |= {f"dweight_ih{suffix}": list(zip(*dWx, strict=True)), f"dbias_ih{suffix}": db}
            found |= {f"dweight_hh{suffix}": list(zip(*dWh, strict=True)), f"dbias_hh{suffix}": db}
    return found


def cross_entropy(head: Any, hs: list[Matrix]) -> tuple[dict[str, Any], list[Matrix]]:
    """The tensors of a head with torch's mean cross entropy, and the gradient of the states."""
    Wy, by, states = exactly(head.Wy), exactly(head.by), joined(hs)
    logits = [added(times(h, Wy), by) for h in states]
    totals = [sum(map(mpmath.exp, row)) for row in logits]
    probabilities = [[mpmath.exp(z) / total for z in row] for row, total in zip(logits, totals, strict=True)]
    targets, N = head.targets.reshape(-1).tolist(), len(states)
    loss = -sum(mpmath.log(row[k]) for row, k in zip(probabilities, targets, strict=True)) / N
    dlogits = [
        [(p - (j == k)) / N for j, p in enumerate(row)] for row, k in zip(probabilities, targets, strict=True)
    ]
    T = len(hs[0])
    dhs = [[dot(row, weights) for weights in Wy] for row in dlogits]
    found = {"dWy": outer(states, dlogits), "dby": added(*dlogits), "loss": [loss]}
    for name, rows in (("logits", logits), ("probabilities", probabilities)):
        found[name] = [rows[start : start + T] for start in range(0, N, T)]
    return found, [dhs[start : start + T] for start in range(0, N, T)]


def flat(numbers: Any) -> Numbers:
    return joined(map(flat, numbers)) if isinstance(numbers, list | tuple) else [numbers]


@pytest.mark.parametrize(
    "token",
    [
        "B2T6D3H4-f64-h0-s1",
        "nn-B2T4D2H3-relu-f64-h0-s2",
        "B2T5D2H3-sigmoid-f64-s3",
        "nn-B2T4D2H3L2-bi-f64-h0-s4",
        "B2T3D2H3V4-f64-cross_entropy-s5",
    ],
)
def test_both_references_agree_with_fifty_digits(token: str) -> None:
    from parity_tests.references.live_torch import torch_answers

    case = Case.parse(token)
    (call,) = calls = calls_of(case)
    with mpmath.workdps(50):
        truth = answer(case, call)
        for reference in (torch_answers(case, calls), Loop(case, NoNoise(case)).answers(calls)):
            assert truth.keys() - {SECOND_BIAS} == reference[0].keys() - {SECOND_BIAS}
            for name, array in reference[0].items():
                want = flat(truth[name])
                assert array.shape == np.array(truth[name], object).shape
                error = max(abs(mpmath.mpf(got) - true) for got, true in zip(array.flat, want, strict=True))
                assert error <= ALLOWED * U * max(map(abs, want)), name
