"""The catalogue of faults: every name that the gate can give, and its twins."""

from parity_tests import (
    _twins_calls,
    _twins_forward,
    _twins_gradients,
    _twins_slope,
    _twins_stack,
    _twins_time,
)
from parity_tests._twins import Fault, Twin

FAULTS: tuple[Fault, ...] = (
    *_twins_slope.FAULTS,
    *_twins_time.FAULTS,
    *_twins_gradients.FAULTS,
    *_twins_forward.FAULTS,
    *_twins_calls.FAULTS,
    *_twins_stack.FAULTS,
)
"""In the order in which they are preferred where several fit."""


def of_kind(kind: str) -> list[tuple[Fault, type[Twin]]]:
    """The faults that a kind of layer can have, with each of their twins."""
    return [(fault, twin) for fault in FAULTS if kind in fault.kinds for twin in fault.twins]
