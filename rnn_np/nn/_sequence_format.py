"""How the sequences of a call are given: padded or packed, batched or not."""

from typing import Any, NamedTuple

import numpy as np

from rnn_np._kernel import Array
from rnn_np._validation import check_input
from rnn_np.nn._batch_layout import BatchLayout
from rnn_np.nn.utils.rnn import PackedSequence, check_packed


class SequenceFormat(NamedTuple):
    """How a call's sequences are given, and those of its results and its backward."""

    rows: BatchLayout
    axes: str
    """Of padded sequences: "T B", "B T" or, unbatched, "T"."""
    packed: tuple[Array | None, ...] | None = None
    """Of packed ones: all fields but the data."""

    def check(self, name: str, value: object, width: str, size: int, dtype: np.dtype[Any]) -> Array:
        """Return the kernel's rows of ``value``, of ``size`` columns, if it has this form."""
        rows = self.rows
        if self.packed is not None:
            data, *fields = check_packed(name, value)
            for field, ours, theirs in zip(PackedSequence._fields[1:], self.packed, fields, strict=True):
                if not np.array_equal(ours, theirs):  # type: ignore[arg-type]
                    raise ValueError(f"{name}.{field}: expected {ours}, as in the input, got {theirs}")
            data = check_input(f"{name}.data", data, f"N {width}", {width: size}, dtype)
            return data.reshape(*rows.shape, size)
        sizes = {"T": rows.T, "B": rows.B, width: size}
        padded = check_input(name, value, f"{self.axes} {width}", sizes, dtype)
        return rows.pack(_time_major(padded, self.axes))

    def check_states(self, name: str, value: object, S: int, H: int, dtype: np.dtype[Any]) -> Array:
        """Return ``value`` as [S, B, H], S = num_layers * directions, if it has this form."""
        sizes = {"num_layers*directions": S, "B": self.rows.B, "H": H}
        axes = "num_layers*directions H" if self.axes == "T" else "num_layers*directions B H"
        states = check_input(name, value, axes, sizes, dtype)
        return states.reshape(S, self.rows.B, H)

    def to_caller(self, rows: Array) -> Array | PackedSequence:
        """New arrays of this form from the kernel's ``rows``."""
        if self.packed is not None:
            data = rows.copy().reshape(self.rows.N, rows.shape[-1])
            return PackedSequence(data, *(None if field is None else field.copy() for field in self.packed))  # type: ignore[arg-type]
        padded = self.rows.unpack(rows, self.axes == "B T")
        return padded[:, 0] if self.axes == "T" else padded


def _time_major(padded: Array, axes: str) -> Array:
    if axes == "T":
        return padded[:, None]
    return padded.swapaxes(0, 1) if axes == "B T" else padded
