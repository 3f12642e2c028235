"""Sequence layers with a fault in aliasing or in the order of calls."""

import numpy as np

from parity_tests.gate_tests.people.ways import _Book, _Columns, _Concat, _Dicts, _Einsum, _Plain, _TimeMajor


class AddsIntoUpstream(_Plain):
    """The carry is added into the caller's dhs."""

    def backward(self, dhs):
        xs, prevs, hs, Wx, Wh, b = self._tape
        dxs = np.empty_like(xs)
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in range(hs.shape[1] - 1, -1, -1):
            dz = dhs[:, t] * (1 - hs[:, t] ** 2)
            dWx += xs[:, t].T @ dz
            dWh += prevs[:, t].T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
            if t:
                dhs[:, t - 1] += dh
        self._keep([dWx, dWh, db])
        self._dh = dh
        return dxs


class SlopesUpstreamInPlace(_TimeMajor):
    """dhs is multiplied by the slope and gets the carry in place, in a view of the caller's array."""

    def backward(self, dhs):
        x, s, Wx, Wh = self._tape
        g = dhs.swapaxes(0, 1)
        carry = np.zeros_like(s[0])
        for t in reversed(range(len(g))):
            g[t] += carry
            g[t] *= 1 - s[t + 1] ** 2
            carry = g[t] @ Wh.T
        self._keep(self._sums(x, s, np.array(g, order="C")))
        self._dh = carry
        return np.array((g @ Wx.T).swapaxes(0, 1), order="C")


class ClassCache(_Plain):
    """The cache belongs to the class, so another layer's forward overwrites it."""

    shared: dict = {}  # noqa: RUF012, the fault

    @property
    def _tape(self):
        return self.shared["tape"]

    @_tape.setter
    def _tape(self, tape):
        if tape is not None:
            self.shared["tape"] = tape


class CacheNeverCleared(_Book):
    """Caches are appended for life and read from the front, so from the first call's."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.caches = []

    def forward(self, xs):
        Wx, Wh, b = self._weights()
        h, outs = self._first(len(xs)), []
        for t in range(xs.shape[1]):
            x = np.array(xs[:, t])
            new = np.tanh(x @ Wx + h @ Wh + b)
            self.caches.append((x, h, new, Wx, Wh))
            outs.append(new)
            h = new
        self._h = h.copy()
        return np.stack(outs, axis=1)

    def backward(self, dhs):
        dxs, dh, sums = [], 0, [0, 0, 0]
        for t in reversed(range(dhs.shape[1])):
            x, h_prev, h, Wx, Wh = self.caches[t]
            dz = (dhs[:, t] + dh) * (1 - h**2)
            sums = [sums[0] + x.T @ dz, sums[1] + h_prev.T @ dz, sums[2] + dz.sum(axis=0)]
            dxs.append(dz @ Wx.T)
            dh = dz @ Wh.T
        self._keep(sums)
        self._dh = dh
        return np.stack(dxs[::-1], axis=1)


class OutputIsTheCache(_Plain):
    """The hs that the caller gets is the array that the backward reads."""

    def forward(self, xs):
        hs, last, self._tape = self._run(np.array(xs), self._first(len(xs)), *self._weights())
        self._h = last.copy()
        return hs


class OutputBufferReused(_TimeMajor):
    """hs is one buffer for life, the next forward of the same shape overwrites the last result."""

    _buffer = None

    def forward(self, xs):
        hs = super().forward(xs)
        if self._buffer is None or self._buffer.shape != hs.shape:
            self._buffer = np.empty_like(hs)
        self._buffer[...] = hs
        return self._buffer


class KeepsInputView(_Plain):
    """The cache holds the caller's xs itself; changed before the backward, dWx is wrong."""

    def forward(self, xs):
        hs, last, self._tape = self._run(xs, self._first(len(xs)), *self._weights())
        self._h = last.copy()
        return hs.copy()


