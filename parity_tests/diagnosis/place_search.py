"""The search for the place that a fault is confined to, on top of an explanation of the other numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import family
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.given_states import OneStepAhead
from parity_tests.diagnosis.matching import Target
from parity_tests.diagnosis.places import CELLS, Place, case_places, index_places
from parity_tests.diagnosis.scoring import LEAST_GAIN, MOST_LOSS, Partial, Scoring

MOST_PLACES = 3
"""In how many places."""
ALIKE = 0.999
"""A place is as likely as another if it explains as much."""


class PlaceSearch(Scoring):
    """The search for the place that a fault is confined to."""

    def _confined(
        self, partial: Partial, child: Partial, suspect: Suspect, of_states: bool
    ) -> Iterator[Partial]:
        """Yield the explanations in which a suspect is in one place only, if they explain more."""
        # A limit found from the numbers may agree with some cases by chance.
        measured = any(isinstance(constant, float) for constant in suspect.variant.constants.values())
        for places in (
            [] if measured else self._likely_case_places(partial, child, of_states),
            self._likely_inner_places(partial, suspect, of_states, CELLS if self.kind == "nn.RNN" else ()),
            self._likely_inner_places(
                partial, suspect, of_states, index_places(self.samples, self._wrong(partial))
            ),
        ):
            for place in places:
                confined = self._partial(partial.explanation.and_with(replace(suspect, place=place)))
                if (
                    confined is not None
                    and confined.left < child.left
                    and self._gains(partial, confined, of_states)
                ):
                    yield confined
                    if not confined.left:
                        return

    def _likely_case_places(self, partial: Partial, child: Partial, of_states: bool) -> list[Place]:
        """Return the whole cases or calls in which the child explains most, and nothing less elsewhere."""
        rows: list[tuple[float, int, Place]] = []
        for place in case_places(self.samples):
            scores = [
                self._put_together(target, place, before, mine)
                for target, before, mine in zip(self.targets, partial.scores, child.scores, strict=True)
            ]
            gain, loss = self._change(partial.scores, scores, of_states)
            if loss <= MOST_LOSS * gain and gain > LEAST_GAIN:
                rows.append((gain, -len(rows), place))
        if not rows:
            return []
        most = max(gain for gain, *_ in rows)
        rows.sort(key=lambda row: row[:2], reverse=True)
        return [place for gain, _, place in rows if gain >= ALIKE * most][:MOST_PLACES]

    def _put_together(self, target: Target, place: Place, before: Array, mine: Array) -> Array:
        """The scores of a fault that is confined to whole cases or calls, from those with it and without it."""
        if not place.holds_in(target.sample.case):
            return before
        if place.call is None:
            return mine
        inside = [place.call(call) for call, *_ in target.names]
        return np.where(np.repeat(inside, target.sizes), mine, before)

    def _likely_inner_places(
        self, partial: Partial, suspect: Suspect, of_states: bool, places: Iterable[Place]
    ) -> list[Place]:
        """Return the cells, rows, steps or units in which a suspect explains more, and nothing less."""
        if suspect.variant.loop.ill_conditioned:
            return []
        tried = self._telling(partial, of_states)
        rows: list[tuple[float, int, Place]] = []
        for place in places:
            explanation = partial.explanation.and_with(replace(suspect, place=place))
            gain = loss = 0.0
            for number in tried:
                target = self.targets[number]
                more, less = self._gain(
                    target, partial.scores[number], self._scores(target, explanation), of_states
                )
                gain, loss = gain + more, loss + less
                if gain <= LEAST_GAIN or loss > MOST_LOSS * gain:
                    break
            else:
                rows.append((gain, -len(rows), place))
        rows.sort(key=lambda row: row[:2], reverse=True)
        return [place for gain, _, place in rows if gain >= ALIKE * rows[0][0]][:MOST_PLACES]

    def _step_by_step(self, partial: Partial, suspects: Sequence[Suspect]) -> Iterator[Partial]:
        """Yield states faults in some rows, steps or units, found from the subject's own state before each.

        A wrong state makes all later ones wrong; from the subject's own states each step shows by itself.
        """
        chosen = [
            number
            for number in self._telling(partial, of_states=True)
            if self.targets[number].sample.case.num_cells == 1
        ]
        if not chosen:
            return
        target = self.targets[chosen[0]]
        here = Explanation(partial.explanation.suspects, OneStepAhead)
        before = self._scores(target, here)
        if before is None:
            return
        parts = [
            (part, target.sample.got[call][name].shape) for call, name, part in target.names if name == "hs"
        ]
        for suspect in suspects:
            mine = self._scores(target, here.and_with(suspect))
            if mine is None:
                continue
            without, within = (
                [(scores[part] == 1).reshape(shape) for part, shape in parts] for scores in (before, mine)
            )
            if not all((a | b).all() for a, b in zip(without, within, strict=True)):
                continue
            for place in self._where(without, within):
                confined = self._partial(partial.explanation.and_with(replace(suspect, place=place)))
                if confined is not None and self._gains(partial, confined, of_states=True):
                    yield confined

    def _where(self, without: Sequence[Array], within: Sequence[Array]) -> Iterator[Place]:
        """Yield the places that hold every number that is right with a fault only, and none that it spoils."""
        for number, axis in enumerate(("rows", "steps", "units")):
            others = tuple(n for n in range(3) if n != number)
            needs, spoils = (
                [np.asarray(~matches.all(axis=others)) for matches in each] for each in (without, within)
            )
            wrong = {(axis, index) for each in needs for index in np.flatnonzero(each).tolist()}
            for place in index_places(self.samples, wrong):
                masks = [place.mask(len(each)) for each in needs]
                if all(
                    (mask | ~need).all() and not (mask & spoil).any()
                    for mask, need, spoil in zip(masks, needs, spoils, strict=True)
                ):
                    yield place
                    break

    def _telling(self, partial: Partial, of_states: bool) -> list[int]:
        """Choose cases in which something is unexplained and in which places differ: large and cheap ones."""
        rows = []
        for number, (target, mine) in enumerate(zip(self.targets, partial.scores, strict=True)):
            missing = (1 - mine) * target.weight
            if of_states:
                missing = missing[target.states]
            case = target.sample.case
            if missing.any() and case.calls == "once":
                rows.append((case.num_cells * min(case.B, 9) * min(case.T, 17) * min(case.H, 4), number))
        rows.sort(reverse=True)
        return [number for _, number in rows[:2]]

    def _wrong(self, partial: Partial) -> Iterator[tuple[str, int]]:
        """Yield the rows, steps and units in which something is unexplained, if others of a tensor are right."""
        axes = {"hs": ("rows", "steps", "units"), "dx": ("rows", "steps"), "h_n": ("", "rows", "units")}
        axes |= {"dh_0": ("", "rows"), "db": ("units",), "dWh": ("", "units"), "dWx": ("", "units")}
        axes |= {"dbias_ih": ("units",), "dweight_ih": ("units",), "dweight_hh": ("units",)}
        for target, scores in zip(self.targets, partial.scores, strict=True):
            for call, name, part in target.names:
                off = (scores[part] < 1).reshape(target.sample.got[call][name].shape)
                if not off.any():
                    continue
                for number, axis in enumerate(axes.get(family(name), ())):
                    along = off.any(axis=tuple(n for n in range(off.ndim) if n != number))
                    if axis and (not along.all() or axis == "steps"):
                        yield from ((axis, index) for index in np.flatnonzero(along).tolist())
