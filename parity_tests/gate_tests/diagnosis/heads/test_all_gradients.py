"""What is done to all gradients of weights and biases, those of a head too, is one fault with its name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import parity_tests
from parity_tests import Problem
from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.diagnosis.diagnose import diagnose
from parity_tests.gate_tests.subjects.adapters.models import Model
from parity_tests.subjects.drivers import implied_by, run_case
from parity_tests.subjects.interfaces import subject_of

NAMES = ("dWx", "dWh", "db_ih", "db_hh", "dWy", "dby")


def clipped(problem: Problem, gradients: dict[str, Any]) -> None:
    for name in NAMES:
        gradients[name] = np.clip(gradients[name], -0.3, 0.3)


def scaled_down(problem: Problem, gradients: dict[str, Any]) -> None:
    del gradients["db_hh"]
    gradients["db"] = gradients.pop("db_ih")
    names = [*gradients.keys() & {"dWx", "dWh", "db", "dWy", "dby"}]
    norm = np.sqrt(sum((gradients[name] ** 2).sum() for name in names))
    for name in names:
        gradients[name] = gradients[name] * min(1, 0.5 / norm)


def decayed(problem: Problem, gradients: dict[str, Any]) -> None:
    for name in ("dWx", "dWh", "dWy"):
        gradients[name] = gradients[name] + 0.01 * getattr(problem, name[1:])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (clipped, "clipped gradients"),
        (scaled_down, "gradients scaled down to a norm"),
        (decayed, "weight decay in the gradient"),
    ],
)
def test_one_change_of_all_gradients_is_one_fault(
    change: Callable[[Problem, dict[str, Any]], None], name: str
) -> None:
    @parity_tests.adapter(loss="cross_entropy")
    def answer(problem: Problem) -> dict[str, Any]:
        result = Model("cross_entropy")(problem)
        change(problem, result)
        return result

    subject = subject_of(answer, "adapter")

    def restrict(case: Case) -> Case:
        return restricted(case, implied_by(subject))

    found = diagnose("TimeRNN", partial(run_case, subject), [], restrict)
    assert {each.fault for each in found} == {name}
