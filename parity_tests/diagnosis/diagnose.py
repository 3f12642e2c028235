"""The diagnosis: the faults that explain a subject's findings, or a hint where none does."""

from collections.abc import Sequence
from dataclasses import dataclass

from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.cases.tensors import families_of, family
from parity_tests.check_facts import FLOAT32_INSIDE, FLOAT32_RESULTS, NON_FINITE_VALUES, VALUES, WIDER_DTYPE
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.confirm import Restrict, confirmed
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.hints import hints, outputs_dropped, randomness_symptom
from parity_tests.diagnosis.matching import changed_families, wrong_families
from parity_tests.diagnosis.probe_cases import PROBE_CASES
from parity_tests.diagnosis.samples import Sample, sample_subject
from parity_tests.diagnosis.scoring import Partial
from parity_tests.diagnosis.search import Search
from parity_tests.diagnosis.symptoms import observed_symptoms
from parity_tests.report import Finding

OF_NUMBERS = (VALUES.name, NON_FINITE_VALUES.name)
"""The checks whose findings a faulty loop can explain."""
OF_DTYPES = (FLOAT32_RESULTS.fault, FLOAT32_INSIDE.fault, WIDER_DTYPE.fault)
"""Faults that come after the others."""
MOST_PARTLY = 8
"""How many partial explanations are looked at where none is complete."""
MAX_CELL_STEPS = 400
"""A finding's own case joins the probe cases only if it has at most this many cell steps."""


