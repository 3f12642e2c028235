"""``python -m parity_tests.tools.speed``: a training step of our layers against ``torch.nn.RNN``'s.

``TimeRNN``, and ``rnn_np.nn.RNN`` with 1 and 2 layers, in both directions, and with unequal lengths
(torch's side packs and pads). Forward and backward in float32, the gradients of the input and of
every parameter included, the two in turn in one process, with one thread and with two: the median of
each, and of their ratios round by round. Then the memory that a step of ``TimeRNN`` takes at its peak.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from rnn_np import TimeRNN, nn

Array = np.ndarray[Any, np.dtype[np.float32]]

SHAPES = (
    (1, 16, 8, 8),
    (4, 32, 16, 32),
    (16, 64, 32, 64),
    (32, 100, 64, 128),
    (32, 100, 128, 256),
    (64, 200, 256, 256),
    (32, 50, 512, 512),
    (128, 50, 512, 1024),
)
"""B, T, D, H."""

LAYERS: dict[str, dict[str, Any]] = {
    "TimeRNN": {"batch_first": True},
    "nn.RNN, 1 layer": {},
    "nn.RNN, 2 layers": {"num_layers": 2},
    "nn.RNN, bidirectional": {"bidirectional": True},
    "nn.RNN, unequal lengths": {},
}
"""The options of torch's layer."""


def steps(name: str, B: int, T: int, D: int, H: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A training step of our layer and the same of torch's."""
    theirs = torch.nn.RNN(D, H, **LAYERS[name])
    weights, rng = theirs.state_dict(), np.random.default_rng(0)
    outputs = 2 * H if theirs.bidirectional else H
    xs, d_output = (
        rng.uniform(-1, 1, (B, T, size) if theirs.batch_first else (T, B, size)).astype(np.float32)
        for size in (D, outputs)
    )
    lengths = rng.integers(1, T + 1, B).tolist() if "lengths" in name else None
    torchs = torch_step(theirs, xs, d_output, lengths)
    if name == "TimeRNN":
        layer = TimeRNN.from_torch(weights)
        return lambda: (layer.forward(xs), layer.backward(d_output)), torchs
    rnn = nn.RNN(D, H, **LAYERS[name])
    rnn.load_state_dict(weights)
    return lambda: (rnn(xs, lengths=lengths), rnn.backward(d_output)), torchs


def torch_step(
    rnn: torch.nn.RNN, input_array: Array, gradient: Array, lengths: list[int] | None
) -> Callable[[], object]:
    """Torch's step; ``lengths``: packed before and padded after."""
    utils = torch.nn.utils.rnn
    xs, upstream = torch.tensor(input_array, requires_grad=True), torch.tensor(gradient)

    def step() -> object:
        xs.grad = None
        rnn.zero_grad(set_to_none=True)
        if lengths is None:
            output, _ = rnn(xs)
        else:
            packed, _ = rnn(utils.pack_padded_sequence(xs, lengths, enforce_sorted=False))
            output, _ = utils.pad_packed_sequence(packed, total_length=len(xs))
        output.backward(upstream)
        return xs.grad

    return step


def timed(step: Callable[[], object], seconds: float) -> float:
    """Milliseconds a step takes, as the best of what fits into ``seconds``."""
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        step()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best * 1e3


def peak(step: Callable[[], object]) -> int:
    """Bytes that a step holds at its peak beyond what was there, its results included."""
    step()
    tracemalloc.start()
    try:
        results = step()
        del results
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(prog="python -m parity_tests.tools.speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of both in turn (default 7)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each in a round (default 0.3)")
    options = parser.parse_args()
    console = Console(width=100)
    console.print(f"numpy {np.__version__}, torch {torch.__version__}, float32, milliseconds a step")
    table = Table("B, T, D, H", "layer", "threads", "rnn_np", "torch", "rnn_np / torch", box=None)
    memory = Table("B, T, D, H", "peak, MB", "2BTD + 3BTH + 6BH, MB", "peak / (1.1 x that + 1 MB)", box=None)
    for shape in SHAPES:
        sizes = ", ".join(map(str, shape))
        for name in LAYERS:
            ours, theirs = steps(name, *shape)
            for threads in (1, 2):
                torch.set_num_threads(threads)
                with threadpool_limits(threads):
                    ours(), theirs()
                    pairs = [
                        (timed(ours, options.seconds), timed(theirs, options.seconds))
                        for _ in range(options.rounds)
                    ]
                fast, slow = map(median, zip(*pairs, strict=True))
                ratio = median(a / b for a, b in pairs)
                table.add_row(sizes, name, str(threads), f"{fast:.3f}", f"{slow:.3f}", f"{ratio:.2f}")
        B, T, D, H = shape
        used, formula = peak(steps("TimeRNN", *shape)[0]), 4 * (2 * B * T * D + 3 * B * T * H + 6 * B * H)
        memory.add_row(
            sizes, f"{used / 1e6:.2f}", f"{formula / 1e6:.2f}", f"{used / (1.1 * formula + 1e6):.2f}"
        )
    console.print(table)
    console.print(memory)


if __name__ == "__main__":
    main()
