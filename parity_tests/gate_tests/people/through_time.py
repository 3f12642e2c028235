"""Sequence layers with a fault in backpropagation through time."""

import numpy as np

from parity_tests.gate_tests.people.ways import (
    _Cells,
    _Closures,
    _Columns,
    _Dicts,
    _Einsum,
    _Plain,
    _Recursive,
    _TimeMajor,
)


class EachStepAlone(_Plain):
    """Every step's backward gets dhs[:, t] only; what comes from the later step is dropped."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t], hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class AllStepsAtOnce(_TimeMajor):
    """The backward vectorized over time, so no gradient passes between steps."""

    def _deltas(self, g, s, Wh):
        dz = g * (1 - s[1:] ** 2)
        return dz, dz[0] @ Wh.T


class CarryNotTransposed(_Plain):
    """dz @ Wh."""

    def _down(self, dz, Wh):
        return dz @ Wh


class VzhouColumns(_Columns):
    """d_h = Whh @ temp with column vectors, the transpose forgotten."""

    def _down(self, dz, W):
        return W @ dz


class CarryEinsumLetters(_Einsum):
    """The letters of the carry's einsum swapped."""

    def _errors(self, dhs, hs, Wh):
        deltas = np.zeros_like(hs)
        carry = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1])[::-1]:
            deltas[:, t] = (1 - hs[:, t] ** 2) * (dhs[:, t] + carry)
            carry = np.einsum("bh,hk->bk", deltas[:, t], Wh)
        return deltas, carry


class BackwardRunsForward(_Plain):
    """The backward loop goes t = 0 .. T-1."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dh = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1]):
            dz = self._delta(dhs[:, t] + dh, hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = self._down(dz, Wh)
        return dxs, dh, dWx, dWh, db


class ClosuresNotReversed(_Closures):
    """The list of closures is walked from its front."""

    def _back(self, dhs, pulls):
        dh, dxs, totals = 0, [], [0, 0, 0]
        for t, pull in enumerate(pulls):
            dx, dh, *parts = pull(dhs[:, t] + dh)
            dxs.append(dx)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
        return np.stack(dxs, axis=1), dh, *totals


class UpstreamOneEarly(_TimeMajor):
    """dhs[t - 1] is read at step t, that of step 0 wraps around."""

    def _deltas(self, g, s, Wh):
        return super()._deltas(np.stack([g[t - 1] for t in range(len(g))]), s, Wh)


class UpstreamOneLate(_Dicts):
    """dhs[t + 1] is read at step t, nothing at the last."""

    def _back(self, dhs, *tape):
        late = np.zeros_like(dhs)
        late[:, :-1] = dhs[:, 1:]
        return super()._back(late, *tape)


class LeftoverCarry(_Plain):
    """The carry accumulator is a member that no backward clears."""

    _acc = None

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        if self._acc is None or self._acc.shape != hs[:, 0].shape:
            self._acc = np.zeros_like(hs[:, 0])
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t] + self._acc, hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            self._acc = self._down(dz, Wh)
        return dxs, self._acc, dWx, dWh, db


class StartsFromOwnDh(_TimeMajor):
    """The backward starts from self.dh, which the backward before has left there."""

    def _deltas(self, g, s, Wh):
        if self._dh is not None and self._dh.shape == g[-1].shape:
            g[-1] += self._dh
        return super()._deltas(g, s, Wh)


class ClipOne(_Plain):
    """Parameter gradients clipped to [-1, 1]."""

    def _keep(self, grads):
        super()._keep([np.clip(g, -1, 1) for g in grads])


class ClipFive(_Dicts):
    """Parameter gradients clipped to [-5, 5], as in min-char-rnn."""

    def _keep(self, grads):
        for g in grads:
            np.clip(g, -5, 5, out=g)
        super()._keep(grads)


class ClipTenth(_Columns):
    """Parameter gradients clipped to [-0.1, 0.1]."""

    def _keep(self, grads):
        super()._keep([np.minimum(np.maximum(g, -0.1), 0.1) for g in grads])


class ClipCarryOne(_Plain):
    """The carry clipped to [-1, 1] at every step."""

    def _down(self, dz, Wh):
        return np.clip(dz @ Wh.T, -1, 1)


class ClipCarryTenth(_Einsum):
    """The carry clipped to [-0.1, 0.1] at every step."""

    def _errors(self, dhs, hs, Wh):
        deltas, carry = np.zeros_like(hs), np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1])[::-1]:
            deltas[:, t] = (1 - hs[:, t] ** 2) * (dhs[:, t] + carry)
            carry = np.einsum("bh,kh->bk", deltas[:, t], Wh).clip(-0.1, 0.1)
        return deltas, carry


class ClipDelta(_Closures):
    """dz clipped to [-0.5, 0.5] at every step."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = np.clip(d * (1 - h * h), -0.5, 0.5)
            return dz @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

        return pull


