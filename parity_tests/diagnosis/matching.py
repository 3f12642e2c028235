"""Matching: which of a subject's numbers an explanation has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import Answer, family
from parity_tests.diagnosis.explanation import Explanation
from parity_tests.diagnosis.faults.faulty_loop import CannotCombine
from parity_tests.diagnosis.samples import Sample, measured
from parity_tests.references.rounding import LowerPrecisionNoise
from parity_tests.references.tolerance import compare

LOOSE = {"f64": 1e-7, "f32": 3e-5}
"""How near a number must be, relative to the largest of its slice, before rounding is measured."""
SATURATED = 1e-3
"""A tanh this near to 1 is nearly the same whatever the pre-activation is, and is evidence of nothing."""
UP_TO_A_FACTOR = 0.7
"""What it counts to have a gradient up to a factor."""
LEAST_FACTOR = 1e-9
LOOSE_IF_ILL_CONDITIONED = 1e-4
MOST_ALLOWED = 1e-3
"""Of what rounding explains, relative to the largest number of the tensor."""
ROUNDOFFS = 500
"""The same in roundoffs of a lower precision that is part of the explanation."""
STATES = ("hs", "h_n")
CANNOT = (CannotCombine, ValueError, IndexError, KeyError, TypeError)
"""What a loop raises whose faults do not go together."""


@dataclass(frozen=True)
class Target:
    """A sample's numbers in one flat array, for quick comparisons.

    Attributes:
        sample: the sample.
        got: all numbers of all calls.
        scale: the largest magnitude of each one's slice.
        allowed: what rounding explains in the right layer.
        weight: 1 over the size of its tensor; 0 for numbers that are evidence of nothing.
        states: whether it is one of a state.
        names: the call and the name of each tensor, with its part of the arrays.
        strict: whether a number must be as near as rounding explains, for a subject that is nearly right.
    """

    sample: Sample
    got: Array
    scale: Array
    allowed: Array
    weight: Array
    states: Array
    names: tuple[tuple[int, str, slice], ...]
    strict: bool = False

    @cached_property
    def starts(self) -> Array:
        """Where the tensors begin."""
        return np.array([part.start for *_, part in self.names], int)

    @cached_property
    def sizes(self) -> Array:
        """How many numbers the tensors have."""
        return np.array([part.stop - part.start for *_, part in self.names], int)

    @cached_property
    def may_be_scaled(self) -> Array:
        """Which tensors may be the right ones times a factor: gradients of more than one number."""
        return np.array([name not in STATES for _, name, _ in self.names]) & (self.sizes > 1)

    def scores(self, explanation: Explanation) -> Array | None:
        """Return how far an explanation has each number, or None if its faults do not go together.

        1: it has the number; ``UP_TO_A_FACTOR``: it has the numbers of a gradient, all times one factor.
        """
        try:
            answers = explanation.answers(self.sample)
            mine = np.concatenate([answers[call][name].ravel() for call, name, _ in self.names])
        except CANNOT:
            return None
        if mine.shape != self.got.shape:
            return None
        loose = max(
            0.0 if self.strict else LOOSE[self.sample.case.dtype], ROUNDOFFS * explanation.inner_roundoff
        )
        if explanation.ill_conditioned:
            loose = max(loose, LOOSE_IF_ILL_CONDITIONED)
        limit = np.maximum(loose * self.scale, self.allowed)
        near = np.abs(self.got - mine) <= limit
        finite = np.isfinite(mine)
        near |= ~np.isfinite(self.got) & ~finite
        scores = near.astype(np.float64)
        if not near.all() and self.starts.size:
            both = np.where(finite & np.isfinite(self.got), mine, 0.0)
            squares = np.add.reduceat(both * both, self.starts)
            products = np.add.reduceat(both * np.where(both == 0, 0.0, self.got), self.starts)
            factors = np.divide(products, squares, out=np.zeros_like(squares), where=squares > 0)
            scaled = np.abs(self.got - np.repeat(factors, self.sizes) * mine) <= limit
            like = np.logical_and.reduceat(scaled, self.starts) & (np.abs(factors) > LEAST_FACTOR)
            like &= self.may_be_scaled
            np.maximum(scores, UP_TO_A_FACTOR * np.repeat(like, self.sizes), out=scores)
        return scores


def target_of(sample: Sample, strict: bool = False) -> Target:
    """Return a sample's numbers as one flat array."""
    parts, scales, limits, weights, states, names, start = [], [], [], [], [], [], 0
    for call, got in enumerate(sample.got):
        for name, value in got.items():
            size = value.size
            finite = np.where(np.isfinite(value), np.abs(value), 0.0)
            largest = finite.max(axis=-1, keepdims=True, initial=0.0)
            floor = 1e-14 * finite.max(initial=0.0) + 1e-290
            parts.append(value.ravel())
            scales.append(np.broadcast_to(np.maximum(largest, floor), value.shape).ravel())
            limit = sample.allowed[call][name].allow
            limits.append(
                np.broadcast_to(
                    np.minimum(limit, MOST_ALLOWED * scales[-1].max(initial=0)), value.shape
                ).ravel()
            )
            weight = np.full(size, 1 / max(size, 1))
            if name in STATES and sample.case.nonlinearity == "tanh":
                weight[np.abs(np.abs(value.ravel()) - 1) < SATURATED] = 0
            weights.append(weight)
            states.append(np.full(size, name in STATES))
            names.append((call, name, slice(start, start + size)))
            start += size
    if not parts:
        empty = np.zeros(0)
        return Target(sample, empty, empty, empty, empty, np.zeros(0, bool), ())
    all_parts, scale, allowed, weight, of_state = (
        np.concatenate(each) for each in (parts, scales, limits, weights, states)
    )
    return Target(sample, all_parts, scale, allowed, weight, of_state, tuple(names), strict)


