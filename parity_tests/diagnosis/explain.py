"""The explanation: the findings of a run, with the fault behind them where the numbers show it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from parity_tests.cases.case import Case
from parity_tests.cases.tensors import families_of
from parity_tests.check_facts import FLOAT32_INSIDE
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.diagnose import OF_NUMBERS, diagnose
from parity_tests.report import Finding, Report, Severity
from parity_tests.subjects.session import DID_NOT_RETURN


def explained(
    kinds: Iterable[str],
    run_case: RunCase,
    findings: Sequence[Finding],
    restrict: Callable[[Case], Case],
    accuracy: float | None = None,
) -> list[Finding]:
    """Return the findings, each with its fault or a hint where one is known.

    Args:
        kinds: of the layers that the subject has.
        run_case: runs the subject over the calls of a case.
        findings: what was found.
        restrict: removes from a case what the subject does not support.
        accuracy: how far its values may be off, if that is declared.
    """
    result = list(findings)
    if any(finding.check in DID_NOT_RETURN for finding in findings):
        return result  # there are no numbers, and to call the subject again may take forever
    for kind in kinds:
        own = [
            finding
            for finding in findings
            if finding.severity == Severity.FAULT and not finding.fault and finding.case.layer == kind
        ]
        if not own:
            continue
        for diagnosis in diagnose(kind, run_case, own, restrict, accuracy):
            for index, finding in enumerate(result):
                explained = (finding.check, finding.tensor) in diagnosis.explains and finding in own
                if explained and not finding.fault and not finding.clue:
                    message = f"{diagnosis.message} {finding.message}".strip()
                    result[index] = replace(
                        finding, fault=diagnosis.fault, clue=diagnosis.clue, message=message
                    )
    return _with_one_of_float32(result)


def _with_one_of_float32(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with one for all tensors that are off as float32 is, at the end of the faults."""
    single = [f for f in findings if f.fault == FLOAT32_INSIDE.fault and f.check in OF_NUMBERS]
    if not single:
        return list(findings)
    report = Report(planned=0)
    report.find(f for f in findings if f not in single)
    names = families_of(finding.tensor for finding in single)
    message = f"(Off: {', '.join(names)}.) {single[0].message}"
    report.find([replace(single[0], check=FLOAT32_INSIDE.name, tensor="", message=message)])
    return report.findings
