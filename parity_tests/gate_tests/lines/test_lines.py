"""The line that is told is the wrong one, of right code none is, and the report says what should stand there."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case
from parity_tests.diagnosis.lines.child import INSTRUMENTER, RECORDER, instrumented
from parity_tests.diagnosis.lines.find import Finder
from parity_tests.gate_tests.lines.measured import FURTHER, LINES, told_of_further, told_of_people
from parity_tests.gate_tests.people import right_layers
from parity_tests.subjects.loading import Target
from parity_tests.subjects.sandbox.parent import Child

SOME = ("CarryNotTransposed", "LoopStopsAtOne", "SinglePrecisionBuffers")
SOME_FURTHER = ("StepFunctions", "elman", "BidirectionalRNN")
NONE_MOST, WRONG_MOST, RIGHT_LEAST = 0.4, 0.1, 0.85
"""Of the layers in the longer proof, the parts without a line and with a wrong first one; of the others, right."""

MY_RNN = """
import numpy as np


class RNN:
    def __init__(self, Wx, Wh, b):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]

    def forward(self, x, h_prev):
        self.cache = x, h_prev, np.tanh(x @ self.params[0] + h_prev @ self.params[1] + self.params[2])
        return self.cache[2].copy()

    def backward(self, dh_next):
        x, h_prev, h_next = self.cache
        dt = 1 - h_next**2
        for grad, value in zip(self.grads, (x.T @ dt, h_prev.T @ dt, dt.sum(axis=0))):
            grad[...] = value
        return dt @ self.params[0].T, dt @ self.params[1].T
"""


@pytest.mark.parametrize("name", SOME)
def test_the_first_line_is_the_wrong_one(name: str) -> None:
    told = told_of_people(name)
    assert told.first == "right", told.lines


@pytest.mark.parametrize("name", SOME_FURTHER)
def test_the_first_line_is_the_wrong_one_in_another_style(name: str) -> None:
    told = told_of_further(name)
    assert told.first == "right", told.lines
    assert "wrong" not in told.later, told.lines


@pytest.mark.proof
@pytest.mark.parametrize(
    ("names", "tell"), [(tuple(LINES), told_of_people), (tuple(f.name for f in FURTHER), told_of_further)]
)
def test_most_first_lines_are_right_and_few_are_wrong(names: tuple[str, ...], tell: Any) -> None:
    told = {name: tell(name) for name in names}
    first = [each.first for each in told.values()]
    print({word: first.count(word) for word in ("right", "wrong", "none")}, "of", len(first))
    print("wrong:", [name for name, each in told.items() if each.first == "wrong"])
    print(
        "faults told:",
        [sum(numbers) for numbers in zip(*(each.faults for each in told.values()), strict=True)],
    )
    shown = len(first) - first.count("none")
    assert first.count("none") <= NONE_MOST * len(first)
    assert first.count("wrong") <= WRONG_MOST * len(first)
    assert first.count("right") >= RIGHT_LEAST * shown


def with_a_broken_comparison(subject: Any, case: Case, tensor: str) -> tuple[list[Any], tuple[str, ...]]:
    """Look for wrong lines where the truth about one tensor is wrong; called in the child.

    Returns:
        The lines, and the tensors that no line makes right.
    """
    finder = Finder(subject, (), RECORDER, INSTRUMENTER.sites)
    own = finder._trial

    def broken(case: Case, tolerance: float) -> Any:
        trial = own(case, tolerance)
        for key, value in trial._truth.items():
            if key[1] == tensor:
                trial._truth[key] = value + np.cos(np.arange(value.size)).reshape(value.shape)
        return trial

    finder._trial = broken  # type: ignore[method-assign]
    return list(finder.find([case])), finder.left


@pytest.mark.parametrize(
    ("cls", "tensor"),
    [
        pytest.param(row[-1], tensor, marks=[pytest.mark.proof] if number % 4 else [])
        for number, (row, tensor) in enumerate(
            zip(right_layers.RIGHT_LAYERS, ("hs", "dx", "dh_0", "dWx", "dWh", "db") * 9, strict=False)
        )
    ][:12],
)
def test_of_right_code_no_line_is_told(cls: Any, tensor: str) -> None:
    target = Target(f"{right_layers.__file__}:{cls.__qualname__}")
    with Child(target, 60, functions=(with_a_broken_comparison,), compile_source=instrumented) as child:
        lines, left = child.call(with_a_broken_comparison, Case.parse("B3T4D2H7-f64-h0-s1"), tensor)
    assert lines == []
    assert left == (tensor,)


def test_the_report_has_the_line_and_what_should_stand_there(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "my_rnn.py").write_text(MY_RNN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    report = parity_tests.check("my_rnn.py:RNN", cases=20)
    assert (
        "my_rnn.py:15, in backward:\n"
        "     dt = 1 - h_next**2\n"
        "          ^^^^^^^^^^^^^\n"
        "   `1 - h_next**2` is the slope 1 - h_t^2. It should be the gradient of the pre-activation, dz_t"
    ) in report.text
    assert "the factor dh_t is missing" in " ".join(report.text.split())
    finding = next(finding for finding in report.findings if finding.tensor == "dx")
    assert finding.fault == "upstream gradient dropped"
    data = json.loads(json.dumps(finding.to_json()))
    assert (data["file"], data["line"], data["column"]) == ("my_rnn.py", 15, 14)
    assert data["source"].strip() == "dt = 1 - h_next**2"
    assert data["is"] == "the slope 1 - h_t^2"
    assert data["should_be"] == "the gradient of the pre-activation, dz_t"
    assert parity_tests.Finding.from_json(data) == finding


def test_a_class_at_hand_has_its_line_too_unless_it_has_no_source(tmp_path: Path, monkeypatch: Any) -> None:
    script = f"{MY_RNN}\n\nimport parity_tests\nreport = parity_tests.check(RNN, cases=20)\n"
    (tmp_path / "their_script.py").write_text(script)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    module = __import__("their_script")
    assert "their_script.py:15, in backward" in module.report.text
    names: dict[str, Any] = {}
    exec(MY_RNN, names)
    report = parity_tests.check(names["RNN"], cases=20)
    assert report.note.startswith("No line is told: RNN has no source file")
    assert report.note in " ".join(report.text.split())


def test_lines_can_be_turned_off(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "my_rnn.py").write_text(MY_RNN)
    monkeypatch.chdir(tmp_path)
    report = parity_tests.check("my_rnn.py:RNN", cases=20, lines=False)
    assert report.faults
    assert all(finding.wrong_line is None for finding in report.findings)
