"""A report in words: the table, the findings, the verdict."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from parity_tests.cases.layers import CLASSES
from parity_tests.cases.tensors import TENSORS
from parity_tests.checks.contract import CHECKS
from parity_tests.report import Finding, Report
from parity_tests.run.plan import LOCAL, OURS, Plan

EVERY_CHECK = {name for checks in CHECKS.values() for name in checks}
SHOWN = 12
"""Findings printed; the JSON report has all."""


def command(plan: Plan, finding: Finding) -> str:
    """The command that shows a finding again, and nothing else."""
    options = {"--as": plan.forced, "--without": ",".join(plan.declared)}
    pointed = "".join(f" {name} {value}" for name, value in options.items() if value)
    target = "" if plan.target == OURS else f" {plan.target}"
    if plan.target in LOCAL:
        name = plan.target.rpartition(".")[2]
        return (
            f'parity_tests.check({name}, case="{finding.case}")' if finding.check not in EVERY_CHECK else ""
        )
    if finding.check in EVERY_CHECK:
        return f"rnn-parity{target}{pointed} -- -k '{' and '.join(finding.check.split())}'"
    return f"rnn-parity{target}{pointed} --case {finding.case}"


def verdict(report: Report, plan: Plan, seconds: float | None) -> str:
    """Return the report as text that needs no debugger.

    Args:
        report: what the run obtained.
        plan: what was to be obtained.
        seconds: how long it took, if that is to be told.
    """
    parts = [_table(report)] if report.tensors else []
    groups = _groups(report.findings)
    for number, group in enumerate(groups[:SHOWN], 1):
        parts.append("\n".join(_told(number, group, plan)) + "\n")
    if len(groups) > SHOWN:
        parts.append(f"... and {len(groups) - SHOWN} more findings\n")
    parts += [
        f"known to fail: {finding.what}: {plan.known[finding.what]}\n"
        for finding in report.findings
        if finding.severity == "known"
    ]
    parts += [f"not asked, as it has none: {plain}\n" for plain in plan.not_asked]
    parts += [f"not judged: {reason}\n" for reason in report.not_judged[:SHOWN]]
    if len(report.not_judged) > SHOWN:
        parts.append(f"not judged: ... and {len(report.not_judged) - SHOWN} more reasons\n")
    cases = f"{report.cases} of {report.planned} cases judged"
    cases += f" in {seconds:.1f} s" if seconds is not None else ""
    if report.stopped:
        cases += "; the others were left out once a fault was found, --cases N runs them"
    if report.faults:
        parts.append(f"DIFFERENT: {len(set(report.failed))} cases differ; {cases}\n")
    elif report.not_judged:
        parts.append(f"NOT JUDGED: no difference was seen, but this is no pass; {cases}\n")
    else:
        parts.append(f"EQUAL: every tensor of every case, within its measured rounding; {cases}\n")
    return "\n".join(parts)


def _groups(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Faults first; those of one check with one explanation together."""
    groups: dict[object, list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: f.severity != "fault"):
        why = finding.fault or finding.clue or finding.tensor
        if finding.severity != "known":
            groups.setdefault((finding.severity, finding.check, why), []).append(finding)
    return list(groups.values())


def _told(number: int, group: list[Finding], plan: Plan) -> list[str]:
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
            table.add_row(name, *numbers, worst, tally.case)
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
        table.add_row(
            row["fault"], CLASSES.get(row["kind"], ""), after, named, row["case"], f"{row['seconds']:.1f}"
        )
    caught = sum(bool(row["caught"]) for row in rows)
    right = sum(row["named"] == row["fault"] for row in rows)
    return f"{_printed(table)}\n{caught} of {len(rows)} faults caught, {right} named by this name alone\n"


def _printed(table: Table) -> str:
    # As wide as the table: a token that is cut off cannot be run again.
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
