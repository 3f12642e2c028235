"""Faults of the gradient that the states get from a head."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import HEADS, FaultyLoop, Variant, fault, register
from parity_tests.diagnosis.faults.head.factors import SizeFactor, divisor_words, size_factor
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_head import HeadTrace


class OtherPath(FaultyLoop):
    """The gradient of the logits goes to the states in another way where V = H."""

    def through(self, gradient: Array, Wy: Array) -> Array:
        """Return the gradient of the states from that of the logits."""
        raise NotImplementedError

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        Wy = np.asarray(trace.arrays.Wy, np.float64)
        right = super().states_gradient(trace, steps)
        if Wy.shape[0] == Wy.shape[1]:
            right[len(right) - len(trace.dlogits) :] = self.through(trace.dlogits, Wy)
        return right


@fault(
    "gradient through Wy not transposed",
    sentence="The gradient of the logits goes to the states through Wy instead of its transpose where V = H:",
    look="look for `dy @ Wy` where `dy @ Wy.T` is due.",
    losses=HEADS,
)
class WyNotTransposed(OtherPath):
    def through(self, gradient: Array, Wy: Array) -> Array:
        return gradient @ Wy


@fault(
    "gradient through Wy missing",
    sentence="The gradient of the logits is taken for that of the states where V = H:",
    look="look for `@ Wy.T` that is missing.",
    losses=HEADS,
)
class WyMissing(OtherPath):
    def through(self, gradient: Array, Wy: Array) -> Array:
        return gradient


@fault(
    "head gradient one step off",
    sentence="Each state is given the gradient of its neighbour's logits:",
    look="look for `dy[t - 1]` or `dy[t + 1]` where `dy[t]` is due.",
    losses=HEADS,
    variants=tuple({"shift": by, "wraps": wraps} for by in (1, -1) for wraps in (False, True)),
)
class HeadGradientOneOff(FaultyLoop):
    """State t gets the gradient of the logits of step t + shift."""

    shift = 1
    wraps = False

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        if self.case.many_to_one:
            return gradient
        moved = np.roll(gradient, -self.shift, axis=0)
        if not self.wraps:
            moved[-1 if self.shift > 0 else 0] = 0
        return moved


@fault(
    "head gradient of one step only",
    sentence="Of the gradients that come from the logits, only the last (or first) step's reaches the states:",
    look="look for where `dy @ Wy.T` is added: in the loop, at every step, to what comes from the step after.",
    losses=HEADS,
    variants=({}, {"step_kept": 0}),
)
class HeadGradientOfOneStep(FaultyLoop):
    step_kept = -1

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        kept = np.zeros_like(gradient)
        kept[self.step_kept] = gradient[self.step_kept]
        return gradient if self.case.many_to_one else kept


class LastHeadGradientLost(FaultyLoop):
    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        gradient[-1] = 0
        return gradient


class HeadGradientDropped(FaultyLoop):
    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        return np.zeros_like(super().states_gradient(trace, steps))


register(
    "head gradient not used",
    sentence="The gradient that comes from the logits does not reach the states (or not the last one):",
    look="look for `dy @ Wy.T` that nobody adds to `dh`.",
    loops=(HeadGradientDropped, LastHeadGradientLost),
    losses=HEADS,
)


@fault(
    "head gradient cumulated over the steps",
    sentence="The gradient that a state gets from its logits is added to those of the steps before (or after) it:",
    look="look for `dhs +=` (or a `dh` that is never set back) in the loop over the steps.",
    losses=HEADS,
    variants=({}, {"backwards": True}),
)
class HeadGradientCumulated(FaultyLoop):
    backwards = False

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        if self.case.many_to_one:
            return gradient
        if self.backwards:
            return np.cumsum(gradient[::-1], axis=0)[::-1]
        return np.cumsum(gradient, axis=0)


@fault(
    "head gradient reversed in time",
    sentence="The gradients that come from the logits reach the states in the reverse order of the steps:",
    look="look for a list of gradients that is built from the last step on and not turned round.",
    losses=HEADS,
)
class HeadGradientReversed(FaultyLoop):
    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        return gradient if self.case.many_to_one else gradient[::-1]


@fault(
    "last state's gradient at every step",
    sentence="The gradient that the last state gets from the head is given to every state:",
    look="look for where `dh` starts: at the last step alone, before the loop; the earlier steps get what comes back.",
    losses=HEADS,
)
class LastGradientEverywhere(FaultyLoop):
    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        return np.broadcast_to(gradient[-1:], gradient.shape).copy()


@fault(
    "last state's gradient at another step",
    sentence="The gradient that the last state gets from the head is given to another state (the first, or the last but one):",
    look="look for `dhs[:, 0]`, or a list of gradients that is not turned round.",
    losses=HEADS,
    many_to_one=True,
    variants=({}, {"step_given": -2}),
)
class LastGradientElsewhere(FaultyLoop):
    step_given = 0

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        if steps < -self.step_given:
            return gradient
        moved = np.zeros_like(gradient)
        moved[self.step_given] = gradient[-1]
        return moved


@fault(
    "head gradient through the slope twice",
    sentence="The gradient that comes from the logits is multiplied by the derivative of the nonlinearity twice:",
    look="look for `{slope}` at `dy @ Wy.T`, and again in the step.",
    losses=HEADS,
)
class HeadGradientTwiceThroughSlope(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return super().step_gradients(trace, dhs) * self.slope(trace)


@fault(
    "head gradient divided by a size",
    sentence="The gradient that comes from the logits reaches the states {what}:",
    look="look for a mean where `dy @ Wy.T` is computed or added.",
    losses=HEADS,
)
class HeadGradientScaled(FaultyLoop):
    factor = SizeFactor(1.0, (-1, 0, 0))
    what = "divided by B"

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        return super().states_gradient(trace, steps) * self.factor.of(self.case)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        found = size_factor(samples, ("dx", "db", "dWx", "dWh"))
        if found is not None:
            yield variant.with_constants(factor=found, what=divisor_words(found.powers, found.constant))
