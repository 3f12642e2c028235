"""Systematic errors over a run, and targets that are approximate on purpose."""

from typing import Any

import numpy as np
import pytest

import parity_tests
import rnn_np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.checks.systematic import FEWEST_CASES, systematic_findings
from parity_tests.report import SystematicError, Tally
from parity_tests.selftest.measures import right_layers


class _ScaledGradient(rnn_np.TimeRNN):
    def backward(self, dhs: Array) -> Array:
        dx = super().backward(dhs)
        return np.asarray(dx * dx.dtype.type(1 + 5e-7))


class _RoundedStates(right_layers.TimeRNN):
    def activation(self, z: Array) -> Array:
        return np.asarray(np.round(np.tanh(z) * 0.9994, 3), z.dtype)


class _RoundedAndNotTransposed(_RoundedStates):
    def carry(self, dz: Array) -> Array:
        return dz @ self.params[1]


def tallies(relative: float, cases: int, noise: float = 0.0) -> dict[str, Tally]:
    """Of dx in many cases, off by ``relative`` on average, in units of roundoff."""
    tally = Tally(cases)
    for number in range(cases):
        own = relative + noise * (-1) ** number
        tally.systematic.add(SystematicError.of_case(own * 1e-4, 1e-4, Case(B=1, T=1, D=1, H=1 + number % 9)))
    return {"dx": tally}


def test_a_factor_that_no_case_shows_is_found_over_the_run() -> None:
    pytest.importorskip("torch")
    report = parity_tests.check(_ScaledGradient, cases=60, without="float64")
    assert [finding.what for finding in report.faults] == ["systematic error of dx"]
    assert report.tensors["dx"].worst < 1
    assert "too large" in report.faults[0].message
    assert "all cases together differ" in report.text
    assert "run it alone" not in report.text


def test_our_layers_have_none() -> None:
    pytest.importorskip("torch")
    report = parity_tests.check(rnn_np, cases=60, without="float64")
    assert report.ok
    known = [t.systematic for t in report.tensors.values() if t.systematic.cases >= FEWEST_CASES]
    assert len(known) >= 4
    assert all(abs(error.mean) < 1 for error in known)


@pytest.mark.parametrize(
    ("relative", "cases", "noise", "found"),
    [
        (3.0, 100, 0.1, True),
        (-3.0, 100, 0.1, True),
        (2.0, 100, 0.1, False),  # less than is a fault
        (3.0, FEWEST_CASES - 1, 0.1, False),
        (3.0, 100, 10.0, False),  # not certain
        (0.0, 100, 10.0, False),
    ],
)
def test_what_is_a_systematic_error(relative: float, cases: int, noise: float, found: bool) -> None:
    assert bool(systematic_findings(tallies(relative, cases, noise), [])) == found


def test_a_known_one_and_one_of_a_wrong_tensor_are_no_new_faults() -> None:
    (finding,) = systematic_findings(tallies(5.0, 100), [])
    (known,) = systematic_findings(tallies(5.0, 100), [], ["systematic error of dx"])
    assert known.severity == parity_tests.report.Severity.KNOWN
    assert systematic_findings(tallies(5.0, 100), [finding]) == []


def test_the_order_of_the_cases_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    cases = [
        SystematicError.of_case(float(s), float(w), Case(B=1, T=1, D=1, H=2))
        for s, w in rng.uniform(0, 0.01, (500, 2))
    ]
    sums = []
    for order in (cases, cases[::-1]):
        total = SystematicError()
        for case in order:
            total.add(case)
        sums.append(total)
    assert sums[0] == sums[1]
    assert SystematicError.from_json(sums[0].to_json()) == sums[0]


@pytest.mark.parametrize(("target", "fault"), [(_RoundedStates, False), (_RoundedAndNotTransposed, True)])
def test_a_layer_that_is_approximate_on_purpose(target: Any, fault: bool) -> None:
    pytest.importorskip("torch")
    report = parity_tests.check(target, cases=60, accuracy=1e-3)
    assert report.ok != fault
    assert bool(report.faults) == fault
    verdict = report.text.splitlines()[0]
    assert "each of its values may be off by 0.001" in verdict
    assert "measured rounding" not in verdict
    assert report.to_json()["run"]["accuracy"] == 1e-3


def test_it_is_wrong_without_the_declaration() -> None:
    pytest.importorskip("torch")
    assert parity_tests.check(_RoundedStates, cases=5, lines=False).faults


@pytest.mark.parametrize("value", [0, -1e-3, 0.2, "much", True, float("nan"), [1e-3]])
def test_a_bad_accuracy_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"accuracy: expected a number from 1e-15 to 0\.1, got"):
        parity_tests.check(rnn_np.TimeRNN, accuracy=value)
