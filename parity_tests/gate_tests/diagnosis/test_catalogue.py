"""Every fault of the catalogue is caught; what each is called is seen by ``selftest/test_faults.py``."""

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws and shrinks cases")

from parity_tests.selftest.catalogue_run import every_fault, first_shown, tried


@pytest.mark.parametrize(("name", "check"), [pytest.param(*fault, id=fault[0]) for fault in every_fault()])
def test_every_fault_is_caught(name: str, check: str) -> None:
    assert tried(name, check).caught if check else first_shown(name)
