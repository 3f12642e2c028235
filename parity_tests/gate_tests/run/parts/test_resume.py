"""A record of a run: what was judged is not judged again, and a record of anything else is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parity_tests
from parity_tests.cases.case import Case
from parity_tests.checks import values
from parity_tests.gate_tests.run.parts import targets
from parity_tests.gate_tests.run.parts.targets import FORWARD
from parity_tests.report import Finding, Report, Severity, Verdict
from parity_tests.run import plan, runner
from parity_tests.run.record.resume import Record, ResumeError
from parity_tests.subjects.loading import Target

pytest.importorskip("torch", reason="fresh cases need torch")

CASES = 12
SLOW = """import time
import rnn_np
class Mine(rnn_np.RNN):
    def forward(self, x, h_prev):
        time.sleep(0.01)
        return super().forward(x, h_prev)
"""
OPTIONS = ("--as", "cell", "--without", "speed", "--reference", "recorded", "--json", "report.json")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases that are judged, in batches of 4."""
    monkeypatch.setattr(plan, "BATCH", 4)
    cases: list[Case] = []
    judge = values.judge

    def noted(case: Case, *arguments: Any) -> Report:
        cases.append(case)
        return judge(case, *arguments)

    monkeypatch.setattr(runner, "judge", noted)
    return cases


def check(file: Path, target: Any = targets.right, **options: Any) -> Report:
    return parity_tests.check(target, resume=file, **{**FORWARD, "cases": CASES, **options})


def test_what_is_in_the_record_is_not_judged_again(tmp_path: Path, judged: list[Case]) -> None:
    file = tmp_path / "record"
    whole = parity_tests.check(targets.right, cases=CASES, **FORWARD)  # type: ignore[arg-type]
    judged.clear()
    assert check(file) == whole
    assert len(judged) == CASES
    lines = file.read_text("utf-8").splitlines()
    assert [json.loads(line).get("name") for line in lines] == [None, "batch 0", "batch 1", "batch 2", "end"]
    assert check(file) == whole
    assert len(judged) == CASES
    # As if it had been killed: between two batches, in the middle of a line, before the end was written.
    for kept, rest, again in (
        (2, "", 8),
        (2, lines[2][:-9], 8),
        (1, lines[1][:1], 12),
        (4, "", 0),
        (0, lines[0][:30], 12),
    ):
        file.write_text("".join(f"{line}\n" for line in lines[:kept]) + rest, "utf-8")
        judged.clear()
        assert check(file) == whole
        assert len(judged) == again
        assert file.read_text("utf-8").splitlines() == lines


def test_a_record_of_a_fault_gives_the_same_report_at_once(tmp_path: Path, judged: list[Case]) -> None:
    file = tmp_path / "record"
    report = check(file, targets.wrong)
    judged.clear()
    again = check(file, targets.wrong)
    assert again == report
    assert again.verdict == Verdict.DIFFERENT
    assert str(again).splitlines()[1:] == str(report).splitlines()[1:]
    assert judged == []


def test_a_part_has_a_record_of_its_own(tmp_path: Path, judged: list[Case]) -> None:
    file = tmp_path / "record"
    assert check(file, shard="2/2").verdict == Verdict.PART
    assert len(judged) == 4
    assert check(file, shard="2/2").verdict == Verdict.PART
    assert len(judged) == 4
    for other in (None, "1/2", "2/3"):
        with pytest.raises(ValueError, match=r"^resume: .* is of another run: part is "):
            check(file, shard=other)


def other_source(problem: parity_tests.Problem) -> Any:
    """Right, and in another file than ``targets.right``."""
    return targets.right(problem)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 1}, "seed is 1, not 0"),
        ({"cases": 13}, "cases is 13, not 12"),
        ({"without": ["backward", "float32"]}, "without is "),
        ({"timeout": 5}, "timeout is 5.0, not 10.0"),
        ({"target": targets.wrong}, "target is "),
        ({"reference": "recorded", "cases": None}, "reference is recorded, not torch"),
    ],
)
def test_a_record_of_another_run_is_refused(
    options: dict[str, Any], said: str, tmp_path: Path, judged: list[Case]
) -> None:
    file = tmp_path / "record"
    check(file)
    before = file.read_bytes()
    judged.clear()
    with pytest.raises(ValueError, match=r"^resume: .* is of another run: ") as refusal:
        check(file, **options)
    assert said in str(refusal.value)
    assert judged == []
    assert file.read_bytes() == before


