"""Where the rows of a batch are: padded in [T, B, ...], and packed as the kernel needs them."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array


class _RowIndex(NamedTuple):
    step: Array
    """[N], the time step of each packed row."""
    sequence: Array
    """[N], the sequence of each packed row, as the caller counts them."""
    mirrored: Array
    """[N], where each row of a sequence goes when time is reversed within the sequence."""
    last: Array
    """[B], the packed row of each sequence's last step, the longest sequence first."""


class BatchLayout:
    """The lengths and the order of the sequences of a batch.

    The kernel wants packed rows [N, ...] with the longest sequence first: the ``sizes[0]`` rows of the
    first step, then the ``sizes[1]`` rows of the second, and so on. If all sequences are T long (and
    ``order`` is None), that is the padded array [T, B, ...] itself, and nothing has to be moved.

    Args:
        T: the number of time steps of padded arrays.
        sizes: the number of sequences in each step, never more than in the step before.
        order: [B], the caller's index of each sequence, the longest first. None: all sequences are T
            long, and in the caller's order.
    """

    def __init__(self, T: int, sizes: Sequence[int], order: Array | None) -> None:
        self.T, self.sizes, self.order = T, sizes, order
        self.B, self.N = sizes[0], sum(sizes)
        self.shape = (T, self.B) if order is None else (self.N,)
        """The leading axes of the kernel's rows."""

    @classmethod
    def of_equal_lengths(cls, T: int, B: int) -> "BatchLayout":
        """B sequences, all T long."""
        return cls(T, (B,) * T, None)

    @classmethod
    def of_lengths(cls, T: int, lengths: Array) -> "BatchLayout":
        """Sequences of these ``lengths`` [B], in any order."""
        order = np.argsort(-lengths, kind="stable")
        sizes: list[int] = (lengths > np.arange(lengths.max())[:, None]).sum(axis=1).tolist()
        return cls(T, sizes, order)

    @classmethod
    def of_packed(cls, batch_sizes: Array, sorted_indices: Array | None) -> "BatchLayout":
        """The sequences of a PackedSequence, from its fields."""
        sizes = batch_sizes.tolist()
        if sorted_indices is not None:
            return cls(len(sizes), sizes, sorted_indices.copy())
        equal = sizes[0] == sizes[-1]
        return cls(len(sizes), sizes, None if equal else np.arange(sizes[0]))

    @cached_property
    def lengths(self) -> Array:
        """[B], the lengths, the longest first."""
        return (np.asarray(self.sizes) > np.arange(self.B)[:, None]).sum(axis=1)

    @cached_property
    def _index(self) -> _RowIndex:
        assert self.order is not None
        sizes, lengths = np.asarray(self.sizes), self.lengths
        starts = np.cumsum(sizes) - sizes  # the first packed row of each step
        step = np.repeat(np.arange(len(sizes)), sizes)
        rank = np.arange(len(step)) - starts[step]  # 0: the longest sequence
        return _RowIndex(
            step=step,
            sequence=self.order[rank],
            mirrored=starts[lengths[rank] - 1 - step] + rank,
            last=starts[lengths - 1] + np.arange(self.B),
        )

    def pack(self, padded: Array) -> Array:
        """Return the kernel's rows of ``padded`` [T, B, ...]: a copy, or ``padded`` itself."""
        if self.order is None:
            return padded
        return padded[self._index.step, self._index.sequence]

    def unpack(self, rows: Array, batch_first: bool, padding_value: Any = 0.0) -> Array:
        """Return a new array [T, B, ...] or, if ``batch_first``, [B, T, ...] of the kernel's ``rows``."""
        if self.order is None:
            return (rows.swapaxes(0, 1) if batch_first else rows).copy()
        shape = (self.B, self.T) if batch_first else (self.T, self.B)
        padded = np.full((*shape, *rows.shape[1:]), padding_value, rows.dtype)
        (padded.swapaxes(0, 1) if batch_first else padded)[self._index.step, self._index.sequence] = rows
        return padded

    def reverse(self, rows: Array) -> Array:
        """Reverse time within each sequence."""
        return rows[::-1] if self.order is None else rows[self._index.mirrored]

    def last(self, rows: Array) -> Array:
        """Return the last row of each sequence, [B, ...] in the caller's order."""
        if self.order is None:
            return rows[-1]
        return self.restore(rows[self._index.last])

    def sort(self, values: Array) -> Array:
        """Put ``values`` [B, ...] from the caller's order into the kernel's."""
        return values if self.order is None else values[self.order]

    def restore(self, values: Array) -> Array:
        """Put ``values`` [B, ...] from the kernel's order into the caller's."""
        if self.order is None:
            return values
        restored = np.empty_like(values)
        restored[self.order] = values
        return restored

    def steps(self, rows: Array) -> Sequence[Array] | Array:
        """Return the kernel's rows of each step."""
        return rows if self.order is None else _kernel.steps(rows, self.sizes)
