"""Faults that clip gradients, or scale them down to a norm."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import Answer, is_parameter_gradient
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    SEQUENCES,
    FaultyLoop,
    Variant,
    fault,
    register,
)
from parity_tests.diagnosis.faults.infer import (
    all_dz,
    constant_tolerance,
    largest_magnitude,
    repeated_magnitude,
    round_constant,
)
from parity_tests.diagnosis.faults.shared import Changed
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.samples import Sample, pairs, prefer_float64
from parity_tests.references.float64_cell import CellTrace, Gradients


class ClippedGradients(Changed):
    """Clips the finished gradients of the parameters."""

    stage = Stage.LIMITED
    limit: float = 0.5

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return np.clip(value, -self.limit, self.limit)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for roles in cls.choices(variant, samples)[:1]:
            limits = {largest_magnitude(samples, role) for role in roles}
            if limits and max(limits) > 0:
                yield variant.with_constants(limit=max(limits), roles=roles)


class AllGradientsClipped(ClippedGradients):
    allowed_roles = ("dx", "dh_0", *PARAMETERS)


class ClippedWithTheHead(FaultyLoop):
    """Clips all gradients of weights and biases, those of a head too."""

    stage = Stage.LIMITED
    limit: float = 0.5

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = super().as_returned(call, runs)
        return {
            name: np.clip(value, -self.limit, self.limit) if is_parameter_gradient(name) else value
            for name, value in runs.items()
        }

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        of_head = [sample for sample in samples if sample.case.has_head]
        limits = {largest_magnitude(of_head, role) for role in (*PARAMETERS, "dWy", "dby")}
        if limits and max(limits) > 0:
            yield variant.with_constants(limit=max(limits))


class ClippedAtEveryStep(ClippedGradients):
    """Clips the running sum after every step, or with ``parts`` each step's part before it is added."""

    parts = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        total = np.zeros_like(value)
        for t in reversed(range(trace.steps)):
            alone = np.zeros_like(trace.dz)
            alone[t] = trace.dz[t]
            part = self.parameter_gradients(trace, alone)[PARAMETERS.index(name)]
            if self.parts:
                total += np.clip(part, -self.limit, self.limit)
            else:
                total = np.clip(total + part, -self.limit, self.limit)
        return total

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        # With one step, the limit of the parts is seen in the result.
        seen = [sample for sample in samples if sample.case.T == 1 or not variant.value("parts")]
        for roles in cls.choices(variant, samples)[:1]:
            limits = {largest_magnitude(seen, role) for role in roles}
            if limits and max(limits) > 0:
                yield variant.with_constants(limit=max(limits), roles=roles)


register(
    "clipped gradients",
    sentence="The gradients are clipped to +-{limit:g}, at the end or at every step:",
    look="look for `np.clip` in the backward: it belongs to the optimizer.",
    loops=(
        ClippedGradients,
        AllGradientsClipped,
        ClippedWithTheHead,
        ClippedAtEveryStep,
        ClippedAtEveryStep.with_params(parts=True),
    ),
)


@fault(
    "clipped carry",
    sentence="What goes back from step to step is clipped to +-{limit:g}:",
    look="look for `np.clip` on `dh_prev`.",
    layers=SEQUENCES,
)
class ClippedCarry(FaultyLoop):
    limit: float = 0.5

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return np.clip(super().carry(trace, t, dz), -self.limit, self.limit)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        if limit := largest_magnitude(samples, "dh_0"):
            yield variant.with_constants(limit=limit)


@fault(
    "clipped dz",
    sentence="The gradients of the pre-activations are clipped to +-{limit:g}:",
    look="look for `np.clip` in the step's backward.",
)
class ClippedDz(FaultyLoop):
    limit: float = 0.5

    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        super().delta(trace, t, d, slope, out)
        np.clip(out, -self.limit, self.limit, out=out)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        within = max(1e-8, constant_tolerance(chosen))
        if limit := repeated_magnitude([all_dz(sample) for sample in chosen if sample.got], within):
            yield variant.with_constants(limit=limit)


