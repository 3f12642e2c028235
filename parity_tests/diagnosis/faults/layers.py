"""Faults of the stack of layers."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import STACKS, FaultyLoop, fault
from parity_tests.diagnosis.faults.shared import KnowsItsCell
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Spread


@fault(
    "layers fed the input of the stack",
    sentence="Layers above the first get the input of the stack instead of the layer below:",
    look="look for `x` in the loop over layers where the output of the layer before is due.",
    layers=STACKS,
)
class StackInputEverywhere(FaultyLoop):
    def layer_input(self, first: Array, outputs: Array, layer: int) -> Array:
        if layer < self.case.layers - 1 and first.shape[-1] == outputs.shape[-1]:
            return np.broadcast_to(first, outputs.shape)
        return outputs


@fault(
    "all layers start from one state",
    sentence="All layers and directions start from the first initial state:",
    look="look for `hx[0]` where `hx[layer * directions + direction]` is due.",
    layers=STACKS,
    variants=(
        {},
        {"per_layer": True},
    ),
)
class OneStart(FaultyLoop):
    """All cells start from the initial state of the first cell, or of the first layer."""

    per_layer = False

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        step = self.case.directions if self.per_layer else 1
        return np.stack([starts[i % step] if self.per_layer else starts[0] for i in range(len(starts))])


@fault(
    "layers share one running state",
    sentence="A layer goes on from the state in which the layer (or direction) before it ended:",
    look="look for one `h` that is set before the loop over layers.",
    layers=STACKS,
)
class OneRunningState(KnowsItsCell):
    """Each cell starts from the final state of the cell before it."""

    ended_state: Array

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        trace = super().forward(weights, x, self.ended_state if self.cell_number >= 0 else h_0, running)
        self.ended_state = trace.h[-1]
        return trace


@fault(
    "gradient piles up between layers",
    sentence="The gradient that a layer hands down is added to the one that it got (perhaps only without dropout):",
    look="look for a buffer that is not cleared between layers.",
    layers=STACKS,
    variants=(
        {},
        {"without_dropout": False},
    ),
)
class GradientPilesUp(FaultyLoop):
    """A layer's input gradient is added to its output gradient, in the same buffer."""

    without_dropout = True

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        dy = super().summed(parts, above, layer)
        applies = (
            layer and above.shape[-1] == dy.shape[-1] and not (self.without_dropout and self.case.dropout)
        )
        return dy + above if applies else dy
