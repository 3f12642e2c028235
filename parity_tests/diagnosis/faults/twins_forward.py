"""Faults of the forward pass: states, weights, biases, inputs, layouts, precision."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.cases.tensors import Answer, canonical, native
from parity_tests.diagnosis.faults.faulty_loop import Twin, nice, tolerance
from parity_tests.diagnosis.samples import Sample, precise
from parity_tests.references.float64_loop import Gradients, Spread, Tape


class _Stays(Twin):
    """Each step starts from h_0; the backward is the right one, knows what dWh met, or all."""

    knows = 0

    def previous(self, tape: Tape, t: int) -> Array:
        return tape.h[0]

    def befores(self, tape: Tape) -> Array:
        return np.broadcast_to(tape.h[0], tape.h[1:].shape) if self.knows else super().befores(tape)

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        through = super().carry(tape, t, dz)
        return np.zeros_like(through) if self.knows == 2 else through

    def start_gradient(self, tape: Tape, carry: Array) -> Array:
        if self.knows < 2:
            return carry
        return sum(
            (super(_Stays, self).carry(tape, t, dz) for t, dz in enumerate(tape.dz)), np.zeros_like(carry)
        )


class _ZeroEachStep(Twin):
    """The state is set to zeros before each step but the first."""

    knows = True

    def previous(self, tape: Tape, t: int) -> Array:
        return tape.h[t] if t == 0 else np.zeros_like(tape.h[t])

    def befores(self, tape: Tape) -> Array:
        if not self.knows:
            return super().befores(tape)
        states = np.zeros_like(tape.h[1:])
        states[0] = tape.h[0]
        return states

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return np.zeros_like(dz) if t and self.knows else super().carry(tape, t, dz)


class _NoRecurrence(Twin):
    """The recurrent term is never added; the backward is the right one, or its own."""

    own = True

    def previous(self, tape: Tape, t: int) -> Array:
        return np.zeros_like(tape.h[t])

    def befores(self, tape: Tape) -> Array:
        return np.zeros_like(tape.h[1:]) if self.own else super().befores(tape)

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return np.zeros_like(dz) if self.own else super().carry(tape, t, dz)


class _RowToRow(Twin):
    """Row r starts where row r - 1 ended; dWh meets that, or what h_0 says."""

    knows = True

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        runs, B, H = self.noise.runs, x.shape[2], self.case.H
        self.given_start = np.broadcast_to(h_0, (h_0.shape[0], B, H))
        start = np.broadcast_to(self.given_start[:, :1], (runs, 1, H))
        rows: list[Tape] = []
        for r in range(B):
            alive = None if running is None else running[:, r : r + 1]
            rows.append(super().forward(weights, x[:, :, r : r + 1], start, alive))
            start = rows[-1].h[-1]
        z, h = (np.concatenate([getattr(row, name) for row in rows], axis=2) for name in ("z", "h"))
        return Tape(weights, x, z, h, running)

    def befores(self, tape: Tape) -> Array:
        states = super().befores(tape).copy()
        if not self.knows:
            states[0] = self.given_start
        return states


class _FirstRowStart(Twin):
    """All rows start from row 0's state."""

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return np.broadcast_to(starts[:, :, :1], starts.shape)


class _FirstRowDrives(Twin):
    """All rows' steps take row 0's state, or the mean of all."""

    mean = False
    knows = False

    def mixed(self, states: Array) -> Array:
        """In place of the rows' own states [..., B, H]."""
        one = states.mean(axis=-2, keepdims=True) if self.mean else states[..., :1, :]
        return np.broadcast_to(one, states.shape)

    def previous(self, tape: Tape, t: int) -> Array:
        return self.mixed(tape.h[t])

    def befores(self, tape: Tape) -> Array:
        return self.mixed(tape.h[:-1]) if self.knows else super().befores(tape)

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        through = super().carry(tape, t, dz)
        if not self.knows:
            return through
        if self.mean:
            return self.mixed(through)
        first = np.zeros_like(through)
        first[:, 0] = through.sum(axis=1)
        return first


class _StartConstant(Twin):
    """Where no state is given the layer starts from a constant."""

    constant: ClassVar[float] = 1.0

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return starts + self.constant if call.h_0 is None and not call.carries else starts

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for sample in precise(samples):
            case, call = sample.case, sample.calls[0]
            if (
                call.h_0 is None
                and case.cells == 1
                and not case.relu
                and sample.got
                and "hs" in sample.got[0]
            ):
                x, got = np.asarray(call.xs[:, 0], np.float64), sample.got[0]["hs"][:, 0]
                cell = call.cells[0]
                bias = sum(np.asarray(b, np.float64) for b in (cell.b, cell.b_hh) if b is not None)
                with np.errstate(all="ignore"):
                    excess = np.arctanh(got) - x @ np.asarray(cell.Wx, np.float64) - bias
                each = excess / np.asarray(cell.Wh, np.float64).sum(axis=0)
                sure = np.abs(got) < 0.95
                value = float(np.median(each[sure])) if sure.any() else 0.0
                if abs(value) > 1e-6 and np.allclose(each[sure], value, rtol=1e-3):
                    yield cls.having(constant=nice(value, max(1e-7, tolerance([sample]))))
                return


