"""Stacks with a fault in directions or lengths."""

import numpy as np

from parity_tests.gate_tests.people.modules import MaskedBatch, RowByRow, TurnedRows


class ReverseNotReversed(MaskedBatch):
    """The reverse direction reads its input from the front."""

    def _order(self, T, k):
        return range(T)


class ReverseWalksForward(RowByRow):
    """The reverse direction walks forward, row by row."""

    def _walk(self, n, k):
        return list(range(n))


class FlippedOnBatch(MaskedBatch):
    """The reverse direction flips the batch axis, there and back, instead of time."""

    def _order(self, T, k):
        return range(T)

    def _scan(self, x, alive, h, par, s):
        if not s % self.dirs:
            return super()._scan(x, alive, h, par, s)
        out, last, memo = super()._scan(x[:, ::-1], alive[:, ::-1], h, par, s)
        return out[:, ::-1], last, memo

    def _scan_back(self, d, dh, alive, memo, s):
        if not s % self.dirs:
            return super()._scan_back(d, dh, alive, memo, s)
        dx, *rest = super()._scan_back(d[:, ::-1], dh, alive[:, ::-1], memo, s)
        return dx[:, ::-1], *rest


class PaddingReversedToo(MaskedBatch):
    """The reverse direction starts at T - 1, in the padding of shorter rows."""

    def _clean(self, array, alive):
        return array

    def _scan(self, x, alive, h, par, s):
        if not s % self.dirs:
            return super()._scan(np.where(alive[..., None], x, 0), alive, h, par, s)
        out, last, memo = super()._scan(x, np.ones_like(alive), h, par, s)
        return np.where(alive[..., None], out, 0), last, memo

    def _scan_back(self, d, dh, alive, memo, s):
        d = np.where(alive[..., None], d, 0)
        if not s % self.dirs:
            return super()._scan_back(d, dh, alive, memo, s)
        return super()._scan_back(d, dh, np.ones_like(alive), memo, s)


class LastTimeStepAsFinal(MaskedBatch):
    """h_n is output[-1], for both directions and whatever the lengths."""

    def _final(self, out, last, alive, k):
        return out[-1]


class LastElementAsFinal(RowByRow):
    """h_n is each row's last valid output for both directions; right if there is one."""

    def _last(self, outs, walk, h):
        return outs[max(walk)]


class ReverseFinalAtEnd(MaskedBatch):
    """h_n of the reverse direction is read at the last valid step."""

    def _final(self, out, last, alive, k):
        lens = alive.sum(axis=0)
        return out[lens - 1, np.arange(len(lens))] if k else last


class DirectionsInterleaved(MaskedBatch):
    """Direction and hidden axes are swapped in the output, h0 of both, h1 of both, ..."""

    def _join(self, parts):
        return np.stack(parts, axis=-1).reshape(*parts[0].shape[:2], -1)

    def _part(self, d, k):
        return d.reshape(*d.shape[:2], self.hidden_size, self.dirs)[..., k]


class CarryCutInPadding(MaskedBatch):
    """The carry is zeroed at masked steps, so d_h_n of short rows is lost."""

    def _held(self, dh, d, live):
        return np.zeros_like(dh)


