"""Right layers in styles that differ from rnn_np's own, and each with a fault that numbers show.

None of the right ones may be accused: what they do, torch does too, or is of no harm in a training loop.
"""

from types import MappingProxyType

import numpy as np


class Sequence:
    """Torch's interface with one layer: no state dict, no `__call__`, new frozen gradients, d_hx may be None."""

    def __init__(self, input_size, hidden_size, nonlinearity="tanh", dtype=np.float32):
        D, H = input_size, hidden_size
        self.relu = nonlinearity == "relu"
        self.weight_ih_l0, self.weight_hh_l0 = np.zeros((H, D), dtype), np.zeros((H, H), dtype)
        self.bias_ih_l0, self.bias_hh_l0 = np.zeros(H, dtype), np.zeros(H, dtype)

    def forward(self, x, hx=None):
        self.given = hx is not None
        h = hx[0] if self.given else np.zeros((x.shape[1], len(self.bias_ih_l0)), x.dtype)
        self.x, self.states = x, [h]
        for step in x:
            z = step @ self.weight_ih_l0.T + self.bias_ih_l0 + h @ self.weight_hh_l0.T + self.bias_hh_l0
            h = np.maximum(z, 0) if self.relu else np.tanh(z)
            self.states.append(h)
        output = np.stack(self.states[1:])
        return output, output[-1:]

    def backward(self, d_output, d_h_n=None):
        dx, dz = np.empty_like(self.x), [None] * len(self.x)
        dh = np.zeros_like(self.states[0]) if d_h_n is None else self.last(d_h_n)
        for t in reversed(range(len(self.x))):
            h = self.states[t + 1]
            d = dh if d_output is None else dh + d_output[t]
            dz[t] = d * ((h > 0) if self.relu else (1 - h * h))
            dx[t], dh = dz[t] @ self.weight_ih_l0, dz[t] @ self.weight_hh_l0
        dz = np.stack(dz)
        db = dz.sum(axis=(0, 1))
        self.grads = MappingProxyType(
            {
                "weight_ih_l0": np.einsum("tbh,tbd->hd", dz, self.x),
                "weight_hh_l0": np.einsum("tbh,tbk->hk", dz, np.stack(self.states[:-1])),
                "bias_ih_l0": db,
                "bias_hh_l0": db,
            }
        )
        return dx, (dh[None] if self.given else None)

    def last(self, d_h_n):
        return d_h_n[0]


class SequenceFinalLost(Sequence):
    """The gradient of h_n is not used."""

    def last(self, d_h_n):
        return np.zeros_like(d_h_n[0])


class Live(Sequence):
    """The state dict is the parameters, loaded arrays become the parameters, gradients add up until zero_grad."""

    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"

    def state_dict(self):
        return {name: getattr(self, name) for name in self.names}

    def load_state_dict(self, state):
        for name in self.names:
            setattr(self, name, state[name])

    def zero_grad(self):
        self.grads = None

    def backward(self, d_output, d_h_n=None):
        before = getattr(self, "grads", None) or {}
        results = super().backward(d_output, d_h_n)
        self.grads = {name: grad + before.get(name, 0) for name, grad in self.grads.items()}
        return results

    __call__ = Sequence.forward


class LiveNeverZero(Live):
    """zero_grad does nothing."""

    def zero_grad(self):
        pass


class LiveOldCheckpoint(Live):
    """The state dict holds the weights that were loaded, not those of now."""

    def load_state_dict(self, state):
        self.old = {name: value.copy() for name, value in state.items()}
        super().load_state_dict(state)

    def state_dict(self):
        return self.old


class Renamed(Sequence):
    """The arguments have other names than torch's."""

    def forward(self, inputs, h0=None):
        return super().forward(inputs, h0)

    def backward(self, dout, dhn=None):
        return super().backward(dout, dhn)


class Step:
    """A cell with torch's interface; the same array is returned and kept."""

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", dtype=np.float32):
        self.shapes = {"weight_ih": (hidden_size, input_size), "weight_hh": (hidden_size, hidden_size)}
        if bias:
            self.shapes |= {"bias_ih": (hidden_size,), "bias_hh": (hidden_size,)}
        for name, shape in self.shapes.items():
            setattr(self, name, np.ones(shape, dtype))
        self.relu, self.bias = nonlinearity == "relu", bias

    def __call__(self, x, hx=None):
        self.hx = hx
        self.x = np.atleast_2d(x)
        self.h = np.zeros((len(self.x), len(self.weight_hh)), x.dtype) if hx is None else np.atleast_2d(hx)
        z = self.x @ self.weight_ih.T + self.h @ self.weight_hh.T
        if self.bias:
            z = z + self.bias_ih + self.bias_hh
        self.new = np.maximum(z, 0) if self.relu else np.tanh(z)
        return self.new.reshape(*x.shape[:-1], -1)

    def backward(self, d):
        dz = np.atleast_2d(d) * (np.sign(self.new) if self.relu else self.slope(self.new))
        self.grads = {"weight_ih": dz.T @ self.x, "weight_hh": dz.T @ self.h}
        if self.bias:
            self.grads["bias_ih"] = self.grads["bias_hh"] = dz.sum(axis=0)
        dx, dh = dz @ self.weight_ih, dz @ self.weight_hh
        return dx.reshape(*d.shape[:-1], -1), None if self.hx is None else dh.reshape(d.shape)

    def slope(self, h):
        return 1 - h * h


