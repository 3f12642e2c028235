"""The explanation: the findings of a run, with the fault behind them where the numbers show it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from parity_tests.cases.case import Case
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.diagnose import diagnose
from parity_tests.report import Finding, Severity
from parity_tests.subjects.session import DID_NOT_RETURN


def explained(
    kinds: Iterable[str],
    run_case: RunCase,
    findings: Sequence[Finding],
    restrict: Callable[[Case], Case],
) -> list[Finding]:
    """Return the findings, each with its fault or a hint where one is known.

    Args:
        kinds: of the layers that the subject has.
        run_case: runs the subject over the calls of a case.
        findings: what was found.
        restrict: removes from a case what the subject does not support.
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
        for diagnosis in diagnose(kind, run_case, own, restrict):
            for index, finding in enumerate(result):
                explained = (finding.check, finding.tensor) in diagnosis.explains and finding in own
                if explained and not finding.fault and not finding.clue:
                    message = f"{diagnosis.message} {finding.message}".strip()
                    result[index] = replace(
                        finding, fault=diagnosis.fault, clue=diagnosis.clue, message=message
                    )
    return result
