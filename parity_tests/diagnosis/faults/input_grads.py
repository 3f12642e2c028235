"""Faults of dx and dh_0."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, fault, register
from parity_tests.diagnosis.faults.shared import Changed, RemembersUpstream
from parity_tests.references.float64_cell import CellTrace, Gradients


class OtherInitialGradient(Changed):
    """Changes dh_0."""

    allowed_roles = ("dh_0",)
    roles = frozenset(("dh_0",))


class InitialFromStateGradient(OtherInitialGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return trace.d[0]


class InitialFromDz(OtherInitialGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return trace.dz[0]


register(
    "dh_0 without Wh",
    sentence="dh_0 is the first step's own gradient, without the recurrent weights:",
    look="look for the last `d` or `dz` of the loop returned where `dz @ Wh.T` is due.",
    layers=SEQUENCES,
    loops=(InitialFromStateGradient, InitialFromDz),
)


@fault(
    "dh_0 through Wh not transposed",
    sentence="dh_0 alone goes through Wh instead of its transpose:",
    look="look for `dz @ Wh` where `dz @ Wh.T` is due.",
    layers=SEQUENCES,
)
class InitialNotTransposed(OtherInitialGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return trace.dz[0] @ np.asarray(trace.weights.Wh, np.float64)


class InitialSummed(OtherInitialGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return np.broadcast_to(value.sum(axis=1, keepdims=True), value.shape).copy()


class InitialMean(OtherInitialGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return np.broadcast_to(value.mean(axis=1, keepdims=True), value.shape).copy()


register(
    "dh_0 summed over the batch",
    sentence="dh_0 is the sum (or mean) over the batch, as if all rows shared one state:",
    look="look for `.sum(axis=0)` at dh_0.",
    loops=(InitialSummed, InitialMean),
)


@fault(
    "dh_0 with an upstream gradient",
    sentence="dh_0 has the upstream gradient of the first step added:",
    look="look for `dhs[:, 0]` added after the step, too.",
    layers=SEQUENCES,
)
class InitialPlusUpstream(OtherInitialGradient, RemembersUpstream):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value + self.upstream_alone[0]


@fault(
    "dh_0 of the last step",
    sentence="dh_0 is the carry of the last step:",
    look="look for dh_0 kept in the first iteration of the backward's loop instead of the last.",
    layers=SEQUENCES,
)
class InitialOfLastStep(OtherInitialGradient):
    """dh_0 is the carry of the last step, the first that the backward visits."""

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return self.carry(trace, len(trace.dz) - 1, trace.dz[-1])


class OtherInputGradient(Changed):
    """Changes dx."""

    allowed_roles = ("dx",)
    roles = frozenset(("dx",))


@fault(
    "dx through Wx not transposed",
    sentence="dx goes through Wx instead of its transpose where D = H:",
    look="look for `dz @ Wx` where `dz @ Wx.T` is due.",
)
class InputNotTransposed(OtherInputGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        Wx = np.asarray(trace.weights.Wx, np.float64)
        return trace.dz @ Wx if Wx.shape[0] == Wx.shape[1] else value


@fault(
    "dx through Wh",
    sentence="dx goes through the recurrent weights where D = H:",
    look="look for `dz @ Wh.T` where `dz @ Wx.T` is due.",
)
class InputThroughWh(OtherInputGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        Wh = np.asarray(trace.weights.Wh, np.float64)
        return trace.dz @ Wh.T if value.shape[-1] == len(Wh) else value


@fault(
    "dx from the carry",
    sentence="dx goes through the recurrent weights before it goes through Wx:",
    look="look for a `dh` that has been multiplied by `Wh.T` already in the line of dx.",
    variants=(
        {},
        {"of_upstream": True},
    ),
)
class InputFromCarry(OtherInputGradient):
    """dx is carry Wx^T; with ``of_upstream`` the carry is that of the upstream gradient alone."""

    of_upstream = False
    upstream_of_input: Array

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        self.upstream_of_input = dhs
        return super().backward(trace, dhs, dh_n)

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        through = self.upstream_of_input if self.of_upstream else trace.dz
        Wh = np.asarray(trace.weights.Wh, np.float64)
        return self.input_gradient(trace, np.broadcast_to(through, trace.dz.shape) @ Wh.T)


@fault(
    "dx reversed in time",
    sentence="dx is in reversed order of time:",
    look="look for a list filled from the end of the sequence and never reversed.",
    layers=SEQUENCES,
)
class InputReversed(OtherInputGradient):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value[::-1]


@fault(
    "dx one step off",
    sentence="dx is one step off:",
    look="look for `dxs[:, t + 1]` or `dxs[:, t - 1]` where `dxs[:, t]` is due.",
    layers=SEQUENCES,
    variants=tuple({"shift": by, "wraps": wraps} for by in (1, -1) for wraps in (False, True)),
)
class InputShifted(OtherInputGradient):
    shift: int = 1
    wraps = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        moved = np.roll(value, self.shift, axis=0)
        if not self.wraps:
            moved[0 if self.shift > 0 else -1] = 0
        return moved


class InputOfOneStep(OtherInputGradient):
    step_kept: int = -1

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        kept = np.zeros_like(value)
        kept[self.step_kept] = value[self.step_kept]
        return kept


class InputOfOneStepEverywhere(InputOfOneStep):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return np.broadcast_to(value[self.step_kept], value.shape).copy()


register(
    "dx of one step only",
    sentence="dx holds one step's gradient only:",
    look="look for `dxs` that is made anew, or assigned as a whole, in the loop.",
    layers=SEQUENCES,
    loops=(
        InputOfOneStep,
        InputOfOneStep.with_params(step_kept=0),
        InputOfOneStepEverywhere,
        InputOfOneStepEverywhere.with_params(step_kept=0),
    ),
)


class InputWithoutCarry(OtherInputGradient, RemembersUpstream):
    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return self.input_gradient(trace, self.upstream_alone * self.slope(trace))


class InputFromCarryAlone(OtherInputGradient, RemembersUpstream):
    """dx without the upstream gradient of its own step."""

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value - self.input_gradient(trace, self.upstream_alone * self.slope(trace))


class InputFromUpstream(OtherInputGradient, RemembersUpstream):
    """dx without carry and slope; with ``through_Wh`` through the recurrent weights, too."""

    through_Wh = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        back = np.broadcast_to(self.upstream_alone, trace.dz.shape)
        if self.through_Wh:
            back = back @ np.asarray(trace.weights.Wh, np.float64).T
        return self.input_gradient(trace, back)


register(
    "dx without the carry",
    sentence="dx uses the upstream gradient of its step alone, without the carry of the later steps:",
    look="look for `dhs * ({slope})` in the line of dx.",
    layers=SEQUENCES,
    loops=(
        InputWithoutCarry,
        InputFromCarryAlone,
        InputFromUpstream,
        InputFromUpstream.with_params(through_Wh=True),
    ),
)
