"""Finds the lines: repairs are searched in one case, one after another, and verified in others."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.tensors import families_of
from parity_tests.diagnosis.lines.choice import can_be_told, chosen
from parity_tests.diagnosis.lines.limits import limits
from parity_tests.diagnosis.lines.nonlinearities import NONLINEARITIES, Nonlinearity
from parity_tests.diagnosis.lines.orders import orders
from parity_tests.diagnosis.lines.recognition import same
from parity_tests.diagnosis.lines.recording import Recorder
from parity_tests.diagnosis.lines.repairs import Repair
from parity_tests.diagnosis.lines.right_values import RightValues
from parity_tests.diagnosis.lines.search import FORWARD, MOST_RUNS, Attempt, Search
from parity_tests.diagnosis.lines.sentences import described
from parity_tests.diagnosis.lines.sites import Site
from parity_tests.diagnosis.lines.trial import PRECISE, ROUGH, Trial
from parity_tests.report.wrong_line import WrongLine

SINGLE = 1e-3
"""The tolerance of cases in float32."""
MOST_FAULTS = 6
"""Lines that are looked for."""
MOST_CASES_SEARCHED = 2
"""Cases in which a search is made; others are only looked at."""
TIMES_VERIFIED = 2
"""Other cases in which a repair must help."""
MOST_REFUSED = 4
"""Repairs of one search that other cases may refuse."""


class Finder:
    """Looks for the wrong lines of a subject.

    Args:
        subject: loaded from instrumented code.
        without: what it is declared to lack.
        recorder: sees its values.
        sites: the expressions of its code.
        nonlinearity: what it computes in place of the nonlinearity of a case; None: it does as asked.

    Attributes:
        kept: the repairs in force, in the case that is searched.
        runs: how many runs were made.
        stopped: whether the number of runs did not suffice.
    """

    def __init__(
        self,
        subject: Any,
        without: Collection[str],
        recorder: Recorder,
        sites: Sequence[Site],
        nonlinearity: Nonlinearity | None = None,
    ) -> None:
        self.subject, self.without, self.recorder, self.sites = subject, without, recorder, sites
        self.nonlinearity = nonlinearity
        adapter = getattr(subject, "answer", None)
        self.adapter = getattr(adapter, "__qualname__", "") if adapter is not None else ""
        self.kept: list[Repair] = []
        self._found: list[tuple[Repair, Case]] = []
        self.runs = 0
        self.stopped = False
        self._wrong_there = False
        self._left: set[str] = set()
        self._trials: dict[Case, Trial] = {}

    def find(self, cases: Sequence[Case]) -> Iterator[WrongLine]:
        """Search the cases in which the subject is wrong, in their order, for one line after another."""
        other, lines = self._other_nonlinearity(cases), self._lines(cases)
        if other is None:
            yield from lines
            return
        # The nonlinearity is the fault if one line that says so explains all. Else it is meant.
        first = next(lines, None)
        if first is None or self._is_wrong_with_all(cases[0]):
            as_meant = Finder(self.subject, self.without, self.recorder, self.sites, other)
            found = False
            for line in as_meant._lines(cases):
                found = True
                yield line
            if found:
                self._left, self.stopped = as_meant._left, as_meant.stopped
                return
        if first is not None:
            yield first
        yield from lines

    def _is_wrong_with_all(self, case: Case) -> bool:
        """Whether something is still wrong with the repairs that are kept."""
        trial = self._trial(case, ROUGH)
        replacements = Search(trial, self.sites, tuple(self.kept)).replacements()
        return replacements is None or bool(trial.run(replacements).wrong)

    def _other_nonlinearity(self, cases: Sequence[Case]) -> Nonlinearity | None:
        """The nonlinearity that the states have, if it is another one than that of the first case."""
        outcome = self._trial(cases[0], ROUGH).run({}) if cases else None
        if outcome is None or outcome.raised or not any(name in FORWARD for _, name in outcome.wrong):
            return None
        for other in NONLINEARITIES:
            if all(
                name not in answer
                or ((number, name) in outcome.got and same(answer[name], outcome.got[number, name]))
                for number, answer in enumerate(RightValues.of(cases[0], other).answers)
                for name in FORWARD
                if (number, name) in outcome.right
            ):
                return other
        return None

    def _lines(self, cases: Sequence[Case]) -> Iterator[WrongLine]:
        searched = 0
        for case in cases:
            if searched >= MOST_CASES_SEARCHED or len(self._found) >= MOST_FAULTS:
                return
            self._wrong_there = False
            if self._use_kept(case):
                yield from self._search(case)
                searched += self._wrong_there

    def look_at(self, cases: Iterable[Case]) -> None:
        """Find what is still wrong in further cases with all that was found."""
        if not self._found:
            return
        for case in cases:
            if self._use_kept(case):
                trial = self._trial(case, ROUGH if case.dtype == "f64" else SINGLE)
                replacements = Search(trial, self.sites, tuple(self.kept)).replacements()
                outcome = None if replacements is None else trial.run(replacements)
                if outcome is not None and not outcome.raised:
                    self._left |= {name for _, name in outcome.wrong}

    def _use_kept(self, case: Case) -> bool:
        """Put the repairs that are kept in force in a case; False if one cannot be used there.

        In a stack of another depth the cells are met in another order, which is looked for.
        """
        self.kept = []
        trial = self._trial(case, ROUGH if case.dtype == "f64" else SINGLE)
        for repair, found_in in self._found:
            alike = (found_in.layers, found_in.directions) == (case.layers, case.directions)
            mine = repair if alike or repair.kind != "value" else self._in_stack(repair, trial)
            if mine is None:
                return False
            self.kept.append(mine)
        return True

    def _in_stack(self, repair: Repair, trial: Trial) -> Repair | None:
        search = Search(trial, self.sites, tuple(self.kept))
        now = search.replacements()
        base = trial.run(now or {}, record=True)
        seen = trial.recorder.seen.get(repair.key)
        if now is None or base.raised or seen is None or not base.wrong:
            return None
        value = repair.value
        best: tuple[int, Repair | None] = (len(base.wrong), None)
        for order in orders(trial.values, seen.number):
            if replace(order, cells=value.order.cells) == value.order:
                other = replace(repair, value=replace(value, order=order))
                made = search.replacements(other)
                outcome = None if made is None else trial.run(made)
                if outcome and not outcome.raised and not outcome.wrong - base.wrong:
                    best = min(best, (len(outcome.wrong), other), key=lambda pair: pair[0])
        return best[1]

    @property
    def left(self) -> tuple[str, ...]:
        """The tensors that no line makes right."""
        return families_of(self._left)

    def _trial(self, case: Case, tolerance: float) -> Trial:
        if case not in self._trials:
            self._trials[case] = Trial(self.subject, case, self.without, self.recorder, self.nonlinearity)
        trial = self._trials[case]
        trial.tolerance = tolerance
        return trial

    def _search(self, case: Case) -> Iterator[WrongLine]:
        levels = (ROUGH, PRECISE) if case.dtype == "f64" else (SINGLE,)
        for tolerance in levels:
            trial = self._trial(case, tolerance)
            while True:
                attempt, search = self._next(trial, case, tolerance)
                found = [(attempt, search)] if attempt is not None else []
                if not found and tolerance == ROUGH:
                    found = self._behind_a_limit(search, case, tolerance)
                if not found or len(self._found) >= MOST_FAULTS:
                    break
                for each, its_search in found:
                    self.kept.append(each.repair)
                    self._found.append((each.repair, case))
                    yield described(each, its_search)
            if search.base.wrong and not search.base.raised:
                self._left |= {name for _, name in search.base.wrong}
                return

    def _next(self, trial: Trial, case: Case, tolerance: float) -> tuple[Attempt | None, Search]:
        """The next repair in a case, and the search that it was found in."""
        for precise in (True, False) if tolerance == PRECISE else (False,):
            search = Search(trial, self.sites, tuple(self.kept), precise, not_blamed=self.adapter)
            search.runs_left = MOST_RUNS - self.runs
            before, attempt = trial.runs, None
            for attempts in search.run():
                attempt = self._verified(attempts, search, case, tolerance)
                if attempt is not None:
                    break
            self.runs += trial.runs - before
            self.stopped |= search.stopped
            self._wrong_there |= bool(search.base.wrong) and not search.base.raised
            if attempt is not None or not search.base.wrong:
                return attempt, search
        return None, search

    def _behind_a_limit(self, search: Search, case: Case, tolerance: float) -> list[tuple[Attempt, Search]]:
        """A repair that helps only where a limit is undone, and the one that undoes it."""
        if not search.base.wrong or search.base.raised:
            return []
        kept = self.kept
        for limit in limits(search):
            self.kept = [*kept, limit]
            attempt, behind = self._next(search.trial, case, tolerance)
            self.kept = kept
            if attempt is not None:
                without = search.replacements(attempt.repair)
                outcome = search.trial.run(without or {})
                cured = outcome.wrong & attempt.cured
                undone = [(search.attempt(limit, cured), search)] if cured else []
                return [(attempt, behind), *undone]
        return []

    def _verified(
        self, attempts: Sequence[Attempt], search: Search, case: Case, tolerance: float
    ) -> Attempt | None:
        """The repair to tell, which helps in other cases too; None if there is none."""
        left = list(attempts)
        for _ in range(MOST_REFUSED):
            if not left:
                return None
            attempt = chosen(left, search)
            if not can_be_told(attempt, search):
                # The mistake is before it, and before all that do the same to what is wrong already.
                left = [e for e in left if e.cured != attempt.cured or can_be_told(e, search)]
            elif self._helps_elsewhere(attempt.repair, case, tolerance):
                return attempt
            else:
                left = [each for each in left if each.repair != attempt.repair]
        return None

    def _helps_elsewhere(self, repair: Repair, case: Case, tolerance: float) -> bool:
        helped = 0
        for other in variants(case):
            trial = self._trial(other, tolerance)
            self.runs += 2
            search = Search(trial, self.sites, tuple(self.kept))
            before, after = search.replacements(), search.replacements(repair)
            if before is None or after is None:
                return False
            first, second = trial.run(before), trial.run(after)
            if not first.wrong or first.raised:
                continue  # it is not wrong in this case
            if second.raised or second.wrong - first.wrong or not first.wrong - second.wrong:
                return False
            helped += 1
            if helped == TIMES_VERIFIED:
                return True
        return False


def variants(case: Case) -> Iterator[Case]:
    """The case with other sizes and another seed."""
    for number, (B, T, D, H) in enumerate(((1, 2, 1, -1), (2, 1, 3, 2), (0, 3, 2, 1), (1, 0, 1, 1)), 1):
        # Sizes that are equal stay so.
        H = D if case.D == case.H else H
        T = B if case.B == case.T else T
        sizes: dict[str, Any] = {"D": case.D + D, "H": max(case.H + H, 2)}
        if case.form != "unbatched":
            sizes["B"] = case.B + B if case.B > 1 else 1
        if not case.is_cell:
            sizes["T"] = case.T + T if case.T > 1 else 1
        try:
            yield replace(case, seed=case.seed + number, **sizes)
        except ValueError:
            continue
