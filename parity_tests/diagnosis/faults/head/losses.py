"""Faults of the loss: of which steps, of which targets, and of its formula."""

from collections.abc import Callable, Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, HeadArrays
from parity_tests.diagnosis.faults.faulty_loop import (
    BOTH_BACKWARDS,
    ENTROPY,
    LOSSES,
    SQUARES,
    FaultyLoop,
    Variant,
    fault,
)
from parity_tests.diagnosis.faults.infer import round_constant
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_head import HeadTrace


@fault(
    "loss of one step only",
    sentence="The loss is that of {which} time step alone:",
    look="look for `loss = ...` in the loop over the steps where `loss += ...` is due, or a `return` inside it.",
    losses=LOSSES,
    variants=tuple(
        {"step_kept": step, "own_mean": mean, "of_gradient": gradient, "which": which}
        for step, which in ((-1, "the last"), (0, "the first"))
        for mean in (False, True)
        for gradient in (False, True)
    ),
)
class LossOfOneStep(FaultyLoop):
    stage = Stage.LOSS
    step_kept = -1
    own_mean = False
    """Whether its mean is taken over this step, not over all."""
    of_gradient = False
    """Whether the gradient is that of this loss."""
    which = "the last"

    def weights(self, T: int) -> Array:
        """Return by what the loss of each step is multiplied, [T, 1, 1]."""
        weights = np.zeros((T, 1, 1))
        weights[self.step_kept] = T if self.own_mean and self.case.reduction == "mean" else 1
        return weights

    def reduced(self, trace: HeadTrace, losses: Array) -> Array:
        return super().reduced(trace, losses * self.weights(len(losses)))

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        return gradient * self.weights(len(gradient))[..., None] if self.of_gradient else gradient

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        yield variant.with_constants(which=variant.value("which"))


@fault(
    "loss of some steps left out",
    sentence="The loss lacks that of {which} time step:",
    look="look for the range of the loop over the steps, or of a slice such as `[:, :-1]` or `[:, 1:]`.",
    losses=LOSSES,
    variants=tuple(
        {"left_out": step, "of_gradient": gradient, "which": which}
        for step, which in ((-1, "the last"), (0, "the first"))
        for gradient in (False, True)
    ),
)
class LossLeftOut(LossOfOneStep):
    left_out = -1

    def weights(self, T: int) -> Array:
        weights = np.ones((T, 1, 1))
        weights[self.left_out] = 0
        return weights


@fault(
    "targets one step off",
    sentence="The loss compares each step with the target of its neighbour:",
    look="look for targets that are shifted once more, as `np.roll(targets, -1)` or `targets[:, t + 1]`.",
    losses=LOSSES,
    variants=tuple({"shift": by, "wraps": wraps} for by in (1, -1) for wraps in (True, False)),
)
class TargetsOneOff(FaultyLoop):
    shift = 1
    wraps = True

    def targets(self, arrays: HeadArrays) -> Array:
        targets = super().targets(arrays)
        steps = np.arange(len(targets)) + self.shift
        return targets[steps % len(targets) if self.wraps else np.clip(steps, 0, len(targets) - 1)]


@fault(
    "targets in another order",
    sentence="The loss compares logits with targets of other steps and rows:",
    look="look for targets [B, T] that are flattened where the logits are [T, B], or reversed in time.",
    losses=LOSSES,
    variants=({}, {"reversed_in_time": True}),
)
class TargetsReshaped(FaultyLoop):
    reversed_in_time = False

    def targets(self, arrays: HeadArrays) -> Array:
        targets = super().targets(arrays)
        if self.reversed_in_time:
            return targets[::-1]
        T, _, B, V = targets.shape
        return targets[:, 0].swapaxes(0, 1).reshape(T, 1, B, V)


class LossOnly(FaultyLoop):
    """Another formula of the loss; its gradient is right."""

    def formula(self, trace: HeadTrace) -> Array:
        """Return the losses [T, runs, B]."""
        raise NotImplementedError

    def losses(self, trace: HeadTrace) -> Array:
        losses = np.array(self.formula(trace))
        self.noise.absolute(losses[:, 1:])
        return losses


def at_target(values: Array, trace: HeadTrace) -> Array:
    """Return the values [T, runs, B, V] at the targets, [T, runs, B]."""
    return np.asarray(np.where(trace.targets > 0, values, 0.0).sum(axis=-1))


@fault(
    "logarithm of an unnormalised value",
    sentence="The loss is the logarithm of an exponential that is not divided by their sum, that is, a logit:",
    look="look for the softmax whose result the loss does not use, as in `-np.log(np.exp(logits))`.",
    losses=ENTROPY,
    variants=({}, {"shifted": False}),
)
class LogOfUnnormalised(LossOnly):
    shifted = True

    def formula(self, trace: HeadTrace) -> Array:
        most = trace.logits.max(axis=-1, keepdims=True)
        return -at_target(trace.logits - most * self.shifted, trace)


@fault(
    "logarithm missing in the loss",
    sentence="The loss is made of the probabilities themselves, not of their logarithms:",
    look="look for `np.log` that is missing: the loss is `-np.log(p[target])`.",
    losses=ENTROPY,
    variants=({}, {"base": 1.0}),
)
class LogMissing(LossOnly):
    base = 0.0

    def formula(self, trace: HeadTrace) -> Array:
        return self.base - at_target(trace.probabilities, trace)


