"""Cells with one fault each."""

import numpy as np


class _Base:
    """Parameters and gradients."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def _weights(self):
        Wx, Wh, b = self.params
        return Wx.copy(), Wh.copy(), b.reshape(-1).copy()

    def _fill(self, *grads):
        for mine, new in zip(self.grads, grads, strict=True):
            mine[...] = np.reshape(new, mine.shape)


class _Small(_Base):
    """Small methods over [B, *] arrays."""

    def _next(self, x, h_prev, Wx, Wh, b):
        return np.tanh(x @ Wx + h_prev @ Wh + b)

    def forward(self, x, h_prev):
        Wx, Wh, b = self._weights()
        h = self._next(x, h_prev, Wx, Wh, b)
        self.cache = (x.copy(), h_prev.copy(), h.copy(), Wx, Wh)
        return h

    def _slope(self, h):
        return 1 - h**2

    def _parts(self, dz, x, h_prev, h, Wx, Wh):
        return dz @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

    def backward(self, dh_next):
        dx, dh_prev, *grads = self._parts(dh_next * self._slope(self.cache[2]), *self.cache)
        self._fill(*grads)
        return dx, dh_prev


class _Vectors(_Base):
    """Row by row, column vectors."""

    def forward(self, x, h_prev):
        Wx, Wh, b = self._weights()
        h = np.zeros_like(h_prev, order="C")
        for r in range(len(x)):
            h[r] = np.tanh(Wx.T @ x[r] + Wh.T @ h_prev[r] + b)
        self.cache = (x.copy(), h_prev.copy(), h.copy(), Wx, Wh)
        return h

    def backward(self, dh_next):
        x, _, h, Wx, Wh = self.cache
        dx, dh_prev = np.zeros_like(x), np.zeros_like(h)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for r in range(len(x)):
            dz = dh_next[r] * (1 - h[r] ** 2)
            self._row(r, dz, dx, dh_prev, dWx, dWh, db)
        self._fill(dWx, dWh, db)
        return dx, dh_prev

    def _row(self, r, dz, dx, dh_prev, dWx, dWh, db):
        x, h_prev, _, Wx, Wh = self.cache
        dx[r], dh_prev[r] = Wx @ dz, Wh @ dz
        dWx += np.outer(x[r], dz)
        dWh += np.outer(h_prev[r], dz)
        db += dz


class NotebookCell(_Base):
    """The notebook's own cell, dt = 1 - h_next^2."""

    def forward(self, x, h_prev):
        Wx, Wh, b = self._weights()
        t = np.matmul(h_prev, Wh) + np.matmul(x, Wx) + b
        h_next = np.tanh(t)
        self.cache = (x.copy(), h_prev.copy(), h_next.copy(), Wx, Wh)
        return h_next

    def backward(self, dh_next):
        x, h_prev, h_next, Wx, Wh = self.cache
        dt = 1 - h_next**2
        self._fill(np.matmul(x.T, dt), np.matmul(h_prev.T, dt), np.sum(dt, axis=0))
        return np.matmul(dt, Wx.T), np.matmul(dt, Wh.T)


class OutputAsSlope(_Small):
    """h where its derivative belongs."""

    def _slope(self, h):
        return h


class PlusSquare(_Small):
    """1 + h^2."""

    def _slope(self, h):
        return 1 + h**2


class InverseSlope(_Small):
    """d / (1 - h^2)."""

    def _slope(self, h):
        return 1 / (1 - h**2)


class RecurrentOutsideTanh(_Small):
    """tanh(x Wx + b) + h_prev Wh; backward as for the right one."""

    def _next(self, x, h_prev, Wx, Wh, b):
        return np.tanh(x @ Wx + b) + h_prev @ Wh


class CarryUntransposed(_Small):
    """dh_prev = dz @ Wh."""

    def _parts(self, dz, x, h_prev, h, Wx, Wh):
        dx, _, *grads = super()._parts(dz, x, h_prev, h, Wx, Wh)
        return dx, dz @ Wh, *grads


class CarryUntransposedVectors(_Vectors):
    """dh_prev = Wh.T @ dz with column vectors."""

    def _row(self, r, dz, dx, dh_prev, dWx, dWh, db):
        super()._row(r, dz, dx, dh_prev, dWx, dWh, db)
        dh_prev[r] = self.cache[4].T @ dz


class ClippedCell(_Small):
    """Gradients clipped to +-1."""

    def _fill(self, *grads):
        super()._fill(*[np.clip(g, -1, 1) for g in grads])


