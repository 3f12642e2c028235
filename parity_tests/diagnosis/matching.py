"""Twins held against a subject: which of them have its wrong numbers."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.catalogue import of_kind
from parity_tests.diagnosis.faults.faulty_loop import Fault, PiecesClash, Variant
from parity_tests.diagnosis.samples import Sample, measured
from parity_tests.references.rounding import Noise, Still, pools
from parity_tests.references.tolerance import compare

COARSE = 2.0**-12
"""The unit roundoff from which on a precision explains nearly any error, unless it is held to more."""
MOVED = 24.0
"""How many of its roundoffs a tensor may be off by."""
MOST_PAIRS = 500
"""Of twins tried together."""


class Coarse(Noise):
    """That of a lower precision inside."""

    def __init__(self, case: Case, u: float) -> None:
        super().__init__(case)
        if u > self.u:
            self.u = u
            self.relative_pool, self.absolute_pool = pools(u)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A fault, or two, with a twin that may be the subject's."""

    faults: tuple[Fault, ...]
    twin: Variant

    @property
    def sentence(self) -> str:
        """What the numbers show, and where to look."""
        constants = self.twin.constants
        return " ".join(f"{fault.sentence.format(**constants)} {fault.look}" for fault in self.faults)


def suspects(kind: str, samples: Sequence[Sample]) -> list[Suspect]:
    """Every twin of a kind, with the constants that the numbers give it."""
    found = []
    with np.errstate(all="ignore"):
        for fault, twin in of_kind(kind):
            # A constant may follow from a tensor that the subject does not answer.
            with suppress(KeyError):
                found += [Suspect((fault,), inferred) for inferred in twin.infer(samples)]
    return [suspect for suspect in found if _is_fine_enough(suspect.twin, samples)]


def _is_fine_enough(twin: Variant, samples: Sequence[Sample]) -> bool:
    """A lower precision inside moves no tensor by much: else it is no explanation."""
    return twin.loop.coarse < COARSE or all(
        _near(value, truth[name], MOVED * twin.loop.coarse)
        for sample in samples
        for got, truth in zip(sample.got, sample.truths, strict=False)
        for name, value in got.items()
    )


def answers(twin: Variant, sample: Sample) -> list[Answer]:
    """What a twin says, without its rounding."""
    case = sample.case
    return twin.for_case(case, Still(case), sample.got).answers(sample.calls)


def alike(twin: Variant, sample: Sample) -> frozenset[str]:
    """The tensors in which a twin is about what the subject is, in every call."""
    loose = max(1e-6 if sample.case.dtype == "f64" else 2e-3, 500 * twin.loop.coarse)
    if twin.loop.rough:
        return frozenset().union(*(got.keys() for got in sample.got)) - disagreement(twin, sample)
    different: set[str] = set()
    seen: set[str] = set()
    for got, mine in zip(sample.got, answers(twin, sample), strict=False):
        seen |= got.keys()
        different |= {name for name, value in got.items() if not _near(value, mine[name], loose)}
    return frozenset(seen - different)


def _near(got: Array, mine: Array, loose: float) -> bool:
    if not np.isfinite(mine).all():
        return bool(np.array_equal(np.isfinite(got), np.isfinite(mine)))
    return bool((np.abs(got - mine) <= loose * np.abs(mine).max(initial=0.0) + 1e-290).all())


def holds(twin: Variant, samples: Iterable[Sample]) -> bool:
    """Whether a twin is the subject, in every tensor of every sample, as close as rounding goes."""
    return all(not disagreement(twin, sample) for sample in samples)


def disagreement(twin: Variant, sample: Sample) -> frozenset[str]:
    """The tensors in which a twin is not what the subject is."""
    case = sample.case
    loop = twin.for_case(case, Coarse(case, twin.loop.coarse), sample.got)
    mine, limits = measured(case, sample.calls, loop)
    found = any(isinstance(value, float) for value in twin.constants.values())
    different: set[str] = set()
    for got, answer, allowed in zip(sample.got, mine, limits, strict=False):
        # What rounding decides may be infinite in the one and not in the other.
        shaky = twin.loop.rough and any(limit.inconclusive.any() for limit in allowed.values())
        for name, value in got.items():
            if shaky and not np.isfinite(value).all():
                continue
            # A constant found from the numbers is as exact as they are.
            if not compare(answer[name], value, allowed[name]).equal and not (
                found and case.dtype == "f64" and _near(value, answer[name], 1e-8)
            ):
                different.add(name)
    return frozenset(different)


def fitting(found: Sequence[Suspect], samples: Sequence[Sample]) -> list[Suspect]:
    """The suspects that hold on all samples."""
    if not found or not any(sample.all_wrong for sample in samples):
        return []
    screens = screening(samples)
    for screen in screens:
        everything = frozenset().union(*(got.keys() for got in screen.got))
        found = [suspect for suspect in found if alike(suspect.twin, screen) == everything]
    return [suspect for suspect in found if holds(suspect.twin, samples)]


def screening(samples: Sequence[Sample]) -> list[Sample]:
    """Two samples to begin with: the cheapest that is wrong, and one that shows much of what is."""
    wrong = [sample for sample in samples if sample.all_wrong]
    chosen = [sample for sample in wrong if sample.case.dtype == "f64"] or wrong
    cheapest = min(chosen, key=lambda sample: (sample.cost, -len(sample.all_wrong)))
    fullest = max(chosen, key=lambda sample: (min(len(sample.all_wrong), 8), -sample.cost))
    return [cheapest] if cheapest is fullest else [cheapest, fullest]


def partial(found: Sequence[Suspect], samples: Sequence[Sample]) -> list[tuple[Suspect, frozenset[str]]]:
    """Suspects that are the subject in some of the tensors it has wrong, most of them first.

    What a suspect explains are those tensors in which it holds on every sample.
    """
    screen = screening(samples)[-1]
    kept = []
    for suspect in found:
        explained = alike(suspect.twin, screen) & screen.all_wrong
        if explained and not suspect.twin.loop.coarse:
            kept.append((suspect, explained))
    kept.sort(key=lambda pair: -len(pair[1]))
    result = []
    output = "h_n" if screen.case.is_cell else "hs"
    states = {output} & {name for sample in samples for name in sample.all_wrong}
    for suspect, _ in kept[:12]:
        wrong: frozenset[str] = frozenset().union(*(sample.all_wrong for sample in samples))
        for sample in samples:
            wrong -= disagreement(suspect.twin, sample)
        # Gradients of wrong states say nothing by themselves.
        if wrong and not (states - wrong):
            result.append((suspect, wrong))
    return sorted(result, key=lambda pair: -len(pair[1]))


def together(
    leading: Sequence[Suspect], found: Sequence[Suspect], samples: Sequence[Sample]
) -> list[Suspect]:
    """Two faults at once: what suspects become that share a layer with another."""
    screen = screening(samples)[-1]
    everything = frozenset().union(*(got.keys() for got in screen.got))
    tried = 0
    for first in leading:
        for second in found:
            if first.faults[0].name == second.faults[0].name or second.twin.loop.coarse:
                continue
            tried += 1
            if tried > MOST_PAIRS:
                return []
            for one, other in ((first, second), (second, first)):
                with suppress(PiecesClash):
                    pair = one.twin.combined_with(other.twin)
                    if alike(pair, screen) == everything and holds(pair, samples):
                        return [Suspect((first.faults[0], second.faults[0]), pair)]
    return []
