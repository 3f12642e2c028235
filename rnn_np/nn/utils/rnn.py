"""Packed and padded sequences, the counterpart of ``torch.nn.utils.rnn``."""

from collections.abc import Iterable
from math import isinf
from typing import NamedTuple

import numpy as np

from rnn_np._kernel import Array
from rnn_np._validation import check_array, check_lengths, check_options
from rnn_np.nn._batch_layout import BatchLayout

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Fields(NamedTuple):
    data: Array
    batch_sizes: Array
    sorted_indices: Array | None
    unsorted_indices: Array | None


class PackedSequence(_Fields):
    """Sequences without padding, as ``torch.nn.utils.rnn.PackedSequence``; ``pack_padded_sequence``
    and ``pack_sequence`` make it.

    Args:
        data: [N, ...], the rows of step 1, then those of step 2, ..., the longest sequence first.
        batch_sizes: [T], how many rows each step has: whole numbers, never rising, N in all.
        sorted_indices: [B], the caller's index of each sequence in ``data``; None: as they are.
        unsorted_indices: [B], its inverse; made of it if None.

    Raises:
        TypeError: a field is no array, or not of whole numbers.
        ValueError: the fields do not fit one another.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Array,
        batch_sizes: Array,
        sorted_indices: Array | None = None,
        unsorted_indices: Array | None = None,
    ) -> "PackedSequence":
        """Check the fields, and make ``unsorted_indices`` of ``sorted_indices``."""
        if unsorted_indices is None and isinstance(sorted_indices, np.ndarray):
            unsorted_indices = np.argsort(sorted_indices, kind="stable")
        packed = super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)
        check_packed("PackedSequence", packed)
        return packed

    def rows(self) -> BatchLayout:
        """Where the rows stand."""
        sizes = self.batch_sizes.tolist()
        equal = self.sorted_indices is None and sizes[0] == sizes[-1]
        order = np.arange(sizes[0]) if self.sorted_indices is None else self.sorted_indices.copy()
        return BatchLayout(len(sizes), sizes, None if equal else order)


def check_packed(name: str, packed: object) -> PackedSequence:
    """Return ``packed`` if it is a PackedSequence whose fields fit one another.

    Raises TypeError or ValueError, naming the field, what was given and what was expected.
    """
    if not isinstance(packed, PackedSequence):
        raise TypeError(f"{name}: expected a PackedSequence, got {type(packed).__qualname__}")
    data, sizes, order, inverse = packed
    check_array(f"{name}.data", data, "N ...", {})
    for field, value in (("batch_sizes", sizes), ("sorted_indices", order), ("unsorted_indices", inverse)):
        if value is None and field != "batch_sizes":
            continue
        whole = check_array(f"{name}.{field}", value, "T" if field == "batch_sizes" else "B", {})
        if whole.dtype.kind not in "iu":
            raise TypeError(f"{name}.{field}: expected whole numbers, got {whole.dtype}")
    if not (len(sizes) and sizes[-1] >= 1 and (sizes[1:] <= sizes[:-1]).all()):
        raise ValueError(f"{name}.batch_sizes: expected sizes of at least 1, never rising, got {sizes}")
    if len(data) != sizes.sum():
        raise ValueError(
            f"{name}.data: expected sum(batch_sizes) = {sizes.sum()} rows, got shape {list(data.shape)}"
        )
    if order is not None and not np.array_equal(np.sort(order), np.arange(sizes[0])):
        raise ValueError(f"{name}.sorted_indices: expected each of 0 to {sizes[0] - 1} once, got {order}")
    if not np.array_equal(None if order is None else np.argsort(order), inverse):  # type: ignore[arg-type]
        raise ValueError(f"{name}.unsorted_indices: expected the inverse of sorted_indices, got {inverse}")
    return packed


def _check_sequences(sequences: object) -> list[Array]:
    if not isinstance(sequences, Iterable) or isinstance(sequences, str | bytes):
        raise TypeError(f"sequences: expected arrays [length, ...], got {type(sequences).__qualname__}")
    arrays = list(sequences)
    if not arrays:
        raise ValueError("sequences: expected at least one array, got none")
    for i, array in enumerate(arrays):
        check_array(f"sequences[{i}]", array, "length ...", {})
        if array.shape[1:] != arrays[0].shape[1:] or array.dtype != arrays[0].dtype:
            raise ValueError(
                f"sequences[{i}]: expected [length, ...] {list(arrays[0].shape[1:])} of {arrays[0].dtype} as in "
                f"sequences[0], got shape {list(array.shape)} of {array.dtype}"
            )
    return arrays


def _check_filling(padding_value: float, dtype: np.dtype[np.generic]) -> None:
    check_options(padding_value=padding_value)
    with np.errstate(all="ignore"):
        filled = np.array(padding_value).astype(dtype)
    floating = np.issubdtype(dtype, np.inexact)
    if np.isinf(filled) != isinf(padding_value) if floating else filled != padding_value:
        raise ValueError(f"padding_value: expected a value of {dtype}, got {padding_value!r}")


def pack_padded_sequence(
    input: Array,  # noqa: A002, torch's name
    lengths: Array | list[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack ``input`` [T, B, ...] or, ``batch_first``, [B, T, ...], of any dtype.

    Args:
        input: padded sequences; what stands in the padding is left out.
        lengths: [B], whole numbers in 1 to T.
        batch_first: which axis is time.
        enforce_sorted: refuse lengths that rise; if False, they may be in any order.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: lengths do not fit, or rise, or ``input`` is empty.
    """
    check_options(batch_first=batch_first, enforce_sorted=enforce_sorted)
    padded = check_array("input", input, "T B ...", {})
    if padded.size == 0:
        raise ValueError(f"input: expected at least one element, got shape {list(padded.shape)}")
    padded = padded.swapaxes(0, 1) if batch_first else padded
    lengths = check_lengths(lengths, *padded.shape[:2])
    if enforce_sorted and (lengths[1:] > lengths[:-1]).any():
        raise ValueError(
            f"lengths: expected none to be above the one before it, got {lengths}; "
            "pass enforce_sorted=False for any order"
        )
    rows = BatchLayout.of(len(padded), lengths)
    order = None if enforce_sorted else rows.order
    return PackedSequence(np.ascontiguousarray(rows.pack(padded)), np.array(rows.sizes), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Array, Array]:
    """Return [T, B, ...] or, ``batch_first``, [B, T, ...], and the lengths [B], in the caller's order.

    Args:
        sequence: what ``pack_padded_sequence`` or a layer gave.
        batch_first: which axis is time.
        padding_value: what stands in the padding.
        total_length: T; None: the longest sequence's length.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: ``total_length`` is below the longest sequence's length.
    """
    check_options(batch_first=batch_first, total_length=total_length)
    data, sizes, order, _ = check_packed("sequence", sequence)
    _check_filling(padding_value, data.dtype)
    if total_length is not None and total_length < len(sizes):
        raise ValueError(f"total_length: expected at least {len(sizes)}, the longest, got {total_length}")
    rows = BatchLayout(
        total_length or len(sizes), sizes.tolist(), np.arange(sizes[0]) if order is None else order
    )
    return rows.unpack(data, batch_first, padding_value), rows.restore(rows.lengths)


