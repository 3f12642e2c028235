"""The catalogue of faults: every name that the gate can give, and its twins."""

from parity_tests.diagnosis.faults import (
    named_forward,
    named_gradients,
    named_slope,
    named_stack,
    named_time,
    twins_calls,
)
from parity_tests.diagnosis.faults.faulty_loop import Fault, Twin

FAULTS: tuple[Fault, ...] = (
    *named_slope.FAULTS,
    *named_time.FAULTS,
    *named_gradients.FAULTS,
    *named_forward.FAULTS,
    *twins_calls.FAULTS,
    *named_stack.FAULTS,
)
"""In the order in which they are preferred where several fit."""


def of_kind(kind: str) -> list[tuple[Fault, type[Twin]]]:
    """The faults that a kind of layer can have, with each of their twins."""
    return [(fault, twin) for fault in FAULTS if kind in fault.kinds for twin in fault.twins]
