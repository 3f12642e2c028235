"""What a run obtained: the report that findings and tallies add up to."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from parity_tests.cases.tensors import TENSORS, family
from parity_tests.report.facts import SHOWN_ALONE, RunFacts, accuracy_in_words
from parity_tests.report.finding import SHOWN, Finding, Severity
from parity_tests.report.part import Part
from parity_tests.report.schema import FORMAT, checked, report_schema
from parity_tests.report.tally import TALLY_HEADINGS, Tally, shown_worst
from parity_tests.words import counted, html_table

MAX_ERRORS = 1000
"""Reasons why something was not judged that a report keeps; what is missing is counted besides."""


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
    PART = "PART"
    """All of one part of a run was compared, and all was equal; the other parts are not known."""


@dataclass(slots=True, repr=False)
class Report:
    """What a run of the gate obtained; ``ok`` only if all of it was obtained and all was equal.

    Attributes:
        planned: how many cases were to be compared.
        cases: how many were, with every tensor of every call.
        tensors: a tally for each tensor compared.
        findings: the findings, of one check of one tensor one: faults, then advice, each in the order of
            the data: values, what is between calls, and last what is about dtypes.
        failed: in how many cases anything was found that is a fault.
        errors: reasons why cases or checks could not be judged, at most ``MAX_ERRORS`` of them.
        stopped: how many cases were left out because a fault had been found.
        given_up: how many cases were left out because too many calls before had not returned, by the
            reason in words.
        calls: how many calls were compared in full, in all cases.
        planned_checks: how many checks of the contract were to be run.
        checks: how many were.
        selected: whether a person chose some of the plan's cases and checks.
        uncompared: how many cases were tried but not compared in full, by the reason.
        note: why no line of the user's code is told, or that there may be more.
        part: which part of a run it is about; None: all of it.
        run: what the run rests on; None before its end.
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
    failed: int = 0
    errors: list[str] = field(default_factory=list)
    stopped: int = 0
    given_up: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    planned_checks: int = 0
    checks: int = 0
    selected: bool = False
    uncompared: dict[str, int] = field(default_factory=dict)
    note: str = ""
    part: Part | None = None
    run: RunFacts | None = None
    seconds: float | None = field(default=None, compare=False)
    text: str = field(default="", compare=False)

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
        self.errors += other.errors[: MAX_ERRORS - len(self.errors)]
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
        if self.cases and not self.tensors:
            reasons.append("no tensor was compared")
        if self.part is not None:  # what one part leaves open another may settle
            return reasons
        for name, tally in self.tensors.items():
            if tally.slices == tally.inconclusive:
                reasons.append(f"{name}: every slice compared was inconclusive")
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
        if self.selected:
            return Verdict.PASSED
        return Verdict.EQUAL if self.part is None else Verdict.PART

    @property
    def ok(self) -> bool:
        """Whether all that was planned, selected or of this part was compared and no fault was found."""
        return self.verdict in (Verdict.EQUAL, Verdict.PASSED, Verdict.PART)

    @property
    def exit_code(self) -> int:
        """0 all equal, 1 a difference, 2 could not judge."""
        return 1 if self.faults else 0 if self.ok else 2

    def excused(self, known: Mapping[str, str]) -> "Report":
        """The same, where what is ``known`` to fail counts as no fault."""
        findings = [replace(f, severity=Severity.KNOWN) if f.what in known else f for f in self.findings]
        failed = self.failed if any(finding.severity == Severity.FAULT for finding in findings) else 0
        return replace(self, findings=findings, failed=failed)

    @property
    def headline(self) -> str:
        """Verdict and faults in a line."""
        faults = [
            f"{group[0].fault} ({named(group)})" if group[0].fault else named(group)
            for group in grouped(self.faults)
        ]
        so_far = f"part {self.part.number} of {self.part.of} is equal so far; " if self.part else ""
        cases = f"{so_far}{self.cases} of {self.planned} cases compared"
        accuracy = self.run.accuracy if self.run else None
        may_be_off = [accuracy_in_words(accuracy)] if accuracy else []
        return f"{self.verdict}: {'; '.join([*(faults or self.not_judged or [cases]), *may_be_off])}"

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
        """All of it in JSON's types, but for the seconds and the text.

        The report of a run fits the schema. What another run obtained in the same cases gives the same JSON.
        """
        facts = self.run.to_json() if self.run else {}
        shown = {name: facts.pop(name) for name in SHOWN_ALONE if facts}
        versions = {"versions": facts.pop("versions")} if facts else {}
        known = facts.get("known", {})
        return {
            "format": FORMAT,
            "ok": self.ok,
            "verdict": self.verdict.value,
            "part": {"number": self.part.number, "of": self.part.of} if self.part else None,
            **shown,
            **{name: getattr(self, name) for name in _COUNTS},
            "inconclusive": self.inconclusive,
            "selected": self.selected,
            "not_judged": self.not_judged,
            "errors": [*self.errors],
            "given_up": {**self.given_up},
            "uncompared": {**self.uncompared},
            **versions,
            "tensors": {name: tally.to_json() for name, tally in self.tensors.items()},
            "findings": [each.to_json() for each in self.findings if each.severity != Severity.KNOWN],
            "known": [
                {**each.to_json(), "reason": known.get(each.what, ""), "position": position}
                for position, each in enumerate(self.findings)
                if each.severity == Severity.KNOWN
            ],
            "note": self.note,
            **({"run": facts} if facts else {}),
        }

    @classmethod
    def from_json(cls, source: str | bytes | Mapping[str, Any]) -> "Report":
        """The report that ``to_json`` came from: what ``--json`` writes, as text or read by ``json`` already.

        Args:
            source: the text, or the object.

        Raises:
            ValueError: it is no report, one of a later format, or one that is damaged or was changed by hand
                so that it contradicts itself; the message says which, and where.

        Example:
            >>> import json, parity_tests, rnn_np
            >>> report = parity_tests.check(rnn_np.TimeRNN, case="B2T3D4H5-f64-s0")
            >>> parity_tests.Report.from_json(json.dumps(report.to_json())) == report
            True
        """
        data = checked(source)
        try:
            report = _read(cls, data)
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError(f"report: it is damaged: {error}") from error
        for name in ("ok", "verdict", "inconclusive"):
            if data[name] != getattr(report, name):
                raise ValueError(
                    f"report: it is damaged: {name} is {data[name]}, but the rest makes it {getattr(report, name)}"
                )
        if report.cases > report.planned or report.checks > report.planned_checks:
            raise ValueError("report: it is damaged: more was compared than planned")
        return report

    @staticmethod
    def schema() -> dict[str, Any]:
        """The JSON schema of what ``--json`` writes: ``parity_tests/report/report.schema.json``.

        Example:
            >>> import parity_tests
            >>> parity_tests.Report.schema()["properties"]["format"]["const"]
            1
        """
        return report_schema()


_COUNTS = ("planned", "cases", "calls", "stopped", "planned_checks", "checks", "failed")


def _read(cls: type[Report], data: Mapping[str, Any]) -> Report:
    findings = [Finding.from_json(finding) for finding in data["findings"]]
    for finding in sorted(data["known"], key=lambda known: known["position"]):
        if finding["position"] > len(findings):
            raise ValueError(f"known: there is no position {finding['position']}")
        findings.insert(finding["position"], Finding.from_json(finding))
    own = {name: data[name] for name in (*_COUNTS, "selected", "note")}
    return cls(
        **own,
        errors=[*data["errors"]],
        given_up={**data["given_up"]},
        uncompared={**data["uncompared"]},
        tensors={name: Tally.from_json(tally) for name, tally in data["tensors"].items()},
        findings=findings,
        part=Part(data["part"]["number"], data["part"]["of"]) if data["part"] else None,
        run=RunFacts.from_json({**data, **data["run"]}) if "run" in data else None,
    )


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
