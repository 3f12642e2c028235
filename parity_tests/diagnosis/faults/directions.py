"""Faults of the two directions."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import STACKS, FaultyLoop, Variant, fault
from parity_tests.diagnosis.faults.shared import KnowsItsCell
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace


@fault(
    "dx of one direction only",
    sentence="The gradient of a layer's input lacks one direction's part:",
    look="look for `=` where the two directions' parts are to be added.",
    layers=STACKS,
    variants=(
        {},
        {"direction_kept": 0},
    ),
)
class OneDirectionOnly(FaultyLoop):
    """dx is that of one direction only."""

    direction_kept = 1

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        return parts[self.direction_kept] if len(parts) == 2 else super().summed(parts, above, layer)


@fault(
    "reverse direction not reversed",
    sentence="The reverse direction reads its input from the front:",
    look="look for the reversal of time that is missing.",
    layers=STACKS,
    variants=(
        {},
        {"left": ("input",)},
        {"left": ("input", "gradient")},
    ),
)
@fault(
    "reverse outputs not turned back",
    sentence="The reverse direction's outputs stay in the order in which they were made:",
    look="look for the second reversal of time, that of the output.",
    layers=STACKS,
    variants=(
        {"left": ("output",)},
        {"left": ("output", "upstream")},
    ),
)
@fault(
    "reverse gradients not turned",
    sentence="In the backward of the reverse direction, time is not reversed:",
    look="look for the upstream gradient, or dx, of the reverse direction.",
    layers=STACKS,
    variants=(
        {"left": ("upstream",)},
        {"left": ("gradient",)},
    ),
)
class NotReversed(FaultyLoop):
    """The reverse direction does not reverse some of its tensors: those named in ``left``."""

    left: tuple[str, ...] = ("input", "output", "upstream", "gradient")

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        return values if what in self.left else super().flipped(values, flips, what)


@fault(
    "batch flipped in place of time",
    sentence="The reverse direction reverses the batch axis instead of time:",
    look="look for the axis of `np.flip` (or `[::-1]`).",
    layers=STACKS,
)
class FlippedBatch(KnowsItsCell):
    """The reverse direction reverses the batch axis instead of time."""

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        if running is not None and self.case.bidirectional and self.cell_number % 2 == 0:
            running = running[:, ::-1]
        return super().forward(weights, x, h_0, running)

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        return values[:, :, ::-1]


@fault(
    "directions interleaved in the output",
    sentence="The axes of direction and hidden unit are swapped in the output:",
    look="look for `np.stack` along the last axis where `np.concatenate` is due.",
    layers=STACKS,
    variants=(
        {},
        {"last_only": True},
    ),
)
class Interleaved(FaultyLoop):
    """Directions and hidden units are interleaved in the outputs of all layers, or of the last only."""

    last_only = False

    def joined(self, outputs: list[Array]) -> Array:
        if len(outputs) == 1 or self.last_only:
            return super().joined(outputs)
        return self.reordered(super().joined(outputs))

    def part(self, values: Array, direction: int) -> Array:
        if not self.case.bidirectional or self.last_only:
            return super().part(values, direction)
        return values[..., direction::2]

    def reordered(self, values: Array) -> Array:
        """Return ``values`` [..., directions * H] with the units of the two directions alternating."""
        apart = values.reshape(*values.shape[:-1], 2, self.case.H)
        return apart.swapaxes(-1, -2).reshape(values.shape)

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = super().as_returned(call, runs)
        return (
            runs | {"hs": self.reordered(runs["hs"])} if self.last_only and self.case.bidirectional else runs
        )


@fault(
    "directions swapped in the output",
    sentence="The reverse direction's half comes first in the output:",
    look="look for the order in `np.concatenate`.",
    layers=STACKS,
    variants=(
        {},
        {"last_only": True},
    ),
)
class ReverseFirst(Interleaved):
    """The reverse direction's half comes first in the output."""

    def part(self, values: Array, direction: int) -> Array:
        if not self.case.bidirectional or self.last_only:
            return FaultyLoop.part(self, values, direction)
        return FaultyLoop.part(self, values, 1 - direction)

    def reordered(self, values: Array) -> Array:
        return np.roll(values, self.case.H, axis=-1)


@fault(
    "backward turns a longer buffer",
    sentence="The backward of the reverse direction reverses a buffer of a multiple of {k} steps, longer than the sequence:",
    look="look for a reversal of the allocated length where that of the sequence is due.",
    layers=STACKS,
    variants=(
        {},
        {"whole_rows_only": False},
    ),
)
class LongBuffer(FaultyLoop):
    """The backward reverses a buffer of a multiple of k steps, longer than the sequence.

    With ``whole_rows_only`` this happens only without padding.
    """

    k: int = 8
    whole_rows_only = True

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        T = len(values)
        extra = -T % self.k
        if what != "upstream" or (self.whole_rows_only and (flips[-1] != 0).any()):
            return super().flipped(values, flips, what)
        buffer = np.zeros((T + extra, *values.shape[1:]))
        buffer[:T] = values
        return buffer[::-1][:T]

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for k in (4, 8, 10, 16, 32, 64):
            yield variant.with_constants(k=k)
