"""Odd values, and arrays that are right or wrong in every way that an array can be."""

import array
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from parity_tests.cases.arrays import Array


class Rude:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("__") else RuntimeError(name)


class _Meta(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Closed(metaclass=_Meta):
    """A class of which nothing can be asked."""


class Liar:
    """It says that it is what it is not, and fails when it is used."""

    shape, dtype, ndim = (2, 3), np.dtype(np.float64), 2

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise RuntimeError("no array")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def detach(self) -> Any:
        raise RuntimeError("no tensor")


class Own(np.ndarray):
    """A subclass, which may compute otherwise."""


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
HUGE = 10**5000
"""Python refuses to write it."""
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 2**40, 2**62, 2**63, 2**64, -(2**70), HUGE, 0.5, 1.0, -1.0, 1e308),
    *(math.nan, math.inf, 1j, "", "a", "0", "tanh", "\ud800", "x" * 9999, b"", b"x", bytearray(2)),
    *(
        [],
        [1.0],
        [1, 2],
        [None],
        [[1.0], [1.0, 2.0]],
        (),
        (1,),
        {},
        {"a": 1},
        {1, 2},
        range(2),
        CYCLE,
        [HUGE],
    ),
    *(
        object,
        object(),
        Rude(),
        Rude,
        Closed,
        Liar(),
        np.ndarray,
        np.nan,
        print,
        lambda: 1,
        iter(()),
        Ellipsis,
    ),
    *(Decimal(1), Fraction(1, 2), array.array("d", [1.0]), memoryview(b"ab"), Path(), NotImplemented),
    *(np.float64(1), np.float32(1), np.int64(2), np.bool_(True), np.str_("a"), np.float64, np.dtype("f8")),
    *(np.array(1.0), np.array(None, object), np.array([1, "a", Rude()], object), np.array(["a"])),
    *(np.zeros(0), np.zeros((0, 3)), np.zeros((2, 0, 3)), np.array([HUGE], object), np.random.RandomState(0)),
    *(np.zeros(2, "i4,f8"), np.zeros((2, 3), np.float16), np.zeros((2, 3)), np.zeros((1,) * 20)),
    *(np.datetime64("2020-01-01"), np.timedelta64(1), np.array(["2020"], "M8[D]"), slice(None), type),
)
DTYPES = ("f4", "f8", "f2", "g", "c8", "i8", "u1", "?", "O", "S3", "U3", "M8[s]", "i4,f8", ">f8", ">f4", "V8")


def picked(values: Sequence[Any]) -> SearchStrategy[Any]:
    """One of some values, which Hypothesis itself does not look at."""
    return st.integers(0, len(values) - 1).map(values.__getitem__)


def _has_hash(value: Any) -> bool:
    try:
        return isinstance(hash(value), int)
    except Exception:
        return False


KEYS = [value for value in ODD if _has_hash(value)]


Change = Callable[[Array], Any]


def _apart(values: Array) -> Array:
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1] + 1), values.dtype)
    wide[..., 1::2] = values
    return wide[..., 1::2]


def _unaligned(values: Array) -> Array:
    memory = np.zeros(values.nbytes + 1, np.uint8)
    moved = memory[1:].view(values.dtype).reshape(values.shape)
    moved[...] = values
    return moved


def _readonly(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


def _turned(values: Array) -> Array:
    return np.ascontiguousarray(values[(slice(None, None, -1),) * values.ndim])[
        (slice(None, None, -1),) * values.ndim
    ]


RIGHT: Mapping[str, Change] = {
    "plain": lambda values: values,
    "fortran": lambda values: np.array(values, order="F"),
    "apart": _apart,
    "turned": _turned,
    "unaligned": _unaligned,
    "readonly": _readonly,
    "part": lambda values: np.stack([values, values])[1],
}
"""Other memory with the same values: to be taken."""
WRONG: Mapping[str, Change] = {
    "list": lambda values: values.tolist(),
    "masked": np.ma.masked_array,
    "own": lambda values: values.view(Own),
    "matrix": lambda values: values.reshape(len(values), -1).view(np.matrix),
    "records": lambda values: np.rec.array(values),
    "view": lambda values: values.data,
    "longer": lambda values: np.concatenate([values, values[:1]]) if len(values) else values[None],
    "wider": lambda values: np.concatenate([values, values[..., :1]], axis=-1),
    "one axis more": lambda values: values[None],
    "one axis less": lambda values: values.reshape(-1) if values.ndim > 1 else values[0],
    "scalar": lambda values: values.reshape(-1)[0],
    "no axis": lambda values: values.reshape(-1)[:1].reshape(()),
    "empty": lambda values: values[..., :0],
    "no rows": lambda values: values[:0],
    "other bytes": lambda values: values.astype(values.dtype.newbyteorder()),
    "float16": lambda values: values.astype(np.float16),
    "longdouble": lambda values: values.astype(np.longdouble),
    "complex": lambda values: values + 0j,
    "other float": lambda values: values.astype(np.float32 if values.dtype == np.float64 else np.float64),
    "whole": lambda values: np.zeros(values.shape, np.int64),
    "bool": lambda values: values > 0,
    "objects": lambda values: values.astype(object),
    "texts": lambda values: np.full(values.shape, "a"),
}
"""Not to be taken, unless another size is right too."""
SPECIAL = (0.0, -0.0, 5e-324, 1e-40, 1e-310, 1e30, -1e30, math.inf, -math.inf, math.nan)


@st.composite
def floats(draw: DrawFn, shape: tuple[int, ...], dtype: Any, wrong: int = 2) -> Any:
    """An array of this shape and dtype, or in one draw of ``wrong`` + 1 something else; with ``wrong`` 0 never."""
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    values = np.asarray(rng.normal(size=shape), dtype)
    if values.size and draw(st.integers(0, 7)) == 7:
        with np.errstate(all="ignore"):
            values.reshape(-1)[draw(st.integers(0, values.size - 1))] = draw(st.sampled_from(SPECIAL))
    if draw(st.integers(0, wrong)) < max(wrong, 1):
        return RIGHT[draw(st.sampled_from(sorted(RIGHT)))](values) if values.size else values
    if values.size and draw(st.booleans()):
        with np.errstate(all="ignore"):
            return WRONG[draw(st.sampled_from(sorted(WRONG)))](values)
    return draw(picked(ODD))


@st.composite
def either(draw: DrawFn, *right: Any) -> Any:
    """One of these values, or in one draw of five an odd one."""
    return draw(picked(right if draw(st.integers(0, 4)) < 4 else ODD))


def is_array(value: Any, dtype: Any, *shape: int | None) -> bool:
    """Whether it is a plain array of a dtype and a shape; None is any size."""
    return (
        type(value) is np.ndarray
        and value.dtype == np.dtype(dtype)
        and len(value.shape) == len(shape)
        and all(size in (None, own) for size, own in zip(shape, value.shape, strict=True))
    )
