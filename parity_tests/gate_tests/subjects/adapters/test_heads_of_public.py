"""Public code is judged with its own head and loss: the faults are those found with the head taken away."""

import inspect
from functools import partial
from typing import Any

import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests.cases.draw import draw_case
from parity_tests.cases.features import parse, restricted
from parity_tests.checks.values import judge
from parity_tests.diagnosis.diagnose import diagnose
from parity_tests.gate_tests.people.strangers import STRANGERS
from parity_tests.gate_tests.subjects.adapters import heads_of_public
from parity_tests.references.live_torch import torch_answers
from parity_tests.subjects.drivers import implied_by, kinds_of, lacked_by, run_case
from parity_tests.subjects.interfaces import subject_of

pytestmark = pytest.mark.filterwarnings("ignore")

MOST_LINES = 12
NEUTRALISED = {
    "library_layer": "library layer",
    "line_break": "line break, tanh behind",
    "truncated_optimizer": "truncated, an optimizer inside",
    "loss_inside": "loss inside, split off",
    "relu_cell": "relu cell, many to one",
    "bias_by_width": "relu, a function of torch",
    "sigmoid": None,
    "last_output": "last output",
    "two_directions": "two directions",
    "update_inside": "update inside",
}
"""By file of ``adapt/public``, the stranger whose adapter takes the head away; the faults are the same.

A layer of logistic units could not be judged in that way.
"""
SAME = {
    "relu mask true everywhere": "slope missing",
    "last upstream gradient at every step": "last state's gradient at every step",
}
"""The name that a fault has for these cases."""
OF_HEAD = {"loss_inside": {"softmax overflows"}}
"""What only the head shows: torch's softmax does not overflow."""
WRONG: dict[str, set[str]] = {
    "library_layer": {"dx", "dWx", "dWh", "db"},
    "line_break": {"hs", "h_n"},
    "truncated_optimizer": {"dx", "dWx", "dWh"},
    "loss_inside": {"hs", "h_n", "probabilities", "dWx", "dWh", "db", "loss"},
    "relu_cell": {"dWx", "dWh", "db"},
    "bias_by_width": {
        "dx",
        "dh_0",
        *(f"d{part}_l0" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
    },
    "sigmoid": {"dWx", "dWh"},
    "last_output": {"dWx", "dWh", "db"},
    "two_directions": set(),
    "update_inside": set(),
}
SOME = 12
"""Cases of a file in every run."""


def adapter_of(name: str) -> Any:
    return getattr(heads_of_public, f"of_{name}")


def lacking_of(subject: Any) -> tuple[str, ...]:
    return (*parse(",".join(lacked_by(subject)), ()), *implied_by(subject))


def faults_of(name: str) -> set[str]:
    (faults,) = ({*row.faults} for row in STRANGERS if row.name == NEUTRALISED[name])
    return faults | OF_HEAD.get(name, set())


@pytest.mark.parametrize("name", WRONG)
def test_the_same_tensors_are_wrong_with_the_own_head(name: str) -> None:
    subject = subject_of(adapter_of(name), "adapter")
    lacking = lacking_of(subject)
    drawn = (draw_case(0, number, kinds_of(subject), lacking) for number in range(SOME))
    run = partial(run_case, subject, without=lacking)
    reports = [judge(case, torch_answers, run, lacking) for case in drawn]
    assert {finding.tensor for report in reports for finding in report.faults} == WRONG[name]
    assert all(report.cases == 1 for report in reports)


@pytest.mark.parametrize("name", WRONG)
def test_an_adapter_of_public_code_is_short(name: str) -> None:
    text = inspect.getsource(adapter_of(name)).splitlines()
    inside = [line for line in text if line.strip() and "import " not in line]
    assert len(inside) - 1 <= MOST_LINES  # the line with def is none of its own


@pytest.mark.proof
@pytest.mark.parametrize("name", [name for name in NEUTRALISED if NEUTRALISED[name]])
def test_the_same_faults_are_named_with_the_own_head(name: str) -> None:
    subject = subject_of(adapter_of(name), "adapter")
    (kind,) = kinds_of(subject)
    lacking = lacking_of(subject)
    run = partial(run_case, subject, without=lacking)
    found = diagnose(kind, run, [], lambda case: restricted(case, lacking))
    assert all(each.fault for each in found), found
    named = [{*fault.split(", or ")} for each in found for fault in str(each.fault).split(", and ")]
    named = [each for each in named if "float32 in, float64 out" not in each]
    truth = {same for fault in faults_of(name) for same in (fault, SAME.get(fault, fault))}
    assert len(named) == len(faults_of(name)), named
    assert all(each & truth for each in named), named


@pytest.mark.proof
@pytest.mark.parametrize("name", WRONG)
def test_public_code_is_judged_by_the_whole_gate(name: str) -> None:
    report = parity_tests.check(adapter_of(name), cases=200)
    assert report.ok == (not WRONG[name]), report.text
    assert report.cases == 200
