"""How the sequences of a call are given: padded or packed, batched or not."""

from typing import Any, NamedTuple

import numpy as np

from rnn_np._kernel import Array
from rnn_np._validation import check_array, check_input, check_lengths, rank
from rnn_np.nn._batch_layout import BatchLayout
from rnn_np.nn.utils.rnn import PackedSequence, check_packed


class SequenceFormat(NamedTuple):
    """The format of a call's input. Its output, and the arrays of its backward, have the same."""

    layout: BatchLayout
    axes: str
    """Of padded sequences, without the last: "T B", "B T" or, unbatched, "T". Of packed ones: ""."""
    packed_fields: tuple[Array | None, ...] | None = None
    """The fields of a PackedSequence, except the data. None: padded."""

    @classmethod
    def of(cls, given: object, lengths: object, batch_first: bool, D: int) -> "SequenceFormat":
        """Return the format of a call's ``input`` and ``lengths``.

        Raises TypeError or ValueError if they do not fit each other or the input size D.
        """
        if isinstance(given, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: expected None, for a PackedSequence has its own, got others")
            _, *fields = packed = check_packed("input", given)
            layout = BatchLayout.of_packed(packed.batch_sizes, packed.sorted_indices)
            return cls(layout, "", tuple(None if field is None else field.copy() for field in fields))
        axes = "T" if rank(given, 3) == 2 else "B T" if batch_first else "T B"
        padded = check_array("input", given, f"{axes} D", {"D": D})
        sizes = dict(zip(axes.split(), padded.shape, strict=False))
        T, B = sizes["T"], sizes.get("B", 1)
        if T == 0:
            raise ValueError(f"input: expected at least one time step, got shape {list(padded.shape)}")
        if lengths is None:
            return cls(BatchLayout.of_equal_lengths(T, B), axes)
        if axes == "T":
            raise ValueError("lengths: expected None for an unbatched input, got lengths")
        ends = check_lengths(lengths, T, B)
        equal = bool((ends == T).all())
        return cls(BatchLayout.of_equal_lengths(T, B) if equal else BatchLayout.of_lengths(T, ends), axes)

    @property
    def unbatched(self) -> bool:
        """Whether the caller's arrays have no batch axis; the kernel's then have B = 1."""
        return self.axes == "T"

    def to_kernel(
        self, name: str, value: object, width: str, size: int, dtype: np.dtype[Any], other_way: str = ""
    ) -> Array:
        """Return the kernel's rows of ``value``, if it has this format, ``size`` columns and ``dtype``.

        They may be the caller's memory. ``width`` is the name of the last axis, and ``other_way`` as for
        ``check_dtype``; both are for messages.
        """
        layout = self.layout
        if self.packed_fields is not None:
            data, *fields = check_packed(name, value)
            for field, ours, theirs in zip(
                PackedSequence._fields[1:], self.packed_fields, fields, strict=True
            ):
                if not np.array_equal(ours, theirs):  # type: ignore[arg-type]
                    raise ValueError(f"{name}.{field}: expected {ours}, as in the input, got {theirs}")
            data = check_input(f"{name}.data", data, f"N {width}", {width: size}, dtype, other_way)
            return data.reshape(*layout.shape, size)
        sizes = {"T": layout.T, "B": layout.B, width: size}
        padded = check_input(name, value, f"{self.axes} {width}", sizes, dtype, other_way)
        if self.axes == "T":
            padded = padded[:, None]
        elif self.axes == "B T":
            padded = padded.swapaxes(0, 1)
        return layout.pack(padded)

    def states_to_kernel(self, name: str, value: object, S: int, H: int, dtype: np.dtype[Any]) -> Array:
        """Return ``value`` as [S, B, H], S = num_layers * directions, if it has this format."""
        sizes = {"num_layers*directions": S, "B": self.layout.B, "H": H}
        axes = "num_layers*directions H" if self.unbatched else "num_layers*directions B H"
        states = check_input(name, value, axes, sizes, dtype)
        return states.reshape(S, self.layout.B, H)

    def empty(self, width: int, dtype: np.dtype[Any]) -> Array:
        """Return new rows of the kernel, if possible in memory that is in this format."""
        layout = self.layout
        if self.axes == "B T" and layout.order is None:
            return np.empty((layout.B, layout.T, width), dtype).swapaxes(0, 1)
        return np.empty((*layout.shape, width), dtype)

    def to_caller(self, rows: Array, own: bool = False) -> Array | PackedSequence:
        """Return the kernel's ``rows`` in this format, as new arrays; they may be ``rows`` if it is ``own``."""
        if self.packed_fields is not None:
            data = (rows if own else rows.copy()).reshape(self.layout.N, rows.shape[-1])
            fields = (None if field is None else field.copy() for field in self.packed_fields)
            return PackedSequence(data, *fields)  # type: ignore[arg-type]
        if own and self.layout.order is None:
            padded = rows.swapaxes(0, 1) if self.axes == "B T" else rows
        else:
            padded = self.layout.unpack(rows, self.axes == "B T")
        return padded[:, 0] if self.unbatched else padded

    def states_to_caller(self, states: Array) -> Array:
        """Return ``states`` [S, B, H] in this format."""
        return states[:, 0] if self.unbatched else states
