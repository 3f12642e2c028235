"""Faults of how a loss is summed up, and factors of it."""

import math
from collections.abc import Iterator, Sequence

from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import ENTROPY, LOSSES, SQUARES, FaultyLoop, Variant, fault
from parity_tests.diagnosis.faults.head.factors import (
    SizeFactor,
    constant_factor,
    declared_powers,
    divisor_words,
    size_factor,
)
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_head import HeadTrace

OF_GRADIENT = ("dby", "dWy", "db", "dWx", "dWh", "dx")
"""The gradients that tell by what the gradient of a loss is off, the nearest to it first."""


class ScaledLoss(FaultyLoop):
    """The loss, its gradient, or both are multiplied by a factor of sizes."""

    factor = SizeFactor(1.0, (0, 1, 0))
    of_loss = True
    of_gradient = True

    def reduced(self, trace: HeadTrace, losses: Array) -> Array:
        loss = super().reduced(trace, losses)
        return loss * self.factor.of(self.case) if self.of_loss else loss

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        return gradient * self.factor.of(self.case) if self.of_gradient else gradient

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        names = ("loss",) if variant.value("of_loss") else OF_GRADIENT
        found = size_factor(samples, names)
        if found is None:
            return
        case = samples[0].case
        due = declared_powers(case)
        powers = tuple(a + b for a, b in zip(due, found.powers, strict=True))
        yield variant.with_constants(
            factor=found,
            what=divisor_words(powers, found.constant),
            due=divisor_words(due),
            declared=case.reduction,
        )

    what = "not divided"
    due = "divided by B * T"
    declared = "mean"


@fault(
    "another reduction",
    sentence="Loss and gradients are those of the sum of the losses, {what}; with `reduction={declared!r}` it is {due}:",
    look="look for `/ B`, `/ T` or `.mean()` in the loss; if yours is meant, declare it with `reduction`.",
    losses=LOSSES,
)
class AnotherReduction(ScaledLoss):
    stage = Stage.LOSS


@fault(
    "another reduction of the loss alone",
    sentence="The loss is the sum of the losses, {what}; with `reduction={declared!r}` it is {due}, and the gradients are:",
    look="look for `/ B`, `/ T` or `.mean()` in the loss that its gradient does not have, or the reverse.",
    losses=LOSSES,
)
class ReductionOfLoss(ScaledLoss):
    stage = Stage.LOSS
    of_gradient = False


@fault(
    "another reduction of the gradient alone",
    sentence="The gradients are those of the sum of the losses, {what}; with `reduction={declared!r}` it is {due}, and the loss is:",
    look="look for the `/ B` or `/ T` of the loss in `dlogits`, the gradient of the logits: all gradients are off by it.",
    losses=LOSSES,
)
class ReductionOfGradient(ScaledLoss):
    stage = Stage.LOGITS_GRADIENT
    of_loss = False


class TimesConstant(FaultyLoop):
    """The loss, its gradient, or both are multiplied by a constant."""

    factor: float = 2.0
    of_loss = True
    of_gradient = True

    def reduced(self, trace: HeadTrace, losses: Array) -> Array:
        loss = super().reduced(trace, losses)
        return loss * self.factor if self.of_loss else loss

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient = super().logits_gradient(trace)
        return gradient * self.factor if self.of_gradient else gradient

    @classmethod
    def fits(cls, factor: float) -> bool:
        """Return whether a factor belongs to this fault and not to a more special one."""
        return factor not in (-1.0, 0.0) and not any(math.isclose(factor, 1 / base) for base in BASES)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        names = ("loss",) if variant.value("of_loss") else OF_GRADIENT
        factor = constant_factor(samples, names)
        if factor is not None and cls.fits(factor):
            yield variant.with_constants(factor=factor)


BASES = (math.log(2), math.log(10))
"""Natural logarithms of the usual bases."""
ONE_OF_THEM: tuple[dict[str, bool], ...] = ({}, {"of_gradient": False}, {"of_loss": False})
"""Loss and gradient, the loss alone, and the gradient alone."""


@fault(
    "squared error with another factor",
    sentence="The squared errors, their gradient, or both are {factor:g} times what is declared:",
    look="look for the 2 of the derivative of a square, or for `0.5 *`: `loss='half_mse'` declares half of the squares.",
    losses=SQUARES,
    variants=ONE_OF_THEM,
)
class SquaresTimesConstant(TimesConstant):
    stage = Stage.LOSS


@fault(
    "loss times a constant",
    sentence="The loss, its gradient, or both are {factor:g} times what is declared:",
    look="look for a weight of the loss, or a learning rate in its gradient.",
    losses=ENTROPY,
    variants=ONE_OF_THEM,
)
class EntropyTimesConstant(TimesConstant):
    stage = Stage.LOSS


@fault(
    "logarithm of another base",
    sentence="The loss is {factor:g} times what it should be, as with a logarithm of base 2 or 10:",
    look="look for `np.log2` or `np.log10`, and for a division by `np.log(2)`: torch takes the natural logarithm.",
    losses=ENTROPY,
    variants=({"of_gradient": False}, {}),
)
class AnotherBase(TimesConstant):
    stage = Stage.LOSS
    factor = 1 / BASES[0]

    @classmethod
    def fits(cls, factor: float) -> bool:
        return any(math.isclose(factor, 1 / base, rel_tol=1e-6) for base in BASES)


@fault(
    "loss with the wrong sign",
    sentence="The loss has the wrong sign:",
    look="look for the minus in `-np.log(p)`.",
    losses=LOSSES,
    variants=({"of_gradient": False}, {}),
)
class LossNegated(TimesConstant):
    stage = Stage.LOSS
    factor = -1.0

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == -1


@fault(
    "loss gradient with the wrong sign",
    sentence="The gradient of the loss has the wrong sign, and all gradients with it:",
    look="look for `y - p` (or `target - output`) where `p - y` is due.",
    losses=LOSSES,
)
class GradientNegated(TimesConstant):
    stage = Stage.LOGITS_GRADIENT
    factor = -1.0
    of_loss = False

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == -1
