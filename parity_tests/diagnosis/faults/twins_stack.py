"""Faults of stacks: layers, directions, lengths, dropout, final states."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import PARAMETERS, Twin
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_loop import Gradients, Spread, Tape, time_major


class _Numbered(Twin):
    """Knows which cell it is at."""

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.at = -1
        self.now = call
        self.numbers: dict[int, int] = {}
        return super().call(call, before)

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        self.at += 1
        return super().forward(weights, x, h_0, running)

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        self.numbers = {id(tape): number for number, tape in enumerate(tapes)}
        return super().recalled(tapes)

    def number(self, tape: Tape) -> int:
        """Of a tape's cell, in the forward as in the backward."""
        return self.numbers.get(id(tape), self.at)

    def reverse(self, tape: Tape) -> bool:
        """Whether it is of the reverse direction."""
        return self.case.bidirectional and self.number(tape) % 2 == 1


class _OneBias(Twin):
    """One bias is used twice, the other never."""

    which = 0

    def biases(self, weights: Weights) -> list[Array]:
        both = super().biases(weights)
        return [both[self.which]] * 2 if len(both) == 2 else both


class _LostBias(_OneBias):
    def biases(self, weights: Weights) -> list[Array]:
        both = Twin.biases(self, weights)
        return [both[self.which]] if len(both) == 2 else both


class _FedInput(Twin):
    def fed(self, first: Array, outputs: Array, layer: int) -> Array:
        if layer < self.case.layers - 1 and first.shape[-1] == outputs.shape[-1]:
            return np.broadcast_to(first, outputs.shape)
        return outputs


class _OneStart(Twin):
    """All cells start from the first one's initial state."""

    per_layer = False

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        step = self.case.directions if self.per_layer else 1
        return np.stack([starts[i % step] if self.per_layer else starts[0] for i in range(len(starts))])


class _OneState(_Numbered):
    """Each cell goes on from where the one before it ended."""

    ended: Array

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        tape = super().forward(weights, x, self.ended if self.at >= 0 else h_0, running)
        self.ended = tape.h[-1]
        return tape


class _SharedWeights(Twin):
    """Recurrent weights, or all where shapes allow, of other cells are used."""

    over_layers = True
    """Whether layer 0 serves all layers; else the forward direction serves both"""
    everything = False
    together = False
    """Whether the gradients go where the weights are"""

    def source(self, i: int) -> int:
        """Whose weights cell i uses."""
        dirs = self.case.directions
        return i % dirs if self.over_layers else i // dirs * dirs

    def cells(self, call: Call) -> Sequence[Weights]:
        cells = super().cells(call)
        result = []
        for i, cell in enumerate(cells):
            other = cells[self.source(i)]
            if self.everything and other.Wx.shape == cell.Wx.shape:
                result.append(other)
            else:
                result.append(replace(cell, Wh=other.Wh))
        return result

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        if self.together:
            for i, found in enumerate(gradients):
                other = gradients[self.source(i)]
                if other is not found:
                    for name in PARAMETERS if self.everything else ("dWh",):
                        mine, theirs = getattr(found, name), getattr(other, name)
                        if mine.shape == theirs.shape:
                            setattr(other, name, theirs + mine)
                            setattr(found, name, 0 * mine)
        return gradients


class _LoadedTransposed(Twin):
    """weight_hh is stored transposed when it is loaded, and right when it is updated in place."""

    loaded = False

    def cells(self, call: Call) -> Sequence[Weights]:
        cells = super().cells(call)
        if self.loaded:
            return cells
        self.loaded = True
        return [replace(cell, Wh=cell.Wh.T) for cell in cells]


class _HalfOfInput(Twin):
    """dx lacks one direction's part."""

    kept = 1

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        return parts[self.kept] if len(parts) == 2 else super().summed(parts, above, layer)


class _PilesUp(Twin):
    """A layer's gradient is added to what the layer above had in the same buffer."""

    without_dropout = True

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        dy = super().summed(parts, above, layer)
        applies = (
            layer and above.shape[-1] == dy.shape[-1] and not (self.without_dropout and self.case.dropout)
        )
        return dy + above if applies else dy