@dataclass(frozen=True)
class Diagnosis:
    """An explanation of some of the findings.

    Attributes:
        fault: the name of the fault, with its place if it is in one place only; ``"X, or Y"`` if no case
            distinguishes them, ``"X, and Y"`` for faults of the same tensors; None if no fault matches.
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
    kind: str,
    run_case: RunCase,
    findings: Sequence[Finding],
    restrict: Restrict = no_restriction,
    accuracy: float | None = None,
) -> list[Diagnosis]:
    """Name the fault of a subject.

    Args:
        kind: one of ``KINDS``.
        run_case: runs the subject in a case.
        findings: the findings to explain.
        restrict: restricts a case to what the subject supports.
        accuracy: how far the subject's values may be off, if that is declared.
    """
    samples = _samples(kind, run_case, findings, restrict, accuracy)
    whats = {(finding.check, finding.tensor) for finding in findings}
    result = []
    if single := next((sample.single for sample in samples if sample.single), None):
        # One fault; all others are looked for in float32.
        result.append(Diagnosis(single.fault, None, single.message, frozenset({(single.check, "")})))
        restrict = _in_float32(restrict)
        samples = _samples(kind, run_case, findings, restrict, accuracy)
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


def _samples(
    kind: str, run_case: RunCase, findings: Sequence[Finding], restrict: Restrict, accuracy: float | None
) -> list[Sample]:
    own = {finding.case for finding in findings if finding.check in OF_NUMBERS}
    # How far NaN and infinity spread does not depend on the fault alone.
    own = {case for case in own if case.nonfinite == "none"}
    small = sorted(
        (case for case in own - {*PROBE_CASES[kind]} if case.T * case.num_cells <= MAX_CELL_STEPS),
        key=lambda c: c.size,
    )
    return [
        sample_subject(case, run_case, accuracy)
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
    symptom = None if outputs_dropped(samples) else randomness_symptom(samples, run_case)
    if symptom:
        return [Diagnosis(symptom.name, None, f"{symptom.sentence} {_listed(wrong, samples)}", explained)]
    search = Search(kind, samples)
    search.run()
    found = confirmed(search.complete, kind, samples, run_case, restrict)
    if found and not found[0].states_given:
        return _named(found, samples, explained)
    text = hints(samples, run_case, restrict)
    part = (found[0], wrong - {"hs", "h_n"}) if found else partly(search.best, samples)
    if part is None or not part[1]:
        return [Diagnosis(None, text, text, explained)]
    explanation, families = part
    rest = wrong - families
    if not explanation.suspects:
        text = f"The gradients are right for these states: {_words(rest)} {_are(rest)} wrong alone. {text}"
        return [Diagnosis(None, text, text, explained)]
    mine = frozenset(what for what in explained if family(what[1]) in families)
    given = "Given these states: " if explanation.states_given else ""
    that = f"That explains {_words(families)}; {_words(rest)} {_are(rest)} wrong in another way."
    first = Diagnosis(
        ", and ".join(dict.fromkeys(explanation.names)),
        None,
        f"{given}{_sentences(explanation)} {that}",
        mine,
    )
    message = f"{_words(rest)} {_are(rest)} wrong in a way that has no name here. {text}".rstrip()
    return [first, Diagnosis(None, text, message, explained - mine)]


def _named(
    found: Sequence[Explanation], samples: Sequence[Sample], explained: frozenset[tuple[str, str]]
) -> list[Diagnosis]:
    """The diagnoses of explanations that no case distinguishes: one for each fault, in the order of the data."""
    first, *others = found
    names = {suspect: suspect.name for suspect in first.suspects}
    texts = {suspect: suspect.sentence for suspect in first.suspects}
    for other in others:
        # They differ in one fault, or only the first is told.
        more = [suspect for suspect in other.suspects if suspect.name not in first.names]
        fewer = [suspect for suspect in first.suspects if suspect.name not in other.names]
        if len(more) == len(fewer) == 1 and more[0].name not in names[fewer[0]].split(", or "):
            names[fewer[0]] += f", or {more[0].name}"
            texts[fewer[0]] += f" Or: {more[0].sentence}"
    wrong = frozenset(family(name) for sample in samples for name in sample.all_wrong)
    shares = _shares(first, samples, wrong)
    groups: list[tuple[list[Suspect], frozenset[str]]] = []
    for suspect in first.suspects:
        if shares[suspect] or not groups:
            groups.append(([suspect], shares[suspect]))
        else:  # another fault has the same tensors
            groups[-1][0].append(suspect)
    result: list[Diagnosis] = []
    left = explained
    for suspects, families in reversed(groups):
        name = ", and ".join(dict.fromkeys(names[suspect] for suspect in suspects))
        text = " And: ".join(dict.fromkeys(texts[suspect] for suspect in suspects))
        listed = _listed(wrong, samples) if len(groups) == 1 else f"(Wrong: {_words(families)}.)"
        # What is wrong in none of the samples is told with the first fault.
        is_first = len(result) == len(groups) - 1
        mine = left if is_first else frozenset(what for what in explained if family(what[1]) in families)
        left -= mine
        result.insert(0, Diagnosis(name, None, f"{text} {listed}", mine))
    return result


def _shares(
    explanation: Explanation, samples: Sequence[Sample], wrong: frozenset[str]
) -> dict[Suspect, frozenset[str]]:
    """Return for each fault the wrong tensors that are told with it.

    Of the faults that change a tensor it is told with the one that changes fewest, as the nearest to it.
    """
    changed = {
        suspect: changed_families(explanation, explanation.without(suspect), samples) & wrong
        for suspect in explanation.suspects
    }
    shares: dict[Suspect, frozenset[str]] = dict.fromkeys(explanation.suspects, frozenset())
    for name in wrong:
        suspects = [suspect for suspect in explanation.suspects if name in changed[suspect]]
        nearest = min(suspects or explanation.suspects[:1], key=lambda each: len(changed[each]))
        shares[nearest] |= {name}
    return shares


def _sentences(explanation: Explanation) -> str:
    return " ".join(suspect.sentence for suspect in explanation.suspects)


def partly(found: Sequence[Partial], samples: Sequence[Sample]) -> tuple[Explanation, frozenset[str]] | None:
    """Return the explanation that has most of the wrong tensors in all samples, with these, or None."""
    best: tuple[Explanation, frozenset[str]] | None = None
    right = wrong_families(Explanation(), samples)
    for partial in found[:MOST_PARTLY]:
        explanation = partial.explanation
        if not explanation.suspects or explanation.inner_roundoff:
            continue
        left = wrong_families(explanation, samples)
        families = right - left
        # A tensor that was right must stay so.
        if not families or left - right:
            continue
        for suspect in explanation.suspects:
            shorter = explanation.without(suspect)
            if not families & wrong_families(shorter, samples):
                explanation = shorter
        if explanation.suspects and (best is None or len(families) > len(best[1])):
            best = explanation, families
    return best


def _listed(wrong: frozenset[str], samples: Sequence[Sample]) -> str:
    seen = frozenset(family(name) for sample in samples for got in sample.got for name in got)
    right = f"; right: {_words(seen - wrong)}" if seen - wrong else ""
    return f"(Wrong: {_words(wrong)}{right}.)"


def _are(families: frozenset[str]) -> str:
    return "is" if len(families) == 1 else "are"


def _words(names: frozenset[str]) -> str:
    return ", ".join(families_of(names))
