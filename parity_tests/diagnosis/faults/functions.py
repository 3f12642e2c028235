"""Faults of the nonlinearity: another function in place of tanh."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.activation import OtherActivation
from parity_tests.diagnosis.faults.faulty_loop import (
    Variant,
    register,
    with_both_backwards,
)
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.samples import Sample, prefer_float64


@dataclass(frozen=True)
class FirstSteps:
    """First steps in a subject's answers: the right summands of their pre-activations, and its states.

    They are those of cases with one layer, in the first call, and of the forward direction. All arrays
    are flat.

    Attributes:
        inputs: x Wx.
        recurrent: h_0 Wh.
        biases: the sum of the biases.
        h: the subject's states.
        within: the relative error that a constant found from them may have.
    """

    inputs: Array
    recurrent: Array
    biases: Array
    h: Array
    within: float

    @property
    def z(self) -> Array:
        """The right pre-activations."""
        return self.inputs + self.recurrent + self.biases


def first_steps(samples: Sequence[Sample], relu: bool) -> FirstSteps:
    """Return the first steps of the samples, with relu or with tanh."""
    rows = [np.zeros((4, 0))]
    chosen = prefer_float64([s for s in samples if s.case.relu == relu and s.case.layers == 1])
    for sample in chosen:
        case, call = sample.case, sample.calls[0]
        got = sample.got[0] if sample.got else {}
        if "hs" in got:
            h = got["hs"][:, 0, : case.H]
        elif case.T == 1 and "h_n" in got:
            h = got["h_n"][0]
        else:
            continue
        cell, before = call.weights[0], np.zeros_like(h) if call.h_0 is None else call.h_0[0]
        summands = [np.asarray(call.xs[:, 0], np.float64) @ np.asarray(cell.Wx, np.float64)]
        summands.append(np.asarray(before, np.float64) @ np.asarray(cell.Wh, np.float64))
        summands.append(np.zeros_like(h))
        for b in (cell.b, cell.b_hh):
            summands[-1] += 0 if b is None else b
        rows.append(np.stack([*summands, h]).reshape(4, -1))
    table = np.concatenate(rows, axis=1)
    table = table[:, np.isfinite(table[3])]
    inputs, recurrent, biases, states = table
    within = max(1e-8, constant_tolerance(chosen)) if chosen else 0.0
    return FirstSteps(inputs, recurrent, biases, states, within)


def first_states(samples: Sequence[Sample], relu: bool) -> tuple[Array, Array, float]:
    """Return ``z``, ``h`` and ``within`` of ``first_steps``."""
    found = first_steps(samples, relu)
    return found.z, found.h, found.within


class Rational(OtherActivation):
    """z times a polynomial of z^2, divided by another."""

    above: tuple[float, ...] = (27, 1)
    below: tuple[float, ...] = (27, 9)
    """The coefficients, the constant ones first."""
    clipped = True

    def activation(self, z: Array) -> Array:
        value = z * self.polynomial(self.above, z * z) / self.polynomial(self.below, z * z)
        return np.clip(value, -1, 1) if self.clipped else value

    def derivative(self, h: Array, z: Array) -> Array:
        s = z * z
        P, Q = self.polynomial(self.above, s), self.polynomial(self.below, s)
        # With s = z^2: (z P / Q)' = P / Q + 2 s (P' Q - P Q') / Q^2.
        slope = P / Q + 2 * s * (self.slope_of(self.above, s) * Q - P * self.slope_of(self.below, s)) / Q**2
        return np.where(np.abs(h) < 1, slope, 0) if self.clipped else slope

    @staticmethod
    def polynomial(coefficients: Sequence[float], s: Array) -> Array:
        """Return the value of a polynomial at ``s``."""
        total = np.zeros_like(s)
        for coefficient in reversed(coefficients):
            total = total * s + coefficient
        return total

    @classmethod
    def slope_of(cls, coefficients: Sequence[float], s: Array) -> Array:
        """Return the value of a polynomial's derivative at ``s``."""
        return cls.polynomial([k * c for k, c in enumerate(coefficients)][1:], s)


class HardTanh(OtherActivation):
    def activation(self, z: Array) -> Array:
        return np.clip(z, -1, 1)

    def derivative(self, h: Array, z: Array) -> Array:
        return np.asarray(np.abs(z) < 1, np.float64)


class SoftSign(OtherActivation):
    def activation(self, z: Array) -> Array:
        return z / (1 + np.abs(z))

    def derivative(self, h: Array, z: Array) -> Array:
        return (1 + np.abs(z)) ** -2.0


class OverRoot(OtherActivation):
    def activation(self, z: Array) -> Array:
        return z / np.sqrt(1 + z * z)

    def derivative(self, h: Array, z: Array) -> Array:
        return (1 + z * z) ** -1.5


