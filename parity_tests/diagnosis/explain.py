"""Naming: the findings of a run, with the fault behind them where the numbers tell it."""

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.diagnosis.diagnose import diagnose
from parity_tests.report import Finding
from parity_tests.run.plan import Plan
from parity_tests.subjects.drivers import Performance
from parity_tests.subjects.session import ENDED


def named(plan: Plan, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, each with its fault or a clue as far as these are known."""

    def ask(case: Case) -> Performance:
        return plan.asker.ask(case, calls_of(case))

    result = list(findings)
    if any(finding.check in ENDED for finding in findings):
        return result  # there are no numbers, and to ask for them may take forever
    for kind in plan.asker.kinds:
        own = [
            finding
            for finding in findings
            if finding.severity == "fault" and not finding.fault and Case.parse(finding.case).kind == kind
        ]
        if not own:
            continue
        for diagnosis in diagnose(kind, ask, own, plan.fitted):
            for index, finding in enumerate(result):
                explained = (finding.check, finding.tensor) in diagnosis.explains and finding in own
                if explained and not finding.fault and not finding.clue:
                    message = f"{diagnosis.message} {finding.message}".strip()
                    result[index] = replace(
                        finding, fault=diagnosis.fault, clue=diagnosis.clue, message=message
                    )
    return result
