"""Right code of many conventions is EQUAL through its generated adapter; no fault changes an adapter silently."""

import re
from pathlib import Path

import pytest

from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.program import MOST_LINES
from parity_tests.gate_tests.adapt.convention import Convention
from parity_tests.gate_tests.adapt.convention_list import CONVENTIONS
from parity_tests.gate_tests.adapt.reading import code_of, read, read_file

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's, and those of code that is tried

SLOW = ("steps/from_nothing", "functions/cell_and_loop", "torch_like/function_step", "losses/words_no_bias")
"""Right code of these is read in the longer proofs; each kind that they show is shown by others too."""
QUICK = {
    "layers/time_major": 1, "layers/lazy_no_bias": 1, "layers/volumes": 2,
    "functions/globals_columns": 2, "losses/last_output": 2, "stacks/stack_of_cells": 2,
}  # fmt: skip
"""Conventions that are read quickly, with a fault or without: every how many-th fault is put in, 40 in all."""


def right_of(convention: Convention) -> Outcome:
    if "torch_like" in convention.path:
        pytest.importorskip("torch")
    return read_file(convention.file, convention.name)


@pytest.mark.parametrize(
    "convention",
    [
        pytest.param(each, marks=[pytest.mark.proof] if each.path.startswith(SLOW) else [], id=each.path)
        for each in CONVENTIONS
    ],
)
def test_right_code_is_equal_through_its_adapter(convention: Convention) -> None:
    outcome = right_of(convention)
    assert outcome.refusal == ""
    assert outcome.unequal == ()
    assert {"h_n", "dWx", "dWh"} <= {*outcome.equal} or {"h_n", "dweight_ih"} <= {*outcome.equal}
    assert outcome.assumed == ()
    lines = [line for line in outcome.text.splitlines() if not line.startswith("#")]
    assert len(lines) <= MOST_LINES


@pytest.mark.parametrize(
    "convention", [each for each in CONVENTIONS if "stacks" in each.path], ids=lambda each: each.path
)
def test_a_stack_and_two_directions_are_read_as_a_whole(convention: Convention) -> None:
    outcome = right_of(convention)
    assert re.search(r"bidirectional=True|num_layers=", outcome.text)
    assert {"hs", "h_n", "dx", "dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh"} <= {*outcome.equal}


def silent_changes(convention: Convention, chosen: slice, folder: Path) -> list[str]:
    """The faults that change the adapter without a printed assumption, or a nonlinearity told as what may be one."""
    right = code_of(right_of(convention))
    assert right
    changed = []
    for fault, source in list(convention.faulty())[chosen]:
        outcome = read(source, convention.name, folder)
        is_told = outcome.assumed or any("if tanh is meant" in line for line in outcome.reading)
        if outcome.text and code_of(outcome) != right and not is_told:
            changed.append(fault)
    return changed


@pytest.mark.parametrize("path", QUICK)
def test_a_fault_does_not_change_the_adapter_silently(path: str, tmp_path: Path) -> None:
    (convention,) = (each for each in CONVENTIONS if each.path == f"{path}.py")
    assert silent_changes(convention, slice(0, None, QUICK[path]), tmp_path) == []


@pytest.mark.proof
@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.path)
def test_no_fault_changes_the_adapter_silently(convention: Convention, tmp_path: Path) -> None:
    """All faults of all conventions: `pytest -m proof parity_tests/gate_tests/adapt`."""
    assert silent_changes(convention, slice(None), tmp_path) == []
