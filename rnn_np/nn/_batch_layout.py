"""Where the rows of a batch stand: padded [T, B, ...], and as the kernel has them."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array


class BatchLayout:
    """The lengths of a batch.

    The kernel has the longest sequence first and no padding: [N, ...], the ``sizes[0]`` rows of the
    first step, then the ``sizes[1]`` rows of the second, ... Where all sequences are T long
    (``order`` None) that is the padded array [T, B, ...] itself, and nothing is moved.
    """

    def __init__(self, T: int, sizes: Sequence[int], order: Array | None) -> None:
        self.T, self.sizes, self.order = T, sizes, order
        self.B, self.N = sizes[0], sum(sizes)
        self.shape = (T, self.B) if order is None else (self.N,)
        """Of the kernel's rows."""

    @classmethod
    def of(cls, T: int, lengths: Array) -> "BatchLayout":
        """BatchLayout of these ``lengths`` [B], in any order."""
        order = np.argsort(-lengths, kind="stable")
        sizes: list[int] = (lengths > np.arange(lengths.max())[:, None]).sum(axis=1).tolist()
        return cls(T, sizes, order)

    @cached_property
    def lengths(self) -> Array:
        """[B], longest first."""
        return (np.asarray(self.sizes) > np.arange(self.B)[:, None]).sum(axis=1)

    @cached_property
    def _index(self) -> tuple[Array, Array, Array, Array]:
        """Of each row its step, its sequence and its place in reversed time; of each sequence, in
        the kernel's order, the place of its last row."""
        assert self.order is not None
        sizes, lengths = np.asarray(self.sizes), self.lengths
        starts = np.cumsum(sizes) - sizes
        step = np.repeat(np.arange(len(sizes)), sizes)
        rank = np.arange(len(step)) - starts[step]
        flip = starts[lengths[rank] - 1 - step] + rank
        return step, self.order[rank], flip, starts[lengths - 1] + np.arange(self.B)

    def pack(self, padded: Array) -> Array:
        """The kernel's rows of ``padded`` [T, B, ...]: a copy, or ``padded`` itself."""
        if self.order is None:
            return padded
        step, sequence, *_ = self._index
        return padded[step, sequence]

    def unpack(self, rows: Array, batch_first: bool, filled: float = 0.0) -> Array:
        """A new array [T, B, ...] or, ``batch_first``, [B, T, ...], ``filled`` in the padding."""
        if self.order is None:
            return (rows.swapaxes(0, 1) if batch_first else rows).copy()
        shape = (self.B, self.T) if batch_first else (self.T, self.B)
        padded = np.full((*shape, *rows.shape[1:]), filled, rows.dtype)
        step, sequence, *_ = self._index
        (padded.swapaxes(0, 1) if batch_first else padded)[step, sequence] = rows
        return padded

    def reverse(self, rows: Array) -> Array:
        """The rows of each sequence in reversed time."""
        return rows[::-1] if self.order is None else rows[self._index[2]]

    def last(self, rows: Array) -> Array:
        """[B, ...], of each sequence the last row, in the caller's order."""
        if self.order is None:
            return rows[-1]
        return self.restore(rows[self._index[3]])

    def sort(self, values: Array) -> Array:
        """``values`` [B, ...] of the caller's order in the kernel's."""
        return values if self.order is None else values[self.order]

    def restore(self, values: Array) -> Array:
        """``values`` [B, ...] of the kernel's order in the caller's."""
        if self.order is None:
            return values
        restored = np.empty_like(values)
        restored[self.order] = values
        return restored

    def steps(self, rows: Array) -> Sequence[Array] | Array:
        """The rows of each step."""
        return rows if self.order is None else _kernel.steps(rows, self.sizes)
