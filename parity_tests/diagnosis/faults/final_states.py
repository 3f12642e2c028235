"""Faults of the final states and their gradients."""

import numpy as np

from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import (
    SEQUENCES,
    STACKS,
    Twin,
    _Numbered,
    fault,
    register,
)
from parity_tests.references.float64_cell import Gradients, Tape
from parity_tests.references.float64_loop import Spread


class _Final(Twin):
    """Another state is taken for the last."""

    def final(self, tape: Tape) -> Array:
        return self.taken(tape)

    def taken(self, tape: Tape) -> Array:
        """It, [runs, B, H]."""
        raise NotImplementedError


class _FinalFirst(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[1]


class _FinalEarlier(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[-2] if len(tape.h) > 2 else tape.h[-1]


class _FinalBefore(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[-2]


class _FinalStart(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[0]


class _FinalZero(_Final):
    def taken(self, tape: Tape) -> Array:
        return np.zeros_like(tape.h[0])


register(
    "h_n of another step",
    sentence="The final state is not that of the last step:",
    look="look for the index of the state that is kept at the end.",
    kinds=SEQUENCES,
    loops=(_FinalFirst, _FinalEarlier, _FinalBefore, _FinalStart, _FinalZero),
)


@fault(
    "h_n before the nonlinearity",
    sentence="The final state is the last pre-activation:",
    look="look for `z` kept where `tanh(z)` is due.",
)
class _FinalZ(_Final):
    apart = True

    def taken(self, tape: Tape) -> Array:
        return tape.z[-1]


@fault(
    "h_n taken from the last output",
    sentence="h_n is the output at the last time step, whatever the direction and the lengths:",
    look="look for `output[-1]` (or `output[:, -1]`).",
    kinds=STACKS,
)
class _FinalFromOutput(_Numbered):
    """h_n is the last output, of the padded row or of the row itself."""

    padded = True

    def final(self, tape: Tape) -> Array:
        if self.reverse(tape):
            if not self.padded or self.current_call.lengths is None:
                return tape.h[1]
            full = self.current_call.lengths == self.current_call.xs.shape[1]
            return np.where(full[None, :, None], tape.h[1], 0.0)
        last = super().final(tape)
        if tape.running is None or not self.padded:
            return last
        return np.where(tape.running[-1][None, :, None], last, 0.0)


class _FinalSwapped(_Numbered):
    """h_n of the forward direction is right, that of the reverse is the padded row's first output."""

    def final(self, tape: Tape) -> Array:
        return np.zeros_like(tape.h[0]) if self.reverse(tape) else super().final(tape)


register(
    "reverse h_n at the wrong end",
    sentence="h_n of the reverse direction is that of the last valid step, its first, instead of step 0:",
    look="look for the index of the reverse direction's final state.",
    kinds=STACKS,
    loops=(_FinalFromOutput.with_params(padded=False), _FinalSwapped),
)


@fault(
    "d_h_n not used",
    sentence="The gradients of the final states have no effect, perhaps on all but the last layer:",
    look="look for `d_h_n` that is never added.",
    kinds=STACKS,
    variants=(
        {},
        {"how": "last layer"},
    ),
)
@fault(
    "d_h_n at the wrong step",
    sentence="The gradients of the final states enter at another step than the one that made these:",
    look="look for where `d_h_n` is added: a row's last valid step; for the reverse direction, step 0.",
    kinds=STACKS,
    variants=(
        {"how": "wrong end"},
        {"how": "last step"},
    ),
)
class _FinalGradient(_Numbered):
    """The gradients of the final states are lost, or enter at the wrong place."""

    how: str = "ignored"

    def final_gradient(self, call: Call, i: int) -> Array | None:
        lost = self.how == "ignored" or i < self.case.cells - self.case.directions
        return None if self.how in ("ignored", "last layer") and lost else super().final_gradient(call, i)

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        places = {"wrong end": 0, "last step": len(dhs) - 1}
        if dh_n is not None and self.how in places and (self.how == "last step" or self.reverse(tape)):
            dhs = np.array(dhs)
            dhs[places[self.how]] += dh_n
            dh_n = None
        return super().backward(tape, dhs, dh_n)


class _StateOrder(Twin):
    """States are listed in another order of layers and directions."""

    of: tuple[str, ...] = ("h_0", "h_n", "dh_n", "dh_0")

    def places(self) -> list[int]:
        """Where each cell's state stands, in the order of the cells."""
        case = self.case
        return [k * case.layers + layer for layer in range(case.layers) for k in range(case.directions)]

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return starts[self.places()] if "h_0" in self.of else starts

    def final_gradient(self, call: Call, i: int) -> Array | None:
        return super().final_gradient(call, self.places()[i] if "dh_n" in self.of else i)

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        for name in {"h_n", "dh_0"} & {*self.of}:
            listed = np.empty_like(runs[name])
            listed[:, self.places()] = runs[name]
            runs[name] = listed
        return runs


class _FromTheTop(_StateOrder):
    def places(self) -> list[int]:
        case = self.case
        return [
            (case.layers - 1 - i // case.directions) * case.directions + i % case.directions
            for i in range(case.cells)
        ]


class _ReverseStateFirst(_StateOrder):
    def places(self) -> list[int]:
        case = self.case
        return [i ^ 1 if case.bidirectional else i for i in range(case.cells)]


register(
    "states in another order",
    sentence="h_n (perhaps hx, d_h_n and d_hx, too) lists layers and directions in another order:",
    look="look for [directions, layers] where [layers, directions] is due, or for layers from the top.",
    kinds=STACKS,
    loops=tuple(
        base.with_params(of=of)
        for base in (_StateOrder, _FromTheTop, _ReverseStateFirst)
        for of in (("h_0", "h_n", "dh_n", "dh_0"), ("h_n",), ("h_n", "dh_0"))
    ),
)


@fault(
    "states reshaped in place of a transpose",
    sentence="The axes of batch and layer are mixed in h_n:",
    look="look for `reshape` of the final states where `swapaxes(0, 1)` is due.",
    kinds=STACKS,
    variants=(
        {},
        {"of": ("h_n", "dh_0")},
    ),
)
class _ReviewedStates(Twin):
    """States are collected batch first and reshaped."""

    of: tuple[str, ...] = ("h_n",)

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        for name in self.of:
            value = runs[name]
            runs[name] = np.ascontiguousarray(value.swapaxes(1, 2)).reshape(value.shape)
        return runs
