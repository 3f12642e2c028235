"""Faults that scale gradients, or mix others into them."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import OUTPUTS, Answer, family, is_parameter_gradient
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    SEQUENCES,
    FaultyLoop,
    Variant,
    fault,
    register,
)
from parity_tests.diagnosis.faults.infer import common_ratio, constant_tolerance, round_constant
from parity_tests.diagnosis.faults.shared import Changed
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.samples import Sample, pairs, prefer_float64
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_head import HeadTrace


@fault(
    "gradients divided by the batch size",
    sentence="The gradients of the parameters are means over the batch instead of sums:",
    look="look for `.mean(axis=0)` or `/ B`: the mean belongs to the loss.",
)
class BatchMean(Changed):
    stage = Stage.FINISHED

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value / trace.dz.shape[2]


class TimeMean(Changed):
    stage = Stage.FINISHED

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value / len(trace.dz)


class TimesSteps(Changed):
    stage = Stage.FINISHED

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value * len(trace.dz)


class TokenMean(Changed):
    stage = Stage.FINISHED

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value / (len(trace.dz) * trace.dz.shape[2])


register(
    "gradients scaled by the number of steps",
    sentence="The gradients of the parameters are off by a factor of T (or of B * T):",
    look="look for a mean over time: it belongs to the loss.",
    layers=SEQUENCES,
    loops=(TimeMean, TimesSteps, TokenMean),
)


@fault(
    "gradient times a constant",
    sentence="The gradients that are wrong are the right ones times {factor:g}:",
    look="look for a learning rate or another factor in the backward.",
)
class Scaled(FaultyLoop):
    """The tensors of some families are multiplied by one factor."""

    factor: float = 3.0
    families: frozenset[str] = frozenset()
    """Empty: all gradients."""

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = super().as_returned(call, runs)
        return {name: value * self.factor if self.takes(name) else value for name, value in runs.items()}

    def takes(self, name: str) -> bool:
        """Return whether the tensor ``name`` is scaled."""
        return family(name) in self.families if self.families else name not in OUTPUTS

    @classmethod
    def fits(cls, factor: float) -> bool:
        """Return whether a factor belongs to this fault and not to a more special one."""
        return factor not in (1.0, 2.0, -1.0, 0.0)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        names = {family(name) for sample in samples for got in sample.got for name in got}
        factors: dict[float, set[str]] = {}
        gradients = names - {*OUTPUTS}
        # A factor of all gradients is one of the gradient of the loss.
        of_loss = any(sample.case.has_loss for sample in samples)
        for name in sorted(gradients):
            factor = common_ratio(samples, lambda other, name=name: family(other) == name)  # type: ignore[misc]
            if factor not in (None, 1.0):
                factors.setdefault(factor, set()).add(name)
        for factor, families in factors.items():
            if cls.fits(factor) and not (of_loss and families == gradients):
                yield variant.with_constants(factor=factor, families=frozenset(families))
                # Another fault may hide it in the rest.
                parameters = {name for name in names if is_parameter_gradient(name)}
                if families < parameters:
                    yield variant.with_constants(factor=factor, families=frozenset(parameters))
                if len(families) > 1 and not of_loss:
                    yield variant.with_constants(factor=factor, families=frozenset())


@fault(
    "gradient doubled",
    sentence="The gradients that are wrong are twice as large as they should be:",
    look="look for a term that is added twice (one bias's gradient for each of two), or the 2 of a squared loss.",
)
class Doubled(Scaled):
    factor = 2.0

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == 2


@fault(
    "gradient with the wrong sign",
    sentence="The gradients that are wrong have the wrong sign:",
    look="look for a minus sign: the direction of descent is the optimizer's.",
)
class WrongSign(Scaled):
    factor = -1.0

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == -1


@fault(
    "gradient left at zero",
    sentence="The gradients that are wrong are all zero:",
    look="look for an array of zeros that is never filled.",
)
class Zero(Scaled):
    factor = 0.0
    families = frozenset(("dh_0",))

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == 0


class WeightDecay(Changed):
    """The weights times ``rate`` are added to their gradients."""

    stage = Stage.FINISHED
    rate: float = 0.1
    allowed_roles = PARAMETERS
    roles = frozenset(("dWx", "dWh"))

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        weights = {"dWx": trace.weights.Wx, "dWh": trace.weights.Wh, "db": trace.weights.b}[name]
        if weights is None:
            return value
        T, _, B, _ = trace.dz.shape
        return value + self.rate * self.times(T, B) * self.penalty(np.asarray(weights, np.float64))

    @staticmethod
    def times(T: int, B: int) -> int:
        """Return how often the penalty is added in a batch of B rows of T steps."""
        return 1

    @staticmethod
    def penalty(weights: Array) -> Array:
        """Return what is added, without the factor ``rate``."""
        return weights

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        wrong = cls.choices(variant, samples)[0]
        # Another fault may hide it in some of them.
        for roles in (wrong, *(frozenset((role,)) for role in sorted(wrong) if len(wrong) > 1)):
            rate = cls.fitted_rate(chosen, roles)
            if rate:
                rate = round_constant(rate, max(1e-7, constant_tolerance(chosen)))
                for some in dict.fromkeys((wrong, wrong - {"db"}, roles)):
                    if roles <= some:
                        yield variant.with_constants(rate=rate, roles=some)
                return

    @classmethod
    def fitted_rate(cls, samples: Sequence[Sample], roles: frozenset[str]) -> float | None:
        """Return the rate of what is added to the gradients of some roles, or None if nothing like it is."""
        excess, weights = [np.zeros(0)], [np.zeros(0)]
        value: Array | None
        for wanted in roles:
            for sample, call, got, truth, name in pairs(samples, wanted):
                cell = call.weights[0]
                if sample.case.layer in ("TimeRNN", "RNN"):
                    value = {"dWx": cell.Wx, "dWh": cell.Wh, "db": cell.b}[wanted]
                elif name.endswith(("ih", "hh", "ih_l0", "hh_l0")):
                    value = {"dWx": cell.Wx.T, "dWh": cell.Wh.T, "db": cell.b}[wanted]
                else:
                    continue
                if value is not None:
                    excess.append((got[name] - truth[name]).ravel())
                    B, T, _ = call.xs.shape
                    weights.append(cls.times(T, B) * cls.penalty(np.asarray(value, np.float64)).ravel())
        x, y = np.concatenate(weights), np.concatenate(excess)
        if not x.size or not (x @ x) or not np.isfinite(y).all():
            return None
        rate = float(x @ y / (x @ x))
        return rate if np.abs(y - rate * x).max() < 1e-3 * np.abs(y).max() else None


class SignDecay(WeightDecay):
    @staticmethod
    def penalty(weights: Array) -> Array:
        return np.sign(weights)


class HeadDecay(FaultyLoop):
    """The weights of the head times ``rate`` are added to their gradient."""

    stage = Stage.FINISHED
    rate: float = 0.1

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        dWy, dby = super().head_gradients(trace)
        return dWy + self.rate * np.asarray(trace.arrays.Wy, np.float64), dby

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        chosen = prefer_float64(samples)
        for sample, call, got, truth, name in pairs(chosen, "dWy"):
            assert call.head is not None  # there is a dWy
            weights = np.asarray(call.head.Wy, np.float64).ravel()
            rate = float(weights @ (got[name] - truth[name]).ravel() / (weights @ weights))
            if rate and sample.case.B > 1:
                yield variant.with_constants(rate=round_constant(rate, max(1e-7, constant_tolerance(chosen))))
                return


register(
    "weight decay in the gradient",
    sentence="The weights times {rate:g} (or their signs) are added to their gradients:",
    look="look for a penalty in the backward: it belongs to the optimizer.",
    loops=(WeightDecay, SignDecay, HeadDecay),
)


class StepDecay(WeightDecay):
    @staticmethod
    def times(T: int, B: int) -> int:
        return T


class TokenDecay(WeightDecay):
    @staticmethod
    def times(T: int, B: int) -> int:
        return T * B


class RowDecay(WeightDecay):
    @staticmethod
    def times(T: int, B: int) -> int:
        return B


register(
    "weight decay at every step",
    sentence="The weights times {rate:g} are added to their gradients at every step (or for every row):",
    look="look for a penalty in the loop of the backward: it belongs to the optimizer.",
    layers=SEQUENCES,
    loops=(StepDecay, TokenDecay, RowDecay),
)


@fault(
    "gradients accumulate over calls",
    sentence="The gradients are added to those of the calls before:",
    look="look for `grads += ...` where the gradients of this call alone are due, `grads[...] = ...`.",
)
class Accumulated(FaultyLoop):
    """The gradients of the parameters are added to those of the calls before."""

    families: frozenset[str] = frozenset()
    old: float = 1.0
    new: float = 1.0
    first: float = 1.0
    accumulated: Answer | None = None

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = super().as_returned(call, runs)
        kept = self.accumulated or {}
        self.accumulated = {
            name: self.old * kept[name] + self.new * value if name in kept else self.first * value
            for name, value in runs.items()
            if is_parameter_gradient(name) and (not self.families or family(name) in self.families)
        }
        return runs | self.accumulated

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        families = cls.affected(samples)
        if families:
            yield variant.with_constants(families=families)

    @staticmethod
    def affected(samples: Sequence[Sample]) -> frozenset[str]:
        """Return the families of parameter gradients that are wrong in any sample."""
        return frozenset(
            family(name) for sample in samples for name in sample.all_wrong if is_parameter_gradient(name)
        )


@fault(
    "running mean of gradients",
    sentence="The gradients are mixed with those of the calls before, {old:g} of these and {new:g} of the new:",
    look="look for momentum in the backward: it belongs to the optimizer.",
)
class Momentum(Accumulated):
    old, new, first = 0.9, 0.1, 1.0

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        families = cls.affected(samples)
        rows, values, ratios = [], [], []
        for sample in prefer_float64(samples):
            for name in sample.truths[0]:
                if family(name) in families and len(sample.got) > 1 and name in sample.got[1]:
                    rows.append(
                        np.stack([sample.got[0][name].ravel(), sample.truths[1][name].ravel()], axis=1)
                    )
                    values.append(sample.got[1][name].ravel())
                    right = sample.truths[0][name].ravel()
                    ratios.append(float(sample.got[0][name].ravel() @ right / (right @ right)))
        if not rows:
            return
        matrix, value = np.concatenate(rows), np.concatenate(values)
        if not np.isfinite(value).all() or not np.isfinite(matrix).all():
            return
        (old, new), *_ = np.linalg.lstsq(matrix, value, rcond=None)
        if (
            abs(old) > 1e-3
            and (abs(old - 1) > 1e-3 or abs(new - 1) > 1e-3)
            and np.allclose(matrix @ [old, new], value, rtol=1e-3, atol=1e-4)
        ):
            within = max(1e-7, constant_tolerance(prefer_float64(samples)))
            yield variant.with_constants(
                old=round_constant(float(old), within),
                new=round_constant(float(new), within),
                first=round_constant(ratios[0], within),
                families=families,
            )
