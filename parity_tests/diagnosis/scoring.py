"""Scores: how much of a subject's numbers an explanation has."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.faults.catalogue import of_kind
from parity_tests.diagnosis.matching import Target, rebased, target_of
from parity_tests.diagnosis.samples import Sample

STEPS_OF_A_CASE = 12
"""What a case costs apart from its cell steps."""
WANTED: tuple[Callable[[Case], bool], ...] = (
    lambda c: c.D != c.H and (c.T > 2 or c.is_cell),
    lambda c: c.D == c.H and (c.T > 2 or c.is_cell),
    lambda c: c.T == 1,
    lambda c: c.T == 1,
    lambda c: c.calls != "once",
)
"""The cases in which every fault of the catalogue is tried: each has what some faults need."""
LEAST_GAIN = 1e-9
MOST_LOSS = 0.04
"""How much may be lost, relative to what is gained: a few numbers agree by chance."""
LOW_PRECISION_ROUNDOFF = 2.0**-12
"""From this unit roundoff on, a lower precision would match nearly any error without a bound."""
MAX_ROUNDOFFS = 24.0
"""That bound: how many roundoffs of the lower precision a tensor may be off by."""


@dataclass(slots=True)
class Partial:
    """An explanation of some of the numbers.

    Attributes:
        explanation: the faults.
        scores: for each target, how far it has each number.
        states_left: the weight of the states that it does not have.
        left: the weight of all numbers that it does not have.
        detours: how often a fault was taken that was not the one that explains most.
    """

    explanation: Explanation
    scores: list[Array]
    states_left: float
    left: float
    detours: float = 0.0

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        """A sort key: what explains most comes first."""
        explanation = self.explanation
        return explanation.states_given, self.states_left, self.left, len(explanation.suspects)

    @property
    def order(self) -> tuple[bool, float, float, float]:
        """A sort key: what is worked on first."""
        return self.explanation.states_given, self.detours, self.states_left, self.left


class Scoring:
    """Scores explanations by how much of one subject's answers they have.

    Args:
        kind: of the layer.
        samples: the subject's answers.
    """

    def __init__(self, kind: str, samples: Sequence[Sample]) -> None:
        self.kind = kind
        self.samples = list(samples)
        self.targets = [target_of(sample) for sample in samples]
        self.evaluated = 0

    def _scores(self, target: Target, explanation: Explanation) -> Array | None:
        self.evaluated += STEPS_OF_A_CASE + target.sample.cost
        return target.scores(explanation)

    def _partial(self, explanation: Explanation) -> Partial | None:
        scores = []
        for target in self.targets:
            mine = self._scores(target, explanation)
            if mine is None:
                return None
            scores.append(mine)
        states = left = 0.0
        for target, mine in zip(self.targets, scores, strict=True):
            missing = target.weight * (1 - mine)
            left += float(missing.sum())
            states += float(missing[target.states].sum())
        return Partial(explanation, scores, states, left)

    def _gain(
        self, target: Target, before: Array, mine: Array | None, of_states: bool
    ) -> tuple[float, float]:
        """Return the weight of the numbers that are explained now, and of those that no longer are."""
        if mine is None:
            return 0.0, 1.0
        change = (mine - before) * target.weight
        if of_states:
            change = change[target.states]
        return float(change[change > 0].sum()), -float(change[change < 0].sum())

    def _change(self, before: list[Array], after: list[Array], of_states: bool) -> tuple[float, float]:
        gains = [self._gain(*row, of_states) for row in zip(self.targets, before, after, strict=True)]
        return sum(gain for gain, _ in gains), sum(loss for _, loss in gains)

    def _gains(self, partial: Partial, child: Partial, of_states: bool) -> bool:
        """Return whether the child explains more, and nothing less but what agreed by chance."""
        gain, loss = self._change(partial.scores, child.scores, of_states)
        return gain > LEAST_GAIN and loss <= MOST_LOSS * gain

    def _suspects(self, explanation: Explanation, of_states: bool) -> list[Suspect]:
        """Return the faults that may come next, with constants found from what is not yet explained."""
        left = rebased(explanation, self.samples)
        found = []
        own = {sample.case.nonlinearity for sample in self.samples}
        spoken_of = own.pop() if len(own) == 1 else "tanh"
        for fault, variant in of_kind(self.kind, [sample.case for sample in self.samples]):
            if not (variant.may_change_states if of_states else variant.may_change_gradients):
                continue
            # A constant may depend on a tensor that the subject does not return.
            with suppress(KeyError, ValueError, IndexError, np.linalg.LinAlgError):
                found += [Suspect(fault, inferred, None, spoken_of) for inferred in variant.infer(left)]
        return [suspect for suspect in found if _is_fine_enough(suspect, left)]

    def _screens(self, partial: Partial, of_states: bool) -> list[int]:
        """Choose the cases in which every suspect is tried: cheap ones in which something is unexplained."""
        rows = []
        for number, (target, mine) in enumerate(zip(self.targets, partial.scores, strict=True)):
            missing = (1 - mine) * target.states if of_states else 1 - mine
            if missing.any():
                rows.append((target.sample.cost, -float((target.weight * missing).sum()), number))
        rows.sort()
        chosen: list[int] = []
        for want in WANTED:
            chosen += [n for *_, n in rows if want(self.targets[n].sample.case) and n not in chosen][:1]
        return chosen


def _is_fine_enough(suspect: Suspect, samples: Sequence[Sample]) -> bool:
    """Return whether the errors are small enough for a lower precision to explain them."""
    roundoff = suspect.variant.loop.inner_roundoff
    if roundoff < LOW_PRECISION_ROUNDOFF:
        return True
    return all(
        bool(
            (
                np.abs(value - right[name]) <= MAX_ROUNDOFFS * roundoff * np.abs(right[name]).max(initial=0)
            ).all()
        )
        for sample in samples
        for got, right in zip(sample.got, sample.truths, strict=False)
        for name, value in got.items()
    )
