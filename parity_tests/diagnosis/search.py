"""The search for the faults that together have a subject's numbers, stage by stage.

First the states are explained, then, given these, the gradients. Each fault found is put into the loop,
and the next one is sought on top of it. A fault counts as found once more of the subject's numbers are
explained with it than without, and none less. So the cost is the sum over the faults, not the product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, islice, product

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.given_states import GivenStates
from parity_tests.diagnosis.matching import CANNOT, Target, reproduces, states_hold, target_of
from parity_tests.diagnosis.place_search import MOST_PLACES, PlaceSearch
from parity_tests.diagnosis.samples import Sample
from parity_tests.diagnosis.scoring import LEAST_GAIN, MOST_LOSS, STEPS_OF_A_CASE, Partial

MOST_FAULTS = 5
"""How many faults are sought in one layer."""
MOST_EVALUATED = 120_000
"""How much is computed at most, in cell steps: as much as takes about 4 seconds."""
LEAST_PART = 0.003
"""What a fault must explain of all that is wrong, for others to be sought on top of it."""
KEPT = 16
"""How many suspects are tried in all cases."""
TIED = 0.25
"""How much of a detour it is to take another fault that explains as much."""
NEARLY = 0.1
"""How much may be left for an explanation to be tried up to rounding, relative to what is wrong."""
MOST_NEARLY = 3
"""How many of these are tried."""
CONFINED = 6
"""How many suspects are tried in one place only."""
LITTLE = 0.9
"""If this much is left with every fault, they are also tried in pairs."""
MOST_PAIRED = 75
"""How many faults with different effects are tried in pairs."""
MOST_ALIKE = 12
"""How many pairs with the same effect in one case are tried in all."""


class Search(PlaceSearch):
    """The search in the answers of one subject.

    Attributes:
        complete: the explanations of all numbers, the fewest faults first.
        best: the partial explanations, what explains most first.
    """

    def __init__(self, kind: str, samples: Sequence[Sample]) -> None:
        super().__init__(kind, samples)
        self.states_wrong = 0.0
        self.paired = False
        self.complete: list[Explanation] = []
        self.best: list[Partial] = []

    @np.errstate(all="ignore")
    def run(self) -> None:
        """Search."""
        first = self._first()
        self.states_wrong = first.states_left
        if first.explanation.inner_roundoff:
            self.complete = [first.explanation]
            return
        waiting = [first]
        seen: set[tuple[frozenset[str], bool]] = set()
        while waiting and self.evaluated <= MOST_EVALUATED:
            waiting.sort(key=lambda partial: partial.order)
            partial = waiting.pop(0)
            self.best.append(partial)
            if partial.explanation.states_given and self._holds(partial, first.left):
                self.complete = [partial.explanation]
                return
            children = self._children(partial)
            self.complete = self._whole(children, first.left)
            if self.complete:
                self.complete += self._alternatives(self.complete[0])
                return
            detours, before = partial.detours, None
            for child in children:
                # Of several ways to write one fault none is more likely.
                tied = before is not None and np.isclose(child.left, before)
                detours += 0.0 if before is None else TIED if tied else 1.0
                child.detours, before = detours, child.left
                key = child.explanation.key
                worth_it = partial.left - child.left >= LEAST_PART * first.left
                if key not in seen and worth_it and len(child.explanation.suspects) < MOST_FAULTS:
                    seen.add(key)
                    waiting.append(child)
        self.best += waiting

    def _first(self) -> Partial:
        """Return what the search begins with: no fault, or what explains states that are nearly right.

        A small constant or another tanh makes states wrong by little. It must not hide the other faults.
        """
        first = self._partial(Explanation())
        assert first is not None  # the loop without a fault runs
        if not first.left:
            self.targets = [target_of(sample, strict=True) for sample in self.samples]
            first = self._partial(Explanation())
            assert first is not None
        elif not first.states_left and not states_hold(first.explanation, self.samples):
            likely = [
                first.explanation.and_with(suspect)
                for suspect in self._suspects(first.explanation, of_states=True)
                if suspect.variant.constants or suspect.variant.loop.inner_roundoff
            ]
            exact = (each for each in likely if not each.inner_roundoff)
            rounded = (each for each in likely if each.inner_roundoff)
            found = next((each for each in exact if states_hold(each, self.samples[:3])), None)
            found = found or next((each for each in rounded if reproduces(each, self.samples)), None)
            first = self._partial(found or Explanation((), GivenStates)) or first
        return first

    def _whole(self, children: Sequence[Partial], everything: float) -> list[Explanation]:
        """Return the explanations that hold up to rounding, which some layers amplify so that little is near."""
        own = [child for child in children if not child.explanation.states_given]
        likely = [child for child in own if not child.left]
        likely += [child for child in own if child.left][:MOST_NEARLY]
        return [child.explanation for child in likely if self._holds(child, everything)]

    def _holds(self, partial: Partial, everything: float) -> bool:
        return partial.left <= NEARLY * everything and reproduces(partial.explanation, self.samples)

    def _alternatives(self, explanation: Explanation) -> list[Explanation]:
        """Return the explanations that hold too, with one of several faults exchanged for another."""
        if len(explanation.suspects) < 2:
            return []
        cheap = sorted(
            (t for t in self.targets if t.sample.all_wrong),
            key=lambda t: (t.sample.case.T < 3, t.sample.cost),
        )[:2]
        found = []
        for suspect in explanation.suspects:
            rest = explanation.without(suspect)
            for other in self._suspects(rest, suspect.stage == Stage.STATES):
                if other.stage != suspect.stage or other.fault is suspect.fault:
                    continue
                exchanged = rest.and_with(replace(other, place=suspect.place))
                scores = (self._scores(target, exchanged) for target in cheap)
                if all(each is not None and (each == 1).all() for each in scores):
                    found.append(exchanged)
        return [each for each in found if reproduces(each, self.samples)]

    def _children(self, partial: Partial) -> list[Partial]:
        """Return the explanations with one more fault that explain more."""
        of_states = partial.states_left > 0 and not (
            partial.states_left <= NEARLY * self.states_wrong
            and states_hold(partial.explanation, self.samples)
        )
        suspects = self._suspects(partial.explanation, of_states)
        children = self._gaining(partial, suspects, of_states)
        if of_states and all(child.states_left for child in children):
            children += self._step_by_step(partial, suspects)
            children.sort(key=lambda child: child.rank)
        if not self.paired and all(child.left > LITTLE * partial.left for child in children):
            self.paired = True
            children += self._pairs(partial, suspects, of_states)
            children.sort(key=lambda child: child.rank)
        if of_states and not partial.explanation.states_given:
            given = self._partial(Explanation(partial.explanation.suspects, GivenStates))
            if given is not None:
                children.append(given)
        return children

    def _gaining(self, partial: Partial, suspects: Sequence[Suspect], of_states: bool) -> list[Partial]:
        screens = self._screens(partial, of_states)
        first = [
            {
                number: self._scores(self.targets[number], partial.explanation.and_with(suspect))
                for number in screens[:2]
            }
            for suspect in suspects
        ]
        if whole := self._last_faults(partial, suspects, first):
            return whole
        rows: list[tuple[bool, float, int, Suspect]] = []
        for suspect, scores in zip(suspects, first, strict=True):
            explanation = partial.explanation.and_with(suspect)
            gain = loss = 0.0
            for number in screens:
                target = self.targets[number]
                mine = scores[number] if number in scores else self._scores(target, explanation)
                more, less = self._gain(target, partial.scores[number], mine, of_states)
                gain, loss = gain + more, loss + less
            if gain > LEAST_GAIN:
                rows.append((loss > MOST_LOSS * gain, -gain, len(rows), suspect))
        rows.sort(key=lambda row: row[:3])
        children = []
        tried = []
        for _, _, _, suspect in rows[:KEPT]:
            child = self._partial(partial.explanation.and_with(suspect))
            if child is None:
                continue
            tried.append((child, suspect))
            if self._gains(partial, child, of_states):
                children.append(child)
        tried.sort(key=lambda row: -self._change(partial.scores, row[0].scores, of_states)[0])
        for child, suspect in tried[:CONFINED]:
            if all(found.left for found in children):
                children += self._confined(partial, child, suspect, of_states)
        return sorted(children, key=lambda child: child.rank)

    def _last_faults(
        self, partial: Partial, suspects: Sequence[Suspect], scores: Sequence[Mapping[int, Array | None]]
    ) -> list[Partial]:
        """Return the explanations with a suspect that explains all that is left, if there are any.

        Then the others need not be tried any further.
        """
        likely = [
            suspect
            for suspect, each in zip(suspects, scores, strict=True)
            if each and all(mine is not None and (mine == 1).all() for mine in each.values())
        ]
        children = (self._partial(partial.explanation.and_with(suspect)) for suspect in likely)
        return [child for child in children if child is not None and not child.left]

    def _pairs(self, partial: Partial, suspects: Sequence[Suspect], of_states: bool) -> list[Partial]:
        """Return explanations with two more faults, neither of which explains anything alone.

        Both are in the states, or in what the gradient of the pre-activation is made of.
        """
        screens = self._screens(partial, of_states)
        if not screens:
            return []
        stages = (Stage.STATES,) if of_states else (Stage.STATES_GRADIENT, Stage.PREACTIVATION)
        number = screens[0]
        target, before = self.targets[number], partial.scores[number]
        # Faults that give the same numbers here are tried as one.
        alike: dict[bytes, list[Suspect]] = {}
        for suspect in suspects:
            if suspect.stage in stages:
                key = self._numbers(target, partial.explanation.and_with(suspect))
                alike.setdefault(key, []).append(suspect)
        alike.pop(self._numbers(target, partial.explanation), None)
        rows: list[tuple[float, int, list[Suspect], list[Suspect]]] = []
        for one, other in combinations(list(alike.values())[:MOST_PAIRED], 2):
            explanation = partial.explanation.and_with(one[0]).and_with(other[0])
            gain, loss = self._gain(target, before, self._scores(target, explanation), of_states)
            if gain > LEAST_GAIN and loss <= MOST_LOSS * gain:
                rows.append((-gain, len(rows), one, other))
        rows.sort(key=lambda row: row[:2])
        children = []
        for _, _, one, other in rows[:MOST_PLACES]:
            for first, second in islice(product(one, other), MOST_ALIKE):
                child = self._partial(partial.explanation.and_with(first).and_with(second))
                if child is not None and self._gains(partial, child, of_states):
                    children.append(child)
        return sorted(children, key=lambda child: child.rank)

    def _numbers(self, target: Target, explanation: Explanation) -> bytes:
        self.evaluated += STEPS_OF_A_CASE + target.sample.cost
        try:
            answers = explanation.answers(target.sample)
        except CANNOT:
            return b""
        rounded = (np.float32(value) for answer in answers for value in answer.values())
        return b"".join(value.tobytes() for value in rounded)
