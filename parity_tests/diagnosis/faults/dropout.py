"""Faults of dropout."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import (
    SEQUENCES,
    STACKS,
    CannotCombine,
    FaultyLoop,
    Variant,
    fault,
    register,
)
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.faults.shared import KnowsItsCell
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace


class DropoutOnOutput(FaultyLoop):
    """Outputs are dropped at random; the subject's zeros show which."""

    rate: float = 0.5
    calls_done = 0

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        runs["hs"] = runs["hs"] * self.output_mask(runs["hs"])
        self.calls_done += 1
        return runs

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        dhs = super().upstream(call, valid, shape)
        return dhs * self.output_mask(dhs.transpose(1, 2, 0, 3)).transpose(2, 0, 1, 3)

    def output_mask(self, hs: Array) -> Array:
        """Return the factor of each output, [1, B, T, H]."""
        if self.calls_done < len(self.subject_answers) and "hs" in self.subject_answers[self.calls_done]:
            mask = np.asarray(self.subject_answers[self.calls_done]["hs"] != 0, np.float64)[None]
        else:
            mask = np.asarray(np.arange(hs[:1].size).reshape(hs[:1].shape) % 3 > 0, np.float64)
        return mask / (1 - self.rate)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        rates = []
        for sample in chosen:
            for got, truth in zip(sample.got, sample.truths, strict=False):
                if "hs" in got and "hs" in truth:
                    kept = (got["hs"] != 0) & (truth["hs"] != 0)
                    if kept.any():
                        with np.errstate(all="ignore"):
                            rates.append(1 - 1 / float(np.median(got["hs"][kept] / truth["hs"][kept])))
        if rates and 1e-3 < np.median(rates) < 1:
            yield variant.with_constants(
                rate=round_constant(float(np.median(rates)), max(1e-9, constant_tolerance(chosen)))
            )


class DropoutAfterLastLayer(DropoutOnOutput):
    """Dropout also after the last layer, in training."""

    def output_mask(self, hs: Array) -> Array:
        if not self.case.masked:
            return np.ones((1, 1, 1, 1))
        return super().output_mask(hs) * (1 - self.rate) / (1 - self.case.dropout)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        wrong = [sample for sample in samples if sample.all_wrong]
        if wrong and all(sample.case.masked for sample in wrong):
            yield variant.with_constants(rate=wrong[0].case.dropout)


register(
    "dropout on the outputs",
    sentence="The outputs of the last layer are dropped at random, with probability {rate:g}:",
    look="look for dropout after every layer instead of between layers, and for its `training` flag.",
    layers=SEQUENCES,
    loops=(DropoutAfterLastLayer, DropoutOnOutput),
)


class NotScaled(FaultyLoop):
    """What dropout keeps has another scale, in both passes or with ``backward_only`` in the backward."""

    backward_only = False

    def scale(self) -> float:
        """Return the factor of what is kept."""
        return 1.0

    def dropped(self, values: Array, mask: Array) -> Array:
        return super().dropped(values, mask) if self.backward_only else self.undropped(values, mask)

    def undropped(self, values: Array, mask: Array) -> Array:
        return np.where(mask.swapaxes(0, 1)[:, None], values * self.scale(), 0.0)


class DividedByP(NotScaled):
    def scale(self) -> float:
        return 1 / self.case.dropout


class TimesOneMinusP(NotScaled):
    def scale(self) -> float:
        return 1 - self.case.dropout


register(
    "dropout scaled wrongly",
    sentence="What dropout keeps is not scaled by 1 / (1 - p):",
    look="look for the factor: none, 1 / p, or 1 - p in its place.",
    layers=STACKS,
    loops=(NotScaled, DividedByP, TimesOneMinusP),
)


class NoMaskInBackward(FaultyLoop):
    scaled = False

    def undropped(self, values: Array, mask: Array) -> Array:
        return values / (1 - self.case.dropout) if self.scaled else values