class StepSlopeLost(Step):
    """The slope is left out."""

    def slope(self, h):
        return np.ones_like(h)


class Views:
    """Nothing is copied: the given state, the inputs, the final state in the outputs; one backward a forward."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]
        self.h = self.dh = None
        self.stateful = stateful

    def set_state(self, h):
        self.h = h

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        B, T, _ = xs.shape
        h = self.h if self.stateful and self.h is not None else np.zeros((B, len(Wh)), xs.dtype)
        hs = np.empty((B, T, len(Wh)), xs.dtype)
        self.cache = xs, h, hs
        for t in range(T):
            hs[:, t] = h = np.tanh(xs[:, t] @ Wx + h @ Wh + b)
        self.h = hs[:, -1]
        return hs

    def backward(self, dhs):
        Wx, Wh, b = self.params
        xs, start, hs = self.cache
        del self.cache
        dxs, dh = np.empty_like(xs), 0
        for grad in self.grads:
            grad.fill(0)
        for t in reversed(range(hs.shape[1])):
            dz = (dhs[:, t] + dh) * (1 - hs[:, t] ** 2)
            before = hs[:, t - 1] if t else self.first(start)
            self.grads[0] += xs[:, t].T @ dz
            self.grads[1] += before.T @ dz
            self.grads[2] += dz.sum(axis=0).reshape(b.shape)
            dxs[:, t], dh = dz @ Wx.T, dz @ Wh.T
        self.dh = dh
        return dxs

    def first(self, start):
        return start


class Stacked(Views):
    """The gradients of Wx and Wh are one array, of which grads has a new view each time."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        Wx, Wh, b = self.params
        self.stacked, self.db = np.zeros((len(Wx) + len(Wh), len(Wh)), Wx.dtype), np.zeros_like(b)

    @property
    def grads(self):
        D = len(self.params[0])
        return [self.stacked[:D], self.stacked[D:], self.db]

    @grads.setter
    def grads(self, value):
        pass


class ViewsFirstStateLost(Views):
    """dWh of the first step takes zeros for the start state."""

    def first(self, start):
        return np.zeros_like(start)


class OwnBuffers(Views):
    """The state is one array for life, filled again by each call; sums in float64; gradients add up."""

    def set_state(self, h):
        self.h = h.copy()

    def forward(self, xs):
        buffer = self.h
        if self.h is not None:
            self.h = self.h.astype(np.float64)
        hs = super().forward(xs.astype(np.float64)).astype(xs.dtype)
        if buffer is not None and buffer.shape == self.h.shape:
            buffer[...] = self.h
            self.h = buffer
        self.h = self.h.astype(xs.dtype, copy=False)
        return hs

    def zero_grad(self):
        for grad in self.grads:
            grad[...] = 0

    def backward(self, dhs):
        before = [grad.copy() for grad in self.grads]
        dxs = super().backward(dhs.astype(np.float64)).astype(dhs.dtype)
        self.dh = self.dh.astype(dhs.dtype)
        for grad, old in zip(self.grads, before, strict=True):
            grad += old
        return dxs


class OwnBuffersAddUp(OwnBuffers):
    """Gradients add up, and nothing sets them to zero."""

    zero_grad = None


class DoubleResults(Views):
    """Whatever comes in, float64 comes out."""

    def forward(self, xs):
        return super().forward(xs.astype(np.float64))

    def backward(self, dhs):
        return super().backward(dhs.astype(np.float64))


class DoubleCarryLost(DoubleResults):
    """dhs is read one step late."""

    def backward(self, dhs):
        return super().backward(np.roll(dhs, 1, axis=1))


class Single(Views):
    """float32 whatever comes in."""

    def forward(self, xs):
        self.params, kept = [np.float32(p) for p in self.params], self.params
        self.h = None if self.h is None else np.float32(self.h)
        try:
            return super().forward(np.float32(xs))
        finally:
            self.params = kept

    def backward(self, dhs):
        self.params, kept = [np.float32(p) for p in self.params], self.params
        try:
            return super().backward(np.float32(dhs))
        finally:
            self.params = kept


class SingleBiasTwice(Single):
    """float32 whatever comes in, and db is doubled."""

    def backward(self, dhs):
        dxs = super().backward(dhs)
        self.grads[2] *= 2
        return dxs


class SingleInside(Single):
    """float32 inside, and what goes out is float64 again."""

    def forward(self, xs):
        hs = super().forward(xs).astype(xs.dtype)
        self.h = hs[:, -1]
        return hs

    def backward(self, dhs):
        dxs = super().backward(dhs).astype(dhs.dtype)
        self.dh = self.dh.astype(dhs.dtype)
        return dxs


class SingleSum:
    """float32 for the pre-activation alone, so no result is a number of float32."""

    def __init__(self, Wx, Wh, b):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        self.cache = x, h_prev, np.tanh(np.float32(x @ Wx + h_prev @ Wh + b).astype(x.dtype))
        return self.cache[2]

    def backward(self, dh_next):
        x, h_prev, h = self.cache
        dz = dh_next * (1 - h * h)
        self.grads[0][...], self.grads[1][...] = x.T @ dz, h_prev.T @ dz
        self.grads[2][...] = dz.sum(axis=0)
        return dz @ self.params[0].T, dz @ self.params[1].T
