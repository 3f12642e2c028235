"""Faults of inputs and outputs: moved in time, misread, or not computed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.cases.tensors import Answer, canonical, native
from parity_tests.diagnosis.faults.faulty_loop import (
    BOTH_BACKWARDS,
    SEQUENCES,
    FaultyLoop,
    Variant,
    fault,
    register,
)
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Spread


class ChangedResults(FaultyLoop):
    """The tensors returned differ from those computed."""

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        self.change_results(call, runs)
        return runs

    def change_results(self, call: Call, runs: Answer) -> None:
        """Change the tensors in ``runs``, [runs, ...] each."""
        raise NotImplementedError


@fault(
    "outputs reversed in time",
    sentence="hs is in reversed order of time:",
    look="look for a list that is filled at its front.",
    layers=SEQUENCES,
)
class OutputsReversed(ChangedResults):
    def change_results(self, call: Call, runs: Answer) -> None:
        runs["hs"] = runs["hs"][:, :, ::-1]


@fault(
    "outputs one step late",
    sentence="hs begins with h_0 and lacks the last state:",
    look="look for `states[:-1]` where `states[1:]` is due.",
    layers=SEQUENCES,
)
class OutputsLate(FaultyLoop):
    """hs begins with h_0."""

    def outputs(self, trace: CellTrace) -> Array:
        states = trace.h[:-1]
        return states if trace.running is None else np.where(trace.running[:, None, :, None], states, 0.0)


@fault(
    "last output at every step",
    sentence="hs is the last state at every step:",
    look="look for one array that all steps write to and a list that holds it many times.",
    layers=SEQUENCES,
)
class LastOutputEverywhere(ChangedResults):
    def change_results(self, call: Call, runs: Answer) -> None:
        runs["hs"] = np.broadcast_to(runs["hs"][:, :, -1:], runs["hs"].shape).copy()


@fault(
    "outputs before the nonlinearity",
    sentence="hs are the pre-activations:",
    look="look for `z` returned where `{function}(z)` is due.",
    layers=SEQUENCES,
)
class OutputsBeforeTanh(FaultyLoop):
    keep_preactivations = True

    def outputs(self, trace: CellTrace) -> Array:
        return trace.z if trace.running is None else np.where(trace.running[:, None, :, None], trace.z, 0.0)


@fault(
    "sequence read from its end",
    sentence="The sequence is read from its end:",
    look="look for `xs[:, ::-1]`, or a loop that runs backwards in the forward.",
    layers=SEQUENCES,
    variants=(
        {},
        {"puts_back": False},
    ),
)
class ReadsBackwards(FaultyLoop):
    """The sequence is read from its end; with ``puts_back`` outputs and dx are reversed again."""

    puts_back = True

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return super().inputs(call, valid)[::-1]

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        dhs = super().upstream(call, valid, shape)
        return dhs[::-1] if self.puts_back else dhs

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        for name in ("hs", "dx") if self.puts_back else ("dx",):
            runs[name] = runs[name][:, :, ::-1]
        return runs


class OtherInput(FaultyLoop):
    """The steps get another input."""

    own_backward = False

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return self.changed_input(super().inputs(call, valid))

    def changed_input(self, x: Array) -> Array:
        """Return the inputs that the steps get, [T, 1, B, D]."""
        raise NotImplementedError

    def gradient_of_input(self, dx: Array) -> Array:
        """Return dx [runs, B, T, D] with each gradient at the step that its input came from."""
        return dx

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = super().as_returned(call, runs)
        return runs | {"dx": self.gradient_of_input(runs["dx"])} if self.own_backward else runs


@fault(
    "first input at every step",
    sentence="Every step gets the first step's input:",
    look="look for `xs[:, 0]` where `xs[:, t]` is due.",
    layers=SEQUENCES,
    variants=(
        {},
        {"own_backward": True},
    ),
)
class FirstInput(OtherInput):
    def changed_input(self, x: Array) -> Array:
        return np.broadcast_to(x[:1], x.shape)

    def gradient_of_input(self, dx: Array) -> Array:
        first = np.zeros_like(dx)
        first[:, :, 0] = dx.sum(axis=2)
        return first


@fault(
    "input at the first step only",
    sentence="The first step alone gets an input:",
    look="look for an `x` that enters before the loop over the steps, as in a network with one input.",
    layers=SEQUENCES,
    variants=BOTH_BACKWARDS,
)
class InputOnlyFirst(OtherInput):
    def changed_input(self, x: Array) -> Array:
        first = np.zeros_like(x)
        first[0] = x[0]
        return first

    def gradient_of_input(self, dx: Array) -> Array:
        first = np.zeros_like(dx)
        first[:, :, 0] = dx[:, :, 0]
        return first


@fault(
    "inputs one step off",
    sentence="Each step gets the input of its neighbour:",
    look="look for `xs[:, t - 1]` or `xs[:, t + 1]` where `xs[:, t]` is due.",
    layers=SEQUENCES,
    variants=tuple(
        {"shift": by, "wraps": wraps, "own_backward": own}
        for by in (1, -1)
        for wraps in (True, False)
        for own in (True, False)
    ),
)
class ShiftedInput(OtherInput):
    shift: int = 1
    wraps = True

    def changed_input(self, x: Array) -> Array:
        moved = np.roll(x, self.shift, axis=0)
        if not self.wraps:
            moved[0 if self.shift > 0 else -1] = 0
        return moved

    def gradient_of_input(self, dx: Array) -> Array:
        moved = np.roll(dx, -self.shift, axis=2)
        if not self.wraps:
            moved[:, :, -1 if self.shift > 0 else 0] = 0
        return moved


class CentredInput(OtherInput):
    def changed_input(self, x: Array) -> Array:
        return x - x.mean(axis=-1, keepdims=True)


class StandardizedInput(OtherInput):
    def changed_input(self, x: Array) -> Array:
        spread = x.std(axis=-1, keepdims=True)
        return (x - x.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1)


class UnitLengthInput(OtherInput):
    def changed_input(self, x: Array) -> Array:
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        return x / np.where(length > 0, length, 1)


class ClippedInput(OtherInput):
    def changed_input(self, x: Array) -> Array:
        return np.clip(x, -1, 1)


register(
    "input normalized",
    sentence="The inputs are centred, scaled or clipped before they are used:",
    look="look for a mean, a norm or `np.clip` on the input.",
    loops=(CentredInput, StandardizedInput, UnitLengthInput, ClippedInput),
)


@fault(
    "reshape in place of a transpose",
    sentence="Batch and time are exchanged by a reshape, which mixes the rows:",
    look="look for `reshape(T, B, ...)` where `swapaxes(0, 1)` is due.",
    layers=SEQUENCES,
    variants=tuple(
        {"tensors": of}
        for of in (
            ("xs", "hs", "dhs", "dx"),
            ("hs",),
            ("dx",),
            ("xs",),
            ("dhs",),
            ("xs", "hs"),
            ("hs", "dhs"),
            ("xs", "dx"),
            ("hs", "dx"),
        )
    ),
)
class Reshaped(FaultyLoop):
    """Batch and time of ``tensors`` are exchanged by ``reshape`` in place of a transpose."""

    tensors: tuple[str, ...] = ("xs", "hs", "dhs", "dx")

    def applies(self) -> bool:
        """Return whether the layer has to exchange the two axes in this case."""
        case = self.case
        return case.layer == "TimeRNN" or (
            case.layer == "nn.RNN" and case.batch_first and case.form == "batched"
        )

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return super().inputs(self.misread(call), valid)

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        return super().upstream(self.misread(call), valid, shape)

    def misread(self, call: Call) -> Call:
        """Return the call with its arrays misread."""
        for name in {"xs", "dhs"} & {*self.tensors}:
            array = getattr(call, name)
            if array is not None and self.applies():
                B, T, width = array.shape
                changes: dict[str, Any] = {
                    name: np.ascontiguousarray(array).reshape(T, B, width).swapaxes(0, 1)
                }
                call = replace(call, **changes)
        return call

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        for name in {"hs", "dx"} & {*self.tensors}:
            if self.applies():
                value = runs[name]
                runs[name] = np.ascontiguousarray(value.swapaxes(1, 2)).reshape(value.shape)
        return runs


@fault(
    "arrays read in memory order",
    sentence="An array that is transposed or in Fortran order is misread:",
    look="look for `ravel(order='K')`, a raw buffer, or strides that are ignored.",
    variants=tuple(
        {"tensors": of}
        for of in (
            ("xs",),
            ("dhs",),
            ("h_0",),
            ("weights",),
            ("xs", "dhs"),
            ("xs", "dhs", "h_0"),
            ("xs", "dhs", "h_0", "weights"),
        )
    ),
)
class MemoryOrder(FaultyLoop):
    """Arrays are read in memory order, whatever their strides."""

    tensors: tuple[str, ...] = ("xs",)

    def call(self, call: Call, before: Spread | None) -> Spread:
        names = {"xs": "dx", "dhs": "dx" if self.case.is_cell else "hs", "h_0": "h_n"}
        for name in self.tensors:
            if name in names and getattr(call, name) is not None:
                tensor = names[name]
                if self.case.is_cell and name == "dhs":
                    tensor = "dx"
                read = self.read(native(self.case, tensor, getattr(call, name)))
                changes: dict[str, Any] = {name: canonical(self.case, tensor, read)}
                call = replace(call, **changes)
        return super().call(call, before)

    def cells(self, call: Call) -> Sequence[CellWeights]:
        cells = super().cells(call)
        if "weights" not in self.tensors or self.case.layer not in ("TimeRNN", "RNN"):
            return cells
        return [replace(cell, Wx=self.read(cell.Wx), Wh=self.read(cell.Wh)) for cell in cells]

    def read(self, array: Array) -> Array:
        """Return the elements in memory order, in the shape of ``array``."""
        return laid_out(array, self.case.layout).ravel(order="K").reshape(array.shape)


@fault(
    "rows behind the last whole block zero",
    sentence="With more than {k} rows, the rows after the last whole block of {k} stay zero:",
    look="look for a loop over blocks of the batch that leaves out the rest.",
    layers=SEQUENCES,
)
class WholeBlocksOnly(FaultyLoop):
    """The batch is processed in blocks of k rows; the rows after the last whole block stay zero."""

    k: int = 8

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        B = len(call.xs)
        if self.k < B and not self.case.is_cell:
            hs = runs["hs"].copy()
            hs[:, B // self.k * self.k :] = 0
            runs["hs"] = hs
        return runs

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in prefer_float64(samples):
            if sample.case.B > 8 and sample.got and "hs" in sample.got[0]:
                zero = np.abs(sample.got[0]["hs"]).max(axis=(1, 2)) == 0
                whole = int(np.argmax(zero)) if zero.any() else 0
                if whole:
                    for k in {whole, whole // 2, whole // 3} - {0, 1}:
                        if sample.case.B // k * k == whole:
                            yield variant.with_constants(k=k)


@fault(
    "steps behind a fixed length not run",
    sentence="Steps after the first {k} are not run:",
    look="look for a maximal length.",
    layers=SEQUENCES,
)
class FixedLength(FaultyLoop):
    """Steps after the first k are not run."""

    k: int = 3

    def valid(self, call: Call) -> Array | None:
        valid = super().valid(call)
        B, T, _ = call.xs.shape
        if self.k >= T:
            return valid
        short = np.broadcast_to(np.arange(T) < self.k, (B, T))
        return short if valid is None else short & valid

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in samples:
            if sample.case.T >= 12 and sample.got and "hs" in sample.got[0]:
                zero = np.abs(sample.got[0]["hs"]).max(axis=(0, 2)) == 0
                if zero.any() and (k := int(np.argmax(zero))):
                    yield variant.with_constants(k=k)
                return