class ClippedDz(_Small):
    """dz clipped to +-0.5."""

    def _parts(self, dz, *cache):
        return super()._parts(np.clip(dz, -0.5, 0.5), *cache)


class LastRowWins(_Vectors):
    """= for += over the batch rows, the last row's parameter gradients survive."""

    def _row(self, r, dz, dx, dh_prev, dWx, dWh, db):
        dWx[...] = dWh[...] = db[...] = 0
        super()._row(r, dz, dx, dh_prev, dWx, dWh, db)


class CellDWhTransposed(_Small):
    """dWh = dz^T h_prev."""

    def _parts(self, dz, x, h_prev, h, Wx, Wh):
        dx, dh_prev, dWx, dWh, db = super()._parts(dz, x, h_prev, h, Wx, Wh)
        return dx, dh_prev, dWx, dWh.T, db


class DWhOfNext(_Small):
    """dWh = h_next^T dz."""

    def _parts(self, dz, x, h_prev, h, Wx, Wh):
        dx, dh_prev, dWx, _, db = super()._parts(dz, x, h_prev, h, Wx, Wh)
        return dx, dh_prev, dWx, h.T @ dz, db


class BiasOfUpstream(_Small):
    """db sums dh_next instead of dz."""

    def backward(self, dh_next):
        results = super().backward(dh_next)
        self.grads[2][...] = dh_next.sum(axis=0)
        return results


class BiasByInput(_Vectors):
    """db multiplied by the input's sum."""

    def _row(self, r, dz, dx, dh_prev, dWx, dWh, db):
        super()._row(r, dz, dx, dh_prev, dWx, dWh, db)
        db += dz * (self.cache[0][r].sum() - 1)


class MeanOverRows(_Small):
    """Parameter gradients divided by B."""

    def _fill(self, *grads):
        B = len(self.cache[0])
        super()._fill(*[g / B for g in grads])


class PrevIsDz(_Small):
    """dh_prev is dz, without Wh^T."""

    def _parts(self, dz, *cache):
        dx, _, *grads = super()._parts(dz, *cache)
        return dx, dz, *grads


class IgnoresState(_Small):
    """h_prev is taken for zeros in the forward; dWh uses it all the same."""

    def _next(self, x, h_prev, Wx, Wh, b):
        return np.tanh(x @ Wx + b)


class RowChain(_Vectors):
    """Row r takes row r - 1's new state for its h_prev; backward as for the right one."""

    def forward(self, x, h_prev):
        Wx, Wh, b = self._weights()
        h, state = np.zeros_like(h_prev, order="C"), h_prev[0]
        for r in range(len(x)):
            state = h[r] = np.tanh(Wx.T @ x[r] + Wh.T @ state + b)
        self.cache = (x.copy(), h_prev.copy(), h.copy(), Wx, Wh)
        return h


class CellSqueezes(_Small):
    """h_next is squeezed, [H] for a batch of one."""

    def forward(self, x, h_prev):
        return super().forward(x, h_prev).squeeze()

    def backward(self, dh_next):
        return super().backward(dh_next.reshape(self.cache[2].shape))


class CellInSingle(_Small):
    """The new state passes through a float32 buffer."""

    def _next(self, *args):
        h = super()._next(*args)
        return h.astype(np.float32).astype(h.dtype)


class CellInDouble(_Small):
    """dx is float64 for float32."""

    def backward(self, dh_next):
        dx, dh_prev = super().backward(dh_next)
        return dx.astype(np.float64), dh_prev


class OverwritesState(_Small):
    """The new state is written into the caller's h_prev, which is returned."""

    def forward(self, x, h_prev):
        h_prev[...] = super().forward(x, h_prev)
        return h_prev


class SlopeIntoUpstream(_Small):
    """dh_next *= slope, in the caller's array."""

    def backward(self, dh_next):
        dh_next *= self._slope(self.cache[2])
        dx, dh_prev, *grads = self._parts(dh_next, *self.cache)
        self._fill(*grads)
        return dx, dh_prev


class ClassCacheCell(_Small):
    """The cache belongs to the class, the backward of an earlier cell reads the latest one's."""

    kept: list = []  # noqa: RUF012, the fault

    @property
    def cache(self):
        return self.kept[-1]

    @cache.setter
    def cache(self, value):
        if value is not None:
            self.kept[:] = [value]


class CellAccumulates(_Small):
    """grads += without zeroing."""

    def _fill(self, *grads):
        for mine, new in zip(self.grads, grads, strict=True):
            mine += new.reshape(mine.shape)