class CachePopped(_Plain):
    """The backward pops its cache, a second backward finds the list empty and gives zeros."""

    def _run(self, xs, h, Wx, Wh, b):
        outs, stack = [], []
        for t in range(xs.shape[1]):
            new = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            stack.append((t, xs[:, t], h, new))
            h = new
            outs.append(new)
        return np.stack(outs, axis=1), h, (stack, xs, Wx, Wh, b)

    def _back(self, dhs, stack, xs, Wx, Wh, b):
        dxs, dh = np.zeros_like(xs), np.zeros_like(dhs[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        while stack:
            t, x, h_prev, h = stack.pop()
            dz = (dhs[:, t] + dh) * (1 - h**2)
            dWx += x.T @ dz
            dWh += h_prev.T @ dz
            db += dz.sum(axis=0)
            dxs[:, t] = dz @ Wx.T
            dh = dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class DxIntoInput(_Plain):
    """The backward writes dx into the caller's xs to save memory, and returns that."""

    def forward(self, xs):
        self._theirs = xs
        return super().forward(xs)

    def backward(self, dhs):
        self._theirs[...] = super().backward(dhs)
        return self._theirs


class FreesInput(_Concat):
    """xs is zeroed in place behind each step that was read ('frees' it)."""

    def forward(self, xs):
        hs = super().forward(xs)
        xs[:, :-1] = 0
        return hs


class KeepsGivenState(_Plain):
    """set_state keeps the caller's array; a later change of it reaches the forward."""

    def set_state(self, h):
        self._h = h


class UpdatesParams(_Plain):
    """Backward applies an SGD step of 0.01 to the params itself."""

    def _keep(self, grads):
        super()._keep(grads)
        for p, g in zip(self.params, self.grads, strict=True):
            p -= (0.01 * g).astype(p.dtype)


class RebindsGrads(_Columns):
    """grads is a new list of new arrays after each backward."""

    def _keep(self, grads):
        self.grads = [np.array(g).reshape(p.shape) for g, p in zip(grads, self.params, strict=True)]


class ReplacesGradArrays(_Einsum):
    """The list grads stays but its arrays are replaced."""

    def _keep(self, grads):
        for i, g in enumerate(grads):
            self.grads[i] = np.array(g).reshape(self.grads[i].shape)


class ForwardZeroesGrads(_Dicts):
    """A forward zeroes the gradients that the backward before has left."""

    def forward(self, xs):
        for g in self.grads:
            g[...] = 0
        return super().forward(xs)


class LiveWeightsInBackward(_Plain):
    """The backward reads params as they are by then, not those of its forward."""

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        Wx, Wh, b = super()._weights()
        return super()._back(dhs, xs, prevs, hs, Wx, Wh, b)


LAYERS = [
    ("upstream-overwritten", "carry added into the caller's dhs", AddsIntoUpstream),
    ("upstream-overwritten", "slope and carry applied to the caller's dhs in place", SlopesUpstreamInPlace),
    ("cache-shared", "cache belongs to the class", ClassCache),
    ("cache-shared", "caches appended for life, read from the front", CacheNeverCleared),
    ("cache-shared", "returned hs is the cache", OutputIsTheCache),
    ("cache-shared", "returned hs is one buffer for life", OutputBufferReused),
    ("cache-shared", "cache holds the caller's xs", KeepsInputView),
    ("cache-popped", "a second backward gives zeros", CachePopped),
    ("input-overwritten", "dx written into the caller's xs", DxIntoInput),
    ("input-overwritten", "xs zeroed in place by the forward", FreesInput),
    ("h0-kept-by-reference", "set_state keeps the caller's array", KeepsGivenState),
    ("params-updated", "backward does an SGD step", UpdatesParams),
    ("grads-rebound", "grads is a new list after each backward", RebindsGrads),
    ("grads-rebound", "the arrays in grads are replaced", ReplacesGradArrays),
    ("grads-zeroed", "forward zeroes grads", ForwardZeroesGrads),
    ("weights-live", "backward uses the weights of its own time", LiveWeightsInBackward),
]
