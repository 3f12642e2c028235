"""The plot of ``rnn-parity speed``: time over size, each of T, B, D and H doubled over a decade."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parity_tests.speed.measure import Row
from parity_tests.speed.problem import Problem, Shape

AXES = "TBDH"
FACTORS = (1, 2, 4, 8, 16)
SUFFIXES = (".png", ".svg", ".pdf")


def swept(base: Shape, axis: str) -> list[Shape]:
    """The shapes in which one size of ``base`` grows."""
    return [base._replace(**{axis: getattr(base, axis) * factor}) for factor in FACTORS]


def draw(rows: Sequence[Row], base: Shape, dtype: str, title: str, file: Path) -> None:
    """Draw the time of a training step, and its cost for each multiplication, over every size.

    Args:
        rows: of all shapes of ``swept``.
        base: the shape that they start from.
        dtype: of the numbers.
        title: says what was measured on which machine.
        file: to write, in the format of its suffix.
    """
    from matplotlib.figure import Figure

    by_shape = {row.shape: row for row in rows}
    figure = Figure(figsize=(14, 7), layout="constrained")
    panels: Any = figure.subplots(2, len(AXES), sharey="row")
    for column, axis in enumerate(AXES):
        shapes = swept(base, axis)
        sizes = [getattr(shape, axis) for shape in shapes]
        for name in by_shape[base].milliseconds:
            found = [by_shape[shape].milliseconds.get(name) for shape in shapes]
            times = [spread.median if spread else float("nan") for spread in found]
            costs = [
                2e9 * ms / Problem("TimeRNN", shape, dtype).operations(training=True)
                for ms, shape in zip(times, shapes, strict=True)
            ]
            style = {"marker": "o", "linewidth": 2.5 if name == "rnn_np" else 1.2, "label": name}
            panels[0, column].plot(sizes, times, **style)
            panels[1, column].plot(sizes, costs, **style)
        for panel in panels[:, column]:
            panel.set(xscale="log", yscale="log", xlabel=axis, xticks=sizes, xticklabels=map(str, sizes))
            panel.minorticks_off()
            panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("training step, ms")
    panels[1, 0].set_ylabel("cost of a multiply-add, ps")
    panels[0, 0].legend()
    figure.suptitle(title)
    figure.savefig(file)
