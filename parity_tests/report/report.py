"""Findings, tallies, and the report they add up to."""

import html
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.tensors import TENSORS, family
from parity_tests.report.wrong_line import JSON_KEYS, WrongLine
from parity_tests.words import counted, html_table


class Verdict(StrEnum):
    """What a run amounts to; its value is what reports show."""

    EQUAL = "EQUAL"
    """All that was planned was compared, and all was equal."""
    DIFFERENT = "DIFFERENT"
    """A fault was found, however much was compared."""
    NOT_JUDGED = "NOT JUDGED"
    """No fault was found, but less was compared than planned."""
    PASSED = "PASSED"
    """A person selected some of the checks and cases, and all of these passed."""


class Severity(StrEnum):
    """What a finding means for the verdict; its value is what the JSON report shows.

    The rule that decides between the first two:

    - A **fault** makes numbers wrong in ordinary use: a training loop, repeated calls, either precision as
      far as the target offers it. In ordinary use the caller changes no array that it has given or been
      given, but the parameters, in place, between a backward and the next call.
    - **Advice** is what right layers do too. Of a target with torch's interface, what torch documents or
      plainly intends is never a fault.
    - The project's own layers promise more. Of them, advice is a fault.
    """

    FAULT = "fault"
    """The layer is wrong, and the run fails."""
    ADVISORY = "unusual"
    """Advice: correct layers may do so too; the run does not fail."""
    KNOWN = "known"
    """A fault that is declared in the file of known failures; the run does not fail."""


