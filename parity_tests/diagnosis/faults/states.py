"""Faults of the state that enters a step."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, FaultyLoop, Variant, fault
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Spread


@fault(
    "state never advances",
    sentence="Each step starts from h_0 instead of the state before:",
    look="look for a new state under another name than the loop reads.",
    layers=SEQUENCES,
    variants=tuple({"backward_knows": knows} for knows in (0, 1, 2)),
)
class StateStays(FaultyLoop):
    """Each step starts from h_0.

    ``backward_knows``: 0 if the backward is that of the right layer, 1 if dWh uses h_0 too, 2 if the
    carry is dropped as well.
    """

    backward_knows = 0

    def previous(self, trace: CellTrace, t: int) -> Array:
        return trace.h[0]

    def previous_states(self, trace: CellTrace) -> Array:
        return (
            np.broadcast_to(trace.h[0], trace.h[1:].shape)
            if self.backward_knows
            else super().previous_states(trace)
        )

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        through = super().carry(trace, t, dz)
        return np.zeros_like(through) if self.backward_knows == 2 else through

    def start_gradient(self, trace: CellTrace, carry: Array) -> Array:
        if self.backward_knows < 2:
            return carry
        return sum(
            (super(StateStays, self).carry(trace, t, dz) for t, dz in enumerate(trace.dz)),
            np.zeros_like(carry),
        )


@fault(
    "state zeroed at every step",
    sentence="The state is zero before every step but the first:",
    look="look for a state made anew inside the loop.",
    layers=SEQUENCES,
    variants=(
        {},
        {"backward_knows": False},
    ),
)
class ZeroEachStep(FaultyLoop):
    """The state is set to zero before each step except the first."""

    backward_knows = True

    def previous(self, trace: CellTrace, t: int) -> Array:
        return trace.h[t] if t == 0 else np.zeros_like(trace.h[t])

    def previous_states(self, trace: CellTrace) -> Array:
        if not self.backward_knows:
            return super().previous_states(trace)
        states = np.zeros_like(trace.h[1:])
        states[0] = trace.h[0]
        return states

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return np.zeros_like(dz) if t and self.backward_knows else super().carry(trace, t, dz)


@fault(
    "start state aliased to the last state",
    sentence="The first step reads the last row of the buffer of states for h_0, and so does dWh:",
    look="look for `states[t - 1]` at t = 0, an index of -1 that wraps around; keep h_0 in a row of its own.",
    layers=SEQUENCES,
    variants=(
        {},
        {"buffer_kept": True},
    ),
)
class StartInLastRow(FaultyLoop):
    """The loop reads states[t - 1] at t = 0, and the backward reads it again.

    The buffer is zero at first; with ``buffer_kept`` it holds the states of the call before.
    """

    buffer_kept = False

    def starts(self, call: Call, before: Spread | None) -> Array:
        B, T, _ = call.xs.shape
        if self.buffer_kept and before is not None and before.runs["hs"].shape[1:3] == (B, T):
            return before.runs["h_n"].swapaxes(0, 1)
        return np.zeros((len(call.weights), 1, B, self.case.H))

    def previous_states(self, trace: CellTrace) -> Array:
        return np.concatenate([trace.h[-1:], super().previous_states(trace)[1:]])


@fault(
    "recurrent term missing",
    sentence="The states depend on their own step's input only:",
    look="look for `h_prev @ Wh` that is never added.",
    layers=SEQUENCES,
    variants=(
        {},
        {"own_backward": False},
    ),
)
class NoRecurrence(FaultyLoop):
    """The recurrent term is never added."""

    own_backward = True

    def previous(self, trace: CellTrace, t: int) -> Array:
        return np.zeros_like(trace.h[t])

    def previous_states(self, trace: CellTrace) -> Array:
        return np.zeros_like(trace.h[1:]) if self.own_backward else super().previous_states(trace)

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return np.zeros_like(dz) if self.own_backward else super().carry(trace, t, dz)


@fault(
    "state runs from row to row",
    sentence="A batch row starts from the final state of the row before it:",
    look="look for a loop over rows that does not take each row's own start.",
    variants=(
        {},
        {"backward_knows": False},
    ),
)
class RowToRow(FaultyLoop):
    """Row r starts from the final state of row r - 1.

    With ``backward_knows`` dWh uses that state at the first step, otherwise the initial state given.
    """

    backward_knows = True
    start_before_fault: Array

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        runs, B, H = self.noise.runs, x.shape[2], self.case.H
        self.start_before_fault = np.broadcast_to(h_0, (h_0.shape[0], B, H))
        start = np.broadcast_to(self.start_before_fault[:, :1], (runs, 1, H))
        rows: list[CellTrace] = []
        for r in range(B):
            alive = None if running is None else running[:, r : r + 1]
            rows.append(super().forward(weights, x[:, :, r : r + 1], start, alive))
            start = rows[-1].h[-1]
        sums, h = (np.concatenate([getattr(row, name) for row in rows], axis=2) for name in ("sums", "h"))
        return CellTrace(weights, x, sums, h, running, rows[0].preactivations_kept)

    def previous_states(self, trace: CellTrace) -> Array:
        states = super().previous_states(trace).copy()
        if not self.backward_knows:
            states[0] = self.start_before_fault
        return states


@fault(
    "first row's start for all rows",
    sentence="All batch rows start from the first row's state:",
    look="look for `h_0[0]`, or a state without a batch axis.",
)
class FirstRowStart(FaultyLoop):
    """All rows start from the initial state of row 0."""

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return np.broadcast_to(starts[:, :, :1], starts.shape)


@fault(
    "first row drives all rows",
    sentence="Every row's step takes the first row's state:",
    look="look for `h[0]` where `h` is due.",
    variants=(
        {},
        {"backward_knows": True},
    ),
)
@fault(
    "state averaged over the batch",
    sentence="The state is averaged over the batch before it enters a step:",
    look="look for `.mean(axis=0)` on the state.",
    variants=(
        {"mean": True},
        {"mean": True, "backward_knows": True},
    ),
)
class FirstRowDrives(FaultyLoop):
    """Every step uses the state of row 0, or with ``mean`` the mean of all rows."""

    mean = False
    backward_knows = False

    def shared_state(self, states: Array) -> Array:
        """Return what is used in place of the rows' own states [..., B, H]."""
        one = states.mean(axis=-2, keepdims=True) if self.mean else states[..., :1, :]
        return np.broadcast_to(one, states.shape)

    def previous(self, trace: CellTrace, t: int) -> Array:
        return self.shared_state(trace.h[t])

    def previous_states(self, trace: CellTrace) -> Array:
        return self.shared_state(trace.h[:-1]) if self.backward_knows else super().previous_states(trace)

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        through = super().carry(trace, t, dz)
        if not self.backward_knows:
            return through
        if self.mean:
            return self.shared_state(through)
        first = np.zeros_like(through)
        first[:, 0] = through.sum(axis=1)
        return first


