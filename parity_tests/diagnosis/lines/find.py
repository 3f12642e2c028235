"""Finds the lines: repairs are searched in one case, one after another, and verified in others."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.tensors import families_of
from parity_tests.diagnosis.lines.choice import can_be_told, chosen
from parity_tests.diagnosis.lines.recording import Recorder
from parity_tests.diagnosis.lines.repairs import Repair
from parity_tests.diagnosis.lines.search import MOST_RUNS, Attempt, Search
from parity_tests.diagnosis.lines.sentences import described
from parity_tests.diagnosis.lines.sites import Site
from parity_tests.diagnosis.lines.trial import PRECISE, ROUGH, Trial
from parity_tests.wrong_line import WrongLine

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

    Attributes:
        kept: the repairs in force.
        runs: how many runs were made.
        stopped: whether the number of runs did not suffice.
    """

    def __init__(
        self, subject: Any, without: Collection[str], recorder: Recorder, sites: Sequence[Site]
    ) -> None:
        self.subject, self.without, self.recorder, self.sites = subject, without, recorder, sites
        adapter = getattr(subject, "answer", None)
        self.adapter = getattr(adapter, "__qualname__", "") if adapter is not None else ""
        self.kept: list[Repair] = []
        self.runs = 0
        self.stopped = False
        self._wrong_there = False
        self._left: set[str] = set()
        self._trials: dict[Case, Trial] = {}

    def find(self, cases: Sequence[Case]) -> Iterator[WrongLine]:
        """Search the cases in which the subject is wrong, in their order, for one line after another."""
        searched = 0
        for case in cases:
            if searched >= MOST_CASES_SEARCHED or len(self.kept) >= MOST_FAULTS:
                return
            self._wrong_there = False
            yield from self._search(case)
            searched += self._wrong_there

    @property
    def left(self) -> tuple[str, ...]:
        """The tensors that no line makes right."""
        return families_of(self._left)

    def _trial(self, case: Case, tolerance: float) -> Trial:
        if case not in self._trials:
            self._trials[case] = Trial(self.subject, case, self.without, self.recorder)
        trial = self._trials[case]
        trial.tolerance = tolerance
        return trial

    def _search(self, case: Case) -> Iterator[WrongLine]:
        levels = (ROUGH, PRECISE) if case.dtype == "f64" else (SINGLE,)
        for tolerance in levels:
            trial = self._trial(case, tolerance)
            while True:
                attempt, search = self._next(trial, case, tolerance)
                if attempt is None or len(self.kept) >= MOST_FAULTS:
                    break
                self.kept.append(attempt.repair)
                yield described(attempt, search)
            if search.base.wrong and not search.base.raised:
                self._left |= {name for _, name in search.base.wrong}
                return

    def _next(self, trial: Trial, case: Case, tolerance: float) -> tuple[Attempt | None, Search]:
        """The next repair in a case, and the search that it was found in."""
        for precise in (True, False) if tolerance == PRECISE else (False,):
            search = Search(trial, self.sites, tuple(self.kept), precise, not_blamed=self.adapter)
            search.runs_left = MOST_RUNS - self.runs
            before = trial.runs
            attempts = search.run()
            self.runs += trial.runs - before
            self.stopped |= search.stopped
            self._wrong_there |= bool(search.base.wrong) and not search.base.raised
            attempt = self._verified(attempts, search, case, tolerance)
            if attempt is not None or not search.base.wrong:
                return attempt, search
        return None, search

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
                # The mistake is before it, and before all that do the same.
                left = [each for each in left if each.cured != attempt.cured]
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
