"""Faults of the weights and biases."""

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    SEQUENCES,
    STACKS,
    FaultyLoop,
    fault,
    register,
)
from parity_tests.references.float64_cell import CellTrace, Gradients


@fault(
    "bias added twice",
    sentence="The bias is added twice:",
    look="look for `+ b` both at `x @ Wx` and at `h @ Wh`.",
    variants=(
        {},
        {"own_backward": True},
    ),
)
class BiasTwice(FaultyLoop):
    own_backward = False

    def biases(self, weights: CellWeights) -> list[Array]:
        return 2 * super().biases(weights)

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(trace, dz)
        return dWx, dWh, 2 * db if self.own_backward else db


@fault(
    "bias left out",
    sentence="The states are those of a layer without bias:",
    look="look for `+ b` that is missing, and for the default of the option `bias`, which is True.",
    variants=(
        {},
        {"own_backward": True},
    ),
)
class NoBias(FaultyLoop):
    own_backward = False

    def biases(self, weights: CellWeights) -> list[Array]:
        return []

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(trace, dz)
        return dWx, dWh, 0 * db if self.own_backward else db


@fault(
    "bias subtracted",
    sentence="The bias is subtracted:",
    look="look for `- b`.",
    variants=(
        {},
        {"own_backward": True},
    ),
)
class MinusBias(NoBias):
    def biases(self, weights: CellWeights) -> list[Array]:
        return [-b for b in FaultyLoop.biases(self, weights)]

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = FaultyLoop.parameter_gradients(self, trace, dz)
        return dWx, dWh, -db if self.own_backward else db


@fault(
    "bias at some steps only",
    sentence="The bias is missing at the first step, or at all others:",
    look="look for a first step that is written apart.",
    layers=SEQUENCES,
    variants=tuple(
        {"at_first": first, "own_backward": own} for first in (False, True) for own in (False, True)
    ),
)
class BiasAtSomeSteps(FaultyLoop):
    """The bias is missing at the first step, or with ``at_first`` at all others."""

    at_first = False
    own_backward = False

    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        if (t == 0) != self.at_first:
            recurrent = recurrent - sum(self.biases(trace.weights), np.zeros(self.case.H))
        super().step(trace, t, recurrent)

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(trace, dz)
        return dWx, dWh, (dz[:1] if self.at_first else dz[1:]).sum(axis=(0, 2)) if self.own_backward else db


