"""The screen: what the command, pytest and a call show, and how it is laid out."""

import fcntl
import io
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parity_tests
import rnn_np
from parity_tests.cases.case import Case
from parity_tests.gate_tests.people import LAYERS
from parity_tests.references.recorded import default_recorded
from parity_tests.report import Finding, Report, Severity, Tally
from parity_tests.run.cli import main
from parity_tests.run.options import checked_options
from parity_tests.run.plan import Plan
from parity_tests.run.runner import Run
from parity_tests.run.show import progress
from parity_tests.run.show.again import run_again
from parity_tests.run.show.layout import LOG_WIDTH, Layout
from parity_tests.run.show.progress import Progress, SharedCount
from parity_tests.run.show.render import header, verdict
from parity_tests.run.versions import versions_of
from parity_tests.subjects.loading import Target

CASE = Case(B=1, T=1, D=1, H=1)
WRONG = """
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
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "a",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": WRONG,
        }
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> list[str]:
    """The lines that the command leaves on a terminal of 80 columns."""
    theirs, ours = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 40, 80, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "CI")}
    command = [sys.executable, "-m", "parity_tests", *arguments]
    started = subprocess.Popen(
        command, stdout=ours, stderr=ours, cwd=folder, env={**kept, "TERM": "xterm", **environment}
    )
    os.close(ours)
    output = b""
    while True:
        try:
            piece = os.read(theirs, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
    started.wait()
    os.close(theirs)
    return [line.rpartition("\r")[2] for line in output.decode().replace("\r\n", "\n").splitlines()]


def plan_of(target: Target, **options: Any) -> Plan:
    return Plan(target, "cell", ("RNN",), "recorded", **options)


def finding(number: int = 0, **fields: Any) -> Finding:
    known = {"check": f"check {number}", "tensor": "dx", "case": CASE, "message": f"message {number}"}
    return Finding(**{**known, **fields})


def found(*findings: Finding, **fields: Any) -> Report:
    report = Report(**{"planned": 1, "cases": 1, "failed": 1, **fields})
    report.findings = list(findings)
    return report


def test_the_command_has_a_screen_of_its_own_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "my_rnn.py").write_text(WRONG, "utf-8")
    (tmp_path / "my_rnn.ipynb").write_text(json.dumps(NOTEBOOK), "utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    case = str(min((case for case in default_recorded().cases if case.layer == "RNN"), key=lambda c: c.size))
    one_case = ("--reference", "recorded", "--case", case)
    text = "\n".join(on_a_terminal(tmp_path, "my_rnn.py:RNN", *one_case))
    plain = on_a_terminal(tmp_path, "my_rnn.ipynb:RNN", *one_case, NO_COLOR="1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for theirs in ("rootdir", "configfile", "gate.ini", "workers", "passed", "failed in", "====", "plugins"):
        assert theirs not in text
    assert "\x1b[" in text
    assert "\x1b" not in "\n".join(plain)
    assert plain[0].startswith("judging my_rnn.ipynb:RNN, taken for a cell: one time step")
    order = ("taken for a cell", "DIFFERENT", "UPSTREAM GRADIENT DROPPED", "run it alone: ", "worst error")
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert [line for line in plain if len(line) > 80 and case not in line] == []
    assert re.search(r": got -?\d\.\d{4,9}, expected -?\d\.\d{4,9}, error over allowed", text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--casess", "3"], "unrecognized arguments: --casess; did you mean --cases?"),
        (["--timeuot=3"], "did you mean --timeout?"),
        (["--kind", "cell"], "did you mean --as?"),
        (["--parity-seed", "3"], "did you mean --seed?"),
        (["--as", "modul"], "did you mean module?"),
        (["--reference", "torhc"], "did you mean torch?"),
        (["--without", "relus"], "did you mean relu?"),
        (["--without", "input-copied"], "did you mean inputs-copied?"),
        (["--without", "dweight_hi"], "did you mean dweight_ih?"),
        (["fault"], "did you mean faults?"),
        (["--known", "known.txt"], "there is no check 'valeus'; did you mean values?"),
        (["--", "--parity-sed", "3"], "unrecognized arguments: --parity-sed; did you mean --parity-seed?"),
        (["--", "--no-such-option"], "NOT JUDGED: unrecognized arguments: --no-such-option"),
    ],
)
def test_a_misspelt_name_gets_a_question(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (tmp_path / "known.txt").write_text("valeus of dx: they are\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    own = [] if "--reference" in words else ["--reference", "recorded"]
    assert main([*own, *words]) == 2
    output = capfd.readouterr()
    assert message in output.err
    assert output.err.startswith(("rnn-parity: error: ", "rnn-parity: NOT JUDGED: ", "usage: "))
    assert output.out == ""
    assert "rootdir" not in output.err
    if "relus" in words:
        assert "checks (inputs-untouched, results-owned-by-the-caller, " in output.err


def test_a_selection_of_nothing_lists_the_checks(capfd: Any) -> None:
    assert main(["--reference", "recorded", "-q", "--", "-k", "inputs and copyed"]) == 2
    assert len(capfd.readouterr().out.splitlines()) == 1
    assert main(["--reference", "recorded", "--", "-k", "inputs and copyed"]) == 2
    said = capfd.readouterr().out
    assert "nothing was selected by -k 'inputs and copyed'; did you mean copied?" in said
    assert "checks that can be selected: inputs untouched, " in said


def test_the_help_lists_the_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in ("repeatable backward", "weights copied", "non-finite values", "dweight_ih", "batch-first"):
        assert name in text


def test_a_report_shows_faults_then_advice_in_a_line_then_the_tensors() -> None:
    plan = plan_of(Target("mine.py:RNN"))
    advice = finding(0, check="prints", severity=Severity.ADVISORY, message="it prints\nmore than that " * 9)
    report = found(advice, *(finding(number) for number in range(1, 15)))
    report.tensors = {"dx": Tally(1, 2, 0, sys.float_info.max, CASE)}
    usual = verdict(report, plan)
    lines = usual.splitlines()
    assert lines[0].startswith("DIFFERENT: ")
    assert usual.index("1. check 1 of dx (fault)") < usual.index("advice (") < usual.index("worst error")
    assert sum(line.startswith("- prints of dx: it prints") for line in lines) == 1
    assert "... and 2 more faults; -v shows all" in lines
    assert re.search(r"^dx +1 +2 +0 +inf +B1T1D1H1-f64-s0$", usual, re.MULTILINE)
    everything = verdict(report, plan, Layout(detail=1))
    assert "14. check 14 of dx (fault)" in everything
    assert "15. prints of dx (advice)" in everything
    quiet = verdict(report, plan, Layout(detail=-1))
    assert quiet == f"{lines[0]}\n"
    assert "\x1b" not in usual
    painted = verdict(report, plan, Layout(paint=lambda text, **colours: f"<{text}>"))
    assert painted.startswith("<DIFFERENT>: ")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_text_is_as_wide_as_the_terminal_and_tokens_are_never_broken(width: int) -> None:
    case = replace(CASE, B=123, D=45, layout="transposed", calls="again", bias="row", seed=123456)
    message = "An explanation in words, with `code that is = kept[together]`, and an index. " * 3
    message += "dx[0, 0, 12]: got 1, expected 2, error over allowed 3; 1 of 1 elements is off"
    report = found(finding(case=case, message=message), failed=1)
    report.tensors = {"dx": Tally(1, 2, 0, 0.5, case)}
    text = verdict(report, plan_of(Target("my folder/mine.py:RNN")), Layout(width, 1, is_log=False))
    for line in text.splitlines():
        assert len(line) <= width or str(case) in line, line
    assert f"run it alone: rnn-parity 'my folder/mine.py:RNN' --case {case}" in text
    assert text.count("`code that is = kept[together]`") == 3
    assert "dx[0, 0, 12]: got" in text
    assert text.count(str(case)) == 3


def test_a_log_has_100_columns_and_its_verdict_is_one_line() -> None:
    report = found(finding(message="word " * 100), stopped=1234)
    report.planned += report.stopped
    first, *rest = verdict(report, plan_of(Target("mine.py:RNN"))).splitlines()
    assert "--cases N runs them" in first
    assert max(map(len, rest)) <= LOG_WIDTH


def test_the_header_says_what_was_judged_and_taken_for_what() -> None:
    class Adapter:
        def __call__(self, problem: Any) -> Any:
            """Never called."""

    with Run.open(checked_options({"target": Adapter(), "kind": "adapter", "reference": "recorded"})) as run:
        assert "an adapter" in header(run, 0)[0]
        assert len(header(run, 0)) == 2
        assert all(version in header(run, 1)[2] for version in versions_of(run.plan).values())


def test_progress_shows_cases_a_second_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, judged = [0.0], [0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    shown = {}
    for rewrites in (True, False):
        out = io.StringIO()
        clock[0], judged[0] = 0.0, 0
        one = Progress(out, rewrites, lambda: 2000 if clock[0] > 2 else 0, lambda: judged[0])
        for _ in range(250):
            clock[0] += 0.1
            judged[0] += 5 if clock[0] > 4 else 0
            one.tick()
        one.phase = "looking for the name and the line of the fault"
        clock[0] += 10
        one.tick()
        one.clear()
        shown[rewrites] = out.getvalue()
    assert shown[False].splitlines() == [
        "310 of 2000 cases judged, 51 cases a second, 33 s left",
        "810 of 2000 cases judged, 50 cases a second, 24 s left",
        "looking for the name and the line of the fault, 35 s",
    ]
    texts = shown[True].split("\r")
    assert "\n" not in shown[True]
    assert texts[1].startswith("starting, ")
    assert len(texts) > 100
    assert texts[-1] == ""
    assert texts[-2].isspace()


def test_a_call_shows_its_progress_in_a_notebook_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(progress, "REWRITE_SECONDS", 0.0)
    parity_tests.check(rnn_np.RNN, case="cell-B2D2H2-f64-s0")
    assert capsys.readouterr() == ("", "")
    app = types.SimpleNamespace(IPKernelApp=types.SimpleNamespace(initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", app)
    parity_tests.check(rnn_np.RNN, case="cell-B2D2H2-f64-s0")
    output = capsys.readouterr().out
    assert "\r1 of 1 case judged" in output
    assert output.endswith(" \r")


def test_processes_count_together(tmp_path: Path) -> None:
    counts = [SharedCount(tmp_path / "cases") for _ in range(2)]
    for count in (*counts, counts[0]):
        count.add()
    assert [count.value() for count in counts] == [3, 3]
    for count in counts:
        count.close()


def test_the_command_shown_is_quoted_and_reproduces_the_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    code = WRONG.replace("return self.cache[2].copy()", "return self.cache[2]").replace(
        "= 1 - h_next**2", "= dh_next"
    )
    file = tmp_path / "a folder" / "it's $HOME & mine.py"
    file.parent.mkdir()
    file.write_text(code, "utf-8")
    monkeypatch.chdir(tmp_path)
    target = "a folder/it's $HOME & mine.py:RNN"
    options = {"reference": "recorded", "kind": "cell", "without": ["dh_0", "relu"], "timeout": 9.0}
    report = parity_tests.check(target, **options)  # type: ignore[arg-type]
    commands = re.findall("run it alone: (.*)", str(report))
    assert len(commands) >= 1
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["rnn-parity", target]
        status = main([*words[1:], "--json", str(tmp_path / "report.json"), "--workers", "0"])
        assert status == 1, command
    capfd.readouterr()


def target_class(name: str) -> type:
    return {cls.__name__: cls for _, _, cls in LAYERS}[name]


def test_the_call_shown_is_python_and_reproduces_the_finding() -> None:
    pytest.importorskip("torch")

    class Mine(rnn_np.TimeRNN):
        def backward(self, dhs: Any) -> Any:
            dxs = 2 * super().backward(dhs)
            self.grads[:] = [grad.copy() for grad in self.grads]
            return dxs

    report = parity_tests.check(Mine, cases=5, without=["layouts"])
    plan = replace(plan_of(Target.at_hand(Mine)), reference="torch", without=("layouts",))
    calls = {run_again(plan, one): one.what for one in report.faults}
    assert 'parity_tests.check(Mine, without=["layouts"], cases=1)' in calls
    for call, what in calls.items():
        assert call in str(report)
        again = eval(call, {"parity_tests": parity_tests, "Mine": Mine})
        assert what in {other.what for other in again.faults}


def test_an_assertion_says_verdict_and_fault_first() -> None:
    pytest.importorskip("torch")
    with pytest.raises(AssertionError) as raised:
        parity_tests.assert_parity(target_class("NotebookRNN"), case="B1T1D1H1-f64-s0", lines=False)
    first = str(raised.value).splitlines()[0]
    assert re.match(r"DIFFERENT: [a-z ]+ \(values of .*dWx", first), first
    assert raised.traceback[-1].frame.f_locals.get("__tracebackhide__")


def test_a_report_has_a_line_for_repr_and_a_table_for_a_notebook() -> None:
    report = found(finding(1, message="a <b> & 'c'", fault="gradient doubled"), finding(2, tensor="<i>"))
    report.tensors = {"dx": Tally(1, 2, 0, sys.float_info.max, CASE)}
    assert repr(report) == "<Report DIFFERENT: gradient doubled (check 1 of dx); check 2 of <i>>"
    shown = report._repr_html_()
    assert "a &lt;b&gt; &amp; &#x27;c&#x27;" in shown
    assert "<i>" not in shown
    assert "<td>inf</td>" in shown
    assert shown.count("<table>") == shown.count("</table>") == 2
    assert "\n" not in repr(Report(planned=3))