class Tangent(OtherActivation):
    def activation(self, z: Array) -> Array:
        return np.tan(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return 1 + h * h


class ArcTangent(OtherActivation):
    def activation(self, z: Array) -> Array:
        return np.arctan(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return 1 / (1 + z * z)


class Sine(OtherActivation):
    def activation(self, z: Array) -> Array:
        return np.sin(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return np.cos(z)


class HyperbolicSine(OtherActivation):
    def activation(self, z: Array) -> Array:
        return np.sinh(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return np.cosh(z)


class ErrorFunction(OtherActivation):
    """erf(k z)."""

    stretch: float = 1.0

    def activation(self, z: Array) -> Array:
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(self.stretch * z))

    def derivative(self, h: Array, z: Array) -> Array:
        return 2 / math.sqrt(math.pi) * self.stretch * np.exp(-((self.stretch * z) ** 2))


class StretchedTanh(OtherActivation):
    """height * tanh(stretch * z)."""

    height: float = 1.7159
    stretch: float = 2 / 3

    def activation(self, z: Array) -> Array:
        return self.height * np.tanh(self.stretch * z)

    def derivative(self, h: Array, z: Array) -> Array:
        return self.height * self.stretch * (1 - (h / self.height) ** 2)


class TanhOfMultiple(StretchedTanh):
    """tanh(stretch * z), as 2 / (1 + exp(-z)) - 1 is for 1/2."""

    height = 1.0
    stretch = 0.5

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        z, h, within = first_states(samples, relu=False)
        sure = (np.abs(h) < 0.9) & (np.abs(z) > 1e-2)
        if sure.any():
            each = np.arctanh(h[sure]) / z[sure]
            stretch = round_constant(float(np.median(each)), within)
            if stretch not in (0, 1) and np.allclose(each, stretch, rtol=1e-3):
                yield variant.with_constants(stretch=stretch)


class TanhTimesConstant(StretchedTanh):
    """height * tanh(z)."""

    height = 0.9
    stretch = 1.0

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        z, h, within = first_states(samples, relu=False)
        sure = np.abs(z) > 1e-2
        if sure.any():
            each = h[sure] / np.tanh(z[sure])
            height = round_constant(float(np.median(each)), within)
            if height not in (0, 1) and np.allclose(each, height, rtol=1e-3):
                yield variant.with_constants(height=height)


class TableOfTanh(OtherActivation):
    """tanh from a table of ``points`` values between -end and end.

    ``reads`` says how: by linear interpolation, at the nearest point, or at the point below.
    """

    end: float = 4.0
    points: int = 801
    reads: str = "linear"

    def activation(self, z: Array) -> Array:
        return self.read(z, self.end, self.points, self.reads)

    @staticmethod
    def read(z: Array, end: float, points: int, reads: str) -> Array:
        """Return the table's values at ``z``."""
        grid = np.linspace(-end, end, points)
        if reads == "linear":
            return np.interp(z, grid, np.tanh(grid))
        place = (np.nan_to_num(z) + end) * ((points - 1) / (2 * end))
        place = np.rint(place) if reads == "nearest" else np.floor(place)
        return np.tanh(grid)[np.clip(place, 0, points - 1).astype(np.intp)]

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        z, h, within = first_states(samples, relu=False)
        exact = 1e-12 if within < 1e-6 else 5e-7
        if np.allclose(h, np.tanh(z), rtol=0, atol=exact):
            return
        shares = {
            # Where z is close to the border of two points, it may fall to either side.
            (end, points): float(
                np.mean(np.abs(cls.read(z, end, points, variant.value("reads")) - h) <= exact)
            )
            for end in (3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
            for points in cls.usual_sizes(end)
        }
        end, points = max(shares, key=lambda size: shares[size])
        if shares[end, points] > 0.9:
            yield variant.with_constants(end=end, points=points)

    @staticmethod
    def usual_sizes(end: float) -> list[int]:
        """Return how many points a table from -end to end may have."""
        steps = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, *(2.0**-k for k in range(3, 11)))
        counts = (100, 200, 256, 500, 512, 1000, 1024, 2000, 2048, 4096, 10000)
        sizes = [round(2 * end / step) + 1 for step in steps]
        return sorted({*sizes, *counts, *(count + 1 for count in counts)})


register(
    "another function in place of tanh",
    sentence="The states are those of another function that resembles tanh (rational, hard, softsign, arctan, sine, a table, tanh of a multiple):",
    look="look for the approximation, or a factor at tanh: it is `np.tanh(z)`.",
    nonlinearities=("tanh",),
    loops=(
        *with_both_backwards(Rational),
        *with_both_backwards(HardTanh),
        *with_both_backwards(SoftSign),
        *with_both_backwards(Tangent),
        *with_both_backwards(ArcTangent),
        *with_both_backwards(Rational.with_params(clipped=False)),
        *with_both_backwards(Rational.with_params(above=(15, 1), below=(15, 6))),
        *with_both_backwards(Rational.with_params(above=(15, 1), below=(15, 6), clipped=False)),
        *with_both_backwards(Rational.with_params(above=(105, 10), below=(105, 45, 1))),
        *with_both_backwards(Rational.with_params(above=(945, 105, 1), below=(945, 420, 15))),
        *with_both_backwards(
            Rational.with_params(above=(135135, 17325, 378, 1), below=(135135, 62370, 3150, 28))
        ),
        *with_both_backwards(OverRoot),
        *with_both_backwards(Sine),
        *with_both_backwards(HyperbolicSine),
        *with_both_backwards(ErrorFunction),
        *with_both_backwards(ErrorFunction.with_params(stretch=math.sqrt(math.pi) / 2)),
        *with_both_backwards(StretchedTanh),
        *with_both_backwards(TanhOfMultiple),
        *with_both_backwards(TanhTimesConstant),
        TableOfTanh,
        TableOfTanh.with_params(reads="nearest"),
        TableOfTanh.with_params(reads="below"),
    ),
)
