"""Faults of the nonlinearity: another function in place of tanh, or terms left outside of it."""

from collections.abc import Iterator, Sequence
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import (
    BOTH_BACKWARDS,
    FaultyLoop,
    Variant,
    fault,
    register,
    with_both_backwards,
)
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace


class OtherActivation(FaultyLoop):
    """Another function in place of tanh (or relu).

    The backward is that of the right nonlinearity, or, with ``own_backward``, the function's own.
    """

    keep_preactivations = True
    own_backward = False
    replaces_relu = False

    def activation(self, z: Array) -> Array:
        """Return the state for the pre-activation ``z``."""
        raise NotImplementedError

    def derivative(self, h: Array, z: Array) -> Array:
        """Return the derivative of ``activation``."""
        raise NotImplementedError

    def activate(self, trace: CellTrace, t: int) -> None:
        if self.case.relu != self.replaces_relu:
            super().activate(trace, t)
            return
        trace.h[t + 1] = self.activation(trace.z[t])
        self.noise.absolute(trace.h[t + 1, 1:])

    def slope(self, trace: CellTrace) -> Array:
        if self.case.relu != self.replaces_relu or not self.own_backward:
            return super().slope(trace)
        slope = np.array(self.derivative(trace.h[1:], trace.z))
        self.noise.relative(slope[:, 1:])
        return slope


@fault(
    "nonlinearity applied twice",
    sentence="The states are {function}({function}(z)):",
    look="look for a {function} in the cell and another one around it.",
    variants=BOTH_BACKWARDS,
)
class AppliedTwice(OtherActivation):
    def activation(self, z: Array) -> Array:
        return self.applied(self.applied(z))

    def derivative(self, h: Array, z: Array) -> Array:
        return self.slope_at(h) * self.slope_at(self.applied(z))


@fault(
    "logistic function in place of tanh",
    sentence="The states are the logistic function of the pre-activations:",
    look="look for `1 / (1 + exp(-z))` where `tanh(z)` is due.",
    nonlinearities=("tanh",),
    variants=BOTH_BACKWARDS,
)
class Logistic(OtherActivation):
    def activation(self, z: Array) -> Array:
        return 1 / (1 + np.exp(-z))

    def derivative(self, h: Array, z: Array) -> Array:
        return h * (1 - h)


class Linear(OtherActivation):
    def activation(self, z: Array) -> Array:
        return z

    def derivative(self, h: Array, z: Array) -> Array:
        return np.ones_like(h)


class LinearForRelu(Linear):
    replaces_relu = True


register(
    "nonlinearity missing",
    sentence="The states are the pre-activations themselves:",
    look="look for a {function} that is never applied.",
    loops=(*with_both_backwards(Linear), *with_both_backwards(LinearForRelu)),
)


@fault(
    "relu in place of tanh",
    sentence="The states are relu of the pre-activations where tanh is due:",
    look="look for `np.maximum(z, 0)`, and for the default of the option `nonlinearity`, which is tanh.",
    nonlinearities=("tanh",),
    variants=BOTH_BACKWARDS,
)
class Relu(OtherActivation):
    def activation(self, z: Array) -> Array:
        return np.maximum(z, 0)

    def derivative(self, h: Array, z: Array) -> Array:
        slope = np.asarray(z > 0, np.float64)
        self.noise.kinks(slope, z)
        return slope


