"""Layers and directions without a backward: no tape, and outputs that overwrite their inputs."""

from collections.abc import Sequence
from typing import Any

from rnn_np import _kernel
from rnn_np._kernel import Array
from rnn_np.nn._sequence_format import SequenceFormat


def forward_only(
    fmt: SequenceFormat,
    x: Array,
    cells: Sequence[Any],
    directions: int,
    masks: Sequence[Array],
    scale: float,
    h_n: Array,
) -> Array:
    """Run all layers, fill ``h_n``, and return the last layer's outputs in memory of their own.

    Args:
        fmt: the format of the call.
        x: the kernel's rows of the input; they are not changed.
        cells: for each direction of each layer a tuple of what ``_kernel.forward`` takes after ``sizes``.
        directions: 1 or 2.
        masks: those of dropout, one for each layer but the last, or none.
        scale: the factor of the outputs that dropout keeps.
        h_n: [num_layers * directions, B, H], the last states.
    """
    layout, H = fmt.layout, h_n.shape[-1]

    def run(cell: int, x: Array, outputs: Array, backwards: bool) -> None:
        # Of equal lengths the reverse is a view, so that the states are written into ``outputs`` itself.
        states = layout.reverse(outputs) if backwards else outputs
        _kernel.forward_only(layout.reverse(x) if backwards else x, states, layout.sizes, *cells[cell])
        h_n[cell] = layout.last(states)
        if backwards and layout.order is not None:
            outputs[...] = layout.reverse(states)

    for first in range(0, len(cells), directions):
        # One direction can overwrite its input; of two, the second still needs it.
        if first == 0 or directions == 2:
            y = fmt.empty(directions * H, h_n.dtype)
        for direction in range(directions):
            run(first + direction, x, y[..., direction * H : (direction + 1) * H], direction == 1)
        layer = first // directions
        if layer < len(masks):
            y *= layout.pack(masks[layer])
            y *= scale
        x = y
    return x
