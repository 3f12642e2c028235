"""Stacks with a fault in the cell, its gradients or the layers."""

import numpy as np

from parity_tests.gate_tests.people.modules import MaskedBatch, RowByRow, TurnedRows


class ReluMaskWithEqual(MaskedBatch):
    """A9: the relu's mask is h >= 0, true everywhere."""

    def _slope(self, h):
        return 1 - h * h if self.nonlinearity == "tanh" else (h >= 0).astype(h.dtype)


class ReluByDefault(RowByRow):
    """A11: nonlinearity is "relu" by default."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="relu", *args, **kwargs):
        super().__init__(input_size, hidden_size, num_layers, nonlinearity, *args, **kwargs)


class NoBiasByDefault(TurnedRows):
    """A11: bias is False by default."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=False, *rest, **more):
        super().__init__(input_size, hidden_size, num_layers, nonlinearity, bias, *rest, **more)


class TanhSlopeForRelu(MaskedBatch):
    """own: 1 - h^2 under a relu, too."""

    def _slope(self, h):
        return 1 - h * h


class ReluSlopeForTanh(RowByRow):
    """own: h > 0 under a tanh, too."""

    def _slope(self, h):
        return (h > 0).astype(h.dtype)


class NonlinearityIgnored(TurnedRows):
    """own: tanh, forward and backward, whatever nonlinearity says."""

    def _act(self, z):
        return np.tanh(z)

    def _slope(self, h):
        return 1 - h**2


class UpstreamDropped(MaskedBatch):
    """A1: dz = 1 - h^2 at every live step."""

    def _scan_back(self, d, dh, alive, memo, s):
        x, before, out, (Wih, Whh, bih, _) = memo
        dx, dWih, dWhh, db = np.zeros_like(x), np.zeros_like(Wih), np.zeros_like(Whh), np.zeros_like(bih)
        for t in reversed(self._order(len(x), s % self.dirs)):
            live = alive[t][:, None]
            dz = np.where(live, self._slope(out[t]), 0)
            dWih += dz.T @ x[t]
            dWhh += dz.T @ before[t]
            db += dz.sum(axis=0)
            dx[t] = dz @ Wih
            dh = np.where(live, dz @ Whh, dh)
        return dx, dh, dWih, dWhh, db


class NoCarry(MaskedBatch):
    """B1: the gradient of one step never reaches the step before."""

    def _scan_back(self, d, dh, alive, memo, s):
        x, before, out, (Wih, Whh, bih, _) = memo
        dx, dWih, dWhh, db = np.zeros_like(x), np.zeros_like(Wih), np.zeros_like(Whh), np.zeros_like(bih)
        passed = np.zeros_like(dh)
        for t in reversed(self._order(len(x), s % self.dirs)):
            live = alive[t][:, None]
            dz = np.where(live, (d[t] + dh) * self._slope(out[t]), 0)
            dWih += dz.T @ x[t]
            dWhh += dz.T @ before[t]
            db += dz.sum(axis=0)
            dx[t] = dz @ Wih
            passed = np.where(live, dz @ Whh, passed)
            dh = np.where(live, 0, dh)
        return dx, passed, dWih, dWhh, db


class CarryTransposed(RowByRow):
    """B3: the carry is Whh @ dz."""

    def _down(self, Whh, dz):
        return Whh @ dz


class NeedsOutputGradient(MaskedBatch):
    """B9: without d_output the buffer of upstream gradients is np.empty garbage (here NaN)."""

    def backward(self, d_output, d_h_n=None):
        if d_output is None:
            unbatched, alive, _ = self._call
            garbage = np.full((*alive.shape, self.dirs * self.hidden_size), np.nan, self.dtype)
            d_output = self._unlayout(garbage, unbatched)
        return super().backward(d_output, d_h_n)


class CrashesWithoutOutputGradient(RowByRow):
    """B9: without d_output it raises."""

    def backward(self, d_output, d_h_n=None):
        d_output = np.asarray(d_output).astype(self.dtype)
        return super().backward(d_output, d_h_n)


