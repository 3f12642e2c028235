"""Layers broken on purpose; the gate must catch every one.

As a module it offers the fault of the notebook that this project started from: a step derivative
that omits the upstream gradient.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.selftest.measures import right_layers
from parity_tests.selftest.measures.right_layers import variant

MY_RNN = """
import numpy as np


class RNN:
    def __init__(self, Wx, Wh, b):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]

    def forward(self, x, h_prev):
        self.cache = x, h_prev, np.tanh(x @ self.params[0] + h_prev @ self.params[1] + self.params[2])
        return self.cache[2].copy()

    def backward(self, dh_next):
        x, h_prev, h_next = self.cache
        dt = 1 - h_next**2
        for grad, value in zip(self.grads, (x.T @ dt, h_prev.T @ dt, dt.sum(axis=0))):
            grad[...] = value
        return dt @ self.params[0].T, dt @ self.params[1].T
"""
"""The source of a layer that drops the upstream gradient, as a file of somebody's own."""


class _UpstreamDropped:
    def delta(self, d: Array, h: Array) -> Array:
        return 1 - h * h + 0 * d


class _CarryNotTransposed:
    params: list[Array]

    def carry(self, dz: Array) -> Array:
        return dz @ self.params[1]


class _CarryDropped:
    def total(self, upstream: Array, carry: Array) -> Array:
        return upstream + 0 * carry


class _BiasDropped:
    params: list[Array]

    def preactivation(self, x: Array, h: Array) -> Array:
        return x @ self.params[0] + h @ self.params[1]


class _SingleInside:
    def activation(self, z: Array) -> Array:
        return np.tanh(z.astype(np.float32)).astype(z.dtype)


class _SingleGradient:
    params: list[Array]

    def input_gradient(self, dz: Array) -> Array:
        return (dz.astype(np.float32) @ self.params[0].astype(np.float32).T).astype(dz.dtype)


class _LastBias(right_layers.Pieces):
    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        dWx, dWh, _ = super().parameter_gradients(xs, before, dzs)
        return [dWx, dWh, dzs[-1].sum(axis=0).reshape(self.params[2].shape)]


class _BatchMean(right_layers.Pieces):
    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        return [gradient / xs.shape[1] for gradient in super().parameter_gradients(xs, before, dzs)]


class _StateShifted(right_layers.Pieces):
    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        return super().parameter_gradients(xs, np.roll(before, 1, axis=0), dzs)


class _WhTransposed(right_layers.Pieces):
    def parameter_gradients(self, xs: Array, before: Array, dzs: Array) -> list[Array]:
        dWx, dWh, db = super().parameter_gradients(xs, before, dzs)
        return [dWx, dWh.T, db]


class _Clipped:
    def delta(self, d: Array, h: Array) -> Array:
        return np.clip(d * (1 - h * h), -1, 1)


class _StateLeaks:
    """Not stateful, and yet it starts where the last call ended."""

    h: Array | None
    params: list[Array]

    def start(self, xs: Array) -> Array:
        if self.h is not None and len(self.h) == len(xs):
            return self.h
        return np.zeros((len(xs), len(self.params[1])), xs.dtype)


class _StateForgotten:
    params: list[Array]

    def start(self, xs: Array) -> Array:
        return np.zeros((len(xs), len(self.params[1])), xs.dtype)


class _OneBuffer(right_layers.TimeRNN):
    """Hands out one buffer for the outputs, and fills it again at every call."""

    buffer: Array = np.empty(0)

    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        if self.buffer.shape[1:] != hs.shape[1:]:
            self.buffer = np.zeros((64, *hs.shape[1:]), hs.dtype)
        view = self.buffer[: len(hs)]
        view[...] = hs
        return view


class _WritesUpstream(right_layers.TimeRNN):
    """Adds what comes back through time to the caller's own gradient."""

    def total(self, upstream: Array, carry: Array) -> Array:
        if not upstream.flags.writeable:
            return upstream + carry
        upstream += carry
        return upstream


class _FreshGradients(right_layers.TimeRNN):
    def fill(self, gradients: list[Array]) -> None:
        self.grads = gradients


