"""The gate over its own catalogue of faults: each is put into a layer, and must be caught."""

from collections.abc import Callable
from dataclasses import asdict

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws and shrinks cases")

from parity_tests.selftest.catalogue_run import every_fault, tried

FAULTS = [pytest.param(*fault, id=fault[0]) for fault in every_fault()]


@pytest.mark.parametrize(("name", "check"), FAULTS)
def test_a_fault_is_caught(name: str, check: str, record_property: Callable[[str, object], None]) -> None:
    result = tried(name, check)
    record_property("fault", asdict(result))
    assert result.caught
