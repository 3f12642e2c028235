"""``python -m parity_tests.speed``: a training step of ``TimeRNN`` against ``torch.nn.RNN``'s.

Forward and backward in float32, the two in turn in one process, with one thread and with two: the
median of each, and of their ratios round by round. Then the memory that one step takes at its peak.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from parity_tests._case import Case
from parity_tests._inputs import Call, calls_of
from rnn_np import TimeRNN

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


def numpy_step(call: Call) -> Callable[[], object]:
    """A training step of our layer."""
    layer, dhs = TimeRNN(call.Wx, call.Wh, call.b), call.dhs
    assert dhs is not None

    def step() -> object:
        return layer.forward(call.xs), layer.backward(dhs)

    return step


def torch_step(call: Call) -> Callable[[], object]:
    """The same step of torch's, gradients of the input and of every parameter included."""
    rnn = torch.nn.RNN(*call.Wx.shape, batch_first=True)
    xs, dhs = torch.tensor(call.xs, requires_grad=True), torch.tensor(call.dhs)

    def step() -> object:
        xs.grad = None
        rnn.zero_grad(set_to_none=True)
        output, _ = rnn(xs)
        output.backward(dhs)
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
    parser = argparse.ArgumentParser(prog="python -m parity_tests.speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of both in turn (default 7)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each in a round (default 0.3)")
    options = parser.parse_args()
    console = Console(width=100)
    console.print(f"numpy {np.__version__}, torch {torch.__version__}, float32, milliseconds a step")
    table = Table("B, T, D, H", "threads", "rnn_np", "torch", "rnn_np / torch", box=None)
    memory = Table("B, T, D, H", "peak, MB", "2BTD + 3BTH + 6BH, MB", "peak / (1.1 x that + 1 MB)", box=None)
    for B, T, D, H in SHAPES:
        (call,) = calls_of(Case(B=B, T=T, D=D, H=H, dtype="f32", gain=0.5))
        ours, theirs = numpy_step(call), torch_step(call)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with threadpool_limits(threads):
                ours(), theirs()
                pairs = [
                    (timed(ours, options.seconds), timed(theirs, options.seconds))
                    for _ in range(options.rounds)
                ]
            fast, slow, ratio = (
                median(values) for values in (*zip(*pairs, strict=True), [a / b for a, b in pairs])
            )
            table.add_row(f"{B}, {T}, {D}, {H}", str(threads), f"{fast:.3f}", f"{slow:.3f}", f"{ratio:.2f}")
        used, formula = peak(ours), 4 * (2 * B * T * D + 3 * B * T * H + 6 * B * H)
        memory.add_row(
            f"{B}, {T}, {D}, {H}",
            f"{used / 1e6:.2f}",
            f"{formula / 1e6:.2f}",
            f"{used / (1.1 * formula + 1e6):.2f}",
        )
    console.print(table)
    console.print(memory)


if __name__ == "__main__":
    main()
