"""Faults of the probabilities."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import ENTROPY, FaultyLoop, Variant, fault, known, register
from parity_tests.diagnosis.faults.head.losses import epsilon_of
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_head import HeadTrace

WITH_SOFTMAX = ("cross_entropy", "logits")


@fault(
    "softmax over the wrong axis",
    sentence="The probabilities do not add up to 1 over the classes, but over {over}:",
    look="look for the axis in `e.sum(axis=..., keepdims=True)`: it is that of the classes, the last one.",
    losses=WITH_SOFTMAX,
    variants=tuple(
        {"axes": axes, "over": over}
        for axes, over in (
            ((0,), "the time steps"),
            ((2,), "the batch"),
            ((0, 2), "time steps and batch"),
            ((0, 3), "classes and time steps"),
            ((2, 3), "classes and batch"),
            ((0, 2, 3), "everything"),
        )
    ),
)
class SoftmaxOverWrongAxis(FaultyLoop):
    axes: tuple[int, ...] = (0,)
    over = "the time steps"

    def softmax(self, logits: Array) -> Array:
        powers = np.exp(logits - logits.max(axis=self.axes, keepdims=True))
        probabilities: Array = powers / powers.sum(axis=self.axes, keepdims=True)
        self.noise.relative(probabilities[:, 1:])
        return probabilities

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        yield variant.with_constants(over=variant.value("over"))


@fault(
    "logistic function in place of softmax",
    sentence="The probabilities are the logistic function of each logit by itself:",
    look="look for `1 / (1 + np.exp(-logits))`: cross entropy of several classes takes the softmax of all of them.",
    losses=WITH_SOFTMAX,
    variants=({}, {"binary": True}),
)
class LogisticForSoftmax(FaultyLoop):
    binary = False
    """Whether the loss is the binary cross entropy of every class."""

    def softmax(self, logits: Array) -> Array:
        return 1 / (1 + np.exp(-logits))

    def losses(self, trace: HeadTrace) -> Array:
        if not self.binary:
            return super().losses(trace)
        p = trace.probabilities
        return np.asarray(-np.where(trace.targets > 0, np.log(p), np.log1p(-p)).sum(axis=-1))


@fault(
    "softmax applied twice",
    sentence="The loss is that of the softmax of the probabilities:",
    look="look for a softmax in front of a loss that takes it itself, as torch's `cross_entropy` does.",
    losses=ENTROPY,
    variants=({}, {"own_backward": True}),
)
class SoftmaxTwice(FaultyLoop):
    own_backward = False
    """Whether the gradient goes back through both."""
    first: Array | None = None

    def softmax(self, logits: Array) -> Array:
        first = super().softmax(logits)
        self.first = first
        return super().softmax(first)

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        if not self.own_backward:
            return gradient
        first = known(self.first)
        return first * (gradient - (first * gradient).sum(axis=-1, keepdims=True))


@fault(
    "exponentials not normalised",
    sentence="The probabilities are exponentials that are not divided by their sum:",
    look="look for `/ e.sum(...)` that is missing in the softmax.",
    losses=WITH_SOFTMAX,
    variants=({}, {"shifted": False}),
)
class NotNormalised(FaultyLoop):
    shifted = True

    def softmax(self, logits: Array) -> Array:
        return np.exp(logits - logits.max(axis=-1, keepdims=True) * self.shifted)


@fault(
    "constant in the denominator of softmax",
    sentence="The sum that the exponentials are divided by has a constant of {epsilon:g} added to it:",
    look="look for `+ 1e-8` in the softmax.",
    losses=ENTROPY,
)
class SoftmaxPlusEpsilon(FaultyLoop):
    epsilon: float = 1e-6

    def softmax(self, logits: Array) -> Array:
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / (powers.sum(axis=-1, keepdims=True) + self.epsilon))

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        epsilon = epsilon_of(samples, cls.losses_with)
        if epsilon is not None:
            yield variant.with_constants(epsilon=epsilon)

    @staticmethod
    def losses_with(logits: Array, right: Array, epsilon: float) -> Array:
        """Return the losses of logits [..., V] whose targets are ``right``, one-hot."""
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return -np.log((powers * right).sum(axis=-1) / (powers.sum(axis=-1) + epsilon))


class Overflows(FaultyLoop):
    """Exponentials of the logits themselves: their sum is infinite where these are high, and 0 where low."""

    def powers(self, logits: Array) -> Array:
        """Return the exponentials in the working precision of the case."""
        powers = np.exp(logits)
        if self.case.dtype == "f32":
            powers = np.where(logits > 88.72, np.inf, np.where(logits < -103.97, 0.0, powers))
        return powers


class SoftmaxOverflows(Overflows):
    def softmax(self, logits: Array) -> Array:
        powers = self.powers(logits)
        whole = powers.sum(axis=-1, keepdims=True)
        bad = ~np.isfinite(whole) | (whole == 0)
        return np.where(bad, powers / whole, super().softmax(logits))


class LogOfSumOverflows(Overflows):
    """log p = z - log(sum(exp(z))), and p = exp(log p)."""

    def softmax(self, logits: Array) -> Array:
        whole = self.powers(logits).sum(axis=-1, keepdims=True)
        bad = ~np.isfinite(whole) | (whole == 0)
        return np.where(bad, np.exp(logits - np.log(whole)), super().softmax(logits))


class LossAloneOverflows(Overflows):
    """The loss is log(sum(exp(z))) - z_y; the gradient is right."""

    def losses(self, trace: HeadTrace) -> Array:
        whole = self.powers(trace.logits).sum(axis=-1)
        bad = ~np.isfinite(whole) | (whole == 0)
        return np.where(bad, np.log(whole), super().losses(trace))


register(
    "softmax overflows",
    sentence="Loss and gradients are NaN, infinite or wrong where the logits are large, or far below zero:",
    look="look for `np.exp(logits)`: it is `np.exp(logits - logits.max(axis=-1, keepdims=True))`.",
    loops=(SoftmaxOverflows, LogOfSumOverflows, LossAloneOverflows),
    losses=WITH_SOFTMAX,
)
