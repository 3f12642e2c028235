"""Faults of the gradients of the parameters, the input and the initial state."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import Answer, family, is_parameter_gradient
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    Changed,
    Twin,
    nice,
    ratio,
    tolerance,
)
from parity_tests.diagnosis.samples import Sample, pairs, precise
from parity_tests.references.float64_loop import Gradients, Tape


class _OneStep(Changed):
    """Of the parameter gradients one step's part survives."""

    step_kept: ClassVar[int] = 0

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        t = self.step_kept
        rest = tape.dz.copy()
        rest[t] = 0
        one = tape.dz - rest
        return self.parameter_gradients(tape, one)[PARAMETERS.index(name)]

    @classmethod
    def choices(cls, samples: Sequence[Sample]) -> list[frozenset[str]]:
        # db alone is a fault of its own.
        return [roles for roles in super().choices(samples) if roles != {"db"} or cls.among == ("db",)]


class _OneRow(Changed):
    row: ClassVar[int] = -1

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        one = np.zeros_like(tape.dz)
        one[:, :, self.row] = tape.dz[:, :, self.row]
        return self.parameter_gradients(tape, one)[PARAMETERS.index(name)]


class _BatchMean(Changed):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value / tape.dz.shape[2]


class _TimeMean(Changed):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value / len(tape.dz)


class _TimesTime(Changed):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value * len(tape.dz)


class _TokenMean(Changed):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value / (len(tape.dz) * tape.dz.shape[2])


class _Transposed(Changed):
    among = ("dWx", "dWh")
    roles = frozenset(("dWh",))

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value.swapaxes(1, 2) if value.shape[1] == value.shape[2] else value

    @classmethod
    def choices(cls, samples: Sequence[Sample]) -> list[frozenset[str]]:
        return [frozenset(cls.roles)]


class _FromD(Changed):
    """What sums dz sums d."""

    among = ("dx", *PARAMETERS)
    roles = frozenset(PARAMETERS)

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        d = tape.d if tape.running is None else tape.d * tape.running[:, None, :, None]
        if name == "dx":
            return self.input_gradient(tape, d)
        return self.parameter_gradients(tape, d)[PARAMETERS.index(name)]


class _FromCarry(Changed):
    """A sum over what the steps hand back."""

    among = ("db",)
    roles = frozenset(("db",))

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        total = np.zeros_like(value)
        for t in range(len(tape.dz)):
            total += self.carry(tape, t, tape.dz[t]).sum(axis=1)
        return total


class _FromUpstream(_FromCarry):
    """A sum over the upstream gradients alone."""

    def received(self, tape: Tape, dhs: Array) -> Array:
        self.alone = dhs
        return dhs

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(self.alone.sum(axis=(0, 2)), value.shape).copy()


class _Neighbour(Changed):
    """dWh with the dz of the step after, or before."""

    among = ("dWh",)
    roles = frozenset(("dWh",))
    by: ClassVar[int] = 1

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        moved = np.roll(tape.dz, -self.by, axis=0)
        moved[-1 if self.by > 0 else 0] = 0
        return self.parameter_gradients(tape, moved)[1]


class _BiasTimesInput(Changed):
    among = ("db",)
    roles = frozenset(("db",))
    mean = False

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        x = tape.x.mean(axis=-1, keepdims=True) if self.mean else tape.x.sum(axis=-1, keepdims=True)
        return self.parameter_gradients(tape, tape.dz * x)[2]


class _Befores(Twin):
    """Other states for dWh."""

    def befores(self, tape: Tape) -> Array:
        states = tape.h[:-1].copy()
        self.rewrite(states, tape)
        return states

    def rewrite(self, states: Array, tape: Tape) -> None:
        """Change what stands for the states before the steps."""
        raise NotImplementedError