class ClippedUpstream(FaultyLoop):
    """Clips the upstream gradients before the carry is added."""

    limit: float = 0.5

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return np.clip(dhs, -self.limit, self.limit)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        sizes = []
        for sample in chosen:
            if sample.case.num_cells == 1 and sample.got and not sample.case.relu:
                dz = all_dz(sample)
                if dz.size and sample.calls[0].dh_n is None and sample.case.lengths == "full":
                    # At the last step there is no carry.
                    h = sample.truths[0]["h_n"][0]
                    sizes.append((dz[:, -1] / (1 - h * h))[1 - h * h > 1e-3])
        if limit := repeated_magnitude(sizes, max(1e-6, constant_tolerance(chosen))):
            yield variant.with_constants(limit=limit)


class ClippedStateGradient(ClippedUpstream):
    """Clips the sum of upstream gradient and carry."""

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return dhs

    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        super().delta(trace, t, np.clip(d, -self.limit, self.limit), slope, out)


register(
    "clipped upstream gradients",
    sentence="The gradients of the states are clipped to +-{limit:g}:",
    look="look for `np.clip` on `dhs` or `dh_next`.",
    loops=(ClippedUpstream, ClippedStateGradient),
)


class CommonNorm(FaultyLoop):
    """Scales the gradients of all parameters down to a norm that they have together."""

    stage = Stage.LIMITED
    limit: float = 1.0
    epsilon: float = 0.0

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        both = 1 if self.case.layer in ("TimeRNN", "RNN") else 2
        squares = [
            (getattr(found, name).reshape(self.noise.runs, -1) ** 2).sum(axis=1)
            * (both if name == "db" else 1)
            for found in gradients
            for name in PARAMETERS
        ]
        norm = np.sqrt(sum(squares))
        for found in gradients:
            for name in PARAMETERS:
                value = getattr(found, name)
                setattr(found, name, self.scaled_down(value, norm))
        return gradients

    def scaled_down(self, value: Array, norm: Array) -> Array:
        """Return ``value`` [runs, ...] scaled down where ``norm`` [runs] is above the limit."""
        rate = np.minimum(1, self.limit / (norm + self.epsilon))
        return value * rate.reshape(-1, *[1] * (value.ndim - 1))

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        norms = [
            (cls.norm(got, names), cls.norm(truth, names))
            for sample in chosen
            for got, truth in zip(sample.got, sample.truths, strict=False)
            for names in cls.groups(
                [name for name in got if name.startswith("d") and name not in ("dx", "dh_0")]
            )
        ]
        most = max((norm for norm, _ in norms), default=0.0)
        scaled = [(norm, right) for norm, right in norms if norm > 0.9 * most and right > 1.001 * norm]
        if scaled:
            norm, right = scaled[0]
            for epsilon in (0.0, 1e-6, 1e-8):
                limit = round_constant(
                    norm * (right + epsilon) / right, max(1e-9, constant_tolerance(chosen))
                )
                yield variant.with_constants(limit=limit, epsilon=epsilon)

    @staticmethod
    def norm(answer: dict[str, Array], names: Sequence[str]) -> float:
        """Return the norm of these tensors together."""
        return float(np.sqrt(sum((answer[name] ** 2).sum() for name in names)))

    @staticmethod
    def groups(names: list[str]) -> list[list[str]]:
        """Group the tensors that are scaled by a common norm."""
        return [names]


class CommonNormWithTheHead(CommonNorm):
    """Scales all gradients of weights and biases down to one norm, those of a head too."""

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        return FaultyLoop.by_parameter_name(self, gradients)

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        names = [name for name in runs if is_parameter_gradient(name)]
        norm = np.sqrt(sum((runs[name].reshape(self.noise.runs, -1) ** 2).sum(axis=1) for name in names))
        return runs | {name: self.scaled_down(runs[name], norm) for name in names}

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        of_head = [sample for sample in samples if sample.case.has_head]
        yield from super().infer(variant, of_head) if of_head else ()


class OwnNorm(CommonNorm):
    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        for found in gradients:
            for name in PARAMETERS:
                value = getattr(found, name)
                norm = np.sqrt((value.reshape(self.noise.runs, -1) ** 2).sum(axis=1))
                setattr(found, name, self.scaled_down(value, norm))
        return gradients

    @staticmethod
    def groups(names: list[str]) -> list[list[str]]:
        return [[name] for name in names]


