"""Faults of the nonlinearity and its derivative."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from parity_tests._evidence import Sample, precise
from parity_tests._inputs import Array
from parity_tests._loop import Tape
from parity_tests._twins import Fault, Twin, nice, tolerance, variant


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


class _PlusSquare(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 + h * h


class _MinusOne(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h * h - 1


class _Square(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h * h


class _Divided(_Slope):
    rough = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 / (1 - h * h)


class _Logistic(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return h * (1 - h)


class _AtPreactivation(_Slope):
    apart = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - tape.z * tape.z


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


class _Twice(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return (1 - h * h) ** 2


class _OfStepBefore(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - tape.h[:-1] ** 2


class _OfLastStep(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.broadcast_to(1 - h[-1:] ** 2, h.shape)


class _Missing(_Slope):
    of_relu = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.ones_like(h)


class _MissingForRelu(_Missing):
    of_tanh = False


class _TanhForRelu(_Slope):
    of_relu = True

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - h * h


class _ReluForTanh(_Slope):
    def derivative(self, h: Array, tape: Tape) -> Array:
        return np.asarray(h > 0, np.float64)


class _Epsilon(_Slope):
    epsilon: ClassVar[float] = 1e-3

    def derivative(self, h: Array, tape: Tape) -> Array:
        return 1 - h * h + self.epsilon

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for sample in precise(samples):
            case, call = sample.case, sample.calls[0]
            if (
                case.T == 1
                and case.cells == 1
                and not case.relu
                and call.dhs is not None
                and case.D >= case.H
            ):
                # One step: dx is dz Wx^T, and dz is d times the slope.
                d = call.dhs[:, 0] + (0 if call.dh_n is None else call.dh_n[0])
                dz = solved(sample)
                h = sample.truths[0]["h_n"][0]
                excess = dz - d * (1 - h * h)
                value = float((excess * d).sum() / (d * d).sum())
                if value and np.allclose(excess, value * d, rtol=1e-3, atol=1e-12):
                    yield cls.having(epsilon=nice(value, 1e-6 if case.dtype == "f64" else 1e-2))
                return


def solved(sample: Sample, call: int = 0) -> Array:
    """The dz of the only step of a single cell, from dx; D must be no less than H."""
    dx = sample.got[call]["dx"][:, 0]
    Wx = np.asarray(sample.calls[call].Wx, np.float64)
    return np.linalg.lstsq(Wx, dx.T, rcond=None)[0].T


class _Activation(Twin):
    """Another function for tanh; the backward is that of tanh, or the function's own."""

    own = False
    of_relu = False

    def bent(self, z: Array) -> Array:
        """The state from the pre-activation."""
        raise NotImplementedError

    def steepness(self, h: Array, z: Array) -> Array:
        """Its slope."""
        raise NotImplementedError

    apart = True

    def activate(self, tape: Tape, t: int) -> None:
        if self.case.relu != self.of_relu:
            super().activate(tape, t)
            return
        tape.h[t + 1] = self.bent(tape.z[t])
        self.noise.absolute(tape.h[t + 1, 1:])

    def slope(self, tape: Tape) -> Array:
        if self.case.relu != self.of_relu or not self.own:
            return super().slope(tape)
        slope = np.array(self.steepness(tape.h[1:], tape.z))
        self.noise.relative(slope[:, 1:])
        return slope


class _TanhTwice(_Activation):
    def bent(self, z: Array) -> Array:
        return np.tanh(np.tanh(z))

    def steepness(self, h: Array, z: Array) -> Array:
        return (1 - h * h) * (1 - self.tanh(z) ** 2)


class _LogisticFunction(_Activation):
    def bent(self, z: Array) -> Array:
        return 1 / (1 + np.exp(-z))

    def steepness(self, h: Array, z: Array) -> Array:
        return h * (1 - h)


class _Linear(_Activation):
    def bent(self, z: Array) -> Array:
        return z

    def steepness(self, h: Array, z: Array) -> Array:
        return np.ones_like(h)


class _Relu(_Activation):
    def bent(self, z: Array) -> Array:
        return np.maximum(z, 0)

    def steepness(self, h: Array, z: Array) -> Array:
        slope = np.asarray(z > 0, np.float64)
        self.noise.kinks(slope, z)
        return slope


class _Tanh(_Activation):
    of_relu = True

    def bent(self, z: Array) -> Array:
        return np.tanh(z)

    def steepness(self, h: Array, z: Array) -> Array:
        return 1 - h * h


class _LinearForRelu(_Linear):
    of_relu = True


class _Pade(_Activation):
    def bent(self, z: Array) -> Array:
        return np.clip(z * (27 + z * z) / (27 + 9 * z * z), -1, 1)

    def steepness(self, h: Array, z: Array) -> Array:
        slope = ((27 + 3 * z * z) * (27 + 9 * z * z) - 18 * z * z * (27 + z * z)) / (27 + 9 * z * z) ** 2
        return np.where(np.abs(z) < 3, slope, 0)


