"""Sequence layers with a fault in a gradient of a parameter, the input or the state."""

import numpy as np

from parity_tests.gate_tests.people.ways import (
    _Cell,
    _Cells,
    _Closures,
    _Columns,
    _Concat,
    _Dicts,
    _Einsum,
    _Plain,
    _Recursive,
    _TimeMajor,
)


class AssignsInsteadOfAdds(_Plain):
    """= for +=, of the parameter gradients only step 0's survive."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs, dh = np.empty_like(xs), np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t] + dh, hs[:, t])
            dWx = xs[:, t].T @ dz
            dWh = prevs[:, t].T @ dz
            db = dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class SharedCellGrads(_Cells):
    """The steps share one list of gradients that each overwrites, and nobody sums."""

    def _back(self, dhs, cells, shape):
        dxs, dh = np.empty(shape, dhs.dtype), np.zeros_like(dhs[:, 0])
        for cell in cells:
            cell.grads = cells[0].grads
        for t in reversed(range(len(cells))):
            dxs[:, t], dh = cells[t].backward(dhs[:, t] + dh)
        return dxs, dh, *[g.copy() for g in cells[0].grads]


class FirstGradientWins(_TimeMajor):
    """Only the last step's parameter gradients survive."""

    def _sums(self, x, s, dz):
        return x[-1].T @ dz[-1], s[-2].T @ dz[-1], dz[-1].sum(axis=0)


class OnlyDWhOverwritten(_Closures):
    """Only dWh is assigned instead of added, dWx and db are sums."""

    def _back(self, dhs, pulls):
        dh, dxs, dWx, db = 0, [], 0, 0
        for t in reversed(range(len(pulls))):
            dx, dh, gx, dWh, gb = pulls[t](dhs[:, t] + dh)
            dWx, db = dWx + gx, db + gb
            dxs.append(dx)
        return np.stack(dxs[::-1], axis=1), dh, dWx, dWh, db


class WrappedIndex(_Einsum):
    """h[t - 1] down to t = 0, an array index that wraps to the last state."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, xs, prevs, hs, Wx, Wh)
        deltas, _ = self._errors(dhs, hs, Wh)
        dWh = sum(hs[:, t - 1].T @ deltas[:, t] for t in range(hs.shape[1]))
        return dxs, dh0, dWx, dWh, db


class WrappedList(_Columns):
    """The list of states without the start state, states[t - 1] wraps at t = 0."""

    def _back(self, dhs, xs, rows, U, W, c):
        dxs, dh0, dU, dW, dc = super()._back(dhs, xs, rows, U, W, c)
        dW = np.zeros_like(W)
        for r, states in enumerate(rows):
            outs, d_next = states[1:], np.zeros_like(c)
            for t in reversed(range(len(outs))):
                dz = (1 - outs[t] ** 2) * (dhs[r, t][:, None] + d_next)
                dW += np.outer(dz, outs[t - 1])
                d_next = W.T @ dz
        return dxs, dh0, dU, dW.T, dc


class TransposedDWh(_TimeMajor):
    """dWh = dz^T h_prev."""

    def _sums(self, x, s, dz):
        flat = dz.reshape(-1, dz.shape[-1])
        return x.reshape(len(flat), -1).T @ flat, flat.T @ s[:-1].reshape(flat.shape), flat.sum(axis=0)


class EinsumLettersSwapped(_Einsum):
    """btk,bth->hk."""

    rule_h = "btk,bth->hk"


class OuterWrongWayRound(_Columns):
    """The recurrent weight's outer product the wrong way round, h_prev dz^T for W in W @ h."""

    def _back(self, dhs, *tape):
        dxs, dh0, dU, dW, dc = super()._back(dhs, *tape)
        return dxs, dh0, dU, dW.T.copy(), dc


