"""The diagnosis: the fault that explains a subject's findings, or a hint if none matches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.cases.tensors import TENSORS, family
from parity_tests.check_facts import FLOAT32_INSIDE, FLOAT32_RESULTS, NON_FINITE_VALUES, VALUES, WIDER_DTYPE
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.hints import hints, randomness_symptom
from parity_tests.diagnosis.matching import (
    Candidate,
    answers,
    candidates,
    find_pair,
    matches_everywhere,
    matching_candidates,
    partial_matches,
)
from parity_tests.diagnosis.probe_cases import PROBE_CASES, TIE_BREAKER_CASES
from parity_tests.diagnosis.samples import Sample, sample_subject
from parity_tests.diagnosis.symptoms import observed_symptoms
from parity_tests.report import Finding

OF_NUMBERS = (VALUES.name, NON_FINITE_VALUES.name)
"""The checks whose findings a faulty loop can explain."""
OF_DTYPES = (FLOAT32_RESULTS.fault, FLOAT32_INSIDE.fault, WIDER_DTYPE.fault)
"""Faults that come after the others."""
Restrict = Callable[[Case], Case]
MAX_CELL_STEPS = 400
"""A finding's own case joins the probe cases only if it has at most this many cell steps."""


@dataclass(frozen=True)
class Diagnosis:
    """An explanation of some of the findings.

    Attributes:
        fault: the name of the fault; ``"X, or Y"`` if no case distinguishes them, ``"X, and Y"`` for
            two faults at once; None if no fault matches.
        clue: the hint, if no fault matches.
        message: the fault or the hint in full sentences.
        explains: check and tensor of each finding that is explained.
    """

    fault: str | None
    clue: str | None
    message: str
    explains: frozenset[tuple[str, str]]


def no_restriction(case: Case) -> Case:
    """Return the case unchanged."""
    return case


def diagnose(
    kind: str, run_case: RunCase, findings: Sequence[Finding], restrict: Restrict = no_restriction
) -> list[Diagnosis]:
    """Name the fault of a subject.

    Args:
        kind: one of ``KINDS``.
        run_case: runs the subject in a case.
        findings: the findings to explain.
        restrict: restricts a case to what the subject supports.
    """
    samples = _samples(kind, run_case, findings, restrict)
    whats = {(finding.check, finding.tensor) for finding in findings}
    result = []
    if single := next((sample.single for sample in samples if sample.single), None):
        # One fault; all others are looked for in float32.
        result.append(Diagnosis(single.fault, None, single.message, frozenset({(single.check, "")})))
        restrict = _in_float32(restrict)
        samples = _samples(kind, run_case, findings, restrict)
    for seen in observed_symptoms(samples):
        explains = frozenset(w for w in whats if w[0] == seen.check and w[1] in seen.tensors)
        name = seen.symptom.name if seen.symptom else None
        result.append(Diagnosis(name, None if name else seen.text, seen.text, explains))
    numbers = [sample for sample in samples if sample.got and sample.case.nonfinite == "none"]
    if any(sample.all_wrong for sample in numbers):
        result += _explanations(kind, run_case, numbers, restrict, whats)
    if wider := next((sample.wider for sample in samples if sample.wider), None):
        result.append(Diagnosis(wider.fault, None, wider.message, frozenset({(wider.check, "")})))
    return sorted(result, key=lambda diagnosis: (diagnosis.fault is None, diagnosis.fault in OF_DTYPES))


def _in_float32(restrict: Restrict) -> Restrict:
    return lambda case: restricted(restrict(case), ("float64",))


def _samples(kind: str, run_case: RunCase, findings: Sequence[Finding], restrict: Restrict) -> list[Sample]:
    own = {finding.case for finding in findings if finding.check in OF_NUMBERS}
    # How far NaN and infinity spread does not depend on the fault alone.
    own = {case for case in own if case.nonfinite == "none"}
    small = sorted(
        (case for case in own - {*PROBE_CASES[kind]} if case.T * case.num_cells <= MAX_CELL_STEPS),
        key=lambda c: c.size,
    )
    return [
        sample_subject(case, run_case)
        for case in dict.fromkeys(map(restrict, (*PROBE_CASES[kind], *small[:3])))
    ]