class ClipGlobalNorm(_TimeMajor):
    """Parameter gradients scaled down together to a norm of at most 1."""

    def _keep(self, grads):
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
        rate = 1.0 / (norm + 1e-6)
        super()._keep([g * g.dtype.type(rate) for g in grads] if rate < 1 else grads)


class ClipEachNorm(_Cells):
    """Each parameter gradient scaled down alone to a norm of at most 0.5."""

    def _keep(self, grads):
        scaled = []
        for g in grads:
            norm = np.linalg.norm(g)
            scaled.append(g * (0.5 / norm) if norm > 0.5 else g)
        super()._keep(scaled)


class ClipUpstream(_Recursive):
    """The upstream gradient clipped to [-1, 1] on entry."""

    def _back(self, dhs, *tape):
        return super()._back(np.clip(dhs, -1, 1), *tape)


class DoubledCarry(_Recursive):
    """The carry counted twice."""

    def _carry(self, d, dz, Wh):
        return 2 * (dz @ Wh.T)


class DiagonalCarry(_Plain):
    """The carry through the diagonal of Wh only, dz * diag(Wh)."""

    def _down(self, dz, Wh):
        return dz * np.diag(Wh)


class CarryBeforeSlope(_Recursive):
    """The carry is d Wh^T, not multiplied by the slope."""

    def _carry(self, d, dz, Wh):
        return d @ Wh.T


class CarryWithoutWeights(_Plain):
    """dz itself is handed to the earlier step, without Wh^T."""

    def _down(self, dz, Wh):
        return dz


class CarrySlopedTwice(_Einsum):
    """The carry is multiplied by the slope of its own step a second time."""

    def _errors(self, dhs, hs, Wh):
        deltas, carry = np.zeros_like(hs), np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1])[::-1]:
            slope = 1 - hs[:, t] ** 2
            deltas[:, t] = slope * (dhs[:, t] + carry)
            carry = np.einsum("bh,kh->bk", deltas[:, t] * slope, Wh)
        return deltas, carry


class CarryMinus(_Plain):
    """The carry is subtracted."""

    def _down(self, dz, Wh):
        return -(dz @ Wh.T)


class TruncatedBlocks(_TimeMajor):
    """Truncated backward, the carry cut at every third step."""

    def _deltas(self, g, s, Wh):
        dz, carry = np.empty_like(g), np.zeros_like(s[0])
        for t in reversed(range(len(g))):
            dz[t] = (g[t] + carry) * (1 - s[t + 1] ** 2)
            carry = dz[t] @ Wh.T if t % 3 else np.zeros_like(s[0])
        return dz, dz[0] @ Wh.T


class TruncatedWindow(_Plain):
    """Each output's gradient goes back at most 2 steps (Denny Britz's bptt_truncate)."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs, dh0 = np.zeros_like(xs), np.zeros_like(hs[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in reversed(range(hs.shape[1])):
            d = dhs[:, t]
            for step in range(t, max(-1, t - 3), -1):
                dz = d * (1 - hs[:, step] ** 2)
                dWx += xs[:, step].T @ dz
                dWh += prevs[:, step].T @ dz
                db += dz.sum(axis=0)
                dxs[:, step] += dz @ Wx.T
                d = dz @ Wh.T
                if step == 0:
                    dh0 += d
        return dxs, dh0, dWx, dWh, db


class LoopStopsAtOne(_Plain):
    """range(T - 1, 0, -1), so step 0 is never taken back (its dx stays 0)."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs = np.zeros_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dh = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1] - 1, 0, -1):
            dz = (dhs[:, t] + dh) * (1 - hs[:, t] ** 2)
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class OnlyLastOutput(_Dicts):
    """Only dhs of the last step is used (a many-to-one backward)."""

    def _back(self, dhs, *tape):
        only = np.zeros_like(dhs)
        only[:, -1] = dhs[:, -1]
        return super()._back(only, *tape)


