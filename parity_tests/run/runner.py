"""The run: judges the cases and checks of a plan, and adds up what it obtained.

``run(plan)`` does all of it in this process. pytest's workers each judge some of the batches with a
``Run`` of their own, and the controller's ``Run`` adds up their reports.
"""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parity_tests.cases.case import Case
from parity_tests.checks.known_failures import passing_now
from parity_tests.checks.registry import run_contract_check
from parity_tests.checks.systematic import systematic_findings
from parity_tests.checks.values import Reference, ReferencesDisagree, judge
from parity_tests.diagnosis.explain import explained
from parity_tests.diagnosis.lines.merge import of_values, with_lines
from parity_tests.diagnosis.lines.point import WrongLines, wrong_lines
from parity_tests.references.recorded import RecordedError, default_recorded
from parity_tests.report import Finding, Report, RunFacts
from parity_tests.run.first_call import first_error
from parity_tests.run.options import Options
from parity_tests.run.plan import CASES_BEFORE_STOP, Plan, make_plan
from parity_tests.run.record.facts import facts_of
from parity_tests.run.record.resume import Record, batch_of, name_of
from parity_tests.run.shrinking import shrunk
from parity_tests.run.threads import one_thread
from parity_tests.run.versions import notices_of
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.readings import gates_of
from parity_tests.subjects.session import DEFAULT_TARGET, CallFailed, Session, TargetGivenUp, open_session
from parity_tests.subjects.source import digest_of_modules

CALLED = (run_contract_check, gates_of, digest_of_modules)
"""What is called with a target besides its cases."""
SHRINK_SECONDS = 10.0
"""For all findings of a run together."""
SHRINK_SECONDS_IF_STOPPED = 2.0
"""The same where a run stops at a fault."""