@fault(
    "loss of all classes",
    sentence="The loss also has the terms of the classes that are not the target, `-log(1 - p)`:",
    look="look for binary cross entropy, `-(y * log(p) + (1 - y) * log(1 - p))`: with a softmax the first term is all.",
    losses=ENTROPY,
)
class BinaryEntropy(LossOnly):
    def formula(self, trace: HeadTrace) -> Array:
        p = trace.probabilities
        return -np.where(trace.targets > 0, np.log(p), np.log1p(-p)).sum(axis=-1)


@fault(
    "squared error of probabilities",
    sentence="The loss is the squared error of the probabilities where cross entropy is declared:",
    look="look for `(p - y) ** 2`; `loss='mse'` declares squared errors, of the logits.",
    losses=ENTROPY,
    variants=tuple({"factor": factor} for factor in (1.0, 0.5)),
)
class SquaresOfProbabilities(LossOnly):
    factor = 1.0

    def formula(self, trace: HeadTrace) -> Array:
        return self.factor * ((trace.probabilities - trace.targets) ** 2).sum(axis=-1)


@fault(
    "absolute errors in place of squares",
    sentence="The loss is made of absolute errors where squared ones are declared:",
    look="look for `np.abs(y - target)`, or a square that is missing.",
    losses=SQUARES,
    variants=({}, {"signed": True}),
)
class AbsoluteErrors(LossOnly):
    signed = False

    def formula(self, trace: HeadTrace) -> Array:
        errors = trace.logits - trace.targets
        return np.asarray((errors if self.signed else np.abs(errors)).sum(axis=-1))


@fault(
    "root of the squared errors",
    sentence="The loss is the square root of the one that is declared:",
    look="look for `np.sqrt` or `np.linalg.norm`.",
    losses=SQUARES,
    variants=BOTH_BACKWARDS,
)
class RootOfLoss(FaultyLoop):
    stage = Stage.LOSS
    own_backward = False

    def reduced(self, trace: HeadTrace, losses: Array) -> Array:
        return np.sqrt(super().reduced(trace, losses))

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        return gradient / (2 * trace.loss[:, None, None]) if self.own_backward else gradient


@fault(
    "epsilon inside the logarithm",
    sentence="The loss is -log(p + {epsilon:g}):",
    look="look for a constant inside `np.log`: a softmax of shifted logits needs none, `logsumexp` even less.",
    losses=ENTROPY,
)
class EpsilonInLog(LossOnly):
    epsilon: float = 1e-7

    def formula(self, trace: HeadTrace) -> Array:
        return -np.log(at_target(trace.probabilities, trace) + self.epsilon)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        epsilon = epsilon_of(samples, cls.losses_with)
        if epsilon is not None:
            yield variant.with_constants(epsilon=epsilon)

    @staticmethod
    def losses_with(logits: Array, right: Array, epsilon: float) -> Array:
        """Return the losses of logits [..., V] whose targets are ``right``, one-hot."""
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return -np.log((powers * right).sum(axis=-1) / powers.sum(axis=-1) + epsilon)


LEAST_EPSILON = 1e-15


def epsilon_of(
    samples: Sequence[Sample], losses_with: Callable[[Array, Array, float], Array]
) -> float | None:
    """Return the constant with which some formula has the subject's loss; None if no small one has it."""
    found = []
    for sample in prefer_float64(samples):
        case, right = sample.case, sample.truths[0]
        if (
            "loss" not in sample.got[0]
            or not np.isfinite(sample.got[0]["loss"]).all()
            or case.shift != "none"
        ):
            continue
        head = sample.calls[0].head
        assert head is not None  # there is a loss
        assert head.targets is not None
        onehot = np.eye(case.V)[head.targets]
        excess = float(sample.got[0]["loss"][0] - right["loss"][0])
        times = float(right["loss"][0]) / float(losses_with(right["logits"], onehot, 0.0).sum())

        def error(
            epsilon: float,
            logits: Array = right["logits"],
            onehot: Array = onehot,
            times: float = times,
            excess: float = excess,
        ) -> float:
            change = losses_with(logits, onehot, epsilon) - losses_with(logits, onehot, 0.0)
            return times * float(change.sum()) - excess

        epsilon = _root(error)
        if epsilon is not None:
            # The excess has the roundoff of the loss.
            sensitivity = abs(error(2 * epsilon) - error(epsilon)) / abs(float(right["loss"][0]))
            found.append((sensitivity, epsilon))
    if not found:
        return None
    sensitivity, epsilon = max(found)
    return round_constant(epsilon, min(0.2, 1e-14 / sensitivity + 1e-9)) if sensitivity > 1e-13 else None


def _root(error: Callable[[float], float]) -> float | None:
    """Return where a monotonous error changes its sign, between the least epsilon and 0.1."""
    low, high = LEAST_EPSILON, 0.1
    if error(low) * error(high) >= 0:
        return None
    for _ in range(100):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if error(low) * error(middle) > 0 else (low, middle)
    return low
