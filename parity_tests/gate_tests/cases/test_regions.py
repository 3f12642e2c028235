"""The default run draws every region that the gate's document names, and often enough."""

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws cases")

from parity_tests.cases.case import Case
from parity_tests.gate_tests.cases.regions import (
    counted,
    default_cases,
    is_chaotic,
    is_large_alone,
    is_large_together,
)


def test_every_region_has_as_many_cases_as_it_must() -> None:
    few = {
        f"{region.group}, {region.name}": number
        for region, number in counted().items()
        if number < region.least
    }
    assert few == {}
    assert {region.least for region in counted()} == {8, 10}


def test_few_cases_are_of_whole_numbers_and_enough_are_chaotic() -> None:
    cases = default_cases()
    tanh = [case for case in cases if case.nonlinearity == "tanh"]
    assert sum(map(is_chaotic, tanh)) >= 0.05 * len(tanh)
    assert sum(case.integer for case in cases) <= 0.25 * len(cases)


@pytest.mark.parametrize(
    ("token", "alone", "together"),
    [
        ("B33T300D128H128-f64-s0", ["B"], False),
        ("B32T301D1H1-f64-s0", ["T"], False),
        ("B33T301D1H1-f64-s0", [], False),
        ("cell-B1D129H1-f64-s0", ["D"], False),
        ("B1T1D1H1024-f64-s0", ["H"], False),
        ("B16T80D1H52-f64-s0", [], True),
        ("B16T86D1H48-f64-s0", [], True),
        ("B16T90D1H47-f64-s0", [], False),
        ("B16T80D1H48-f64-s0", [], False),
        ("B32T300D1H55-f64-s0", [], False),
        ("B15T80D1H99-f64-s0", [], False),
    ],
)
def test_a_region_has_the_cases_that_it_says(token: str, alone: list[str], together: bool) -> None:
    case = Case.parse(token)
    assert [size for size in "BTDH" if is_large_alone(size, case)] == alone
    assert is_large_together(case) is together