def _explanations(
    kind: str,
    run_case: RunCase,
    samples: list[Sample],
    restrict: Restrict,
    whats: set[tuple[str, str]],
) -> list[Diagnosis]:
    wrong = frozenset(family(name) for sample in samples for name in sample.all_wrong)
    explained = frozenset(what for what in whats if what[0] in OF_NUMBERS)
    found = candidates(kind, samples)
    fits = _distinguished(kind, run_case, matching_candidates(found, samples), restrict)
    rounded = bool(fits) and all(candidate.variant.loop.inner_roundoff for candidate in fits)
    symptom = randomness_symptom(samples, run_case) if rounded or not fits else None
    if symptom:
        return [Diagnosis(symptom.name, None, f"{symptom.sentence} {_listed(wrong, samples)}", explained)]
    if fits:
        names = list(dict.fromkeys(candidate.faults[0].name for candidate in fits))
        text = " Or: ".join(dict.fromkeys(candidate.sentence for candidate in fits))
        return [Diagnosis(", or ".join(names), None, f"{text} {_listed(wrong, samples)}", explained)]
    parts = partial_matches(found, samples)
    both = find_pair([candidate for candidate, _ in parts], found, samples)
    if both:
        name = ", and ".join(fault.name for fault in both[0].faults)
        return [Diagnosis(name, None, f"Two faults. {both[0].sentence} {_listed(wrong, samples)}", explained)]
    text = hints(samples, run_case, restrict)
    if parts:
        candidate, tensors = parts[0]
        families = frozenset(map(family, tensors))
        mine = frozenset(what for what in explained if family(what[1]) in families)
        rest = wrong - families
        if rest:
            first = Diagnosis(
                candidate.faults[0].name,
                None,
                f"{candidate.sentence} That explains {_words(families)}; {_words(rest)} {_are(rest)} wrong in another way.",
                mine,
            )
            message = f"{_words(rest)} {_are(rest)} wrong in a way that has no name here. {text}".rstrip()
            return [first, Diagnosis(None, text, message, explained - mine)]
    return [Diagnosis(None, text, text, explained)]


def _distinguished(
    kind: str, run_case: RunCase, fits: list[Candidate], restrict: Restrict
) -> list[Candidate]:
    """Keep the candidates that also match a tie-breaker case in which they differ."""
    fits = _one_for_each_fault(fits)
    for case in TIE_BREAKER_CASES[kind]:
        if len(fits) < 2:
            break
        sample = sample_subject(restrict(case), run_case)
        texts = {
            str(
                [
                    {name: value.tobytes() for name, value in answer.items()}
                    for answer in answers(s.variant, sample)
                ]
            )
            for s in fits
        }
        if len(texts) > 1 and sample.got:
            fits = [
                candidate for candidate in fits if matches_everywhere(candidate.variant, [sample])
            ] or fits
    return fits


def _one_for_each_fault(fits: list[Candidate]) -> list[Candidate]:
    """Keep one candidate for each fault.

    Candidates with a lower precision inside are used only if nothing else matches.
    """
    unique: dict[str, Candidate] = {}
    for candidate in fits:
        unique.setdefault(candidate.faults[0].name, candidate)
    exact = [candidate for candidate in unique.values() if not candidate.variant.loop.inner_roundoff]
    return exact or list(unique.values())[:1]


def _listed(wrong: frozenset[str], samples: Sequence[Sample]) -> str:
    seen = frozenset(family(name) for sample in samples for got in sample.got for name in got)
    right = f"; right: {_words(seen - wrong)}" if seen - wrong else ""
    return f"(Wrong: {_words(wrong)}{right}.)"


def _are(families: frozenset[str]) -> str:
    return "is" if len(families) == 1 else "are"


def _words(families: frozenset[str]) -> str:
    return ", ".join(name for name in TENSORS if name in families)