class MatricesSwapped(FaultyLoop):
    """The cells use transposed or swapped matrices.

    With ``swaps_gradients_back`` the gradients are put back where they belong; with ``forward_only``
    the backward uses the right matrices.
    """

    swaps_gradients_back = True
    forward_only = False

    def swap_matrices(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        """Return what the layer uses as Wx and Wh. Applied twice, it must return its arguments."""
        raise NotImplementedError

    def cells(self, call: Call) -> Sequence[CellWeights]:
        result = []
        for cell in super().cells(call):
            Wx, Wh = self.swap_matrices(cell.Wx, cell.Wh)
            result.append(replace(cell, Wx=Wx, Wh=Wh))
        return result

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        if self.forward_only:
            for trace in traces:
                Wx, Wh = self.swap_matrices(trace.weights.Wx, trace.weights.Wh)
                trace.weights = replace(trace.weights, Wx=Wx, Wh=Wh)
        return traces

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        if self.swaps_gradients_back and not self.forward_only:
            for found in gradients:
                found.dWx, found.dWh = self.swap_matrices(found.dWx, found.dWh)
        return gradients


@fault(
    "Wh transposed",
    sentence="The recurrent weights are used transposed:",
    look="look for `h @ Wh.T` where `h @ Wh` is due (torch's weight_hh is Wh.T).",
    variants=(
        {},
        {"forward_only": True},
        {"swaps_gradients_back": False},
    ),
)
class WhTransposed(MatricesSwapped):
    def swap_matrices(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return Wx, Wh.swapaxes(-1, -2)


class WxTransposed(MatricesSwapped):
    def swap_matrices(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return (Wx.swapaxes(-1, -2) if Wx.shape[-1] == Wx.shape[-2] else Wx), Wh


class BothTransposed(MatricesSwapped):
    def swap_matrices(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return (Wx.swapaxes(-1, -2) if Wx.shape[-1] == Wx.shape[-2] else Wx), Wh.swapaxes(-1, -2)


register(
    "Wx transposed where it is square",
    sentence="The input's weights are used transposed where D = H:",
    look="look for `x @ Wx.T` where `x @ Wx` is due (torch's weight_ih is Wx.T).",
    loops=(
        WxTransposed,
        WxTransposed.with_params(forward_only=True),
        WxTransposed.with_params(swaps_gradients_back=False),
        BothTransposed,
        BothTransposed.with_params(swaps_gradients_back=False),
    ),
)


@fault(
    "Wx and Wh swapped where D = H",
    sentence="Wx and Wh change places where their shapes allow it:",
    look="look for the order of the weights in the constructor and in the step.",
    variants=(
        {},
        {"forward_only": True},
        {"swaps_gradients_back": False},
    ),
)
class WxAndWhSwapped(MatricesSwapped):
    def swap_matrices(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return (Wh, Wx) if Wx.shape == Wh.shape else (Wx, Wh)


@fault(
    "one bias used twice",
    sentence="One of the two biases is added twice and the other never:",
    look="look for `bias_ih` where `bias_hh` is due, or the reverse.",
    layers=("nn.RNN", "nn.RNNCell"),
    variants=(
        {},
        {"which": 1},
    ),
)
class OneBiasTwice(FaultyLoop):
    """One bias is added twice, the other never."""

    which = 0

    def biases(self, weights: CellWeights) -> list[Array]:
        both = super().biases(weights)
        return [both[self.which]] * 2 if len(both) == 2 else both


@fault(
    "one bias left out",
    sentence="One of the two biases is never added:",
    look="look for `bias_ih + bias_hh`.",
    layers=("nn.RNN", "nn.RNNCell"),
    variants=(
        {},
        {"which": 1},
    ),
)
class OneBiasLost(OneBiasTwice):
    def biases(self, weights: CellWeights) -> list[Array]:
        both = FaultyLoop.biases(self, weights)
        return [both[self.which]] if len(both) == 2 else both


@fault(
    "layers share weights",
    sentence="All layers use weights of the first:",
    look="look for the index of the layer in the name of the weights.",
    layers=STACKS,
    variants=tuple({"everything": e, "together": t} for e in (False, True) for t in (False, True)),
)
@fault(
    "directions share weights",
    sentence="The reverse direction uses weights of the forward direction:",
    look="look for the suffix `_reverse` in the name of the weights.",
    layers=STACKS,
    variants=tuple(
        {"over_layers": False, "everything": e, "together": t} for e in (True, False) for t in (True, False)
    ),
)
class SharedWeights(FaultyLoop):
    """Cells use the recurrent weights of other cells, or with ``everything`` all weights that fit."""

    over_layers = True
    """Whether all layers use the weights of layer 0; otherwise both directions use the forward's."""
    everything = False
    together = False
    """Whether the gradients are added up where the weights come from."""

    def source(self, i: int) -> int:
        """Return the cell whose weights cell i uses."""
        dirs = self.case.directions
        return i % dirs if self.over_layers else i // dirs * dirs

    def cells(self, call: Call) -> Sequence[CellWeights]:
        cells = super().cells(call)
        result = []
        for i, cell in enumerate(cells):
            other = cells[self.source(i)]
            if self.everything and other.Wx.shape == cell.Wx.shape:
                result.append(other)
            else:
                result.append(replace(cell, Wh=other.Wh))
        return result

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        if self.together:
            for i, found in enumerate(gradients):
                other = gradients[self.source(i)]
                if other is not found:
                    for name in PARAMETERS if self.everything else ("dWh",):
                        mine, theirs = getattr(found, name), getattr(other, name)
                        if mine.shape == theirs.shape:
                            setattr(other, name, theirs + mine)
                            setattr(found, name, 0 * mine)
        return gradients


@fault(
    "weight_hh loaded transposed",
    sentence="After load_state_dict the recurrent weights are used transposed; updated in place they are right:",
    look="look for `.T` in load_state_dict.",
    layers=("nn.RNN", "nn.RNNCell"),
)
class LoadedTransposed(FaultyLoop):
    """weight_hh is transposed when it is loaded, but not when it is updated in place."""

    loaded = False

    def cells(self, call: Call) -> Sequence[CellWeights]:
        cells = super().cells(call)
        if self.loaded:
            return cells
        self.loaded = True
        return [replace(cell, Wh=cell.Wh.T) for cell in cells]
