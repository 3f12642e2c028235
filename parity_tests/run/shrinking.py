"""Shrinking: the findings of a run, each in the smallest case that time allows to find."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from parity_tests.cases.case import Case
from parity_tests.cases.layers import LAYERS
from parity_tests.report import Finding, Report
from parity_tests.run.plan import Plan

SMALLEST_SIZES = (
    (1, 1, 1, 1),
    (1, 2, 1, 1),
    (1, 1, 1, 2),
    (1, 2, 1, 2),
    (2, 1, 1, 1),
    (2, 2, 1, 2),
    (2, 3, 2, 3),
)
"""B, T, D, H."""


def shrunk(
    plan: Plan,
    report: Report,
    batch_of: Mapping[Case, int],
    judge: Callable[[Case], Report],
    deadline: float,
) -> list[Finding]:
    """Return a report's findings, each in the smallest case found.

    Args:
        plan: of the run.
        report: what was found.
        batch_of: the batch of every random case in which something was found.
        judge: judges one case.
        deadline: of ``time.monotonic()``; later, no further case is tried.
    """
    from parity_tests.cases.draw import shrink  # recorded cases are not shrunk, and need no Hypothesis

    search = _Search(judge)
    search.smallest.find(report.findings)
    ends = {case for case in small_cases(plan) if time.monotonic() < deadline and search.findings(case)}
    for finding in report.faults:
        if finding.case not in batch_of or any(search.shows(finding.what, end) for end in ends):
            continue
        batch = batch_of[finding.case]
        number = plan.first(batch) + plan.cases(batch).index(finding.case)
        fails = partial(search.shows, finding.what)
        ends.add(shrink(plan.seed, number, fails, deadline, plan.kinds, plan.without))
    return search.smallest.findings


def small_cases(plan: Plan) -> list[Case]:
    """The smallest cases that the target supports, where a failure is looked for first."""
    cases = [
        Case(layer=kind, B=B, T=1 if LAYERS[kind].is_cell else T, D=D, H=H, h0=h0 or kind == "RNN")
        for kind in plan.kinds
        for h0 in (False, True)
        for B, T, D, H in SMALLEST_SIZES
    ]
    cases += [replace(case, layers=2, bidirectional=True) for case in cases if case.layer == "nn.RNN"]
    return sorted({plan.restricted(case) for case in cases}, key=lambda case: case.size)


@dataclass
class _Search:
    """Judges every case once, and keeps the smallest findings."""

    judge: Callable[[Case], Report]
    judged: dict[Case, list[Finding]] = field(default_factory=dict)
    smallest: Report = field(default_factory=lambda: Report(planned=0))

    def findings(self, case: Case) -> list[Finding]:
        if case not in self.judged:
            self.judged[case] = self.judge(case).findings
            self.smallest.find(self.judged[case])
        return self.judged[case]

    def shows(self, what: str, case: Case) -> bool:
        return what in {finding.what for finding in self.findings(case)}
