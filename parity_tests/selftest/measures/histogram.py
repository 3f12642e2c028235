"""Histograms of error over allowed, whose size does not grow with what they count."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from parity_tests.cases.arrays import Array

PER_OCTAVE = 32
"""Bins in an octave: a quantile is at most 2.2 % too large."""
LOWEST, HIGHEST = -64 * PER_OCTAVE, 16 * PER_OCTAVE
"""The numbers of the first bin, which also holds 0, and of the last."""


@dataclass(slots=True)
class Histogram:
    """How often each ratio was seen, and the largest.

    Attributes:
        counts: by the number of the bin.
        largest: the largest ratio.
        case: the token of the case with the largest.
    """

    counts: Counter[int] = field(default_factory=Counter)
    largest: float = 0.0
    case: str = ""

    def add(self, ratios: Array, largest: float, case: str) -> None:
        """Count ratios of a case, of which ``largest`` is the largest.

        Args:
            ratios: of any shape, finite and not negative.
            largest: the largest of all that are meant, also where it is not finite.
            case: its token.
        """
        with np.errstate(divide="ignore"):
            bins = np.floor(np.log2(ratios.reshape(-1)) * PER_OCTAVE)
        numbers, counts = np.unique(np.clip(bins, LOWEST, HIGHEST), return_counts=True)
        self.counts.update(dict(zip(map(int, numbers), map(int, counts), strict=True)))
        if largest > self.largest or not self.case:
            self.largest, self.case = largest, case

    def merge(self, other: "Histogram") -> None:
        """Count what another histogram has counted."""
        self.counts.update(other.counts)
        if other.largest > self.largest or not self.case:
            self.largest, self.case = other.largest, other.case

    @property
    def total(self) -> int:
        """How many ratios were counted."""
        return self.counts.total()

    def quantile(self, share: float) -> float:
        """The end of the bin that this share of the ratios does not exceed; at most the largest ratio.

        Example:
            >>> found = Histogram()
            >>> found.add(np.array([0.0, 0.1, 0.2, 0.4]), 0.4, "B1T1D1H1-f64-s0")
            >>> [round(found.quantile(share), 2) for share in (0.25, 0.5, 1.0)]
            [0.0, 0.1, 0.4]
        """
        seen = 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= share * self.total:
                end = 0.0 if number == LOWEST else 2.0 ** ((number + 1) / PER_OCTAVE)
                return min(end, self.largest)
        return self.largest

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        counts = {str(number): count for number, count in sorted(self.counts.items())}
        return {"counts": counts, "largest": self.largest, "case": self.case}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The histogram that ``to_json`` came from."""
        counts = Counter({int(number): count for number, count in data["counts"].items()})
        return cls(counts, data["largest"], data["case"])


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """What all of the histograms counted together."""
    result = Histogram()
    for histogram in histograms:
        result.merge(histogram)
    return result
