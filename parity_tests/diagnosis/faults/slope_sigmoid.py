"""Faults of the derivative of a sigmoid, and of a linear layer, that declare their nonlinearity."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import fault, register
from parity_tests.diagnosis.faults.slope import OtherSlope
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.nonlinearities import sigmoid

SIGMOID, IDENTITY = ("sigmoid",), ("identity",)


@fault(
    "slope of tanh under sigmoid",
    sentence="The gradients are those of a layer that takes the derivative of tanh where sigmoid is declared:",
    look="look for `1 - h**2` where `h * (1 - h)` is due.",
    nonlinearities=SIGMOID,
)
class TanhSlopeForSigmoid(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - h * h


class SlopeOfSigmoidOfState(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        again = sigmoid(h)
        return again * (1 - again)


class HalfOfSlopeAgain(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * (1 - sigmoid(h))


register(
    "sigmoid taken again in the slope",
    sentence="The gradients are those of a layer that takes the sigmoid of the state once more in the derivative:",
    look="look for `s(h) * (1 - s(h))` where h is a sigmoid already: it is `h * (1 - h)`.",
    loops=(SlopeOfSigmoidOfState, HalfOfSlopeAgain),
    nonlinearities=SIGMOID,
)


@fault(
    "slope h (1 + h)",
    sentence="The gradients are those of a layer with the derivative `h * (1 + h)`:",
    look="look for the sign in `h * (1 - h)`.",
    nonlinearities=SIGMOID,
)
class PlusInSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * (1 + h)


@fault(
    "slope h (h - 1)",
    sentence="The gradients are those of a layer whose derivative of the sigmoid has the opposite sign:",
    look="look for `h * (h - 1)` where `h * (1 - h)` is due.",
    nonlinearities=SIGMOID,
)
class NegatedSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * (h - 1)


@fault(
    "slope 1 - h under sigmoid",
    sentence="The gradients are those of a layer with the derivative `1 - h`:",
    look="look for the factor h that is missing in `h * (1 - h)`.",
    nonlinearities=SIGMOID,
)
class WithoutFactorOfState(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - h


@fault(
    "slope of sigmoid with a square",
    sentence="The gradients are those of a layer with the derivative `h * (1 - h**2)` or `h * (1 - h)**2`:",
    look="look for a square: the derivative of the sigmoid, `h * (1 - h)`, has none.",
    nonlinearities=SIGMOID,
    variants=({}, {"of_both": True}),
)
class SquareInSlope(OtherSlope):
    of_both = False

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * (1 - h) ** 2 if self.of_both else h * (1 - h * h)


@fault(
    "slope of relu under sigmoid",
    sentence="The gradients are those of a layer that takes the derivative of relu at the pre-activation:",
    look="look for `z > 0` where `h * (1 - h)` is due.",
    nonlinearities=SIGMOID,
)
class ReluSlopeForSigmoid(OtherSlope):
    keep_preactivations = True

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return np.asarray(trace.z > 0, np.float64)


class TanhSlopeForIdentity(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - h * h


class SigmoidSlopeForIdentity(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * (1 - h)


class ReluSlopeForIdentity(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return np.asarray(h > 0, np.float64)


register(
    "slope of a nonlinearity in a linear layer",
    sentence="The gradients are multiplied by the derivative of a nonlinearity where the identity is declared:",
    look="look for `1 - h**2`, `h * (1 - h)` or `h > 0` in the backward: the derivative of the identity is 1.",
    loops=(TanhSlopeForIdentity, SigmoidSlopeForIdentity, ReluSlopeForIdentity),
    nonlinearities=IDENTITY,
)
