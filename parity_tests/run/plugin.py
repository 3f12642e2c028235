"""The pytest plugin: options, batches and checks as tests, and the reports added up at the end."""

import json
import platform
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from parity_tests.references.recorded import RecordedError
from parity_tests.report import Report, RunFacts
from parity_tests.run.engine import COMMAND, is_alike, is_here
from parity_tests.run.options import OPTIONS, OptionError, checked_options
from parity_tests.run.output import check_writable, write_whole
from parity_tests.run.record.resume import ResumeError, batch_of, name_of
from parity_tests.run.runner import Run
from parity_tests.run.show.layout import layout_here
from parity_tests.run.show.progress import SharedCount
from parity_tests.run.show.render import fault_table, header, record_line, verdict
from parity_tests.run.signals import FROM_COMMAND, handle_in_worker
from parity_tests.run.threads import cap_torch
from parity_tests.subjects.interfaces import TargetError
from parity_tests.words import nearest

RUN = pytest.StashKey[Run]()
SECONDS_AFTER_AN_INTERRUPT = 2.0
GATE, CONTRACT = "test_layers_equal_the_reference", "test_contract_is_kept"
PREFIX = "--parity-"
CONTROLLER = "parity-controller"
"""The name under which the run's controller is registered."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity", "parity with torch.nn.RNN")
    for option in OPTIONS:
        group.addoption(option.of_pytest, metavar=option.metavar, help=option.help)
    group.addoption("--parity-json", metavar="FILE", help="write the report to FILE")


def pytest_load_initial_conftests(args: Sequence[str]) -> None:
    """Name the option that is meant where one of ours is misspelt; pytest does not."""
    ours = [*(option.of_pytest for option in OPTIONS), f"{PREFIX}json"]
    for name in (argument.partition("=")[0] for argument in args):
        if name.startswith(PREFIX) and name not in ours:
            found = nearest(name.removeprefix(PREFIX), [own.removeprefix(PREFIX) for own in ours])
            near = f"did you mean {PREFIX}{found}?" if found else f"expected one of {', '.join(ours)}"
            raise pytest.UsageError(f"unrecognized arguments: {name}; {near}")


def pytest_configure(config: pytest.Config) -> None:
    threadpool_limits(1)
    shared = getattr(config, "workerinput", {}).get(CONTROLLER, {})
    given = {option.name: config.getoption(f"parity_{option.name}") for option in OPTIONS}
    given |= shared.get("options", {})
    try:
        run = Run.open(checked_options(given))
    except (OptionError, TargetError, RecordedError) as error:
        raise pytest.UsageError(f"parity: {error}") from error
    config.stash[RUN] = run
    run.done, run.fault_found = frozenset(shared.get("done", ())), bool(shared.get("fault_found"))
    if shared.get("counts"):
        run.on_case = SharedCount(Path(shared["counts"])).add
    if hasattr(config, "workerinput"):
        _check_alike(run, shared.get("facts"))
        if FROM_COMMAND in config.workerinput:
            handle_in_worker(run)
        return
    if run.first_error:
        raise pytest.UsageError(f"parity: {run.first_error}")
    if config.option.parity_json is not None:
        _say_if_not_writable(config.option.parity_json)
    if given["resume"] is not None:
        _resume(run, Path(given["resume"]), config)
    options = {"reference": run.plan.reference}
    if given["seed"] is not None:
        options["seed"] = str(run.plan.seed)
    if run.plan.part is not None:
        options["shard"] = str(run.plan.part)
    config.pluginmanager.register(Controller(config, options), CONTROLLER)


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        config.stash[RUN].close()


def _check_alike(run: Run, facts: Mapping[str, Any] | None) -> None:
    """Refuse to judge something else, or with other versions, than the process that adds up the reports."""
    if facts is None:
        return
    why = run.first_error or RunFacts.from_json(facts).difference(run.facts)
    if why:
        raise pytest.UsageError(f"parity: {platform.node()} judges something else: {why}")


def _resume(run: Run, file: Path, config: pytest.Config) -> None:
    if _person_selects(config):
        raise pytest.UsageError("parity: resume: a record is of a whole run, and tests were selected")
    if config.option.parity_json and Path(config.option.parity_json).absolute() == file.absolute():
        raise pytest.UsageError(f"parity: resume: {file} is the file of the report too: give two")
    try:
        run.resume(file)
    except ResumeError as error:
        raise pytest.UsageError(f"parity: {error}") from error


def _say_if_not_writable(file: str) -> None:
    """Say so before the run rather than after it."""
    try:
        check_writable(Path(file))
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"parity: {_not_written(file, error)}") from error


def _not_written(file: str, error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else error
    where = (
        f" ({error.filename})" if isinstance(error, OSError) and error.filename not in (None, file) else ""
    )
    return f"json: cannot write {file or repr(file)}: {reason}{where}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run = metafunc.config.stash[RUN]
    if "parity_batch" in metafunc.fixturenames:
        metafunc.parametrize("parity_batch", run.batches, ids=[*map(name_of, run.batches)])
    if "parity_check" in metafunc.fixturenames:
        metafunc.parametrize("parity_check", run.checks, ids=[*map(name_of, run.checks)])


def pytest_collection_finish(session: pytest.Session) -> None:
    tests = [item for item in session.items if isinstance(item, pytest.Function)]
    judges = any(item.originalname in (GATE, CONTRACT) for item in tests)
    cap_torch(judges and session.config.stash[RUN].plan.reference == "torch")


@pytest.fixture(scope="session")
def parity_run(pytestconfig: pytest.Config) -> Run:
    """The run that this process takes part in."""
    return pytestconfig.stash[RUN]


def _person_selects(config: pytest.Config) -> bool:
    """Whether pytest was told to run some of the tests only."""
    option = config.option
    return bool(
        option.keyword or option.markexpr or option.deselect or any("::" in arg for arg in config.args)
    )


class Controller:
    """Hands what the tests obtained to the run of the one process that sees all of them.

    Attributes:
        options: what the workers get, so that all of them have the same reference and the same fresh seed.
        counts: the file in which they count the cases that they have judged, or ``""``.
    """

    def __init__(self, config: pytest.Config, options: Mapping[str, str] | None = None) -> None:
        self.config = config
        self.options, self.counts = options or {}, ""
        self.run = config.stash[RUN]
        self.faults: list[dict[str, Any]] = []
        self.judges = False
        """Whether there will be a verdict: the command always gives one, pytest if it runs the gate."""
        self.deadline: float | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give the options to a worker of xdist; it has only the command line else."""
        spec = node.gateway.spec
        node.workerinput[CONTROLLER] = {
            "options": dict(self.options),
            "counts": self.counts if is_here(spec) else "",
            "done": [*self.run.done],
            "fault_found": self.run.fault_found,
            "facts": None if is_alike(spec) else self.run.facts.to_json(),
        }

    def pytest_report_header(self) -> list[str]:
        return [f"parity: {line}" for line in header(self.run)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.config.option.collectonly:  # a list of tests is no verdict
            self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._expect(ids)

    def _expect(self, ids: Iterable[str]) -> None:
        names, run = list(ids), self.run
        batches = {int(found[1]) for name in names if (found := re.search(rf"{GATE}\[batch (\d+)]$", name))}
        # Without any check pytest still shows one, skipped.
        checks = bool(run.checks) * sum(f"{CONTRACT}[" in name for name in names)
        gate = any(f"{GATE}[" in name for name in names)
        self.judges = bool(gate or checks) or self.config.pluginmanager.has_plugin(COMMAND)
        everything = gate and len(batches) == len(run.batches) and checks == len(run.checks)
        self.run.expect(batches, checks, selected=_person_selects(self.config) and not everything)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties) if report.when == "call" else {}
        if "fault" in properties:
            self.faults.append(properties["fault"])  # type: ignore[arg-type]
        if "parity" in properties:
            name = report.nodeid.rpartition("[")[2].rstrip("]")
            part = Report.from_json(properties["parity"])  # type: ignore[arg-type]
            self.run.add(part, batch_of(name))
            node = getattr(report, "node", None)
            if node is not None and not is_here(node.gateway.spec):  # it cannot count by itself
                for _ in range(part.planned):
                    self.run.on_case()
            if "interrupted" not in properties:
                self.run.keep(name, part)
            return
        if report.when == "call" and self.run.interrupted:
            self._end_soon()
        if report.failed and any(name in report.nodeid for name in (GATE, CONTRACT)):
            name = report.nodeid.rpartition("[")[2].rstrip("]")
            last = report.longreprtext.strip().splitlines()[-1]
            killed = "crashed while running" in last  # as xdist says
            self.run.report.errors.append(
                f"{name}: {'its worker process ended, by a signal?' if killed else last}"
            )

    def _end_soon(self) -> None:
        """Let the workers say what they have obtained, but do not wait for each test to be skipped."""
        now = time.monotonic()
        self.deadline = self.deadline or now + SECONDS_AFTER_AN_INTERRUPT
        if now > self.deadline:
            raise KeyboardInterrupt

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self.judges:
            return
        self.run.interrupted |= session.exitstatus == pytest.ExitCode.INTERRUPTED
        report = self.run.finish()
        if self.config.option.parity_json:
            self._write_json(self.config.option.parity_json)
        if not report.ok and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_json(self, file: str) -> None:
        try:
            write_whole(Path(file), json.dumps(self.run.to_json(), indent=1) + "\n")
        except OSError as error:
            self.run.report.errors.insert(0, _not_written(file, error))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not isinstance(terminalreporter, pytest.TerminalReporter):
            return  # the command's own screen shows the report
        layout = layout_here(self.config.option.verbose)
        if self.judges:
            terminalreporter.section("parity")
            terminalreporter.write(verdict(self.run.report, self.run.plan, layout))
            terminalreporter.write("".join(f"{line}\n" for line in filter(None, [record_line(self.run)])))
        elif self.faults:
            terminalreporter.section("faults")
            terminalreporter.write(fault_table(self.faults, layout))
        elif not self.config.option.collectonly:
            terminalreporter.write_line("parity: the gate did not run")