SHOWN = {Severity.FAULT: "fault", Severity.ADVISORY: "advice", Severity.KNOWN: "known"}
"""What a person reads."""
TALLY_HEADINGS = ("tensor", "cases", "slices", "inconclusive", "worst error / allowed", "in case")


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which the layer judged is wrong, seen in one case.

    Attributes:
        check: what was checked: ``values``, ``shape``, ``dtype``, ``inputs untouched``, ...
        tensor: the tensor concerned, or ``""`` where it is not about one.
        case: the case in which it was seen.
        message: all of it in words and numbers.
        severity: what it means for the verdict.
        fault: the name of the fault, if known.
        clue: what the numbers say about it, if anything.
        telling: whether the numbers shown are of ordinary size and plainly differ.
        wrong_line: the line of the user's code that is wrong, if one was found.
    """

    check: str
    tensor: str
    case: Case
    message: str
    severity: Severity = Severity.FAULT
    fault: str | None = None
    clue: str | None = None
    telling: bool = True
    wrong_line: WrongLine | None = None

    @property
    def what(self) -> str:
        """Check and tensor in a word or two."""
        return f"{self.check} of {self.tensor}" if self.tensor else self.check

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types; the case is its token."""
        # pytest-xdist sends plain strings between processes, and no subclass of str.
        texts = {"case": str(self.case), "severity": self.severity.value}
        own = {name: getattr(self, name) for name in self.__slots__ if name != "wrong_line"}
        line = asdict(self.wrong_line) if self.wrong_line else {}
        return own | texts | {key: line.get(name) for name, key in JSON_KEYS.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Finding":
        """The finding that ``to_json`` came from."""
        values: dict[str, Any] = {"case": Case.parse(data["case"]), "severity": Severity(data["severity"])}
        line = {name: data[key] for name, key in JSON_KEYS.items()}
        if line["file"] is not None:
            values["wrong_line"] = WrongLine(**line | {"cures": tuple(line["cures"])})
        own = {name: value for name, value in data.items() if name not in JSON_KEYS.values()}
        return cls(**{**own, **values})


@dataclass(slots=True)
class Tally:
    """The result of all comparisons of one tensor.

    Attributes:
        cases: how many cases have the tensor.
        slices: how many slices were compared.
        inconclusive: how many of them rounding left undecided.
        worst: the largest error over allowed among conclusive slices.
        case: the case in which it was seen; None if no slice was conclusive.
    """

    cases: int = 0
    slices: int = 0
    inconclusive: int = 0
    worst: float = 0.0
    case: Case | None = None

    def add(self, other: "Tally") -> None:
        """Take in another tally of the same tensor."""
        self.cases += other.cases
        self.slices += other.slices
        self.inconclusive += other.inconclusive
        if other.case and (not self.case or other.worst > self.worst):
            self.worst, self.case = other.worst, other.case

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types; the case is its token, or ``""``."""
        return {**asdict(replace(self, case=None)), "case": str(self.case) if self.case else ""}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        """The tally that ``to_json`` came from."""
        return cls(**{**data, "case": Case.parse(data["case"]) if data["case"] else None})


@dataclass(slots=True, repr=False)
class Report:
    """What a run of the gate obtained; ``ok`` only if all of it was obtained and all was equal.

    Attributes:
        planned: how many cases were to be compared.
        cases: how many were, with every tensor of every call.
        tensors: a tally for each tensor compared.
        findings: the findings, of one check of one tensor one: faults, then advice, each in the order of
            the data: values, what is between calls, and last what is about dtypes.
        failed: the cases in which anything was found.
        errors: reasons why cases or checks could not be judged.
        stopped: how many cases were left out because a fault had been found.
        given_up: how many cases were left out because too many calls before had not returned, by the
            reason in words.
        calls: how many calls were compared in full, in all cases.
        planned_checks: how many checks of the contract were to be run.
        checks: how many were.
        selected: whether a person chose some of the plan's cases and checks.
        uncompared: how many cases were tried but not compared in full, by the reason.
        note: why no line of the user's code is told, or that there may be more.
        seconds: how long the run took, at its end.
        text: all of it in words, at the end of a run.

    Example:
        >>> import parity_tests, rnn_np
        >>> class Doubled(rnn_np.TimeRNN):
        ...     def backward(self, dhs):
        ...         return 2 * super().backward(dhs)
        >>> report = parity_tests.check(Doubled, case="B2T3D4H5-f64-s0")
        >>> report.ok, report.exit_code
        (False, 1)
        >>> finding = report.findings[0]
        >>> finding.what, finding.fault
        ('values of dx', 'gradient doubled')
    """

    planned: int
    cases: int = 0
    tensors: dict[str, Tally] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    failed: list[Case] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: int = 0
    given_up: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    planned_checks: int = 0
    checks: int = 0
    selected: bool = False
    uncompared: dict[str, int] = field(default_factory=dict)
    note: str = ""
    seconds: float | None = None
    text: str = ""

    def add(self, other: "Report") -> None:
        """Take in what another run of other cases obtained."""
        self.cases += other.cases
        self.calls += other.calls
        self.stopped += other.stopped
        _add_counts(self.given_up, other.given_up)
        self.checks += other.checks
        for name, tally in other.tensors.items():
            self.tensors.setdefault(name, Tally()).add(tally)
        self.failed += other.failed
        self.errors += other.errors
        _add_counts(self.uncompared, other.uncompared)
        self.find(other.findings)

    def find(self, findings: Iterable[Finding]) -> None:
        """Keep of each check of each tensor the finding with the smallest case that is telling."""
        kept = {(finding.check, finding.tensor): finding for finding in self.findings}
        for finding in findings:
            key = finding.check, finding.tensor
            if key not in kept or _for_reading(finding) < _for_reading(kept[key]):
                kept[key] = finding
        self.findings = sorted(kept.values(), key=_order)

    @property
    def inconclusive(self) -> int:
        """How many slices, of all tensors, rounding left undecided."""
        return sum(tally.inconclusive for tally in self.tensors.values())

    @property
    def faults(self) -> list[Finding]:
        """The findings that make the layer wrong."""
        return [finding for finding in self.findings if finding.severity == Severity.FAULT]

    @property
    def not_judged(self) -> list[str]:
        """Why the run does not amount to a verdict; empty if it does.

        It counts what was compared. What is known to fail excuses a difference, never a comparison that
        was not made.
        """
        reasons = [
            f"{cases:,} of {self.planned:,} cases were not judged: {reason}"
            for reason, cases in self.given_up.items()
        ]
        reasons += self.errors
        tried = self.planned - sum(self.given_up.values())
        if not self.faults and self.cases < tried:
            why = "; ".join(
                f"{reason}, in {counted(number, 'case')}" for reason, number in self.uncompared.items()
            )
            missing = f"{tried - self.cases} of {self.planned} cases were not compared"
            reasons.append(f"{missing}: {why}" if why else missing)
        if self.checks < self.planned_checks:
            missing = f"{self.planned_checks - self.checks} of {self.planned_checks} checks were not run"
            reasons.append(missing)
        for name, tally in self.tensors.items():
            if tally.slices == tally.inconclusive:
                reasons.append(f"{name}: every slice compared was inconclusive")
        if self.cases and not self.tensors:
            reasons.append("no tensor was compared")
        if not self.planned and not (self.selected and self.checks):
            reasons.append("no case was compared")
        return reasons

    @property
    def verdict(self) -> Verdict:
        """What the run amounts to, by what was obtained."""
        if self.faults:
            return Verdict.DIFFERENT
        if self.not_judged:
            return Verdict.NOT_JUDGED
        return Verdict.PASSED if self.selected else Verdict.EQUAL

    @property
    def ok(self) -> bool:
        """Whether all that was planned, or selected, was compared and no fault was found."""
        return self.verdict in (Verdict.EQUAL, Verdict.PASSED)

    @property
    def exit_code(self) -> int:
        """0 all equal, 1 a difference, 2 could not judge."""
        return 1 if self.faults else 0 if self.ok else 2

    def excused(self, known: Mapping[str, str]) -> "Report":
        """The same, where what is ``known`` to fail counts as no fault."""
        findings = [replace(f, severity=Severity.KNOWN) if f.what in known else f for f in self.findings]
        failed = self.failed if any(finding.severity == Severity.FAULT for finding in findings) else []
        return replace(self, findings=findings, failed=failed)

    @property
    def headline(self) -> str:
        """Verdict and faults in a line."""
        faults = [
            f"{group[0].fault} ({named(group)})" if group[0].fault else named(group)
            for group in grouped(self.faults)
        ]
        cases = f"{self.cases} of {self.planned} cases compared"
        return f"{self.verdict}: {'; '.join(faults or self.not_judged or [cases])}"

    def __repr__(self) -> str:
        return f"<Report {' '.join(self.headline.split())}>"

    def _repr_html_(self) -> str:
        """The report for a notebook."""
        groups = grouped(f for f in self.findings if f.severity != Severity.KNOWN)
        findings = [
            (named(group), SHOWN[group[0].severity], group[0].fault or "", group[0].message, group[0].case)
            for group in groups
        ]
        tensors = [
            (name, tally.cases, tally.slices, tally.inconclusive, shown_worst(tally), tally.case or "")
            for name, tally in self.tensors.items()
        ]
        return "".join(
            [
                f"<p><b>{html.escape(self.headline)}</b></p>",
                html_table(("finding", "severity", "name", "what was seen", "smallest case"), findings),
                html_table(TALLY_HEADINGS, tensors),
            ]
        )

    def __str__(self) -> str:
        return self.text or repr(self)

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        return {
            **asdict(replace(self, tensors={}, findings=[], failed=[])),
            "tensors": {name: tally.to_json() for name, tally in self.tensors.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "failed": [str(case) for case in self.failed],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Report":
        """The report that ``to_json`` came from."""
        tensors = {name: Tally.from_json(tally) for name, tally in data["tensors"].items()}
        findings = [Finding.from_json(finding) for finding in data["findings"]]
        failed = [Case.parse(token) for token in data["failed"]]
        return cls(**{**data, "tensors": tensors, "findings": findings, "failed": failed})


def _add_counts(total: dict[str, int], other: Mapping[str, int]) -> None:
    for reason, number in other.items():
        total[reason] = total.get(reason, 0) + number


ABOUT_DTYPES = ("dtype", "wider dtype")
"""Checks whose findings come after all others of their severity."""
OF_A_CASE = ("raises", "interface", "type", "shape", "values", "non-finite values")
"""Checks made in every case; what is wrong between calls comes after them."""


def _for_reading(finding: Finding) -> tuple[bool, tuple[int, int, str]]:
    return not finding.telling, finding.case.size


def _order(finding: Finding) -> tuple[bool, bool, bool, int, tuple[int, int, str]]:
    """As the data flows: values, then what is between calls, then dtypes; advice last."""
    advice = finding.severity == Severity.ADVISORY
    between_calls = finding.check not in (*OF_A_CASE, *ABOUT_DTYPES)
    return advice, finding.check in ABOUT_DTYPES, between_calls, _rank(finding), finding.case.size


def shown_worst(tally: Tally) -> str:
    """The largest error over allowed; JSON has no infinity, and its largest number stands for it."""
    if not tally.case:
        return "none conclusive"
    return "inf" if tally.worst >= sys.float_info.max else f"{tally.worst:.3g}"


def grouped(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Faults first; those with one name together, and those of one check with one explanation."""
    groups: dict[object, list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: f.severity != Severity.FAULT):
        line = finding.wrong_line
        place = (line.file, line.line, line.should_be) if line else None
        why = finding.fault or place or (finding.check, finding.clue or finding.tensor)
        groups.setdefault((finding.severity, why), []).append(finding)
    return list(groups.values())


def named(group: Sequence[Finding]) -> str:
    """The checks of a group, with all of its tensors."""
    checks = " and ".join(dict.fromkeys(finding.check for finding in group))
    tensors = ", ".join(dict.fromkeys(finding.tensor for finding in group if finding.tensor))
    return f"{checks} of {tensors}" if tensors else checks


def _rank(finding: Finding) -> int:
    """Outputs before gradients, as the data flows."""
    names = list(TENSORS)
    return names.index(family(finding.tensor)) if family(finding.tensor) in names else -1
