"""Matching: which faulty loops have the subject's wrong numbers."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.catalogue import of_kind
from parity_tests.diagnosis.faults.faulty_loop import Fault, PiecesClash, Variant
from parity_tests.diagnosis.samples import Sample, measured
from parity_tests.references.rounding import LowerPrecisionNoise, NoNoise
from parity_tests.references.tolerance import compare

LOW_PRECISION_ROUNDOFF = 2.0**-12
"""From this unit roundoff on, a lower precision would match nearly any error without a bound."""
MAX_ROUNDOFFS = 24.0
"""That bound: how many roundoffs of the lower precision a tensor may be off by."""
MAX_PAIRS = 500
"""How many pairs of faults are tried."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One or two faults, with the faulty loop that may match the subject."""

    faults: tuple[Fault, ...]
    variant: Variant

    @property
    def sentence(self) -> str:
        """What the numbers show, and where to look."""
        constants = self.variant.constants
        return " ".join(f"{fault.sentence.format(**constants)} {fault.look}" for fault in self.faults)


def candidates(kind: str, samples: Sequence[Sample]) -> list[Candidate]:
    """Return all faulty loops for a kind of layer, with constants found from the samples."""
    found = []
    with np.errstate(all="ignore"):
        for fault, variant in of_kind(kind):
            # A constant may depend on a tensor that the subject does not return.
            with suppress(KeyError):
                found += [Candidate((fault,), inferred) for inferred in variant.infer(samples)]
    return [candidate for candidate in found if _is_fine_enough(candidate.variant, samples)]


def _is_fine_enough(variant: Variant, samples: Sequence[Sample]) -> bool:
    """Return whether the errors are small enough for a lower precision to explain them."""
    return variant.loop.inner_roundoff < LOW_PRECISION_ROUNDOFF or all(
        _near(value, truth[name], MAX_ROUNDOFFS * variant.loop.inner_roundoff)
        for sample in samples
        for got, truth in zip(sample.got, sample.truths, strict=False)
        for name, value in got.items()
    )


def answers(variant: Variant, sample: Sample) -> list[Answer]:
    """Return the answers of a faulty loop, without rounding noise."""
    case = sample.case
    return variant.for_case(case, NoNoise(case), sample.got).answers(sample.calls)


def matching_tensors(variant: Variant, sample: Sample) -> frozenset[str]:
    """Return the tensors in which a faulty loop roughly equals the subject in every call."""
    loose = max(1e-6 if sample.case.dtype == "f64" else 2e-3, 500 * variant.loop.inner_roundoff)
    if variant.loop.ill_conditioned:
        return frozenset().union(*(got.keys() for got in sample.got)) - differing_tensors(variant, sample)
    different: set[str] = set()
    seen: set[str] = set()
    for got, mine in zip(sample.got, answers(variant, sample), strict=False):
        seen |= got.keys()
        different |= {name for name, value in got.items() if not _near(value, mine[name], loose)}
    return frozenset(seen - different)


def _near(got: Array, mine: Array, loose: float) -> bool:
    if not np.isfinite(mine).all():
        return bool(np.array_equal(np.isfinite(got), np.isfinite(mine)))
    return bool((np.abs(got - mine) <= loose * np.abs(mine).max(initial=0.0) + 1e-290).all())


def matches_everywhere(variant: Variant, samples: Iterable[Sample]) -> bool:
    """Return whether a faulty loop equals the subject in all tensors of all samples, up to rounding."""
    return all(not differing_tensors(variant, sample) for sample in samples)


