"""The arrays of a case, made from its token alone, bit for bit on every platform.

NumPy promises the raw bits of PCG64 for a seed, not the streams of its distributions; so bits are
drawn and scaled here, by operations that IEEE 754 rounds exactly.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity_tests._case import Case

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}


@dataclass(frozen=True, slots=True)
class Call:
    """One forward and backward: the weights in force, what goes in, and what the state is before.

    ``h_0`` None means zeros, or, where ``carries``, the state that the call before left.
    """

    Wx: Array
    """[D, H]"""
    Wh: Array
    """[H, H]"""
    b: Array
    """[H]"""
    xs: Array
    """[B, T, D]"""
    h_0: Array | None
    """[B, H]"""
    dhs: Array
    """[B, T, H], the upstream gradient of the outputs"""
    carries: bool = False

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without an absent initial state."""
        named = {name: getattr(self, name) for name in ("Wx", "Wh", "b", "xs", "h_0", "dhs")}
        return {name: value for name, value in named.items() if value is not None}


def calls_of(case: Case) -> tuple[Call, ...]:
    """Return the calls of a case, with fresh C-contiguous arrays of its dtype."""
    return _Maker(case).calls()


class _Maker:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.bits = np.random.PCG64(case.seed)

    def uniform(self, *shape: int, scale: float = 1.0) -> Array:
        """Numbers of mean 0 and standard deviation ``scale``, from 24 bits each."""
        return self._scaled(self._raw(*shape), scale)

    def uneven(self, *shape: int, scale: float = 1.0) -> Array:
        """The same, but now and then exactly 0 or large: what masks and clips would change."""
        raw = self._raw(*shape)
        factors = np.array([0.0, 0.0, 4.0, 16.0] + [1.0] * 28)[raw & np.uint64(31)]
        return self._scaled(raw, scale) * factors.astype(DTYPES[self.case.dtype])

    def _raw(self, *shape: int) -> Array:
        return self.bits.random_raw(int(np.prod(shape))).reshape(shape)

    def _scaled(self, raw: Array, scale: float) -> Array:
        centred = (raw >> np.uint64(40)).astype(np.int64) - (2**23 - 0.5)
        return np.asarray(centred * (scale * np.sqrt(3.0) / 2**23), DTYPES[self.case.dtype])

    def weights(self) -> tuple[Array, Array, Array]:
        D, H, gain = self.case.D, self.case.H, self.case.gain
        # The input keeps its ordinary size when the recurrence is chaotic.
        Wx = self.uniform(D, H, scale=min(gain, 1.0) / np.sqrt(D))
        return Wx, self.uniform(H, H, scale=gain / np.sqrt(H)), self.uneven(H, scale=0.3)

    def call(self, weights: tuple[Array, Array, Array], B: int, T: int) -> Call:
        D, H = weights[0].shape
        h_0 = self.uneven(B, H, scale=0.5) if self.case.h0 else None
        return Call(*weights, self.uneven(B, T, D), h_0, self.upstream(B, T, H))

    def upstream(self, B: int, T: int, H: int) -> Array:
        dhs = self.uneven(B, T, H)
        if self.case.upstream == "last":
            dhs[:, :-1] = 0
        elif self.case.upstream == "gaps":
            silent = self.bits.random_raw(T) & np.uint64(1)
            dhs[:, silent == 1] = 0
        return dhs

    def calls(self) -> tuple[Call, ...]:
        case = self.case
        weights = self.weights()
        if case.calls in ("again", "reset"):
            # Half of the time the batch size stays, so that what is left of a call fits the next.
            same, B, T = (int(bits) for bits in self.bits.random_raw(3) % np.array([2, 3, 16], np.uint64))
            other = (case.B if same else 1 + B, 1 if case.layer == "cell" else 1 + T)
            first, second = self.call(weights, *other), self.call(self.weights(), case.B, case.T)
            # After reset_state the second call starts from zeros, whatever the first was given.
            return first, replace(second, h_0=None) if case.calls == "reset" else second
        whole = self.call(weights, case.B, case.T)
        self.plant(whole)
        cuts = [case.T * part // case.chunks for part in range(case.chunks + 1)]
        return tuple(
            Call(
                *weights,
                np.ascontiguousarray(whole.xs[:, start:end]),
                whole.h_0 if start == 0 else None,
                np.ascontiguousarray(whole.dhs[:, start:end]),
                carries=start > 0,
            )
            for start, end in itertools.pairwise(cuts)
        )

    def plant(self, call: Call) -> None:
        if self.case.plant == "none":
            return
        value, name = self.case.plant.split("@")
        target = {"xs": call.xs, "dhs": call.dhs, "h0": call.h_0}[name]
        assert target is not None  # a case refuses to plant into an absent state
        place, negative = (int(bits) for bits in self.bits.random_raw(2))
        target.reshape(-1)[place % target.size] = -float(value) if negative % 2 else float(value)


def laid_out(array: Array, layout: str) -> Array:
    """Return a new array of the same values in a memory layout of ``LAYOUTS``."""
    if layout == "fortran":
        return np.array(array, order="F")
    if layout == "transposed" and array.ndim > 1:
        return np.array(array.swapaxes(0, 1), order="C").swapaxes(0, 1)
    if layout == "strided":
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "negative":
        backwards = (slice(None, None, -1),) * array.ndim
        return np.array(array[backwards], order="C")[backwards]
    fresh = np.array(array, order="C")
    fresh.flags.writeable = layout != "readonly"
    return fresh
