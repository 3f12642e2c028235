"""The tensors of one call, one row a tensor, and the two forms that they have.

Inside the gate every tensor has its canonical form, with the axes listed here, the same for all layers.
The form that a layer uses depends on the options of the case: ``native`` and ``canonical`` convert.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.case import Case

Answer = dict[str, Array]
"""Tensor name to array."""

STACK, WIDE = "layers * directions", "directions * H"
"""Two axes: the cells of a stack, and the outputs of all directions side by side."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One row of the table.

    Attributes:
        name: in cases, reports, messages and recorded answers. Where there are layers, the names of
            parameter gradients are followed by ``_l0``, ``_l0_reverse``, ...
        axes: of the canonical form.
        meaning: what it is.
        torch: torch's name; empty if ours is torch's.
        cell: what ``RNN`` calls it, if something else.
        role: what it is to a single cell; empty for the name.
        of_parameter: whether it is the gradient of a parameter.
    """

    name: str
    axes: tuple[str, ...]
    meaning: str
    torch: str = ""
    cell: str = ""
    role: str = ""
    of_parameter: bool = False

    def __str__(self) -> str:
        torch = f"; torch: {self.torch}" * bool(self.torch)
        cell = f"; a cell's {self.cell}" * bool(self.cell)
        return f"[{', '.join(self.axes)}] {self.meaning}{torch}{cell}"


FIRST_BIAS, SECOND_BIAS = "db_ih", "db_hh"
"""The gradients of torch's two biases, which an adapter may return for ``db``. The reference's answers for
``TimeRNN`` and ``RNN`` have the second one, which must equal ``db``."""
OUTPUTS = ("hs", "h_n", "logits", "probabilities", "loss")
"""What a forward gives."""
OF_ADAPTERS = (FIRST_BIAS, SECOND_BIAS, "logits", "probabilities", "loss", "dWy", "dby")
"""What is asked of adapters alone."""
ALTERNATIVES = {"logits": ("probabilities",), "probabilities": ("logits",), "db": (FIRST_BIAS, SECOND_BIAS)}
"""What an adapter may return in place of a tensor."""

_TABLE = (
    Tensor("hs", ("B", "T", WIDE), "output of every time step", "output"),
    Tensor("h_n", (STACK, "B", "H"), "final states", "h_n", "h_next"),
    Tensor("dx", ("B", "T", "D"), "gradient of the input", "input.grad"),
    Tensor("dh_0", (STACK, "B", "H"), "gradient of the initial states", "hx.grad", "dh_prev"),
    Tensor("dWx", ("D", "H"), "gradient of Wx", "weight_ih_l0.grad.T", of_parameter=True),
    Tensor("dWh", ("H", "H"), "gradient of Wh", "weight_hh_l0.grad.T", of_parameter=True),
    Tensor(
        "db",
        ("H",),
        "gradient of b",
        "bias_ih_l0.grad and bias_hh_l0.grad, which are equal",
        of_parameter=True,
    ),
    Tensor(FIRST_BIAS, ("H",), "gradient of b_ih", "bias_ih_l0.grad", role="db", of_parameter=True),
    Tensor(SECOND_BIAS, ("H",), "gradient of b_hh", "bias_hh_l0.grad", role="db", of_parameter=True),
    Tensor("logits", ("B", "T", "V"), "hs Wy + by, the outputs of the head"),
    Tensor("probabilities", ("B", "T", "V"), "softmax of the logits"),
    Tensor("loss", ("1",), "the loss, a number", "of cross_entropy or mse_loss"),
    Tensor("dWy", ("H", "V"), "gradient of Wy", "weight.grad.T of a Linear", of_parameter=True),
    Tensor("dby", ("V",), "gradient of by", "bias.grad of a Linear", of_parameter=True),
    *(
        Tensor(
            f"d{parameter}",
            axes,
            f"gradient of {parameter}, of each layer and direction",
            role=role,
            of_parameter=True,
        )
        for parameter, axes, role in (
            ("weight_ih", ("H", "D"), "dWx"),
            ("weight_hh", ("H", "H"), "dWh"),
            ("bias_ih", ("H",), "db"),
            ("bias_hh", ("H",), "db"),
        )
    ),
)
_ROWS = {row.name: row for row in _TABLE}

TENSORS = {row.name: str(row) for row in _TABLE}
"""Every tensor that is compared, with what it is. Its name is the same in reports, messages and recorded
answers; the last four have a suffix ``_l0``, ``_l0_reverse``, ... for ``nn.RNN``. Those of two biases and of a
head are asked of adapters alone."""


@cache
def family(tensor: str) -> str:
    """The entry of ``TENSORS`` that a tensor belongs to."""
    return re.sub("_l[0-9]+(_reverse)?$", "", tensor)


def families_of(tensors: Iterable[str]) -> tuple[str, ...]:
    """The entries of ``TENSORS`` that tensors belong to, in its order."""
    found = {family(tensor) for tensor in tensors}
    return tuple(name for name in TENSORS if name in found)


def role(name: str) -> str:
    """What a tensor is to a single cell: ``dWx`` for ``dweight_ih_l1``."""
    return _ROWS[family(name)].role or name


def is_parameter_gradient(name: str) -> bool:
    """Whether a tensor is the gradient of a weight or a bias."""
    return _ROWS[family(name)].of_parameter


def suffixes(case: Case) -> Iterator[str]:
    """The suffixes that torch appends to parameter names, one a cell."""
    if case.layer == "nn.RNNCell":
        yield ""
        return
    for layer in range(case.layers):
        yield from (f"_l{layer}", f"_l{layer}_reverse")[: case.directions]


def parameters(case: Case, cells: tuple[CellWeights, ...]) -> dict[str, Array]:
    """The parameters of an ``nn.RNN`` or ``nn.RNNCell`` by torch's names, with torch's shapes."""
    named: dict[str, Array] = {}
    for suffix, cell in zip(suffixes(case), cells, strict=True):
        named |= {f"weight_ih{suffix}": cell.Wx.T, f"weight_hh{suffix}": cell.Wh.T}
        if cell.b is not None and cell.b_hh is not None:
            named |= {f"bias_ih{suffix}": cell.b, f"bias_hh{suffix}": cell.b_hh}
    return named


def tensor_names(case: Case) -> tuple[str, ...]:
    """The tensors that a layer must answer with, in the order of the table."""
    of_parameters = ["dWx", "dWh", "db"][: 2 if case.bias == "nobias" else 3]
    if case.has_head:
        of_parameters += ["dWy", "dby"][: 1 if case.head_bias == "noby" else 2]
    if case.has_torch_interface:
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 2 if case.bias == "nobias" else 4]
        of_parameters = [f"d{part}{suffix}" for suffix in suffixes(case) for part in parts]
    of_head = ["logits", *(["probabilities"] if case.loss in ("logits", "cross_entropy") else [])]
    of_head = [*of_head, *(["loss"] if case.has_loss else [])] if case.has_head else []
    return (*(() if case.is_cell else ("hs",)), *of_head, "h_n", "dx", "dh_0", *of_parameters)


def native_axes(case: Case, name: str) -> tuple[str, ...]:
    """The axes of a tensor as the layer of the case has it."""
    axes = _ROWS[family(name)].axes
    if name == "loss":
        return ()
    if name == "db" and case.bias == "row":
        return "1", "H"
    left_out = set()
    if case.is_cell or (case.many_to_one and "V" in axes):
        left_out.add("T")
    elif "T" in axes and not (case.layer == "TimeRNN" or case.batch_first or case.form == "packed"):
        axes = ("T", "B", *axes[2:])
    if case.layer != "nn.RNN":
        left_out.add(STACK)
    if case.form == "unbatched":
        left_out.add("B")
    return tuple(axis for axis in axes if axis not in left_out)


def native(case: Case, name: str, canonical: Array) -> Array:
    """A canonical tensor in the form that the layer of the case has it in.

    The array may also hold one value a slice: the tensor's shape without the last axis.
    """
    return _rearranged(canonical, _ROWS[family(name)].axes, native_axes(case, name))


def canonical(case: Case, name: str, native: Array) -> Array:
    """The inverse of ``native``."""
    return _rearranged(native, native_axes(case, name), _ROWS[family(name)].axes)


def _rearranged(array: Array, before: tuple[str, ...], after: tuple[str, ...]) -> Array:
    """Transpose an array; drop axes of length 1 that ``after`` lacks, insert those that ``before`` lacks."""
    if before == after:
        return array
    missing = len(before) - array.ndim
    before, after = before[: len(before) - missing], after[: len(after) - missing]
    array = array[tuple(slice(None) if axis in after else 0 for axis in before)]
    kept = [axis for axis in before if axis in after]
    array = array.transpose([kept.index(axis) for axis in after if axis in kept])
    return array[tuple(slice(None) if axis in kept else None for axis in after)]


def native_shape(case: Case, call: Call, name: str) -> tuple[int, ...]:
    """The shape of a tensor that the layer must answer a call with."""
    B, T, _ = call.xs.shape
    wide = case.directions * case.H
    upper_layer = re.search("_l[1-9]", name) is not None
    sizes = {"1": 1, "B": B, "T": T, "D": wide if upper_layer else case.D, "H": case.H, "V": case.V}
    sizes |= {STACK: case.num_cells, WIDE: wide}
    return tuple(sizes[axis] for axis in native_axes(case, name))


def time_axis(case: Case, name: str) -> int | None:
    """The number of the time axis of a native tensor; None if it has no time axis."""
    axes = native_axes(case, name)
    return axes.index("T") if "T" in axes else None
