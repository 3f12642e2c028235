"""Faults of backpropagation through time: the upstream gradients and the carry."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import is_parameter_gradient
from parity_tests.diagnosis.faults.faulty_loop import PARAMETERS, Changed, Twin, largest, nice, tolerance
from parity_tests.diagnosis.faults.twins_slope import solved
from parity_tests.diagnosis.samples import Sample, precise
from parity_tests.references.float64_loop import Gradients, Tape


class _Dropped(Twin):
    """Each step gets its own output's gradient alone; what it hands back is kept for dh_0, or not."""

    for_start = True

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return super().carry(tape, t, dz) if t == 0 and self.for_start else np.zeros_like(dz)


class _Untransposed(Twin):
    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        Wh = np.asarray(tape.weights.Wh, np.float64)
        carry = dz @ Wh
        self.noise.product(carry[1:], dz[0], Wh)
        return carry


class _ForwardOrder(Twin):
    def order(self, T: int) -> Sequence[int]:
        return range(T)


class _OneOff(Twin):
    """Step t is given what belongs to step t + by."""

    by: ClassVar[int] = -1
    wraps = True

    def received(self, tape: Tape, dhs: Array) -> Array:
        moved = np.roll(dhs, -self.by, axis=0)
        if not self.wraps:
            moved[0 if self.by < 0 else -1] = 0
        return moved


class _OnlyLast(Twin):
    def received(self, tape: Tape, dhs: Array) -> Array:
        kept = np.zeros_like(dhs)
        kept[-1] = dhs[-1]
        return kept


class _OnlyFirst(Twin):
    def received(self, tape: Tape, dhs: Array) -> Array:
        kept = np.zeros_like(dhs)
        kept[0] = dhs[0]
        return kept


class _NotLast(Twin):
    def received(self, tape: Tape, dhs: Array) -> Array:
        kept = dhs.copy()
        kept[-1] = 0
        return kept


class _Ignored(Twin):
    def received(self, tape: Tape, dhs: Array) -> Array:
        return np.zeros_like(dhs)


class _Summed(Twin):
    mean = False

    def received(self, tape: Tape, dhs: Array) -> Array:
        late = np.zeros_like(dhs)
        late[-1] = dhs.mean(axis=0) if self.mean else dhs.sum(axis=0)
        return late


class _Cumulated(Twin):
    def received(self, tape: Tape, dhs: Array) -> Array:
        return np.cumsum(dhs[::-1], axis=0)[::-1]


class _Reversed(Twin):
    def received(self, tape: Tape, dhs: Array) -> Array:
        return dhs[::-1]


class _OverBatch(Twin):
    """All upstream gradients are scaled first."""

    def scale(self, dhs: Array) -> float:
        """By what."""
        return 1 / dhs.shape[2]

    def received(self, tape: Tape, dhs: Array) -> Array:
        return dhs * self.scale(dhs)


class _OverTime(_OverBatch):
    def scale(self, dhs: Array) -> float:
        return 1 / len(dhs)


class _OverBoth(_OverBatch):
    def scale(self, dhs: Array) -> float:
        return 1 / (len(dhs) * dhs.shape[2])


class _LeftOver(Twin):
    """The carry starts from what the backward before has handed back."""

    left: Array | None = None

    def first_carry(self, tape: Tape, dh_n: Array | None) -> Array:
        carry = super().first_carry(tape, dh_n)
        if self.left is not None and self.left.shape == carry.shape:
            carry += self.left
        return carry

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        found = super().backward(tape, dhs, dh_n)
        if self.case.cells == 1:
            self.left = found.dh_0
        return found


class _ScaledCarry(Twin):
    factor: ClassVar[float] = 2.0
    for_start = True

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        carry = super().carry(tape, t, dz)
        return self.factor * carry if t or self.for_start else carry


class _MinusCarry(_ScaledCarry):
    factor = -1.0


class _OtherCarry(_ScaledCarry):
    """Its factor shows in dh_0 of a single step."""

    factor = 0.5

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        for sample in chosen:
            if sample.case.T == 1 and sample.case.cells == 1 and sample.got and "dh_0" in sample.got[0]:
                right, got = sample.truths[0]["dh_0"].ravel(), sample.got[0]["dh_0"].ravel()
                factor = nice(float(right @ got / (right @ right)), tolerance(chosen))
                if np.allclose(got, factor * right, rtol=1e-4) and factor not in (0, 1, 2, -1):
                    yield cls.having(factor=factor)
                return


