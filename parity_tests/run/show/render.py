"""A report as text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parity_tests.cases.features import declared_in_words, declared_nonlinearity, is_declared
from parity_tests.cases.tensors import TENSORS
from parity_tests.check_facts import SYSTEMATIC
from parity_tests.report import (
    SHOWN,
    TALLY_HEADINGS,
    Finding,
    Report,
    Severity,
    Tally,
    Verdict,
    accuracy_in_words,
    grouped,
    named,
    shown_worst,
)
from parity_tests.report.wrong_line import WrongLine
from parity_tests.run.plan import NOT_OF_TORCH, Plan, default_reference
from parity_tests.run.runner import Run
from parity_tests.run.show.again import is_of_contract, run_again
from parity_tests.run.show.layout import IN_A_LOG, Column, Layout, table
from parity_tests.run.threads import blas_name
from parity_tests.run.versions import versions_of
from parity_tests.subjects.generated import Generated, generated
from parity_tests.subjects.interfaces import taken_for
from parity_tests.subjects.session import DEFAULT_TARGET
from parity_tests.words import counted, in_words

NO_TIME = (
    "nothing through time was judged: a cell without dh_0 has one step and no gradient to the step before"
)
MAX_FINDINGS_SHOWN = 12
"""Faults printed, and reasons why nothing was judged; ``-v`` and the JSON report have all."""
INDENT = "   "
COLOURS: Mapping[Verdict, Mapping[str, bool]] = {
    Verdict.EQUAL: {"green": True, "bold": True},
    Verdict.PASSED: {"green": True, "bold": True},
    Verdict.PART: {"green": True, "bold": True},
    Verdict.DIFFERENT: {"red": True, "bold": True},
    Verdict.NOT_JUDGED: {"yellow": True, "bold": True},
}
"""Of the verdict's name."""


def verdict(report: Report, plan: Plan, layout: Layout = IN_A_LOG) -> str:
    """Return the report as text that needs no debugger: verdict, faults, advice, tensors.

    Args:
        report: what the run obtained.
        plan: what was to be obtained.
        layout: width, colours, and how much is shown.
    """
    line = verdict_line(report, plan)
    if layout.detail < 0:
        return f"{_coloured(line, report.verdict, layout)}\n"
    first = [line] if layout.is_log else layout.text(line)
    parts = [["\n".join([_coloured(first[0], report.verdict, layout), *first[1:]])]]
    # The verdict NOT JUDGED has the first of them.
    if len(report.not_judged) > (report.verdict == Verdict.NOT_JUDGED):
        reasons = [f"not judged: {reason}" for reason in _merged(report.not_judged)]
        parts.append(_limited(reasons, "reason", layout))
    groups = grouped(finding for finding in report.findings if finding.severity != Severity.KNOWN)
    faults = [group for group in groups if group[0].severity == Severity.FAULT]
    parts.append(_in_short(faults, layout))
    shown = len(faults) if layout.detail > 0 else MAX_FINDINGS_SHOWN
    parts += [_full(number, group, plan, layout) for number, group in enumerate(faults[:shown], 1)]
    if len(faults) > shown:
        more = counted(len(faults) - shown, "more fault")
        parts.append(layout.text(f"... and {more}; {layout.all_in}"))
    if faults and report.note:
        parts.append(layout.text(report.note))
    parts.append(_advice(groups[len(faults) :], len(faults), plan, layout))
    known = [finding for finding in report.findings if finding.severity == Severity.KNOWN]
    notes = [f"known to fail: {finding.what}: {plan.known[finding.what]}" for finding in known]
    notes += [f"skipped (declared missing): {', '.join(plan.skipped)}"] if plan.skipped else []
    parts.append([line for note in notes for line in layout.text(note, rest="  ")])
    parts.append(_tensors(report, layout))
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _in_short(faults: list[list[Finding]], layout: Layout) -> list[str]:
    """What is wrong, in the order of the data, where it is more than one thing."""
    names = [name for group in faults if group[0].fault for name in group[0].fault.split(", and ")]
    names = list(dict.fromkeys(names))
    if len(names) < 2:
        return []
    lines = layout.text(f"{counted(len(names), 'fault')}, in the order of the data:")
    for number, name in enumerate(names, 1):
        lines += layout.text(name, f"{number}) ", INDENT)
    return lines