def test_a_target_whose_source_has_changed_is_judged_anew(tmp_path: Path, judged: list[Case]) -> None:
    helper, file = tmp_path / "helper.py", tmp_path / "record"
    (tmp_path / "mine.py").write_text("from helper import answer\n", "utf-8")
    text = "from parity_tests.gate_tests.run.parts import targets\nanswer = targets.right\n"
    helper.write_text(text, "utf-8")
    assert check(file, f"{tmp_path}/mine.py:answer", kind="adapter").verdict == Verdict.EQUAL
    helper.write_text(text.replace("targets.right", "targets.wrong"), "utf-8")
    with pytest.raises(ValueError, match="is of another run: the target's source is another one"):
        check(file, f"{tmp_path}/mine.py:answer", kind="adapter")


def test_a_target_without_a_source_has_no_record(tmp_path: Path) -> None:
    names: dict[str, Any] = {"targets": targets, "__name__": "typed at a prompt"}
    exec("def answer(problem): return targets.right(problem)", names)
    with pytest.raises(ValueError, match=r"^resume: the source of .* cannot be found, so that a change"):
        check(tmp_path / "record", names["answer"])


def test_a_run_that_goes_on_stops_where_a_fault_was_found_before(
    tmp_path: Path, judged: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "DEFAULT_CASES", CASES)
    for module in (plan, runner):
        monkeypatch.setattr(module, "CASES_BEFORE_STOP", 4)
    monkeypatch.setattr(runner.Run, "explain", lambda run, report: None)
    file = tmp_path / "record"
    whole = check(file, targets.wrong, cases=None)
    assert whole.stopped == 8
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:2]), "utf-8")
    assert check(file, targets.wrong, cases=None) == whole


def test_a_record_is_of_a_whole_run_and_a_file_of_its_own(
    tmp_path: Path, run_here: Callable[..., tuple[int, str]]
) -> None:
    options = ("rnn_np:RNN", "--reference", "recorded", "--resume", "record")
    status, output = run_here(*options, "--", "-k", "speed", folder=tmp_path)
    assert (status, "tests were selected" in output) == (2, True)
    status, output = run_here(*options, "--json", "./record", folder=tmp_path)
    assert (status, "is the file of the report too: give two" in output) == (2, True)
    assert [*tmp_path.iterdir()] == []


def line_of(name: str, report: Report) -> str:
    return json.dumps({"name": name, "report": report.to_json()})


ODD = Report(4, 4, findings=[Finding("values", "hs", Case(B=1, T=1, D=1, H=1), "", severity=Severity.KNOWN)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[0], lines[1][:-5], *lines[2:]], "line 2 is damaged"),
        (lambda lines: [lines[0], "", *lines[1:]], "line 2 is damaged"),
        (
            lambda lines: [lines[0], lines[1], lines[1], *lines[2:]],
            "line 3 is damaged ('batch 0' does not belong here)",
        ),
        (
            lambda lines: [lines[0], lines[-1], *lines[1:]],
            "line 2 is damaged (it is no end of what stands before)",
        ),
        (lambda lines: [lines[0], line_of("batch 7", ODD), *lines[1:]], "'batch 7' does not belong here"),
        (
            lambda lines: [lines[0], lines[1].replace('"ok": true', '"ok": false'), *lines[2:]],
            "report: it is damaged: ok is False",
        ),
        (lambda lines: lines[1:], "is no record of a run; give the name of a new file"),
        (lambda lines: ["{}", *lines[1:]], "is no record of a run; give the name of a new file"),
        (lambda lines: ["x = 1", "y = 2"], "is no record of a run; give the name of a new file"),
        (lambda lines: ["é", "y"], "is no record of a run, or is damaged"),
        (
            lambda lines: [lines[0].replace('"resume": 1', '"resume": 2'), *lines[1:]],
            "is of another run: format is 1, not 2",
        ),
    ],
)
def test_a_damaged_record_is_refused_and_not_changed(
    change: Callable[[list[str]], list[str]], said: str, tmp_path: Path, judged: list[Case]
) -> None:
    file = tmp_path / "record"
    check(file)
    lines = file.read_text("utf-8").splitlines()
    file.write_text("".join(f"{line}\n" for line in change(lines)), "utf-8")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"^resume: ") as refusal:
        check(file)
    assert said in str(refusal.value)
    assert file.read_bytes() == before