class _Diagonal(Twin):
    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return dz * np.diag(tape.weights.Wh)


class _BeforeSlope(Twin):
    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return super().carry(tape, t, tape.d[t])


class _WithoutWeights(Twin):
    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return dz


class _WithoutBoth(Twin):
    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return tape.d[t]


class _SlopedTwice(Twin):
    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return super().carry(tape, t, dz * (1 - tape.h[t + 1] ** 2))


class _AddedUp(Twin):
    """What a step hands back is added to what the later ones did."""

    total: Array

    def first_carry(self, tape: Tape, dh_n: Array | None) -> Array:
        self.total = super().first_carry(tape, dh_n)
        return self.total

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        self.total = self.total + super().carry(tape, t, dz)
        return self.total


class _Through(_AddedUp):
    """d goes back beside the carry, as past a residual connection."""

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return super(_AddedUp, self).carry(tape, t, dz) + tape.d[t]


class _Skips(Twin):
    """The loop ends a step too early."""

    def order(self, T: int) -> Sequence[int]:
        return range(T - 1, 0, -1)


class _SkipsLast(Twin):
    def order(self, T: int) -> Sequence[int]:
        return range(T - 2, -1, -1)


class _Truncated(Twin):
    """The carry is cut between blocks of k steps; ``ahead`` steps before the first border."""

    k: ClassVar[int] = 3
    from_end = False
    for_start = True

    def cut(self, t: int, T: int) -> bool:
        """Whether nothing goes from step t to the one before."""
        return (T - t) % self.k == 0 if self.from_end else t % self.k == 0

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        if t == 0 and self.for_start:
            return super().carry(tape, t, dz)
        return np.zeros_like(dz) if self.cut(t, len(tape.z)) else super().carry(tape, t, dz)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for sample in samples:
            case = sample.case
            if case.T < 12 or case.upstream != "last" or case.cells > 1 or not sample.got:
                continue
            # With a gradient at the last step only, dx shows how far it goes back.
            if "dx" not in sample.got[0]:
                yield from (cls.having(k=k) for k in range(2, case.T - 1))
                return
            reached = int((np.abs(sample.got[0]["dx"]).max(axis=(0, 2)) > 0).sum())
            for k in range(2, case.T):
                if reached in cls.reaches(k, case.T):
                    yield cls.having(k=k)

    @classmethod
    def reaches(cls, k: int, T: int) -> tuple[int, ...]:
        """Through how many steps a gradient at the last step may go back."""
        return (k,) if cls.from_end else ((T - 1) % k + 1,)


class _Window(_Truncated):
    """Each output's gradient goes back at most k steps in all."""

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        parts = []
        T = len(tape.z)
        for t in range(T):
            alone = np.zeros((T, *dhs.shape[1:]))
            alone[t] = dhs[t]
            self.last = t
            parts.append(super().backward(tape, alone, dh_n if t == T - 1 else None))
        total = parts[0]
        for part in parts[1:]:
            for name in ("dx", "dh_0", *PARAMETERS):
                setattr(total, name, getattr(total, name) + getattr(part, name))
        return total

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        if self.last - t + 1 >= self.k and (t or not self.for_start):
            return np.zeros_like(dz)
        return super(_Truncated, self).carry(tape, t, dz)

    @classmethod
    def reaches(cls, k: int, T: int) -> tuple[int, ...]:
        return (k,)


class _Clipped(Changed):
    """Finished gradients of the parameters are clipped."""

    limit: ClassVar[float] = 0.5

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.clip(value, -self.limit, self.limit)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for roles in cls.choices(samples)[:1]:
            limits = {largest(samples, role) for role in roles}
            if limits and max(limits) > 0:
                yield cls.having(limit=max(limits), roles=roles)


class _ClippedAll(_Clipped):
    among = ("dx", "dh_0", *PARAMETERS)


class _ClippedCarry(Twin):
    limit: ClassVar[float] = 0.5

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return np.clip(super().carry(tape, t, dz), -self.limit, self.limit)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        if limit := largest(samples, "dh_0"):
            yield cls.having(limit=limit)


