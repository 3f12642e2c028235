"""Faults of the gradient that goes back from step to step."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, FaultyLoop, Variant, fault, register
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace, Gradients


@fault(
    "carry dropped",
    sentence="No gradient goes from a step to the step before it:",
    look="look for `dh_prev` of a step that is not added to `dhs[:, t]` of the earlier one.",
    layers=SEQUENCES,
    variants=(
        {},
        {"for_start": False},
    ),
)
class CarryDropped(FaultyLoop):
    """Each step uses only the gradient of its own output. dh_0 is right, or zero too."""

    for_start = True

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super().carry(trace, t, dz) if t == 0 and self.for_start else np.zeros_like(dz)


@fault(
    "carry through Wh not transposed",
    sentence="The gradient goes back through Wh instead of its transpose:",
    look="look for `dz @ Wh` where `dz @ Wh.T` is due (`Whh @ dz`, with column vectors, for `Whh.T @ dz`).",
)
class CarryNotTransposed(FaultyLoop):
    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        Wh = np.asarray(trace.weights.Wh, np.float64)
        carry = dz @ Wh
        self.noise.product(carry[1:], dz[0], Wh)
        return carry


@fault(
    "steps taken back in forward order",
    sentence="The backward goes through the steps from the first to the last:",
    look="look for `range(T)` in the backward: it is `reversed(range(T))`.",
    layers=SEQUENCES,
)
class ForwardOrder(FaultyLoop):
    def order(self, T: int) -> Sequence[int]:
        return range(T)


@fault(
    "carry left over from the last backward",
    sentence="A backward starts from the carry that the backward before it left:",
    look="look for a carry kept in the object, which a backward does not set to zero.",
    layers=("TimeRNN",),
)
class CarryLeftOver(FaultyLoop):
    """The carry starts from dh_0 of the backward before."""

    left_carry: Array | None = None

    def first_carry(self, trace: CellTrace, dh_n: Array | None) -> Array:
        carry = super().first_carry(trace, dh_n)
        if self.left_carry is not None and self.left_carry.shape == carry.shape:
            carry += self.left_carry
        return carry

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        found = super().backward(trace, dhs, dh_n)
        if self.case.num_cells == 1:
            self.left_carry = found.dh_0
        return found


@fault(
    "carry doubled",
    sentence="What goes back from step to step counts twice:",
    look="look for `dh_prev` that is added in two places.",
    layers=SEQUENCES,
    variants=(
        {},
        {"for_start": False},
    ),
)
class ScaledCarry(FaultyLoop):
    factor: float = 2.0
    for_start = True

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        carry = super().carry(trace, t, dz)
        return self.factor * carry if t or self.for_start else carry


@fault(
    "carry with the wrong sign",
    sentence="What goes back from step to step is subtracted:",
    look="look for a minus sign at `dz @ Wh.T`.",
    layers=SEQUENCES,
    variants=(
        {},
        {"for_start": False},
    ),
)
class MinusCarry(ScaledCarry):
    factor = -1.0


@fault(
    "carry times a constant",
    sentence="What goes back from step to step is multiplied by {factor:g}:",
    look="look for a factor at `dz @ Wh.T`.",
    layers=SEQUENCES,
)
class CarryTimesConstant(ScaledCarry):
    """The factor is found from dh_0 of a case with a single step."""

    factor = 0.5

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        for sample in chosen:
            if sample.case.T == 1 and sample.case.num_cells == 1 and sample.got and "dh_0" in sample.got[0]:
                right, got = sample.truths[0]["dh_0"].ravel(), sample.got[0]["dh_0"].ravel()
                factor = round_constant(float(right @ got / (right @ right)), constant_tolerance(chosen))
                if np.allclose(got, factor * right, rtol=1e-4) and factor not in (0, 1, 2, -1):
                    yield variant.with_constants(factor=factor)
                return


@fault(
    "carry through the diagonal of Wh",
    sentence="The gradient goes back through the diagonal of Wh only:",
    look="look for an elementwise product, `dz * np.diag(Wh)`, where `dz @ Wh.T` is due.",
)
class CarryThroughDiagonal(FaultyLoop):
    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return dz * np.diag(trace.weights.Wh)


@fault(
    "carry without the slope",
    sentence="What goes back from step to step is not multiplied by the derivative of the nonlinearity:",
    look="look for `d @ Wh.T` where `dz @ Wh.T` is due.",
)
class CarryWithoutSlope(FaultyLoop):
    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super().carry(trace, t, trace.d[t])


class CarryWithoutWeights(FaultyLoop):
    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return dz


class CarryWithoutSlopeAndWeights(FaultyLoop):
    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return trace.d[t]


register(
    "carry without Wh",
    sentence="What goes back from step to step is not multiplied by the recurrent weights:",
    look="look for `dh_next = dz` where `dz @ Wh.T` is due.",
    loops=(CarryWithoutWeights, CarryWithoutSlopeAndWeights),
)


@fault(
    "carry multiplied by the slope twice",
    sentence="What goes back from step to step is multiplied by the derivative of the nonlinearity twice:",
    look="look for a second `{slope}` at `dz @ Wh.T`.",
)
class CarrySlopedTwice(FaultyLoop):
    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super().carry(trace, t, dz * self.slope_at(trace.h[t + 1]))


@fault(
    "carry summed over the batch",
    sentence="What goes back from step to step is the sum (or mean) over the batch, the same for all rows:",
    look="look for a `dh_prev` without a batch axis, or `.sum(axis=0)` on it.",
    layers=SEQUENCES,
    variants=(
        {},
        {"mean": True},
    ),
)
class CarrySummed(FaultyLoop):
    mean = False

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        carry = super().carry(trace, t, dz)
        one = (np.mean if self.mean else np.sum)(carry, axis=1, keepdims=True)
        return np.broadcast_to(one, carry.shape).copy()


class CarryAddedUp(FaultyLoop):
    """A step's carry is added to the carries of the later steps."""

    carry_total: Array

    def first_carry(self, trace: CellTrace, dh_n: Array | None) -> Array:
        self.carry_total = super().first_carry(trace, dh_n)
        return self.carry_total

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        self.carry_total = self.carry_total + super().carry(trace, t, dz)
        return self.carry_total


class StateGradientAdded(CarryAddedUp):
    """The gradient of the state is added to the carry, as with a residual connection."""

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super(CarryAddedUp, self).carry(trace, t, dz) + trace.d[t]


register(
    "carry added up",
    sentence="The carry of a step is added to the carries of the later steps, instead of replacing them:",
    look="look for `dh += ...` where `dh = ...` is due.",
    layers=SEQUENCES,
    loops=(CarryAddedUp, StateGradientAdded),
)