class _Dropout(Twin):
    """Scaled otherwise, forward and backward or only there."""

    backward_only = False

    def scale(self) -> float:
        """What is kept is multiplied by it."""
        return 1.0

    def dropped(self, values: Array, mask: Array) -> Array:
        return super().dropped(values, mask) if self.backward_only else self.undropped(values, mask)

    def undropped(self, values: Array, mask: Array) -> Array:
        return np.where(mask.swapaxes(0, 1)[:, None], values * self.scale(), 0.0)


class _ByP(_Dropout):
    def scale(self) -> float:
        return 1 / self.case.dropout


class _TimesKept(_Dropout):
    def scale(self) -> float:
        return 1 - self.case.dropout


class _NoBackwardMask(Twin):
    scaled = False

    def undropped(self, values: Array, mask: Array) -> Array:
        return values / (1 - self.case.dropout) if self.scaled else values


class _NoDropout(Twin):
    def masks(self, call: Call) -> Sequence[Array]:
        return ()


class _OtherMask(Twin):
    """Masks are inverted, the first is used everywhere, or the first step's."""

    how: ClassVar[str] = "inverted"

    def masks(self, call: Call) -> Sequence[Array]:
        masks = super().masks(call)
        if self.how == "inverted":
            return [~mask for mask in masks]
        if self.how == "first":
            return [*masks[:1]] * len(masks)
        return [np.broadcast_to(mask[:, :1], mask.shape) for mask in masks]


class _DropsCarried(_Numbered):
    """The masks fall on the carried states instead of the outputs."""

    def masks(self, call: Call) -> Sequence[Array]:
        return ()

    def gate(self, tape: Tape, t: int) -> Array | float:
        """What the state that enters step t is multiplied by."""
        case, number = self.case, self.number(tape)
        layer, direction = divmod(number, case.directions)
        if layer >= len(self.now.masks):
            return 1.0
        mask = self.now.masks[layer].swapaxes(0, 1)[:, None]
        own = mask[..., direction * case.H : (direction + 1) * case.H]
        if direction:
            own = self.flipped(own, self.flips(self.now), "input")
        return own[t] / (1 - case.dropout)

    def previous(self, tape: Tape, t: int) -> Array:
        return super().previous(tape, t) * self.gate(tape, t)

    def befores(self, tape: Tape) -> Array:
        return np.stack([h * self.gate(tape, t) for t, h in enumerate(super().befores(tape))])

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        return super().carry(tape, t, dz) * self.gate(tape, t)


class _ScaledInEval(Twin):
    def scale(self) -> float:
        """Of lower layers' outputs in evaluation mode."""
        return 1 - self.case.dropout if self.case.eval and self.case.dropout else 1.0

    def fed(self, first: Array, outputs: Array, layer: int) -> Array:
        return outputs * self.scale() if layer < self.case.layers - 1 else outputs

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        dy = super().summed(parts, above, layer)
        return dy * self.scale() if layer else dy


class _NotReversed(Twin):
    """The reverse direction reads from the front; or only some of what it has is turned."""

    left: ClassVar[tuple[str, ...]] = ("input", "output", "upstream", "gradient")

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        return values if what in self.left else super().flipped(values, flips, what)


class _FlippedBatch(_Numbered):
    """The reverse direction turns the batch instead of time."""

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        if running is not None and self.case.bidirectional and self.at % 2 == 0:
            running = running[:, ::-1]
        return super().forward(weights, x, h_0, running)

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        return values[:, :, ::-1]


class _TurnedWhole(_Numbered):
    """The reverse direction starts at the end of the padded row, as it is or zeroed."""

    zeroed = False
    clean = True
    """Whether gradients of the padding are dropped between layers"""

    def part(self, values: Array, direction: int) -> Array:
        part = super().part(values, direction)
        valid = self.valid(self.now)
        return part if valid is None or not self.clean else np.where(valid.T[:, None, :, None], part, 0.0)

    def inputs(self, call: Call, valid: Array | None) -> Array:
        return super().inputs(call, valid) if self.zeroed else time_major(call.xs, None)[:, None]

    def flips(self, call: Call) -> Array:
        B, T, _ = call.xs.shape
        return np.broadcast_to(np.arange(T)[::-1, None], (T, B))

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        reverse = self.case.bidirectional and self.at % 2 == 0
        return super().forward(weights, x, h_0, None if reverse else running)

    def joined(self, outputs: list[Array]) -> Array:
        joined = super().joined(outputs)
        valid = self.valid(self.now)
        return joined if valid is None else np.where(valid.T[:, None, :, None], joined, 0.0)


