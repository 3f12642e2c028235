"""Shrinking: to the smallest case that still fails, and no longer than it may."""

import hashlib
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws and shrinks cases")

from hypothesis import configuration

from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case, shrink


def test_a_seed_gives_the_same_cases_with_every_hypothesis() -> None:
    """With those that the extra allows; in older ones a draw takes other bytes."""
    tokens = "".join(str(draw_case(0, number)) for number in range(100))
    assert hashlib.sha256(tokens.encode()).hexdigest()[:16] == "65b7bac13f9dd67d"


def fails(case: Case) -> bool:
    return case.T >= 3 and case.H >= 2 and case.dtype == "f32" and case.calls in ("again", "reset")


def first_failing(seed: int) -> int:
    return next(number for number in range(1000) if fails(draw_case(seed, number)))


@pytest.mark.parametrize("seed", range(5))
def test_a_failure_shrinks_to_what_it_needs(seed: int) -> None:
    smallest = shrink(seed, first_failing(seed), fails, time.monotonic() + 60)
    assert str(smallest) == "B1T3D1H2-f32-again-s0"


def test_after_the_deadline_no_case_is_tried() -> None:
    tried = []

    def count(case: Case) -> bool:
        tried.append(case)
        return fails(case)

    number = first_failing(1)
    assert shrink(1, number, count, time.monotonic() - 1) == draw_case(1, number)
    assert tried == []


def test_a_failure_that_comes_and_goes_still_ends_in_a_case_that_failed() -> None:
    number = first_failing(2)
    seen: list[Case] = []

    def fickle(case: Case) -> bool:
        seen.append(case)
        return fails(case) and len(seen) % 3 != 0

    assert fails(shrink(2, number, fickle, time.monotonic() + 60))


def test_shrinking_writes_no_file_and_leaves_hypothesis_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hypothesis keeps the constants of a module of the user's in a file, once for each module.
    module = types.ModuleType("parity_tests_module_of_the_user")
    module.__file__ = str(tmp_path / "mine.py")
    Path(module.__file__).write_text("NUMBER = 12345\n", "utf-8")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    home = tmp_path / "hypothesis"
    configuration.set_hypothesis_home_dir(home)
    try:
        shrink(3, 0, lambda case: True, time.monotonic() - 1)
        after: Any = configuration.storage_directory("any", intent_to_write=False)
    finally:
        configuration.set_hypothesis_home_dir(None)
    assert not home.exists()
    assert getattr(after, "path", after).parent == home
