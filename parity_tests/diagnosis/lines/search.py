"""The search: which values of the user's, replaced by right ones, make the results right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.diagnosis.lines.orders import Order
from parity_tests.diagnosis.lines.recognition import CONSTANT, Known, Match, Recogniser, same
from parity_tests.diagnosis.lines.recording import Context, Key, Replace, Seen, instead_of
from parity_tests.diagnosis.lines.repairs import Candidates, Repair
from parity_tests.diagnosis.lines.sites import Site
from parity_tests.diagnosis.lines.trial import Outcome, Tensor, Trial

FORWARD = ("hs", "h_n")
"""The tensors of the forward."""
MOST_RUNS = 3000
"""Of all searches of a subject together."""


@dataclass(slots=True)
class Attempt:
    """A repair that makes wrong tensors right and spoils none.

    Attributes:
        repair: the repair.
        cured: the tensors that it makes right.
        site: the expression.
        time: when a value that it replaces differs first from what it should be.
        at: the number of that evaluation.
        match: what the value is there; None if it is no right value.
        should: what it should be there.
        actual: what it is there.
    """

    repair: Repair
    cured: frozenset[Tensor]
    site: Site
    time: int
    at: int = 0
    match: Match | None = None
    should: Any = None
    actual: Any = None


@dataclass(slots=True)
class Search:
    """Looks for the next repair in a case, on top of those that are kept.

    Attributes:
        trial: the subject in a case.
        sites: all expressions of the user's code.
        kept: the repairs in force.
        precise: whether only what lowers the precision is looked for.
        stopped: whether the number of runs did not suffice.
        base: the outcome of the last run without a further repair.
        seen: what the expressions were in it.
        known: which of them are right values.
        arguments: what the functions were given.
        runs_left: how many more repairs may be tried.
        not_blamed: the function of an adapter, which only calls what is judged.
        recogniser: of the case.
    """

    trial: Trial
    sites: Sequence[Site]
    kept: Sequence[Repair] = ()
    precise: bool = False
    stopped: bool = False
    base: Outcome = field(default_factory=lambda: Outcome({}, {}))
    seen: Mapping[Key, Seen] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    arguments: Mapping[Any, Mapping[str, Any]] = field(default_factory=dict)
    runs_left: int = MOST_RUNS
    not_blamed: str = ""
    recogniser: Recogniser = field(init=False)
    _spoilt: dict[tuple[Repair, int], int] = field(default_factory=dict, init=False)
    _loops: dict[int, int] = field(default_factory=dict, init=False)

    def place(self, key: Key) -> Any:
        """What shares the order of evaluation with an expression."""
        site = self.sites[key[0]]
        if key[0] not in self._loops:
            self._loops[key[0]] = site.loop
        # A forward and a backward may be two loops of one function.
        return site.function, key[1], self._loops[key[0]], self.seen[key].number

    def replacements(self, *extra: Repair) -> dict[Key, Replace] | None:
        """The replacements of all repairs in the case; None if one has none there."""
        made: dict[Key, Replace] = {}
        for repair in (*self.kept, *extra):
            found = repair.replacements(self.trial.values, self.sites)
            if found is None:
                return None
            made |= found
        return made

    def run(self) -> Iterator[list[Attempt]]:
        """Look for repairs that make a wrong tensor right and spoil none; groups of them, the likelier first."""
        now = self.replacements()
        if now is None:
            return
        self.base = self.trial.run(now, record=True)
        recorder = self.trial.recorder
        self.seen, self.arguments = recorder.seen, recorder.arguments
        if not self.base.wrong or self.base.raised:
            return
        recogniser = self.recogniser = Recogniser(self.trial.values)
        self.known = Known.of(self.seen, self.place, recogniser)
        candidates = Candidates(self.sites, self.seen, recogniser, self.known, self.place, self.precise)
        influence = self._influences(now)
        # Gradients follow from the states: while these are wrong, no line of the backward is told.
        states = frozenset(tensor for tensor in self.base.wrong if tensor[1] in FORWARD)
        wrong = states or self.base.wrong
        candidates.forward_only = bool(states)
        # A value on which a right tensor depends is probably right, above all if that is a state.
        groups: tuple[list[Key], ...] = [], [], []
        for key, changed in influence.items():
            if changed & wrong:
                right = {name for _, name in changed - self.base.wrong}
                groups[bool(right) + bool(right & {*FORWARD})].append(key)
        found: list[Attempt] = []
        for group in groups:
            found += [a for a in self._attempts(group, candidates) if a.cured & wrong]
            if any(wrong <= a.cured for a in found) or (group is not groups[0] and found):
                yield found
                found = []

    def _attempts(self, keys: Sequence[Key], candidates: Candidates) -> Iterator[Attempt]:
        for key in keys:
            for repair in candidates.of(key):
                self.runs_left -= 1
                if self.runs_left < 0:
                    self.stopped = True
                    return
                replacements = self.replacements(repair)
                if replacements is None:
                    continue
                outcome = self.trial.run(replacements)
                if outcome.raised or outcome.wrong - self.base.wrong:
                    continue
                if cured := self.base.wrong - outcome.wrong:
                    yield self.attempt(repair, cured)

    def attempt(self, repair: Repair, cured: frozenset[Tensor]) -> Attempt:
        """A repair with what its value is and should be."""
        site, seen = self.sites[repair.key[0]], self.seen[repair.key]
        attempt = Attempt(repair, cured, site, seen.times[0])
        if repair.kind == "value":
            shoulds = repair.value.arrays(self.trial.values)
            shoulds = [each.reshape(value.shape) for each, value in zip(shoulds, seen.values, strict=True)]
        elif repair.kind == "operand":
            shoulds = self.seen[repair.value].values
        else:
            attempt.actual = seen.values[0]
            return attempt
        at = next((n for n, pair in enumerate(zip(shoulds, seen.values, strict=True)) if not same(*pair)), 0)
        attempt.at, attempt.time = at, seen.times[at]
        attempt.should, attempt.actual = shoulds[at], seen.values[at]
        order = repair.value.order if repair.kind == "value" else None
        if not np.any(attempt.actual):
            return attempt  # many right values are zero somewhere
        attempt.match = next(
            (match for match in self.known.matches[repair.key] if match.hits[at] and _is_of(match, order)),
            None,
        )
        return attempt

    def spoilt(self, attempt: Attempt) -> int:
        """How many expressions that were right values are none with a repair."""
        key = attempt.repair, attempt.time
        if key not in self._spoilt:
            self._spoilt[key] = self._measured_spoilt(attempt)
        return self._spoilt[key]

    def _measured_spoilt(self, attempt: Attempt) -> int:
        replacements = self.replacements(attempt.repair)
        assert replacements is not None
        self.trial.run(replacements, record=True)
        recogniser, seen = self.recogniser, self.trial.recorder.seen
        own = {attempt.repair.key[0], *(site.number for site in self.around(attempt.site))}
        return sum(
            1
            for key, matches in self.known.matches.items()
            if key[0] not in own
            and self.seen[key].times[0] > attempt.time
            and not self.sites[key[0]].makes_an_array  # what ``empty`` holds is chance
            and any(match.is_whole for match in matches)
            and key in seen
            and not any(match.is_whole for match in recogniser.matches(seen[key]))
        )

    def inputs_are_right(self, attempt: Attempt) -> bool:
        """Whether all arrays that an expression reads are right values, of any step, where it differs first."""
        number, context = attempt.repair.key
        arrays = 0
        for part in self._leaves(self.sites[number]):
            seen = self.seen.get((part, context))
            if seen is not None and "iterable" in [each for each in seen.values if isinstance(each, str)]:
                return False  # what is in a list is not known
            if seen is None or not seen.is_array or seen.values[0].size < 2:
                continue
            arrays += 1
            if not self._is_right(part, context, attempt):
                return False
        return arrays > 0 or attempt.repair.value.order.goes_through_time

    def calls_what_is_wrong(self, attempt: Attempt) -> bool:
        """Whether an expression calls a function of the user's that is not known to be right elsewhere."""
        own = attempt.repair.key[1]
        inside = [
            key
            for key in self.seen
            if key[1][1:] == own
            and len(key[1]) == len(own) + 1
            and self.sites[key[0]].function.rpartition(".")[2] == attempt.site.called
        ]
        numbers, contexts = {key[0] for key in inside}, {key[1] for key in inside}
        if any(self.sites[number].is_condition and self.sites[number].has_default for number in numbers):
            return False  # a flag may have been forgotten
        return bool(inside) and not any(
            match.is_whole
            for key, matches in self.known.matches.items()
            if key[0] in numbers
            and key[1] not in contexts
            and self.sites[key[0]].is_returned
            and np.any(self.seen[key].values)
            for match in matches
        )

    def is_for_want_of(self, attempt: Attempt) -> bool:
        """Whether it is computed where something was not given, in its function or where that is called."""
        site, context = attempt.site, attempt.repair.key[1]
        if site.is_for_want_of or not context:
            return site.is_for_want_of
        file, line = self.trial.recorder.place_of(context[0])
        name = site.function.rpartition(".")[2]
        return any(
            each.is_for_want_of
            for each in self.sites
            if each.called == name and (each.file, each.line) == (file, line)
        )

    def lacks_a_state(self, attempt: Attempt) -> bool:
        """Whether something in the forward is only wrong because what it reads is zero."""
        number, context = attempt.repair.key
        value = next(v for v in self.trial.values.values if v.name == attempt.repair.value.name)
        read = [self.seen.get((part, context)) for part in self._leaves(self.sites[number])]
        arrays = [seen for seen in read if seen is not None and seen.is_array]
        return value.is_forward and any(
            seen.values[0].size > 1 and not seen.values[min(attempt.at, seen.number - 1)].any()
            for seen in arrays
        )

    def _is_right(self, part: int, context: Context, attempt: Attempt) -> bool:
        seen = self.seen[part, context]
        at = min(attempt.at, seen.number - 1)
        order = attempt.repair.value.order
        matches = self.known.matches[part, context]
        if any(match.hits[at] and _is_of(match, order) for match in matches):
            return True
        value = seen.values[at]
        # A zero may stand for what is missing, and what is right in one direction is wrong in the other.
        is_unsure = not value.any() or self.trial.case.bidirectional
        return _is_neutral(value) or (not is_unsure and self._is_some_right_value(seen, value))

    def is_in_another_order(self, attempt: Attempt) -> bool:
        """Whether it is what it should be, but for the order along one axis."""
        for axis in range(attempt.actual.ndim):
            others = tuple(number for number in range(attempt.actual.ndim) if number != axis)
            sums = [np.sort(np.sum(array * array, axis=others)) for array in (attempt.actual, attempt.should)]
            if sums[0].size > 1 and same(*sums):
                return True
        return False

    def is_some_right_value(self, attempt: Attempt) -> bool:
        """Whether what an expression reads is a right value of any step."""
        return self._is_some_right_value(self.seen[attempt.repair.key], attempt.actual)

    def _is_some_right_value(self, seen: Seen, value: Any) -> bool:
        return any(
            same(array.transpose(form).reshape(value.shape), value)
            for parts, form in self.recogniser.fitting(seen)
            if parts.value.name not in CONSTANT  # a weight of another layer is no right one
            for array in parts.arrays
        )

    def _leaves(self, site: Site) -> Iterator[int]:
        for number in site.children:
            part = self.sites[number]
            if part.is_plain or not part.children:
                yield number
            else:
                yield from self._leaves(part)

    def around(self, site: Site) -> Iterator[Site]:
        """The expressions that an expression is part of."""
        while site.parent is not None:
            site = self.sites[site.parent]
            yield site

    def _influences(self, now: Mapping[Key, Replace]) -> dict[Key, frozenset[Tensor]]:
        """Which tensors change with the value of an expression."""
        result: dict[Key, frozenset[Tensor]] = {}
        in_force = {repair.key for repair in self.kept}
        functions = {self.sites[number].function for number, _ in self.seen}
        does_it_all = functions <= {self.not_blamed, "<module>"}
        for key, seen in self.seen.items():
            site = self.sites[key[0]]
            if key in in_force:
                continue
            if self.precise:
                if seen.is_single and not site.is_read:
                    result[key] = self.base.wrong
                continue
            if site.function == self.not_blamed and not site.is_loop and not does_it_all:
                continue
            if not seen.is_array or site.is_loop:
                result[key] = self.base.wrong
                continue
            outcome = self.trial.run({**now, key: _disturbed(site)})
            result[key] = frozenset(
                tensor
                for tensor in self.base.right
                if outcome.raised
                or tensor not in outcome.got
                or tensor not in self.base.got
                or not same(self.base.got[tensor], outcome.got[tensor])
            )
        return result


def _is_neutral(value: Any) -> bool:
    """Whether it is the unit matrix or one number throughout, but not zero."""
    if value.flat[0] != 0 and bool(np.all(value == value.flat[0])):
        return True
    return value.ndim == 2 and value.shape[0] == value.shape[1] and bool(np.all(value == np.eye(len(value))))


def _is_of(match: Match, order: Order | None) -> bool:
    """Whether a match goes through the steps as an order does, if both do."""
    own = match.replacement.order
    return order is None or not order.goes_through_time or not own.goes_through_time or own == order


def _disturbed(site: Site) -> Replace:
    def disturb(old: Any, count: int, before: Any) -> Any:
        array = np.asarray(old.detach() if hasattr(old, "detach") else old)
        if array.dtype.kind == "b":
            new = ~array
        elif array.dtype.kind == "f":
            uneven = (np.arange(array.size).reshape(array.shape) % 7 + count % 3 + 1) / 100
            new = array * (1 + uneven) + uneven / 10
        else:
            return old
        return instead_of(old, new, site.in_place)

    return disturb