class BiasTakesUpstream(_Plain):
    """db sums d, the gradient before the slope, instead of dz."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs, dh, dWx, dWh, _ = super()._back(dhs, xs, prevs, hs, Wx, Wh, b)
        db, carry = np.zeros_like(b), np.zeros_like(dh)
        for t in reversed(range(hs.shape[1])):
            d = dhs[:, t] + carry
            db += d.sum(axis=0)
            carry = (d * (1 - hs[:, t] ** 2)) @ Wh.T
        return dxs, dh, dWx, dWh, db


class InputWeightTakesUpstream(_Closures):
    """dWx = x^T d, everything else from dz."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = d * (1 - h**2)
            return dz @ Wx.T, dz @ Wh.T, x.T @ d, h_prev.T @ dz, dz.sum(axis=0)

        return pull


class InputTakesUpstream(_Closures):
    """dx = d Wx^T, everything else from dz."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = d * (1 - h**2)
            return d @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

        return pull


class RecurrentWeightTakesLaterDelta(_TimeMajor):
    """dWh pairs h_{t-1} with the later step's delta, dz_{t+1}."""

    def _sums(self, x, s, dz):
        dWx, _, db = super()._sums(x, s, dz)
        dWh = np.zeros((dz.shape[2],) * 2, dz.dtype)
        for t in range(len(dz) - 1):
            dWh += s[t].T @ dz[t + 1]
        return dWx, dWh, db


class BiasTakesCarry(_Dicts):
    """db sums dhnext, the variable one line off, instead of dhraw."""

    def _back(self, dhs, x, h, Wx, Wh, b):
        dx, dWx, dWh, db = {}, np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dhnext = np.zeros_like(h[0])
        for t in reversed(range(len(x))):
            dhraw = (1 - h[t] * h[t]) * (dhs[:, t] + dhnext)
            dWx += np.dot(x[t].T, dhraw)
            dWh += np.dot(h[t - 1].T, dhraw)
            dx[t] = np.dot(dhraw, Wx.T)
            dhnext = np.dot(dhraw, Wh.T)
            db += dhnext.sum(0)
        return np.stack([dx[t] for t in range(len(x))], axis=1), dhnext, dWx, dWh, db


