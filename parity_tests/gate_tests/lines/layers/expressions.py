"""Layers from a course: lists of everything, one expression for everything, and a name for everything."""

import numpy as np


class ListOfStates:
    """Lists of all states and of all gradients, made by comprehensions."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h = self.dh = None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        fresh = self.h is None or not self.stateful
        states = [np.zeros((len(xs), len(Wh)), xs.dtype) if fresh else self.h]
        for projected in [xs[:, t] @ Wx + b for t in range(xs.shape[1])]:
            states.append(np.tanh(projected + states[-1] @ Wh))
        self.cache = xs, states, Wx.copy(), Wh.copy()
        self.h = states[-1]
        return np.stack(states[1:], axis=1)

    def backward(self, dhs):
        xs, states, Wx, Wh = self.cache
        slopes = [1 - h * h for h in states[1:]]
        dh, dzs = np.zeros_like(states[0]), []
        for t in reversed(range(len(slopes))):
            dzs.insert(0, (dhs[:, t] + dh) * slopes[t])
            dh = dzs[0] @ Wh.T
        self.grads[0][...] = sum(xs[:, t].T @ dz for t, dz in enumerate(dzs))
        self.grads[1][...] = sum(h.T @ dz for h, dz in zip(states[1:], dzs, strict=True))
        self.grads[2][...] = sum(dz.sum(axis=0) for dz in dzs)
        self.dh = dh
        return np.stack([dz @ Wx.T for dz in dzs], axis=1)


class OneExpression:
    """As few lines as possible; all states in one array, the initial one in front."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.stateful, self.h, self.dh = stateful, None, None

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        (Wx, Wh, b), self.xs = self.params, xs
        self.hs = np.zeros((xs.shape[0], xs.shape[1] + 1, Wh.shape[0]), xs.dtype)
        self.hs[:, 0] = self.h if self.stateful and self.h is not None else 0
        for t in range(xs.shape[1]):
            self.hs[:, t + 1] = np.tanh(xs[:, t] @ Wx + self.hs[:, t] @ Wh + b)
        self.h = self.hs[:, -1].copy()
        return self.hs[:, 1:].copy()

    def backward(self, dhs):
        (Wx, Wh, _), steps = self.params, range(dhs.shape[1])
        dzs, self.dh = np.zeros_like(dhs), np.zeros_like(self.hs[:, 0])
        for t in reversed(steps):
            dzs[:, t] = dhs[:, t] + self.dh * (1 - self.hs[:, t + 1] ** 2)
            self.dh = dzs[:, t] @ Wh.T
        self.grads[0][...] = np.sum([self.xs[:, t].T @ dzs[:, t] for t in steps], axis=0)
        self.grads[1][...] = np.sum([self.hs[:, t].T @ dzs[:, t] for t in steps], axis=0)
        self.grads[2][...] = np.sum(dzs, axis=(0, 1))
        return dzs @ Wx.T


class Worksheet:
    """Every intermediate value has a name, and every operation its own line in the backward pass."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros(p.shape, p.dtype) for p in self.params]
        self.stateful = stateful
        self.h = None
        self.dh = None
        self.tape = None

    def set_state(self, h):
        self.h = np.array(h)

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        W_x, W_h, bias = self.params
        batch, steps, _ = xs.shape
        hidden = W_h.shape[0]
        if self.h is None or not self.stateful:
            h = np.zeros((batch, hidden), xs.dtype)
        else:
            h = self.h
        output = np.zeros((batch, steps, hidden), xs.dtype)
        self.tape = []
        for t in range(steps):
            x = xs[:, t, :]
            from_x = np.dot(x, W_x)
            from_h = np.dot(h, W_h)
            both = from_x + from_h
            shifted = both + bias
            h_next = np.tanh(both)
            self.tape.append((x, h, shifted, h_next))
            output[:, t, :] = h_next
            h = h_next
        self.h = h
        return output

    def backward(self, dhs):
        W_x, W_h, bias = self.params
        d_W_x = np.zeros_like(W_x)
        d_W_h = np.zeros_like(W_h)
        d_bias = np.zeros_like(bias)
        d_xs = []
        d_h = np.zeros_like(self.h)
        for t in reversed(range(len(self.tape))):
            x, h, _, h_next = self.tape[t]
            d_h_next = dhs[:, t, :] + d_h
            d_tanh = 1 - np.square(h_next)
            d_shifted = d_h_next * d_tanh
            d_bias += d_shifted.sum()
            d_from_x = d_shifted
            d_from_h = d_shifted
            d_W_x += np.dot(x.T, d_from_x)
            d_W_h += np.dot(h_next.T, d_from_h)
            d_x = np.dot(d_from_x, W_x.T)
            d_h = np.dot(d_from_h, W_h.T)
            d_xs.append(d_x)
        self.grads[0][:] = d_W_x
        self.grads[1][:] = d_W_h
        self.grads[2][:] = d_bias
        self.dh = d_h
        d_xs.reverse()
        return np.stack(d_xs, axis=1)