class Run:
    """One run of a plan; a context manager that ends the session at its end.

    Args:
        plan: what to judge.
        session: the loaded target; None: it is loaded.

    Attributes:
        plan: as given.
        session: as given, or opened.
        report: what has been added up so far.
        interrupted: whether nothing more is to be judged.
        record: where what is judged is kept, or None.
        done: the names of the batches and checks that need not be judged, for they are in the record.
        fault_found: whether a fault was found in a batch, by this process or before.
        on_case: called when a case of a batch has been judged.
        on_phase: called with what is done next, when all cases have been judged.
    """

    def __init__(self, plan: Plan, session: Session | None = None) -> None:
        self.plan = plan
        self.session = session or open_session(plan.target, plan.timeout, CALLED)
        self.session.without = plan.without
        self.report = Report(planned=0)
        self.interrupted = False
        self.record: Record | None = None
        self.done: frozenset[str] = frozenset()
        self._judging = False
        self._unfinished = Report(planned=0)
        self.on_case: Callable[[], None] = lambda: None
        self.on_phase: Callable[[str], None] = lambda phase: None
        self._started = time.monotonic()
        self._batch_of: dict[Case, int] = {}
        self.fault_found = False
        self._explained: dict[str, Finding] = {}

    @classmethod
    def open(cls, options: Options) -> Self:
        """Load the target and plan a run with these options.

        Raises:
            OptionError: the options do not fit together, or the reference cannot be used.
            TargetError: the target cannot be loaded.
            RecordedError: the recorded answers cannot be read.
        """
        session = open_session(options.target, options.timeout, CALLED)
        try:
            plan = make_plan(options, session)
            session.notices += notices_of(plan)
            return cls(plan, session)
        except BaseException:
            session.close()
            raise

    @cached_property
    def first_error(self) -> str:
        """Why nothing can be judged, or ``""``."""
        return first_error(self.plan, self.session)

    @cached_property
    def facts(self) -> RunFacts:
        """What the run rests on."""
        return facts_of(self.plan, self.session)

    def to_json(self) -> dict[str, Any]:
        """What the report is so far, for programs."""
        return replace(self.report, run=self.facts, part=self.plan.part).to_json()

    def resume(self, file: Path) -> None:
        """Take over what a run before has judged, and keep what this one will.

        Raises:
            ResumeError: the file is of another run, is damaged, or cannot be written.
        """
        self.record = Record(file, self.facts, self.plan)
        self.done = frozenset(self.record.parts)
        self.fault_found = any(part.faults for part in self.record.parts.values())
        if self.record.end is not None:
            self.report = self.record.end

    @property
    def still_planned(self) -> int:
        """How many cases this run judges by itself: not those in the record, nor those left out."""
        before = sum(self.plan.size(batch) for batch in map(batch_of, self.done) if batch is not None)
        return max(self.report.planned - self.report.stopped - before, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session, and close the record."""
        self.session.close()
        if self.record is not None:
            self.record.close()

    # Judging.

    @property
    def batches(self) -> list[int]:
        """The numbers of the batches that are still to be judged."""
        return [batch for batch in self.plan.batches if name_of(batch) not in self.done]

    @property
    def checks(self) -> list[tuple[str, str]]:
        """The checks of the contract that are still to be made."""
        return [check for check in self.plan.checks if name_of(check) not in self.done]

    def judge_batch(self, batch: int) -> Report:
        """Judge the cases of a batch, or none of them where the run stops at a fault."""
        size = self.plan.size(batch)
        if self.plan.stops and self.fault_found and self.plan.first(batch) >= CASES_BEFORE_STOP:
            return Report(planned=size, stopped=size)
        report = self.judge_cases(self.plan.cases(batch), self.on_case)
        self.fault_found |= bool(report.faults)
        return report

    def judge_cases(self, cases: Sequence[Case], on_case: Callable[[], None] = lambda: None) -> Report:
        """Judge cases, even after a fault; what cannot be judged is listed in the report."""
        plan = self.plan
        report = self._unfinished = Report(planned=len(cases))
        for number, case in enumerate(cases):
            on_case()
            try:
                part = judge(case, reference_of(plan), self.session.run_case, plan.without, plan.accuracy)
            except TargetGivenUp as reason:
                report.given_up = {str(reason): len(cases) - number}
                break
            except (ReferencesDisagree, RecordedError, TargetError) as fault:
                report.errors.append(str(fault))
                continue
            report.add(part.excused(self.plan.known))
        return report

    def judge_check(self, kind: str, name: str) -> Report:
        """Run a check of the contract."""
        report = Report(planned=0, planned_checks=1)
        try:
            findings, reason = self.session.call(run_contract_check, kind, name, self.plan.without)
        except TargetGivenUp:
            return Report(planned=0, planned_checks=1)
        except (TargetError, CallFailed) as error:
            findings, reason = [], f"{name}: {error}"
        report.checks = int(not reason)
        report.find(findings)
        report.errors += [reason] if reason else []
        return report.excused(self.plan.known)

    def until_interrupted(self, judge: Callable[..., Report], *arguments: Any) -> Report:
        """Return ``judge(*arguments)``, or after ``interrupt`` what it has obtained by then."""
        self._unfinished = Report(planned=0)
        if self.interrupted:
            return self._unfinished
        try:
            self._judging = True
            return judge(*arguments)
        except KeyboardInterrupt:
            if not self.interrupted:
                raise
            return self._unfinished
        finally:
            self._judging = False

    def interrupt(self) -> None:
        """End ``until_interrupted``, and judge nothing more; for a signal handler."""
        first, self.interrupted = not self.interrupted, True
        if first and self._judging:
            raise KeyboardInterrupt

    # Adding up.

    def expect(self, batches: Collection[int], checks: int, selected: bool = False) -> None:
        """Set what the reports to be added should hold.

        Args:
            batches: the numbers of the batches.
            checks: how many checks of the contract.
            selected: whether a person chose them; else all of the plan is expected.
        """
        plan, report = self.plan, self.report
        if self.record is not None and self.record.end is not None:
            return
        report.selected = selected
        report.part = plan.part
        if plan.first_fault and not report.findings:
            report.failed += plan.part is None or plan.part.number == 1  # once, in all parts together
            report.find([plan.first_fault])
        report.planned = sum(map(plan.size, batches)) if selected else plan.planned
        report.planned_checks = checks if selected else len(plan.checks)
        for name, part in self.record.parts.items() if self.record is not None else ():
            self.add(part, batch_of(name))

    def add(self, part: Report, batch: int | None = None) -> None:
        """Take in the report of a batch, or of a check."""
        self.report.add(part)
        if batch is not None:
            self._batch_of |= {finding.case: batch for finding in part.findings}
            kept = {finding.case for finding in self.report.findings}
            self._batch_of = {case: number for case, number in self._batch_of.items() if case in kept}

    def keep(self, name: str, part: Report) -> None:
        """Keep the whole report of a batch, or of a check, in the record, if there is one."""
        if self.record is not None:
            self.record.add(name, part)

    def finish(self) -> Report:
        """Shrink and explain what was found, and settle what was known to fail."""
        report = self.report
        report.seconds = time.monotonic() - self._started
        report.run = self.facts
        if self.record is not None and self.record.end is not None:
            return report
        if self.interrupted:
            report.errors.insert(0, "the run was interrupted")
        self.until_interrupted(self._explain)
        self._find_systematic()
        self._settle_known()
        if self.record is not None and not (self.interrupted or report.selected):
            with suppress(OSError):  # the batches are kept, and it can be made again
                self.record.finish(report)
        return report

    def _explain(self) -> Report:
        report, plan = self.report, self.plan
        if report.stopped:
            self._judge_rare_options()
        if report.faults and plan.draws:
            self.on_phase("looking for the smallest case that fails")
            seconds = SHRINK_SECONDS_IF_STOPPED if plan.stops else SHRINK_SECONDS
            deadline = time.monotonic() + seconds
            report.findings = shrunk(plan, report, self._batch_of, self._judge_case, deadline)
        if report.faults:
            self.on_phase("looking for the name and the line of the fault")
            with suppress(TargetError, TargetGivenUp):  # it no longer answers; the findings stand as they are
                self.explain(report)
        return report

    def _judge_rare_options(self) -> None:
        """A fault that shows at once must not hide one that needs an option which is rarely drawn."""
        self.on_phase("judging options that no case has had")
        cases = self.plan.cases_of_rare_options()
        self.report.planned += len(cases)
        self.report.add(self.judge_cases(cases))

    def explain(self, report: Report) -> None:
        """Name the faults of a report; one that was explained before keeps its name and is not sought again."""
        seen = {
            finding.what: replace(
                finding,
                fault=self._explained[finding.what].fault,
                wrong_line=self._explained[finding.what].wrong_line,
            )
            for finding in report.faults
            if finding.what in self._explained
        }
        plan, findings = self.plan, [seen.get(finding.what, finding) for finding in report.findings]
        if len(seen) < len(report.faults):
            with ThreadPoolExecutor(1) as beside:  # the lines are looked for in another process
                lines = beside.submit(self._wrong_lines, findings)
                named = explained(plan.kinds, self.session.run_case, findings, plan.restricted, plan.accuracy)
            report.note = lines.result().note
            before = {(f.check, f.tensor, f.case.layer): f.message for f in findings}
            findings = with_lines(named, lines.result(), before)
        report.findings = findings
        self._explained |= {finding.what: finding for finding in report.faults}

    def _wrong_lines(self, findings: Sequence[Finding]) -> WrongLines:
        plan = self.plan
        numbers = [f for f in findings if f != plan.first_fault]
        own = [(kind, [f.case for f in numbers if of_values(f, kind)]) for kind in plan.kinds]
        own = [(kind, cases) for kind, cases in own if cases]
        if not plan.lines or plan.accuracy or not own or plan.target == Target(DEFAULT_TARGET):
            return WrongLines()
        return wrong_lines(plan.target, own, plan.without, plan.restricted)

    def _judge_case(self, case: Case) -> Report:
        return self.judge_cases([case])

    def _find_systematic(self) -> None:
        report = self.report
        if not (report.part or self.interrupted):  # of parts it is found when they are merged
            report.find(systematic_findings(report.tensors, report.findings, self.plan.known))

    def _settle_known(self) -> None:
        """A known failure that now passes is reported as a failure, like a strict xfail."""
        report = self.report
        incomplete = not report.cases or report.cases < report.planned
        if self.plan.case or report.selected or report.part or self.interrupted or incomplete:
            return
        report.find(
            passing_now(self.plan.known, report.findings, self.plan.ordinary_case(self.plan.kinds[0]))
        )


def run(plan: Plan, session: Session | None = None) -> Report:
    """Judge everything that is planned, in this process, and return the report.

    Args:
        plan: what to judge.
        session: the loaded target; None: it is loaded, and its session ends with the run.
    """
    own = Run(plan, session)
    try:
        return judged(own)
    finally:
        if session is None:
            own.close()


def judged(run: Run) -> Report:
    """Judge everything that a run plans, in this process, and return the report.

    BLAS and torch run on one thread meanwhile.
    """
    with one_thread(run.plan.reference == "torch"):
        return _judged(run)


def _judged(run: Run) -> Report:
    plan = run.plan
    run.expect(plan.batches, len(plan.checks))
    if run.first_error:
        run.report.errors.append(run.first_error)
        return run.finish()
    for check in run.checks:
        run.add(part := run.judge_check(*check))
        run.keep(name_of(check), part)
    for batch in run.batches:
        run.add(part := run.judge_batch(batch), batch)
        run.keep(name_of(batch), part)
    return run.finish()


def reference_of(plan: Plan) -> Reference:
    """What gives the true answers."""
    if plan.reference == "recorded":
        return default_recorded()
    return _live_torch()


@cache
def _live_torch() -> Reference:
    from parity_tests.references.live_torch import torch_answers

    return torch_answers