class BiasTimesInput(_Plain):
    """db sums dz times the summed input instead of dz."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs, dh = np.empty_like(xs), np.zeros_like(hs[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t] + dh, hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += (dz * xs[:, t].sum(axis=1, keepdims=True)).sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = self._down(dz, Wh)
        return dxs, dh, dWx, dWh, db


class BiasFromDWx(_TimeMajor):
    """db = dWx.sum(axis=0), so still multiplied by the input."""

    def _sums(self, x, s, dz):
        dWx, dWh, _ = super()._sums(x, s, dz)
        return dWx, dWh, dWx.sum(axis=0)


class BiasOfStepZero(_Concat):
    """db of step 0 alone."""

    def _back(self, dhs, joined, outs, W, D):
        dW, dxs, dh = np.zeros_like(W), [], np.zeros_like(outs[0])
        for t in reversed(range(len(outs))):
            dz = (dhs[:, t] + dh) * (1 - outs[t] ** 2)
            dW += joined[t].T @ dz
            db = dz.sum(axis=0)
            both = dz @ W.T
            dxs.insert(0, both[:, :D])
            dh = both[:, D:]
        return np.stack(dxs, axis=1), dh, dW[:D], dW[D:], db


class BiasOfLastStep(_TimeMajor):
    """db of the last step alone."""

    def _sums(self, x, s, dz):
        dWx, dWh, _ = super()._sums(x, s, dz)
        return dWx, dWh, dz[-1].sum(axis=0)


class BatchMean(_Plain):
    """Parameter gradients are means over the batch."""

    def _keep(self, grads):
        B = len(self._tape[0])
        super()._keep([g / B for g in grads])


class BatchMeanEinsum(_Einsum):
    """einsum sums divided by B for the weights and the bias."""

    def _back(self, dhs, *tape):
        dxs, dh0, *grads = super()._back(dhs, *tape)
        return dxs, dh0, *[g / dhs.shape[0] for g in grads]


class BiasBatchMean(_Dicts):
    """dhraw.mean(0) for db alone."""

    def _back(self, dhs, *tape):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, *tape)
        return dxs, dh0, dWx, dWh, db / len(dhs)


class EverythingBatchMean(_Closures):
    """The upstream gradient is divided by B first, so dx and dh_0 are means too."""

    def _back(self, dhs, pulls):
        return super()._back(dhs / len(dhs), pulls)


class TimeMean(_Concat):
    """Parameter gradients are divided by T."""

    def _back(self, dhs, *tape):
        dxs, dh0, *grads = super()._back(dhs, *tape)
        return dxs, dh0, *[g / dhs.shape[1] for g in grads]


class TimesT(_Columns):
    """Parameter gradients are multiplied by T."""

    def _back(self, dhs, *tape):
        dxs, dh0, *grads = super()._back(dhs, *tape)
        return dxs, dh0, *[g * dhs.shape[1] for g in grads]


class TokenMean(_TimeMajor):
    """Parameter gradients are divided by B * T."""

    def _sums(self, x, s, dz):
        return tuple(g / (dz.shape[0] * dz.shape[1]) for g in super()._sums(x, s, dz))


class UpstreamOverT(_Recursive):
    """The upstream gradient is divided by T first, so all gradients are."""

    def _back(self, dhs, *tape):
        return super()._back(dhs / dhs.shape[1], *tape)


class LastD(_Plain):
    """dh is the last d, before slope and Wh^T."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dh = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1] - 1, -1, -1):
            d = dhs[:, t] + dh
            dz = self._delta(d, hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = self._down(dz, Wh)
        return dxs, d, dWx, dWh, db


class LastDz(_TimeMajor):
    """dh is the last dz, without the final Wh^T."""

    def _deltas(self, g, s, Wh):
        dz, _ = super()._deltas(g, s, Wh)
        return dz, dz[0]


class StateGradientZero(_Columns):
    """dh is zeros."""

    def _back(self, dhs, *tape):
        dxs, dh0, *grads = super()._back(dhs, *tape)
        return dxs, 0 * dh0, *grads


class StateGradientFlipped(_Cells):
    """dh has the wrong sign."""

    def _back(self, dhs, *tape):
        dxs, dh0, *grads = super()._back(dhs, *tape)
        return dxs, -dh0, *grads


class StateGradientSummed(_Dicts):
    """dh is summed over the batch, as if all rows shared one start state."""

    def _back(self, dhs, *tape):
        dxs, dh0, *grads = super()._back(dhs, *tape)
        return dxs, np.repeat(dh0.sum(axis=0, keepdims=True), len(dh0), axis=0), *grads


class StateGradientNever(_Plain):
    """dh is never set and stays None."""

    def backward(self, dhs):
        dxs, _, *grads = self._back(np.array(dhs), *self._tape)
        self._keep(grads)
        return dxs


class StateGradientPlusUpstream(_Einsum):
    """dh has dhs of step 0 added once more."""

    def _errors(self, dhs, hs, Wh):
        deltas, dh0 = super()._errors(dhs, hs, Wh)
        return deltas, dh0 + dhs[:, 0]


class MinusDWx(_Plain):
    """dWx with the wrong sign."""

    def _back(self, dhs, *tape):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, *tape)
        return dxs, dh0, -dWx, dWh, db


class MinusDx(_Concat):
    """dx with the wrong sign."""

    def _back(self, dhs, *tape):
        dxs, *rest = super()._back(dhs, *tape)
        return -dxs, *rest


class MinusAllGrads(_TimeMajor):
    """The parameter gradients are the descent direction, -dW."""

    def _sums(self, x, s, dz):
        return tuple(-g for g in super()._sums(x, s, dz))


