"""The verdict: it counts comparisons that were made, whatever was planned, known or selected."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity_tests
import rnn_np
from parity_tests.cases.case import Case
from parity_tests.cases.draw import cases_with_options, draw_case
from parity_tests.cases.fields import option_values
from parity_tests.cases.layers import KINDS
from parity_tests.checks.values import judge
from parity_tests.gate_tests.run.test_run import run as run_command
from parity_tests.references import recorded
from parity_tests.report import Finding, Report, Severity, Tally, Verdict
from parity_tests.run import runner
from parity_tests.run.options import checked_options
from parity_tests.run.runner import Run, run
from parity_tests.run.show.render import verdict, verdict_line
from parity_tests.subjects.drivers import run_case
from parity_tests.subjects.results import CaseResults

pytest.importorskip("torch", reason="fresh cases need torch")
CASE = Case(B=2, T=3, D=4, H=5)


def right_answer(problem: parity_tests.Problem) -> dict[str, Any]:
    layer = rnn_np.TimeRNN(problem.Wx, problem.Wh, problem.b, stateful=True)
    layer.set_state(problem.h_0)
    hs = layer.forward(problem.xs)
    dx = layer.backward(problem.dhs)
    dWx, dWh, db = layer.grads
    return {"hs": hs, "h_n": layer.h, "dx": dx, "dh_0": layer.dh, "dWx": dWx, "dWh": dWh, "db": db}


def known(folder: Path, *lines: str) -> Path:
    file = folder / "known.txt"
    file.write_text("".join(f"{line}: we know\n" for line in lines), "utf-8")
    return file


@pytest.mark.parametrize("what", ["raises", "type of dx", "shape of dx"])
def test_a_known_failure_excuses_no_comparison(what: str, tmp_path: Path) -> None:
    def answer(problem: parity_tests.Problem) -> dict[str, Any]:
        answers = right_answer(problem)
        if problem.xs.size > 40:
            if what == "raises":
                raise MemoryError("too large")
            answers["dx"] = None if what == "type of dx" else answers["dx"][0]
        return answers

    report = parity_tests.check(answer, cases=20, known=known(tmp_path, what))
    assert [finding.severity for finding in report.findings] == [Severity.KNOWN]
    assert (report.verdict, report.exit_code) == (Verdict.NOT_JUDGED, 2)
    assert 0 < report.cases < 20
    why = "the target did not answer every call (raises)" if what == "raises" else "dx could not be compared"
    missing = 20 - report.cases
    assert report.not_judged == [f"{missing} of 20 cases were not compared: {why}, in {missing} cases"]
    assert f"NOT JUDGED: {report.not_judged[0]}" in str(report)
    assert f"{report.cases} of 20 cases compared" in str(report)


def test_a_known_difference_is_compared_and_excused(tmp_path: Path) -> None:
    def answer(problem: parity_tests.Problem) -> dict[str, Any]:
        answers = right_answer(problem)
        return answers | {"dx": 2 * answers["dx"]}

    report = parity_tests.check(answer, cases=10, known=known(tmp_path, "values of dx"))
    assert (report.verdict, report.exit_code, report.cases) == (Verdict.EQUAL, 0, 10)


def test_what_raises_at_once_is_not_judged(tmp_path: Path) -> None:
    def answer(problem: parity_tests.Problem) -> dict[str, Any]:
        raise ZeroDivisionError("of mine")

    for file in (None, known(tmp_path, "raises")):
        report = parity_tests.check(answer, known=file)
        assert (report.exit_code, report.cases, report.findings) == (2, 0, [])
        assert "the first ordinary call raises ZeroDivisionError: of mine (" in report.not_judged[0]
        assert "test_verdict.py:" in str(report)


def test_a_class_that_raises_at_once_is_refused_by_the_command_and_by_pytest(
    tmp_path: Path, run_here: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "mine.py").write_text(
        "import rnn_np\n"
        "class Mine(rnn_np.TimeRNN):\n"
        "    def backward(self, dhs):\n"
        "        return dhs @ self.params[9]\n"
    )
    status, output = run_here("mine.py:Mine", folder=tmp_path)
    assert status == 2
    assert output.strip() == (
        "rnn-parity: NOT JUDGED: mine.py:Mine: the first ordinary call raises IndexError: list index out of range "
        "(mine.py:4 in backward); the call was backward(dhs [3, 4, 5]); it was judged as a layer: a sequence, "
        "made of its weights, like rnn_np.TimeRNN. If it is no such layer: `rnn-parity adapt mine.py:Mine "
        "-o adapter.py` looks for an adapter"
    )

    class OneSequence(rnn_np.TimeRNN):
        def forward(self, xs: Any) -> Any:
            assert len(xs) == 1, "one sequence only"
            return super().forward(xs)

    marks = parity_tests.parametrize(OneSequence, cases=50)
    check = marks.args[1][0] if isinstance(marks.args[1], list) else next(iter(marks.args[1]))
    with pytest.raises(AssertionError, match=r"one sequence only .*; it answers with --without batch$"):
        check()
    assert parity_tests.check(OneSequence, without=["batch"], cases=10).cases == 10


@pytest.mark.parametrize(
    ("lost", "without", "told"),
    [
        (
            "dh_0 db",
            [],
            "it returns hs, h_n, dx, dWx and dWh, but not dh_0 and db. Return them too, or add --without dh_0,db",
        ),
        ("dh_0 dx", ["dx", "float32"], "but not dh_0. Return it too, or add --without dx,dh_0,float32"),
        (
            "h_n hs dx dh_0 dWx dWh db",
            [],
            "it returns none of hs, h_n, dx, dh_0, dWx, dWh, db: return a dict with",
        ),
    ],
)
@pytest.mark.parametrize("is_none", [False, True])
def test_an_adapter_that_returns_only_some_tensors_is_told_which(
    lost: str, without: list[str], told: str, is_none: bool
) -> None:
    def answer(problem: parity_tests.Problem) -> dict[str, Any]:
        found = {name: value for name, value in right_answer(problem).items() if name not in lost.split()}
        return found | (dict.fromkeys(lost.split()) if is_none else {})

    report = parity_tests.check(answer, without=without)
    assert (report.verdict, report.cases, report.findings) == (Verdict.NOT_JUDGED, 0, [])
    assert told in report.not_judged[0]


def test_a_layer_that_lacks_tensors_is_told_the_exact_without() -> None:
    """Its interface promises them, so that it is a fault unless it is declared."""

    class Forgetful(rnn_np.TimeRNN):
        h = dh = None

    report = parity_tests.check(Forgetful, kind="layer", case="B2T3D4H5-f64-h0-s0", lines=False)
    assert "If your code has none, --without h_n,dh_0 says so." in " ".join(str(report).split())


def test_an_adapter_is_told_of_a_name_that_no_tensor_has_and_of_no_dict() -> None:
    def misnamed(problem: parity_tests.Problem) -> dict[str, Any]:
        found = right_answer(problem)
        return {"states" if name == "hs" else name: value for name, value in found.items()}

    why = parity_tests.check(misnamed).not_judged[0]
    assert "but not hs; states is no tensor's name. Return it too, or add --without hs" in why
    why = parity_tests.check(lambda problem: (1, 2)).not_judged[0]
    assert "the answer is a tuple of 2, expected tensors by name, a dict" in why


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        (
            rnn_np.RNN,
            {"case": "B2T3D4H5-f64-s0"},
            "B2T3D4H5-f64-s0 is not for rnn_np._layers.RNN: it is judged as a cell: one time step, made of its "
            "weights, like rnn_np.RNN; its tokens begin with cell-, such as cell-B3D2H5-f64-s0",
        ),
        (rnn_np.nn.RNNCell, {"case": "B2T3D4H5-f64-s0"}, "begin with nncell-, such as nncell-B3D2H5-f64-s0"),
        (
            right_answer,
            {"case": "cell-B2D4H5-f64-s0"},
            "judged as an adapter; its tokens begin with B, such as B3T4D",
        ),
        (rnn_np, {"case": "B2T3D4H5-f64-s0", "without": ["float64"]}, "needs float64"),
        (
            rnn_np.TimeRNN,
            {"case": "B2T3D4H5-f64-row-s0", "without": ["row-bias"]},
            "B2T3D4H5-f64-row-s0 needs a bias [1, H], which --without row-bias says that rnn_np._layers.TimeRNN lacks",
        ),
        (
            right_answer,
            {"case": "B2T3D4H5-f64-row-s0"},
            "needs a bias [1, H], which an adapter has no place for",
        ),
    ],
)
def test_a_case_that_does_not_fit_is_told_why(target: Any, options: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r"^case: ") as refused:
        parity_tests.check(target, **options)
    assert told in str(refused.value)


def test_that_it_raises_in_every_case_is_said_once_with_the_place_and_the_call() -> None:
    class OddBatch(rnn_np.TimeRNN):
        def backward(self, dhs: Any) -> Any:
            if dhs.shape != (3, 4, 5):  # which the first call has
                raise ZeroDivisionError("of mine")
            return super().backward(dhs)

    (fault,) = parity_tests.check(OddBatch, cases=3, without=["row-bias"]).faults[:1]
    assert fault.message.startswith("It raises in every case. ZeroDivisionError: of mine (")
    assert fault.message.count("ZeroDivisionError") == 1
    assert re.search(
        r"\(\S*test_verdict.py:\d+ in backward\).*; the call was backward\(dhs \[[\d, ]+]\); it was judged as a layer: ",
        fault.message,
    )


def test_a_reason_that_many_checks_have_is_printed_once() -> None:
    report = Report(planned=1, errors=["one: it has none", "two: it has none", "three: other"])
    text = verdict(report, Run.open(checked_options({"cases": 1})).plan)
    assert "not judged: one, two: it has none\nnot judged: three: other\n" in text


def test_a_call_that_was_not_answered_is_not_counted() -> None:
    torch_answers = runner.reference_of(Run.open(checked_options({"cases": 1})).plan)
    case = replace(CASE, calls="again")

    def first_call_only(case: Case) -> CaseResults:
        return CaseResults(run_case(rnn_np, case).calls[:1])

    report = judge(case, torch_answers, first_call_only)
    assert (report.cases, report.calls, report.findings) == (0, 1, [])
    assert report.verdict == Verdict.NOT_JUDGED
    assert report.not_judged == [
        "1 of 1 cases were not compared: the target did not answer every call, in 1 case"
    ]
    whole = judge(case, torch_answers, lambda case: run_case(rnn_np, case))
    assert (whole.cases, whole.calls, whole.verdict) == (1, 2, Verdict.EQUAL)


@pytest.mark.parametrize("name", ["abs", "isfinite", "where", "array_equal", "sqrt", "finfo", "stack"])
def test_a_target_that_replaces_a_function_of_numpy_changes_no_comparison(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(np, name)

    class Mine(rnn_np.TimeRNN):
        def backward(self, dhs: Any) -> Any:
            with monkeypatch.context() as before:
                before.setattr(np, name, original)
                dx = 2 * super().backward(dhs)
            monkeypatch.setattr(np, name, lambda *args, **options: np.zeros(1))
            return dx

    report = parity_tests.check(Mine, case="B2T3D4H5-f64-s0")
    monkeypatch.setattr(np, name, original)
    assert "values of dx" in {finding.what for finding in report.faults}
    assert report.exit_code == 1


def report_of(**values: Any) -> Report:
    equal = {"planned": 3, "cases": 3, "calls": 3, "tensors": {"dx": Tally(3, 9, 0, 0.1, CASE)}}
    return Report(**{**equal, **values})


@pytest.mark.parametrize(
    ("values", "verdict", "line"),
    [
        ({}, Verdict.EQUAL, "EQUAL: every tensor of every case"),
        ({"cases": 2}, Verdict.NOT_JUDGED, "NOT JUDGED: 1 of 3 cases were not compared"),
        ({"cases": 2, "stopped": 1}, Verdict.NOT_JUDGED, "NOT JUDGED: 1 of 3 cases were not compared"),
        ({"cases": 0, "tensors": {}}, Verdict.NOT_JUDGED, "NOT JUDGED: 3 of 3 cases were not compared"),
        ({"tensors": {}}, Verdict.NOT_JUDGED, "NOT JUDGED: no tensor was compared"),
        ({"planned": 0, "cases": 0, "tensors": {}}, Verdict.NOT_JUDGED, "NOT JUDGED: no case was compared"),
        ({"planned_checks": 2, "checks": 1}, Verdict.NOT_JUDGED, "NOT JUDGED: 1 of 2 checks were not run"),
        (
            {"planned": 0, "cases": 0, "tensors": {}, "planned_checks": 3, "checks": 3, "selected": True},
            Verdict.PASSED,
            "PASSED: 3 checks; no case compared",
        ),
        ({"selected": True}, Verdict.PASSED, "PASSED: no check; 3 of 3 cases compared"),
        (
            {"planned": 0, "cases": 0, "tensors": {}, "selected": True},
            Verdict.NOT_JUDGED,
            "NOT JUDGED: no case was compared",
        ),
    ],
)
def test_the_verdict_follows_from_what_was_compared(
    values: dict[str, Any], verdict: Verdict, line: str
) -> None:
    plan = Run.open(checked_options({"cases": 3})).plan
    report = report_of(**values)
    assert report.verdict == verdict
    assert verdict_line(report, plan).startswith(line)
    assert report.exit_code == (2 if verdict == Verdict.NOT_JUDGED else 0)
    assert Report.from_json(report.to_json()) == report
    fault = Finding("values", "dx", CASE, "")
    different = report_of(**values, findings=[fault], failed=1)
    assert (different.verdict, different.exit_code) == (Verdict.DIFFERENT, 1)
    assert verdict_line(different, plan).startswith("DIFFERENT: 1 case differs; ")


def test_a_selection_passes_and_says_that_no_case_was_compared() -> None:
    options = "--reference", "recorded", "--workers", "0", "--"
    status, output = run_command(*options, "-k", "inputs and copied")
    assert status == 0, output
    assert "PASSED: 4 checks; no case compared" in output


def test_pytest_without_the_gate_keeps_its_own_status(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "parity_tests.run.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-k", "other"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
    assert "parity: the gate did not run" in done.stdout


def emptied(manifest: str) -> str:
    return "\n".join(line for line in manifest.splitlines() if '"B' not in line and "-B" not in line)


@pytest.mark.parametrize(
    "alter", [emptied, lambda text: text + "\n", lambda text: text.replace('"B', '"B', 1) + " "]
)
def test_an_altered_manifest_is_refused(
    alter: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fixtures"
    shutil.copytree(recorded.default_folder(), folder)
    file = folder / recorded.MANIFEST
    file.write_text(alter(file.read_text("utf-8")), "utf-8")
    monkeypatch.setattr(recorded, "default_folder", lambda: folder)
    recorded.default_recorded.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"manifest.json: expected SHA-256 .*; it was altered"):
            parity_tests.check(rnn_np.TimeRNN, reference="recorded")
    finally:
        recorded.default_recorded.cache_clear()


def test_a_cell_without_dh_0_says_that_nothing_through_time_was_judged() -> None:
    said = "nothing through time was judged"
    assert said in str(parity_tests.check(rnn_np.RNN, without=["dh_0"], cases=5))
    assert said not in str(parity_tests.check(rnn_np.RNN, cases=5))
    assert said not in str(parity_tests.check(rnn_np.TimeRNN, without=["dh_0"], cases=5))


def test_a_run_stops_only_after_200_cases_and_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Case] = []

    def fails(case: Case, *_: Any) -> Report:
        asked.append(case)
        finding = Finding("values", "dx", case, "", fault="a fault")
        return Report(1, 1, findings=[finding], failed=1)

    monkeypatch.setattr(runner, "judge", fails)
    monkeypatch.setattr(runner, "shrunk", lambda plan, report, *_: report.findings)

    class Mine(rnn_np.TimeRNN):
        pass

    with Run.open(checked_options({"target": Mine})) as own:
        report = run(own.plan, own.session)
        assert len(asked) >= 200
        assert asked[:200] == [case for batch in range(4) for case in own.plan.cases(batch)]
        assert report.cases == len(asked)
        assert report.planned == report.cases + report.stopped
        needed = set().union(*map(option_values, cases_with_options(own.plan.kinds, own.plan.without)))
        assert needed == set().union(*map(option_values, asked))
    assert report.exit_code == 1


@pytest.mark.parametrize(
    ("kinds", "without"),
    [(KINDS, ()), (("TimeRNN",), ("initial-state", "dense-gradient")), (("nn.RNN",), ("dropout", "relu"))],
)
def test_cases_with_options_have_every_option_that_is_drawn(
    kinds: tuple[str, ...], without: tuple[str, ...]
) -> None:
    every = set().union(*map(option_values, cases_with_options(kinds, without)))
    drawn = set().union(*(option_values(draw_case(5, number, kinds, without)) for number in range(150)))
    assert drawn <= every
    rare = {name for name, _ in every - drawn}
    assert rare <= {"nonfinite", "integer"}