class _Accumulates(right_layers.TimeRNN):
    def fill(self, gradients: list[Array]) -> None:
        for grad, gradient in zip(self.grads, gradients, strict=True):
            grad += gradient


class _OldWeights(right_layers.TimeRNN):
    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx.copy(), Wh.copy(), b.copy(), stateful)


class _TimeMajor(right_layers.TimeRNN):
    def forward(self, xs: Array) -> Array:
        return super().forward(xs).transpose(1, 0, 2)


class _Raises(right_layers.TimeRNN):
    def backward(self, dhs: Array) -> Array:
        if dhs.shape[1] > 1:
            raise ZeroDivisionError("backward of several steps")
        return super().backward(dhs)


class _Listed(right_layers.TimeRNN):
    def forward(self, xs: Array) -> Any:
        return super().forward(xs).tolist()


def _sequence(layer: type) -> SimpleNamespace:
    return SimpleNamespace(RNN=right_layers.RNN, TimeRNN=layer)


GRADIENTS = ("dx", "dh_0", "dWx", "dWh", "db")

WRONG: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "upstream gradient dropped": (variant(_UpstreamDropped), "values", GRADIENTS),
    "transpose missing": (variant(_CarryNotTransposed), "values", GRADIENTS),
    "carry dropped": (variant(_CarryDropped), "values", GRADIENTS),
    "bias dropped": (variant(_BiasDropped), "values", ("hs", "h_n", *GRADIENTS)),
    "float32 inside": (variant(_SingleInside), "dtype", ("",)),
    "float32 gradient": (variant(_SingleGradient), "dtype", ("",)),
    "db of the last step": (variant(_LastBias), "values", ("db",)),
    "mean over the batch": (variant(_BatchMean), "values", ("dWx", "dWh", "db")),
    "dWh with the state of another step": (variant(_StateShifted), "values", ("dWh",)),
    "dWh transposed": (variant(_WhTransposed), "values", ("dWh",)),
    "clipped": (variant(_Clipped), "values", GRADIENTS),
    "state leaks": (variant(_StateLeaks), "values", ("hs", "h_n", *GRADIENTS)),
    "state forgotten": (variant(_StateForgotten), "values", ("hs", "h_n", *GRADIENTS)),
    "output buffer reused": (_sequence(_OneBuffer), "results owned by the caller", ("hs",)),
    "upstream written to": (_sequence(_WritesUpstream), "inputs untouched", ("dhs",)),
    "gradients in new arrays": (_sequence(_FreshGradients), "gradients in place", ("dWx", "dWh", "db")),
    "gradients accumulated": (_sequence(_Accumulates), "values", ("dWx", "dWh", "db")),
    "old weights": (_sequence(_OldWeights), "values", ("hs", "h_n", *GRADIENTS)),
    "time-major out": (_sequence(_TimeMajor), "shape", ("hs",)),
    "raises": (_sequence(_Raises), "raises", ("",)),
    "returns a list": (_sequence(_Listed), "type", ("hs",)),
}
"""Name to layers, and the check and tensors that must be found wrong, no others."""


def one_tensor_off(tensor: str, factor: Callable[[Array], float]) -> SimpleNamespace:
    """Right layers, but for one tensor, of which one element is off by ``factor`` of its slice."""

    def off(array: Array) -> Array:
        array = array.copy()
        first = array.reshape(-1, array.shape[-1])[0]
        first[0] += factor(array) * np.abs(first).max()
        return array

    class Off(right_layers.TimeRNN):
        def forward(self, xs: Array) -> Array:
            hs = super().forward(xs)
            self.h = off(self.h) if tensor == "h_n" and self.h is not None else self.h
            return off(hs) if tensor == "hs" else hs

        def backward(self, dhs: Array) -> Array:
            dxs = super().backward(dhs)
            self.dh = off(self.dh) if tensor == "dh_0" and self.dh is not None else self.dh
            return off(dxs) if tensor == "dx" else dxs

        def fill(self, gradients: list[Array]) -> None:
            names = ("dWx", "dWh", "db")
            super().fill([off(g) if name == tensor else g for name, g in zip(names, gradients, strict=True)])

    return _sequence(Off)


RNN, TimeRNN = vars(variant(_UpstreamDropped)).values()
