"""The line that is told is the wrong one, of right code none is, and the report says what should stand there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case
from parity_tests.diagnosis.lines import point
from parity_tests.diagnosis.lines.cases import cases_to_search
from parity_tests.diagnosis.lines.child import INSTRUMENTER, RECORDER, instrumented
from parity_tests.diagnosis.lines.find import Finder
from parity_tests.gate_tests.lines.measured import FURTHER, LINES, told_of_further, told_of_people
from parity_tests.gate_tests.people import right_layers
from parity_tests.gate_tests.wrong import MY_RNN
from parity_tests.subjects.loading import Target
from parity_tests.subjects.sandbox.parent import Child

SOME = ("CarryNotTransposed", "LoopStopsAtOne")
SOME_FURTHER = (
    "elman",
    "BidirectionalRNN",
    "PoppedCaches",
    "OneStateBuffer",
    "Concatenated",
    "Closures",
    "LeveledRNN",
)
SOME_STRANGERS = (
    "last output",
    "relu cell, many to one",
    "loss inside, split off",
    "truncated, weights only",
    "library layer",
    "line break",
    "relu, a function of torch",
)
NONE_MOST, WRONG_MOST, RIGHT_LEAST = 0.4, 0.1, 0.85
"""Of the layers in the longer proof, the parts without a line and with a wrong first one; of the others, right."""


@pytest.fixture
def one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lines be looked for in the simplest case alone; they are verified in others all the same."""
    monkeypatch.setattr(
        point, "cases_to_search", lambda kind, own, restrict: cases_to_search(kind, [], restrict)[:1]
    )


@pytest.mark.parametrize("name", SOME)
@pytest.mark.usefixtures("one_case")
def test_the_first_line_is_the_wrong_one(name: str) -> None:
    told = told_of_people(name)
    assert told.first == "right", told.lines


@pytest.mark.parametrize("name", SOME_FURTHER)
def test_the_first_line_is_the_wrong_one_in_another_style(name: str) -> None:
    told = told_of_further(name)
    assert told.first == "right", told.lines
    assert "wrong" not in told.later, told.lines


@pytest.mark.proof
@pytest.mark.parametrize("name", SOME_STRANGERS)
def test_in_the_code_of_strangers_the_first_line_is_right_and_no_later_one_wrong(name: str) -> None:
    told = told_of_people(name)
    assert told.first == "right", told.lines
    assert "wrong" not in told.later, told.lines


def lines_of_text(folder: Path, changes: dict[str, str]) -> list[str]:
    """The lines that are told of ``MY_RNN`` with some texts replaced."""
    return [line.source.strip() for line in found_in_text(folder, changes).lines["RNN"]]


def found_in_text(folder: Path, changes: dict[str, str]) -> point.WrongLines:
    text = MY_RNN
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "my_rnn.py"
    file.write_text(text)
    return point.wrong_lines(Target(f"{file}:RNN", "cell"), [("RNN", [])], (), lambda case: case)


@pytest.mark.usefixtures("one_case")
def test_relu_may_be_meant_and_hides_no_fault(tmp_path: Path) -> None:
    relu = {"np.tanh(x @": "np.maximum(0, x @"}
    late = {"dt = 1 - h_next**2": "dt = dh_next * (h_prev > 0)"}
    assert lines_of_text(tmp_path, relu | late) == ["dt = dh_next * (h_prev > 0)"]
    meant = {"dt = 1 - h_next**2": "dt = dh_next * (h_next > 0)"}
    assert lines_of_text(tmp_path, relu | meant)[0].startswith("self.cache = x, h_prev, np.maximum(")


@pytest.mark.usefixtures("one_case")
def test_one_line_does_not_hide_what_shows_in_other_cases(tmp_path: Path) -> None:
    slope = {"dt = 1 - h_next**2": "dt = dh_next * (1 + h_next**2)"}
    alone = found_in_text(tmp_path, slope)
    assert [line.source.strip() for line in alone.lines["RNN"]] == [*slope.values()]
    assert alone.left["RNN"] == ()
    clip = {"grad[...] = value": "grad[...] = np.clip(value, -12, 12)"}
    both = found_in_text(tmp_path, slope | clip)
    assert [line.source.strip() for line in both.lines["RNN"]] == [*slope.values()]
    assert {*both.left["RNN"]} <= {"dWx", "dWh", "db"}
    assert both.left["RNN"]


@pytest.mark.usefixtures("one_case")
def test_a_limit_that_hides_a_fault_is_undone_and_told(tmp_path: Path) -> None:
    slope = "dt = dh_next * (1 - np.tanh(h_next) ** 2)"
    norm = "if np.abs(dt).max() > 1e-6:\n            dt = dt / np.abs(dt).max()"
    told = lines_of_text(tmp_path, {"dt = 1 - h_next**2": f"{slope}\n        {norm}"})
    assert told == [slope, "dt = dt / np.abs(dt).max()"]


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


def finder_with(subject: Any, truth: Callable[[Case, str, Any], Any]) -> Finder:
    """A search in which the truth is ``truth(case, tensor, right value)``."""
    finder = Finder(subject, (), RECORDER, INSTRUMENTER.sites)
    own, changed = finder._trial, set[Case]()

    def trial_of(case: Case, tolerance: float) -> Any:
        trial = own(case, tolerance)
        if case not in changed:
            changed.add(case)
            trial._truth = {key: truth(case, key[1], value) for key, value in trial._truth.items()}
        return trial

    finder._trial = trial_of  # type: ignore[method-assign]
    return finder


def with_a_broken_comparison(subject: Any, case: Case, tensor: str) -> tuple[list[Any], tuple[str, ...]]:
    """Look for wrong lines where the truth about one tensor is wrong; called in the child.

    Returns:
        The lines, and the tensors that no line makes right.
    """

    def broken(case: Case, name: str, value: Any) -> Any:
        return value + np.cos(np.arange(value.size)).reshape(value.shape) if name == tensor else value

    finder = finder_with(subject, broken)
    return list(finder.find([case])), finder.left


def with_dx_doubled(subject: Any, searched: Case, everywhere: bool) -> list[Any]:
    """Look for wrong lines where dx should be doubled, in the case searched alone or in all; in the child."""

    def doubled(case: Case, name: str, value: Any) -> Any:
        return 2 * value if name == "dx" and (everywhere or case == searched) else value

    return list(finder_with(subject, doubled).find([searched]))


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


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_repair_must_help_in_other_cases_too(tmp_path: Path, everywhere: bool) -> None:
    right = MY_RNN.replace("dt = 1 - h_next**2", "dt = dh_next * (1 - h_next**2)")
    file = tmp_path / "right_cell.py"
    file.write_text(right.replace("return dt @ self.params[0].T", "return 1 * (dt @ self.params[0].T)"))
    with Child(Target(f"{file}:RNN"), 60, functions=(with_dx_doubled,), compile_source=instrumented) as child:
        lines = child.call(with_dx_doubled, Case.parse("cell-B3D2H7-f64-s1"), everywhere)
    assert [(line.cures, line.source.strip()[:8]) for line in lines] == [(("dx",), "return 1")] * everywhere


@pytest.mark.usefixtures("one_case")
def test_a_value_that_was_wrong_before_is_not_blamed() -> None:
    told = told_of_people("BiasOfOneRow")
    assert told.lines == (), told.lines


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