def states_hold(explanation: Explanation, samples: Iterable[Sample]) -> bool:
    """Return whether an explanation equals the subject in all states, up to rounding."""
    return not any(differing_tensors(explanation, sample) & {*STATES} for sample in samples)


def wrong_families(explanation: Explanation, samples: Iterable[Sample]) -> frozenset[str]:
    """Return the families of tensors in which an explanation differs from a subject by more than rounding."""
    return frozenset(family(name) for sample in samples for name in differing_tensors(explanation, sample))


def reproduces(explanation: Explanation, samples: Iterable[Sample]) -> bool:
    """Return whether an explanation equals the subject in all tensors of all samples, up to rounding."""
    return not any(differing_tensors(explanation, sample) for sample in samples)


@np.errstate(all="ignore")
def differing_tensors(explanation: Explanation, sample: Sample) -> frozenset[str]:
    """Return the tensors in which an explanation differs from the subject by more than rounding."""
    case = sample.case
    noise = LowerPrecisionNoise(case, explanation.inner_roundoff)
    try:
        mine, limits = measured(case, sample.calls, explanation.loop(case, noise, sample.got))
    except CANNOT:
        return sample.names
    different: set[str] = set()
    rows = zip(sample.got, sample.truths, mine, limits, strict=False)
    for got, right, answer, allowed in rows:
        # Where rounding decides, one of the two may be infinite and the other not.
        shaky = explanation.ill_conditioned and any(limit.inconclusive.any() for limit in allowed.values())
        for name, value in got.items():
            if shaky and not np.isfinite(value).all():
                continue
            # A constant found from the numbers is no more exact than they are.
            found = case.dtype == "f64" and explanation.has_inferred_numbers(of_states=name in STATES)
            if not compare(answer[name], value, allowed[name]).equal and not (
                found and _near(value, answer[name], 1e-8) and _nearer(value, answer[name], right[name])
            ):
                different.add(name)
    return frozenset(different)


def _near(got: Array, mine: Array, loose: float) -> bool:
    if not np.isfinite(mine).all():
        return bool(np.array_equal(np.isfinite(got), np.isfinite(mine)))
    return bool((np.abs(got - mine) <= loose * np.abs(mine).max(initial=0.0) + 1e-290).all())


def _nearer(got: Array, mine: Array, right: Array) -> bool:
    """Whether a tensor is far nearer to an explanation than to the right one."""
    return float(np.abs(got - mine).max(initial=0.0)) <= 1e-3 * float(np.abs(got - right).max(initial=0.0))


@np.errstate(all="ignore")
def changed_families(first: Explanation, second: Explanation, samples: Iterable[Sample]) -> frozenset[str]:
    """Return the families of tensors in which two explanations differ."""
    different: set[str] = set()
    for sample in samples:
        try:
            both = zip(first.answers(sample), second.answers(sample), strict=True)
            different |= {
                family(name)
                for one, other in both
                for name in sample.names
                if not _near(one[name], other[name], LOOSE["f64"])
            }
        except CANNOT:
            continue
    return frozenset(different)


def rebased(explanation: Explanation, samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with an explanation's answers in place of the right ones.

    Constants and places of further faults are then found on top of what is explained.
    """
    result = []
    for sample in samples:
        try:
            answers = explanation.answers(sample)
        except CANNOT:
            continue
        loose = LOOSE[sample.case.dtype]
        wrong = [
            frozenset(name for name, value in got.items() if not _near(value, answer[name], loose))
            for got, answer in zip(sample.got, answers, strict=False)
        ]
        result.append(sample.against(answers, wrong))
    return result


def same_answers(first: Explanation, second: Explanation, sample: Sample) -> bool:
    """Return whether two explanations give the same numbers in a case, so that it cannot tell them apart."""

    def listed(explanation: Explanation) -> list[dict[str, bytes]]:
        answers: list[Answer] = explanation.answers(sample)
        return [{name: value.tobytes() for name, value in answer.items()} for answer in answers]

    return listed(first) == listed(second)