def verdict_line(report: Report, plan: Plan) -> str:
    """Return the verdict in one line, with the numbers that it rests on.

    Args:
        report: what the run obtained.
        plan: what was to be obtained.
    """
    adapter = _adapter_of(plan)
    read_as = f"; read as: {adapter.read_as}" if adapter else ""
    may_be_off = f"; {accuracy_in_words(plan.accuracy)}" if plan.accuracy else ""
    return _verdict_line(report, plan) + may_be_off + read_as


def _adapter_of(plan: Plan) -> Generated | None:
    """The generated adapter that is judged, if it is one."""
    return generated(plan.target.module_or_file) if plan.target.obj is None else None


def _verdict_line(report: Report, plan: Plan) -> str:
    done = [f"{report.cases} of {report.planned if plan.part else plan.number} cases compared"]
    if report.planned_checks and not report.selected:
        done.append(f"{report.checks} of {report.planned_checks} checks run")
    amount = ", ".join(done) + (f" in {report.seconds:.1f} s" if report.seconds is not None else "")
    if plan.part and report.verdict != Verdict.PART:
        amount += f"; this is part {plan.part.number} of {plan.part.of}"
    if report.verdict == Verdict.DIFFERENT:
        left_out = "; other cases were left out once a fault was found, --cases N runs them"
        return f"DIFFERENT: {_differences(report, plan)}; {amount}{left_out if report.stopped else ''}"
    if report.verdict == Verdict.NOT_JUDGED:
        seen = "; no fault was seen in what was compared" if report.cases or report.checks else ""
        return f"NOT JUDGED: {report.not_judged[0]}{seen}; {amount}"
    if report.verdict == Verdict.PASSED:
        checks = counted(report.checks, "check") if report.checks else "no check"
        compared = done[0] if report.cases else "no case compared"
        return f"PASSED: {checks}; {compared}"
    if report.verdict == Verdict.PART:
        equal = "equal so far" if report.planned or report.planned_checks else "nothing is left for it"
        return f"{_part(plan)}: {equal}; {amount}; `rnn-parity merge` gives the verdict of all parts"
    if plan.reference == "recorded":
        missing = "" if default_reference() == "torch" else " (torch is not installed)"
        result = f"EQUAL to the {plan.number} recorded cases{missing}; {amount}"
    else:
        within = "its declared accuracy" if plan.accuracy else "its measured rounding"
        result = f"EQUAL: every tensor of every case, within {within}; {amount}"
    return result + (f"; {NO_TIME}" if plan.without_time else "")


def _part(plan: Plan) -> str:
    return f"PART {plan.part.number} of {plan.part.of}" if plan.part else ""


def _differences(report: Report, plan: Plan) -> str:
    """How many cases and checks failed."""
    checks = {(f.check, f.case.layer) for f in report.faults if is_of_contract(plan, f)}
    numbers = {"case": report.failed, "check": len(checks)}
    parts = [counted(number, what) for what, number in numbers.items() if number]
    if not parts and any(f.check == SYSTEMATIC.name for f in report.faults):
        return "all cases together differ"
    if not parts:  # what was seen before the first case; another part counts it
        return "the first call differs"
    return " and ".join(parts) + f" {'differs' if sum(numbers.values()) == 1 else 'differ'}"


def _coloured(line: str, name: Verdict, layout: Layout) -> str:
    return layout.paint(name.value, **COLOURS[name]) + line.removeprefix(name)


