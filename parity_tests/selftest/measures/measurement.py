"""What the measuring commands share: cases and what is allowed in them, processes, and options."""

import argparse
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from parity_tests.cases.arrays import Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import Answer
from parity_tests.checks.values import allowances_of
from parity_tests.references.live_torch import torch_answers
from parity_tests.references.tolerance import Allowance
from parity_tests.run.options import DEFAULT_CASES, OptionError, whole_number
from parity_tests.run.threads import cap_torch, one_thread
from parity_tests.selftest.measures.markdown import DOCUMENT

CE1EF78 = Path(__file__).with_name("cases_ce1ef78.txt")
"""The 2,000 cases that the default run drew before version 0.5, one token a line."""
IN_WORDS = {CE1EF78: "the default cases of ce1ef78"}
MOST_WORKERS = 64

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A case with its calls, the true answers to them, and what is allowed in each."""

    case: Case
    calls: Sequence[Call]
    truths: Sequence[Answer]
    allowances: Sequence[dict[str, Allowance]]


def prepared(case: Case) -> Prepared:
    """All that any number of layers are compared with in a case.

    Raises:
        ReferencesDisagree: torch and the plain float64 loop disagree about the case.
    """
    calls = calls_of(case)
    truths = torch_answers(case, calls)
    return Prepared(case, calls, truths, allowances_of(case, calls, truths))


@cache
def drawn(seed: int, number: int, kinds: tuple[str, ...] = KINDS) -> list[Case]:
    """The first cases that a run with this seed draws."""
    return [draw_case(seed, n, kinds) for n in range(number)]


def listed(path: Path) -> list[Case]:
    """The cases of a file of tokens, one a line.

    Raises:
        OptionError: the file cannot be read, has no case, or a line of it is no token.
    """
    try:
        tokens = path.read_text("ascii").split()
    except (OSError, UnicodeError) as error:
        raise OptionError(f"list: {path} cannot be read: {error}") from error
    cases = []
    for number, token in enumerate(tokens, 1):
        try:
            cases.append(Case.parse(token))
        except ValueError as error:
            raise OptionError(f"list: token {number} of {path}: {error}") from error
    if not cases:
        raise OptionError(f"list: {path} has no case, expected a token a line")
    return cases


def case_lists(paths: Sequence[Path]) -> dict[str, list[Case]]:
    """The cases of each file by what they are; of none, those of ce1ef78 and those that are drawn now.

    Raises:
        OptionError: a file cannot be read, or has no cases.
    """
    lists = {IN_WORDS.get(path, f"the cases of {path.name}"): listed(path) for path in paths or (CE1EF78,)}
    return lists if paths else {**lists, "the default cases": drawn(0, DEFAULT_CASES)}


def shared_out(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield ``function`` of every item in order, from processes of one thread each; with 1, from this one."""
    if workers == 1:
        with one_thread(with_torch=True):
            yield from map(function, items)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _one_thread_from_now_on) as pool:
        yield from pool.imap(function, items)


def _one_thread_from_now_on() -> None:
    threadpool_limits(1)
    cap_torch(with_torch=True)


def batches(cases: Sequence[Case], size: int) -> list[Sequence[Case]]:
    """The cases in batches of a size."""
    return [cases[start : start + size] for start in range(0, len(cases), size)]


def add_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add those of the options ``--list``, ``--workers`` and ``--write`` to a command."""
    known: dict[str, dict[str, object]] = {
        "list": {
            "type": Path,
            "action": "append",
            "default": [],
            "metavar": "FILE",
            "help": "a file of tokens, one a line; may be repeated (default: the cases of ce1ef78, and those "
            "that the default run draws now)",
        },
        "workers": {"default": "1", "metavar": "N", "help": "processes of one thread each (default 1)"},
        "write": {"action": "store_true", "help": f"put the tables into {DOCUMENT.name} of the gate"},
    }
    for name in names:
        parser.add_argument(f"--{name}", **known[name])  # type: ignore[arg-type]


def at_least(name: str, value: str, least: int, most: int) -> int:
    """The whole number that an option is set to.

    Raises:
        OptionError: it is none, or is too small or too large.
    """
    return whole_number(name, value, f"a whole number of at least {least}", least, most)
