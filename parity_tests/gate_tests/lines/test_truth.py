"""The truth about the lines: it is found in the source, and it is complete."""

import sys

import pytest

from parity_tests.gate_tests.lines.places import At, line_of
from parity_tests.gate_tests.lines.truth import (
    CONSISTENT,
    LATER_CALLS,
    LINES,
    SKIPPED,
    consistent_lines_of,
    lines_of,
    targets,
)


@pytest.mark.parametrize("name", LINES)
def test_every_line_is_in_the_source_once(name: str) -> None:
    assert [len(fault) for fault in LINES[name]] == [len(lines) for lines in lines_of(name)]
    assert all(LINES[name])


@pytest.mark.parametrize("name", CONSISTENT)
def test_a_line_that_is_consistent_with_the_fault_is_in_the_source_and_not_the_fault(name: str) -> None:
    lines = consistent_lines_of(name)
    assert len(lines) == len(CONSISTENT[name])
    assert not lines & set().union(*lines_of(name))


def test_every_faulty_layer_has_its_lines_or_the_reason_why_not() -> None:
    assert not LINES.keys() & SKIPPED.keys()
    assert LINES.keys() | SKIPPED.keys() == targets().keys()
    assert CONSISTENT.keys() <= LINES.keys()


def test_there_are_as_many_faults_as_the_layer_has() -> None:
    assert {name: len(faults) for name, faults in LINES.items()} == {
        name: number for name, (_, number) in targets().items() if name in LINES
    }
    assert all(number < len(LINES[name]) for name, numbers in LATER_CALLS.items() for number in numbers)


def twice(x: int) -> int:
    if x:
        return x
    return x


def test_a_text_that_stands_twice_needs_its_number() -> None:
    here = sys.modules[__name__]
    with pytest.raises(LookupError, match="2 times"):
        line_of(At("twice", "return x"), here)
    with pytest.raises(LookupError, match="0 times"):
        line_of(At("twice", "return y"), here)
    first = twice.__code__.co_firstlineno
    assert [line_of(At("twice", "return x", n), here)[1] - first for n in (0, 1)] == [2, 3]