def _merged(reasons: Sequence[str]) -> list[str]:
    """The reasons, each once, with the names of all checks that it is about."""
    of: dict[str, list[str]] = {}
    for reason in reasons:
        name, colon, why = reason.partition(": ")
        of.setdefault(why if colon else reason, []).append(name if colon else "")
    return [f"{', '.join(names)}: {why}" if names[0] else why for why, names in of.items()]


def _limited(texts: list[str], noun: str, layout: Layout) -> list[str]:
    shown = len(texts) if layout.detail > 0 else MAX_FINDINGS_SHOWN
    lines = [line for text in texts[:shown] for line in layout.text(text, rest="  ")]
    if len(texts) > shown:
        lines += layout.text(f"... and {counted(len(texts) - shown, f'more {noun}')}; {layout.all_in}")
    return lines


def header(run: Run, detail: int = 1) -> list[str]:
    """What the run is about to do.

    Args:
        run: the run.
        detail: 1 adds the versions that the verdict rests on.
    """
    plan = run.plan
    if plan.case:
        what = f"case {plan.case}"
    elif plan.draws:
        what = f"seed {plan.seed}, {counted(plan.number, 'random case')}"
    else:
        what = counted(plan.number, "recorded case")
    if plan.part:
        what += f", of which part {plan.part.number} of {plan.part.of}"
    versions = versions_of(plan)
    source = "torch.nn.RNN, live"
    if {*map(declared_nonlinearity, plan.without)} & {*NOT_OF_TORCH}:
        source = "a loop of torch's operations, live, as torch has no RNN with this nonlinearity"
    if plan.reference == "recorded":
        source = f"answers recorded from torch {versions['torch']}"
    taken = f" ({', '.join(plan.kinds)})"
    if plan.target.spec != DEFAULT_TARGET:
        words = taken_for(plan.interface, plan.kinds, is_forced=plan.target.interface is not None)
        taken = f", {'as' if plan.target.interface else 'taken for'} {words}"
    if has := [declared_in_words(name) for name in plan.without if is_declared(name)]:
        taken += f" with {in_words(has)}"
    adapter = _adapter_of(plan)
    judged = f"{adapter.of} through an adapter" if adapter and adapter.is_temporary else plan.target.spec
    lines = [f"judging {judged}{taken}", f"{what}; reference: {source}"]
    if detail > 0:
        texts = ", ".join(f"{name} {version}" for name, version in versions.items())
        lines.append(f"{texts}; BLAS: {blas_name()}, one thread a worker")
    lines += [f"notice: {notice}" for notice in run.session.notices]
    record = run.record
    if record is not None and record.kept:
        lines.append(f"{record.kept} of {record.planned} batches and checks are taken from {record.file}")
    return lines


def record_line(run: Run) -> str:
    """What the record of a run is good for at its end, or ``""``."""
    record = run.record
    if record is None:
        return ""
    if record.kept == record.planned:
        return (
            f"{record.file} has all that was judged: the same command gives this verdict at once; delete it to judge "
            "anew"
        )
    return f"{record.file} has {record.kept} of {record.planned} batches and checks: the same command goes on from there"


def _full(number: int, group: list[Finding], plan: Plan, layout: Layout) -> list[str]:
    finding = group[0]
    is_fault = finding.severity == Severity.FAULT
    lines = layout.text(f"{named(group)} ({SHOWN[finding.severity]})", f"{number}. ", INDENT)
    for each in dict.fromkeys(f.wrong_line for f in group if f.wrong_line):
        lines += _line(each, layout)
    if finding.fault:
        names = layout.text(finding.fault.upper(), INDENT)
        lines += [layout.paint(name, red=is_fault, bold=True) for name in names]
    for line in _with_numbers_apart(finding.message).splitlines():
        lines += layout.text(line, INDENT)
    if finding.check == SYSTEMATIC.name:
        return lines  # no case shows it alone
    lines.append(f"{INDENT}smallest failing case: {finding.case}")
    again = run_again(plan, finding)
    return [*lines, f"{INDENT}run it alone: {again}"] if again else lines


