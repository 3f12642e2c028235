"""A nonlinearity that is declared is no fault; another one is the first fault and hides nothing."""

import dataclasses
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests import Problem
from parity_tests.gate_tests.subjects.adapters.models import FUNCTIONS, SLOPES, Model
from parity_tests.gate_tests.subjects.adapters.test_declared import CASES, judged
from parity_tests.report import Report
from parity_tests.run.options import checked_options
from parity_tests.run.runner import Run
from parity_tests.run.show.render import header
from rnn_np import TimeRNN

NAMES = {
    "relu": "relu in place of tanh",
    "sigmoid": "logistic function in place of tanh",
    "identity": "nonlinearity missing",
}


class Layer(TimeRNN):
    """A layer with another nonlinearity; ``wrong`` has a fault in dWh too."""

    nonlinearity = "relu"
    wrong = False

    def forward(self, xs: Any) -> Any:
        Wx, Wh, b = self.params
        start = self.h if self.stateful and self.h is not None else np.zeros((len(xs), len(Wh)), xs.dtype)
        self.states, self.xs = [start], xs.copy()
        for t in range(xs.shape[1]):
            z = xs[:, t] @ Wx + self.states[-1] @ Wh + b
            self.states.append(FUNCTIONS[self.nonlinearity](z).astype(xs.dtype))
        self._h = self.states[-1].copy()
        return np.stack(self.states[1:], 1)

    @property
    def h(self) -> Any:
        return getattr(self, "_h", None)

    @property
    def dh(self) -> Any:
        return self._dh

    def set_state(self, h: Any) -> None:
        self._h = h.copy()

    def reset_state(self) -> None:
        self._h = None

    def backward(self, dhs: Any) -> Any:
        Wx, Wh, _ = self.params
        carry, steps = 0 * self.states[0], []
        for t in reversed(range(dhs.shape[1])):
            steps.append((dhs[:, t] + carry) * SLOPES[self.nonlinearity](self.states[t + 1]))
            carry = steps[-1] @ Wh.T
        dz, before = np.stack(steps[::-1], 1), np.stack(self.states[:-1], 1)
        self.grads[0][...] = np.einsum("btd,bth->dh", self.xs, dz)
        self.grads[1][...] = np.einsum("btd,bth->dh", before, dz) * (-1 if self.wrong else 1)
        self.grads[2][...] = dz.sum((0, 1)).reshape(self.grads[2].shape)
        self._dh = carry
        return dz @ Wx.T


def layer(nonlinearity: str, *, wrong: bool = False) -> Any:
    return type("Layer", (Layer,), {"nonlinearity": nonlinearity, "wrong": wrong})


def of_layer(target: Any, **options: Any) -> Report:
    return parity_tests.check(target, kind="layer", lines=False, cases=CASES, **options)


@pytest.mark.parametrize("nonlinearity", NAMES)
def test_another_nonlinearity_is_the_first_fault_and_the_only_one(nonlinearity: str) -> None:
    report = of_layer(layer(nonlinearity))
    assert report.verdict == "DIFFERENT"
    assert [finding.fault for finding in report.faults] == [NAMES[nonlinearity]]
    assert f"--nonlinearity {nonlinearity}" in report.faults[0].message
    assert report.cases == CASES
    assert of_layer(layer(nonlinearity), nonlinearity=nonlinearity).ok


@pytest.mark.parametrize("nonlinearity", NAMES)
def test_it_hides_no_other_fault(nonlinearity: str) -> None:
    report = of_layer(layer(nonlinearity, wrong=True))
    assert [f.fault for f in report.faults] == [NAMES[nonlinearity], "gradient with the wrong sign"]
    assert [f.tensor for f in report.faults] == ["hs", "dWh"]
    declared = of_layer(layer(nonlinearity, wrong=True), nonlinearity=nonlinearity)
    assert [(f.fault, f.tensor) for f in declared.faults] == [("gradient with the wrong sign", "dWh")]


def test_a_declared_nonlinearity_that_the_code_does_not_have_is_a_fault() -> None:
    report = of_layer(layer("sigmoid"), nonlinearity="relu")
    assert [finding.fault for finding in report.faults] == ["logistic function in place of relu"]
    report = judged(Model(), {"nonlinearity": "sigmoid"}, cases=CASES)
    assert report.ok, "the model has the nonlinearity of the problem"
    report = judged(tanh_model, {"nonlinearity": "sigmoid"}, cases=CASES)
    assert [finding.fault for finding in report.faults] == ["tanh in place of sigmoid"]


def tanh_model(problem: Problem) -> Any:
    return Model()(dataclasses.replace(problem, nonlinearity="tanh"))


def test_the_reference_is_said_where_torch_has_no_such_layer() -> None:
    with pytest.raises(ValueError, match="torch has no RNN with sigmoid, so no answers are recorded"):
        of_layer(layer("sigmoid"), nonlinearity="sigmoid", reference="recorded")
    recorded = parity_tests.check(
        layer("relu"), kind="layer", lines=False, nonlinearity="relu", reference="recorded"
    )
    assert recorded.ok
    assert recorded.cases >= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonlinearity": "selu"}, "nonlinearity: expected one of tanh, relu, sigmoid, identity, got 'selu'"),
        ({"nonlinearity": 1}, "nonlinearity: expected one of .*, got 1"),
        ({"nonlinearity": "relu", "without": ["relu"]}, "relu was declared missing by --without relu"),
    ],
)
def test_bad_nonlinearities_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_layer(layer("relu"), **options)


def test_an_adapter_and_an_option_must_not_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="nonlinearity: the adapter declares relu, got sigmoid"):
        judged(Model(), {"nonlinearity": "relu"}, cases=1, nonlinearity="sigmoid")


def test_what_is_declared_is_in_the_first_lines_and_in_json() -> None:
    run = Run.open(
        checked_options({"target": layer("sigmoid"), "kind": "layer", "nonlinearity": "sigmoid", "cases": 1})
    )
    with run:
        first, second = header(run, 0)
        assert first.endswith(" with nonlinearity sigmoid")
        assert "reference: a loop of torch's operations" in second
        report = run.to_json()
    assert (report["declared"], report["without"]) == (["nonlinearity=sigmoid"], [])
