"""Stacks with a fault in the cell, its gradients or the layers."""

import numpy as np

from parity_tests.gate_tests.people.modules import MaskedBatch, RowByRow, TurnedRows


class ReluMaskWithEqual(MaskedBatch):
    """The relu's mask is h >= 0, true everywhere."""

    def _slope(self, h):
        return 1 - h * h if self.nonlinearity == "tanh" else (h >= 0).astype(h.dtype)


class ReluByDefault(RowByRow):
    """Nonlinearity is "relu" by default."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="relu", *args, **kwargs):
        super().__init__(input_size, hidden_size, num_layers, nonlinearity, *args, **kwargs)


class NoBiasByDefault(TurnedRows):
    """Bias is False by default."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=False, *rest, **more):
        super().__init__(input_size, hidden_size, num_layers, nonlinearity, bias, *rest, **more)


class TanhSlopeForRelu(MaskedBatch):
    """1 - h^2 under a relu, too."""

    def _slope(self, h):
        return 1 - h * h


class ReluSlopeForTanh(RowByRow):
    """h > 0 under a tanh, too."""

    def _slope(self, h):
        return (h > 0).astype(h.dtype)


class NonlinearityIgnored(TurnedRows):
    """tanh, forward and backward, whatever nonlinearity says."""

    def _act(self, z):
        return np.tanh(z)

    def _slope(self, h):
        return 1 - h**2


class UpstreamDropped(MaskedBatch):
    """dz = 1 - h^2 at every live step."""

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
    """The gradient of one step never reaches the step before."""

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
    """The carry is Whh @ dz."""

    def _down(self, Whh, dz):
        return Whh @ dz


class NeedsOutputGradient(MaskedBatch):
    """Without d_output the buffer of upstream gradients is np.empty garbage (here NaN)."""

    def backward(self, d_output, d_h_n=None):
        if d_output is None:
            unbatched, alive, _ = self._call
            garbage = np.full((*alive.shape, self.dirs * self.hidden_size), np.nan, self.dtype)
            d_output = self._unlayout(garbage, unbatched)
        return super().backward(d_output, d_h_n)


class CrashesWithoutOutputGradient(RowByRow):
    """Without d_output it raises."""

    def backward(self, d_output, d_h_n=None):
        d_output = np.asarray(d_output).astype(self.dtype)
        return super().backward(d_output, d_h_n)


class ClippedModule(MaskedBatch):
    """Gradients of parameters are clipped to +-1."""

    def _store(self, grads):
        super()._store({name: np.clip(g, -1, 1) for name, g in grads.items()})


class ClippedCarryModule(RowByRow):
    """The carry is clipped to +-0.5."""

    def _down(self, Whh, dz):
        return np.clip(Whh.T @ dz, -0.5, 0.5)


class MeanModule(TurnedRows):
    """Gradients of parameters are divided by B."""

    def _store(self, grads):
        B = self._call[1].shape[1]
        super()._store({name: g / B for name, g in grads.items()})


class UpperBiasGradientsZero(MaskedBatch):
    """Bias gradients of layers > 0 are zero (wrong offset in the flat buffer)."""

    def _file(self, grads, layer, k, dWih, dWhh, db):
        super()._file(grads, layer, k, dWih, dWhh, np.zeros_like(db) if layer else db)


class ReverseGradientsLost(TurnedRows):
    """Gradients of the reverse direction's parameters are never added."""

    def _file(self, grads, layer, k, *parts):
        super()._file(grads, layer, k, *([0 * p for p in parts] if k else parts))


class ReverseGradientsLostInDx(TurnedRows):
    """What the reverse direction gives to the input below is not added."""

    def _add(self, lower):
        return lower[0]


class HiddenBiasGradientZero(MaskedBatch):
    """The gradient of bias_hh stays zero."""

    def _store(self, grads):
        super()._store({name: 0 * g if name.startswith("bias_hh") else g for name, g in grads.items()})


class HiddenBiasGradientDoubled(RowByRow):
    """The gradient of bias_hh gets both biases' (twice the right one)."""

    def _store(self, grads):
        super()._store({name: 2 * g if name.startswith("bias_hh") else g for name, g in grads.items()})


class HiddenWeightGradientTransposed(MaskedBatch):
    """The gradient of weight_hh is transposed."""

    def _store(self, grads):
        super()._store({name: g.T if name.startswith("weight_hh") else g for name, g in grads.items()})


class InputBiasTwice(MaskedBatch):
    """bias_ih is added twice and bias_hh never."""

    def _pick(self, w, layer, k):
        Wih, Whh, bih, _ = super()._pick(w, layer, k)
        return Wih, Whh, bih, bih


class HiddenBiasTwice(RowByRow):
    """bias_hh is added twice and bias_ih never."""

    def _pick(self, w, layer, k):
        Wih, Whh, _, bhh = super()._pick(w, layer, k)
        return Wih, Whh, bhh, bhh


class EveryLayerGetsX(MaskedBatch):
    """Layers > 0 are fed x instead of the layer below; backward as for the right one."""

    def _input(self, x, below, layer):
        return x


