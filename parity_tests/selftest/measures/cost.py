"""``python -m parity_tests.selftest.measures.cost``: what judging a list of cases costs, in CPU seconds, by part.

By default the cases of ce1ef78 and those that the default run draws now, beside one another: the arrays of the
cases, torch's answers, the float64 loop with what is allowed, our layers, and the comparison. One process and one
thread. Start-up, checks of the contract and the drawing of the cases are not in it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low

import rnn_np
from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.checks.systematic import SignedErrors
from parity_tests.checks.values import Compared, allowances_of, comparisons
from parity_tests.references.live_torch import torch_answers
from parity_tests.run.options import OptionError
from parity_tests.run.threads import one_thread
from parity_tests.selftest.measures.markdown import paragraph, table, when_and_where, write_block
from parity_tests.selftest.measures.measurement import Result, add_options, at_least, case_lists
from parity_tests.subjects.drivers import run_case

MOST_ROUNDS = 100
FIRST = 20
"""Cases that are judged beforehand: the first ones fill caches."""
PARTS = ("arrays", "torch", "loop and allowances", "layer", "comparison")


@dataclass(slots=True)
class Cost:
    """CPU seconds of a list of cases.

    Attributes:
        parts: by the part.
        cases: of each case, with its token.
    """

    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    cases: list[tuple[float, str]] = field(default_factory=list)

    @property
    def total(self) -> float:
        """Of all parts."""
        return sum(self.parts.values())

    @property
    def slowest_tenth(self) -> float:
        """Of the slowest tenth of the cases, and of one at least."""
        return sum(cost for cost, _ in sorted(self.cases, reverse=True)[: max(1, len(self.cases) // 10)])

    def timed(self, part: str, work: Callable[[], Result]) -> Result:
        """The result of a part of the work, whose time is added."""
        start = time.process_time()
        result = work()
        self.parts[part] += time.process_time() - start
        return result

    def judge(self, case: Case) -> None:
        """Judge our layers in a case, as a run does."""
        before = self.total
        calls = self.timed("arrays", lambda: calls_of(case))
        truths = self.timed("torch", lambda: torch_answers(case, calls))
        results = self.timed("layer", lambda: run_case(rnn_np, case))
        allowances = self.timed("loop and allowances", lambda: allowances_of(case, calls, truths))
        self.timed("comparison", lambda: self._compare(case, comparisons(results, truths, allowances)))
        self.cases.append((self.total - before, str(case)))

    def _compare(self, case: Case, found: Iterable[Compared]) -> None:
        errors = SignedErrors(case)
        for each in found:
            if each.got is not None:
                errors.add(each.tensor, each.want, each.got, each.allowed)


def cost_of(cases: Sequence[Case]) -> Cost:
    """What judging the cases costs."""
    calls_of.cache_clear()
    result = Cost()
    for case in cases:
        result.judge(case)
    return result


def costs(lists: dict[str, list[Case]], rounds: int) -> dict[str, Cost]:
    """The cost of each list that is the median of so many rounds over all lists in turn."""
    with one_thread(with_torch=True):
        for cases in lists.values():
            cost_of(cases[:FIRST])
        found = [{name: cost_of(cases) for name, cases in lists.items()} for _ in range(rounds)]
    middle = {name: median_low(each[name].total for each in found) for name in lists}
    return {name: next(each[name] for each in found if each[name].total == middle[name]) for name in lists}


def cost_table(found: dict[str, Cost]) -> str:
    """The parts of each list, and its slowest cases."""

    def share(part: float, of: Cost) -> str:
        return f"{part:.1f} ({part / of.total:.0%})".replace("%", " %")

    every = found.values()
    return table(
        ["CPU seconds", *found],
        *([part, *(share(each.parts[part], each) for each in every)] for part in PARTS),
        ["together", *(f"{each.total:.1f}" for each in every)],
        ["number of cases", *(f"{len(each.cases):,}" for each in every)],
        ["the slowest tenth of them", *(share(each.slowest_tenth, each) for each in every)],
        ["the slowest case", *("{:.2f}: `{}`".format(*max(each.cases)) for each in every)],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the lists, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m parity_tests.selftest.measures.cost", description=__doc__
    )
    parser.add_argument(
        "--rounds", default="1", metavar="N", help="over all lists; the middle one counts (default 1)"
    )
    add_options(parser, "list", "write")
    options = parser.parse_args(arguments)
    try:
        rounds = at_least("rounds", options.rounds, 1, MOST_ROUNDS)
        lists = case_lists([Path(path) for path in options.list])
    except OptionError as error:
        sys.exit(f"cost: {error}")
    body = f"{paragraph(when_and_where())}\n\n{cost_table(costs(lists, rounds))}"
    print(body)
    if options.write:
        write_block("cost", body)


if __name__ == "__main__":
    main()