def differing_tensors(variant: Variant, sample: Sample) -> frozenset[str]:
    """Return the tensors in which a faulty loop differs from the subject by more than rounding."""
    case = sample.case
    loop = variant.for_case(case, LowerPrecisionNoise(case, variant.loop.inner_roundoff), sample.got)
    mine, limits = measured(case, sample.calls, loop)
    found = any(isinstance(value, float) for value in variant.constants.values())
    different: set[str] = set()
    for got, answer, allowed in zip(sample.got, mine, limits, strict=False):
        # Where rounding decides, one of the two may be infinite and the other not.
        shaky = variant.loop.ill_conditioned and any(limit.inconclusive.any() for limit in allowed.values())
        for name, value in got.items():
            if shaky and not np.isfinite(value).all():
                continue
            # A constant found from the numbers is no more exact than they are.
            if not compare(answer[name], value, allowed[name]).equal and not (
                found and case.dtype == "f64" and _near(value, answer[name], 1e-8)
            ):
                different.add(name)
    return frozenset(different)


def matching_candidates(found: Sequence[Candidate], samples: Sequence[Sample]) -> list[Candidate]:
    """Return the candidates that match all samples."""
    if not found or not any(sample.all_wrong for sample in samples):
        return []
    screens = prefilter_cases(samples)
    for screen in screens:
        everything = frozenset().union(*(got.keys() for got in screen.got))
        found = [
            candidate for candidate in found if matching_tensors(candidate.variant, screen) == everything
        ]
    return [candidate for candidate in found if matches_everywhere(candidate.variant, samples)]


def prefilter_cases(samples: Sequence[Sample]) -> list[Sample]:
    """Choose one or two samples to rule out most candidates quickly.

    These are the cheapest sample that is wrong, and one with many wrong tensors.
    """
    wrong = [sample for sample in samples if sample.all_wrong]
    chosen = [sample for sample in wrong if sample.case.dtype == "f64"] or wrong
    cheapest = min(chosen, key=lambda sample: (sample.cost, -len(sample.all_wrong)))
    fullest = max(chosen, key=lambda sample: (min(len(sample.all_wrong), 8), -sample.cost))
    return [cheapest] if cheapest is fullest else [cheapest, fullest]


def partial_matches(
    found: Sequence[Candidate], samples: Sequence[Sample]
) -> list[tuple[Candidate, frozenset[str]]]:
    """Return candidates that match some of the wrong tensors, with these tensors; most tensors first.

    A tensor counts only if the candidate matches it in every sample.
    """
    screen = prefilter_cases(samples)[-1]
    kept = []
    for candidate in found:
        explained = matching_tensors(candidate.variant, screen) & screen.all_wrong
        if explained and not candidate.variant.loop.inner_roundoff:
            kept.append((candidate, explained))
    kept.sort(key=lambda pair: -len(pair[1]))
    result = []
    output = "h_n" if screen.case.is_cell else "hs"
    states = {output} & {name for sample in samples for name in sample.all_wrong}
    for candidate, _ in kept[:12]:
        wrong: frozenset[str] = frozenset().union(*(sample.all_wrong for sample in samples))
        for sample in samples:
            wrong -= differing_tensors(candidate.variant, sample)
        # If states are wrong, gradients that match alone prove nothing.
        if wrong and not (states - wrong):
            result.append((candidate, wrong))
    return sorted(result, key=lambda pair: -len(pair[1]))


def find_pair(
    leading: Sequence[Candidate], found: Sequence[Candidate], samples: Sequence[Sample]
) -> list[Candidate]:
    """Find two faults that match the samples when both are in one layer.

    One is from ``leading``, the other from ``found``. The result has one element or none.
    """
    screen = prefilter_cases(samples)[-1]
    everything = frozenset().union(*(got.keys() for got in screen.got))
    tried = 0
    for first in leading:
        for second in found:
            if first.faults[0].name == second.faults[0].name or second.variant.loop.inner_roundoff:
                continue
            tried += 1
            if tried > MAX_PAIRS:
                return []
            for one, other in ((first, second), (second, first)):
                with suppress(PiecesClash):
                    pair = one.variant.combined_with(other.variant)
                    if matching_tensors(pair, screen) == everything and matches_everywhere(pair, samples):
                        return [Candidate((first.faults[0], second.faults[0]), pair)]
    return []
