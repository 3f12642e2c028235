"""Faults of the derivative of the nonlinearity."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop, Variant, fault, register
from parity_tests.diagnosis.faults.infer import round_constant, single_step_dz
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.nonlinearities import DERIVATIVES, FUNCTIONS


@fault(
    "upstream gradient dropped",
    sentence="Gradients are independent of the upstream gradient. They equal those of a layer whose step derivative omits it:",
    look="look for `{slope}` not multiplied by `dh_next`.",
)
class UpstreamDropped(FaultyLoop):
    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        out[...] = slope


class OtherSlope(FaultyLoop):
    """Another derivative in place of that of relu, of that of the other nonlinearities, or of both."""

    replaces_relu_slope = False
    replaces_other_slopes = True

    def slope(self, trace: CellTrace) -> Array:
        if self.replaces_relu_slope if self.case.relu else self.replaces_other_slopes:
            slope = np.array(self.wrong_slope(trace.h[1:], trace))
            self.noise.relative(slope[:, 1:])
            return slope
        return super().slope(trace)

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        """Return the wrong derivative from the states ``h``; the right one of tanh is ``1 - h * h``."""
        raise NotImplementedError

    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        np.multiply(d, slope, out=out)
        self.noise.relative(out[1:])


class StateAsSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h


class TanhOfStateAsSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return FUNCTIONS[self.case.nonlinearity](h)


class PreactivationAsSlope(OtherSlope):
    keep_preactivations = True

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return trace.z


register(
    "activation in place of its derivative",
    sentence="The gradients are those of a layer that multiplies by the activation's value instead of its derivative:",
    look="look for `d * h` or `d * {function}(h)` (a `derivative=True` that was forgotten) where `d * ({slope})` is due.",
    loops=(StateAsSlope, TanhOfStateAsSlope, PreactivationAsSlope),
)


@fault(
    "slope 1 + h^2",
    sentence="The gradients are those of a layer with the derivative of tan, `1 + h**2`:",
    look="look for the sign in `1 - h**2`.",
    nonlinearities=("tanh",),
)
class OnePlusSquare(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 + h * h


@fault(
    "slope h^2 - 1",
    sentence="The gradients are those of a layer whose derivative of tanh has the opposite sign:",
    look="look for `h**2 - 1` where `1 - h**2` is due.",
    nonlinearities=("tanh",),
)
class SquareMinusOne(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * h - 1


@fault(
    "slope h^2",
    sentence="The gradients are those of a layer that multiplies by `h**2`:",
    look="look for the `1 -` that is missing in `1 - h**2`.",
    nonlinearities=("tanh",),
)
class SquareAlone(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * h


@fault(
    "divided by the slope",
    sentence="The gradients are those of a layer that divides by the derivative of {function}:",
    look="look for `d / ({slope})` where `d * ({slope})` is due.",
)
class DividedBySlope(OtherSlope):
    ill_conditioned = True

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 / self.slope_at(h)


@fault(
    "slope of the logistic function",
    sentence="The gradients are those of a layer with the logistic function's derivative under a tanh:",
    look="look for `h * (1 - h)` where `1 - h**2` is due.",
    nonlinearities=("tanh",),
)
class LogisticSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return h * (1 - h)


@fault(
    "slope at the pre-activation",
    sentence="The gradients are those of a layer that puts the pre-activation z into the formula meant for h:",
    look="look for the derivative `{slope}` with z in place of h, as `1 - z**2` or `z * (1 - z)`.",
)
class SlopeAtPreactivation(OtherSlope):
    keep_preactivations = True

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return self.slope_at(trace.z)


@fault(
    "tanh taken again in the slope",
    sentence="The gradients are those of a layer that takes the tanh of the state once more in the derivative:",
    look="look for `1 - np.tanh(h)**2` where h is a tanh already: it is `1 - h**2`.",
    nonlinearities=("tanh",),
)
class SlopeAtTanhOfState(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - np.tanh(h) ** 2


class OneMinusState(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - h


class OneMinusTwiceState(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - 2 * h


class RootOfSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return np.sqrt(1 - h * h)


register(
    "slope without the square",
    sentence="The gradients are those of a layer with the derivative `1 - h`:",
    look="look for the square missing in `1 - h**2`.",
    nonlinearities=("tanh",),
    loops=(OneMinusState, OneMinusTwiceState, RootOfSlope),
)


@fault(
    "slope (1 - h)^2",
    sentence="The gradients are those of a layer with the derivative `(1 - h)**2`:",
    look="look for the parenthesis in `1 - h**2`.",
    nonlinearities=("tanh",),
)
class SquareOfDifference(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return (1 - h) ** 2


@fault(
    "slope 1 - |h|",
    sentence="The gradients are those of a layer with the derivative `1 - |h|` (or its square, that of softsign):",
    look="look for `1 - np.abs(h)` where `1 - h**2` is due.",
    nonlinearities=("tanh",),
    variants=(
        {},
        {"squared": True},
    ),
)
class OneMinusMagnitude(OtherSlope):
    squared = False

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return (1 - np.abs(h)) ** (2 if self.squared else 1)


@fault(
    "slope applied twice",
    sentence="The gradients are those of a layer that multiplies by the derivative of {function} twice:",
    look="look for a second `{slope}` on the way from `dh_next` to the weights.",
)
class SlopeTwice(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return self.slope_at(h) ** 2


class SlopeOfStepBefore(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return self.slope_at(trace.h[:-1])


class SlopeOfLastStep(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return np.broadcast_to(self.slope_at(h[-1:]), h.shape)


register(
    "slope of another step",
    sentence="The gradients are those of a layer that takes the derivative at another step's state:",
    look="look for `{slope}` with `h_prev` for h, or an `h` left over from the forward loop, where the step's own `h` is due.",
    loops=(SlopeOfStepBefore, SlopeOfLastStep),
)


@fault(
    "slope missing",
    sentence="The gradients are those of a layer without any derivative of the nonlinearity, dz = d:",
    look="look for `{slope}` that is never multiplied in.",
    nonlinearities=("tanh", "sigmoid"),
)
class NoSlope(OtherSlope):
    replaces_relu_slope = True

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return np.ones_like(h)


@fault(
    "slope with an epsilon",
    sentence="The gradients are those of a layer with the derivative `{slope} + {epsilon:g}`:",
    look="look for a constant added for stability in the backward.",
)
class SlopePlusEpsilon(OtherSlope):
    epsilon: float = 1e-3

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return self.slope_at(h) + self.epsilon

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in prefer_float64(samples):
            case, call = sample.case, sample.calls[0]
            if (
                case.T == 1
                and case.num_cells == 1
                and not case.relu
                and call.dhs is not None
                and case.D >= case.H
                and np.isfinite(sample.got[0].get("dx", np.nan)).all()
            ):
                # One step: dx is dz Wx^T, and dz is d times the slope.
                d = call.dhs[:, 0] + (0 if call.dh_n is None else call.dh_n[0])
                dz = single_step_dz(sample)
                h = sample.truths[0]["h_n"][0]
                excess = dz - d * DERIVATIVES[case.nonlinearity](h)
                value = float((excess * d).sum() / (d * d).sum())
                noise = 1e-15 if case.dtype == "f64" else 1e-6
                if value and np.allclose(excess, value * d, rtol=1e-3, atol=16 * noise):
                    yield variant.with_constants(
                        epsilon=round_constant(value, 1e-6 if case.dtype == "f64" else 1e-2)
                    )
                return


@fault(
    "relu mask true everywhere",
    sentence="With relu the gradients also pass through the units that are off:",
    look="look for `h >= 0`, which holds for every output of relu, or for `h > 0` that is never multiplied in.",
    nonlinearities=("relu",),
)
class NoSlopeOfRelu(NoSlope):
    replaces_other_slopes = False


@fault(
    "slope of tanh under relu",
    sentence="With relu the gradients are those of a layer that takes the derivative of tanh:",
    look="look for `1 - h**2` that does not depend on the nonlinearity.",
    nonlinearities=("relu",),
)
class TanhSlopeForRelu(OtherSlope):
    replaces_relu_slope = True

    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return 1 - h * h


@fault(
    "slope of relu under tanh",
    sentence="With tanh the gradients are those of a layer that takes the derivative of relu:",
    look="look for `h > 0` where `1 - h**2` is due.",
    nonlinearities=("tanh",),
)
class ReluSlopeForTanh(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return np.asarray(h > 0, np.float64)


class HalfPrecisionInSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        short = h.astype(np.float16)
        return self.slope_at(short).astype(np.float64)


class HalfPrecisionStateInSlope(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        short = h.astype(np.float16).astype(np.float64)
        return self.slope_at(short)


class SlopeInHalfPrecision(OtherSlope):
    def wrong_slope(self, h: Array, trace: CellTrace) -> Array:
        return self.slope_at(h).astype(np.float16).astype(np.float64)


register(
    "half precision in the slope",
    sentence="The derivative of {function} is computed from states, or kept, in half precision:",
    look="look for `np.float16` where the states or `{slope}` are kept for the backward.",
    loops=(HalfPrecisionInSlope, HalfPrecisionStateInSlope, SlopeInHalfPrecision),
)
