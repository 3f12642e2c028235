"""Faults of the gradient of the logits."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import ENTROPY, LOSSES, FaultyLoop, fault, register
from parity_tests.references.float64_head import HeadTrace


class OtherGradient(FaultyLoop):
    """Another formula of the gradient of the logits, before it is divided as the loss is."""

    def formula(self, trace: HeadTrace) -> Array:
        """Return the gradient [T, runs, B, V] of the sum of the losses."""
        raise NotImplementedError

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = np.array(np.broadcast_to(self.formula(trace), trace.logits.shape))
        T, _, B, _ = gradient.shape
        gradient /= self.divisor(B, T)
        self.noise.relative(gradient[:, 1:])
        return gradient


@fault(
    "loss gradient without the target",
    sentence="The gradient of the logits is the probabilities; nothing is taken off at the target:",
    look="look for `dy[target] -= 1` that is missing, or is done to a copy that nobody uses.",
    losses=ENTROPY,
)
class WithoutTarget(OtherGradient):
    def formula(self, trace: HeadTrace) -> Array:
        return trace.probabilities


@fault(
    "loss gradient with another number at the target",
    sentence="The gradient of the logits has something else than p - 1 at the target (p + 1, -1, 1 - p, or p - y once more):",
    look="look for the line `dy[target] -= 1`: it is done once, and `-=` is neither `=` nor `+=`.",
    losses=ENTROPY,
    variants=tuple({"at_target": each} for each in ("p + 1", "-1", "1 - p", "p - 2", "p - V")),
)
class AnotherNumberAtTarget(OtherGradient):
    at_target = "p + 1"

    def formula(self, trace: HeadTrace) -> Array:
        p = trace.probabilities
        V = self.case.V
        there = {"p + 1": p + 1, "-1": -np.ones_like(p), "1 - p": 1 - p, "p - 2": p - 2, "p - V": p - V}
        return np.where(trace.targets > 0, there[self.at_target], p)


@fault(
    "loss gradient without the outputs",
    sentence="The gradient of the logits lacks the outputs; it is made of the targets alone:",
    look="look for `-y` (or `-target`) where `p - y` is due.",
    losses=LOSSES,
)
class WithoutOutputs(OtherGradient):
    def formula(self, trace: HeadTrace) -> Array:
        return -trace.targets * (2 if self.case.loss != "cross_entropy" else 1)


class TimesDerivative(OtherGradient):
    def formula(self, trace: HeadTrace) -> Array:
        p = trace.probabilities
        return (p - trace.targets) * p * (1 - p)


class SquaresThroughDerivative(OtherGradient):
    def formula(self, trace: HeadTrace) -> Array:
        p = trace.probabilities
        return 2 * (p - trace.targets) * p * (1 - p)


register(
    "loss gradient times p (1 - p)",
    sentence="The gradient of the logits is (p - y) times p (1 - p), once more a derivative of the output:",
    look="look for `p * (1 - p)` behind `p - y`: p - y already is the gradient of the logits.",
    loops=(TimesDerivative, SquaresThroughDerivative),
    losses=ENTROPY,
)


@fault(
    "diagonal of the softmax Jacobian",
    sentence="The gradient of the probabilities goes back through p (1 - p) alone, without the terms between classes:",
    look="look for `dp * p * (1 - p)`: it is `p * (dp - (dp * p).sum(axis=-1, keepdims=True))`.",
    losses=ENTROPY,
)
class DiagonalOfJacobian(OtherGradient):
    def formula(self, trace: HeadTrace) -> Array:
        return -trace.targets * (1 - trace.probabilities)


@fault(
    "gradient of the probabilities for that of the logits",
    sentence="The gradient of the logits is that of the probabilities, -y / p; the softmax is left out on the way back:",
    look="look for `-1 / p[target]` (or `-y / p`) that goes to Wy: the gradient of the logits is `p - y`.",
    losses=ENTROPY,
    variants=({}, {"binary": True}),
)
class GradientOfProbabilities(OtherGradient):
    binary = False
    """Whether it is that of the binary cross entropy of each class."""

    def formula(self, trace: HeadTrace) -> Array:
        p, y = trace.probabilities, trace.targets
        return -y / p + (1 - y) / (1 - p) * self.binary


@fault(
    "loss gradient of one step only",
    sentence="The gradient of the logits is that of the last (or first) time step alone; the other steps have none:",
    look="look for the gradient of the logits in a variable that the loop over the steps overwrites.",
    losses=("logits", *LOSSES),
    variants=tuple({"step_kept": step, "everywhere": every} for step in (-1, 0) for every in (False, True)),
)
class GradientOfOneStep(FaultyLoop):
    step_kept = -1
    everywhere = False
    """Whether all steps get the gradient of this one."""

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        kept = np.broadcast_to(gradient[self.step_kept], gradient.shape)
        steps = np.arange(len(gradient)) == self.step_kept % len(gradient)
        return kept.copy() if self.everywhere else kept * steps[:, None, None, None]


@fault(
    "loss gradient cumulated over the steps",
    sentence="The gradient of the logits of a step is the sum of its own and those of the steps before (or after) it:",
    look="look for `dy +=` in the loop over the steps where `dy =` is due.",
    losses=("logits", *LOSSES),
    variants=({}, {"backwards": True}),
)
class GradientCumulated(FaultyLoop):
    backwards = False

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        if self.backwards:
            return np.cumsum(gradient[::-1], axis=0)[::-1]
        return np.cumsum(gradient, axis=0)


@fault(
    "loss gradient times the loss",
    sentence="The gradient of the logits is multiplied by the value of the loss:",
    look="look for `loss` in the backward: it starts from 1, not from the loss.",
    losses=LOSSES,
)
class GradientTimesLoss(FaultyLoop):
    def logits_gradient(self, trace: HeadTrace) -> Array:
        return super().logits_gradient(trace) * trace.loss[:, None, None]