class _Wraps(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[0] = tape.h[-1]


class _After(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[...] = tape.h[1:]


class _NoStart(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[0] = 0


class _StartOnly(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[...] = tape.h[0]


class _TwoBefore(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[1:] = tape.h[:-2]


class _LastState(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[...] = tape.h[-1]


class _Start(Changed):
    """Another dh_0."""

    among = ("dh_0",)
    roles = frozenset(("dh_0",))


class _StartD(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return tape.d[0]


class _StartDz(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return tape.dz[0]


class _StartSummed(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(value.sum(axis=1, keepdims=True), value.shape).copy()


class _StartMean(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(value.mean(axis=1, keepdims=True), value.shape).copy()


class _StartPlusUpstream(_Start):
    def received(self, tape: Tape, dhs: Array) -> Array:
        self.first = dhs[0]
        return dhs

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value + self.first


class _StartOfLast(_Start):
    """That of the last step, the first that is taken back."""

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return self.carry(tape, len(tape.dz) - 1, tape.dz[-1])


class _StartUntransposed(_Start):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return tape.dz[0] @ np.asarray(tape.weights.Wh, np.float64)


class _Input(Changed):
    """Another dx."""

    among = ("dx",)
    roles = frozenset(("dx",))


class _InputUntransposed(_Input):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        Wx = np.asarray(tape.weights.Wx, np.float64)
        return tape.dz @ Wx if Wx.shape[0] == Wx.shape[1] else value


class _InputThroughWh(_Input):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        Wh = np.asarray(tape.weights.Wh, np.float64)
        return tape.dz @ Wh.T if value.shape[-1] == len(Wh) else value


class _InputReversed(_Input):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value[::-1]


class _InputLate(_Input):
    by: ClassVar[int] = 1
    wraps = False

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        moved = np.roll(value, self.by, axis=0)
        if not self.wraps:
            moved[0 if self.by > 0 else -1] = 0
        return moved


class _InputOfOneStep(_Input):
    step_kept: ClassVar[int] = -1

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        kept = np.zeros_like(value)
        kept[self.step_kept] = value[self.step_kept]
        return kept


class _InputEverywhereOne(_InputOfOneStep):
    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(value[self.step_kept], value.shape).copy()


class _InputWithoutCarry(_Input):
    def received(self, tape: Tape, dhs: Array) -> Array:
        self.alone = dhs
        return dhs

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return self.input_gradient(tape, self.alone * self.slope(tape))


class _CarryAlone(_Input):
    """dx without the upstream gradient of its own step."""

    def received(self, tape: Tape, dhs: Array) -> Array:
        self.alone = dhs
        return dhs

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value - self.input_gradient(tape, self.alone * self.slope(tape))


class _Scaled(Twin):
    """Tensors come multiplied by one factor, those of the families that are off."""

    factor: ClassVar[float] = 3.0
    families: ClassVar[frozenset[str]] = frozenset()
    """None named: all gradients"""

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = super().given(call, runs)
        return {name: value * self.factor if self.takes(name) else value for name, value in runs.items()}

    def takes(self, name: str) -> bool:
        """Whether a tensor is one of them."""
        return family(name) in self.families if self.families else name not in ("hs", "h_n")

    @classmethod
    def fits(cls, factor: float) -> bool:
        """Whether it is a factor of this fault's."""
        return factor not in (1.0, 2.0, -1.0, 0.0)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        names = {family(name) for sample in samples for got in sample.got for name in got}
        factors: dict[float, set[str]] = {}
        for name in sorted(names - {"hs", "h_n"}):
            factor = ratio(samples, lambda other, name=name: family(other) == name)  # type: ignore[misc]
            if factor not in (None, 1.0):
                factors.setdefault(factor, set()).add(name)
        if len(factors) == 1:
            (factor, families), *_ = factors.items()
            if cls.fits(factor):
                yield cls.having(factor=factor, families=frozenset(families))


class _Sign(_Scaled):
    factor = -1.0

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == -1


class _Doubled(_Scaled):
    factor = 2.0

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == 2


class _Zero(_Scaled):
    factor = 0.0
    families = frozenset(("dh_0",))

    @classmethod
    def fits(cls, factor: float) -> bool:
        return factor == 0


class _Decay(Changed):
    """Weights are added to their gradients."""

    rate: ClassVar[float] = 0.1
    among = PARAMETERS
    roles = frozenset(("dWx", "dWh"))

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        weights = {"dWx": tape.weights.Wx, "dWh": tape.weights.Wh, "db": tape.weights.b}[name]
        return value if weights is None else value + self.rate * self.penalty(np.asarray(weights, np.float64))

    @staticmethod
    def penalty(weights: Array) -> Array:
        """What is added, but for its rate."""
        return weights

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        for roles in cls.choices(samples)[:1]:
            excess, weights = [np.zeros(0)], [np.zeros(0)]
            value: Array | None
            for wanted in roles:
                for sample, call, got, truth, name in pairs(chosen, wanted):
                    if sample.case.kind in ("time", "cell"):
                        value = {"dWx": call.Wx, "dWh": call.Wh, "db": call.b}[wanted]
                    elif name.endswith(("ih", "hh", "ih_l0", "hh_l0")):
                        cell = call.cells[0]
                        value = {"dWx": cell.Wx.T, "dWh": cell.Wh.T, "db": cell.b}[wanted]
                    else:
                        continue
                    if value is not None:
                        excess.append((got[name] - truth[name]).ravel())
                        weights.append(cls.penalty(np.asarray(value, np.float64)).ravel())
            x, y = np.concatenate(weights), np.concatenate(excess)
            if not x.size or not (x @ x) or not np.isfinite(y).all():
                continue
            rate = float(x @ y / (x @ x))
            if rate and np.abs(y - rate * x).max() < 1e-3 * np.abs(y).max():
                yield cls.having(rate=nice(rate, max(1e-7, tolerance(chosen))), roles=roles)


class _LassoDecay(_Decay):
    @staticmethod
    def penalty(weights: Array) -> Array:
        return np.sign(weights)


class _Accumulated(Twin):
    """Gradients of the parameters are added to those of the calls before."""

    families: ClassVar[frozenset[str]] = frozenset()
    old: ClassVar[float] = 1.0
    new: ClassVar[float] = 1.0
    first: ClassVar[float] = 1.0

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = super().given(call, runs)
        kept: Answer = getattr(self, "kept", {})
        self.kept: Answer = {
            name: self.old * kept[name] + self.new * value if name in kept else self.first * value
            for name, value in runs.items()
            if is_parameter_gradient(name) and (not self.families or family(name) in self.families)
        }
        return runs | self.kept

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        families = cls.affected(samples)
        if families:
            yield cls.having(families=families)

    @staticmethod
    def affected(samples: Sequence[Sample]) -> frozenset[str]:
        """The families of parameter gradients wrong anywhere."""
        return frozenset(
            family(name) for sample in samples for name in sample.all_wrong if is_parameter_gradient(name)
        )


class _Momentum(_Accumulated):
    old, new, first = 0.9, 0.1, 1.0

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        families = cls.affected(samples)
        rows, values, ratios = [], [], []
        for sample in precise(samples):
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
            within = max(1e-7, tolerance(precise(samples)))
            yield cls.having(
                old=nice(float(old), within),
                new=nice(float(new), within),
                first=nice(ratios[0], within),
                families=families,
            )


class _LostCells(Twin):
    """Gradients of some cells' parameters stay zero, or the reverse part of dx is lost."""

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        for i, found in enumerate(gradients):
            for name in PARAMETERS:
                if self.loses(i, name):
                    setattr(found, name, 0 * getattr(found, name))
        return gradients

    def loses(self, i: int, name: str) -> bool:
        """Whether a cell's gradient is lost."""
        raise NotImplementedError


class _UpperBiases(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return name == "db" and i >= self.case.directions


class _Upper(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return i >= self.case.directions


class _Lower(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return i < self.case.cells - self.case.directions


class _Reverse(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return self.case.bidirectional and i % 2 == 1


class _ReverseFromForward(Twin):
    """Both directions' gradients are filed under the forward one."""

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        if self.case.bidirectional:
            for forward, reverse in zip(gradients[::2], gradients[1::2], strict=True):
                for name in PARAMETERS:
                    setattr(forward, name, getattr(forward, name) + getattr(reverse, name))
                    setattr(reverse, name, 0 * getattr(reverse, name))
        return gradients


class _MiddleOutput(Twin):
    """Middle layers' weight_ih gradients use the layer's output for its input."""

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        case = self.case
        for layer in range(1, case.layers - 1):
            own = tapes[layer * case.directions : (layer + 1) * case.directions]
            for direction, tape in enumerate(own):
                others = own[::-1] if direction else own
                tape.x = np.concatenate([np.asarray(other.h[1:]) for other in others], axis=-1)
        return tapes
