"""Arguments of the functions of ``rnn_np.nn.utils.rnn``."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws the examples")

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from parity_tests.cases.arrays import Array
from parity_tests.gate_tests.fuzz.calls import assert_apart, attempt
from parity_tests.gate_tests.fuzz.examples import fuzzed
from parity_tests.gate_tests.fuzz.odd import DTYPES, either, floats, picked
from rnn_np.nn.utils import rnn

Example = tuple[dict[str, Any], bool | None, Callable[[Any], None]]
"""Arguments, whether they are right (None where the values decide), and what has to hold of the result."""
PLAIN = (list, tuple, np.ndarray)


@st.composite
def rows(draw: DrawFn) -> list[Array]:
    """Sequences of one dtype, the longest first."""
    lengths = sorted(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)), reverse=True)
    dtype, width = draw(st.sampled_from(DTYPES)), draw(st.sampled_from([(), (2,), (2, 3)]))
    return [np.arange(1, 1 + length * int(np.prod(width))).reshape(length, *width).astype("i8").astype(dtype)
            if dtype not in ("i4,f8", "V8", "M8[s]") else np.zeros((length, *width), dtype) for length in lengths]  # fmt: skip


def padded(sequences: list[Array]) -> Array:
    result = np.zeros((len(sequences), len(sequences[0]), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(result, sequences, strict=True):
        row[: len(sequence)] = sequence
    return result


def equal(got: Any, want: list[Array]) -> None:
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tolist() == other.tolist()


@st.composite
def to_pack(draw: DrawFn) -> Example:
    """Arguments of ``pack_padded_sequence``."""
    sequences = draw(rows())
    T, B = len(sequences[0]), len(sequences)
    batch_first, enforce_sorted = draw(either(True, False)), draw(either(True, False))
    lengths = [len(sequence) for sequence in sequences]
    near = [0, *lengths[1:]], [T + 1, *lengths[1:]], lengths[1:], lengths[::-1]
    ends = draw(either(*near, lengths, tuple(lengths), np.array(lengths), np.array(lengths, "u2")))
    values = padded(sequences)
    values = values if batch_first is True else values.swapaxes(0, 1)
    are_bools = isinstance(batch_first, bool) and isinstance(enforce_sorted, bool)
    right: bool | None = are_bools and ends_equal(ends, lengths)
    if are_bools and not right:
        right = None if could_be_ends(ends, B, T) else False

    def holds(packed: Any) -> None:
        if right:
            equal(rnn.unpack_sequence(packed), sequences)

    given = {"input": values, "lengths": ends, "batch_first": batch_first, "enforce_sorted": enforce_sorted}
    return given, right, holds


def ends_equal(ends: Any, lengths: list[int]) -> bool:
    return isinstance(ends, PLAIN) and np.shape(ends if isinstance(ends, np.ndarray) else np.array(lengths)) == np.shape(lengths) and [*ends] == lengths and not any(isinstance(end, bool) for end in ends)  # fmt: skip


def could_be_ends(ends: Any, B: int, T: int) -> bool:
    """Whether the values are whole numbers, as many as there are rows."""
    if not isinstance(ends, PLAIN) or (
        isinstance(ends, np.ndarray) and (ends.ndim != 1 or ends.dtype.kind not in "iu")
    ):
        return False
    return len(ends) == B and all(
        isinstance(end, int | np.integer) and not isinstance(end, bool) for end in ends
    )


@st.composite
def to_pad(draw: DrawFn) -> Example:
    """Arguments of ``pad_packed_sequence``."""
    sequences = draw(rows())
    packed = draw(either(rnn.pack_sequence(plain_dtype(sequences))))
    batch_first, total = draw(either(True, False)), draw(either(None, 4, 7))
    padding = draw(either(0.0, 1))
    right: bool | None = isinstance(packed, rnn.PackedSequence) and isinstance(batch_first, bool)
    right = None if right else False

    def holds(result: Any) -> None:
        values, lengths = result
        values = values if batch_first else values.swapaxes(0, 1)
        equal(rnn.unpad_sequence(values, lengths, batch_first=True), plain_dtype(sequences))
        assert total is None or values.shape[1] == total

    given = {"sequence": packed, "batch_first": batch_first, "padding_value": padding, "total_length": total}
    return given, right, holds


def plain_dtype(sequences: list[Array]) -> list[Array]:
    """The same in float64, if the dtype has no zero to pad with."""
    return sequences if sequences[0].dtype.kind in "fciu" else [np.ones(row.shape) for row in sequences]


@st.composite
def to_pad_list(draw: DrawFn) -> Example:
    """Arguments of ``pad_sequence``."""
    sequences = draw(rows())
    given_rows = draw(either(sequences, tuple(sequences), [*sequences[:-1], draw(floats((2, 2), "f8", 0))]))
    batch_first, side = draw(either(True, False)), draw(either("left", "right"))
    padding = draw(either(0.0, 1))
    right = (
        None if isinstance(batch_first, bool) and type(side) is str and side in ("left", "right") else False
    )

    def holds(values: Any) -> None:
        values = values if batch_first else values.swapaxes(0, 1)
        T = values.shape[1]
        cut = [
            row[T - len(one) :] if side == "left" else row[: len(one)]
            for row, one in zip(values, given_rows, strict=True)
        ]
        equal(cut, list(given_rows))

    arguments = {
        "sequences": given_rows,
        "batch_first": batch_first,
        "padding_value": padding,
        "padding_side": side,
    }
    return arguments, right, holds


@st.composite
def to_unpad(draw: DrawFn) -> Example:
    """Arguments of ``unpad_sequence``."""
    sequences = draw(rows())
    lengths, batch_first = [len(row) for row in sequences], draw(either(True, False))
    values = padded(sequences)
    values = draw(either(values if batch_first is True else values.swapaxes(0, 1)))
    ends = draw(either(lengths, np.array(lengths), [0] * len(lengths), [-1, *lengths[1:]], [9, *lengths[1:]]))
    right = isinstance(batch_first, bool) and type(values) is np.ndarray and isinstance(ends, PLAIN)

    def holds(result: Any) -> None:
        rows_of = values if batch_first else values.swapaxes(0, 1)
        equal(result, [row[:end] for row, end in zip(rows_of, ends, strict=True)])

    return (
        {"padded_sequences": values, "lengths": ends, "batch_first": batch_first},
        None if right else False,
        holds,
    )


@st.composite
def to_pack_list(draw: DrawFn) -> Example:
    """Arguments of ``pack_sequence``."""
    sequences = draw(rows())
    given_rows = draw(either(sequences, tuple(sequences), sequences[::-1], [*sequences, np.zeros(0)]))
    enforce_sorted = draw(either(True, False))
    right = None if isinstance(enforce_sorted, bool) else False

    def holds(packed: Any) -> None:
        equal(rnn.unpack_sequence(packed), list(given_rows))

    return {"sequences": given_rows, "enforce_sorted": enforce_sorted}, right, holds


@st.composite
def to_unpack(draw: DrawFn) -> Example:
    """Arguments of ``unpack_sequence``."""
    sequences = draw(rows())
    packed = draw(either(rnn.pack_sequence(sequences)))
    right = isinstance(packed, rnn.PackedSequence)
    return {"packed_sequences": packed}, right, lambda result: equal(result, sequences)


@st.composite
def to_make(draw: DrawFn) -> Example:
    """Fields of a ``PackedSequence``."""
    packed = rnn.pack_sequence(draw(rows()))
    data, sizes = draw(either(packed.data)), draw(either(packed.batch_sizes, packed.batch_sizes[::-1]))
    B = int(packed.batch_sizes[0])
    order = draw(either(None, np.arange(B), np.arange(B)[::-1], np.zeros(B, int), np.eye(B, dtype=int)))
    inverse = draw(either(None, np.arange(B), np.arange(B)[::-1], np.arange(B, dtype="u1")))

    def holds(made: Any) -> None:
        assert made.data is data
        assert sum(map(len, rnn.unpack_sequence(made))) == len(data)

    names = {"data": data, "batch_sizes": sizes, "sorted_indices": order, "unsorted_indices": inverse}
    arrays = type(data) is np.ndarray and type(sizes) is np.ndarray
    return names, None if arrays else False, holds


FUNCTIONS: dict[str, Any] = {
    "PackedSequence": to_make(),
    "pack_padded_sequence": to_pack(),
    "pack_sequence": to_pack_list(),
    "pad_packed_sequence": to_pad(),
    "pad_sequence": to_pad_list(),
    "unpack_sequence": to_unpack(),
    "unpad_sequence": to_unpad(),
}


@fuzzed(0.2, name=picked(sorted(FUNCTIONS)), data=st.data())
def test_functions(name: str, data: Any) -> None:
    given, right, holds = data.draw(FUNCTIONS[name])
    taken, result = attempt(getattr(rnn, name), given, right, ("Packed",))
    if taken:
        holds(result)
        if name != "PackedSequence":
            assert_apart(result, given.values())


def test_every_function_has_an_entry() -> None:
    public = {
        name
        for name in rnn.__all__
        if inspect.isfunction(getattr(rnn, name)) or inspect.isclass(getattr(rnn, name))
    }
    assert {*FUNCTIONS} == public == {*rnn.__all__}