def _line(wrong: WrongLine, layout: Layout) -> list[str]:
    """The wrong line, with the expression underlined, and what it should be."""
    where = f"{wrong.file}:{wrong.line}"
    where += "" if wrong.function == "<module>" else f", in {wrong.function.rpartition('.')[2]}"
    caller = generated(wrong.called_in) if wrong.called_in else None
    if wrong.called_from and not (caller and caller.is_temporary):
        where += f", called in line {wrong.called_from}" + (
            f" of {wrong.called_in}" if wrong.called_in else ""
        )
    indent = len(wrong.source) - len(wrong.source.lstrip())
    under = " " * (wrong.column - 1 - indent) + "^" * (wrong.end_column - wrong.column)
    lines = [*layout.text(f"{where}:", INDENT), f"{INDENT}  {wrong.source.lstrip()}", f"{INDENT}  {under}"]
    cures = f"With that, {in_words(wrong.cures)} {'is' if len(wrong.cures) == 1 else 'are'} right."
    return lines + layout.text(f"{wrong.message} {cures}", INDENT)


def _with_numbers_apart(message: str) -> str:
    """The message with its numbers, such as ``dx[0, 0]: got ...``, on a line of their own."""
    return re.sub(r" (?=\w+\[[\d, ]*\][^:`]{0,40}: got )", "\n", message)


def _advice(groups: list[list[Finding]], before: int, plan: Plan, layout: Layout) -> list[str]:
    if not groups:
        return []
    if layout.detail > 0:
        full = [_full(number, group, plan, layout) for number, group in enumerate(groups, before + 1)]
        return "\n\n".join("\n".join(lines) for lines in full).splitlines()
    lines = layout.text(f"advice (right layers do this too; {layout.all_in}):")
    width = max(layout.width, 2 * len(INDENT))
    for group in groups:
        line = f"- {named(group)}: {group[0].fault or group[0].message}"
        lines.append(line if len(line) <= width else f"{line[: width - 4].rstrip()} ...")
    return lines


COLUMNS = (
    Column(TALLY_HEADINGS[0], is_number=False),
    *(Column(heading) for heading in TALLY_HEADINGS[1:-1]),
    Column(TALLY_HEADINGS[-1], is_number=False, is_token=True),
)


def _tensors(report: Report, layout: Layout) -> list[str]:
    rows = [_row(name, report.tensors[name]) for name in TENSORS if name in report.tensors]
    return table(COLUMNS, rows, layout) if rows else []


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    numbers = f"{tally.cases}", f"{tally.slices}", f"{tally.inconclusive}"
    return name, *numbers, shown_worst(tally), str(tally.case or "")


FAULT_COLUMNS = (
    *(Column(heading, is_number=False) for heading in ("fault", "in", "caught after", "named")),
    Column("smallest case", is_number=False, is_token=True),
    Column("seconds"),
)


def fault_table(faults: Iterable[Mapping[str, Any]], layout: Layout = IN_A_LOG) -> str:
    """What became of every fault of the catalogue that was put in, and how many were caught and named."""
    rows = sorted(faults, key=lambda row: (row["kind"], row["fault"]))
    cells = [
        (
            row["fault"],
            row["kind"],
            counted(row["caught"], "case") if row["caught"] else "NOT CAUGHT",
            "yes" if row["named"] == row["fault"] else "otherwise" if row["named"] else "no",
            row["case"],
            f"{row['seconds']:.1f}",
        )
        for row in rows
    ]
    caught = sum(bool(row["caught"]) for row in rows)
    right = sum(row["named"] == row["fault"] for row in rows)
    last = f"{caught} of {counted(len(rows), 'fault')} caught, {right} named by this name alone"
    if layout.detail < 0:
        return f"{last}\n"
    others = [
        line
        for row in rows
        if row["named"] not in (None, row["fault"])
        for line in layout.text(f"{row['fault']} is named: {row['named']}", rest="  ")
    ]
    parts = [table(FAULT_COLUMNS, cells, layout), others, layout.text(last)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"
