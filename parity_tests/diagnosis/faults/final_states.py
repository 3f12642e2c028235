"""Faults of the final states and their gradients."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, STACKS, FaultyLoop, fault, register
from parity_tests.diagnosis.faults.shared import KnowsItsCell
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_loop import Spread


class OtherFinal(FaultyLoop):
    """h_n is another state than the last."""

    def final(self, trace: CellTrace) -> Array:
        return self.taken(trace)

    def taken(self, trace: CellTrace) -> Array:
        """Return the state that is used, [runs, B, H]."""
        raise NotImplementedError


class FinalFirst(OtherFinal):
    def taken(self, trace: CellTrace) -> Array:
        return trace.h[1]


class FinalEarlier(OtherFinal):
    def taken(self, trace: CellTrace) -> Array:
        return trace.h[-2] if len(trace.h) > 2 else trace.h[-1]


class FinalBefore(OtherFinal):
    def taken(self, trace: CellTrace) -> Array:
        return trace.h[-2]


class FinalStart(OtherFinal):
    def taken(self, trace: CellTrace) -> Array:
        return trace.h[0]


class FinalZero(OtherFinal):
    def taken(self, trace: CellTrace) -> Array:
        return np.zeros_like(trace.h[0])


register(
    "h_n of another step",
    sentence="The final state is not that of the last step:",
    look="look for the index of the state that is kept at the end.",
    layers=SEQUENCES,
    loops=(FinalFirst, FinalEarlier, FinalBefore, FinalStart, FinalZero),
)


@fault(
    "h_n before the nonlinearity",
    sentence="The final state is the last pre-activation:",
    look="look for `z` kept where `{function}(z)` is due.",
)
class FinalPreactivation(OtherFinal):
    keep_preactivations = True

    def taken(self, trace: CellTrace) -> Array:
        return trace.z[-1]


@fault(
    "h_n taken from the last output",
    sentence="h_n is the output at the last time step, whatever the direction and the lengths:",
    look="look for `output[-1]` (or `output[:, -1]`).",
    layers=STACKS,
)
class FinalFromOutput(KnowsItsCell):
    """h_n is the output at the last step, of the padded row or with ``padded=False`` of the row itself."""

    padded = True

    def final(self, trace: CellTrace) -> Array:
        if self.reverse(trace):
            if not self.padded or self.current_call.lengths is None:
                return trace.h[1]
            full = self.current_call.lengths == self.current_call.xs.shape[1]
            return np.where(full[None, :, None], trace.h[1], 0.0)
        last = super().final(trace)
        if trace.running is None or not self.padded:
            return last
        return np.where(trace.running[-1][None, :, None], last, 0.0)


class FinalAtWrongEnd(KnowsItsCell):
    """h_n of the reverse direction is the state before its first step, zero."""

    def final(self, trace: CellTrace) -> Array:
        return np.zeros_like(trace.h[0]) if self.reverse(trace) else super().final(trace)


register(
    "reverse h_n at the wrong end",
    sentence="h_n of the reverse direction is that of the last valid step, its first, instead of step 0:",
    look="look for the index of the reverse direction's final state.",
    layers=STACKS,
    loops=(FinalFromOutput.with_params(padded=False), FinalAtWrongEnd),
)


@fault(
    "d_h_n not used",
    sentence="The gradients of the final states have no effect, perhaps on all but the last layer:",
    look="look for `d_h_n` that is never added.",
    layers=STACKS,
    variants=(
        {},
        {"how": "last layer"},
    ),
)
@fault(
    "d_h_n at the wrong step",
    sentence="The gradients of the final states enter at another step than the one that made these:",
    look="look for where `d_h_n` is added: a row's last valid step; for the reverse direction, step 0.",
    layers=STACKS,
    variants=(
        {"how": "wrong end"},
        {"how": "last step"},
    ),
)
class FinalGradient(KnowsItsCell):
    """The gradients of the final states are ignored, or added at the wrong step."""

    how: str = "ignored"

    def final_gradient(self, call: Call, i: int) -> Array | None:
        lost = self.how == "ignored" or i < self.case.num_cells - self.case.directions
        return None if self.how in ("ignored", "last layer") and lost else super().final_gradient(call, i)

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        places = {"wrong end": 0, "last step": len(dhs) - 1}
        if dh_n is not None and self.how in places and (self.how == "last step" or self.reverse(trace)):
            dhs = np.array(dhs)
            dhs[places[self.how]] += dh_n
            dh_n = None
        return super().backward(trace, dhs, dh_n)


@fault(
    "d_h_n counted twice",
    sentence="The gradients of the final states enter twice, or at every step:",
    look="look for `d_h_n` that starts the carry and is added to `d_output[-1]` (or in the loop), too.",
    layers=STACKS,
    variants=(
        {},
        {"every_step": True},
    ),
)
class FinalGradientTwice(FaultyLoop):
    every_step = False

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        if dh_n is None:
            return super().backward(trace, dhs, dh_n)
        if not self.every_step:
            return super().backward(trace, dhs, 2 * dh_n)
        return super().backward(trace, dhs + dh_n, None)


class StateOrder(FaultyLoop):
    """The states of layers and directions are in another order."""

    tensors: tuple[str, ...] = ("h_0", "h_n", "dh_n", "dh_0")

    def places(self) -> list[int]:
        """Return the position of each cell's state."""
        case = self.case
        return [k * case.layers + layer for layer in range(case.layers) for k in range(case.directions)]

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return starts[self.places()] if "h_0" in self.tensors else starts

    def final_gradient(self, call: Call, i: int) -> Array | None:
        return super().final_gradient(call, self.places()[i] if "dh_n" in self.tensors else i)

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        for name in {"h_n", "dh_0"} & {*self.tensors}:
            listed = np.empty_like(runs[name])
            listed[:, self.places()] = runs[name]
            runs[name] = listed
        return runs


class LayersFromTheTop(StateOrder):
    def places(self) -> list[int]:
        case = self.case
        return [
            (case.layers - 1 - i // case.directions) * case.directions + i % case.directions
            for i in range(case.num_cells)
        ]


class ReverseStateFirst(StateOrder):
    def places(self) -> list[int]:
        case = self.case
        return [i ^ 1 if case.bidirectional else i for i in range(case.num_cells)]


register(
    "states in another order",
    sentence="h_n (perhaps hx, d_h_n and d_hx, too) lists layers and directions in another order:",
    look="look for [directions, layers] where [layers, directions] is due, or for layers from the top.",
    layers=STACKS,
    loops=tuple(
        base.with_params(tensors=of)
        for base in (StateOrder, LayersFromTheTop, ReverseStateFirst)
        for of in (("h_0", "h_n", "dh_n", "dh_0"), ("h_n",), ("h_n", "dh_0"))
    ),
)


@fault(
    "states reshaped in place of a transpose",
    sentence="The axes of batch and layer are mixed in h_n:",
    look="look for `reshape` of the final states where `swapaxes(0, 1)` is due.",
    layers=STACKS,
    variants=(
        {},
        {"tensors": ("h_n", "dh_0")},
    ),
)
class StatesReshaped(FaultyLoop):
    """The final states are collected batch first and reshaped in place of a transpose."""

    tensors: tuple[str, ...] = ("h_n",)

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        for name in self.tensors:
            value = runs[name]
            runs[name] = np.ascontiguousarray(value.swapaxes(1, 2)).reshape(value.shape)
        return runs
