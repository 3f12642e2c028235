"""Ctrl-C, SIGTERM, and workers that cannot start or end too early."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import parity_tests
import rnn_np
from parity_tests.check_facts import RAISES
from parity_tests.gate_tests.run.test_run import run
from parity_tests.report import Report
from parity_tests.run.engine import Command, unexpected
from parity_tests.run.options import checked_options
from parity_tests.run.plugin import GATE, RUN, Controller
from parity_tests.run.runner import Run
from parity_tests.subjects import session

RECORDED = ("--reference", "recorded")
SLOW = """
import subprocess, time
import rnn_np
subprocess.Popen(["sleep", "{sleep}"])
class RNN(rnn_np.TimeRNN):
    def forward(self, xs):
        if xs.shape[1] > 4:
            open(r"{flag}", "a").close()
            time.sleep(9)
        return super().forward(xs)
"""


def _started(folder: Path, sleep: str, *arguments: str) -> "subprocess.Popen[str]":
    """The command, once a case keeps its target busy."""
    flag = folder / "flag"
    (folder / "slow.py").write_text(SLOW.format(sleep=sleep, flag=flag), "utf-8")
    command = [sys.executable, "-m", "parity_tests", "slow.py:RNN", *RECORDED, *arguments]
    started = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A job in the background of a script ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not flag.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return started


def _sleeps(sleep: str) -> bool:
    found = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    return f"sleep {sleep}" in found


def test_sigterm_ends_the_workers_and_what_targets_have_started(tmp_path: Path) -> None:
    report, sleep = tmp_path / "report.json", f"98765{os.getpid()}"
    command = _started(tmp_path, sleep, "--workers", "1", "--json", str(report))
    assert _sleeps(sleep)
    started = time.monotonic()
    command.terminate()
    text, _ = command.communicate(timeout=30)
    assert command.returncode == -signal.SIGTERM
    assert time.monotonic() - started < 5
    assert "rnn-parity: ended by SIGTERM" in text
    assert "Traceback" not in text
    assert not report.exists()
    deadline = time.monotonic() + 5
    while _sleeps(sleep) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _sleeps(sleep)


def test_ctrl_c_reports_what_is_known(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = _started(tmp_path, "1", "--workers", "0", "--json", str(report))
    os.killpg(command.pid, signal.SIGINT)
    text, _ = command.communicate(timeout=30)
    assert command.returncode == 2, text
    assert "NOT JUDGED: the run was interrupted" in text
    assert "Traceback" not in text
    assert '"the run was interrupted"' in report.read_text("utf-8")


# In this process.


def _run() -> Run:
    return Run.open(checked_options({"target": rnn_np.TimeRNN, "reference": "recorded"}))


def test_an_interrupt_keeps_the_cases_of_an_unfinished_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    own = _run()
    judged: list[object] = []
    run_case = own.session.run_case

    def interrupted_in_the_third(case: Any) -> Any:
        judged.append(case)
        if len(judged) == 3:
            own.interrupt()
        return run_case(case)

    monkeypatch.setattr(own.session, "run_case", interrupted_in_the_third)
    own.expect(own.plan.batches, 0)
    for batch in own.plan.batches:
        own.add(own.until_interrupted(own.judge_batch, batch), batch)
    report = own.finish()
    assert len(judged) == 3
    assert (report.cases, report.exit_code) == (2, 2)
    assert report.not_judged[0] == "the run was interrupted"


def test_an_interrupt_between_batches_leaves_the_rest_out() -> None:
    own = _run()
    own.interrupt()
    own.interrupt()
    assert own.until_interrupted(own.judge_batch, 0) == Report(planned=0)


def test_ctrl_c_in_python_is_raised_and_the_session_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session.InProcess, "run_case", interrupted)
    monkeypatch.setattr(session.InProcess, "close", lambda own: closed.append(own))
    with pytest.raises(KeyboardInterrupt):
        parity_tests.check(rnn_np.TimeRNN, reference="recorded")
    assert len(closed) == 1


def test_a_worker_that_cannot_start_ends_the_run_at_once(tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(
        "from pathlib import Path\nimport rnn_np\n"
        "Path(__file__).with_name('flag').touch(exist_ok=False)\n"
        "class RNN(rnn_np.TimeRNN): pass\n",
        "utf-8",
    )
    status, text = run("once.py:RNN", *RECORDED, "--workers", "1", folder=tmp_path)
    assert status == 2
    assert text.count("a worker process cannot start: once.py:RNN: loading it failed: FileExistsError") == 1
    assert "--workers 0 loads the target once" in text
    assert "Traceback" not in text


def _down(command: Command, error: object) -> Callable[[], None]:
    spec = SimpleNamespace(popen=True, via=None, python=None, chdir=None)
    node = SimpleNamespace(gateway=SimpleNamespace(id="gw0", spec=spec))
    return lambda: command.pytest_testnodedown(node, error)


def test_a_worker_that_ends_is_replaced_only_if_it_has_judged() -> None:
    command = Command("test")
    command.run = _run()
    for error, reason in (
        ("Not properly terminated", "it ended at once"),
        ("Traceback\n  File\nMemoryError: no\n", "MemoryError: no"),
    ):
        with pytest.raises(pytest.UsageError, match=f"^parity: a worker process cannot start: {reason}$"):
            _down(command, error)()
    command.ready.add("gw0")
    _down(command, "Not properly terminated")()
    _down(command, None)()
    command.run.interrupt()
    with pytest.raises(KeyboardInterrupt):
        _down(command, "keyboard-interrupt")()


def test_a_worker_that_is_killed_leaves_its_batch_not_judged() -> None:
    config: Any = SimpleNamespace(stash={RUN: _run()})
    controller = Controller(config)
    report: Any = SimpleNamespace(
        when="???",
        user_properties=[],
        failed=True,
        nodeid=f"run/test_gate.py::{GATE}[batch 3]",
        longreprtext=f"worker 'gw0' crashed while running 'run/test_gate.py::{GATE}[batch 3]'",
    )
    controller.pytest_runtest_logreport(report)
    assert controller.run.report.errors == ["batch 3: its worker process ended, by a signal?"]


def test_an_error_of_the_gate_itself_is_one_line() -> None:
    assert "the machine refused: OSError: [Errno 24] many" in unexpected(OSError(24, "many"))
    assert "-- --full-trace" in unexpected(RuntimeError("x"))
    command = Command("test")
    with pytest.raises(pytest.UsageError, match=r"the gate itself failed: KeyError: 1 \(.*:\d+\); "):
        command.pytest_internalerror(_raised())


def _raised() -> pytest.ExceptionInfo[BaseException]:
    try:
        raise KeyError(1)
    except KeyError:
        return pytest.ExceptionInfo.from_current()


def test_a_target_that_is_gone_for_good_leaves_the_findings_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from parity_tests.run import runner

    def gone(*_: object) -> None:
        raise session.TargetGivenUp("gone")

    own = _run()
    own.report.find([RAISES.finding("", own.plan.cases(0)[0], "x")])
    monkeypatch.setattr(runner, "explained", gone)
    assert [finding.message for finding in own.finish().findings] == ["x"]