class LineNorm(Changed):
    """Scales every row (or column) of dWx and dWh, and db as a whole, down to a norm."""

    stage = Stage.LIMITED
    limit: float = 0.5
    over: str = "H"
    """The axis over which the norm is taken: H, or the other one of dWx [D, H] and dWh [H, H]."""

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        norm = self.norms(value, self.over)
        return value * np.minimum(1, self.limit / np.where(norm > 0, norm, 1))

    @staticmethod
    def norms(value: Array, over: str) -> Array:
        """Return the norms of ``value`` [runs, ..., H] over one axis, which is kept."""
        axis = -1 if over == "H" or value.ndim == 2 else -2
        return np.sqrt((value * value).sum(axis=axis, keepdims=True))

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        for roles in cls.choices(variant, samples)[:1]:
            limits = [0.0]
            for role in sorted(roles):
                for sample, _, got, truth, name in pairs(chosen, role):
                    mine, right = (
                        cls.norms(cls.as_of_cell(sample, a[name])[None], variant.value("over"))
                        for a in (got, truth)
                    )
                    limits.append(float(mine[right > 1.001 * mine].max(initial=0.0)))
            limit = round_constant(max(limits), max(1e-9, constant_tolerance(chosen)))
            if limit > 0 and np.isfinite(limit):
                yield variant.with_constants(limit=limit, roles=roles)

    @staticmethod
    def as_of_cell(sample: Sample, value: Array) -> Array:
        """Return the gradient of a weight as [D, H]; torch has it as [H, D]."""
        return value.T if sample.case.has_torch_interface else value


class RowNorm(Changed):
    """Scales every batch row's part of a gradient down to a norm before the parts are summed."""

    stage = Stage.LIMITED
    limit: float = 0.5

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        total = np.zeros_like(value)
        for row in range(trace.dz.shape[2]):
            alone = np.zeros_like(trace.dz)
            alone[:, :, row] = trace.dz[:, :, row]
            part = self.parameter_gradients(trace, alone)[PARAMETERS.index(name)]
            norm = np.sqrt((part.reshape(len(part), -1) ** 2).sum(axis=1))
            rate = np.minimum(1, self.limit / np.where(norm > 0, norm, 1))
            total += part * rate.reshape(-1, *[1] * (part.ndim - 1))
        return total

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        # With one row in the batch, the norm is seen in the result.
        chosen = prefer_float64([sample for sample in samples if sample.case.B == 1])
        for roles in cls.choices(variant, samples)[:1]:
            limits = [0.0]
            for role in sorted(roles):
                for _, _, got, truth, name in pairs(chosen, role):
                    mine, right = (float(np.sqrt((a[name] ** 2).sum())) for a in (got, truth))
                    limits.append(mine if right > 1.001 * mine else 0.0)
            limit = round_constant(max(limits), max(1e-9, constant_tolerance(chosen or samples)))
            if limit > 0 and np.isfinite(limit):
                yield variant.with_constants(limit=limit, roles=roles)


class CommonNormOfRow(CommonNorm):
    """Scales every batch row's parts of all gradients down to a norm that these have together."""

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        return FaultyLoop.by_parameter_name(self, gradients)

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        rows = []
        for row in range(dz.shape[2]):
            alone = np.zeros_like(dz)
            alone[:, :, row] = dz[:, :, row]
            parts = super().parameter_gradients(trace, alone)
            norm = np.sqrt(sum((part.reshape(len(part), -1) ** 2).sum(axis=1) for part in parts))
            rows.append([self.scaled_down(part, norm) for part in parts])
        dWx, dWh, db = (np.sum(parts, axis=0) for parts in zip(*rows, strict=True))
        return dWx, dWh, db

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        # With one row in the batch, the norm is seen in the result.
        alone = [sample for sample in samples if sample.case.B == 1]
        yield from super().infer(variant, alone) if alone else ()


register(
    "gradients scaled down to a norm",
    sentence="The gradients of the parameters (or their rows, or the parts of the batch rows) are scaled down to a norm of at most {limit:g}:",
    look="look for clipping by norm in the backward: it belongs to the optimizer.",
    loops=(
        CommonNorm,
        CommonNormWithTheHead,
        OwnNorm,
        LineNorm,
        LineNorm.with_params(over="D"),
        RowNorm,
        CommonNormOfRow,
    ),
)
