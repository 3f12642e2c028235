"""Packed and padded sequences, the counterpart of ``torch.nn.utils.rnn``.

Sequences of unequal lengths come in three forms. A list of arrays [length, ...]; one padded array
[T, B, ...] or [B, T, ...] with their lengths; and a ``PackedSequence``, all rows without padding. The
functions convert between them, with torch's names and arguments. They take arrays of any dtype, and
return new arrays in O(size) time.
"""

from collections.abc import Iterable
from math import isinf
from typing import NamedTuple

import numpy as np

from rnn_np._kernel import Array
from rnn_np._validation import check_arguments, check_array, check_lengths, shown
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


def _are_indices(array: Array) -> bool:
    return array.ndim == 1 and array.dtype.kind in "iu"


class PackedSequence(_Fields):
    """Sequences without padding, as ``torch.nn.utils.rnn.PackedSequence``.

    ``pack_padded_sequence`` and ``pack_sequence`` make it. The fields are held by reference.

    Args:
        data: [N, ...], the rows of step 1, then those of step 2, and so on; in each step the longest
            sequence comes first.
        batch_sizes: [T], how many rows each step has: whole numbers, none above the one before, N in all.
        sorted_indices: [B], the caller's index of each sequence in ``data``. None: the caller's order.
        unsorted_indices: [B], the inverse of ``sorted_indices``. None: it is computed.

    Raises:
        TypeError: a field is not an array, or not of whole numbers.
        ValueError: the fields do not fit one another.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import PackedSequence
        >>> packed = PackedSequence(np.array([4, 1, 5, 2, 6]), np.array([2, 2, 1]))
        >>> packed.data, packed.batch_sizes
        (array([4, 1, 5, 2, 6]), array([2, 2, 1]))
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Array,
        batch_sizes: Array,
        sorted_indices: Array | None = None,
        unsorted_indices: Array | None = None,
    ) -> "PackedSequence":
        """Check the fields, and compute ``unsorted_indices`` from ``sorted_indices``."""
        if (
            unsorted_indices is None
            and isinstance(sorted_indices, np.ndarray)
            and _are_indices(sorted_indices)
        ):
            unsorted_indices = np.argsort(sorted_indices, kind="stable")
        packed = super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)
        check_packed("PackedSequence", packed)
        return packed


def check_packed(name: str, packed: object) -> PackedSequence:
    """Return ``packed`` if it is a PackedSequence whose fields fit one another.

    Raises TypeError or ValueError, naming the field, what was expected and what was given.
    """
    if not isinstance(packed, PackedSequence):
        raise TypeError(f"{name}: expected a PackedSequence, got {type(packed).__qualname__}")
    data, sizes, order, inverse = packed
    check_array(f"{name}.data", data, "N ...", {})
    for field, value in (("batch_sizes", sizes), ("sorted_indices", order), ("unsorted_indices", inverse)):
        if value is None and field != "batch_sizes":
            continue
        array = check_array(f"{name}.{field}", value, "T" if field == "batch_sizes" else "B", {})
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name}.{field}: expected whole numbers, got {array.dtype}")
    if not (len(sizes) and sizes[-1] >= 1 and (sizes[1:] <= sizes[:-1]).all()):
        raise ValueError(f"{name}.batch_sizes: expected sizes of at least 1, never rising, got {sizes}")
    if sizes[0] > len(data) or len(data) != sizes.sum():  # large sizes may have a sum that overflows
        raise ValueError(
            f"{name}.data: expected sum(batch_sizes) = {sizes.sum()} rows, got shape {list(data.shape)}"
        )
    if order is not None and not np.array_equal(np.sort(order), np.arange(sizes[0])):
        raise ValueError(f"{name}.sorted_indices: expected each of 0 to {sizes[0] - 1} once, got {order}")
    if not np.array_equal(None if order is None else np.argsort(order), inverse):  # type: ignore[arg-type]
        raise ValueError(f"{name}.unsorted_indices: expected the inverse of sorted_indices, got {inverse}")
    return packed


def _check_sequences(sequences: object) -> list[Array]:
    scalar = isinstance(sequences, np.ndarray) and sequences.ndim == 0
    if not isinstance(sequences, Iterable) or isinstance(sequences, str | bytes) or scalar:
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


def _check_padding_value(padding_value: float, dtype: np.dtype[np.generic]) -> None:
    """Refuse a number that ``dtype`` cannot hold; a float may be rounded, but not become infinite."""
    check_arguments(padding_value=padding_value)
    try:
        with np.errstate(all="ignore"):
            filled = np.array(padding_value).astype(dtype)
            floating = np.issubdtype(dtype, np.inexact)
            fits = bool(np.isinf(filled) == isinf(padding_value) if floating else filled == padding_value)
    except Exception:  # there is no such conversion, or the number is beyond every float
        fits = False
    if not fits:
        raise ValueError(f"padding_value: expected a value of {dtype}, got {shown(padding_value)}")


def _any_padding(array: Array) -> Array:
    """A value of the array's dtype, of which there may be no 0, for padding that is left out again."""
    return np.zeros((), array.dtype)


