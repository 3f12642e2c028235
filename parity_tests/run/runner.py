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
from types import TracebackType
from typing import Any, Self

from parity_tests.cases.case import Case
from parity_tests.cases.features import FEATURES, restricted
from parity_tests.cases.layers import LAYERS
from parity_tests.cases.tensors import TENSORS, families_of
from parity_tests.check_facts import INTERFACE, RAISES, TYPE, known_failure
from parity_tests.checks.registry import run_contract_check
from parity_tests.checks.values import Reference, ReferencesDisagree, judge
from parity_tests.diagnosis.explain import explained
from parity_tests.diagnosis.lines.merge import of_values, with_lines
from parity_tests.diagnosis.lines.point import WrongLines, wrong_lines
from parity_tests.references.recorded import RecordedError, default_recorded
from parity_tests.report import Finding, Report
from parity_tests.run.options import Options
from parity_tests.run.plan import CASES_BEFORE_STOP, Plan, make_plan
from parity_tests.run.shrinking import shrunk
from parity_tests.run.threads import one_thread
from parity_tests.run.versions import notices_of
from parity_tests.subjects.interfaces import OTHERWISE, TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.readings import adapt_command, gates_of, refusal_of_gates
from parity_tests.subjects.session import DEFAULT_TARGET, CallFailed, Session, TargetGivenUp, open_session
from parity_tests.words import in_words

