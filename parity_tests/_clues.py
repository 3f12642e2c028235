"""Clues: what is true of a subject's numbers in all cases tried, where no fault has its name."""

from collections.abc import Callable, Sequence

import numpy as np

from parity_tests._case import Case
from parity_tests._evidence import Ask, Sample, take

Selects = Callable[[set[tuple[str, str]]], set[tuple[str, str]]]


def direct(samples: Sequence[Sample]) -> list[tuple[str | None, str, Selects]]:
    """What types, shapes, dtypes and exceptions say by themselves."""
    return []


def clues(samples: Sequence[Sample], ask: Ask, allow: Callable[[Case], bool]) -> tuple[str | None, str]:
    """The name of a fault that the numbers show without a twin, and what they say."""
    wrong = min((sample for sample in samples if sample.all_wrong), key=lambda sample: sample.case.size)
    again = take(wrong.case, ask)
    for first, second in zip(wrong.got, again.got, strict=False):
        for name in first:
            if name in second and not np.array_equal(first[name], second[name], equal_nan=True):
                return (
                    "random numbers",
                    "The same case gives other numbers each time: look for random numbers.",
                )
    return None, ""