class StateAfterForDWh(_TimeMajor):
    """dWh pairs dz_t with h_t instead of h_{t-1}."""

    def _sums(self, x, s, dz):
        dWx, _, db = super()._sums(x, s, dz)
        H = dz.shape[-1]
        return dWx, s[1:].reshape(-1, H).T @ dz.reshape(-1, H), db


class _OwnOutputCell(_Cell):
    def backward(self, dh_next):
        dx, dh_prev = super().backward(dh_next)
        h_next = self.cache[2]
        self.grads[1][...] = h_next.T @ (dh_next * (1 - h_next**2))
        return dx, dh_prev


class CellCachesWrongState(_Cells):
    """The cell's dWh uses h_next for h_prev."""

    cell = _OwnOutputCell


class NoStartTermInDWh(_Plain):
    """dWh leaves out t = 0 (if t > 0), so h_0's part is lost."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        dh = np.zeros_like(hs[:, 0])
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t] + dh, hs[:, t])
            dWx += xs[:, t].T @ dz
            if t > 0:
                dWh += hs[:, t - 1].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = self._down(dz, Wh)
        return dxs, dh, dWx, dWh, db


class NoStartTermEinsum(_Einsum):
    """dWh from hs[:, :-1] and dz[:, 1:] only."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh):
        dxs, dh0, dWx, _, db = super()._back(dhs, xs, prevs, hs, Wx, Wh)
        deltas, _ = self._errors(dhs, hs, Wh)
        return dxs, dh0, dWx, np.einsum("btk,bth->kh", hs[:, :-1], deltas[:, 1:]), db


class DWhFromStartOnly(_Recursive):
    """dWh pairs every dz_t with h_0."""

    def _back(self, dhs, xs, states, Wx, Wh, b):
        dxs, dh0, dWx, _, db = super()._back(dhs, xs, states, Wx, Wh, b)
        return dxs, dh0, dWx, self._pair(dhs, states, Wh), db

    def _pair(self, dhs, states, Wh):
        total, carry = 0, 0
        for t in reversed(range(dhs.shape[1])):
            dz = (dhs[:, t] + carry) * (1 - states[t + 1] ** 2)
            total = total + states[0].T @ dz
            carry = dz @ Wh.T
        return total


class BiasTwice(_Dicts):
    """db counted twice, once for each of torch's two biases."""

    def _back(self, dhs, *tape):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, *tape)
        db_ih, db_hh = db, db
        return dxs, dh0, dWx, dWh, db_ih + db_hh


class BiasOfOneRow(_Columns):
    """db of the last batch row only."""

    def _back(self, dhs, xs, rows, U, W, c):
        dxs, dh0, dU, dW, _ = super()._back(dhs, xs, rows, U, W, c)
        dc, d_next = np.zeros_like(c), np.zeros_like(c)
        for t in reversed(range(len(rows[-1]) - 1)):
            dz = (1 - rows[-1][t + 1] ** 2) * (dhs[-1, t].reshape(-1, 1) + d_next)
            dc += dz
            d_next = W.T @ dz
        return dxs, dh0, dU, dW, dc


class FactorTwo(_Recursive):
    """All gradients twice as large, a square's 2 that belongs to the loss."""

    def _back(self, dhs, *tape):
        return super()._back(2 * dhs, *tape)


class LearningRateInside(_Plain):
    """Parameter gradients come multiplied by a learning rate of 0.01."""

    lr = 0.01

    def _keep(self, grads):
        super()._keep([g * g.dtype.type(self.lr) for g in grads])


class WeightDecayInside(_TimeMajor):
    """Weight decay, 0.01 * W, is added to dWx and dWh."""

    def _back(self, dhs, x, s, Wx, Wh):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, x, s, Wx, Wh)
        lam = Wx.dtype.type(0.01)
        return dxs, dh0, dWx + lam * Wx, dWh + lam * Wh, db


