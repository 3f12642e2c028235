"""Sequence layers with a fault in the forward pass, the state, a shape or a dtype."""

import numpy as np

from parity_tests.gate_tests.people.ways import (
    _Book,
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


class NeverAdvances(_Plain):
    """h_prev never advances, each step starts from h_0; backward of just that."""

    def _run(self, xs, h0, Wx, Wh, b):
        hs = np.tanh(xs @ Wx + (h0 @ Wh)[:, None] + b)
        return hs, hs[:, -1], (xs, np.repeat(h0[:, None], xs.shape[1], axis=1), hs, Wx, Wh, b)

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dz = dhs * (1 - hs * hs)
        flat = dz.reshape(-1, dz.shape[-1])
        dWx = xs.reshape(len(flat), -1).T @ flat
        dWh = prevs.reshape(flat.shape).T @ flat
        return dz @ Wx.T, dz.sum(axis=1) @ Wh.T, dWx, dWh, flat.sum(axis=0)


class NewNameNeverUsed(_Closures):
    """The new state gets another name, the loop reads the old; backward as for the right one."""

    def _run(self, xs, h, Wx, Wh, b):
        pulls, outs = [], []
        for x in xs.swapaxes(0, 1):
            h_next = np.tanh(x @ Wx + h @ Wh + b)
            pulls.append(self._node(x, h, h_next, Wx, Wh))
            outs.append(h_next)
        return np.stack(outs, axis=1), h_next, (pulls,)


class WritesIntoGivenState(_Book):
    """The state is updated in place, in the array that set_state was given (which implies F9)."""

    def set_state(self, h):
        self._h = h

    def forward(self, xs):
        Wx, Wh, b = self._weights()
        B, T, _ = xs.shape
        if not self.stateful or self._h is None:
            self._h = np.zeros((B, len(b)), Wx.dtype)
        h = self._h
        s = np.empty((T + 1, B, len(b)), Wx.dtype)
        s[0] = h
        for t in range(T):
            h[...] = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            s[t + 1] = h
        self._tape = (np.array(xs), s, Wx, Wh)
        return s[1:].swapaxes(0, 1).copy()

    def _back(self, dhs, xs, s, Wx, Wh):
        dxs, dWx, dWh, db = np.empty_like(xs), 0, 0, 0
        dh = np.zeros_like(s[0])
        for t in reversed(range(xs.shape[1])):
            dz = (dhs[:, t] + dh) * (1 - s[t + 1] ** 2)
            dWx, dWh, db = dWx + xs[:, t].T @ dz, dWh + s[t].T @ dz, db + dz.sum(axis=0)
            dxs[:, t], dh = dz @ Wx.T, dz @ Wh.T
        return dxs, dh, dWx, dWh, db


class FinalStateIntoGiven(_Plain):
    """The final state is written into the array that set_state was given, at the next forward."""

    _given = None

    def set_state(self, h):
        super().set_state(h)
        self._given = h

    def forward(self, xs):
        hs = super().forward(xs)
        if self.stateful and self._given is not None:
            np.copyto(self._given, self._h)
            self._given = None
        return hs


class SetStateDoesNothing(_TimeMajor):
    """set_state is ignored; the state still goes from call to call."""

    def set_state(self, h):
        pass


class AlwaysFromZeros(_Plain):
    """Every forward starts from zeros, stateful or not."""

    def _first(self, B):
        return np.zeros((B, self.params[1].shape[0]), self.params[0].dtype)


class GivenStateAgain(_Cells):
    """The state that set_state gave is the start of every later call, too."""

    _given = None

    def set_state(self, h):
        super().set_state(h)
        self._given = None if h is None else h.copy()

    def reset_state(self):
        super().reset_state()
        self._given = None

    def _first(self, B):
        if self.stateful and self._given is not None:
            return self._given.copy()
        return super()._first(B)


class ResetEveryCall(_Plain):
    """A stateful layer forgets its state after every call; a state set just before is used."""

    _fresh = False

    def set_state(self, h):
        super().set_state(h)
        self._fresh = h is not None

    def _first(self, B):
        h = super()._first(B)
        fresh, self._fresh = self._fresh, False
        return h if fresh else np.zeros_like(h)


class ResetOneCallLate(_Concat):
    """reset_state takes effect one forward too late."""

    _asked = _due = False

    def reset_state(self):
        self._asked = True

    def _first(self, B):
        due, self._due, self._asked = self._due, self._asked, False
        if due or (self._due and self._h is not None and len(self._h) != B):
            self._h = None
        return super()._first(B)


class ResetEveryToken(_Plain):
    """The state is set to zeros before every step but the first; backward stops there, too."""

    def _run(self, xs, h, Wx, Wh, b):
        outs, prevs = [], []
        for t in range(xs.shape[1]):
            if t:
                h = np.zeros_like(h)
            prevs.append(h)
            h = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            outs.append(h)
        hs = np.stack(outs, axis=1)
        return hs, h, (xs, np.stack(prevs, axis=1), hs, Wx, Wh, b)

    def _back(self, dhs, xs, prevs, hs, Wx, Wh, b):
        dz = dhs * (1 - hs * hs)
        flat = dz.reshape(-1, dz.shape[-1])
        dWx = xs.reshape(len(flat), -1).T @ flat
        return dz @ Wx.T, dz[:, 0] @ Wh.T, dWx, prevs[:, 0].T @ dz[:, 0], flat.sum(axis=0)


class KeepsStateUnasked(_TimeMajor):
    """stateful=False goes on from the last call, too, if the batch size is the same."""

    def _first(self, B):
        if not self.stateful and self._h is not None and len(self._h) == B:
            return self._h.copy()
        return super()._first(B)


class ResetIgnored(_Dicts):
    """reset_state does nothing (unless the batch size changes then)."""

    _asked = False

    def reset_state(self):
        self._asked = True

    def _first(self, B):
        if self._asked and self._h is not None and len(self._h) != B:
            self._h = None
        self._asked = False
        return super()._first(B)


class RowToRow(_Columns):
    """Row r starts from the final state of row r - 1; backward per row as usual."""

    def _run(self, xs, h0, Wx, Wh, b):
        U, W, c = Wx.T.copy(), Wh.T.copy(), b.reshape(-1, 1)
        B, T, _ = xs.shape
        hs, rows = np.zeros((B, T, len(b)), xs.dtype), []
        h = h0[0].reshape(-1, 1)
        for r in range(B):
            states = [h]
            for t in range(T):
                h = np.tanh(U @ xs[r, t].reshape(-1, 1) + W @ h + c)
                states.append(h)
                hs[r, t] = h.ravel()
            rows.append(states)
        return hs, hs[:, -1], (xs, rows, U, W, c)


class PackedOnce(_Concat):
    """Weights are packed at the first call and never again."""

    _packed = None

    def _weights(self):
        if self._packed is None:
            self._packed = super()._weights()
        return self._packed


class CopiedAtBirth(_Plain):
    """Weights are copied by the constructor, an update of params is not seen."""

    def __init__(self, Wx, Wh, b, stateful=False):
        super().__init__(Wx, Wh, b, stateful)
        self._mine = Wx.copy(), Wh.copy(), b.reshape(-1).copy()

    def _weights(self):
        return self._mine


class SqueezedOutput(_Plain):
    """hs.squeeze() removes the batch axis of a batch of one (and any other axis of one)."""

    def forward(self, xs):
        return super().forward(xs).squeeze()

    def backward(self, dhs):
        return super().backward(dhs.reshape(self._tape[2].shape))


class SqueezedState(_TimeMajor):
    """The state h is squeezed, [H] for a batch of one."""

    @property
    def h(self):
        return None if self._h is None else np.squeeze(self._h).copy()


class ReshapedBothWays(_Book):
    """reshape(T, B, D) for the transpose of batch and time, there and back."""

    def _run(self, xs, h, Wx, Wh, b):
        B, T, D = xs.shape
        x, s = xs.reshape(T, B, D), [h]
        for t in range(T):
            s.append(np.tanh(x[t] @ Wx + s[-1] @ Wh + b))
        return np.array(s[1:]).reshape(B, T, -1), s[-1], (x, np.array(s), Wx, Wh)

    def _back(self, dhs, x, s, Wx, Wh):
        T, B, _ = x.shape
        g, dx = dhs.reshape(T, B, -1), np.empty_like(x)
        dWx, dWh, db, dh = np.zeros_like(Wx), np.zeros_like(Wh), 0, 0
        for t in reversed(range(T)):
            dz = (g[t] + dh) * (1 - s[t + 1] ** 2)
            dWx += x[t].T @ dz
            dWh += s[t].T @ dz
            db = db + dz.sum(axis=0)
            dx[t], dh = dz @ Wx.T, dz @ Wh.T
        return dx.reshape(B, T, -1), dh, dWx, dWh, db


class ReshapedOutput(_TimeMajor):
    """Only hs, [T, B, H] inside, is reshaped to [B, T, H] instead of transposed."""

    def _run(self, xs, *rest):
        hs, last, tape = super()._run(xs, *rest)
        T_major = np.ascontiguousarray(hs.swapaxes(0, 1))
        return T_major.reshape(hs.shape), last, tape


class ReshapedDx(_TimeMajor):
    """Only dxs is reshaped instead of transposed."""

    def _back(self, dhs, x, s, Wx, Wh):
        dz, dh0 = self._deltas(np.ascontiguousarray(dhs.swapaxes(0, 1)), s, Wh)
        T, B, D = x.shape
        return (dz @ Wx.T).reshape(B, T, D), dh0, *self._sums(x, s, dz)


class SinglePrecisionBuffers(_Book):
    """hs, dxs and the zero state are np.empty(..., dtype='f'), also for float64 (notebook)."""

    def forward(self, xs):
        Wx, Wh, b = self._weights()
        B, T, _ = xs.shape
        hs = np.empty((B, T, len(b)), dtype="f")
        if not self.stateful or self._h is None:
            self._h = np.zeros((B, len(b)), dtype="f")
        cells = []
        for t in range(T):
            cells.append(_Cell(Wx, Wh, b))
            self._h = cells[-1].forward(np.array(xs[:, t, :]), self._h)
            hs[:, t, :] = self._h
        self._tape = (cells, xs.shape)
        return hs

    def backward(self, dhs):
        cells, shape = self._tape
        dxs, dh = np.empty(shape, dtype="f"), 0
        totals = [0, 0, 0]
        for t in reversed(range(len(cells))):
            dxs[:, t, :], dh = cells[t].backward(dhs[:, t, :] + dh)
            totals = [total + g for total, g in zip(totals, cells[t].grads, strict=True)]
        self._keep(totals)
        self._dh = dh
        return dxs


class SinglePrecisionInside(_TimeMajor):
    """All is computed in float32 and cast back, so the dtypes look right."""

    def _run(self, xs, h0, Wx, Wh, b):
        hs, last, tape = super()._run(*(a.astype(np.float32) for a in (xs, h0, Wx, Wh, b)))
        return hs.astype(xs.dtype), last.astype(xs.dtype), tape

    def _back(self, dhs, *tape):
        return tuple(a.astype(dhs.dtype) for a in super()._back(dhs.astype(np.float32), *tape))


class SinglePrecisionDx(_Closures):
    """Only dxs goes through a float32 buffer, and comes back in the input's dtype."""

    def _back(self, dhs, pulls):
        dxs, *rest = super()._back(dhs, pulls)
        buffer = np.empty(dxs.shape, np.float32)
        buffer[...] = dxs
        return buffer.astype(dxs.dtype), *rest


class HalfPrecisionStates(_Plain):
    """Each new state passes through float16."""

    def _step(self, x, h, Wx, Wh, b):
        return super()._step(x, h, Wx, Wh, b).astype(np.float16).astype(x.dtype)


class HalfPrecisionGradients(_Concat):
    """Parameter gradients pass through float16."""

    def _keep(self, grads):
        super()._keep([g.astype(np.float16) for g in grads])


class RoundedStates(_Recursive):
    """States are rounded to 5 decimals."""

    def _act(self, z):
        return np.round(np.tanh(z), 5)


class DoubleZeroState(_Plain):
    """A zero state made by np.zeros((B, H)) turns float32 outputs into float64."""

    def forward(self, xs):
        Wx, Wh, b = self._weights()
        h = self._h if self.stateful and self._h is not None else np.zeros((len(xs), len(b)))
        h0 = h
        outs = []
        for t in range(xs.shape[1]):
            h = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
            outs.append(h)
        self._h = h.copy()
        hs = np.stack(outs, axis=1)
        prevs = np.concatenate([h0[:, None], hs[:, :-1]], axis=1)
        self._tape = (np.array(xs), prevs.astype(xs.dtype), hs.astype(xs.dtype), Wx, Wh, b)
        return hs


class DoubleDx(_Columns):
    """dxs is np.zeros(shape), float64 also for float32."""

    def backward(self, dhs):
        dxs = np.zeros(self._tape[0].shape)
        dxs[...] = super().backward(dhs)
        return dxs


class MemoryOrderInput(_Plain):
    """xs is read in the order of memory, so a transposed array is misread."""

    def forward(self, xs):
        return super().forward(np.ravel(xs, order="K").reshape(xs.shape))


class MemoryOrderUpstream(_TimeMajor):
    """dhs is read in the order of memory, so a transposed array is misread."""

    def backward(self, dhs):
        return super().backward(np.ravel(dhs, order="K").reshape(dhs.shape))


class MemoryOrderState(_Cells):
    """A state that is given is read in the order of memory."""

    def set_state(self, h):
        super().set_state(None if h is None else h.ravel(order="K").reshape(h.shape))


class MemoryOrderWeights(_Dicts):
    """Weights are read in the order of memory, so Fortran-ordered or transposed ones are misread."""

    def _weights(self):
        Wx, Wh, b = (np.array(np.ravel(p, order="K")).reshape(p.shape) for p in self.params)
        return Wx, Wh, b.reshape(-1)


class BiasTwiceForward(_Plain):
    """The bias is added twice (with x Wx and with h Wh); backward as for the right one."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh((x @ Wx + b) + (h @ Wh + b))


class BiasNever(_Columns):
    """The bias is not added; db is computed all the same."""

    def _run(self, xs, h0, Wx, Wh, b):
        return super()._run(xs, h0, Wx, Wh, np.zeros_like(b))


class BiasNotAtFirstStep(_TimeMajor):
    """The bias is not added at t = 0; backward as for the right one."""

    def _run(self, xs, h0, Wx, Wh, b):
        x = np.ascontiguousarray(xs.swapaxes(0, 1))
        s = np.empty((len(x) + 1, len(xs), len(Wh)), x.dtype)
        s[0] = h0
        for t in range(len(x)):
            z = x[t] @ Wx + s[t] @ Wh
            s[t + 1] = np.tanh(z + b if t else z)
        return s[1:].swapaxes(0, 1), s[-1], (x, s, Wx, Wh)


class BiasOutsideTanh(_Plain):
    """tanh(x Wx + h Wh) + b; backward as for the right one."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh(x @ Wx + h @ Wh) + b


class TanhTwice(_Recursive):
    """tanh(tanh(z)); backward as for the right one."""

    def _act(self, z):
        return np.tanh(np.tanh(z))


class LogisticInstead(_Recursive):
    """The logistic function instead of tanh; backward as for tanh."""

    def _act(self, z):
        return 1 / (1 + np.exp(-z))


class LogisticConsistent(_Closures):
    """The logistic function instead of tanh, with its own right backward."""

    def _node(self, x, h_prev, h, Wx, Wh):
        def pull(d):
            dz = d * h * (1 - h)
            return dz @ Wx.T, dz @ Wh.T, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)

        return pull

    def _run(self, xs, h, Wx, Wh, b):
        pulls, outs = [], []
        for x in xs.swapaxes(0, 1):
            new = 1 / (1 + np.exp(-(x @ Wx + h @ Wh + b)))
            pulls.append(self._node(x, h, new, Wx, Wh))
            h = new
            outs.append(h)
        return np.stack(outs, axis=1), h, (pulls,)


