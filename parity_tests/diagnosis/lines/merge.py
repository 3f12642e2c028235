"""Findings and wrong lines together: a name and a line that are about the same make one finding."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from parity_tests.cases.tensors import families_of, family
from parity_tests.diagnosis.diagnose import OF_DTYPES, OF_NUMBERS
from parity_tests.diagnosis.faults.catalogue import CATALOGUE
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.lines.point import WrongLines
from parity_tests.diagnosis.lines.search import FORWARD
from parity_tests.report import Finding, Severity
from parity_tests.report.wrong_line import WrongLine

SINGLE = "float32"
"""What a line is that lowers the precision."""
_STAGES = {fault.name: {variant.stage for variant in fault.loops} for fault in CATALOGUE}


def of_values(finding: Finding, kind: str) -> bool:
    """Whether a finding is about wrong values of a kind of layer."""
    return finding.check in OF_NUMBERS and finding.severity == Severity.FAULT and finding.case.layer == kind


def with_lines(
    named: Sequence[Finding], found: WrongLines, before: Mapping[tuple[str, str, str], str]
) -> list[Finding]:
    """Return the findings with the lines at which their faults are.

    Args:
        named: the findings, with names or hints where there are any.
        found: the lines.
        before: the messages of the findings without names and hints, by check, tensor and layer.
    """
    result = list(named)
    for kind, lines in found.lines.items():
        mine = [at for at, finding in enumerate(result) if of_values(finding, kind)]
        wrong = {family(result[at].tensor) for at in mine}
        names = {name for at in mine if (name := result[at].fault) and name not in OF_DTYPES}
        of_values_alone = [line for line in lines if line.actual != SINGLE]
        cures_all = (
            len(of_values_alone) == 1 and wrong <= {*of_values_alone[0].cures} and not found.left.get(kind)
        )
        for at in mine:
            finding = result[at]
            line = next(
                (each for each in lines if family(finding.tensor) in each.cures and each.actual != SINGLE),
                None,
            )
            if line is None:
                continue
            plain = before.get((finding.check, finding.tensor, kind), finding.message)
            if finding.fault is None:
                # The line says more than a hint does.
                finding = replace(finding, clue=None, message=plain)
            elif (
                cures_all
                and finding.fault not in OF_DTYPES
                and (len(names) > 1 or not agrees(finding.fault, line))
            ):
                finding = replace(finding, fault=None, message=plain)
            elif finding.fault is not None and not agrees(finding.fault, line):
                about = "the states" if _is_about_states(line) else ", ".join(line.cures)
                text = f"(The line is about {about}, and the name is not: they are two explanations.)"
                finding = replace(finding, message=f"{text} {finding.message}")
            result[at] = replace(finding, wrong_line=line)
        _of_single_precision(result, kind, lines)
    return result


def _of_single_precision(findings: list[Finding], kind: str, lines: Sequence[WrongLine]) -> None:
    """Give the finding that float32 comes out of float64 the lines that make it."""
    single = [line for line in lines if line.actual == SINGLE]
    if not single:
        return
    first, *others = single
    if others:
        also = "The same is true of line " + ", ".join(str(line.line) for line in others) + "."
        cures = families_of(name for line in single for name in line.cures)
        first = replace(first, message=f"{first.message} {also}", cures=cures)
    for at, finding in enumerate(findings):
        if finding.fault in OF_DTYPES and finding.case.layer == kind:
            findings[at] = replace(finding, wrong_line=first)


def agrees(fault: str, line: WrongLine) -> bool:
    """Whether a name and a line are about the same part of the computation, as far as can be told."""
    stages = {stage for name in fault.split(", and ") for stage in _STAGES.get(name.split(", ")[0], set())}
    if not stages:
        return True
    return (Stage.STATES in stages) == _is_about_states(line)


def _is_about_states(line: WrongLine) -> bool:
    return any(name in FORWARD for name in line.cures)