@fault(
    "tanh in place of relu",
    sentence="With nonlinearity='relu' the layer computes tanh all the same:",
    look="look for the option `nonlinearity` that is not passed on.",
    nonlinearities=("relu",),
    variants=BOTH_BACKWARDS,
)
class TanhForRelu(OtherActivation):
    replaces_relu = True

    def activation(self, z: Array) -> Array:
        return np.tanh(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return 1 - h * h


class TanhOfExponentials(OtherActivation):
    """tanh made of exponentials: NaN where they overflow."""

    def activation(self, z: Array) -> Array:
        most = 88.7 if self.case.dtype == "f32" else 709.7
        return np.where(self.overflows(z, most), np.nan, np.tanh(z))

    def overflows(self, z: Array, most: float) -> Array:
        """Return where infinity is divided by infinity."""
        return np.abs(z) > most


class TanhOfOneExponential(TanhOfExponentials):
    def overflows(self, z: Array, most: float) -> Array:
        return 2 * z > most


register(
    "tanh overflows",
    sentence="The states are NaN where the pre-activation is large:",
    look="look for a tanh made of exponentials: it is `np.tanh`.",
    nonlinearities=("tanh",),
    loops=(TanhOfExponentials, TanhOfOneExponential),
)


def _tanh_states(samples: Sequence[Sample]) -> list[Array]:
    """Return the subject's final states in the cases with tanh."""
    return [got["h_n"] for sample in samples if not sample.case.relu for got in sample.got if "h_n" in got]


@fault(
    "pre-activation clipped",
    sentence="The pre-activations are clipped to +-{limit:g} before tanh:",
    look="look for `np.clip` in the forward.",
    nonlinearities=("tanh",),
    variants=BOTH_BACKWARDS,
)
class ClippedPreactivation(OtherActivation):
    limit: float = 1.0

    def activation(self, z: Array) -> Array:
        return np.tanh(np.clip(z, -self.limit, self.limit))

    def derivative(self, h: Array, z: Array) -> Array:
        return np.where(np.abs(z) < self.limit, 1 - h * h, 0)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        most = max((np.abs(h).max() for h in _tanh_states(chosen)), default=1)
        if 0 < most < 1:
            yield variant.with_constants(
                limit=round_constant(float(np.arctanh(most)), max(1e-7, constant_tolerance(chosen)))
            )


@fault(
    "states rounded",
    sentence="The states are rounded to {decimals} decimals:",
    look="look for `np.round` in the forward.",
)
class RoundedStates(OtherActivation):
    decimals: int = 4

    def activation(self, z: Array) -> Array:
        return np.round(self.applied(z), self.decimals)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        states = _tanh_states(chosen)
        for decimals in range(1, 9 if chosen[0].case.dtype == "f64" else 5):
            if states and all(np.allclose(h, np.round(h, decimals), rtol=0, atol=1e-12) for h in states):
                yield variant.with_constants(decimals=decimals)
                return


class RecurrentTermOutside(FaultyLoop):
    """tanh(x Wx + b) + h Wh, or with the bias outside too.

    With ``own_backward`` the backward is the one that belongs to this forward.
    """

    keep_preactivations = True
    own_backward = False
    bias_inside = True

    def biases(self, weights: Any) -> list[Array]:
        return super().biases(weights) if self.bias_inside else []

    def covered(self, z: Array) -> Array:
        """Apply the nonlinearity."""
        return self.applied(z)

    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        trace.h[t + 1] = self.covered(trace.z[t]) + recurrent
        if not self.bias_inside:
            trace.h[t + 1] += sum(super().biases(trace.weights))
        self.noise.relative(trace.h[t + 1, 1:])
        if self.case.relu and not self.own_backward:
            trace.z[t] += recurrent

    def slope(self, trace: CellTrace) -> Array:
        if not self.own_backward or self.case.relu:
            return super().slope(trace)
        return self.slope_at(self.applied(trace.z))

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super().carry(trace, t, trace.d[t] if self.own_backward else dz)

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(trace, dz)
        if self.own_backward:
            _, dWh, through = super().parameter_gradients(trace, trace.d)
            db = db if self.bias_inside else through
        return dWx, dWh, db


class InputTermOutside(RecurrentTermOutside):
    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        bias = sum(super().biases(trace.weights), np.zeros(self.case.H))
        trace.h[t + 1] = self.covered(recurrent + bias) + (trace.z[t] - bias)
        self.noise.relative(trace.h[t + 1, 1:])
        trace.z[t] += recurrent


register(
    "nonlinearity covers one summand only",
    sentence="The states are those of a layer whose nonlinearity covers one summand only, as {function}(x Wx + b) + h Wh:",
    look="look for a parenthesis closed too early in `{function}(x @ Wx + h @ Wh + b)`.",
    loops=(
        *with_both_backwards(RecurrentTermOutside),
        *with_both_backwards(RecurrentTermOutside.with_params(bias_inside=False)),
        InputTermOutside,
    ),
)


@fault(
    "bias behind the nonlinearity",
    sentence="The states are {function}(x Wx + h Wh) + b:",
    look="look for a parenthesis closed before `+ b`.",
    variants=BOTH_BACKWARDS,
)
class BiasOutside(FaultyLoop):
    own_backward = False
    keep_preactivations = True

    def biases(self, weights: Any) -> list[Array]:
        return []

    def activate(self, trace: CellTrace, t: int) -> None:
        super().activate(trace, t)
        trace.h[t + 1] += sum(super().biases(trace.weights), np.zeros(self.case.H))

    def slope(self, trace: CellTrace) -> Array:
        return (
            self.slope_at(self.applied(trace.z))
            if self.own_backward and not self.case.relu
            else super().slope(trace)
        )

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(trace, dz)
        return dWx, dWh, super().parameter_gradients(trace, trace.d)[2] if self.own_backward else db


@fault(
    "old state mixed into the new",
    sentence="The states are {keep:g} times the state before plus {new:g} times the new one, as in a leaky or residual unit:",
    look="look for `h_prev` outside of the nonlinearity.",
    variants=BOTH_BACKWARDS,
)
class LeakyUnit(FaultyLoop):
    """h = keep * h_prev + new * tanh(z)."""

    keep: float = 0.2
    new: float = 0.8
    own_backward = False
    keep_preactivations = True

    def activate(self, trace: CellTrace, t: int) -> None:
        super().activate(trace, t)
        trace.h[t + 1] *= self.new
        trace.h[t + 1] += self.keep * self.previous(trace, t)
        self.noise.relative(trace.h[t + 1, 1:])

    def slope(self, trace: CellTrace) -> Array:
        if not self.own_backward or self.case.relu:
            return super().slope(trace)
        return self.new * self.slope_at(self.applied(trace.z))

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        through = super().carry(trace, t, dz)
        return through + self.keep * trace.d[t] if self.own_backward else through

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        rows, values = [], []
        for sample in prefer_float64(samples):
            call = sample.calls[0]
            if sample.case.T == 1 and sample.case.num_cells == 1 and call.h_0 is not None and sample.got:
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
            within = max(1e-8, constant_tolerance(prefer_float64(samples)))
            yield variant.with_constants(
                keep=round_constant(float(keep), within), new=round_constant(float(new), within)
            )
