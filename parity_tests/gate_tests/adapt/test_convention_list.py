"""The conventions that are kept back are what their list says."""

from dataclasses import replace

import pytest

from parity_tests.gate_tests.adapt import convention_list
from parity_tests.gate_tests.adapt.convention_list import CONVENTIONS, check


def test_every_fault_can_be_put_in() -> None:
    check()


def test_there_are_25() -> None:
    assert len({convention.path for convention in CONVENTIONS}) == 25


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("not there", "no such text", ""), "occurs 0 times"),
        (("twice", "self", "mine"), "times, expected 1"),
        (("no Python", "import numpy as np", "import"), "no Python"),
    ],
)
def test_an_edit_that_does_not_apply_is_refused(
    edit: tuple[str, str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(CONVENTIONS[0], faults=(edit, *CONVENTIONS[0].faults[1:]))
    monkeypatch.setattr(convention_list, "CONVENTIONS", (broken, *CONVENTIONS[1:]))
    with pytest.raises(ValueError, match=words):
        check()
