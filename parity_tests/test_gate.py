"""The gate: the layers judged against the reference, a batch of cases a test."""

from collections.abc import Callable

import pytest

from parity_tests._plan import Plan


def test_layers_equal_the_reference(
    parity_plan: Plan, parity_batch: int, record_property: Callable[[str, object], None]
) -> None:
    report = parity_plan.judge_cases(parity_plan.cases(parity_batch))
    record_property("parity", report.to_json())
    if report.faults or report.unjudged:
        first = report.faults[0].message if report.faults else report.unjudged[0]
        pytest.fail(
            f"{len(report.failed)} of {report.planned} cases differ, "
            f"{len(report.unjudged)} could not be judged; {first}",
            pytrace=False,
        )
    assert report.cases == report.planned