class StatesOverwritten(RowByRow):
    """The caller's hx is overwritten by h_n."""

    def forward(self, input, hx=None, **kwargs):  # noqa: A002
        output, h_n = super().forward(input, hx, **kwargs)
        if hx is not None:
            hx[...] = h_n
        return output, h_n


class OneStartForAll(MaskedBatch):
    """All layers and directions start from hx[0]."""

    def _start(self, h0, s):
        return h0[0]


class OneStateForAll(RowByRow):
    """All layers and directions share one state, each goes on from where the one before ended."""

    def _first(self, h0, s, r, before):
        return h0[0, r] if before is None else before


class StartsIgnored(TurnedRows):
    """hx is ignored."""

    def forward(self, input, hx=None, **kwargs):  # noqa: A002
        return super().forward(input, None, **kwargs)


class WeightsOfFirstCall(MaskedBatch):
    """Weights are packed at the first call; later changes are not seen."""

    _packed = None

    def _weights(self):
        if self._packed is None:
            self._packed = super()._weights()
        return self._packed


class OutputSqueezed(RowByRow):
    """Output is squeezed, which removes the batch axis for B = 1."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        self._shape = output.shape
        return output.squeeze(), h_n

    def backward(self, d_output, d_h_n=None):
        return super().backward(None if d_output is None else np.reshape(d_output, self._shape), d_h_n)


class BatchFirstByReshape(TurnedRows):
    """batch_first by reshape(T, B, D) and back, instead of a transpose."""

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
    """States go through float32 buffers, also for float64."""

    def _act(self, z):
        return super()._act(z).astype(np.float32).astype(z.dtype)


class DoubleStates(RowByRow):
    """h_n is np.zeros(shape), float64 also for float32."""

    def _give_states(self, states, unbatched):
        return super()._give_states(states, unbatched).astype(np.float64)


class StatesReviewed(MaskedBatch):
    """h_n is collected as [B, S, H] and reshaped to [S, B, H]."""

    def forward(self, *args, **kwargs):
        output, h_n = super().forward(*args, **kwargs)
        if h_n.ndim == 3:
            h_n = np.ascontiguousarray(h_n.swapaxes(0, 1)).reshape(h_n.shape)
        return output, h_n


MODULES = [
    ("relu-mask-all-true", "relu mask h >= 0", ReluMaskWithEqual),
    ("wrong-defaults", "nonlinearity is relu by default", ReluByDefault),
    ("wrong-defaults", "bias is False by default", NoBiasByDefault),
    ("slope-tanh-for-relu", "slope 1 - h^2 under a relu", TanhSlopeForRelu),
    ("slope-relu-for-tanh", "slope h > 0 under a tanh", ReluSlopeForTanh),
    ("nonlinearity-ignored", "tanh whatever nonlinearity says", NonlinearityIgnored),
    ("upstream-dropped", "dz = 1 - h^2", UpstreamDropped),
    ("carry-dropped", "carry dropped", NoCarry),
    ("carry-Wh-not-transposed", "carry Whh @ dz", CarryTransposed),
    ("d_output-none", "without d_output all gradients are NaN", NeedsOutputGradient),
    ("d_output-none", "without d_output backward raises", CrashesWithoutOutputGradient),
    ("clipped", "parameter gradients clipped to +-1", ClippedModule),
    ("clipped", "carry clipped to +-0.5", ClippedCarryModule),
    ("dWh-transposed", "weight_hh gradient transposed", HiddenWeightGradientTransposed),
    ("upper-biases-zero", "bias gradients of layers > 0 are zero", UpperBiasGradientsZero),
    ("divided-by-B", "parameter gradients divided by B", MeanModule),
    ("reverse-gradients-zero", "reverse direction's parameter gradients are zero", ReverseGradientsLost),
    ("dx-reverse-lost", "reverse direction's part of dx not added", ReverseGradientsLostInDx),
    ("bias_hh-zero", "bias_hh gradient zero", HiddenBiasGradientZero),
    ("bias_hh-twice", "bias_hh gradient doubled", HiddenBiasGradientDoubled),
    ("one-bias-twice", "bias_ih twice, bias_hh never", InputBiasTwice),
    ("one-bias-twice", "bias_hh twice, bias_ih never", HiddenBiasTwice),
    ("layers-read-x", "layers > 0 fed x (raises unless D == dirs * H)", EveryLayerGetsX),
    ("h0-overwritten", "hx overwritten by h_n", StatesOverwritten),
    ("layers-share-state", "all layers start from hx[0]", OneStartForAll),
    ("layers-share-state", "all layers share one running state", OneStateForAll),
    ("h0-ignored", "hx ignored", StartsIgnored),
    ("weights-of-first-call", "weights packed at the first call", WeightsOfFirstCall),
    ("squeezed", "output squeezed", OutputSqueezed),
    ("reshape-for-transpose", "batch_first by reshape", BatchFirstByReshape),
    ("float32-inside", "states through float32", SingleInside),
    ("float64-out", "h_n and d_hx float64 for float32", DoubleStates),
    ("h_n-reshaped", "h_n collected [B, S, H] and reshaped", StatesReviewed),
]