class _ClippedDelta(Twin):
    limit: ClassVar[float] = 0.5

    def delta(self, tape: Tape, t: int, d: Array, slope: Array, out: Array) -> None:
        super().delta(tape, t, d, slope, out)
        np.clip(out, -self.limit, self.limit, out=out)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        most = max((np.abs(solved_deltas(s)).max(initial=0) for s in chosen if s.got), default=0)
        if most and np.isfinite(most):
            yield cls.having(limit=nice(float(most), max(1e-8, tolerance(chosen))))


class _ClippedUpstream(Twin):
    """The upstream gradients are clipped on entry, or their sum with the carry is."""

    limit: ClassVar[float] = 0.5

    def received(self, tape: Tape, dhs: Array) -> Array:
        return np.clip(dhs, -self.limit, self.limit)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        most = 0.0
        for sample in chosen:
            if sample.case.cells == 1 and sample.got and not sample.case.relu:
                dz = solved_deltas(sample)
                if dz.size and sample.calls[0].dh_n is None and sample.case.lengths == "full":
                    # At the last step there is no carry.
                    h = sample.truths[0]["h_n"][0]
                    most = max(most, float(np.abs(dz[:, -1] / (1 - h * h))[1 - h * h > 1e-3].max(initial=0)))
        if most and np.isfinite(most):
            yield cls.having(limit=nice(most, max(1e-6, tolerance(chosen))))


class _ClippedTotal(_ClippedUpstream):
    def received(self, tape: Tape, dhs: Array) -> Array:
        return dhs

    def delta(self, tape: Tape, t: int, d: Array, slope: Array, out: Array) -> None:
        super().delta(tape, t, np.clip(d, -self.limit, self.limit), slope, out)


def solved_deltas(sample: Sample) -> Array:
    """Dz [B, T, H] of the first call of a single cell, from dx; nothing where D < H."""
    case, got = sample.case, sample.got[0]
    if case.cells > 1 or case.D < case.H or "dx" not in got or not np.isfinite(got["dx"]).all():
        return np.zeros((0, 0, 0))
    if case.T == 1:
        return solved(sample)[:, None]
    dx = got["dx"].reshape(-1, case.D)
    flat = np.linalg.lstsq(np.asarray(sample.calls[0].Wx, np.float64), dx.T, rcond=None)[0].T
    return flat.reshape(*got["dx"].shape[:2], case.H)


class _CommonNorm(Twin):
    """The gradients of the parameters of all cells are scaled down to a common norm."""

    limit: ClassVar[float] = 1.0
    epsilon: ClassVar[float] = 0.0

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        both = 1 if self.case.kind in ("time", "cell") else 2
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
                setattr(found, name, self.scaled(value, norm))
        return gradients

    def scaled(self, value: Array, norm: Array) -> Array:
        """``value`` [runs, ...] brought down, where ``norm`` is too large."""
        rate = np.minimum(1, self.limit / (norm + self.epsilon))
        return value * rate.reshape(-1, *[1] * (value.ndim - 1))

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        norms = [
            (cls.norm(got, names), cls.norm(truth, names))
            for sample in chosen
            for got, truth in zip(sample.got, sample.truths, strict=False)
            for names in cls.groups([name for name in got if is_parameter_gradient(name)])
        ]
        most = max((norm for norm, _ in norms), default=0.0)
        scaled = [(norm, right) for norm, right in norms if norm > 0.9 * most and right > 1.001 * norm]
        if scaled:
            norm, right = scaled[0]
            for epsilon in (0.0, 1e-6, 1e-8):
                limit = nice(norm * (right + epsilon) / right, max(1e-9, tolerance(chosen)))
                yield cls.having(limit=limit, epsilon=epsilon)

    @staticmethod
    def norm(answer: dict[str, Array], names: Sequence[str]) -> float:
        """Of all these tensors together."""
        return float(np.sqrt(sum((answer[name] ** 2).sum() for name in names)))

    @staticmethod
    def groups(names: list[str]) -> list[list[str]]:
        """Which tensors have a norm together."""
        return [names]


class _OwnNorm(_CommonNorm):
    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        for found in gradients:
            for name in PARAMETERS:
                value = getattr(found, name)
                norm = np.sqrt((value.reshape(self.noise.runs, -1) ** 2).sum(axis=1))
                setattr(found, name, self.scaled(value, norm))
        return gradients

    @staticmethod
    def groups(names: list[str]) -> list[list[str]]:
        return [[name] for name in names]
