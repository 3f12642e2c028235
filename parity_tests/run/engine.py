"""pytest as the engine of the command: how it is started, and how its report is collected."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from parity_tests.report import Report

PACKAGE = Path(__file__).parents[1]
GATE = PACKAGE / "run" / "test_gate.py"
CATALOGUE = PACKAGE / "selftest" / "test_faults.py"
ENGINE = (
    *("-c", str(PACKAGE / "run" / "gate.ini"), "--rootdir", str(PACKAGE)),
    *("-p", "parity_tests.run.plugin", "-p", "no:cacheprovider"),
    *("-p", "xdist", "--dist", "worksteal", "--tb", "no", "-rN"),
)
"""How pytest is started, independent of the project that the command is called in."""

COMMAND = "parity-command"
"""The plugin that tells the run's controller that the command ``rnn-parity`` asks for a verdict."""


class ReportCollector:
    """A plugin that keeps the report that the run's controller has added up."""

    report: Report | None = None

    def __init__(self) -> None:
        self.__name__ = COMMAND  # which pluggy takes for the plugin's name

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        controller = config.pluginmanager.get_plugin("parity-controller")
        if controller is not None and controller.judges:
            self.report = controller.run.report


def run_pytest(tests: Path, workers: str, arguments: Sequence[str]) -> tuple[int, Report | None]:
    """Run the gate's own tests of a file; return pytest's exit status and the report, if there is one."""
    collector = ReportCollector()
    plugins = [collector] if tests == GATE else []
    with _isolated():
        status = pytest.main([*ENGINE, "-n", workers, *arguments, str(tests)], plugins=plugins)
    return int(status), collector.report


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
