"""The command ``rnn-parity speed``: its options, and what it prints."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from parity_tests.speed.peers import PEERS
from parity_tests.speed.plot import SUFFIXES
from parity_tests.speed.problem import LAYERS, PLAIN, Shape, WrongAnswer
from parity_tests.speed.table import measure_all
from parity_tests.speed.timing import LEAST_ROUNDS, MOST_SECONDS
from parity_tests.words import did_you_mean

DESCRIPTION = (
    "Time the layers of rnn_np beside torch.nn.RNN, torch.compile, jax.jit, ONNX Runtime and a plain loop, as far "
    "as they are installed: in turn, in one process, medians of several rounds. Every answer is checked first. "
    "Exit status: 0 measured, 1 a wrong answer, 2 could not measure."
)
DEFAULT_SHAPES = "1x16x8x8,4x32x16x32,16x64x32x64,32x100x64x128,32x100x128x256,64x200x256x256,32x50x512x512,128x50x512x1024"
DEFAULT_ROUNDS = 51
PLOTTED = Shape(16, 32, 32, 64)
"""What the sizes of the plot start from, if no shapes are given."""
MOST_NUMBERS = 2**28
"""Of inputs, states and weights of a shape: 1 GiB in float32."""
MOST_ROUNDS = 10_000
DTYPES = ("float32", "float64")


def run_speed(parser: argparse.ArgumentParser, words: Sequence[str], machine: Mapping[str, str]) -> int:
    """Run the command, and return its exit status.

    Args:
        parser: an empty one, to which the options are added.
        words: the arguments.
        machine: what the table names of the machine and of NumPy.
    """
    options = speed_parser(parser).parse_args(words)
    _check(parser, options)
    options.plotted = options.shapes[0] if options.shapes else PLOTTED
    options.shapes = options.shapes or _shapes(DEFAULT_SHAPES)
    try:
        with fixed_threads(options.threads):
            measure_all(options, machine)
    except WrongAnswer as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def speed_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of the command to a parser."""
    add = parser.add_argument
    add(
        "--shapes",
        type=_shapes,
        metavar="BxTxDxH,...",
        help=f"default: {DEFAULT_SHAPES}",
    )
    add(
        "--layers",
        type=_of(LAYERS),
        default=("TimeRNN",),
        metavar="NAMES",
        help=f"{', '.join(LAYERS)}, or all (default: TimeRNN)",
    )
    peers = tuple(peer.name for peer in PEERS)
    add("--peers", type=_of(peers), default=peers, metavar="NAMES", help=f"{', '.join(peers)} (default: all)")
    add(
        "--threads",
        type=_number(os.cpu_count() or 1),
        default=1,
        metavar="N",
        help="that each may use (default: 1)",
    )
    add("--dtype", choices=DTYPES, default="float32", help="default: float32")
    add(
        "--rounds",
        type=_number(MOST_ROUNDS),
        default=DEFAULT_ROUNDS,
        metavar="N",
        help=f"in turn; a row ends after {MOST_SECONDS:.0f} s and {LEAST_ROUNDS} rounds (default: {DEFAULT_ROUNDS})",
    )
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    add(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also double T, B, D and H of the first shape over a decade, and plot it: .png, .svg or .pdf",
    )
    return parser


def _shapes(text: str) -> tuple[Shape, ...]:
    shapes = []
    for word in text.split(","):
        sizes = word.strip().split("x")
        if len(sizes) != len(Shape._fields) or not all(s.isascii() and s.isdigit() and int(s) for s in sizes):
            raise argparse.ArgumentTypeError(
                f"expected shapes BxTxDxH of whole numbers of at least 1, such as 1x16x8x8,32x100x64x128, got {word!r}"
            )
        shape = Shape(*map(int, sizes))
        B, T, D, H = shape
        if B * T * (D + H) + H * (D + H) > MOST_NUMBERS:
            raise argparse.ArgumentTypeError(
                f"expected at most {MOST_NUMBERS:,} numbers in inputs, states and weights, got {word!r}"
            )
        shapes.append(shape)
    return tuple(dict.fromkeys(shapes))


def _of(names: Sequence[str]) -> Any:
    def read(text: str) -> tuple[str, ...]:
        words = names if text == "all" else tuple(dict.fromkeys(text.split(",")))
        for word in words:
            if word not in names:
                raise argparse.ArgumentTypeError(
                    f"expected some of {', '.join(names)}, or all, got {word!r}{did_you_mean(word, names)}"
                )
        return tuple(words)

    return read


def _number(most: int) -> Any:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {most:,}, got {text!r}")
        return int(text)

    return read


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what would fail after everything has been measured."""
    for name in ("json", "plot"):
        file = getattr(options, name)
        if file is not None and (
            file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK)
        ):
            parser.error(f"argument --{name}: cannot write {file}")
    if options.plot is not None:
        if options.plot.suffix not in SUFFIXES:
            parser.error(
                f"argument --plot: expected a file with {', '.join(SUFFIXES)}, got {str(options.plot)!r}"
            )
        if importlib.util.find_spec("matplotlib") is None:
            parser.error("argument --plot: matplotlib is not installed: pip install 'rnn-np[speed]'")
    if importlib.util.find_spec("torch") is None and set(options.layers) - set(PLAIN):
        parser.error(
            f"argument --layers: {', '.join(name for name in options.layers if name not in PLAIN)}: "
            "torch is not installed, which gives the true answer: pip install 'rnn-np[speed]'"
        )


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Let BLAS and torch use so many threads, and JAX, unless it has been started before."""
    of_jax = {"NPROC": str(threads)}
    if threads == 1:
        of_jax["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    before = {name: os.environ.get(name) for name in of_jax}
    os.environ.update(of_jax)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