class LinearUnits(_Recursive):
    """No nonlinearity in the forward; backward as for tanh."""

    def _act(self, z):
        return z.copy()


class ReluInstead(_Recursive):
    """relu in the forward; backward as for tanh."""

    def _act(self, z):
        return np.maximum(z, 0)


class PadeTanh(_Plain):
    """A rational approximation of tanh, z (27 + z^2) / (27 + 9 z^2), clipped to [-1, 1]."""

    def _step(self, x, h, Wx, Wh, b):
        z = x @ Wx + h @ Wh + b
        return np.clip(z * (27 + z * z) / (27 + 9 * z * z), -1, 1)


class OverflowingTanh(_Recursive):
    """(e^z - e^-z) / (e^z + e^-z), NaN for large z (and inexact near 0)."""

    def _act(self, z):
        with np.errstate(all="ignore"):
            return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


class ClippedPreactivation(_Concat):
    """z is clipped to [-2, 2] before tanh; backward as for the right one."""

    def _run(self, xs, h, Wx, Wh, b):
        W = np.vstack([Wx, Wh])
        joined, outs = [], []
        for x in np.moveaxis(xs, 1, 0):
            joined.append(np.hstack([x, h]))
            h = np.tanh(np.clip(joined[-1] @ W + b, -2, 2))
            outs.append(h)
        return np.stack(outs, axis=1), h, (joined, outs, W, len(Wx))