@fault(
    "start from a constant",
    sentence="Without an initial state the layer starts from {constant:g} instead of zeros:",
    look="look for `np.ones` or `np.full` where `np.zeros` is due.",
    layers=("TimeRNN", "nn.RNN"),
)
class StartConstant(FaultyLoop):
    """If no initial state is given, the layer starts from a constant."""

    constant: float = 1.0

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return starts + self.constant if call.h_0 is None and not call.carries else starts

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in prefer_float64(samples):
            case, call = sample.case, sample.calls[0]
            if (
                call.h_0 is None
                and case.num_cells == 1
                and not case.relu
                and sample.got
                and "hs" in sample.got[0]
            ):
                x, got = np.asarray(call.xs[:, 0], np.float64), sample.got[0]["hs"][:, 0]
                cell = call.weights[0]
                bias = sum(np.asarray(b, np.float64) for b in (cell.b, cell.b_hh) if b is not None)
                with np.errstate(all="ignore"):
                    excess = np.arctanh(got) - x @ np.asarray(cell.Wx, np.float64) - bias
                each = excess / np.asarray(cell.Wh, np.float64).sum(axis=0)
                sure = np.abs(got) < 0.95
                value = float(np.median(each[sure])) if sure.any() else 0.0
                if abs(value) > 1e-6 and np.allclose(each[sure], value, rtol=1e-3):
                    yield variant.with_constants(
                        constant=round_constant(value, max(1e-7, constant_tolerance([sample])))
                    )
                return