class CellSigmoid(_Small):
    """Slope h (1 - h) under a tanh."""

    def _slope(self, h):
        return h * (1 - h)


class CellSlopeTwiceTanh(_Vectors):
    """Slope 1 - tanh(h)^2."""

    def backward(self, dh_next):
        x, _, h, Wx, Wh = self.cache
        dx, dh_prev = np.zeros_like(x), np.zeros_like(h)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
        for r in range(len(x)):
            self._row(r, dh_next[r] * (1 - np.tanh(h[r]) ** 2), dx, dh_prev, dWx, dWh, db)
        self._fill(dWx, dWh, db)
        return dx, dh_prev


class CellBiasTwice(_Small):
    """The bias is added twice; backward as for the right one."""

    def _next(self, x, h_prev, Wx, Wh, b):
        return np.tanh((x @ Wx + b) + (h_prev @ Wh + b))


class CellWhTransposed(_Small):
    """h_prev @ Wh.T in the forward, backward of just that."""

    def _next(self, x, h_prev, Wx, Wh, b):
        return np.tanh(x @ Wx + h_prev @ Wh.T + b)

    def _parts(self, dz, x, h_prev, h, Wx, Wh):
        dx, _, dWx, dWh, db = super()._parts(dz, x, h_prev, h, Wx, Wh)
        return dx, dz @ Wh, dWx, dWh.T, db


class CellWxSquare(_Vectors):
    """dx = Wx^T dz where D == H lets it pass."""

    def _row(self, r, dz, dx, dh_prev, dWx, dWh, db):
        super()._row(r, dz, dx, dh_prev, dWx, dWh, db)
        Wx = self.cache[3]
        if Wx.shape[0] == Wx.shape[1]:
            dx[r] = Wx.T @ dz


class CellDoubled(_Small):
    """All gradients doubled."""

    def backward(self, dh_next):
        return super().backward(2 * dh_next)


CELLS = [
    ("upstream-dropped", "dt = 1 - h_next^2 (the notebook's own)", NotebookCell),
    ("slope-is-h", "slope h", OutputAsSlope),
    ("slope-wrong-formula", "slope 1 + h^2", PlusSquare),
    ("slope-wrong-formula", "d / (1 - h^2)", InverseSlope),
    (
        "tanh-around-one-summand",
        "tanh(x Wx + b) + h_prev Wh, backward of the right one",
        RecurrentOutsideTanh,
    ),
    ("carry-Wh-not-transposed", "dh_prev = dz @ Wh", CarryUntransposed),
    ("carry-Wh-not-transposed", "dh_prev = Wh.T @ dz with vectors", CarryUntransposedVectors),
    ("clipped", "parameter gradients clipped to +-1", ClippedCell),
    ("clipped", "dz clipped to +-0.5", ClippedDz),
    ("gradient-overwritten-in-loop", "= for += over rows, the last row survives", LastRowWins),
    ("dWh-transposed", "dWh = dz^T h_prev", CellDWhTransposed),
    ("dWh-h-t", "dWh = h_next^T dz", DWhOfNext),
    ("wrong-delta", "db sums dh_next", BiasOfUpstream),
    ("db-times-input", "db multiplied by the input's sum", BiasByInput),
    ("divided-by-B", "parameter gradients divided by B", MeanOverRows),
    ("dh0-no-weights", "dh_prev = dz", PrevIsDz),
    ("h0-ignored", "h_prev taken for zeros in the forward", IgnoresState),
    ("state-from-row-above", "row r's h_prev is row r-1's new state", RowChain),
    ("squeezed", "h_next.squeeze()", CellSqueezes),
    ("float32-inside", "the new state through float32", CellInSingle),
    ("float64-out", "dx is float64 for float32", CellInDouble),
    ("h0-overwritten", "the new state is written into the caller's h_prev", OverwritesState),
    ("upstream-overwritten", "dh_next *= slope in place", SlopeIntoUpstream),
    ("cache-shared", "cache belongs to the class", ClassCacheCell),
    ("grads-accumulate", "grads += without zeroing", CellAccumulates),
    ("slope-sigmoid", "slope h (1 - h)", CellSigmoid),
    ("slope-tanh-h", "slope 1 - tanh(h)^2", CellSlopeTwiceTanh),
    ("b-twice", "bias added twice in the forward", CellBiasTwice),
    ("Wh-transposed", "h_prev @ Wh.T, backward consistent", CellWhTransposed),
    ("dx-wx-square", "dx = dz @ Wx when D == H", CellWxSquare),
    ("factor-2", "all gradients doubled", CellDoubled),
]
