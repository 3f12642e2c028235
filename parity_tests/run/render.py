"""A report as text and as JSON."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from parity_tests.cases.tensors import TENSORS
from parity_tests.check_facts import CASE_CHECKS
from parity_tests.checks.registry import CONTRACT_CHECKS
from parity_tests.report import Finding, Report, Severity, Verdict
from parity_tests.run.plan import Plan, default_reference
from parity_tests.run.runner import Run
from parity_tests.run.threads import blas_name
from parity_tests.run.versions import versions_of
from parity_tests.subjects.interfaces import taken_for
from parity_tests.subjects.session import DEFAULT_TARGET

ONLY_CONTRACT = {*CONTRACT_CHECKS} - {check.name for check in CASE_CHECKS}
"""The checks that a case by itself does not make."""
NO_TIME = (
    "nothing through time was judged: a cell without dh_0 has one step and no gradient to the step before"
)
MAX_FINDINGS_SHOWN = 12
"""Findings printed; the JSON report has all."""


def command(plan: Plan, finding: Finding) -> str:
    """The command that shows a finding again, and nothing else."""
    target = plan.target
    in_a_case = finding.check not in ONLY_CONTRACT
    if target.obj is not None:
        name = target.spec.rpartition(".")[2]
        return f'parity_tests.check({name}, case="{finding.case}")' if in_a_case else ""
    options = {"--as": target.interface, "--without": ",".join(plan.declared)}
    pointed = "" if target.spec == DEFAULT_TARGET else f" {target.spec}"
    pointed += "".join(f" {name} {value}" for name, value in options.items() if value)
    if in_a_case:
        return f"rnn-parity{pointed} --case {finding.case}"
    return f"rnn-parity{pointed} -- -k '{' and '.join(finding.check.split())}'"


def verdict(report: Report, plan: Plan) -> str:
    """Return the report as text that needs no debugger.

    Args:
        report: what the run obtained.
        plan: what was to be obtained.
    """
    parts = [_table(report)] if report.tensors else []
    groups = _groups(report.findings)
    for number, group in enumerate(groups[:MAX_FINDINGS_SHOWN], 1):
        parts.append("\n".join(_render_finding(number, group, plan)) + "\n")
    if len(groups) > MAX_FINDINGS_SHOWN:
        parts.append(f"... and {len(groups) - MAX_FINDINGS_SHOWN} more findings\n")
    parts += [
        f"known to fail: {finding.what}: {plan.known[finding.what]}\n"
        for finding in report.findings
        if finding.severity == Severity.KNOWN
    ]
    parts += [f"skipped (declared missing): {plain}\n" for plain in plan.skipped]
    parts += [f"not judged: {reason}\n" for reason in report.not_judged[:MAX_FINDINGS_SHOWN]]
    if len(report.not_judged) > MAX_FINDINGS_SHOWN:
        parts.append(f"not judged: ... and {len(report.not_judged) - MAX_FINDINGS_SHOWN} more reasons\n")
    parts.append(f"{verdict_line(report, plan)}\n")
    return "\n".join(parts)


def verdict_line(report: Report, plan: Plan) -> str:
    """Return the verdict in one line, with the numbers that it rests on.

    Args:
        report: what the run obtained.
        plan: what was to be obtained.
    """
    done = [f"{report.cases} of {plan.number} cases compared"]
    if report.planned_checks and not report.selected:
        done.append(f"{report.checks} of {report.planned_checks} checks run")
    amount = ", ".join(done) + (f" in {report.seconds:.1f} s" if report.seconds is not None else "")
    if report.verdict == Verdict.DIFFERENT:
        left_out = "; other cases were left out once a fault was found, --cases N runs them"
        return f"DIFFERENT: {_differences(report)}; {amount}{left_out if report.stopped else ''}"
    if report.verdict == Verdict.NOT_JUDGED:
        seen = "; no fault was seen in what was compared" if report.cases or report.checks else ""
        return f"NOT JUDGED: {report.not_judged[0]}{seen}; {amount}"
    if report.verdict == Verdict.PASSED:
        checks = _counted(report.checks, "check") if report.checks else "no check"
        compared = done[0] if report.cases else "no case compared"
        return f"PASSED: {checks}; {compared}"
    if plan.reference == "recorded":
        missing = "" if default_reference() == "torch" else " (torch is not installed)"
        result = f"EQUAL to the {plan.number} recorded cases{missing}; {amount}"
    else:
        result = f"EQUAL: every tensor of every case, within its measured rounding; {amount}"
    return result + (f"; {NO_TIME}" if plan.without_time else "")


def _differences(report: Report) -> str:
    """How many cases and checks failed."""
    checks = {(f.check, f.case.layer) for f in report.faults if f.check in ONLY_CONTRACT}
    numbers = {"case": len(set(report.failed)), "check": len(checks)}
    parts = [_counted(number, what) for what, number in numbers.items() if number]
    return " and ".join(parts) + f" {'differs' if sum(numbers.values()) == 1 else 'differ'}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def header(run: Run) -> list[str]:
    """What the run is about to do, and with which versions."""
    plan = run.plan
    if plan.case:
        what = f"case {plan.case}"
    elif plan.draws:
        what = f"seed {plan.seed}, {plan.number} random cases in {plan.batches} batches"
    else:
        what = f"{plan.number} recorded cases"
    source = "torch.nn.RNN, live" if plan.reference == "torch" else "answers recorded from torch"
    versions = ", ".join(f"{name} {version}" for name, version in versions_of(plan).items())
    lines = [f"{what}; reference: {source}", f"{versions}; BLAS: {blas_name()}, one thread a worker"]
    if plan.target.spec != DEFAULT_TARGET:
        words = taken_for(plan.interface, plan.kinds, is_forced=plan.target.interface is not None)
        lines.append(f"judging {plan.target.spec}, {words}")
    lines += [f"notice: {notice}" for notice in run.session.notices]
    return [f"parity: {line}" for line in lines]


def to_json(run: Run) -> dict[str, Any]:
    """The report for programs."""
    report, plan = run.report, run.plan
    return {
        "ok": report.ok,
        "verdict": report.verdict.value,
        "reference": plan.reference,
        "target": plan.target.spec,
        "kind": plan.interface,
        "notices": run.session.notices,
        "without": list(plan.without),
        "seed": plan.seed if plan.draws else None,
        "planned": report.planned,
        "cases": report.cases,
        "calls": report.calls,
        "stopped": report.stopped,
        "planned_checks": report.planned_checks,
        "checks": report.checks,
        "failed": len(report.failed),
        "inconclusive": report.inconclusive,
        "not_judged": report.not_judged,
        "versions": versions_of(plan),
        "tensors": report.to_json()["tensors"],
        "findings": [finding.to_json() for finding in report.findings if finding.severity != Severity.KNOWN],
        "known": [
            {**finding.to_json(), "reason": plan.known[finding.what]}
            for finding in report.findings
            if finding.severity == Severity.KNOWN
        ],
    }


def _groups(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Faults first; those of one check with one explanation together."""
    groups: dict[object, list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: f.severity != Severity.FAULT):
        why = finding.fault or finding.clue or finding.tensor
        if finding.severity != Severity.KNOWN:
            groups.setdefault((finding.severity, finding.check, why), []).append(finding)
    return list(groups.values())