class _FinalFromOutput(_Numbered):
    """h_n is the last output, of the padded row or of the row itself."""

    padded = True

    def final(self, tape: Tape) -> Array:
        if self.reverse(tape):
            if not self.padded or self.now.lengths is None:
                return tape.h[1]
            full = self.now.lengths == self.now.xs.shape[1]
            return np.where(full[None, :, None], tape.h[1], 0.0)
        last = super().final(tape)
        if tape.running is None or not self.padded:
            return last
        return np.where(tape.running[-1][None, :, None], last, 0.0)


class _FinalSwapped(_Numbered):
    """h_n of the forward direction is right, that of the reverse is the padded row's first output."""

    def final(self, tape: Tape) -> Array:
        return np.zeros_like(tape.h[0]) if self.reverse(tape) else super().final(tape)


class _Interleaved(Twin):
    """Directions and hidden units are interleaved in every output, or in the last alone."""

    last_only = False

    def joined(self, outputs: list[Array]) -> Array:
        if len(outputs) == 1 or self.last_only:
            return super().joined(outputs)
        return self.mixed(super().joined(outputs))

    def part(self, values: Array, direction: int) -> Array:
        if not self.case.bidirectional or self.last_only:
            return super().part(values, direction)
        return values[..., direction::2]

    def mixed(self, values: Array) -> Array:
        """[..., directions * H], the units of one direction between those of the other."""
        apart = values.reshape(*values.shape[:-1], 2, self.case.H)
        return apart.swapaxes(-1, -2).reshape(values.shape)

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = super().given(call, runs)
        return runs | {"hs": self.mixed(runs["hs"])} if self.last_only and self.case.bidirectional else runs


class _ReverseFirst(_Interleaved):
    """The reverse direction's half comes first."""

    def part(self, values: Array, direction: int) -> Array:
        if not self.case.bidirectional or self.last_only:
            return Twin.part(self, values, direction)
        return Twin.part(self, values, 1 - direction)

    def mixed(self, values: Array) -> Array:
        return np.roll(values, self.case.H, axis=-1)


class _InPadding(_Numbered):
    """Something happens to the gradient of a state that is held in the padding.

    ``turned``: the reverse direction has its rows turned within their lengths, so that its padding,
    too, comes behind the row; otherwise it comes before it, and only dh_0 is concerned.
    """

    turned = True

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        self.before_row = self.reverse(tape) and not self.turned and tape.running is not None
        if not self.before_row:
            return super().backward(tape, dhs, dh_n)
        assert tape.running is not None  # there is padding
        padding = ~tape.running[:, None, :, None]
        found = super().backward(tape, np.where(padding, 0.0, dhs), dh_n)
        found.dh_0 = self.at_padding(found.dh_0, np.where(padding, dhs, 0.0).sum(axis=0), padding[-1])
        return found

    def held(self, carry: Array, dhs: Array) -> Array:
        return carry if self.before_row else self.at_padding(carry, dhs, np.asarray(True))

    def at_padding(self, carry: Array, dhs: Array, where: Array) -> Array:
        """What goes on from there."""
        raise NotImplementedError


class _CutInPadding(_InPadding):
    def at_padding(self, carry: Array, dhs: Array, where: Array) -> Array:
        return np.where(where, 0.0, carry)


class _PaddingLeaks(_InPadding):
    """Upstream gradients of the padding reach the state held there."""

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        return super().upstream(call, None, shape)

    def at_padding(self, carry: Array, dhs: Array, where: Array) -> Array:
        return carry + dhs


class _LongBuffer(Twin):
    """The backward turns a buffer longer than the sequence, of whole multiples of k steps."""

    k: ClassVar[int] = 8
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
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for k in (4, 8, 10, 16, 32, 64):
            yield cls.having(k=k)


class _NoLengths(Twin):
    def call(self, call: Call, before: Spread | None) -> Spread:
        return super().call(replace(call, lengths=None), before)


class _HeldOutputs(Twin):
    """Behind a row's end the output goes on with its last."""

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = super().given(call, runs)
        if call.lengths is None:
            return runs
        hs, (B, T, _) = runs["hs"], call.xs.shape
        last = hs[:, np.arange(B), call.lengths - 1][:, :, None]
        valid = (np.arange(T) < call.lengths[:, None])[None, :, :, None]
        return runs | {"hs": np.where(valid, hs, last)}