class ClippedModule(MaskedBatch):
    """B13: gradients of parameters are clipped to +-1."""

    def _store(self, grads):
        super()._store({name: np.clip(g, -1, 1) for name, g in grads.items()})


class ClippedCarryModule(RowByRow):
    """B13: the carry is clipped to +-0.5."""

    def _down(self, Whh, dz):
        return np.clip(Whh.T @ dz, -0.5, 0.5)


class MeanModule(TurnedRows):
    """C15: gradients of parameters are divided by B."""

    def _store(self, grads):
        B = self._call[1].shape[1]
        super()._store({name: g / B for name, g in grads.items()})


class UpperBiasGradientsZero(MaskedBatch):
    """C13: bias gradients of layers > 0 are zero (wrong offset in the flat buffer)."""

    def _file(self, grads, layer, k, dWih, dWhh, db):
        super()._file(grads, layer, k, dWih, dWhh, np.zeros_like(db) if layer else db)


class ReverseGradientsLost(TurnedRows):
    """C19: gradients of the reverse direction's parameters are never added."""

    def _file(self, grads, layer, k, *parts):
        super()._file(grads, layer, k, *([0 * p for p in parts] if k else parts))


class ReverseGradientsLostInDx(TurnedRows):
    """own: what the reverse direction gives to the input below is not added."""

    def _add(self, lower):
        return lower[0]


class HiddenBiasGradientZero(MaskedBatch):
    """own: the gradient of bias_hh stays zero."""

    def _store(self, grads):
        super()._store({name: 0 * g if name.startswith("bias_hh") else g for name, g in grads.items()})


class HiddenBiasGradientDoubled(RowByRow):
    """own: the gradient of bias_hh gets both biases' (twice the right one)."""

    def _store(self, grads):
        super()._store({name: 2 * g if name.startswith("bias_hh") else g for name, g in grads.items()})


class HiddenWeightGradientTransposed(MaskedBatch):
    """C5: the gradient of weight_hh is transposed."""

    def _store(self, grads):
        super()._store({name: g.T if name.startswith("weight_hh") else g for name, g in grads.items()})


class InputBiasTwice(MaskedBatch):
    """D3: bias_ih is added twice and bias_hh never."""

    def _pick(self, w, layer, k):
        Wih, Whh, bih, _ = super()._pick(w, layer, k)
        return Wih, Whh, bih, bih


class HiddenBiasTwice(RowByRow):
    """D3: bias_hh is added twice and bias_ih never."""

    def _pick(self, w, layer, k):
        Wih, Whh, _, bhh = super()._pick(w, layer, k)
        return Wih, Whh, bhh, bhh


class EveryLayerGetsX(MaskedBatch):
    """D5: layers > 0 are fed x instead of the layer below; backward as for the right one."""

    def _input(self, x, below, layer):
        return x


class StatesOverwritten(RowByRow):
    """D7: the caller's hx is overwritten by h_n."""

    def forward(self, input, hx=None, **kwargs):  # noqa: A002
        output, h_n = super().forward(input, hx, **kwargs)
        if hx is not None:
            hx[...] = h_n
        return output, h_n


class OneStartForAll(MaskedBatch):
    """D9: all layers and directions start from hx[0]."""

    def _start(self, h0, s):
        return h0[0]


class OneStateForAll(RowByRow):
    """D9: all layers and directions share one state, each goes on from where the one before ended."""

    def _first(self, h0, s, r, before):
        return h0[0, r] if before is None else before


class StartsIgnored(TurnedRows):
    """D11: hx is ignored."""

    def forward(self, input, hx=None, **kwargs):  # noqa: A002
        return super().forward(input, None, **kwargs)


class WeightsOfFirstCall(MaskedBatch):
    """D19: weights are packed at the first call; later changes are not seen."""

    _packed = None

    def _weights(self):
        if self._packed is None:
            self._packed = super()._weights()
        return self._packed


