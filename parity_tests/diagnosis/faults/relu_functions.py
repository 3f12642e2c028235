"""Faults of the nonlinearity: another function in place of relu."""

import math
from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.activation import OtherActivation
from parity_tests.diagnosis.faults.faulty_loop import Variant, register, with_both_backwards
from parity_tests.diagnosis.faults.functions import first_states
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.samples import Sample, prefer_float64


class InPlaceOfRelu(OtherActivation):
    """Another function in place of relu."""

    replaces_relu = True


class CappedRelu(InPlaceOfRelu):
    """min(relu(z), limit), as relu6."""

    limit: float = 6.0

    def activation(self, z: Array) -> Array:
        return np.clip(z, 0, self.limit)

    def derivative(self, h: Array, z: Array) -> Array:
        return np.asarray((z > 0) & (z < self.limit), np.float64)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64([sample for sample in samples if sample.case.relu])
        most = max((cls.largest(got) for sample in chosen for got in sample.got), default=0.0)
        right = max((cls.largest(truth) for sample in chosen for truth in sample.truths), default=0.0)
        if 0 < most < right:
            yield variant.with_constants(limit=round_constant(most, constant_tolerance(chosen)))

    @staticmethod
    def largest(answer: Answer) -> float:
        """Return the largest state in an answer."""
        return max((float(answer[name].max()) for name in ("hs", "h_n") if name in answer), default=0.0)


class LeakyRelu(InPlaceOfRelu):
    below_zero: float = 0.01

    def activation(self, z: Array) -> Array:
        return np.where(z > 0, z, self.below_zero * z)

    def derivative(self, h: Array, z: Array) -> Array:
        return np.where(z > 0, 1, self.below_zero)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        z, h, within = first_states(samples, relu=True)
        off = z < -1e-3
        if off.any():
            each = h[off] / z[off]
            value = round_constant(float(np.median(each)), within)
            if value not in (0, 1) and np.allclose(each, value, rtol=1e-3):
                yield variant.with_constants(below_zero=value)


class SoftPlus(InPlaceOfRelu):
    def activation(self, z: Array) -> Array:
        return np.logaddexp(0, z)

    def derivative(self, h: Array, z: Array) -> Array:
        return 1 / (1 + np.exp(-z))


class ExponentialUnit(InPlaceOfRelu):
    def activation(self, z: Array) -> Array:
        return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))

    def derivative(self, h: Array, z: Array) -> Array:
        return np.where(z > 0, 1, np.exp(np.minimum(z, 0)))


class GaussianUnit(InPlaceOfRelu):
    def activation(self, z: Array) -> Array:
        return z * self.share(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return self.share(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    @staticmethod
    def share(z: Array) -> Array:
        """Return the normal distribution function."""
        return (1 + np.asarray(np.vectorize(math.erf, otypes=[np.float64])(z / math.sqrt(2)))) / 2


class AbsoluteValue(InPlaceOfRelu):
    def activation(self, z: Array) -> Array:
        return np.abs(z)

    def derivative(self, h: Array, z: Array) -> Array:
        return np.sign(z)


register(
    "another function in place of relu",
    sentence="With nonlinearity='relu' the states are those of another function (relu6, leaky relu, softplus, elu, gelu or the absolute value):",
    look="look for the function that is called: it is `np.maximum(z, 0)`.",
    nonlinearities=("relu",),
    loops=tuple(
        loop
        for cls in (LeakyRelu, CappedRelu, SoftPlus, ExponentialUnit, GaussianUnit, AbsoluteValue)
        for loop in with_both_backwards(cls)
    ),
)