class _Sorted(Twin):
    """Rows are sorted by length, and some tensors stay so."""

    of: ClassVar[tuple[str, ...]] = ("hs", "h_n")

    def rows(self, call: Call) -> Array:
        """The order of the rows."""
        lengths = np.full(len(call.xs), call.xs.shape[1]) if call.lengths is None else call.lengths
        return np.argsort(-lengths, kind="stable")

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        if "h_0" not in self.of or starts.shape[2] == 1:
            return starts
        mixed = np.empty_like(starts)
        mixed[:, :, self.rows(call)] = starts
        return mixed

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        axes = {"hs": 1, "dx": 1, "h_n": 2, "dh_0": 2}
        for name in self.of:
            if name in axes:
                runs[name] = np.take(runs[name], self.rows(call), axis=axes[name])
        return runs


class _FinalGradient(_Numbered):
    """The gradients of the final states are lost, or enter at the wrong place."""

    how: ClassVar[str] = "ignored"

    def final_gradient(self, call: Call, i: int) -> Array | None:
        lost = self.how == "ignored" or i < self.case.cells - self.case.directions
        return None if self.how in ("ignored", "last layer") and lost else super().final_gradient(call, i)

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        places = {"wrong end": 0, "last step": len(dhs) - 1}
        if dh_n is not None and self.how in places and (self.how == "last step" or self.reverse(tape)):
            dhs = np.array(dhs)
            dhs[places[self.how]] += dh_n
            dh_n = None
        return super().backward(tape, dhs, dh_n)


class _StateOrder(Twin):
    """States are listed in another order of layers and directions."""

    of: ClassVar[tuple[str, ...]] = ("h_0", "h_n", "dh_n", "dh_0")

    def places(self) -> list[int]:
        """Where each cell's state stands, in the order of the cells."""
        case = self.case
        return [k * case.layers + layer for layer in range(case.layers) for k in range(case.directions)]

    def starts(self, call: Call, before: Spread | None) -> Array:
        starts = super().starts(call, before)
        return starts[self.places()] if "h_0" in self.of else starts

    def final_gradient(self, call: Call, i: int) -> Array | None:
        return super().final_gradient(call, self.places()[i] if "dh_n" in self.of else i)

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        for name in {"h_n", "dh_0"} & {*self.of}:
            listed = np.empty_like(runs[name])
            listed[:, self.places()] = runs[name]
            runs[name] = listed
        return runs


class _FromTheTop(_StateOrder):
    def places(self) -> list[int]:
        case = self.case
        return [
            (case.layers - 1 - i // case.directions) * case.directions + i % case.directions
            for i in range(case.cells)
        ]


class _ReverseStateFirst(_StateOrder):
    def places(self) -> list[int]:
        case = self.case
        return [i ^ 1 if case.bidirectional else i for i in range(case.cells)]


class _ReviewedStates(Twin):
    """States are collected batch first and reshaped."""

    of: ClassVar[tuple[str, ...]] = ("h_n",)

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        for name in self.of:
            value = runs[name]
            runs[name] = np.ascontiguousarray(value.swapaxes(1, 2)).reshape(value.shape)
        return runs


class _AbsentGradient(Twin):
    """Where no gradient of the output is given, garbage stands for it."""

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        return np.full(shape, np.nan) if call.dhs is None else super().upstream(call, valid, shape)


class _PackedLayout(Twin):
    """Packed data, step by step, is read row by row, or the reverse."""

    of: ClassVar[tuple[str, ...]] = ("hs",)

    def given(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().given(call, runs))
        if self.case.form == "packed":
            B, T, _ = call.xs.shape
            lengths = np.full(B, T) if call.lengths is None else call.lengths
            rows = [int(row) for row in np.argsort(-lengths, kind="stable")]
            by_step = [(row, t) for t in range(T) for row in rows if t < lengths[row]]
            by_row = [(row, t) for row in rows for t in range(lengths[row])]
            for name in self.of:
                mixed = np.zeros_like(runs[name])
                for (row, t), (other, step) in zip(by_step, by_row, strict=True):
                    mixed[:, row, t] = runs[name][:, other, step]
                runs[name] = mixed
        return runs