def pack_padded_sequence(
    input: Array,  # noqa: A002, torch's name
    lengths: Array | list[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack padded sequences, as ``torch.nn.utils.rnn.pack_padded_sequence``.

    Args:
        input: [T, B, ...] or, if ``batch_first``, [B, T, ...]; the padding is left out.
        lengths: [B], whole numbers from 1 to T.
        batch_first: whether the first axis is the batch.
        enforce_sorted: refuse lengths above the one before. If False, they may be in any order.

    Returns:
        The packed sequences. Those of equal length keep their order.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the lengths do not fit or are not sorted, or ``input`` is empty.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import pack_padded_sequence
        >>> padded = np.array([[1, 2, 0], [4, 5, 6]])  # [B, T]
        >>> packed = pack_padded_sequence(padded, [2, 3], batch_first=True, enforce_sorted=False)
        >>> packed.data, packed.batch_sizes, packed.sorted_indices
        (array([4, 1, 5, 2, 6]), array([2, 2, 1]), array([1, 0]))
    """
    check_arguments(batch_first=batch_first, enforce_sorted=enforce_sorted)
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
    layout = BatchLayout.of_lengths(len(padded), lengths)
    order = None if enforce_sorted else layout.order
    return PackedSequence(np.ascontiguousarray(layout.pack(padded)), np.array(layout.sizes), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Array, Array]:
    """Pad packed sequences, as ``torch.nn.utils.rnn.pad_packed_sequence``.

    Args:
        sequence: what ``pack_padded_sequence``, ``pack_sequence`` or a layer returned.
        batch_first: whether the first axis of the result is the batch.
        padding_value: the value after the end of a sequence.
        total_length: T; None: the length of the longest sequence.

    Returns:
        The padded sequences, [T, B, ...] or, if ``batch_first``, [B, T, ...], and their lengths [B], both
        in the caller's order.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: ``total_length`` is below the length of the longest sequence, or ``padding_value`` is
            not a value of the sequences' dtype.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> packed = pack_sequence([np.array([4, 5, 6]), np.array([1, 2])])
        >>> pad_packed_sequence(packed, batch_first=True)
        (array([[4, 5, 6],
               [1, 2, 0]]), array([3, 2]))
    """
    check_arguments(batch_first=batch_first, total_length=total_length)
    data, sizes, _, _ = check_packed("sequence", sequence)
    _check_padding_value(padding_value, data.dtype)
    if total_length is not None and total_length < len(sizes):
        raise ValueError(f"total_length: expected at least {len(sizes)}, the longest, got {total_length}")
    return _unpacked(sequence, batch_first, padding_value, total_length)


def _unpacked(
    packed: PackedSequence, batch_first: bool, padding_value: object, total_length: int | None = None
) -> tuple[Array, Array]:
    """The padded sequences and their lengths, of arguments that are right."""
    data, sizes, order, _ = packed
    # An order, even where all lengths are equal: ``data`` is [N, ...], not [T, B, ...].
    order = np.arange(sizes[0]) if order is None else order
    layout = BatchLayout(total_length or len(sizes), sizes.tolist(), order)
    try:
        padded = layout.unpack(data, batch_first, padding_value)
    except (ValueError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"total_length: expected a length whose array fits into memory, got {shown(layout.T)}"
        ) from error
    return padded, layout.restore(layout.lengths)


def pad_sequence(
    sequences: Iterable[Array],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Array:
    """Pad a list of sequences, as ``torch.nn.utils.rnn.pad_sequence``.

    Args:
        sequences: arrays [length, ...] of one dtype, whose shapes differ in the length alone.
        batch_first: whether the first axis of the result is the batch.
        padding_value: the value before or after a sequence.
        padding_side: "right", after the end, or "left", before the start.

    Returns:
        The padded sequences, [T, B, ...] or, if ``batch_first``, [B, T, ...].

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: there is no sequence, they do not fit one another, or ``padding_value`` is not a value
            of their dtype.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import pad_sequence
        >>> pad_sequence([np.array([1, 2]), np.array([4, 5, 6])], batch_first=True)
        array([[1, 2, 0],
               [4, 5, 6]])
    """
    check_arguments(batch_first=batch_first, padding_side=padding_side)
    arrays = _check_sequences(sequences)
    _check_padding_value(padding_value, arrays[0].dtype)
    return _padded(arrays, batch_first, padding_value, padding_side)


def _padded(arrays: list[Array], batch_first: bool, padding_value: object, padding_side: str) -> Array:
    """The padded sequences, of arguments that are right."""
    T, B = max(map(len, arrays)), len(arrays)
    shape = ((B, T) if batch_first else (T, B)) + arrays[0].shape[1:]
    padded = np.full(shape, padding_value, arrays[0].dtype)
    for row, array in zip(padded if batch_first else padded.swapaxes(0, 1), arrays, strict=True):
        row[slice(len(array)) if padding_side == "right" else slice(T - len(array), T)] = array
    return padded


def unpad_sequence(
    padded_sequences: Array, lengths: Array | list[int], batch_first: bool = False
) -> list[Array]:
    """Cut padded sequences to their lengths, as ``torch.nn.utils.rnn.unpad_sequence``.

    Args:
        padded_sequences: [T, B, ...] or, if ``batch_first``, [B, T, ...].
        lengths: [B], whole numbers from 0 to T.
        batch_first: whether the first axis is the batch.

    Returns:
        The sequences, each a new array [length, ...].

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a shape or the lengths do not fit.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import unpad_sequence
        >>> unpad_sequence(np.array([[1, 2, 0], [4, 5, 6]]), [2, 3], batch_first=True)
        [array([1, 2]), array([4, 5, 6])]
    """
    check_arguments(batch_first=batch_first)
    padded = check_array("padded_sequences", padded_sequences, "T B ...", {})
    padded = padded if batch_first else padded.swapaxes(0, 1)
    lengths = check_lengths(lengths, padded.shape[1], len(padded), least=0)
    return [np.array(row[:length], order="C") for row, length in zip(padded, lengths, strict=True)]


def pack_sequence(sequences: Iterable[Array], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences, as ``torch.nn.utils.rnn.pack_sequence``.

    Args:
        sequences: arrays [length, ...] of one dtype, whose shapes differ in the length alone.
        enforce_sorted: refuse a sequence that is longer than the one before. If False, they may be in any
            order.

    Returns:
        The packed sequences. Those of equal length keep their order.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a sequence is empty, they do not fit one another, or they are not sorted.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import pack_sequence
        >>> pack_sequence([np.array([4, 5, 6]), np.array([1, 2])]).data
        array([4, 1, 5, 2, 6])
    """
    check_arguments(enforce_sorted=enforce_sorted)
    arrays = _check_sequences(sequences)
    lengths = list(map(len, arrays))
    for i, array in enumerate(arrays):
        if array.size == 0:
            raise ValueError(f"sequences[{i}]: expected at least one element, got shape {list(array.shape)}")
        if enforce_sorted and lengths[i] > lengths[max(i - 1, 0)]:
            raise ValueError(
                f"sequences[{i}]: expected none to be longer than the one before it, got length {lengths[i]} "
                f"after {lengths[i - 1]}; pass enforce_sorted=False for any order"
            )
    padded = _padded(arrays, False, _any_padding(arrays[0]), "right")
    return pack_padded_sequence(padded, lengths, False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Array]:
    """Return packed sequences as a list, as ``torch.nn.utils.rnn.unpack_sequence``.

    Args:
        packed_sequences: what ``pack_padded_sequence``, ``pack_sequence`` or a layer returned.

    Returns:
        The sequences in the caller's order, each a new array [length, ...].

    Raises:
        TypeError: ``packed_sequences`` is not a PackedSequence.

    Example:
        >>> import numpy as np
        >>> from rnn_np.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> unpack_sequence(pack_sequence([np.array([4, 5, 6]), np.array([1, 2])]))
        [array([4, 5, 6]), array([1, 2])]
    """
    packed = check_packed("packed_sequences", packed_sequences)
    return unpad_sequence(*_unpacked(packed, True, _any_padding(packed.data)), batch_first=True)