class _BiasTwice(Twin):
    own = False

    def biases(self, weights: Weights) -> list[Array]:
        return 2 * super().biases(weights)

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(tape, dz)
        return dWx, dWh, 2 * db if self.own else db


class _NoBias(Twin):
    own = False

    def biases(self, weights: Weights) -> list[Array]:
        return []

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(tape, dz)
        return dWx, dWh, 0 * db if self.own else db


class _MinusBias(_NoBias):
    def biases(self, weights: Weights) -> list[Array]:
        return [-b for b in Twin.biases(self, weights)]

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = Twin.parameter_gradients(self, tape, dz)
        return dWx, dWh, -db if self.own else db


class _BiasAtSomeSteps(Twin):
    """The bias is missing at step 0, or at all others."""

    at_first = False
    own = False

    def step(self, tape: Tape, t: int, recurrent: Array) -> None:
        if (t == 0) != self.at_first:
            recurrent = recurrent - sum(self.biases(tape.weights), np.zeros(self.case.H))
        super().step(tape, t, recurrent)

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(tape, dz)
        return dWx, dWh, (dz[:1] if self.at_first else dz[1:]).sum(axis=(0, 2)) if self.own else db


class _Rewoven(Twin):
    """The cells' matrices are rewritten; the gradients are turned back to where they belong, or not."""

    turns_back = True
    forward_only = False

    def woven(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        """What the layer takes for Wx and Wh; applied twice it gives them back."""
        raise NotImplementedError

    def cells(self, call: Call) -> Sequence[Weights]:
        self.own = [cell.Wx for cell in call.cells]
        result = []
        for cell in super().cells(call):
            Wx, Wh = self.woven(cell.Wx, cell.Wh)
            result.append(replace(cell, Wx=Wx, Wh=Wh))
        return result

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        if self.forward_only:
            for tape in tapes:
                Wx, Wh = self.woven(tape.weights.Wx, tape.weights.Wh)
                tape.weights = replace(tape.weights, Wx=Wx, Wh=Wh)
        return tapes

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        if self.turns_back and not self.forward_only:
            for found in gradients:
                found.dWx, found.dWh = self.woven(found.dWx, found.dWh)
        return gradients


class _WhTransposed(_Rewoven):
    def woven(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return Wx, Wh.swapaxes(-1, -2)


class _WxTransposed(_Rewoven):
    def woven(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return (Wx.swapaxes(-1, -2) if Wx.shape[-1] == Wx.shape[-2] else Wx), Wh


class _BothTransposed(_Rewoven):
    def woven(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return (Wx.swapaxes(-1, -2) if Wx.shape[-1] == Wx.shape[-2] else Wx), Wh.swapaxes(-1, -2)


class _Swapped(_Rewoven):
    def woven(self, Wx: Array, Wh: Array) -> tuple[Array, Array]:
        return (Wh, Wx) if Wx.shape == Wh.shape else (Wx, Wh)


class _Given(Twin):
    """The tensors handed out are others than those computed."""

    reports_only = False

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        self.rewrite(call, runs)
        return runs

    def rewrite(self, call: Call, runs: Answer) -> None:
        """Change what is handed out."""
        raise NotImplementedError


class _Final(Twin):
    """Another state is taken for the last."""

    def final(self, tape: Tape) -> Array:
        return self.taken(tape)

    def taken(self, tape: Tape) -> Array:
        """It, [runs, B, H]."""
        raise NotImplementedError


class _FinalFirst(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[1]


class _FinalEarlier(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[-2] if len(tape.h) > 2 else tape.h[-1]


class _FinalBefore(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[-2]


class _FinalStart(_Final):
    def taken(self, tape: Tape) -> Array:
        return tape.h[0]


class _FinalZero(_Final):
    def taken(self, tape: Tape) -> Array:
        return np.zeros_like(tape.h[0])


class _FinalZ(_Final):
    apart = True

    def taken(self, tape: Tape) -> Array:
        return tape.z[-1]


class _OutputsReversed(_Given):
    def rewrite(self, call: Call, runs: Answer) -> None:
        runs["hs"] = runs["hs"][:, :, ::-1]


class _OutputsEarly(Twin):
    """hs begins with h_0."""

    def outputs(self, tape: Tape) -> Array:
        states = tape.h[:-1]
        return states if tape.running is None else np.where(tape.running[:, None, :, None], states, 0.0)


class _OutputsOfLast(_Given):
    def rewrite(self, call: Call, runs: Answer) -> None:
        runs["hs"] = np.broadcast_to(runs["hs"][:, :, -1:], runs["hs"].shape).copy()


class _OutputsBeforeTanh(Twin):
    apart = True

    def outputs(self, tape: Tape) -> Array:
        return tape.z if tape.running is None else np.where(tape.running[:, None, :, None], tape.z, 0.0)


class _ReadsBackwards(Twin):
    """The sequence is read from its end; outputs are put back in place, or stay as they come."""

    puts_back = True

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return super().inputs(call, valid)[::-1]

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        dhs = super().upstream(call, valid, shape)
        return dhs[::-1] if self.puts_back else dhs

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        for name in ("hs", "dx") if self.puts_back else ("dx",):
            runs[name] = runs[name][:, :, ::-1]
        return runs


class _OtherInput(Twin):
    """Steps get another input."""

    own = False

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return self.moved(super().inputs(call, valid))

    def moved(self, x: Array) -> Array:
        """The inputs as the steps get them."""
        raise NotImplementedError

    def back(self, dx: Array) -> Array:
        """Their gradients put where they came from; [runs, B, T, D]."""
        return dx

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = super().given(call, runs)
        return runs | {"dx": self.back(runs["dx"])} if self.own else runs


class _FirstInput(_OtherInput):
    def moved(self, x: Array) -> Array:
        return np.broadcast_to(x[:1], x.shape)

    def back(self, dx: Array) -> Array:
        first = np.zeros_like(dx)
        first[:, :, 0] = dx.sum(axis=2)
        return first


class _LateInput(_OtherInput):
    by: ClassVar[int] = 1
    wraps = True

    def moved(self, x: Array) -> Array:
        moved = np.roll(x, self.by, axis=0)
        if not self.wraps:
            moved[0 if self.by > 0 else -1] = 0
        return moved

    def back(self, dx: Array) -> Array:
        moved = np.roll(dx, -self.by, axis=2)
        if not self.wraps:
            moved[:, :, -1 if self.by > 0 else 0] = 0
        return moved


class _Centred(_OtherInput):
    def moved(self, x: Array) -> Array:
        return x - x.mean(axis=-1, keepdims=True)


class _Standard(_OtherInput):
    def moved(self, x: Array) -> Array:
        spread = x.std(axis=-1, keepdims=True)
        return (x - x.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1)


class _UnitLength(_OtherInput):
    def moved(self, x: Array) -> Array:
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        return x / np.where(length > 0, length, 1)


class _ClippedInput(_OtherInput):
    def moved(self, x: Array) -> Array:
        return np.clip(x, -1, 1)


class _Reshaped(Twin):
    """``reshape`` for the transpose of batch and time, of some of what goes in and out."""

    of: ClassVar[tuple[str, ...]] = ("xs", "hs", "dhs", "dx")

    def applies(self) -> bool:
        """Whether the case has the two axes that way."""
        case = self.case
        return case.kind == "time" or (case.kind == "nn" and case.batch_first and case.form == "batched")

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return super().inputs(self.turned(call), valid)

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        return super().upstream(self.turned(call), valid, shape)

    def turned(self, call: Call) -> Call:
        """With the arrays misread."""
        for name in {"xs", "dhs"} & {*self.of}:
            array = getattr(call, name)
            if array is not None and self.applies():
                B, T, width = array.shape
                changes: dict[str, Any] = {
                    name: np.ascontiguousarray(array).reshape(T, B, width).swapaxes(0, 1)
                }
                call = replace(call, **changes)
        return call

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        for name in {"hs", "dx"} & {*self.of}:
            if self.applies():
                value = runs[name]
                runs[name] = np.ascontiguousarray(value.swapaxes(1, 2)).reshape(value.shape)
        return runs


class _MemoryOrder(Twin):
    """Arrays are read in the order in which they lie in memory."""

    of: ClassVar[tuple[str, ...]] = ("xs",)

    def call(self, call: Call, before: Spread | None) -> Spread:
        names = {"xs": "dx", "dhs": "dx" if self.case.is_cell else "hs", "h_0": "h_n"}
        for name in self.of:
            if name in names and getattr(call, name) is not None:
                tensor = names[name]
                if self.case.is_cell and name == "dhs":
                    tensor = "dx"
                read = self.read(native(self.case, tensor, getattr(call, name)))
                changes: dict[str, Any] = {name: canonical(self.case, tensor, read)}
                call = replace(call, **changes)
        return super().call(call, before)

    def cells(self, call: Call) -> Sequence[Weights]:
        cells = super().cells(call)
        if "weights" not in self.of or self.case.kind not in ("time", "cell"):
            return cells
        return [replace(cell, Wx=self.read(cell.Wx), Wh=self.read(cell.Wh)) for cell in cells]

    def read(self, array: Array) -> Array:
        """As it lies."""
        return laid_out(array, self.case.layout).ravel(order="K").reshape(array.shape)


class _Blocks(Twin):
    """The batch goes in blocks, and what is behind the last whole one stays zero."""

    k: ClassVar[int] = 8
    inside = False

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        B = len(call.xs)
        if self.k < B and not self.case.is_cell:
            hs = runs["hs"].copy()
            hs[:, B // self.k * self.k :] = 0
            runs["hs"] = hs
        return runs

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for sample in precise(samples):
            if sample.case.B > 8 and sample.got and "hs" in sample.got[0]:
                zero = np.abs(sample.got[0]["hs"]).max(axis=(1, 2)) == 0
                whole = int(np.argmax(zero)) if zero.any() else 0
                if whole:
                    for k in {whole, whole // 2, whole // 3} - {0, 1}:
                        if sample.case.B // k * k == whole:
                            yield cls.having(k=k)


class _FixedLength(Twin):
    """Steps behind the k-th are not run."""

    k: ClassVar[int] = 3

    def valid(self, call: Call) -> Array | None:
        valid = super().valid(call)
        B, T, _ = call.xs.shape
        if self.k >= T:
            return valid
        short = np.broadcast_to(np.arange(T) < self.k, (B, T))
        return short if valid is None else short & valid

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for sample in samples:
            if sample.case.T >= 12 and sample.got and "hs" in sample.got[0]:
                zero = np.abs(sample.got[0]["hs"]).max(axis=(0, 2)) == 0
                if zero.any() and (k := int(np.argmax(zero))):
                    yield cls.having(k=k)
                return


class _DropoutOnOutput(Twin):
    """Outputs are dropped at random; which, the zeros among them say."""

    rate: ClassVar[float] = 0.5
    number = 0

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        runs["hs"] = runs["hs"] * self.kept(runs["hs"])
        self.number += 1
        return runs

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        dhs = super().upstream(call, valid, shape)
        return dhs * self.kept(dhs.transpose(1, 2, 0, 3)).transpose(2, 0, 1, 3)

    def kept(self, hs: Array) -> Array:
        """What each output is multiplied by, [1, B, T, H]."""
        if self.number < len(self.heard) and "hs" in self.heard[self.number]:
            mask = np.asarray(self.heard[self.number]["hs"] != 0, np.float64)[None]
        else:
            mask = np.asarray(np.arange(hs[:1].size).reshape(hs[:1].shape) % 3 > 0, np.float64)
        return mask / (1 - self.rate)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        chosen = precise(samples)
        rates = []
        for sample in chosen:
            for got, truth in zip(sample.got, sample.truths, strict=False):
                if "hs" in got and "hs" in truth:
                    kept = (got["hs"] != 0) & (truth["hs"] != 0)
                    if kept.any():
                        with np.errstate(all="ignore"):
                            rates.append(1 - 1 / float(np.median(got["hs"][kept] / truth["hs"][kept])))
        if rates and 1e-3 < np.median(rates) < 1 and not sample.case.is_cell:
            yield cls.having(rate=nice(float(np.median(rates)), max(1e-9, tolerance(chosen))))


class _DropoutAfterLast(_DropoutOnOutput):
    """After the last layer, too, in training."""

    def kept(self, hs: Array) -> Array:
        if not self.case.masked:
            return np.ones((1, 1, 1, 1))
        return super().kept(hs) * (1 - self.rate) / (1 - self.case.dropout)

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        wrong = [sample for sample in samples if sample.all_wrong]
        if wrong and all(sample.case.masked for sample in wrong):
            yield cls.having(rate=wrong[0].case.dropout)


class _Single(Twin):
    """Its errors are mostly some roundoffs of the lower precision, no more and not much less."""

    coarse = 2.0**-24

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        errors = [
            np.abs(got[name] / truth[name] - 1)[truth[name] != 0]
            for sample in precise(samples)
            for got, truth, wrong in zip(sample.got, sample.truths, sample.wrong, strict=False)
            for name in sorted(wrong)
        ]
        typical = float(np.median(np.concatenate(errors))) if errors else 0.0
        if cls.coarse / 1000 < typical < 16 * cls.coarse:
            yield cls


class _Half(_Single):
    coarse = 2.0**-11