def _render_finding(number: int, group: list[Finding], plan: Plan) -> list[str]:
    finding = group[0]
    tensors = ", ".join(other.tensor for other in group if other.tensor)
    lines = [f"{number}. {finding.check}{' of ' * bool(tensors)}{tensors} ({finding.severity})"]
    lines += [f"   {finding.fault.upper()}"] if finding.fault else []
    lines.append(f"   {finding.message}")
    lines.append(f"   smallest failing case: {finding.case}")
    again = command(plan, finding)
    return [*lines, f"   run it alone: {again}"] if again else lines


def _table(report: Report) -> str:
    table = Table(box=None, pad_edge=False)
    for heading in ("tensor", "cases", "slices", "inconclusive", "worst error / allowed", "in case"):
        table.add_column(
            heading, justify="left" if heading in ("tensor", "in case") else "right", no_wrap=True
        )
    for name in TENSORS:
        if name in report.tensors:
            tally = report.tensors[name]
            numbers = (f"{tally.cases}", f"{tally.slices}", f"{tally.inconclusive}")
            worst = f"{tally.worst:.3g}" if tally.case else "none conclusive"
            table.add_row(name, *numbers, worst, str(tally.case or ""))
    return _printed(table)


def fault_table(faults: Iterable[Mapping[str, Any]]) -> str:
    """What became of every fault of the catalogue that was put in, and how many were caught and named."""
    table = Table(box=None, pad_edge=False)
    for heading in ("fault", "in", "caught after", "named", "smallest case", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", no_wrap=True)
    rows = sorted(faults, key=lambda row: (row["kind"], row["fault"]))
    for row in rows:
        named = "yes" if row["named"] == row["fault"] else row["named"] or "no"
        after = f"{row['caught']} cases" if row["caught"] else "NOT CAUGHT"
        table.add_row(row["fault"], row["kind"], after, named, row["case"], f"{row['seconds']:.1f}")
    caught = sum(bool(row["caught"]) for row in rows)
    right = sum(row["named"] == row["fault"] for row in rows)
    return f"{_printed(table)}\n{caught} of {len(rows)} faults caught, {right} named by this name alone\n"


def _printed(table: Table) -> str:
    # As wide as the table: a token that is cut off cannot be run again.
    console = Console(file=io.StringIO(), width=400, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