ANSWERS = "it answers with --without"
"""How a message names the one feature that makes a target raise."""
CALLED = (run_contract_check, gates_of)
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
        on_case: called when a case of a batch has been judged.
        on_phase: called with what is done next, when all cases have been judged.
    """

    def __init__(self, plan: Plan, session: Session | None = None) -> None:
        self.plan = plan
        self.session = session or open_session(plan.target, plan.timeout, CALLED)
        self.session.without = plan.without
        self.report = Report(planned=0)
        self.interrupted = False
        self._judging = False
        self._unfinished = Report(planned=0)
        self.on_case: Callable[[], None] = lambda: None
        self.on_phase: Callable[[str], None] = lambda phase: None
        self._started = time.monotonic()
        self._batch_of: dict[Case, int] = {}
        self._fault_found = False
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
        """Why nothing can be judged: the first ordinary call raises, of every layer that there is; or ``""``.

        An adapter that does not return every tensor that it is to return is not judged either. What one
        feature alone makes raise is in the message. A layer that answers without its bias has a fault that
        the diagnosis names.
        """
        plan, first = self.plan, ""
        for kind in plan.kinds:
            case = plan.ordinary_case(kind)
            raised = self._raised(case)
            if not raised and plan.interface == "adapter":
                return self._incomplete(case)
            if not raised or (
                LAYERS[kind].has_torch_interface and not self._raised(replace(case, bias="nobias"))
            ):
                return ""
            first = first or f"the first ordinary call {raised}{self._answers_without(case)}"
        return self._with_other_reading(first)

    def _with_other_reading(self, failure: str) -> str:
        """Why the first call fails, with what else the target may be."""
        plan, spec = self.plan, self.plan.target.spec
        if plan.interface in ("adapter", "package") or ANSWERS in failure:
            return f"{spec}: {failure}"
        with suppress(TargetError, TargetGivenUp, CallFailed):
            unit, evidence = self.session.call(gates_of)
            if unit:
                return f"{refusal_of_gates(spec, unit, evidence)}. Here {failure}"
        other = OTHERWISE.get(plan.kinds[0], "") if plan.target.interface is None else ""
        command = adapt_command(spec, plan.target.obj)
        return (
            f"{spec}: {failure}. If it is no such {plan.interface}: {other and f'{other}, or '}`{command}` "
            "looks for an adapter"
        )

    def _incomplete(self, case: Case) -> str:
        """What an adapter does not return of what it is to return, or ``""``."""
        try:
            results = self.session.run_case(case)
        except (TargetError, TargetGivenUp):
            return ""
        spec = self.plan.target.spec
        if not results.calls:
            return next((f"{spec}: {f.message}" for f in results.findings if f.check == TYPE.name), "")
        result = results.calls[0]
        missing = families_of(name for name, row in result.mismatches.items() if row.got == "NoneType")
        if not missing:
            return ""
        there = [name for name in families_of((*result.tensors, *result.mismatches)) if name not in missing]
        unknown = f"; {in_words(result.unknown)} is no tensor's name" if result.unknown else ""
        if not there:
            return f"{spec}: it returns none of {', '.join(missing)}{unknown}: return a dict with these names"
        declared = self.plan.declared
        features = [name for name in declared if name not in TENSORS]
        without = ",".join((*families_of((*missing, *(set(declared) - {*features}))), *features))
        return (
            f"{spec}: it returns {in_words(there)}, but not {in_words(missing)}{unknown}. Return "
            f"{'it' if len(missing) == 1 else 'them'} too, or add --without {without}"
        )

    def _raised(self, case: Case) -> str:
        try:
            found = self.session.run_case(case).findings
        except (TargetError, TargetGivenUp):  # said of the cases in which it happens again
            return ""
        verbs = {RAISES.name: "raises", INTERFACE.name: "fails:"}
        return next((f"{verbs[f.check]} {f.message}" for f in found if f.check in verbs), "")

    def _answers_without(self, case: Case) -> str:
        for name in FEATURES:
            simpler = restricted(case, (name,))
            if simpler != case and not self._raised(simpler):
                return f"; {ANSWERS} {name}"
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    # Judging.

    def judge_batch(self, batch: int) -> Report:
        """Judge the cases of a batch, or none of them where the run stops at a fault."""
        size = self.plan.size(batch)
        if self.plan.stops and self._fault_found and self.plan.first(batch) >= CASES_BEFORE_STOP:
            return Report(planned=size, stopped=size)
        report = self.judge_cases(self.plan.cases(batch), self.on_case)
        self._fault_found |= bool(report.faults)
        return report

    def judge_cases(self, cases: Sequence[Case], on_case: Callable[[], None] = lambda: None) -> Report:
        """Judge cases, even after a fault; what cannot be judged is listed in the report."""
        report = self._unfinished = Report(planned=len(cases))
        for number, case in enumerate(cases):
            on_case()
            try:
                part = judge(case, reference_of(self.plan), self.session.run_case, self.plan.without)
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
        report.selected = selected
        if plan.first_fault and not report.findings:
            report.failed.append(plan.first_fault.case)
            report.find([plan.first_fault])
        report.planned = sum(map(plan.size, batches)) if selected else plan.number
        report.planned_checks = checks if selected else len(plan.checks)

    def add(self, part: Report, batch: int | None = None) -> None:
        """Take in the report of a batch, or of a check."""
        self.report.add(part)
        if batch is not None:
            self._batch_of |= {finding.case: batch for finding in part.findings}

    def finish(self) -> Report:
        """Shrink and explain what was found, and settle what was known to fail."""
        report = self.report
        report.seconds = time.monotonic() - self._started
        if self.interrupted:
            report.errors.insert(0, "the run was interrupted")
        self.until_interrupted(self._explain)
        self._settle_known()
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
                named = explained(plan.kinds, self.session.run_case, findings, plan.restricted)
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
        if not plan.lines or not own or plan.target == Target(DEFAULT_TARGET):
            return WrongLines()
        return wrong_lines(plan.target, own, plan.without, plan.restricted)

    def _judge_case(self, case: Case) -> Report:
        return self.judge_cases([case])

    def _settle_known(self) -> None:
        """A known failure that now passes is reported as a failure, like a strict xfail."""
        report = self.report
        incomplete = not report.cases or report.cases < report.planned
        if self.plan.case or report.selected or self.interrupted or incomplete:
            return
        failing = {finding.what for finding in self.report.findings}
        for what, reason in self.plan.known.items():
            if what not in failing:
                message = f"{what!r} passes now: take it out of the known failures ({reason})"
                case = self.plan.cases(0)[0]
                self.report.find([known_failure(what).finding("", case, message)])


def run(plan: Plan, session: Session | None = None, watch: Callable[[Run], None] | None = None) -> Report:
    """Judge everything that is planned, in this process, and return the report.

    BLAS and torch run on one thread meanwhile.

    Args:
        plan: what to judge.
        session: the loaded target; None: it is loaded, and its session ends with the run.
        watch: called with the run before it judges anything.
    """
    own = Run(plan, session)
    if watch is not None:
        watch(own)
    try:
        with one_thread(plan.reference == "torch"):
            return _judged(own)
    finally:
        if session is None:
            own.session.close()


def _judged(run: Run) -> Report:
    plan = run.plan
    run.expect(range(plan.batches), len(plan.checks))
    if run.first_error:
        run.report.errors.append(run.first_error)
        return run.finish()
    for check in plan.checks:
        run.add(run.judge_check(*check))
    for batch in range(plan.batches):
        run.add(run.judge_batch(batch), batch)
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
