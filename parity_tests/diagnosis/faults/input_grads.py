"""Faults of dx and dh_0."""

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, Changed, _KeepsUpstream, fault, register
from parity_tests.references.float64_cell import Tape


class _Start(Changed):
    """Another dh_0."""

    among = ("dh_0",)
    roles = frozenset(("dh_0",))


class _StartD(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return tape.d[0]


class _StartDz(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return tape.dz[0]


register(
    "dh_0 without Wh",
    sentence="dh_0 is the first step's own gradient, without the recurrent weights:",
    look="look for the last `d` or `dz` of the loop returned where `dz @ Wh.T` is due.",
    kinds=SEQUENCES,
    loops=(_StartD, _StartDz),
)


@fault(
    "dh_0 through Wh not transposed",
    sentence="dh_0 alone goes through Wh instead of its transpose:",
    look="look for `dz @ Wh` where `dz @ Wh.T` is due.",
    kinds=SEQUENCES,
)
class _StartUntransposed(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return tape.dz[0] @ np.asarray(tape.weights.Wh, np.float64)


class _StartSummed(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(value.sum(axis=1, keepdims=True), value.shape).copy()


class _StartMean(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(value.mean(axis=1, keepdims=True), value.shape).copy()


register(
    "dh_0 summed over the batch",
    sentence="dh_0 is the sum (or mean) over the batch, as if all rows shared one state:",
    look="look for `.sum(axis=0)` at dh_0.",
    loops=(_StartSummed, _StartMean),
)


@fault(
    "dh_0 with an upstream gradient",
    sentence="dh_0 has the upstream gradient of the first step added:",
    look="look for `dhs[:, 0]` added after the step, too.",
    kinds=SEQUENCES,
)
class _StartPlusUpstream(_Start, _KeepsUpstream):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value + self.upstream_alone[0]


@fault(
    "dh_0 of the last step",
    sentence="dh_0 is what the last step hands back:",
    look="look for dh_0 kept at the first turn of the backward's loop instead of its last.",
    kinds=SEQUENCES,
)
class _StartOfLast(_Start):
    """That of the last step, the first that is taken back."""

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return self.carry(tape, len(tape.dz) - 1, tape.dz[-1])


class _Input(Changed):
    """Another dx."""

    among = ("dx",)
    roles = frozenset(("dx",))


@fault(
    "dx through Wx not transposed",
    sentence="dx goes through Wx instead of its transpose where D = H:",
    look="look for `dz @ Wx` where `dz @ Wx.T` is due.",
)
class _InputUntransposed(_Input):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        Wx = np.asarray(tape.weights.Wx, np.float64)
        return tape.dz @ Wx if Wx.shape[0] == Wx.shape[1] else value


@fault(
    "dx through Wh",
    sentence="dx goes through the recurrent weights where D = H:",
    look="look for `dz @ Wh.T` where `dz @ Wx.T` is due.",
)
class _InputThroughWh(_Input):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        Wh = np.asarray(tape.weights.Wh, np.float64)
        return tape.dz @ Wh.T if value.shape[-1] == len(Wh) else value


@fault(
    "dx reversed in time",
    sentence="dx is in reversed order of time:",
    look="look for a list filled from the end of the sequence and never turned round.",
    kinds=SEQUENCES,
)
class _InputReversed(_Input):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value[::-1]


@fault(
    "dx one step off",
    sentence="dx stands one step off:",
    look="look for `dxs[:, t + 1]` or `dxs[:, t - 1]` where `dxs[:, t]` is due.",
    kinds=SEQUENCES,
    variants=tuple({"by": by, "wraps": wraps} for by in (1, -1) for wraps in (False, True)),
)
class _InputLate(_Input):
    by: int = 1
    wraps = False

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        moved = np.roll(value, self.by, axis=0)
        if not self.wraps:
            moved[0 if self.by > 0 else -1] = 0
        return moved


class _InputOfOneStep(_Input):
    step_kept: int = -1

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        kept = np.zeros_like(value)
        kept[self.step_kept] = value[self.step_kept]
        return kept


class _InputEverywhereOne(_InputOfOneStep):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(value[self.step_kept], value.shape).copy()


register(
    "dx of one step only",
    sentence="dx holds one step's gradient only:",
    look="look for `dxs` that is made anew, or assigned as a whole, in the loop.",
    kinds=SEQUENCES,
    loops=(
        _InputOfOneStep,
        _InputOfOneStep.with_params(step_kept=0),
        _InputEverywhereOne,
        _InputEverywhereOne.with_params(step_kept=0),
    ),
)


class _InputWithoutCarry(_Input, _KeepsUpstream):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return self.input_gradient(tape, self.upstream_alone * self.slope(tape))


class _CarryAlone(_Input, _KeepsUpstream):
    """dx without the upstream gradient of its own step."""

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value - self.input_gradient(tape, self.upstream_alone * self.slope(tape))


register(
    "dx without the carry",
    sentence="dx takes the upstream gradient of its step alone, without what later steps hand back:",
    look="look for `dhs * (1 - h**2)` in the line of dx.",
    kinds=SEQUENCES,
    loops=(_InputWithoutCarry, _CarryAlone),
)
