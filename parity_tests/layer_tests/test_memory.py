"""A training step holds little more than what it must."""

import tracemalloc

import numpy as np
import pytest

from parity_tests.cases.arrays import Array
from parity_tests.layer_tests.making import numbers
from rnn_np import TimeRNN


@pytest.mark.parametrize(("B", "T", "D", "H"), [(1, 16, 8, 8), (32, 100, 128, 256), (32, 50, 512, 512)])
def test_the_peak_of_forward_and_backward(B: int, T: int, D: int, H: int) -> None:
    def f32(*shape: int) -> Array:
        return numbers(*shape, dtype=np.float32)

    layer = TimeRNN(f32(D, H), f32(H, H), f32(H))
    xs, dhs = f32(B, T, D), f32(B, T, H)
    tracemalloc.start()
    results = layer.forward(xs), layer.backward(dhs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    elements = 2 * B * T * D + 3 * B * T * H + 6 * B * H
    assert results[0].nbytes + results[1].nbytes < peak <= 1.1 * 4 * elements + 1e6