class LastOutputForgotten(_Columns):
    """dhs of the last step is not added."""

    def _back(self, dhs, *tape):
        dhs[:, -1] = 0
        return super()._back(dhs, *tape)


class UpstreamSummedAtEnd(_TimeMajor):
    """dhs is summed over time and enters at the last step."""

    def _deltas(self, g, s, Wh):
        late = np.zeros_like(g)
        late[-1] = g.sum(axis=0)
        return super()._deltas(late, s, Wh)


class UpstreamReversed(_Cells):
    """The steps are walked from the end but dhs from the front."""

    def _back(self, dhs, *tape):
        return super()._back(np.flip(dhs, axis=1), *tape)


LAYERS = [
    ("carry-dropped", "carry dropped, loop over steps", EachStepAlone),
    ("carry-dropped", "carry dropped, backward vectorized over time", AllStepsAtOnce),
    ("carry-Wh-not-transposed", "carry dz @ Wh", CarryNotTransposed),
    ("carry-Wh-not-transposed", "carry W @ dz with column vectors", VzhouColumns),
    ("carry-Wh-not-transposed", "letters of the carry's einsum swapped", CarryEinsumLetters),
    ("backward-runs-forward", "backward loop runs t = 0 .. T-1", BackwardRunsForward),
    ("backward-runs-forward", "closures walked from the front", ClosuresNotReversed),
    ("dhs-shifted", "dhs[t-1] read at step t, wrapping at 0", UpstreamOneEarly),
    ("dhs-shifted", "dhs[t+1] read at step t, zero at the last", UpstreamOneLate),
    ("carry-left-over", "carry accumulator of the object never cleared", LeftoverCarry),
    ("carry-left-over", "backward starts from the dh of the backward before", StartsFromOwnDh),
    ("clipped", "parameter gradients clipped to +-1", ClipOne),
    ("clipped", "parameter gradients clipped to +-5", ClipFive),
    ("clipped", "parameter gradients clipped to +-0.1", ClipTenth),
    ("clipped", "carry clipped to +-1", ClipCarryOne),
    ("clipped", "carry clipped to +-0.1", ClipCarryTenth),
    ("clipped", "dz clipped to +-0.5", ClipDelta),
    ("clipped", "parameter gradients scaled to a common norm of at most 1", ClipGlobalNorm),
    ("clipped", "each parameter gradient scaled to a norm of at most 0.5", ClipEachNorm),
    ("clipped", "dhs clipped to +-1 on entry", ClipUpstream),
    ("carry-wrong-factor", "carry doubled", DoubledCarry),
    ("carry-wrong-factor", "carry dz * diag(Wh)", DiagonalCarry),
    ("carry-no-slope", "carry d Wh^T, not multiplied by the slope", CarryBeforeSlope),
    ("carry-no-weights", "carry dz, without Wh^T", CarryWithoutWeights),
    ("carry-slope-twice", "carry (dz * slope) Wh^T", CarrySlopedTwice),
    ("carry-minus", "carry with the wrong sign", CarryMinus),
    ("tbptt", "carry cut at every third step", TruncatedBlocks),
    ("tbptt", "each output's gradient goes back at most 2 steps", TruncatedWindow),
    ("loop-stops-at-1", "step 0 never taken back", LoopStopsAtOne),
    ("dhs-last-only", "only dhs of the last step used", OnlyLastOutput),
    ("dhs-last-lost", "dhs of the last step not used", LastOutputForgotten),
    ("dhs-summed", "dhs summed over time into the last step", UpstreamSummedAtEnd),
    ("dhs-reversed", "dhs read in reversed time order", UpstreamReversed),
]
