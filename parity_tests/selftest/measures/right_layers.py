"""Right layers, each written in another way; the gate must accuse none of them.

``TimeRNN`` and ``RNN`` are a plain loop with a method for every piece of the mathematics, so that a
variant, right or wrong, is that piece written again.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array


class Pieces:
    """Parameters, and the mathematics of one step in pieces."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(param) for param in self.params]

    def preactivation(self, x: Array, h: Array) -> Array:
        Wx, Wh, b = self.params
        return x @ Wx + h @ Wh + b.reshape(-1)

    def activation(self, z: Array) -> Array:
        return np.tanh(z)

    def step(self, x: Array, h: Array) -> Array:
        return self.activation(self.preactivation(x, h))

    def total(self, upstream: Array, carry: Array) -> Array:
        return upstream + carry

    def delta(self, d: Array, h: Array) -> Array:
        return d * (1 - h * h)

    def carry(self, dz: Array) -> Array:
        return dz @ self.params[1].T

    def input_gradient(self, dz: Array) -> Array:
        return dz @ self.params[0].T

    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        """From [T, B, D], [T, B, H] and [T, B, H]."""
        dWx, dWh, db = (np.zeros(param.shape, param.dtype) for param in self.params)
        for x, h, dz in zip(xs, before, dzs, strict=True):
            dWx += x.T @ dz
            dWh += h.T @ dz
            db += dz.sum(axis=0)
        return [dWx, dWh, db]

    def fill(self, gradients: list[Array]) -> None:
        for grad, gradient in zip(self.grads, gradients, strict=True):
            grad[...] = gradient


class RNN(Pieces):
    """One step."""

    def forward(self, x: Array, h_prev: Array) -> Array:
        h_next = self.step(x, h_prev)
        self.cache = x.copy(), h_prev.copy(), h_next.copy()
        return h_next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        x, h_prev, h_next = self.cache
        dz = self.delta(dh_next, h_next)
        self.fill(self.parameter_gradients(x[None], h_prev[None], dz[None]))
        return self.input_gradient(dz), self.carry(dz)


class TimeRNN(Pieces):
    """A sequence."""

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Array | None = None
        self.dh: Array | None = None

    def set_state(self, h: Array | None) -> None:
        self.h = None if h is None else np.array(h)

    def reset_state(self) -> None:
        self.h = None

    def start(self, xs: Array) -> Array:
        if self.stateful and self.h is not None:
            return self.h
        return np.zeros((len(xs), len(self.params[1])), xs.dtype)

    def forward(self, xs: Array) -> Array:
        states = [self.start(xs)]
        for t in range(xs.shape[1]):
            states.append(self.step(xs[:, t], states[-1]))
        self.cache = xs.copy(), states
        self.h = states[-1].copy()
        return np.stack(states[1:], axis=1)

    def backward(self, dhs: Array) -> Array:
        xs, states = self.cache
        carry = np.zeros_like(states[0])
        dzs: list[Array] = []
        for t in reversed(range(xs.shape[1])):
            dz = self.delta(self.total(dhs[:, t], carry), states[t + 1])
            carry = self.carry(dz)
            dzs.insert(0, dz)
        self.fill(self.parameter_gradients(xs.transpose(1, 0, 2), np.stack(states[:-1]), np.stack(dzs)))
        self.dh = carry
        return np.stack([self.input_gradient(dz) for dz in dzs], axis=1)


def variant(pieces: type) -> SimpleNamespace:
    """The two layers with the pieces that ``pieces`` writes again."""
    return SimpleNamespace(RNN=type("RNN", (pieces, RNN), {}), TimeRNN=type("TimeRNN", (pieces, TimeRNN), {}))


class _Loop:
    """As it stands."""


class _OneProduct:
    """Input and state in one row, one product with stacked weights."""

    params: list[Array]

    def preactivation(self, x: Array, h: Array) -> Array:
        Wx, Wh, b = self.params
        return np.concatenate([h, x, np.ones_like(h[:, :1])], axis=1) @ np.concatenate(
            [Wh, Wx, b.reshape(1, -1)]
        )


class _Einsum:
    """Sums written as einsum, in whatever order it takes them, all steps at once."""

    params: list[Array]

    def preactivation(self, x: Array, h: Array) -> Array:
        Wx, Wh, b = self.params
        return b.reshape(-1) + np.einsum("bh,hk->bk", h, Wh) + np.einsum("bd,dk->bk", x, Wx)

    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        db = np.einsum("tbk->k", dzs).reshape(self.params[2].shape)
        return [np.einsum("tbd,tbk->dk", xs, dzs), np.einsum("tbh,tbk->hk", before, dzs), db]


class _Wider:
    """Every product in the widest precision at hand, rounded once."""

    params: list[Array]

    def preactivation(self, x: Array, h: Array) -> Array:
        Wx, Wh, b = (param.astype(np.longdouble) for param in self.params)
        z: Array = x @ Wx + h @ Wh + b.reshape(-1)
        return z.astype(x.dtype)


class _Exponentials:
    """tanh(z) = 2 / (1 + exp(-2 z)) - 1, and a slope written as a product."""

    def activation(self, z: Array) -> Array:
        return np.asarray(2 / (1 + np.exp(-2 * z)) - 1, z.dtype)

    def delta(self, d: Array, h: Array) -> Array:
        return (d * (1 - h)) * (1 + h)


class _Backwards:
    """Every sum taken from its last term."""

    params: list[Array]

    def preactivation(self, x: Array, h: Array) -> Array:
        Wx, Wh, b = self.params
        return b.reshape(-1) + h[:, ::-1] @ Wh[::-1] + x[:, ::-1] @ Wx[::-1]

    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        flat = dzs[::-1, ::-1].reshape(-1, dzs.shape[-1])
        rows = xs[::-1, ::-1].reshape(len(flat), -1), before[::-1, ::-1].reshape(len(flat), -1)
        db = np.add.reduce(flat.astype(flat.dtype), axis=0).reshape(self.params[2].shape)
        return [rows[0].T @ flat, rows[1].T @ flat, db]


RIGHT: dict[str, Any] = {
    "loop": variant(_Loop),
    "one product": variant(_OneProduct),
    "einsum": variant(_Einsum),
    "wider precision": variant(_Wider),
    "exponentials": variant(_Exponentials),
    "summed backwards": variant(_Backwards),
}