register(
    "dropout missing in the backward",
    sentence="The backward does not pass through dropout as the forward did, without its mask or its scale:",
    look="look for the mask in the backward, and for `/ (1 - p)`.",
    layers=STACKS,
    loops=(
        NoMaskInBackward,
        NotScaled.with_params(backward_only=True),
        NoMaskInBackward.with_params(scaled=True),
        DividedByP.with_params(backward_only=True),
    ),
)


@fault(
    "dropout never applied",
    sentence="In training the outputs are those without dropout:",
    look="look for `training` and for the masks.",
    layers=STACKS,
)
class NoDropout(FaultyLoop):
    def masks(self, call: Call) -> Sequence[Array]:
        return ()


@fault(
    "dropout mask inverted",
    sentence="What the mask should keep is dropped:",
    look="look for `rng.random(...) < p` where `>= p` is due.",
    layers=STACKS,
)
@fault(
    "one dropout mask for all layers",
    sentence="The first layer's mask is used after every layer:",
    look="look for a mask drawn before the loop over layers.",
    layers=STACKS,
    variants=({"how": "first"},),
)
@fault(
    "one dropout mask for all steps",
    sentence="The first step's mask is used at every step:",
    look="look for the shape of the mask.",
    layers=STACKS,
    variants=({"how": "step"},),
)
class OtherMask(FaultyLoop):
    """The masks are inverted, or that of the first layer or the first step is used everywhere."""

    how: str = "inverted"

    def masks(self, call: Call) -> Sequence[Array]:
        masks = super().masks(call)
        if self.how == "inverted":
            return [~mask for mask in masks]
        if self.how == "first":
            return [*masks[:1]] * len(masks)
        return [np.broadcast_to(mask[:, :1], mask.shape) for mask in masks]


@fault(
    "dropout on the carried state",
    sentence="Dropout falls on the state that goes from step to step instead of the layer's output:",
    look="look for dropout inside the loop over time.",
    layers=STACKS,
)
class CarriedStateDropped(KnowsItsCell):
    """The masks are applied to the carried states instead of the outputs."""

    def masks(self, call: Call) -> Sequence[Array]:
        return ()

    def gate(self, trace: CellTrace, t: int) -> Array | float:
        """Return the factor of the state that enters step t."""
        case, number = self.case, self.number(trace)
        layer, direction = divmod(number, case.directions)
        if layer >= len(self.current_call.masks):
            return 1.0
        mask = self.current_call.masks[layer].swapaxes(0, 1)[:, None]
        if mask.shape[2] != trace.h.shape[2]:
            raise CannotCombine("the masks are of the whole batch, the states of some rows")
        own = mask[..., direction * case.H : (direction + 1) * case.H]
        if direction:
            own = self.flipped(own, self.flips(self.current_call), "input")
        return own[t] / (1 - case.dropout)

    def previous(self, trace: CellTrace, t: int) -> Array:
        return super().previous(trace, t) * self.gate(trace, t)

    def previous_states(self, trace: CellTrace) -> Array:
        return np.stack([h * self.gate(trace, t) for t, h in enumerate(super().previous_states(trace))])

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super().carry(trace, t, dz) * self.gate(trace, t)


@fault(
    "outputs scaled in evaluation mode",
    sentence="In evaluation mode outputs of lower layers are multiplied by 1 - p:",
    look="look for `eval`: what was scaled in training is not scaled again.",
    layers=STACKS,
)
class ScaledInEvaluation(FaultyLoop):
    def scale(self) -> float:
        """Return the factor of the lower layers' outputs."""
        return 1 - self.case.dropout if self.case.eval and self.case.dropout else 1.0

    def layer_input(self, first: Array, outputs: Array, layer: int) -> Array:
        return outputs * self.scale() if layer < self.case.layers - 1 else outputs

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        dy = super().summed(parts, above, layer)
        return dy * self.scale() if layer else dy