def test_an_end_of_other_numbers_is_not_believed(tmp_path: Path, judged: list[Case]) -> None:
    """Its last line is damaged for that, and so it is as if it were not there."""
    file = tmp_path / "record"
    whole = check(file)
    *lines, end = file.read_text("utf-8").splitlines()
    data = json.loads(end)
    data["report"] = replace(whole, cases=3, planned=3, calls=3).to_json()
    file.write_text("".join(f"{line}\n" for line in [*lines, json.dumps(data)]), "utf-8")
    assert check(file) == whole


def test_a_file_that_cannot_be_a_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1", "utf-8")
    for file, said in (
        (tmp_path / "mine.py", "is no record of a run; give the name of a new file"),
        (tmp_path, "cannot write .*: Is a directory"),
        (tmp_path / "no" / "record", "cannot write .*: No such file or directory"),
        (tmp_path / "a\0", "cannot write .*null"),
        (Path("/dev/zero"), "is no file, but a pipe or a device"),
        (Path("/dev/null"), "is no file, but a pipe or a device"),
    ):
        with pytest.raises(ValueError, match=rf"^resume: .*{said}"):
            check(file)
    assert (tmp_path / "mine.py").read_text("utf-8") == "x = 1"


def test_two_runs_cannot_write_one_record(tmp_path: Path, judged: list[Case]) -> None:
    file = tmp_path / "record"
    report = check(file)
    assert report.run is not None
    of = plan.Plan(Target("rnn_np"), "package", (), "torch")
    pytest.importorskip("fcntl")
    record = Record(tmp_path / "other", report.run, of)
    with pytest.raises(ResumeError, match="is in use by another run"):
        Record(tmp_path / "other", report.run, of)
    record.close()
    Record(tmp_path / "other", report.run, of).close()


# A real run, from outside.


def started(folder: Path, workers: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "parity_tests", "mine.py:Mine", *OPTIONS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        [*command, "--resume", "record", "--workers", workers],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def lines_of(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.proof
def test_a_run_that_is_interrupted_and_then_killed_ends_in_the_same_report(
    tmp_path: Path, run_here: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "mine.py").write_text(SLOW, "utf-8")
    file = tmp_path / "record"
    for number, workers in ((signal.SIGINT, "1"), (signal.SIGKILL, "0")):
        before = lines_of(file)
        command = started(tmp_path, workers)
        deadline = time.monotonic() + 60
        while lines_of(file) < before + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(command.pid, number)
        text, _ = command.communicate(timeout=60)
        assert command.returncode == (2 if number == signal.SIGINT else -signal.SIGKILL), text
        assert lines_of(file) >= before + 2, text
        assert b'"end"' not in file.read_bytes()
        if number == signal.SIGINT:
            assert re.search(r"record has \d+ of \d+ batches and checks: the same\s+command goes on", text)
    resumed = run_here("mine.py:Mine", *OPTIONS, "--resume", "record", folder=tmp_path)
    assert resumed[0] == 0, resumed[1]
    assert re.search(r"\d+ of (\d+) batches and checks are taken from record", resumed[1])
    assert "record has all that was judged: the same command gives this verdict at once" in resumed[1]
    report = (tmp_path / "report.json").read_bytes()
    whole = run_here("mine.py:Mine", *OPTIONS, folder=tmp_path)
    assert whole[0] == 0
    assert (tmp_path / "report.json").read_bytes() == report
