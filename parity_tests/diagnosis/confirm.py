"""The confirmation of explanations in further cases, and what makes them shorter and more exact."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from parity_tests.cases.case import Case
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.conditions import least_size
from parity_tests.diagnosis.explanation import Explanation
from parity_tests.diagnosis.faults.catalogue import CATALOGUE
from parity_tests.diagnosis.matching import reproduces, same_answers
from parity_tests.diagnosis.places import at_least
from parity_tests.diagnosis.probe_cases import TIE_BREAKER_CASES
from parity_tests.diagnosis.samples import Sample, sample_subject

Restrict = Callable[[Case], Case]
FRESH_SEED = 1000
"""Added to the seed of a case, for other numbers of the same kind."""
MORE_CASES = 3
"""In how many further cases a place must hold."""


def confirmed(
    found: Sequence[Explanation],
    kind: str,
    samples: Sequence[Sample],
    run_case: RunCase,
    restrict: Restrict,
) -> list[Explanation]:
    """Return the explanations that hold in further cases, without what they do not need.

    Args:
        found: explanations that hold in the samples.
        kind: of the layer.
        samples: the subject's answers.
        run_case: runs the subject in a case.
        restrict: restricts a case to what the subject supports.
    """
    shortened = _one_for_each_name([shortest(explanation, samples) for explanation in found])
    fewest = min((len(explanation.suspects) for explanation in shortened), default=0)
    kept = [explanation for explanation in shortened if len(explanation.suspects) == fewest]
    if any(suspect.place for explanation in kept for suspect in explanation.suspects):
        kept = [_with_exact_bounds(explanation, samples, run_case, restrict) for explanation in kept]
        for case in _further_cases(samples, restrict):
            sample = sample_subject(case, run_case)
            kept = [
                explanation for explanation in kept if not sample.got or reproduces(explanation, [sample])
            ]
    return sorted(_distinguished(kept, kind, run_case, restrict), key=_preference)


def _preference(explanation: Explanation) -> int:
    """The faults that the catalogue names first are preferred."""
    return sum(CATALOGUE.index(suspect.fault) for suspect in explanation.suspects)


def shortest(explanation: Explanation, samples: Sequence[Sample]) -> Explanation:
    """Return an explanation without the faults and the places that it does not need."""
    for suspect in explanation.suspects:
        shorter = explanation.without(suspect)
        if shorter.suspects and reproduces(shorter, samples):
            explanation = shorter
        elif suspect.place:
            everywhere = shorter.and_with(replace(suspect, place=None))
            if reproduces(everywhere, samples):
                explanation = everywhere
    return explanation


def _one_for_each_name(found: Sequence[Explanation]) -> list[Explanation]:
    """Keep one explanation for each set of faults.

    Explanations with a lower precision inside are used only if nothing else holds.
    """
    unique: dict[frozenset[str], Explanation] = {}
    for explanation in found:
        unique.setdefault(frozenset(each.fault.name for each in explanation.suspects), explanation)
    exact = [explanation for explanation in unique.values() if not explanation.inner_roundoff]
    return exact or list(unique.values())[:1]


def _further_cases(samples: Sequence[Sample], restrict: Restrict) -> Iterator[Case]:
    """Yield cases like those in which the subject is wrong, and like one in which it is right."""
    wrong = sorted((s for s in samples if s.all_wrong), key=lambda s: s.cost)
    right = sorted((s for s in samples if not s.all_wrong and s.got), key=lambda s: s.cost)
    chosen = [*wrong[:1], *wrong[-1:], *wrong[len(wrong) // 2 :][:1], *right[-1:]]
    for case in dict.fromkeys(sample.case for sample in chosen[: MORE_CASES + 1]):
        yield restrict(replace(case, seed=case.seed + FRESH_SEED))


def _with_exact_bounds(
    explanation: Explanation, samples: Sequence[Sample], run_case: RunCase, restrict: Restrict
) -> Explanation:
    """Return an explanation with the exact size from which on a fault is there, where it depends on one."""
    for suspect in explanation.suspects:
        place = suspect.place
        if place is None or not place.field:
            continue
        inside = [s.case for s in samples if s.all_wrong and place.holds_in(s.case)]
        if not inside:
            continue
        base = min(inside, key=lambda case: (getattr(case, place.field), case.size))
        rest = explanation.without(suspect)
        everywhere = rest.and_with(replace(suspect, place=None))
        least, _ = least_size(
            base,
            place.field,
            place.below,
            lambda case, whole=everywhere: reproduces(whole, [sample_subject(case, run_case)]),  # type: ignore[misc]
            restrict,
        )
        explanation = rest.and_with(replace(suspect, place=at_least(place.field, least, least - 1)))
    return explanation


def _distinguished(
    found: Sequence[Explanation], kind: str, run_case: RunCase, restrict: Restrict
) -> list[Explanation]:
    """Keep the explanations that also hold in a tie-breaker case in which they differ."""
    found = list(found)
    for case in TIE_BREAKER_CASES[kind]:
        if len(found) < 2:
            break
        sample = sample_subject(restrict(case), run_case)
        differ = not all(same_answers(found[0], other, sample) for other in found[1:])
        if differ and sample.got:
            found = [explanation for explanation in found if reproduces(explanation, [sample])] or found
    return found
