"""The pytest plugin: options, header, batches as tests, and the verdict at the end."""

import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from parity_tests._case import Case
from parity_tests._plan import Plan, PlanError
from parity_tests._recorded import RecordedError
from parity_tests._report import Finding, Report
from parity_tests._text import command, verdict

SHRINK_SECONDS = 10.0
"""For all findings of a run together."""

PLAN = pytest.StashKey[Plan]()
GATE = "test_layers_equal_the_reference"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity", "parity with torch.nn.RNN")
    group.addoption("--parity-cases", metavar="N", help="how many random cases to judge (default 2000)")
    group.addoption(
        "--parity-seed", metavar="SEED", help="of the random cases: a number (default 0) or fresh"
    )
    group.addoption(
        "--parity-reference",
        metavar="torch|recorded",
        help="the reference (default: torch if it is installed)",
    )
    group.addoption("--parity-case", metavar="TOKEN", help="judge this case alone")
    group.addoption(
        "--parity-layers",
        metavar="MODULE",
        default="rnn_np",
        help="module that holds the RNN and TimeRNN to judge (default rnn_np)",
    )
    group.addoption("--parity-json", metavar="FILE", help="write the report to FILE")


def pytest_configure(config: pytest.Config) -> None:
    threadpool_limits(1)
    given = {name: config.getoption(f"parity_{name}") for name in ("reference", "seed", "case", "layers")}
    try:
        plan = Plan.make(number=config.getoption("parity_cases"), **given)
    except (PlanError, RecordedError) as error:
        raise pytest.UsageError(f"parity: {error}") from error
    if config.option.parity_json is not None and not hasattr(config, "workerinput"):
        _must_be_writable(Path(config.option.parity_json))
    # Workers are handed these options, so that all of them have one reference and one fresh seed.
    config.option.parity_reference = plan.reference
    if given["seed"] is not None:
        config.option.parity_seed = str(plan.seed)
    config.stash[PLAN] = plan
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Controller(config), "parity-controller")


def _must_be_writable(file: Path) -> None:
    """Say so before the run rather than after it."""
    try:
        file.write_text("", "utf-8")
    except OSError as error:
        raise pytest.UsageError(f"parity: json: cannot write {file}: {error}") from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "parity_batch" in metafunc.fixturenames:
        batches = range(metafunc.config.stash[PLAN].batches)
        metafunc.parametrize("parity_batch", batches, ids=[f"batch {batch}" for batch in batches])


def pytest_collection_finish() -> None:
    if "torch" in sys.modules:  # imported by a test module, with threads of its own
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def parity_plan(pytestconfig: pytest.Config) -> Plan:
    """The plan of this run."""
    return pytestconfig.stash[PLAN]


class Controller:
    """Adds up what the tests obtained, in the one process that sees all of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plan = config.stash[PLAN]
        self.report = Report(planned=0)
        self.batch_of: dict[str, int] = {}
        self.seconds = time.monotonic()

    def pytest_report_header(self) -> list[str]:
        plan = self.plan
        if plan.case:
            what = f"parity: case {plan.case}"
        elif plan.reference == "torch":
            what = f"parity: seed {plan.seed}, {plan.number} random cases in {plan.batches} batches"
        else:
            what = f"parity: {plan.number} recorded cases"
        source = "torch.nn.RNN, live" if plan.reference == "torch" else "answers recorded from torch"
        versions = ", ".join(f"{name} {version}" for name, version in plan.versions().items())
        return [f"{what}; reference: {source}", f"parity: {versions}; BLAS: {_blas()}, one thread a worker"]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.config.option.collectonly:  # a list of tests is no verdict
            self._plan_batches(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._plan_batches(ids)

    def _plan_batches(self, ids: Iterable[str]) -> None:
        batches = {int(found[1]) for name in ids if (found := re.search(rf"{GATE}\[batch (\d+)]$", name))}
        self.report.planned = sum(self.plan.size(batch) for batch in batches)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "parity":
                part = Report.from_json(value)  # type: ignore[arg-type]
                self.report.add(part)
                batch = int(report.nodeid.rsplit(" ", 1)[1].rstrip("]"))
                self.batch_of |= dict.fromkeys(part.failed, batch)
                return
        if report.failed and GATE in report.nodeid:
            self.report.unjudged.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.seconds = time.monotonic() - self.seconds
        if not self.report.planned:
            return
        if self.report.findings and self.plan.reference == "torch" and not self.plan.case:
            self.report.findings = self._shrunk()
        if not self.report.ok and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.config.option.parity_json:
            text = json.dumps(self._json(), indent=1)
            Path(self.config.option.parity_json).write_text(text + "\n", "utf-8")

    def _shrunk(self) -> list[Finding]:
        """The same findings, each in the smallest case that time allows to find."""
        from parity_tests._draw import shrink

        deadline = time.monotonic() + SHRINK_SECONDS
        judged: dict[Case, Report] = {}
        smallest = Report(planned=0)
        smallest.find(self.report.findings)

        def shows(what: str, case: Case) -> bool:
            if case not in judged:
                judged[case] = self.plan.judge_cases([case])
                smallest.find(judged[case].findings)
            return what in {finding.what for finding in judged[case].findings}

        ends: set[Case] = set()
        for finding in self.report.findings:
            if any(shows(finding.what, end) for end in ends):
                continue
            batch = self.batch_of[finding.case]
            number = [str(case) for case in self.plan.cases(batch)].index(finding.case)
            start = self.plan.first(batch) + number
            fails = partial(shows, finding.what)
            ends.add(shrink(self.plan.seed, start, fails, deadline, self.plan.kinds))
        return smallest.findings

    def _json(self) -> dict[str, Any]:
        report = self.report
        return {
            "ok": report.ok,
            "reference": self.plan.reference,
            "layers": self.plan.layers,
            "seed": self.plan.seed if self.plan.reference == "torch" and not self.plan.case else None,
            "planned": report.planned,
            "cases": report.cases,
            "failed": len(report.failed),
            "inconclusive": report.inconclusive,
            "not_judged": report.not_judged,
            "versions": self.plan.versions(),
            "tensors": report.to_json()["tensors"],
            "findings": report.to_json()["findings"],
        }

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.report.planned:
            terminalreporter.section("parity")
            again = command(self.plan.layers)
            terminalreporter.write(verdict(self.report, self.seconds, again, terminalreporter._tw.fullwidth))


def _blas() -> str:
    found = [
        f"{info['internal_api']} {info['version']} ({info.get('architecture', '?')})"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return ", ".join(dict.fromkeys(found)) or "unknown"
