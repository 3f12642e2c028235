"""Faults of the derivative of the nonlinearity."""

from collections.abc import Iterator, Sequence

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import Twin, Variant, fault, nice, register, solved
from parity_tests.diagnosis.samples import Sample, precise
from parity_tests.references.float64_cell import Tape


@fault(
    "upstream gradient dropped",
    sentence="Gradients are independent of the upstream gradient. They equal those of a layer whose step derivative omits it:",
    look="look for `1 - h**2` not multiplied by `dh_next`.",
)
class _NoUpstream(Twin):
    def delta(self, tape: Tape, t: int, d: Array, slope: Array, out: Array) -> None:
        out[...] = slope


class _Slope(Twin):
    """With another derivative of tanh, of relu, or of both."""

    of_relu = False
    of_tanh = True

    def slope(self, tape: Tape) -> Array:
        if self.of_relu if self.case.relu else self.of_tanh:
            slope = np.array(self.derivative(tape.h[1:], tape))
            self.noise.relative(slope[:, 1:])
            return slope
        return super().slope(tape)

    def derivative(self, h: Array, tape: Tape) -> Array:
        """Of the state, where the right one is ``1 - h * h``."""
        raise NotImplementedError

    def delta(self, tape: Tape, t: int, d: Array, slope: Array, out: Array) -> None:
        np.multiply(d, slope, out=out)
        self.noise.relative(out[1:])


class _OutputAsSlope(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h


class _TanhAsSlope(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.tanh(h)


class _TanhOfZAsSlope(_Slope):
    apart = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return tape.z


register(
    "activation in place of its derivative",
    sentence="The gradients are those of a layer that multiplies by the activation's value instead of its derivative:",
    look="look for `d * h` or `d * tanh(h)` (a `derivative=True` that was forgotten) where `d * (1 - h**2)` is due.",
    loops=(_OutputAsSlope, _TanhAsSlope, _TanhOfZAsSlope),
)


@fault(
    "slope 1 + h^2",
    sentence="The gradients are those of a layer with the derivative of tan, `1 + h**2`:",
    look="look for the sign in `1 - h**2`.",
)
class _PlusSquare(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 + h * h


@fault(
    "slope h^2 - 1",
    sentence="The gradients are those of a layer whose derivative of tanh has the opposite sign:",
    look="look for `h**2 - 1` where `1 - h**2` is due.",
)
class _MinusOne(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h * h - 1


@fault(
    "slope h^2",
    sentence="The gradients are those of a layer that multiplies by `h**2`:",
    look="look for the `1 -` that is missing in `1 - h**2`.",
)
class _Square(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h * h


@fault(
    "divided by the slope",
    sentence="The gradients are those of a layer that divides by the derivative of tanh:",
    look="look for `d / (1 - h**2)` where `d * (1 - h**2)` is due.",
)
class _Divided(_Slope):
    rough = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 / (1 - h * h)


@fault(
    "slope of the logistic function",
    sentence="The gradients are those of a layer with the logistic function's derivative under a tanh:",
    look="look for `h * (1 - h)` where `1 - h**2` is due.",
)
class _Logistic(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h * (1 - h)


@fault(
    "slope at the pre-activation",
    sentence="The gradients are those of a layer that puts the pre-activation z into the formula meant for h:",
    look="look for `1 - z**2`: it is `1 - tanh(z)**2`.",
)
class _AtPreactivation(_Slope):
    apart = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - tape.z * tape.z


@fault(
    "tanh taken again in the slope",
    sentence="The gradients are those of a layer that takes the tanh of the state once more in the derivative:",
    look="look for `1 - np.tanh(h)**2` where h is a tanh already: it is `1 - h**2`.",
)
class _TanhAgain(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - np.tanh(h) ** 2


class _NoSquare(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - h


class _TimesTwo(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - 2 * h


class _Root(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.sqrt(1 - h * h)


register(
    "slope without the square",
    sentence="The gradients are those of a layer with the derivative `1 - h`:",
    look="look for the square missing in `1 - h**2`.",
    loops=(_NoSquare, _TimesTwo, _Root),
)


@fault(
    "slope applied twice",
    sentence="The gradients are those of a layer that multiplies by the derivative of tanh twice:",
    look="look for a second `1 - h**2` on the way from `dh_next` to the weights.",
)
class _Twice(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return (1 - h * h) ** 2


class _OfStepBefore(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - tape.h[:-1] ** 2


class _OfLastStep(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.broadcast_to(1 - h[-1:] ** 2, h.shape)


register(
    "slope of another step",
    sentence="The gradients are those of a layer that takes the derivative at another step's state:",
    look="look for `1 - h_prev**2`, or an `h` left over from the forward loop, where the step's own `h` is due.",
    loops=(_OfStepBefore, _OfLastStep),
)


@fault(
    "slope missing",
    sentence="The gradients are those of a layer without any derivative of the nonlinearity, dz = d:",
    look="look for `1 - h**2` that is never multiplied in.",
)
class _Missing(_Slope):
    of_relu = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.ones_like(h)


@fault(
    "slope with an epsilon",
    sentence="The gradients are those of a layer with the derivative `1 - h**2 + {epsilon:g}`:",
    look="look for a constant added for stability in the backward.",
)
class _Epsilon(_Slope):
    epsilon: float = 1e-3

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - h * h + self.epsilon

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in precise(samples):
            case, call = sample.case, sample.calls[0]
            if (
                case.T == 1
                and case.cells == 1
                and not case.relu
                and call.dhs is not None
                and case.D >= case.H
                and np.isfinite(sample.got[0].get("dx", np.nan)).all()
            ):
                # One step: dx is dz Wx^T, and dz is d times the slope.
                d = call.dhs[:, 0] + (0 if call.dh_n is None else call.dh_n[0])
                dz = solved(sample)
                h = sample.truths[0]["h_n"][0]
                excess = dz - d * (1 - h * h)
                value = float((excess * d).sum() / (d * d).sum())
                if value and np.allclose(excess, value * d, rtol=1e-3, atol=1e-12):
                    yield variant.with_constants(epsilon=nice(value, 1e-6 if case.dtype == "f64" else 1e-2))
                return


@fault(
    "relu mask true everywhere",
    sentence="With relu the gradients also pass through the units that are off:",
    look="look for `h >= 0`, which holds for every output of relu: it is `h > 0`.",
    kinds=("nn", "nncell"),
)
class _MissingForRelu(_Missing):
    of_tanh = False


@fault(
    "slope of tanh under relu",
    sentence="With relu the gradients are those of a layer that takes the derivative of tanh:",
    look="look for `1 - h**2` that does not ask for the nonlinearity.",
    kinds=("nn", "nncell"),
)
class _TanhForRelu(_Slope):
    of_relu = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - h * h


@fault(
    "slope of relu under tanh",
    sentence="With tanh the gradients are those of a layer that takes the derivative of relu:",
    look="look for `h > 0` where `1 - h**2` is due.",
)
class _ReluForTanh(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.asarray(h > 0, np.float64)
