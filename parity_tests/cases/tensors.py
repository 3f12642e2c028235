"""An answer: the tensors of one call under their names, from the reference or the layer judged.

Inside the gate an answer has one form for all kinds of layers, the canonical one given here. Where a
layer has another, by its options, ``native`` says how.
"""

import re
from collections.abc import Iterator

from parity_tests.cases.arrays import Array, Weights
from parity_tests.cases.case import Case

Answer = dict[str, Array]
"""Tensor name to array."""

TENSORS = {
    "hs": "[B, T, directions * H] output of every time step; torch: output",
    "h_n": "[layers * directions, B, H] final states; torch: h_n; a cell's h_next",
    "dx": "[B, T, D] gradient of the input; torch: input.grad",
    "dh_0": "[layers * directions, B, H] gradient of the initial states; torch: hx.grad; a cell's dh_prev",
    "dWx": "[D, H] gradient of Wx; torch: weight_ih_l0.grad.T",
    "dWh": "[H, H] gradient of Wh; torch: weight_hh_l0.grad.T",
    "db": "[H] gradient of b; torch: bias_ih_l0.grad and bias_hh_l0.grad, which are equal",
    "dweight_ih": "[H, D] gradient of weight_ih, of each layer and direction",
    "dweight_hh": "[H, H] gradient of weight_hh, of each layer and direction",
    "dbias_ih": "[H] gradient of bias_ih, of each layer and direction",
    "dbias_hh": "[H] gradient of bias_hh, of each layer and direction",
}
"""Every tensor compared, by the one name it has in cases, reports, messages and recorded answers;
the last four are followed by ``_l0``, ``_l0_reverse``, ... where there are layers."""

SECOND_BIAS = "db_hh"
"""In the reference's answers of ``time`` and ``cell`` only: torch's bias_hh gradient, which must
equal ``db``."""


def family(tensor: str) -> str:
    """The entry of ``TENSORS`` that a tensor belongs to."""
    return re.sub("_l[0-9]+(_reverse)?$", "", tensor)


def suffixes(case: Case) -> Iterator[str]:
    """What torch appends to the names of each cell's parameters."""
    if case.kind == "nncell":
        yield ""
        return
    for layer in range(case.layers):
        yield from (f"_l{layer}", f"_l{layer}_reverse")[: case.directions]


def parameters(case: Case, cells: tuple[Weights, ...]) -> dict[str, Array]:
    """The parameters of an ``nn`` or ``nncell`` under torch's names, in torch's layout."""
    named: dict[str, Array] = {}
    for suffix, cell in zip(suffixes(case), cells, strict=True):
        named |= {f"weight_ih{suffix}": cell.Wx.T, f"weight_hh{suffix}": cell.Wh.T}
        if cell.b is not None and cell.b_hh is not None:
            named |= {f"bias_ih{suffix}": cell.b, f"bias_hh{suffix}": cell.b_hh}
    return named


def native(case: Case, name: str, canonical: Array) -> Array:
    """A canonical tensor as the layer judged has it, by the options of the case; likewise what is
    said of every slice of it, an array without the tensor's last axis."""
    alone = case.form == "unbatched"
    if name in ("h_n", "dh_0"):
        if case.kind == "nn":
            return canonical[:, 0] if alone else canonical
        return canonical[0, 0] if alone else canonical[0]
    if name in ("hs", "dx"):
        if case.is_cell:
            return canonical[0, 0] if alone else canonical[:, 0]
        if time_axis(case, name) == 0:
            return canonical[0] if alone else canonical.swapaxes(0, 1)
        return canonical
    return canonical[None] if case.bias == "row" and name == "db" else canonical


def time_axis(case: Case, name: str) -> int | None:
    """Which axis of a native tensor is time, if one is."""
    if name not in ("hs", "dx") or case.is_cell:
        return None
    batch_first = case.kind == "time" or case.batch_first or case.form == "packed"
    return 1 if batch_first and case.form != "unbatched" else 0
