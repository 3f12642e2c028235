"""The gradient of a bias is a sum over all rows and steps; in float32 it is as near to the truth as torch's."""

import numpy as np
import pytest

from parity_tests.layer_tests.making import numbers
from rnn_np import RNN, TimeRNN

T, D, H = 20_000, 2, 3


@pytest.mark.parametrize("B", [1, 4])
def test_a_bias_gradient_over_many_steps(B: int) -> None:
    Wx, Wh, b = (a.astype(np.float32) for a in (numbers(D, H), numbers(H, H) / H, numbers(H)))
    xs, dhs = numbers(B, T, D, dtype=np.float32), abs(numbers(B, T, H, dtype=np.float32))
    sums = []
    for dtype in (np.float32, np.float64):
        layer = TimeRNN(Wx.astype(dtype), Wh.astype(dtype), b.astype(dtype))
        layer.forward(xs.astype(dtype))
        layer.backward(dhs.astype(dtype))
        sums.append(layer.grads[2])
    # torch 2.13 errs by 1e-8 to 2e-7 in such sums, and a sum of one row after the other by 2e-6 and more.
    assert np.abs(sums[0] - sums[1]).max() <= 5e-7 * np.abs(sums[1]).max()


@pytest.mark.parametrize("B", [0, 1, 31, 63, 64, 65, 95, 96, 1000, 2047, 2048, 2111])
def test_no_row_of_a_sum_is_lost(B: int) -> None:
    cell = RNN(np.zeros((D, H)), np.zeros((H, H)), np.zeros(H))
    cell.forward(numbers(B, D), numbers(B, H))
    dh = np.round(numbers(B, H) * 1000)
    cell.backward(dh)
    assert np.array_equal(cell.grads[2], dh.sum(axis=0))
