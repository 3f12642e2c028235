"""What is taken from an adapter: other forms of arrays, and gradients of code that updates its own weights."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import torch

from parity_tests import Problem, gradients_from_update
from parity_tests.gate_tests.subjects.adapters.models import Model
from parity_tests.gate_tests.subjects.adapters.test_declared import CASES, judged, wrong_tensors
from parity_tests.subjects.adapters.plain_results import coarse_updates
from parity_tests.subjects.adapters.updates import UpdateGradient

CASE = "B3T4D2H5-f64-h0-s1"
FORMS: dict[str, Callable[[Any], Any]] = {
    "torch": lambda value: torch.tensor(value, requires_grad=True) * 1,
    "list of arrays": list,
    "nested tuples": lambda value: tuple(map(tuple, value)) if value.ndim == 2 else value,
    "list of tensors": lambda value: [torch.tensor(part) for part in value],
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_another_form_are_taken(form: str) -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        return {name: FORMS[form](value) for name, value in Model()(problem).items()}

    def wrong(problem: Problem) -> dict[str, Any]:
        result = answer(problem)
        return {**result, "dx": FORMS[form](2 * Model()(problem)["dx"])}

    assert wrong_tensors(answer, {}, CASE) == set()
    assert wrong_tensors(wrong, {}, CASE) == {"dx"}


@pytest.mark.parametrize(
    "form",
    [
        float,
        np.float64,
        np.asarray,
        lambda value: np.asarray([[value]]),
        lambda value: torch.tensor(value, dtype=torch.float64),
    ],
)
def test_a_loss_of_any_form_is_taken(form: Callable[[Any], Any]) -> None:
    def answer(problem: Problem) -> dict[str, Any]:
        result = Model("mse")(problem)
        return {**result, "loss": form(result["loss"])}

    def wrong(problem: Problem) -> dict[str, Any]:
        result = Model("mse")(problem)
        return {**result, "loss": form(result["loss"] + 1)}

    for case in ("B3T4D2H5V3-f64-h0-mse-s1", "B3T4D2H5V3-f32-h0-mse-s1"):
        assert wrong_tensors(answer, {"loss": "mse"}, case) == set()
        assert wrong_tensors(wrong, {"loss": "mse"}, case) == {"loss"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([np.zeros((2, 5)), np.zeros((3, 5))], "hs is a list of 2, not a numpy.ndarray of numbers"),
        (np.zeros((4, 3, 5)), r"hs has shape \[4, 3, 5\], not \[3, 4, 5\]"),
        ("hs", "hs is a str, not"),
        (True, "hs is a bool, not"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(value: Any, message: str) -> None:
    report = judged(lambda problem: {**Model()(problem), "hs": value}, {}, case=CASE)
    assert re.search(message, report.faults[0].message), report.text


def updating(learning_rate: float, factor: float = 1.0) -> Callable[[Problem], dict[str, Any]]:
    """An adapter of code that updates its weights at every step: each weight is rounded T times."""

    def answer(problem: Problem) -> dict[str, Any]:
        result = Model()(problem)
        gradients = result | {"db": result.pop("db_ih")}
        del gradients["db_hh"]
        for name in ("dWx", "dWh", "db"):
            before = getattr(problem, name[1:])
            after = before.copy()
            after -= np.asarray(learning_rate * factor * gradients[name], before.dtype)
            gradients[name] = gradients_from_update(before, after, learning_rate)
        return gradients

    return answer


@pytest.mark.parametrize("learning_rate", [1e-3, 0.1, 2.0**40])
def test_right_code_that_updates_its_weights_is_equal(learning_rate: float) -> None:
    report = judged(updating(learning_rate), {}, cases=3 * CASES)
    assert report.ok, report.text
    advice = {finding.check for finding in report.findings}
    assert advice == ({"resolution of updates"} if learning_rate < 1 else set())


@pytest.mark.parametrize(("learning_rate", "factor"), [(1e-3, 1.01), (0.1, 1.0001), (2.0**40, 1 + 1e-11)])
def test_faults_above_the_rounding_of_an_update_are_found(learning_rate: float, factor: float) -> None:
    assert wrong_tensors(updating(learning_rate, factor), {}, CASE) == {"dWx", "dWh", "db"}


def test_an_update_too_small_to_tell_anything_is_not_equal() -> None:
    report = judged(updating(1e-18), {}, cases=CASES)
    assert report.verdict == "NOT JUDGED", report.text
    assert "dWx: every slice compared was inconclusive" in report.not_judged


def test_there_is_no_advice_where_the_rate_cannot_be_larger() -> None:
    W = np.ones((2, 3), np.float32)
    gradients = {rate: gradients_from_update(W, W - np.float32(1e-3), rate) for rate in (1.0, 2.0**40)}
    assert [bool(list(coarse_updates({"dWx": found}))) for found in gradients.values()] == [True, False]


def test_a_gradient_of_an_update_keeps_its_error_when_it_is_transposed() -> None:
    W = np.arange(1.0, 7.0).reshape(2, 3)
    found = gradients_from_update(W, W - 0.5, 0.5)
    assert np.array_equal(found, np.ones((2, 3)))
    assert isinstance(found, UpdateGradient)
    assert found.T.error == found.error == np.finfo(float).eps * 6 / 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0], np.ones(1), 1), TypeError, "before: expected an array of floats, got list"),
        ((np.ones(1), np.ones(1, "f4"), 1), TypeError, "after: expected float64 as before, got float32"),
        ((np.ones(1), np.ones(2), 1), ValueError, r"after: expected shape \[1\] as before, got \[2\]"),
        ((np.ones(1), np.ones(1), 0), ValueError, "learning_rate: expected a number above 0, got 0"),
        (
            (np.ones(1), np.ones(1), float("nan")),
            ValueError,
            "learning_rate: expected a number above 0, got nan",
        ),
    ],
)
def test_updates_that_make_no_sense_are_refused(
    arguments: tuple[Any, Any, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gradients_from_update(*arguments)
    W = np.ones(3)
    with pytest.raises(ValueError, match="before: expected a copy"):
        gradients_from_update(W, W, 1)