def pad_sequence(
    sequences: Iterable[Array],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Array:
    """Return the arrays ``sequences``, each [length, ...], as [T, B, ...] or [B, T, ...].

    Args:
        sequences: arrays of one dtype, and of one shape but for their length.
        batch_first: which axis is time.
        padding_value: what stands in the padding.
        padding_side: "right", after the end, or "left", before the start.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: there is no sequence, or they do not fit one another.
    """
    check_options(batch_first=batch_first, padding_side=padding_side)
    arrays = _check_sequences(sequences)
    _check_filling(padding_value, arrays[0].dtype)
    T, B = max(map(len, arrays)), len(arrays)
    shape = ((B, T) if batch_first else (T, B)) + arrays[0].shape[1:]
    padded = np.full(shape, padding_value, arrays[0].dtype)
    for row, array in zip(padded if batch_first else padded.swapaxes(0, 1), arrays, strict=True):
        row[slice(len(array)) if padding_side == "right" else slice(T - len(array), T)] = array
    return padded


def unpad_sequence(
    padded_sequences: Array, lengths: Array | list[int], batch_first: bool = False
) -> list[Array]:
    """Return the sequences of [T, B, ...] or, ``batch_first``, [B, T, ...], a new array each.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: ``lengths`` [B] are not whole numbers in 0 to T.
    """
    check_options(batch_first=batch_first)
    padded = check_array("padded_sequences", padded_sequences, "T B ...", {})
    padded = padded if batch_first else padded.swapaxes(0, 1)
    lengths = check_lengths(lengths, padded.shape[1], len(padded), least=0)
    return [np.array(row[:length], order="C") for row, length in zip(padded, lengths, strict=True)]


def pack_sequence(sequences: Iterable[Array], enforce_sorted: bool = True) -> PackedSequence:
    """Pack the arrays ``sequences``, each [length, ...].

    Raises:
        TypeError: an argument is of another kind.
        ValueError: one is empty, they do not fit one another, or their lengths rise and
            ``enforce_sorted`` is True.
    """
    check_options(enforce_sorted=enforce_sorted)
    arrays = _check_sequences(sequences)
    return pack_padded_sequence(pad_sequence(arrays), list(map(len, arrays)), False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Array]:
    """Return the sequences of a PackedSequence in the caller's order, a new array each.

    Raises:
        TypeError: ``packed_sequences`` is no PackedSequence.
    """
    check_packed("packed_sequences", packed_sequences)
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
