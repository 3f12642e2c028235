"""pytest as the engine of the command: how it is started, and how its report is collected."""

import os
import re
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from parity_tests.report import Report
from parity_tests.run.runner import Run
from parity_tests.run.signals import FROM_COMMAND, ended_by_signals, report_at_interrupt
from parity_tests.subjects.user_frames import error_line

PACKAGE = Path(__file__).parents[1]
GATE = PACKAGE / "run" / "test_gate.py"
CATALOGUE = PACKAGE / "selftest" / "test_faults.py"
ENGINE = (
    *("-c", str(PACKAGE / "run" / "gate.ini"), "--rootdir", str(PACKAGE)),
    *("-p", "parity_tests.run.plugin", "-p", "parity_tests.run.screen", "-p", "no:cacheprovider"),
    *("-p", "xdist", "--dist", "worksteal", "--max-worker-restart", "4", "--tb", "no", "-rN"),
)
"""How pytest is started, independent of the project that the command is called in."""

COMMAND = "parity-command"
"""The plugin that tells the run's controller that the command ``rnn-parity`` asks for a verdict."""


class Command:
    """A plugin that looks after the workers, and keeps what became of the run.

    Attributes:
        status: pytest's exit status.
        report: what the run's controller has added up, or None.
        error: why pytest could not start or go on, or ``""``.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name  # which pluggy takes for the plugin's name
        self.status = int(pytest.ExitCode.INTERNAL_ERROR)
        self.error = ""
        self.full_trace = False
        self.run: Run | None = None
        self.report: Report | None = None
        self.workers: dict[str, int] = {}
        self.ready: set[str] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        self.full_trace = config.option.fulltrace

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Say it in a line, in place of a traceback."""
        if not self.full_trace:
            raise pytest.UsageError(f"parity: {unexpected(excinfo.value)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        controller = session.config.pluginmanager.get_plugin("parity-controller")
        if controller is not None:
            self.run = controller.run
            report_at_interrupt(controller.run, self.workers.values)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[FROM_COMMAND] = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        channel = gateway.remote_exec("import os; channel.send(os.getpid())")
        self.workers[gateway.id] = channel.receive()
        channel.waitclose()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self.ready.add(node.gateway.id)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self.workers.pop(node.gateway.id, None)
        if error is None:
            return
        if self.run is None or self.run.interrupted:
            raise KeyboardInterrupt
        if node.gateway.id not in self.ready:  # xdist would start one after the other
            raise pytest.UsageError(f"parity: a worker process cannot start: {_reason(error)}")

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Take the report, if there is anything to judge."""
        controller = config.pluginmanager.get_plugin("parity-controller")
        if controller is not None and controller.judges:
            self.report = controller.run.report

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_parse(self) -> Generator[None, pytest.Config, pytest.Config]:
        """Keep what is wrong with pytest's options."""
        with self._kept():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self) -> Generator[None, object, object]:
        """Keep what is wrong with the gate's options."""
        with self._kept():
            return (yield)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except pytest.UsageError as error:
            # pytest's parser adds its usage, and where its own files are.
            text = "\n".join(map(str, error.args))
            found = re.search(r"^.*: error: (.*)$", text, re.MULTILINE)
            self.error = found[1] if found else text.removeprefix("parity: ")
            raise pytest.UsageError from None


def unexpected(error: BaseException) -> str:
    """Say that something failed here which is not the target's fault, and where."""
    # An exception of a worker process comes as the text of its traceback.
    what = (
        error_line(error)
        if not isinstance(error, AssertionError)
        else str(error).rstrip().rpartition("\n")[2]
    )
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, OSError | MemoryError):
        return f"the machine refused: {what}{place}"
    return f"the gate itself failed: {what}{place}; for a bug report run it again with -- --full-trace"


def _reason(error: object) -> str:
    """Why a worker is down, from what execnet says: the traceback of the worker's exception, if there is one."""
    last = str(error).strip().rpartition("\n")[2]
    _, _, own = last.partition("UsageError: parity: ")
    if own:
        return f"{own}; --workers 0 loads the target once"
    return "it ended at once" if last == "Not properly terminated" else last


def run_pytest(tests: Path, workers: str, arguments: Sequence[str]) -> Command:
    """Run the gate's own tests of a file, and return what became of it."""
    command = Command(COMMAND if tests == GATE else "parity-faults")
    with _isolated(), ended_by_signals(command.workers.values):
        arguments = [*ENGINE, "-n", workers, *arguments, str(tests)]
        command.status = int(pytest.main(arguments, plugins=[command]))
    return command


@contextmanager
def _isolated() -> Iterator[None]:
    """Without plugins and options of the caller's own project, which may reorder or skip."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