class OutputSqueezed(RowByRow):
    """D21: output is squeezed, which removes the batch axis for B = 1."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        self._shape = output.shape
        return output.squeeze(), h_n

    def backward(self, d_output, d_h_n=None):
        return super().backward(None if d_output is None else np.reshape(d_output, self._shape), d_h_n)


class BatchFirstByReshape(TurnedRows):
    """D23: batch_first by reshape(T, B, D) and back, instead of a transpose."""

    def _layout(self, array):
        array = np.asarray(array)
        if array.ndim == 3 and self.batch_first:
            B, T, N = array.shape
            return np.array(array, order="C").reshape(T, B, N)
        return super()._layout(array)

    def _unlayout(self, array, unbatched):
        if not unbatched and self.batch_first:
            T, B, N = array.shape
            return np.array(array, order="C").reshape(B, T, N)
        return super()._unlayout(array, unbatched)


class SingleInside(TurnedRows):
    """D25: states go through float32 buffers, also for float64."""

    def _act(self, z):
        return super()._act(z).astype(np.float32).astype(z.dtype)


class DoubleStates(RowByRow):
    """D27: h_n is np.zeros(shape), float64 also for float32."""

    def _give_states(self, states, unbatched):
        return super()._give_states(states, unbatched).astype(np.float64)


class StatesReviewed(MaskedBatch):
    """D31: h_n is collected as [B, S, H] and reshaped to [S, B, H]."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        if h_n.ndim == 3:
            h_n = np.ascontiguousarray(h_n.swapaxes(0, 1)).reshape(h_n.shape)
        return output, h_n


MODULES = [
    ("A9", "relu mask h >= 0", ReluMaskWithEqual),
    ("A11", "nonlinearity is relu by default", ReluByDefault),
    ("A11", "bias is False by default", NoBiasByDefault),
    ("slope-tanh-for-relu", "slope 1 - h^2 under a relu", TanhSlopeForRelu),
    ("slope-relu-for-tanh", "slope h > 0 under a tanh", ReluSlopeForTanh),
    ("nonlinearity-ignored", "tanh whatever nonlinearity says", NonlinearityIgnored),
    ("A1", "dz = 1 - h^2", UpstreamDropped),
    ("B1", "carry dropped", NoCarry),
    ("B3", "carry Whh @ dz", CarryTransposed),
    ("B9", "without d_output all gradients are NaN", NeedsOutputGradient),
    ("B9", "without d_output backward raises", CrashesWithoutOutputGradient),
    ("B13", "parameter gradients clipped to +-1", ClippedModule),
    ("B13", "carry clipped to +-0.5", ClippedCarryModule),
    ("C5", "weight_hh gradient transposed", HiddenWeightGradientTransposed),
    ("C13", "bias gradients of layers > 0 are zero", UpperBiasGradientsZero),
    ("C15", "parameter gradients divided by B", MeanModule),
    ("C19", "reverse direction's parameter gradients are zero", ReverseGradientsLost),
    ("dx-reverse-lost", "reverse direction's part of dx not added", ReverseGradientsLostInDx),
    ("bias_hh-zero", "bias_hh gradient zero", HiddenBiasGradientZero),
    ("bias_hh-twice", "bias_hh gradient doubled", HiddenBiasGradientDoubled),
    ("D3", "bias_ih twice, bias_hh never", InputBiasTwice),
    ("D3", "bias_hh twice, bias_ih never", HiddenBiasTwice),
    ("D5", "layers > 0 fed x (raises unless D == dirs * H)", EveryLayerGetsX),
    ("D7", "hx overwritten by h_n", StatesOverwritten),
    ("D9", "all layers start from hx[0]", OneStartForAll),
    ("D9", "all layers share one running state", OneStateForAll),
    ("D11", "hx ignored", StartsIgnored),
    ("D19", "weights packed at the first call", WeightsOfFirstCall),
    ("D21", "output squeezed", OutputSqueezed),
    ("D23", "batch_first by reshape", BatchFirstByReshape),
    ("D25", "states through float32", SingleInside),
    ("D27", "h_n and d_hx float64 for float32", DoubleStates),
    ("D31", "h_n collected [B, S, H] and reshaped", StatesReviewed),
]
