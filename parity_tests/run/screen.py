"""The screen of the command: what pytest, its engine, shows instead of its own.

It takes the place of pytest's terminal reporter, under the same name, as xdist and others ask for one.
"""

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pytest

from parity_tests.run.engine import CATALOGUE
from parity_tests.run.output import Printer
from parity_tests.run.plugin import CONTROLLER, Controller
from parity_tests.run.show.layout import layout_here
from parity_tests.run.show.progress import Progress, SharedCount, Ticker, is_rewritable
from parity_tests.run.show.render import fault_table, header, record_line, verdict
from parity_tests.words import did_you_mean

NAME = "terminalreporter"


@pytest.hookimpl(trylast=True)  # when pytest's is there, and before xdist asks for it
def pytest_configure(config: pytest.Config) -> None:
    """Replace pytest's terminal reporter, in the process that adds up the reports."""
    theirs = config.pluginmanager.get_plugin(NAME)
    controller = config.pluginmanager.get_plugin(CONTROLLER)
    if theirs is not None and controller is not None:
        screen = Screen(config, theirs, controller)
        config.pluginmanager.unregister(name=NAME)
        config.pluginmanager.register(screen, NAME)


class Screen:
    """Shows header, progress and verdict of a run, and nothing of pytest's own.

    What is not defined here, such as ``section``, is that of pytest's terminal reporter: other plugins use it.
    """

    def __init__(
        self, config: pytest.Config, theirs: pytest.TerminalReporter, controller: Controller
    ) -> None:
        self.config, self.controller, self._theirs = config, controller, theirs
        self._tw = config.get_terminal_writer()
        self._stdout, self._out = sys.stdout, _kept(sys.stdout)
        is_terminal = is_rewritable(self._out)
        self.layout = layout_here(config.option.verbose)
        if self._tw.hasmarkup:
            self.layout = replace(self.layout, paint=self._tw.markup)
        self.judges = str(CATALOGUE) not in config.args
        self._problems: list[str] = []
        self._tests = self._ended_tests = 0
        self._is_running = True
        self._folder = tempfile.TemporaryDirectory(prefix="rnn-parity-")
        self._count = SharedCount(file := Path(self._folder.name, "cases"))
        controller.counts = str(file)
        controller.run.on_case = self._count.add
        controller.run.on_phase = self._phase
        self._progress = self._made_progress(is_terminal)
        self._ticker = Ticker(self._progress)

    def _made_progress(self, is_terminal: bool) -> Progress:
        if self.judges:
            return Progress(
                self._out, is_terminal, lambda: self.controller.run.still_planned, self._count.value
            )
        return Progress(
            self._out, is_terminal, lambda: self._tests, lambda: self._ended_tests, "fault", "put in"
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)

    # What other plugins write while the run goes on, such as xdist's list of workers, is not shown.

    def write_line(self, line: str, **markup: bool) -> None:
        """Write a line of another plugin, once the run is over."""
        if not self._is_running:
            self._theirs.write_line(line, **markup)

    def rewrite(self, line: str, **markup: bool) -> None:
        """Write nothing: only the progress of the run rewrites its line."""

    # The run.

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Show what is about to be judged."""
        if self.layout.detail < 0 or self.config.option.collectonly:
            return
        lines = ["putting every fault of the catalogue into a layer"]
        if self.judges:
            lines = header(self.controller.run, self.layout.detail)
        self._say("\n".join(line for text in lines for line in self.layout.text(text, rest="  ")) + "\n\n")
        self._ticker.start()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why the tests of the gate could not be found."""
        if report.failed:
            self._problems.append(f"the gate could not start: {report.longreprtext.strip().splitlines()[-1]}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests, and list them where only that is asked for."""
        self._tests = len(session.items)
        if self.config.option.collectonly:
            names = [re.sub(r"^.*\[(.*)\]$", r"\1", item.nodeid) for item in session.items]
            self._say("".join(f"{name}\n" for name in names))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count the tests."""
        self._tests = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the test, and keep its report for other plugins, such as the one that shows durations."""
        is_call = report.when == "call"
        self._ended_tests += is_call
        self._theirs.stats.setdefault(report.outcome if is_call else "", []).append(report)
        if self.controller.run.report.stopped:
            self._phase("a fault was found: the other cases are left out")

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Keep a library's warning, for who wants to see all."""
        if self.layout.detail > 0:
            self._problems.append(f"warning: {warning_message.message}")

    def _phase(self, phase: str) -> None:
        self._progress.phase = phase

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep why the run ends early."""
        self._problems.append(f"stopped: {excinfo.value}" if str(excinfo.value) else "interrupted")

    def pytest_internalerror(self, excrepr: object) -> bool:
        """Show all of an error of the gate itself; without ``--full-trace`` its line is shown elsewhere."""
        self._ticker.stop()
        self._say(f"{excrepr}\n")
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Iterator[None]:
        """Show the verdict, when the reports have been added up."""
        try:
            yield
        finally:
            self._ticker.stop()
            self._is_running = False
        run, problems = self.controller.run, self._problems
        if self.controller.judges:
            self._say(verdict(run.report, run.plan, self.layout))
            problems += filter(None, [record_line(run)])
        elif self.controller.faults:
            self._say(fault_table(self.controller.faults, self.layout))
        if not self._tests and self.config.option.keyword:
            problems += self._nothing_selected()
        stopped = session.shouldfail or session.shouldstop
        problems += [f"stopped: {stopped}"] if stopped else []
        for problem in dict.fromkeys(problems if self.layout.detail >= 0 else ()):
            self._say("\n".join(self.layout.text(problem, rest="  ")) + "\n")
        if self.layout.detail >= 0 and not self.config.option.collectonly:
            self.config.hook.pytest_terminal_summary(
                terminalreporter=self, exitstatus=exitstatus, config=self.config
            )

    def _nothing_selected(self) -> list[str]:
        """What to say where no test was left."""
        selected: str = self.config.option.keyword
        text = f"nothing was selected by -k {selected!r}"
        if not self.judges:
            return [text]
        checks = self.controller.run.plan.checks
        words = {"batch", *(word for kind, name in checks for word in (kind, *name.split()))}
        unknown = [
            word
            for word in re.findall(r"[\w.]+", selected)
            if word not in ("and", "or", "not") and not any(word in known for known in words)
        ]
        near = "".join(did_you_mean(word, words) for word in unknown)
        names = dict.fromkeys(name for _, name in checks)
        return [f"{text}{near}", f"checks that can be selected: {', '.join(names)}"]

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Close what is open."""
        self._ticker.stop()
        if self._out is not self._stdout:
            with contextlib.suppress(OSError):  # what is left goes nowhere
                self._out.close()
        self._count.close()
        self._folder.cleanup()

    def _say(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except OSError as error:
            if isinstance(self._stdout, Printer):  # it tells the command, which ends with an error
                self._stdout.error = self._stdout.error or error


def _kept(stream: TextIO) -> TextIO:
    """The stream as it is now: while a test runs, pytest redirects standard output."""
    stream.flush()
    try:
        fd = os.dup(stream.fileno())
    except OSError:  # it is no file
        return stream
    return os.fdopen(fd, "w", encoding=stream.encoding, errors="backslashreplace")
