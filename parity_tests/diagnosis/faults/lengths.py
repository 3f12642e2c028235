"""Faults of sequences of unequal lengths: padding, sorting and packing."""

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import STACKS, FaultyLoop, fault
from parity_tests.diagnosis.faults.shared import KnowsItsCell
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_loop import Spread, time_major


@fault(
    "reverse direction starts in the padding",
    sentence="With unequal lengths the reverse direction starts at the end of the padded row:",
    look="look for a reversal of the whole row: each row must be reversed within its length.",
    layers=STACKS,
    variants=tuple({"zeroed": zeroed, "clean": clean} for zeroed in (False, True) for clean in (True, False)),
)
class WholeRowReversed(KnowsItsCell):
    """The reverse direction starts at the end of the padded row; with ``zeroed`` the padding is zero."""

    zeroed = False
    clean = True
    """Whether gradients of the padding are dropped between layers."""

    def part(self, values: Array, direction: int) -> Array:
        part = super().part(values, direction)
        valid = self.valid(self.current_call)
        return part if valid is None or not self.clean else np.where(valid.T[:, None, :, None], part, 0.0)

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return super().inputs(call, valid) if self.zeroed else time_major(call.xs, None)[:, None]

    def flips(self, call: Call) -> Array:
        B, T, _ = call.xs.shape
        return np.broadcast_to(np.arange(T)[::-1, None], (T, B))

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        reverse = self.case.bidirectional and self.cell_number % 2 == 0
        return super().forward(weights, x, h_0, None if reverse else running)

    def joined(self, outputs: list[Array]) -> Array:
        joined = super().joined(outputs)
        valid = self.valid(self.current_call)
        return joined if valid is None else np.where(valid.T[:, None, :, None], joined, 0.0)


class GradientInPadding(KnowsItsCell):
    """Changes the gradient of the state that is held through the padding.

    With ``turned`` the reverse direction reverses rows within their lengths, so that its padding, too,
    comes after the row. Otherwise the padding comes before the row, and only dh_0 is affected.
    """

    turned = True
    padding_comes_first: bool

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        self.padding_comes_first = self.reverse(trace) and not self.turned and trace.running is not None
        if not self.padding_comes_first:
            return super().backward(trace, dhs, dh_n)
        assert trace.running is not None  # there is padding
        padding = ~trace.running[:, None, :, None]
        found = super().backward(trace, np.where(padding, 0.0, dhs), dh_n)
        found.dh_0 = self.at_padding(found.dh_0, np.where(padding, dhs, 0.0).sum(axis=0), padding[-1])
        return found

    def carry_in_padding(self, carry: Array, dhs: Array) -> Array:
        return carry if self.padding_comes_first else self.at_padding(carry, dhs, np.asarray(True))

    def at_padding(self, carry: Array, dhs: Array, where: Array) -> Array:
        """Return the carry at a padded step."""
        raise NotImplementedError


@fault(
    "carry cut in the padding",
    sentence="Gradients do not go through the padding, so that d_h_n of short rows is lost:",
    look="look for a carry multiplied by the mask, which is to be kept where the mask is 0.",
    layers=STACKS,
    variants=(
        {},
        {"turned": False},
    ),
)
class CutInPadding(GradientInPadding):
    def at_padding(self, carry: Array, dhs: Array, where: Array) -> Array:
        return np.where(where, 0.0, carry)


@fault(
    "padding leaks into the gradient",
    sentence="The upstream gradients of padded steps reach the rows:",
    look="look for `d_output` that is added to a state held after the end of a row.",
    layers=STACKS,
    variants=(
        {},
        {"turned": False},
    ),
)
class PaddingLeaks(GradientInPadding):
    """Upstream gradients of the padding are added to the carry."""

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        return super().upstream(call, None, shape)

    def at_padding(self, carry: Array, dhs: Array, where: Array) -> Array:
        return carry + dhs


@fault(
    "lengths ignored",
    sentence="Rows run through their padding:",
    look="look for `lengths` that is never used.",
    layers=STACKS,
)
class LengthsIgnored(FaultyLoop):
    def call(self, call: Call, before: Spread | None) -> Spread:
        return super().call(replace(call, lengths=None), before)


@fault(
    "outputs held in the padding",
    sentence="After the end of a row the output repeats its last value instead of zeros:",
    look="look for the output of the steps at which the state is held.",
    layers=STACKS,
)
class OutputsHeld(FaultyLoop):
    """After the end of a row the output repeats its last value."""

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = super().as_returned(call, runs)
        if call.lengths is None:
            return runs
        hs, (B, T, _) = runs["hs"], call.xs.shape
        last = hs[:, np.arange(B), call.lengths - 1][:, :, None]
        valid = (np.arange(T) < call.lengths[:, None])[None, :, :, None]
        return runs | {"hs": np.where(valid, hs, last)}


@fault(
    "rows left sorted by length",
    sentence="Rows are sorted by length and some tensors are not put back (or not sorted) with the rest:",
    look="look for `argsort` of the lengths, and its inverse, at output, h_n and hx.",
    layers=STACKS,
    variants=(
        {},
        {"tensors": ("h_n",)},
        {"tensors": ("hs",)},
        {"tensors": ("h_0", "dh_0")},
        {"tensors": ("h_0",)},
        {"tensors": ("hs", "h_n", "dx", "dh_0")},
        {"tensors": ("h_0", "h_n", "dh_0")},
    ),
)
class RowsLeftSorted(FaultyLoop):
    """Rows are sorted by length, and the tensors in ``tensors`` are not sorted back."""

    tensors: tuple[str, ...] = ("hs", "h_n")

    def rows(self, call: Call) -> Array:
        """Return the order of the sorted rows."""
        lengths = np.full(len(call.xs), call.xs.shape[1]) if call.lengths is None else call.lengths
        return np.argsort(-lengths, kind="stable")

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        if "h_0" not in self.tensors or starts.shape[2] == 1:
            return starts
        mixed = np.empty_like(starts)
        mixed[:, :, self.rows(call)] = starts
        return mixed

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        axes = {"hs": 1, "dx": 1, "h_n": 2, "dh_0": 2}
        for name in self.tensors:
            if name in axes:
                runs[name] = np.take(runs[name], self.rows(call), axis=axes[name])
        return runs


@fault(
    "packed data in the wrong layout",
    sentence="Packed data is read row by row instead of step by step:",
    look="look for the order of rows and steps in a packed sequence.",
    layers=STACKS,
    variants=(
        {},
        {"tensors": ("dx",)},
        {"tensors": ("hs", "dx")},
    ),
)
class PackedByRow(FaultyLoop):
    """Packed data is stored row by row instead of step by step."""

    tensors: tuple[str, ...] = ("hs",)

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        if self.case.form == "packed":
            B, T, _ = call.xs.shape
            lengths = np.full(B, T) if call.lengths is None else call.lengths
            rows = [int(row) for row in np.argsort(-lengths, kind="stable")]
            by_step = [(row, t) for t in range(T) for row in rows if t < lengths[row]]
            by_row = [(row, t) for row in rows for t in range(lengths[row])]
            for name in self.tensors:
                mixed = np.zeros_like(runs[name])
                for (row, t), (other, step) in zip(by_step, by_row, strict=True):
                    mixed[:, row, t] = runs[name][:, other, step]
                runs[name] = mixed
        return runs