class _HardTanh(_Activation):
    def bent(self, z: Array) -> Array:
        return np.clip(z, -1, 1)

    def steepness(self, h: Array, z: Array) -> Array:
        return np.asarray(np.abs(z) < 1, np.float64)


class _SoftSign(_Activation):
    def bent(self, z: Array) -> Array:
        return z / (1 + np.abs(z))

    def steepness(self, h: Array, z: Array) -> Array:
        return (1 + np.abs(z)) ** -2.0


class _Tangent(_Activation):
    def bent(self, z: Array) -> Array:
        return np.tan(z)

    def steepness(self, h: Array, z: Array) -> Array:
        return 1 + h * h


class _ArcTangent(_Activation):
    def bent(self, z: Array) -> Array:
        return np.arctan(z)

    def steepness(self, h: Array, z: Array) -> Array:
        return 1 / (1 + z * z)


def _tanh_states(samples: Sequence[Sample]) -> list[Array]:
    """The final states that were got where there is no relu."""
    return [got["h_n"] for sample in samples if not sample.case.relu for got in sample.got if "h_n" in got]


class _ClippedPreactivation(_Activation):
    limit: ClassVar[float] = 1.0

    def bent(self, z: Array) -> Array:
        return np.tanh(np.clip(z, -self.limit, self.limit))

    def steepness(self, h: Array, z: Array) -> Array:
        return np.where(np.abs(z) < self.limit, 1 - h * h, 0)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        most = max((np.abs(h).max() for h in _tanh_states(chosen)), default=1)
        if 0 < most < 1:
            yield cls.having(limit=nice(float(np.arctanh(most)), max(1e-7, tolerance(chosen))))


class _Overflowing(_Activation):
    """A tanh of exponentials, NaN where these overflow."""

    def bent(self, z: Array) -> Array:
        most = 88.7 if self.case.dtype == "f32" else 709.7
        return np.where(self.overflows(z, most), np.nan, np.tanh(z))

    def overflows(self, z: Array, most: float) -> Array:
        """Where infinity is divided by infinity."""
        return np.abs(z) > most


class _OverflowingSquare(_Overflowing):
    def overflows(self, z: Array, most: float) -> Array:
        return 2 * z > most


class _RoundedStates(_Activation):
    decimals: ClassVar[int] = 4

    def bent(self, z: Array) -> Array:
        return np.round(np.tanh(z), self.decimals)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        states = _tanh_states(chosen)
        for decimals in range(1, 9 if chosen[0].case.dtype == "f64" else 5):
            if states and all(np.allclose(h, np.round(h, decimals), rtol=0, atol=1e-12) for h in states):
                yield cls.having(decimals=decimals)
                return


class _HalfCovered(Twin):
    """tanh over one summand only; own: with the backward of just that."""

    apart = True
    own = False
    bias_inside = True

    def biases(self, weights: Any) -> list[Array]:
        return super().biases(weights) if self.bias_inside else []

    def covered(self, z: Array) -> Array:
        """The nonlinearity."""
        return np.maximum(z, 0) if self.case.relu else np.tanh(z)

    def step(self, tape: Tape, t: int, recurrent: Array) -> None:
        tape.h[t + 1] = self.covered(tape.z[t]) + recurrent
        if not self.bias_inside:
            tape.h[t + 1] += sum(super().biases(tape.weights))
        self.noise.relative(tape.h[t + 1, 1:])
        if self.case.relu and not self.own:
            tape.z[t] += recurrent

    def slope(self, tape: Tape) -> Array:
        if not self.own or self.case.relu:
            return super().slope(tape)
        return 1 - self.tanh(tape.z) ** 2

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return super().carry(tape, t, tape.d[t] if self.own else dz)

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(tape, dz)
        if self.own:
            _, dWh, through = super().parameter_gradients(tape, tape.d)
            db = db if self.bias_inside else through
        return dWx, dWh, db


class _InputOutside(_HalfCovered):
    def step(self, tape: Tape, t: int, recurrent: Array) -> None:
        bias = sum(super().biases(tape.weights), np.zeros(self.case.H))
        tape.h[t + 1] = self.covered(recurrent + bias) + (tape.z[t] - bias)
        self.noise.relative(tape.h[t + 1, 1:])
        tape.z[t] += recurrent


class _BiasOutside(Twin):
    own = False
    apart = True

    def biases(self, weights: Any) -> list[Array]:
        return []

    def activate(self, tape: Tape, t: int) -> None:
        super().activate(tape, t)
        tape.h[t + 1] += sum(super().biases(tape.weights), np.zeros(self.case.H))

    def slope(self, tape: Tape) -> Array:
        return 1 - self.tanh(tape.z) ** 2 if self.own and not self.case.relu else super().slope(tape)

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(tape, dz)
        return dWx, dWh, super().parameter_gradients(tape, tape.d)[2] if self.own else db