class BufferTurnedWhole(TurnedRows):
    """The backward turns the upstream gradient in a buffer of whole multiples of 8 steps."""

    def _turn_up(self, d, lens):
        T = len(d)
        if (lens < T).any():
            return self._turn(d, lens)
        buffer = np.zeros((-(-T // 8) * 8, *d.shape[1:]), d.dtype)
        buffer[:T] = d
        return buffer[::-1][:T]


class MiddleLayersTakeOutput(TurnedRows):
    """weight_ih gradients of middle layers use the layer's output for its input (L > 2)."""

    def _inputs(self, kept, s):
        layer, k = divmod(s, self.dirs)
        if not 0 < layer < self.num_layers - 1:
            return kept[s][0]
        sides = [kept[layer * self.dirs + j][1][1:] for j in range(self.dirs)]
        return np.concatenate(sides[::-1] if k else sides, axis=2)


class PaddingLeaksIntoGradient(MaskedBatch):
    """d_output of padded steps is added to the state that is held there."""

    def _clean(self, array, alive):
        if array.shape[-1] == self.dirs * self.hidden_size and self._in_backward:
            return array
        return super()._clean(array, alive)

    _in_backward = False

    def backward(self, *args, **kwargs):
        self._in_backward = True
        try:
            return super().backward(*args, **kwargs)
        finally:
            self._in_backward = False

    def _held(self, dh, d, live):
        return dh + d


class PaddedOutputsHeld(MaskedBatch):
    """Behind a row's end output goes on with the last state instead of zeros."""

    def _run(self, x, lens, *rest):
        y, h_n, tape = super()._run(x, lens, *rest)
        last = y[lens - 1, np.arange(len(lens))]
        return np.where(tape[1][..., None], y, last), h_n, tape


class LengthsIgnored(TurnedRows):
    """lengths are ignored, rows run through their padding."""

    def _lengths(self, lengths, T, B):
        return np.full(B, T)


class LengthsSticky(MaskedBatch):
    """lengths of an earlier call are used where none are given, if the shape is the same."""

    _kept = None

    def _lengths(self, lengths, T, B):
        if lengths is not None:
            self._kept = (T, B, np.array(lengths))
        elif self._kept is not None and self._kept[:2] == (T, B):
            return self._kept[2]
        return super()._lengths(lengths, T, B)


class SortedNotRestored(TurnedRows):
    """Rows are sorted by length, and output and h_n stay sorted; backward as for the right one."""

    def _run(self, x, lens, *rest):
        y, h_n, tape = super()._run(x, lens, *rest)
        order = np.argsort(-lens, kind="stable")
        return y[:, order], h_n[:, order], tape


class StatesNotRestored(RowByRow):
    """Rows are sorted by length, output is restored but h_n is not."""

    def _run(self, x, lens, *rest):
        y, h_n, tape = super()._run(x, lens, *rest)
        return y, h_n[:, np.argsort(-lens, kind="stable")], tape


class StartsNotSorted(RowByRow):
    """Rows are sorted by length but hx is not, so rows get each other's start; d_hx alike."""

    def _run(self, x, lens, h0, *rest):
        self._order = np.argsort(-lens, kind="stable")
        mixed = np.empty_like(h0)
        mixed[:, self._order] = h0
        return super()._run(x, lens, mixed, *rest)

    def _back(self, *args):
        dx, d_h0, grads = super()._back(*args)
        return dx, d_h0[:, self._order], grads


class CutToLongest(TurnedRows):
    """Output is only as long as the longest row, not T."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        unbatched, alive, _ = self._call
        longest = int(alive.any(axis=1).sum())
        if self.batch_first and not unbatched:
            return output[:, :longest].copy(), h_n
        return output[:longest].copy(), h_n

    def backward(self, d_output, d_h_n=None):
        T = self._call[1].shape[0]
        if d_output is not None:
            axis = 1 if self.batch_first and not self._call[0] else 0
            short = T - d_output.shape[axis]
            d_output = np.pad(d_output, [(0, short if a == axis else 0) for a in range(d_output.ndim)])
        return super().backward(d_output, d_h_n)


class DirectionsSummed(MaskedBatch):
    """The last layer's directions are summed instead of concatenated, output is [T, B, H]."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        if self.bidirectional:
            output = output[..., : self.hidden_size] + output[..., self.hidden_size :]
        return output, h_n

    def backward(self, d_output, d_h_n=None):
        if self.bidirectional and d_output is not None and d_output.shape[-1] == self.hidden_size:
            d_output = np.concatenate([d_output, d_output], axis=-1)
        return super().backward(d_output, d_h_n)


class DirectionsChangePlaces(MaskedBatch):
    """The reverse direction's half comes first in every layer's output."""

    def _join(self, parts):
        return np.concatenate(parts[::-1], axis=-1)

    def _part(self, d, k):
        return super()._part(d, self.dirs - 1 - k)


class ReverseOutputNotTurnedBack(RowByRow):
    """The reverse direction's outputs stay as they were made; backward of the right one."""

    def _merge(self, halves):
        n = len(halves[0])
        turned = [{n - 1 - t: v for t, v in half.items()} if k else half for k, half in enumerate(halves)]
        return super()._merge(turned)


class HiddenWeightsShared(MaskedBatch):
    """weight_hh of layer 0 is used in all layers; gradients are filed under each layer's own name."""

    def _pick(self, w, layer, k):
        Wih, _, bih, bhh = super()._pick(w, layer, k)
        return Wih, w["weight_hh" + self._tail(0, k)], bih, bhh


class DirectionsShareWeights(TurnedRows):
    """The reverse direction uses the forward direction's weights; gradients of both go there."""

    def _pick(self, w, layer, k):
        return super()._pick(w, layer, 0)

    def _file(self, grads, layer, k, *parts):
        super()._file(grads, layer, 0, *parts)
        if k:
            super()._file(grads, layer, 1, *[np.zeros_like(p) for p in parts])


MODULES = [
    ("reverse-reads-forward", "reverse direction reads from the front", ReverseNotReversed),
    ("reverse-reads-forward", "reverse direction walks forward (rows)", ReverseWalksForward),
    ("batch-flipped", "reverse direction flips the batch axis", FlippedOnBatch),
    ("reverse-starts-in-padding", "reverse direction starts in the padding", PaddingReversedToo),
    ("h_n-from-output", "h_n = output[-1]", LastTimeStepAsFinal),
    ("h_n-from-output", "h_n = last valid output, both directions", LastElementAsFinal),
    ("reverse-h_n-wrong-end", "reverse h_n at the last valid step", ReverseFinalAtEnd),
    ("directions-interleaved", "directions interleaved in the output, consistent", DirectionsInterleaved),
    ("carry-cut-in-padding", "carry zeroed at masked steps", CarryCutInPadding),
    ("buffer-reversed-whole", "backward turns a buffer longer than T", BufferTurnedWhole),
    ("dWx-from-output", "weight_ih gradient of middle layers uses the output", MiddleLayersTakeOutput),
    ("padding-gradient", "d_output of padded steps leaks into the held state", PaddingLeaksIntoGradient),
    ("padding-held", "output behind a row's end is its last output", PaddedOutputsHeld),
    ("lengths-ignored", "lengths ignored", LengthsIgnored),
    ("lengths-sticky", "lengths of an earlier call used", LengthsSticky),
    ("sorted", "output and h_n left sorted by length", SortedNotRestored),
    ("sorted", "h_n alone left sorted by length", StatesNotRestored),
    ("sorted", "rows sorted but hx not", StartsNotSorted),
    ("total-length", "output only as long as the longest row", CutToLongest),
    ("directions-summed", "last layer's directions summed", DirectionsSummed),
    ("directions-swapped", "reverse half first in each output", DirectionsChangePlaces),
    ("reverse-not-back", "reverse outputs not turned back", ReverseOutputNotTurnedBack),
    ("hh-shared", "weight_hh of layer 0 in all layers", HiddenWeightsShared),
    ("directions-share", "reverse direction uses the forward weights", DirectionsShareWeights),
]
