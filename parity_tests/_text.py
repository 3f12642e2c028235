"""A report in words: the table, the findings, the verdict."""

import io

from rich.console import Console
from rich.table import Table

from parity_tests._answer import TENSORS
from parity_tests._report import Report

SHOWN = 12
"""Findings printed; the JSON report has all."""


def command(layers: str) -> str:
    """The command that runs one case alone, without its token."""
    pointed = "" if layers == "rnn_np" else f" -- --parity-layers {layers}"
    return f"rnn-parity --case {{token}}{pointed}"


def verdict(report: Report, seconds: float, again: str, width: int) -> str:
    """Return the report as text that needs no debugger.

    Args:
        report: what the run obtained.
        seconds: how long it took.
        again: command with ``{token}`` that judges one case.
        width: columns of the terminal.
    """
    parts = [_table(report, width)] if report.tensors else []
    for number, finding in enumerate(report.findings[:SHOWN], 1):
        parts.append(
            f"{number}. {finding.what} ({finding.severity})\n"
            f"   {finding.message}\n"
            f"   smallest failing case: {finding.case}\n"
            f"   run it alone: {again.format(token=finding.case)}\n"
        )
    if len(report.findings) > SHOWN:
        parts.append(f"... and {len(report.findings) - SHOWN} more findings\n")
    parts += [f"not judged: {reason}\n" for reason in report.not_judged[:SHOWN]]
    if len(report.not_judged) > SHOWN:
        parts.append(f"not judged: ... and {len(report.not_judged) - SHOWN} more reasons\n")
    cases = f"{report.cases} of {report.planned} cases judged in {seconds:.1f} s"
    if report.faults:
        parts.append(f"DIFFERENT: {len(set(report.failed))} cases differ; {cases}\n")
    elif report.not_judged:
        parts.append(f"NOT JUDGED: no difference was seen, but this is no pass; {cases}\n")
    else:
        parts.append(f"EQUAL: every tensor of every case, within its measured rounding; {cases}\n")
    return "\n".join(parts)


def _table(report: Report, width: int) -> str:
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
    # Never narrower than the table: a token that is cut off cannot be run again.
    console = Console(file=io.StringIO(), width=max(width, 180), color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
