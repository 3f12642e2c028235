"""Faults of the gradients of a head's parameters, dWy and dby."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import HEADS, FaultyLoop, Variant, fault, known
from parity_tests.diagnosis.faults.head.factors import SizeFactor, divisor_words, size_factor
from parity_tests.diagnosis.faults.head.logits import KnowsStart
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_head import HeadTrace


class OtherState(KnowsStart):
    """dWy is made of other states than those that the logits are made of."""

    tracks_only = ("starts", "head_states")
    pairs_with = "before"
    all_states: Array | None = None

    def head_states(self, hs: Array) -> Array:
        self.all_states = hs
        return super().head_states(hs)

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        dWy, dby = super().head_gradients(replace(trace, states=self.others(trace.states)))
        return dWy, dby

    def others(self, states: Array) -> Array:
        """Return the states that dWy is made of."""
        hs, T = known(self.all_states), len(states)
        entering = self.entering(hs)
        if self.pairs_with == "before, or zero":
            entering[0] = 0
        if self.pairs_with == "before, or the last":
            entering[0] = hs[-1]
        if self.pairs_with == "last":
            return np.broadcast_to(hs[-1:], states.shape)
        if self.pairs_with == "first":
            return np.broadcast_to(hs[:1], states.shape)
        if self.pairs_with == "next":
            return np.concatenate([hs[1:], hs[-1:]])[-T:]
        if self.pairs_with == "reversed":
            return hs[::-1][-T:]
        return entering[-T:]


fault(
    "dWy with another state",
    sentence="dWy is made of another step's state than the logits are (of the state before, the one after, the first or the last):",
    look="look for `h_prev` or an index off by one, or an `h` left over from the forward loop, in the line of dWy.",
    losses=HEADS,
    variants=tuple(
        {"pairs_with": each}
        for each in ("before", "before, or zero", "before, or the last", "last", "first", "next", "reversed")
    ),
)(OtherState)


@fault(
    "dWy from the mean of the states",
    sentence="dWy is the product of the states and the gradients of the logits, each summed over the steps (or rows) first:",
    look="look for a sum or a mean before the product: it is a sum of products.",
    losses=HEADS,
    variants=tuple({"over": axis, "mean": mean} for axis in (0, 2) for mean in (False, True)),
)
class SummedBeforeProduct(FaultyLoop):
    over = 0
    mean = False

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        _, dby = super().head_gradients(trace)
        axis = self.over
        summed = replace(
            trace,
            states=trace.states.sum(axis=axis, keepdims=True)
            / (trace.states.shape[axis] if self.mean else 1),
            dlogits=trace.dlogits.sum(axis=axis, keepdims=True),
        )
        return super().head_gradients(summed)[0], dby


class OfSomeSteps(FaultyLoop):
    """dWy, dby, or both have the terms of one step (or row) only."""

    of_weights = True
    of_bias = True
    kept = -1
    axis = 0

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        dWy, dby = super().head_gradients(trace)
        number = self.kept % trace.dlogits.shape[self.axis]
        one = slice(number, number + 1)
        at = (one,) if self.axis == 0 else (slice(None), slice(None), one)
        some = replace(trace, states=trace.states[at], dlogits=trace.dlogits[at])
        less = super().head_gradients(some)
        return less[0] if self.of_weights else dWy, less[1] if self.of_bias else dby


ENDS = tuple({"kept": kept, "axis": axis} for axis in (0, 2) for kept in (-1, 0))

fault(
    "dWy and dby of one step only",
    sentence="dWy and dby have the last (or first) step's term alone, or that of one row:",
    look="look for `dWy =` and `dby =` in the loop over the steps where `+=` is due.",
    losses=HEADS,
    variants=ENDS,
)(OfSomeSteps)


@fault(
    "dWy of one step only",
    sentence="dWy has the last (or first) step's term alone, or that of one row:",
    look="look for `dWy =` in the loop over the steps where `dWy +=` is due.",
    losses=HEADS,
    variants=ENDS,
)
class WeightOfSomeSteps(OfSomeSteps):
    of_bias = False


@fault(
    "dby of one step only",
    sentence="dby has the last (or first) step's term alone, or that of one row:",
    look="look for `dby =` in the loop over the steps where `dby +=` is due.",
    losses=HEADS,
    variants=ENDS,
)
class BiasOfSomeSteps(OfSomeSteps):
    of_weights = False


class ScaledBySizes(FaultyLoop):
    """dWy, dby, or both are divided or multiplied by sizes."""

    stage = Stage.FINISHED
    factor = SizeFactor(1.0, (-1, -1, 0))
    what = "divided by B * T"
    scaled: tuple[str, ...] = ("dWy", "dby")

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        dWy, dby = super().head_gradients(trace)
        factor = self.factor.of(self.case)
        return dWy * factor if "dWy" in self.scaled else dWy, dby * factor if "dby" in self.scaled else dby

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        found = size_factor(samples, variant.value("scaled")[:1])
        if found is not None:
            yield variant.with_constants(factor=found, what=divisor_words(found.powers, found.constant))


fault(
    "dWy and dby divided by a size",
    sentence="dWy and dby are {what}:",
    look="look for a mean in the lines of dWy and dby: it belongs to the gradient of the loss, or is there already.",
    losses=HEADS,
)(ScaledBySizes)


@fault(
    "dWy divided by a size",
    sentence="dWy is {what}:",
    look="look for a mean in the line of dWy: it is a sum over steps and rows.",
    losses=HEADS,
)
class WeightScaled(ScaledBySizes):
    scaled = ("dWy",)


@fault(
    "dby divided by a size",
    sentence="dby is {what}:",
    look="look for a mean in the line of dby: it is a sum over steps and rows.",
    losses=HEADS,
)
class BiasScaled(ScaledBySizes):
    scaled = ("dby",)


@fault(
    "dby summed over the wrong axis",
    sentence="dby is one number, the sum over everything, for all classes:",
    look="look for `dy.sum()` without an axis: it is `dy.sum(axis=(0, 1))`.",
    losses=HEADS,
    variants=({}, {"mean": True}),
)
class BiasSummedOverAll(FaultyLoop):
    mean = False

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        dWy, dby = super().head_gradients(trace)
        whole = dby.mean(axis=-1, keepdims=True) if self.mean else dby.sum(axis=-1, keepdims=True)
        return dWy, np.broadcast_to(whole, dby.shape).copy()


@fault(
    "dWy transposed where it is square",
    sentence="dWy is the transpose of the right one where V = H:",
    look="look for the order of the factors in `h.T @ dy`.",
    losses=HEADS,
)
class WeightTransposed(FaultyLoop):
    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        dWy, dby = super().head_gradients(trace)
        return dWy.swapaxes(1, 2) if dWy.shape[1] == dWy.shape[2] else dWy, dby


@fault(
    "dWy from the probabilities",
    sentence="dWy is the product of the states and the outputs, not of the states and the gradient of the logits:",
    look="look for `h.T @ p` where `h.T @ (p - y)` is due.",
    losses=("cross_entropy",),
    variants=({}, {"divided": False}),
)
class WeightFromProbabilities(FaultyLoop):
    divided = True

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        _, dby = super().head_gradients(trace)
        T, _, B, _ = trace.logits.shape
        outputs = trace.probabilities / (self.divisor(B, T) if self.divided else 1)
        return super().head_gradients(replace(trace, dlogits=outputs))[0], dby
