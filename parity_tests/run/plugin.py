"""The pytest plugin: options, header, batches as tests, and the verdict at the end."""

import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from parity_tests.cases.case import Case
from parity_tests.diagnosis.explain import named
from parity_tests.references.recorded import RecordedError
from parity_tests.report import Finding, Report
from parity_tests.run.plan import OPTIONS, OURS, Plan, PlanError, close_askers
from parity_tests.run.render import fault_table, verdict

SHRINK_SECONDS = 10.0
"""For all findings of a run together."""
HURRIED_SECONDS = 2.0
"""The same where a run stops at a fault."""

PLAN = pytest.StashKey[Plan]()
GATE, CONTRACT = "test_layers_equal_the_reference", "test_contract_is_kept"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity", "parity with torch.nn.RNN")
    for name, (metavar, text) in OPTIONS.items():
        group.addoption(f"--parity-{name}", metavar=metavar, help=text)
    group.addoption("--parity-json", metavar="FILE", help="write the report to FILE")


def pytest_configure(config: pytest.Config) -> None:
    threadpool_limits(1)
    given = {name: config.getoption(f"parity_{name}") for name in OPTIONS}
    try:
        plan = Plan.make(**given)
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


def pytest_unconfigure(config: pytest.Config) -> None:
    if PLAN in config.stash:
        close_askers(config.stash[PLAN])


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
    if "parity_check" in metafunc.fixturenames:
        checks = metafunc.config.stash[PLAN].checks
        metafunc.parametrize("parity_check", checks, ids=[" ".join(check) for check in checks])


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
        self.planned_checks = 0
        self.faults: list[dict[str, Any]] = []
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
        lines = [f"{what}; reference: {source}", f"parity: {versions}; BLAS: {_blas()}, one thread a worker"]
        if plan.target != OURS:
            lines.append(f"parity: judging {plan.target}, a {plan.asker.kind}")
        lines += [f"parity: notice: {notice}" for notice in plan.asker.notices]
        return lines

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.config.option.collectonly:  # a list of tests is no verdict
            self._plan_batches(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._plan_batches(ids)

    def _plan_batches(self, ids: Iterable[str]) -> None:
        names = list(ids)
        batches = {int(found[1]) for name in names if (found := re.search(rf"{GATE}\[batch (\d+)]$", name))}
        self.report.planned = sum(self.plan.size(batch) for batch in batches)
        # Without any check pytest still shows one, skipped.
        self.planned_checks = bool(self.plan.checks) * sum(f"{CONTRACT}[" in name for name in names)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "fault":
                self.faults.append(value)  # type: ignore[arg-type]
            if name == "parity":
                part = Report.from_json(value)  # type: ignore[arg-type]
                self.report.add(part)
                if part.planned:
                    batch = int(report.nodeid.rsplit(" ", 1)[1].rstrip("]"))
                    self.batch_of |= {finding.case: batch for finding in part.findings}
                return
        if report.failed and any(name in report.nodeid for name in (GATE, CONTRACT)):
            self.report.unjudged.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.seconds = time.monotonic() - self.seconds
        if not self.report.planned and not self.planned_checks:
            return
        if self.report.checks < self.planned_checks:
            self.report.unjudged.append(
                f"{self.planned_checks - self.report.checks} of {self.planned_checks} checks were not run"
            )
        if self.report.faults and self.plan.reference == "torch" and not self.plan.case:
            self.report.findings = self._shrunk()
        if self.report.faults:
            self.report.findings = named(self.plan, self.report.findings)
        self._settle_known()
        if not self.report.ok and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self.report.text = verdict(self.report, self.plan, self.seconds)
        if self.config.option.parity_json:
            text = json.dumps(self._json(), indent=1)
            Path(self.config.option.parity_json).write_text(text + "\n", "utf-8")

    def _settle_known(self) -> None:
        """A failure that is known and does not fail any more is a failure itself."""
        if self.report.stopped or self.plan.case or not self.report.cases:
            return
        failing = {finding.what for finding in self.report.findings}
        for what, reason in self.plan.known.items():
            if what not in failing:
                token = str(self.plan.cases(0)[0])
                message = f"{what!r} passes now: take it out of the known failures ({reason})"
                self.report.find([Finding(f"known failure of {what}", "", token, message)])

    def _shrunk(self) -> list[Finding]:
        """The same findings, each in the smallest case that time allows to find."""
        deadline = time.monotonic() + (HURRIED_SECONDS if self.plan.stops else SHRINK_SECONDS)
        judged: dict[Case, Report] = {}
        smallest = Report(planned=0)
        smallest.find(self.report.findings)

        def shows(what: str, case: Case) -> bool:
            return what in {finding.what for finding in self._judged(case, judged, smallest)}

        ends = {
            case
            for case in self.plan.small_cases()
            if time.monotonic() < deadline and self._judged(case, judged, smallest)
        }
        for finding in self.report.faults:
            if finding.case not in self.batch_of or any(shows(finding.what, end) for end in ends):
                continue
            batch = self.batch_of[finding.case]
            number = [str(case) for case in self.plan.cases(batch)].index(finding.case)
            fails = partial(shows, finding.what)
            ends.add(self.plan.shrink(self.plan.first(batch) + number, fails, deadline))
        return smallest.findings

    def _judged(self, case: Case, judged: dict[Case, Report], smallest: Report) -> list[Finding]:
        """A case's findings; a case is judged once."""
        if case not in judged:
            judged[case] = self.plan.judge_cases([case])
            smallest.find(judged[case].findings)
        return judged[case].findings

    def _json(self) -> dict[str, Any]:
        report = self.report
        return {
            "ok": report.ok,
            "reference": self.plan.reference,
            "target": self.plan.target,
            "kind": self.plan.asker.kind,
            "notices": self.plan.asker.notices,
            "without": list(self.plan.without),
            "seed": self.plan.seed if self.plan.reference == "torch" and not self.plan.case else None,
            "planned": report.planned,
            "cases": report.cases,
            "stopped": report.stopped,
            "checks": report.checks,
            "failed": len(report.failed),
            "inconclusive": report.inconclusive,
            "not_judged": report.not_judged,
            "versions": self.plan.versions(),
            "tensors": report.to_json()["tensors"],
            "findings": [asdict(finding) for finding in report.findings if finding.severity != "known"],
            "known": [
                {**asdict(finding), "reason": self.plan.known[finding.what]}
                for finding in report.findings
                if finding.severity == "known"
            ],
        }

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.report.planned or self.planned_checks:
            terminalreporter.section("parity")
            terminalreporter.write(self.report.text)
        if self.faults and not self.report.planned:
            terminalreporter.section("faults")
            terminalreporter.write(fault_table(self.faults))


def _blas() -> str:
    found = [
        f"{info['internal_api']} {info['version']} ({info.get('architecture', '?')})"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return ", ".join(dict.fromkeys(found)) or "unknown"
