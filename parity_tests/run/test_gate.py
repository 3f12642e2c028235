"""The gate: what is judged against the reference, a batch of cases a test, and against its contract."""

from collections.abc import Callable

import pytest

from parity_tests.report import Report
from parity_tests.run.runner import Run

Record = Callable[[str, object], None]


def test_contract_is_kept(parity_run: Run, parity_check: tuple[str, str], record_property: Record) -> None:
    report = parity_run.until_interrupted(parity_run.judge_check, *parity_check)
    _settle(report, record_property, parity_run)
    _skip_if_interrupted(parity_run)


def test_layers_equal_the_reference(parity_run: Run, parity_batch: int, record_property: Record) -> None:
    report = parity_run.until_interrupted(parity_run.judge_batch, parity_batch)
    _settle(report, record_property, parity_run)
    _skip_if_interrupted(parity_run)
    if report.stopped:
        pytest.skip(f"{report.stopped} cases are left out: a fault has been found")
    if report.given_up:
        pytest.fail("; ".join(report.not_judged), pytrace=False)
    assert report.cases == report.planned


def _skip_if_interrupted(run: Run) -> None:
    if run.interrupted:
        pytest.skip("interrupted")


def _settle(report: Report, record_property: Record, run: Run) -> None:
    record_property("parity", report.to_json())
    if run.interrupted:
        record_property("interrupted", True)
    if report.faults or report.errors:
        first = report.faults[0].message if report.faults else report.errors[0]
        pytest.fail(f"{report.headline}\n{first}", pytrace=False)
