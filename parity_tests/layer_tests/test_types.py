"""What type checkers know of the layers; mypy reads this file, and a test runs it."""

from typing import Any, assert_type

import numpy as np

from rnn_np import nn
from rnn_np.nn.utils.rnn import PackedSequence, pack_padded_sequence

Array = np.ndarray[Any, np.dtype[Any]]


def test_arrays_give_arrays_and_packed_sequences_give_packed_ones() -> None:
    x = np.ones((4, 2, 3), np.float32)
    packed = pack_padded_sequence(x, [4, 2])
    rnn = nn.RNN(3, 5)
    output, h_n = rnn(x)
    assert_type(output, Array)
    assert_type(h_n, Array)
    assert_type(rnn(x, None, lengths=[4, 2]), tuple[Array, Array])
    assert_type(rnn.forward(x, h_n), tuple[Array, Array])
    assert_type(rnn.backward(output, None), tuple[Array, Array])
    d_input, d_hx = rnn.backward(None, h_n)
    assert type(d_input) is type(assert_type(d_hx, Array)) is np.ndarray
    packed_output, h_n = rnn(packed, h_n)
    assert_type(packed_output, PackedSequence)
    assert_type(rnn.forward(packed), tuple[PackedSequence, Array])
    packed_gradient, d_hx = rnn.backward(packed_output)
    assert isinstance(assert_type(packed_gradient, PackedSequence), PackedSequence)
    assert d_hx.shape == (1, 2, 5)