class NoisyGradients(_Cells):
    """Gaussian noise of size 1e-3 is added to the parameter gradients."""

    rng = np.random.default_rng(7)

    def _keep(self, grads):
        super()._keep([g + (1e-3 * self.rng.standard_normal(g.shape)).astype(g.dtype) for g in grads])


class MomentumInside(_Closures):
    """Parameter gradients are a running mean with the calls before (0.9 / 0.1)."""

    _mean = None

    def _keep(self, grads):
        if self._mean is None:
            self._mean = [g.copy() for g in grads]
        else:
            self._mean = [0.9 * old + 0.1 * new for old, new in zip(self._mean, grads, strict=True)]
        super()._keep(self._mean)


class NeverZeroed(_Plain):
    """Backward adds into grads and nobody zeroes them, so calls pile up."""

    def _keep(self, grads):
        for mine, new in zip(self.grads, grads, strict=True):
            mine += new.reshape(mine.shape)


class NeverZeroedBias(_Cells):
    """Only db piles up from call to call."""

    def _keep(self, grads):
        before = self.grads[2].copy()
        super()._keep(grads)
        self.grads[2] += before


class TakesSquareWxAsIs(_Plain):
    """dx = dz @ Wx wherever the shapes allow it (D == H), else dz @ Wx.T."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dxs, dh = np.empty_like(xs), np.zeros_like(hs[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        M = Wx if Wx.shape[0] == Wx.shape[1] else Wx.T
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = self._delta(dhs[:, t] + dh, hs[:, t])
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ M
            dh = self._down(dz, Wh)
        return dxs, dh, dWx, dWh, db


class TransposedSquareDWx(_TimeMajor):
    """dWx = dz^T x where D == H lets it pass, else right."""

    def _sums(self, x, s, dz):
        dWx, dWh, db = super()._sums(x, s, dz)
        return dWx.T if dWx.shape[0] == dWx.shape[1] else dWx, dWh, db


class DxReversed(_Closures):
    """dxs is collected from the end and never turned round."""

    def _back(self, dhs, pulls):
        dxs, *rest = super()._back(dhs, pulls)
        return dxs[:, ::-1], *rest


class DxShifted(_Einsum):
    """dxs stands one step late, its first step is 0."""

    def _back(self, dhs, *tape):
        dxs, *rest = super()._back(dhs, *tape)
        late = np.zeros_like(dxs)
        late[:, 1:] = dxs[:, :-1]
        return late, *rest


class DxOfLastStepOnly(_Concat):
    """dxs is filled for the last step only."""

    def _back(self, dhs, *tape):
        dxs, *rest = super()._back(dhs, *tape)
        dxs[:, :-1] = 0
        return dxs, *rest


class DxLosesCarry(_Plain):
    """dx takes dhs * slope, without the carry; all else with it."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        _, *rest = super()._back(dhs, xs, prevs, hs, Wx, Wh, b)
        return (dhs * (1 - hs * hs)) @ Wx.T, *rest


