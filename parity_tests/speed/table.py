"""All that ``rnn-parity speed`` measures, printed as it is found."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from parity_tests.speed.measure import Row, measured
from parity_tests.speed.peers import PEERS, Peer
from parity_tests.speed.plot import AXES, draw, swept
from parity_tests.speed.problem import PASSES, STEPS, Problem, Shape
from parity_tests.words import counted

HEAD = f"{'B, T, D, H':22}{'':15}{'ms':>10}  {'quartiles':>20}  {'of peak':>7}  {'rnn_np / it':>11}  {'quartiles':>14}"


class Asked(NamedTuple):
    """What a row is about."""

    layer: str
    kind: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.layer}, {self.kind}, {self.shape}"


def measure_all(options: argparse.Namespace, machine: Mapping[str, str]) -> None:
    """Measure what the options of the command ask for; print it, and write the files.

    Raises:
        WrongAnswer: a contender's answer is not the true one.
    """
    wanted = [peer for peer in PEERS if peer.name in options.peers]
    absent = {peer.name: reason for peer in wanted if (reason := peer.missing())}
    peers = [peer for peer in wanted if peer.name not in absent]
    header = {
        **machine,
        "peers": "; ".join(peer.version() for peer in peers) or "none",
        "not measured": "; ".join(f"{name}: {reason}" for name, reason in absent.items()) or "none",
        "threads": str(options.threads),
        "numbers": options.dtype,
        "of peak": "the share of the speed of NumPy's product of two large matrices, in the same rounds",
        "times": f"medians and quartiles of at most {counted(options.rounds, 'round')} in turn, in one process",
    }
    print("\n".join(f"{name}: {text}" for name, text in header.items()))

    asked = [
        Asked(layer, kind, shape)
        for layer in options.layers
        for kind in PASSES
        for shape in dict.fromkeys(s._replace(T=1) if layer in STEPS else s for s in options.shapes)
    ]
    shapes = (
        dict.fromkeys(shape for axis in AXES for shape in swept(options.plotted, axis))
        if options.plot
        else {}
    )
    found = _rows(options, [*asked, *(Asked("TimeRNN", "training", shape) for shape in shapes)], peers)
    rows, title = [], ""
    for one, row in zip(asked, found, strict=False):
        if title != (title := f"{one.layer}, {one.kind}"):
            print(f"\n{title}\n{HEAD}")
        print(text_of(row), flush=True)
        rows.append(row)
    plotted = list(found)
    if options.plot:
        title = f"A training step of TimeRNN from B, T, D, H of {options.plotted}; {options.dtype}, "
        title += counted(options.threads, "thread")
        draw(
            plotted, options.plotted, options.dtype, f"{title}; {machine.get('processor', '')}", options.plot
        )
        print(f"\nplot: {options.plot}")
    if options.json:
        figures = {
            "header": header,
            "threads": options.threads,
            "dtype": options.dtype,
            "rounds": options.rounds,
            "rows": [row.as_json() for row in rows],
            "plot": [row.as_json() for row in plotted],
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
        print(f"\nfigures: {options.json}")


def _rows(options: argparse.Namespace, asked: Sequence[Asked], peers: Sequence[Peer]) -> Iterator[Row]:
    """Measure one row after the other, and show on stderr which one."""
    for number, one in enumerate(asked, 1):
        _progress(f"{number} of {len(asked)}: {one}")
        problem = Problem(one.layer, one.shape, options.dtype)
        beside = [peer for peer in peers if peer.layers is None or one.layer in peer.layers]
        row = measured(problem, one.kind, beside, options.threads, options.rounds)
        _progress("")
        yield row


def text_of(row: Row) -> str:
    """A row of the table: a line for each contender."""
    lines: list[str] = []
    for name, ms in row.milliseconds.items():
        line = f"{'' if lines else str(row.shape):22}{name:15}{ms.median:10.4f}  "
        line += f"{f'{ms.low:.4f} to {ms.high:.4f}':>20}  {row.shares[name]:7.1%}"
        if name in row.ratios:
            ratio = row.ratios[name]
            line += f"  {ratio.median:11.2f}  {f'{ratio.low:.2f} to {ratio.high:.2f}':>14}"
        else:
            line += f"  {row.peak_memory / 1e6:.2f} MB; the product {row.product.median:.0f} GFLOP/s"
        lines.append(line)
    lines += [f"{'':22}{name:15}left out: {reason}" for name, reason in row.left_out.items()]
    return "\n".join(lines)


def _progress(text: str) -> None:
    """Show on stderr what is measured: one line that is rewritten, or in a log a line each."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    elif text:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