class _Leaky(Twin):
    """h = keep * h_prev + new * tanh(z)."""

    keep: ClassVar[float] = 0.2
    new: ClassVar[float] = 0.8
    own = False
    apart = True

    def activate(self, tape: Tape, t: int) -> None:
        super().activate(tape, t)
        tape.h[t + 1] *= self.new
        tape.h[t + 1] += self.keep * self.previous(tape, t)
        self.noise.relative(tape.h[t + 1, 1:])

    def slope(self, tape: Tape) -> Array:
        if not self.own or self.case.relu:
            return super().slope(tape)
        return self.new * (1 - self.tanh(tape.z) ** 2)

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        through = super().carry(tape, t, dz)
        return through + self.keep * tape.d[t] if self.own else through

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        rows, values = [], []
        for sample in precise(samples):
            call = sample.calls[0]
            if sample.case.T == 1 and sample.case.cells == 1 and call.h_0 is not None and sample.got:
                before, right = call.h_0[0].ravel(), sample.truths[0]["h_n"].ravel()
                rows.append(np.stack([before, right], axis=1))
                values.append(sample.got[0].get("h_n", sample.truths[0]["h_n"]).ravel())
        if not rows:
            return
        matrix, value = np.concatenate(rows).astype(np.float64), np.concatenate(values)
        if len(matrix) < 3 or not np.isfinite(value).all():
            return
        (keep, new), *_ = np.linalg.lstsq(matrix, value, rcond=None)
        if abs(keep) > 1e-6 and np.allclose(matrix @ [keep, new], value, rtol=0, atol=1e-4):
            within = max(1e-8, tolerance(precise(samples)))
            yield cls.having(keep=nice(float(keep), within), new=nice(float(new), within))


def _both(base: type[Twin]) -> tuple[type[Twin], type[Twin]]:
    """With the backward of its own forward, and with the right cell's."""
    return variant(base, own=True), base


