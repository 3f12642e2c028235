"""Models with a head and a loss: right ones are equal, and of faulty ones the fault is named."""

import pytest

pytest.importorskip("torch", reason="the reference of these cases is live torch")

import parity_tests
from parity_tests.gate_tests.diagnosis.heads import MODELS
from parity_tests.gate_tests.diagnosis.heads.model import Model
from parity_tests.report import Report

RIGHT = [model for model in MODELS if not model.fault]
FAULTY = [model for model in MODELS if model.fault]
CASES = 200
SOME_CASES = 10
SOME = ("characters", "flat_relu_with_symbols", "classifier", "half_squares")
SOME_FAULTY = ("flat_mean_of_loss_alone", "flat_unshifted")


def judged(model: Model, cases: int, lines: bool | None = None) -> Report:
    return parity_tests.check(model.adapter, cases=cases, without=model.without, lines=lines)


def first_fault(report: Report) -> str:
    """The fault that is named first; empty if none is."""
    return next((finding.fault for finding in report.findings if finding.fault), "")


def test_there_are_enough_models() -> None:
    assert len(RIGHT) >= 12
    assert len(FAULTY) >= 20
    assert len({model.name for model in MODELS}) == len(MODELS)


@pytest.mark.parametrize("name", SOME)
def test_some_right_models_are_equal(name: str) -> None:
    (model,) = (model for model in RIGHT if model.name == name)
    assert judged(model, SOME_CASES).ok


@pytest.mark.parametrize("name", SOME_FAULTY)
def test_the_fault_of_some_models_is_named(name: str) -> None:
    (model,) = (model for model in FAULTY if model.name == name)
    assert first_fault(judged(model, SOME_CASES, lines=False)) == model.fault


@pytest.mark.proof
@pytest.mark.parametrize("model", RIGHT, ids=lambda model: model.name)
def test_right_models_are_equal(model: Model) -> None:
    report = judged(model, CASES)
    assert report.ok, str(report)


@pytest.mark.proof
@pytest.mark.parametrize("model", FAULTY, ids=lambda model: model.name)
def test_the_fault_is_named_first(model: Model) -> None:
    assert first_fault(judged(model, CASES)) == model.fault
