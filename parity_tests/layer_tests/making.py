"""What the tests of the layers are made from."""

import copy
from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array
from rnn_np import RNN, TimeRNN

B, T, D, H = 3, 5, 4, 6

bits = np.random.PCG64(3)


def numbers(*shape: int, dtype: type = np.float64) -> Array:
    """Numbers in (-1, 1)."""
    raw = bits.random_raw(int(np.prod(shape))).reshape(shape) >> np.uint64(40)
    return (raw.astype(np.float64) / 2**23 - 1).astype(dtype)


def make(stateful: bool = False, dtype: type = np.float64) -> TimeRNN:
    return TimeRNN(
        numbers(D, H, dtype=dtype), numbers(H, H, dtype=dtype), numbers(H, dtype=dtype), stateful=stateful
    )


def make_cell(dtype: type = np.float64) -> RNN:
    return RNN(numbers(D, H, dtype=dtype), numbers(H, H, dtype=dtype), numbers(H, dtype=dtype))


def snapshot(layer: TimeRNN) -> list[Any]:
    return [*copy.deepcopy(layer.grads), layer.h, layer.dh]


def same(left: list[Any], right: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