FAULTS = [
    Fault(
        "upstream gradient dropped",
        ("A1",),
        "Gradients are independent of the upstream gradient. They equal those of a layer whose step derivative omits it:",
        "look for `1 - h**2` not multiplied by `dh_next`.",
        (_NoUpstream,),
    ),
    Fault(
        "activation in place of its derivative",
        ("A3",),
        "The gradients are those of a layer that multiplies by the activation's value instead of its derivative:",
        "look for `d * h` or `d * tanh(h)` (a `derivative=True` that was forgotten) where `d * (1 - h**2)` is due.",
        (_OutputAsSlope, _TanhAsSlope, _TanhOfZAsSlope),
    ),
    Fault(
        "slope 1 + h^2",
        ("A5",),
        "The gradients are those of a layer with the derivative of tan, `1 + h**2`:",
        "look for the sign in `1 - h**2`.",
        (_PlusSquare,),
    ),
    Fault(
        "slope h^2 - 1",
        (),
        "The gradients are those of a layer whose derivative of tanh has the opposite sign:",
        "look for `h**2 - 1` where `1 - h**2` is due.",
        (_MinusOne,),
    ),
    Fault(
        "slope h^2",
        (),
        "The gradients are those of a layer that multiplies by `h**2`:",
        "look for the `1 -` that is missing in `1 - h**2`.",
        (_Square,),
    ),
    Fault(
        "divided by the slope",
        ("A5",),
        "The gradients are those of a layer that divides by the derivative of tanh:",
        "look for `d / (1 - h**2)` where `d * (1 - h**2)` is due.",
        (_Divided,),
    ),
    Fault(
        "slope of the logistic function",
        (),
        "The gradients are those of a layer with the logistic function's derivative under a tanh:",
        "look for `h * (1 - h)` where `1 - h**2` is due.",
        (_Logistic,),
    ),
    Fault(
        "slope at the pre-activation",
        (),
        "The gradients are those of a layer that puts the pre-activation z into the formula meant for h:",
        "look for `1 - z**2`: it is `1 - tanh(z)**2`.",
        (_AtPreactivation,),
    ),
    Fault(
        "tanh taken again in the slope",
        (),
        "The gradients are those of a layer that takes the tanh of the state once more in the derivative:",
        "look for `1 - np.tanh(h)**2` where h is a tanh already: it is `1 - h**2`.",
        (_TanhAgain,),
    ),
    Fault(
        "slope without the square",
        (),
        "The gradients are those of a layer with the derivative `1 - h`:",
        "look for the square missing in `1 - h**2`.",
        (_NoSquare, _TimesTwo, _Root),
    ),
    Fault(
        "slope applied twice",
        (),
        "The gradients are those of a layer that multiplies by the derivative of tanh twice:",
        "look for a second `1 - h**2` on the way from `dh_next` to the weights.",
        (_Twice,),
    ),
    Fault(
        "slope of another step",
        (),
        "The gradients are those of a layer that takes the derivative at another step's state:",
        "look for `1 - h_prev**2`, or an `h` left over from the forward loop, where the step's own `h` is due.",
        (_OfStepBefore, _OfLastStep),
    ),
    Fault(
        "slope missing",
        (),
        "The gradients are those of a layer without any derivative of the nonlinearity, dz = d:",
        "look for `1 - h**2` that is never multiplied in.",
        (_Missing,),
    ),
    Fault(
        "slope with an epsilon",
        (),
        "The gradients are those of a layer with the derivative `1 - h**2 + {epsilon:g}`:",
        "look for a constant added for stability in the backward.",
        (_Epsilon,),
    ),
    Fault(
        "relu mask true everywhere",
        ("A9",),
        "With relu the gradients also pass through the units that are off:",
        "look for `h >= 0`, which holds for every output of relu: it is `h > 0`.",
        (_MissingForRelu,),
        ("nn", "nncell"),
    ),
    Fault(
        "slope of tanh under relu",
        (),
        "With relu the gradients are those of a layer that takes the derivative of tanh:",
        "look for `1 - h**2` that does not ask for the nonlinearity.",
        (_TanhForRelu,),
        ("nn", "nncell"),
    ),
    Fault(
        "slope of relu under tanh",
        (),
        "With tanh the gradients are those of a layer that takes the derivative of relu:",
        "look for `h > 0` where `1 - h**2` is due.",
        (_ReluForTanh,),
    ),
    Fault(
        "nonlinearity applied twice",
        (),
        "The states are tanh(tanh(z)):",
        "look for a tanh in the cell and another one around it.",
        _both(_TanhTwice),
    ),
    Fault(
        "logistic function in place of tanh",
        (),
        "The states are the logistic function of the pre-activations:",
        "look for `1 / (1 + exp(-z))` where `tanh(z)` is due.",
        _both(_LogisticFunction),
    ),
    Fault(
        "nonlinearity missing",
        (),
        "The states are the pre-activations themselves:",
        "look for a tanh (or relu) that is never applied.",
        (*_both(_Linear), *_both(_LinearForRelu)),
    ),
    Fault(
        "relu in place of tanh",
        ("A11",),
        "The states are relu of the pre-activations where tanh is due:",
        "look for `np.maximum(z, 0)`, and for the default of the option `nonlinearity`, which is tanh.",
        _both(_Relu),
    ),
    Fault(
        "tanh in place of relu",
        ("A11",),
        "With nonlinearity='relu' the layer computes tanh all the same:",
        "look for the option `nonlinearity` that is not passed on.",
        _both(_Tanh),
        ("nn", "nncell"),
    ),
    Fault(
        "another function in place of tanh",
        (),
        "The states are those of a function that only resembles tanh (rational, hard, softsign, arctan or tan):",
        "look for the approximation: it is `np.tanh`.",
        (*_both(_Pade), *_both(_HardTanh), *_both(_SoftSign), *_both(_Tangent), *_both(_ArcTangent)),
    ),
    Fault(
        "tanh overflows",
        (),
        "The states are NaN where the pre-activation is large:",
        "look for a tanh made of exponentials: it is `np.tanh`.",
        (_Overflowing, _OverflowingSquare),
    ),
    Fault(
        "pre-activation clipped",
        (),
        "The pre-activations are clipped to +-{limit:g} before tanh:",
        "look for `np.clip` in the forward.",
        _both(_ClippedPreactivation),
    ),
    Fault(
        "states rounded",
        (),
        "The states are rounded to {decimals} decimals:",
        "look for `np.round` in the forward.",
        (_RoundedStates,),
    ),
    Fault(
        "nonlinearity covers one summand only",
        ("A7",),
        "The states are those of a layer whose nonlinearity covers one summand only, as tanh(x Wx + b) + h Wh:",
        "look for a parenthesis closed too early in `tanh(x @ Wx + h @ Wh + b)`.",
        (
            *_both(_HalfCovered),
            *_both(variant(_HalfCovered, bias_inside=False)),
            _InputOutside,
        ),
    ),
    Fault(
        "bias behind the nonlinearity",
        (),
        "The states are tanh(x Wx + h Wh) + b:",
        "look for a parenthesis closed before `+ b`.",
        _both(_BiasOutside),
    ),
    Fault(
        "old state mixed into the new",
        (),
        "The states are {keep:g} times the state before plus {new:g} times the new one, as in a leaky or residual unit:",
        "look for `h_prev` outside of the nonlinearity.",
        _both(_Leaky),
    ),
]
