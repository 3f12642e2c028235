"""Faults of the state that enters a step."""

from collections.abc import Iterator, Sequence

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, Twin, Variant, fault, nice, tolerance
from parity_tests.diagnosis.samples import Sample, precise
from parity_tests.references.float64_cell import Tape
from parity_tests.references.float64_loop import Spread


@fault(
    "state never advances",
    sentence="Each step starts from h_0 instead of the state before:",
    look="look for a new state under another name than the loop reads.",
    kinds=SEQUENCES,
    variants=tuple({"knows": knows} for knows in (0, 1, 2)),
)
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


@fault(
    "state zeroed at every step",
    sentence="The state is zero before every step but the first:",
    look="look for a state made anew inside the loop.",
    kinds=SEQUENCES,
    variants=(
        {},
        {"knows": False},
    ),
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


@fault(
    "recurrent term missing",
    sentence="The states depend on their own step's input only:",
    look="look for `h_prev @ Wh` that is never added.",
    kinds=SEQUENCES,
    variants=(
        {},
        {"own": False},
    ),
)
class _NoRecurrence(Twin):
    """The recurrent term is never added; the backward is the right one, or its own."""

    own = True

    def previous(self, tape: Tape, t: int) -> Array:
        return np.zeros_like(tape.h[t])

    def befores(self, tape: Tape) -> Array:
        return np.zeros_like(tape.h[1:]) if self.own else super().befores(tape)

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return np.zeros_like(dz) if self.own else super().carry(tape, t, dz)


@fault(
    "state runs from row to row",
    sentence="A batch row starts from the final state of the row before it:",
    look="look for a loop over rows that does not take each row's own start.",
    variants=(
        {},
        {"knows": False},
    ),
)
class _RowToRow(Twin):
    """Row r starts where row r - 1 ended; dWh meets that, or what h_0 says."""

    knows = True
    start_before_fault: Array

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        runs, B, H = self.noise.runs, x.shape[2], self.case.H
        self.start_before_fault = np.broadcast_to(h_0, (h_0.shape[0], B, H))
        start = np.broadcast_to(self.start_before_fault[:, :1], (runs, 1, H))
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
            states[0] = self.start_before_fault
        return states


@fault(
    "first row's start for all rows",
    sentence="All batch rows start from the first row's state:",
    look="look for `h_0[0]`, or a state without a batch axis.",
)
class _FirstRowStart(Twin):
    """All rows start from row 0's state."""

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return np.broadcast_to(starts[:, :, :1], starts.shape)


@fault(
    "first row drives all rows",
    sentence="Every row's step takes the first row's state:",
    look="look for `h[0]` where `h` is due.",
    variants=(
        {},
        {"knows": True},
    ),
)
@fault(
    "state averaged over the batch",
    sentence="The state is averaged over the batch before it enters a step:",
    look="look for `.mean(axis=0)` on the state.",
    variants=(
        {"mean": True},
        {"mean": True, "knows": True},
    ),
)
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


@fault(
    "start from a constant",
    sentence="Without an initial state the layer starts from {constant:g} instead of zeros:",
    look="look for `np.ones` or `np.full` where `np.zeros` is due.",
    kinds=("time", "nn"),
)
class _StartConstant(Twin):
    """Where no state is given the layer starts from a constant."""

    constant: float = 1.0

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return starts + self.constant if call.h_0 is None and not call.carries else starts

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
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
                    yield variant.with_constants(constant=nice(value, max(1e-7, tolerance([sample]))))
                return