LAYERS = [
    ("gradient-overwritten-in-loop", "= for +=, step 0's parameter gradients survive", AssignsInsteadOfAdds),
    ("gradient-overwritten-in-loop", "cells share one gradient list that each overwrites", SharedCellGrads),
    ("gradient-overwritten-in-loop", "only the last step's parameter gradients survive", FirstGradientWins),
    ("gradient-overwritten-in-loop", "only dWh is assigned (step 0 survives)", OnlyDWhOverwritten),
    ("dWh-index-wraps", "dWh: h[t-1] wraps to the last state at t = 0 (array)", WrappedIndex),
    ("dWh-index-wraps", "dWh: states[t-1] wraps at t = 0 (list, rows)", WrappedList),
    ("dWh-transposed", "dWh = dz^T h_prev", TransposedDWh),
    ("dWh-transposed", "dWh: einsum output letters swapped", EinsumLettersSwapped),
    ("dWh-transposed", "dWh: outer product the wrong way round", OuterWrongWayRound),
    ("wrong-delta", "db sums d instead of dz", BiasTakesUpstream),
    ("wrong-delta", "dWx = x^T d", InputWeightTakesUpstream),
    ("wrong-delta", "dx = d Wx^T", InputTakesUpstream),
    ("wrong-delta", "dWh pairs h_{t-1} with dz_{t+1}", RecurrentWeightTakesLaterDelta),
    ("wrong-delta", "db sums the carry instead of dz", BiasTakesCarry),
    ("db-times-input", "db sums dz * x.sum()", BiasTimesInput),
    ("db-times-input", "db = dWx.sum(axis=0)", BiasFromDWx),
    ("db-one-step", "db of step 0 alone", BiasOfStepZero),
    ("db-one-step", "db of the last step alone", BiasOfLastStep),
    ("divided-by-B", "parameter gradients divided by B", BatchMean),
    ("divided-by-B", "parameter gradients divided by B (einsum)", BatchMeanEinsum),
    ("divided-by-B", "db alone divided by B", BiasBatchMean),
    ("divided-by-B", "dhs divided by B, so all gradients are", EverythingBatchMean),
    ("divided-by-T", "parameter gradients divided by T", TimeMean),
    ("divided-by-T", "parameter gradients multiplied by T", TimesT),
    ("divided-by-T", "parameter gradients divided by B * T", TokenMean),
    ("divided-by-T", "dhs divided by T, so all gradients are", UpstreamOverT),
    ("dh0-no-weights", "dh_0 is the last d", LastD),
    ("dh0-no-weights", "dh_0 is the last dz", LastDz),
    ("dh0-zero", "dh_0 is zeros", StateGradientZero),
    ("dh0-sign", "dh_0 with the wrong sign", StateGradientFlipped),
    ("dh0-summed", "dh_0 summed over the batch", StateGradientSummed),
    ("dh0-none", "dh never set", StateGradientNever),
    ("dh0-plus-dhs", "dh_0 has dhs[:, 0] added", StateGradientPlusUpstream),
    ("dWx-sign", "dWx with the wrong sign", MinusDWx),
    ("dx-sign", "dx with the wrong sign", MinusDx),
    ("grads-sign", "all parameter gradients with the wrong sign", MinusAllGrads),
    ("dWh-h-t", "dWh pairs dz_t with h_t", StateAfterForDWh),
    ("dWh-h-t", "the cell's dWh uses h_next for h_prev", CellCachesWrongState),
    ("dWh-no-h0", "dWh leaves out t = 0", NoStartTermInDWh),
    ("dWh-no-h0", "dWh from hs[:-1] and dz[1:] only", NoStartTermEinsum),
    ("dWh-h0-only", "dWh pairs every dz_t with h_0", DWhFromStartOnly),
    ("db-twice", "db counted twice", BiasTwice),
    ("db-one-row", "db of the last batch row only", BiasOfOneRow),
    ("factor-2", "all gradients doubled", FactorTwo),
    ("grads-lr", "parameter gradients times 0.01", LearningRateInside),
    ("grads-decay", "0.01 * W added to dWx and dWh", WeightDecayInside),
    ("grads-noise", "noise of 1e-3 on the parameter gradients", NoisyGradients),
    ("grads-momentum", "running mean with the gradients of earlier calls", MomentumInside),
    ("grads-accumulate", "grads += without zeroing", NeverZeroed),
    ("grads-accumulate", "db alone accumulates over calls", NeverZeroedBias),
    ("dx-wx-square", "dx = dz @ Wx when D == H", TakesSquareWxAsIs),
    ("dWx-square", "dWx transposed when D == H", TransposedSquareDWx),
    ("dx-reversed", "dxs in reversed time order", DxReversed),
    ("dx-shifted", "dxs one step late", DxShifted),
    ("dx-last-only", "dxs of the last step only", DxOfLastStepOnly),
    ("dx-no-carry", "dx from dhs * slope without the carry", DxLosesCarry),
]
