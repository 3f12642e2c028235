"""Arguments that fuzzing found: refused by their names, or taken."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.layer_tests.making import B, D, H, T, make, numbers
from rnn_np import TimeRNN, nn
from rnn_np.nn.utils import rnn as packing

HUGE = 10**5000
"""Python refuses to write it."""


class Rude:
    """It cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


rude: Any = Rude()
huge: Any = HUGE
none: Any = None
PACKED = packing.pack_sequence([np.arange(3), np.arange(2)])
REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: nn.RNN(rude, 2), TypeError, "input_size: expected an int of at least 1, got a value of type Rude (Rude)"),
    (lambda: nn.RNN(-huge, 2), ValueError, "input_size: expected an int of at least 1, got a value of type int"),
    (lambda: nn.RNN(2, huge), ValueError, "input_size, hidden_size: expected sizes whose weights fit into memory, got 2 and"),
    (lambda: nn.RNN(2, 3, huge), ValueError, "num_layers: expected at most 10000, got a value of type int"),
    (lambda: nn.RNN(2, 3, nonlinearity="x" * 9999), ValueError, "nonlinearity: expected 'tanh' or 'relu', got 'xxx"),
    (lambda: nn.RNN(2, 3, 2, dropout=np.timedelta64(1)), TypeError, "dropout: expected a number from 0 to 1"),  # type: ignore[arg-type]
    (lambda: setattr(nn.RNN(2, 3), "hidden_size", huge), AttributeError, "hidden_size: expected 3, as when the layer was made"),
    (lambda: TimeRNN(numbers(D, H), numbers(H, H), numbers(H), rude), TypeError, "stateful: expected True or False, got a value"),
    (lambda: TimeRNN.from_torch({huge: 1}), ValueError, "state_dict: expected the entries"),
    (lambda: nn.RNN(2, 3).load_state_dict({huge: 1}), ValueError, "unexpected: a value of type int"),
    (lambda: nn.RNN(2, 3).load_state_dict({"x" * 9999: 1}), ValueError, "... (shortened)"),
    (lambda: nn.RNN(2, 3).load_state_dict({rude: 1}), ValueError, "unexpected: a value of type Rude"),
    (lambda: nn.RNN(2, 3)(np.ones((4, 1, 2), np.float32), lengths=[huge]), TypeError, "lengths: expected whole numbers"),
    (lambda: setattr(nn.RNN(2, 3), "grads", {huge: 1}), TypeError, "grads[a value of type int]: expected a numpy.ndarray"),
    (lambda: packing.pad_sequence([np.arange(3)], padding_value=huge), ValueError, "padding_value: expected a value of int64"),
    (lambda: packing.pad_packed_sequence(PACKED, total_length=huge), ValueError, "total_length: expected a length whose array"),
    (lambda: packing.pad_packed_sequence(PACKED, total_length=np.timedelta64(9)), TypeError, "total_length: expected a whole number"),  # type: ignore[arg-type]
    (lambda: packing.pack_sequence([np.arange(2), np.arange(3)]), ValueError,
     "sequences[1]: expected none to be longer than the one before it, got length 3 after 2; pass enforce_sorted=False"),
    (lambda: packing.pack_sequence([np.arange(2), np.arange(0)]), ValueError, "sequences[1]: expected at least one element, got shape [0]"),
    (lambda: packing.PackedSequence(numbers(1), np.array([1]), np.array(0)), ValueError, "PackedSequence.sorted_indices: expected shape [B]"),
    (lambda: packing.PackedSequence(numbers(2), np.array([2]), np.array([0, "a"], object)), TypeError,
     "PackedSequence.sorted_indices: expected whole numbers, got object"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_it_is_refused_by_its_name(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refusal:
        call()
    assert message in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_a_prefix_leaves_out_keys_that_are_no_names() -> None:
    layer = nn.RNN(2, 3)
    state: dict[Any, Any] = layer.state_dict("rnn.")
    layer.load_state_dict({**state, huge: 1, rude: 1, none: 1}, "rnn.")


@pytest.mark.parametrize("dtype", ["S3", "U3", "M8[s]", "m8[s]", "i4,f8", "V8", "O"])
def test_sequences_of_any_dtype_are_packed_and_unpacked(dtype: str) -> None:
    sequences = [np.zeros(3, dtype), np.zeros(2, dtype)]
    unpacked = packing.unpack_sequence(packing.pack_sequence(sequences))
    assert [(part.dtype, part.tolist()) for part in unpacked] == [
        (part.dtype, part.tolist()) for part in sequences
    ]


def test_what_is_shown_of_a_bad_value_has_an_end() -> None:
    with pytest.raises(ValueError, match=r"^lengths: .* got \[5, 9, .*\.\.\. \(shortened\)$"):
        nn.RNN(D, H, dtype=np.float64)(numbers(T, 999, D), lengths=[5, *[9] * 998])
    assert make().forward(numbers(B, T, D)).shape == (B, T, H)
