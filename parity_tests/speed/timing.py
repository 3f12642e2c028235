"""Times of several functions in turn, so that what else the machine does slows all of them."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np

BLOCK_SECONDS = 0.02
"""A function is called for so long, once at least, before it is the next one's turn: after the first calls of a turn
the processor has its code and data at hand, as in a training loop."""
MOST_SECONDS, LEAST_ROUNDS = 30.0, 5
"""After so long no further round begins, if there were so many."""
PRODUCT_SIZE = 512


class Spread(NamedTuple):
    """The median and the quartiles of some numbers."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        """From the numbers; of one, all three are that number."""
        if len(numbers) == 1:
            return cls(numbers[0], numbers[0], numbers[0])
        low, _, high = quantiles(numbers, n=4, method="inclusive")
        return cls(median(numbers), low, high)


def in_turn(functions: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Return the seconds that a call of each function takes in each round; there may be fewer than ``rounds``.

    Each has been called once before: compilers and caches are warm.
    """
    counts = []
    for function in functions:
        start = time.perf_counter()
        function()
        counts.append(max(1, int(BLOCK_SECONDS / (time.perf_counter() - start))))
    times: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + MOST_SECONDS
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        for function, count, found in zip(functions, counts, times, strict=True):
            if count > 1:
                function()
            start = time.perf_counter()
            for _ in range(count):
                function()
            found.append((time.perf_counter() - start) / count)
    return times


class Product:
    """A product of two large matrices in NumPy, as fast as the processor computes."""

    def __init__(self, dtype: str) -> None:
        self._matrix = np.ones((PRODUCT_SIZE, PRODUCT_SIZE), dtype)
        self._out = np.empty_like(self._matrix)
        self.operations = 2.0 * PRODUCT_SIZE**3

    def run(self) -> None:
        """Compute it once."""
        np.matmul(self._matrix, self._matrix, out=self._out)


def peak_memory(function: Callable[[], Any]) -> int:
    """Bytes that a call holds at its peak beyond what was there, its results included."""
    tracemalloc.start()
    try:
        results = function()
        del results
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