class LeakyState(_Plain):
    """h = 0.1 h_prev + 0.9 tanh(z), a leaky unit; backward as for the right one."""

    def _step(self, x, h, Wx, Wh, b):
        return (0.1 * h + 0.9 * np.tanh(x @ Wx + h @ Wh + b)).astype(h.dtype)


class WhTransposed(_Plain):
    """h @ Wh.T, torch's layout for a weight that is not; backward of just that."""

    def _run(self, xs, h, Wx, Wh, b):
        hs, h, (xs, prevs, hs, Wx, Wt, b) = super()._run(xs, h, Wx, Wh.T, b)
        return hs, h, (xs, prevs, hs, Wx, Wt, b)

    def _back(self, dhs, *tape):
        dxs, dh0, dWx, dWt, db = super()._back(dhs, *tape)
        return dxs, dh0, dWx, dWt.T, db


class WhTransposedForwardOnly(_Plain):
    """h @ Wh.T in the forward, the backward as for h @ Wh."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh(np.dot(x, Wx) + np.dot(h, Wh.T) + b)


class WxTransposedIfSquare(_TimeMajor):
    """x @ Wx.T where D == H lets it pass, with the backward of just that."""

    def _run(self, xs, h0, Wx, Wh, b):
        return super()._run(xs, h0, Wx.T if Wx.shape[0] == Wx.shape[1] else Wx, Wh, b)

    def _back(self, dhs, *tape):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, *tape)
        return dxs, dh0, dWx.T if dWx.shape[0] == dWx.shape[1] else dWx, dWh, db


class WeightsSwappedIfSquare(_Dicts):
    """Wx and Wh change places where D == H lets it pass, with the backward of just that."""

    def _run(self, xs, h0, Wx, Wh, b):
        return super()._run(xs, h0, *((Wh, Wx) if Wx.shape == Wh.shape else (Wx, Wh)), b)

    def _back(self, dhs, *tape):
        dxs, dh0, dWx, dWh, db = super()._back(dhs, *tape)
        return dxs, dh0, *((dWh, dWx) if dWx.shape == dWh.shape else (dWx, dWh)), db


class FirstStateAsFinal(_Einsum):
    """The state kept at the end is that of step 0."""

    def _run(self, *args):
        hs, _, tape = super()._run(*args)
        return hs, hs[:, 0], tape


class LastButOneAsFinal(_Dicts):
    """The state kept at the end is that of step T - 2."""

    def _run(self, *args):
        hs, last, tape = super()._run(*args)
        return hs, hs[:, -2] if hs.shape[1] > 1 else last, tape


class PreactivationAsFinal(_Plain):
    """The state kept at the end is the last z, before tanh."""

    def _run(self, xs, h, Wx, Wh, b):
        hs, _, tape = super()._run(xs, h, Wx, Wh, b)
        prevs = tape[1]
        return hs, xs[:, -1] @ Wx + prevs[:, -1] @ Wh + b, tape


class OutputsReversed(_Concat):
    """hs comes out in reversed time order (insert at 0); backward as for the right one."""

    def _run(self, *args):
        hs, last, tape = super()._run(*args)
        return hs[:, ::-1], last, tape


class ReadsBackwards(_TimeMajor):
    """The sequence is read from its end, outputs put back in place; backward of just that."""

    def _run(self, xs, *rest):
        hs, last, tape = super()._run(xs[:, ::-1], *rest)
        return hs[:, ::-1], last, tape

    def _back(self, dhs, *tape):
        dxs, *rest = super()._back(dhs[:, ::-1], *tape)
        return dxs[:, ::-1], *rest


class OutputsShifted(_Plain):
    """hs begins with h_0 and lacks the last state (states[:-1])."""

    def _run(self, *args):
        _, last, tape = super()._run(*args)
        return tape[1], last, tape


class StartsFromOnes(_Cells):
    """Without a state the layer starts from ones instead of zeros."""

    def _first(self, B):
        h = super()._first(B)
        return h if self.stateful and self._h is not None else h + 1


class StartsFromNoise(_Plain):
    """Without a state the layer starts from small random numbers."""

    rng = np.random.default_rng(3)

    def _first(self, B):
        h = super()._first(B)
        if self.stateful and self._h is not None:
            return h
        return (0.1 * self.rng.standard_normal(h.shape)).astype(h.dtype)


class OneRowBroadcast(_Closures):
    """Row 0 of the given state is used for all rows."""

    def _first(self, B):
        h = super()._first(B)
        return np.repeat(h[:1], B, axis=0)


class RowZeroDrivesAll(_Plain):
    """Every row's step takes row 0's state as h_prev; backward as for the right one."""

    def _step(self, x, h, Wx, Wh, b):
        return np.tanh(x @ Wx + h[0] @ Wh + b)


class BatchMeanState(_Recursive):
    """h_prev is averaged over the batch before it enters; backward as for the right one."""

    def _run(self, xs, h0, Wx, Wh, b):
        states = [h0]
        for t in range(xs.shape[1]):
            shared = states[-1].mean(axis=0, keepdims=True)
            states.append(np.tanh(xs[:, t] @ Wx + b + shared @ Wh))
        return np.stack(states[1:], axis=1), states[-1], (xs, states, Wx, Wh, b)


class DropoutLeftOn(_Plain):
    """Dropout of 0.2 on the outputs (not on the carried state), and in the backward."""

    rng = np.random.default_rng(11)

    def forward(self, xs):
        hs = super().forward(xs)
        self._mask = ((self.rng.random(hs.shape) >= 0.2) / 0.8).astype(hs.dtype)
        return hs * self._mask

    def backward(self, dhs):
        return super().backward(dhs * self._mask)


class DropoutOnInput(_TimeMajor):
    """Dropout of 0.1 on the inputs, the backward knows nothing of it for dx."""

    rng = np.random.default_rng(12)

    def forward(self, xs):
        return super().forward(xs * ((self.rng.random(xs.shape) >= 0.1) / 0.9).astype(xs.dtype))


class NormalizedInput(_Einsum):
    """Each input is centred over its features before use; the backward knows nothing of it."""

    def forward(self, xs):
        return super().forward(xs - xs.mean(axis=-1, keepdims=True))


class FirstInputRepeated(_Dicts):
    """Every step gets xs[:, 0]; backward as for the right one."""

    def _run(self, xs, h0, Wx, Wh, b):
        return super()._run(np.repeat(xs[:, :1], xs.shape[1], axis=1), h0, Wx, Wh, b)


class InputOneLate(_Plain):
    """Step t gets xs[:, t - 1], step 0 gets the last; the backward puts dx where it read x."""

    def _run(self, xs, *rest):
        return super()._run(np.roll(xs, 1, axis=1), *rest)

    def _back(self, dhs, *tape):
        dxs, *rest = super()._back(dhs, *tape)
        return np.roll(dxs, -1, axis=1), *rest


class BlocksOfEight(_TimeMajor):
    """The batch goes in blocks of 8 and rows behind the last whole block (B > 8) stay zero."""

    def _run(self, xs, *rest):
        hs, last, tape = super()._run(xs, *rest)
        if len(xs) > 8:
            whole = len(xs) // 8 * 8
            hs = np.concatenate([hs[:whole], np.zeros_like(hs[whole:])])
        return hs, last, tape


class FixedLength(_Cells):
    """Steps behind the 16th are not run (max_len), their outputs and dx are zero."""

    max_len = 16

    def _run(self, xs, *rest):
        hs, last, tape = super()._run(xs[:, : self.max_len], *rest)
        pad = xs.shape[1] - hs.shape[1]
        return np.pad(hs, ((0, 0), (0, max(pad, 0)), (0, 0))), last, (*tape, pad)

    def _back(self, dhs, cells, shape, pad):
        dxs, *rest = super()._back(dhs[:, : self.max_len], cells, shape)
        return np.pad(dxs, ((0, 0), (0, max(pad, 0)), (0, 0))), *rest


LAYERS = [
    ("state-never-advances", "each step starts from h_0, backward consistent", NeverAdvances),
    ("state-never-advances", "each step starts from h_0, backward of the right one", NewNameNeverUsed),
    ("h0-overwritten", "state updated in place in the caller's array", WritesIntoGivenState),
    ("h0-overwritten", "final state written into the caller's array", FinalStateIntoGiven),
    ("h0-ignored", "set_state ignored", SetStateDoesNothing),
    ("h0-ignored", "every forward from zeros", AlwaysFromZeros),
    ("h0-at-every-call", "the set state starts every later call, too", GivenStateAgain),
    ("state-kept-wrongly", "stateful layer forgets its state after each call", ResetEveryCall),
    ("state-kept-wrongly", "reset_state one call late", ResetOneCallLate),
    ("state-kept-wrongly", "state zeroed before every step but the first", ResetEveryToken),
    ("state-kept-wrongly", "stateful=False keeps its state", KeepsStateUnasked),
    ("state-kept-wrongly", "reset_state does nothing", ResetIgnored),
    ("state-from-row-above", "row r starts from row r-1's final state", RowToRow),
    ("weights-of-first-call", "weights packed at the first call", PackedOnce),
    ("weights-of-first-call", "weights copied by the constructor", CopiedAtBirth),
    ("squeezed", "hs.squeeze()", SqueezedOutput),
    ("squeezed", "h squeezed", SqueezedState),
    ("reshape-for-transpose", "reshape for transpose in and out, consistent", ReshapedBothWays),
    ("reshape-for-transpose", "hs reshaped for transposed", ReshapedOutput),
    ("reshape-for-transpose", "dxs reshaped for transposed", ReshapedDx),
    ("float32-inside", "hs, dxs and zero state are float32 buffers", SinglePrecisionBuffers),
    ("float32-inside", "float32 inside, cast back", SinglePrecisionInside),
    ("float32-inside", "dxs through a float32 buffer", SinglePrecisionDx),
    ("float16", "states pass through float16", HalfPrecisionStates),
    ("float16", "parameter gradients pass through float16", HalfPrecisionGradients),
    ("rounded", "states rounded to 5 decimals", RoundedStates),
    ("float64-out", "float64 zero state turns float32 outputs into float64", DoubleZeroState),
    ("float64-out", "dxs is float64 for float32", DoubleDx),
    ("memory-order", "xs read in memory order", MemoryOrderInput),
    ("memory-order", "dhs read in memory order", MemoryOrderUpstream),
    ("memory-order", "given state read in memory order", MemoryOrderState),
    ("memory-order", "weights read in memory order", MemoryOrderWeights),
    ("b-twice", "bias added twice in the forward", BiasTwiceForward),
    ("b-never", "bias not added", BiasNever),
    ("b-not-at-0", "bias not added at t = 0", BiasNotAtFirstStep),
    ("b-outside", "bias added behind the tanh", BiasOutsideTanh),
    ("tanh-twice", "tanh(tanh(z))", TanhTwice),
    ("sigmoid", "logistic function for tanh, backward of tanh", LogisticInstead),
    ("sigmoid", "logistic function for tanh, backward consistent", LogisticConsistent),
    ("linear", "no nonlinearity in the forward", LinearUnits),
    ("relu", "relu in the forward", ReluInstead),
    ("tanh-approx", "rational approximation of tanh", PadeTanh),
    ("tanh-overflow", "exp-based tanh that overflows to NaN", OverflowingTanh),
    ("z-clipped", "z clipped to +-2", ClippedPreactivation),
    ("leaky", "h = 0.1 h_prev + 0.9 tanh(z)", LeakyState),
    ("Wh-transposed", "h @ Wh.T, backward consistent", WhTransposed),
    ("Wh-transposed", "h @ Wh.T in the forward only", WhTransposedForwardOnly),
    ("Wx-square", "x @ Wx.T when D == H, backward consistent", WxTransposedIfSquare),
    ("weights-swapped", "Wx and Wh swapped when D == H, backward consistent", WeightsSwappedIfSquare),
    ("h_n-first", "h is the state of step 0", FirstStateAsFinal),
    ("h_n-T-2", "h is the state of step T-2", LastButOneAsFinal),
    ("h_n-z", "h is the last z", PreactivationAsFinal),
    ("hs-reversed", "hs in reversed time order", OutputsReversed),
    ("reads-backwards", "the sequence is read from its end, consistent", ReadsBackwards),
    ("hs-shifted", "hs begins with h_0", OutputsShifted),
    ("h0-ones", "starts from ones", StartsFromOnes),
    ("h0-noise", "starts from small random numbers", StartsFromNoise),
    ("h0-row0", "row 0 of the given state for all rows", OneRowBroadcast),
    ("row0-drives", "row 0's state is everybody's h_prev", RowZeroDrivesAll),
    ("batch-mean-state", "h_prev averaged over the batch", BatchMeanState),
    ("dropout", "dropout on the outputs", DropoutLeftOn),
    ("dropout", "dropout on the inputs", DropoutOnInput),
    ("x-centred", "inputs centred over features", NormalizedInput),
    ("x-first", "every step gets xs[:, 0]", FirstInputRepeated),
    ("x-late", "step t gets xs[:, t-1]", InputOneLate),
    ("rows-after-last-block", "rows behind the last whole block of 8 stay zero (B > 8)", BlocksOfEight),
    ("max-len", "steps behind the 16th not run", FixedLength),
]
