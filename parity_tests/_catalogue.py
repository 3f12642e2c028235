"""The catalogue of faults: every name that the gate can give, and its twins."""

from parity_tests import (
    _named_forward,
    _named_gradients,
    _named_slope,
    _named_stack,
    _named_time,
    _twins_calls,
)
from parity_tests._twins import Fault, Twin

FAULTS: tuple[Fault, ...] = (
    *_named_slope.FAULTS,
    *_named_time.FAULTS,
    *_named_gradients.FAULTS,
    *_named_forward.FAULTS,
    *_twins_calls.FAULTS,
    *_named_stack.FAULTS,
)
"""In the order in which they are preferred where several fit."""


def of_kind(kind: str) -> list[tuple[Fault, type[Twin]]]:
    """The faults that a kind of layer can have, with each of their twins."""
    return [(fault, twin) for fault in FAULTS if kind in fault.kinds for twin in fault.twins]
