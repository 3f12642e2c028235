"""What runs in the child process: the user's code is loaded instrumented, and repairs are tried in it."""

import ast
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, NoReturn

from parity_tests.cases.case import Case
from parity_tests.diagnosis.lines.find import Finder
from parity_tests.diagnosis.lines.instrument import Instrumenter
from parity_tests.diagnosis.lines.recording import Recorder
from parity_tests.report.wrong_line import WrongLine
from parity_tests.subjects.compiling import LoadedFarEnough

INSTRUMENTER = Instrumenter()
RECORDER = Recorder()
_JUDGES = ("check", "assert_parity", "parametrize")
"""Calls of a user's file at which the file is loaded far enough: what they are given is there."""


@dataclass(slots=True)
class _State:
    """The search that goes on from call to call."""

    finder: Finder | None = None
    lines: Iterator[WrongLine] = field(default_factory=lambda: iter(()))


_STATE = _State()


def instrumented(source: str, file: str) -> CodeType:
    """Compile a file of the user's so that its values are seen."""
    RECORDER.install()
    RECORDER.files.add(file)
    package = sys.modules.get("parity_tests")
    for name in _JUDGES:
        setattr(package, name, _stop)
    tree = INSTRUMENTER.transform(ast.parse(source), source, file)
    return compile(tree, file, "exec", dont_inherit=True)


def _stop(*_: Any, **__: Any) -> NoReturn:
    raise LoadedFarEnough


def start(subject: Any, cases: Sequence[Case], without: Collection[str]) -> int:
    """Begin a search in these cases, the simplest first; return how many expressions can be seen."""
    _STATE.finder = Finder(subject, without, RECORDER, INSTRUMENTER.sites)
    _STATE.lines = _STATE.finder.find(cases)
    return len(INSTRUMENTER.sites)


def next_line(subject: Any) -> WrongLine | None:
    """Go on with the search, and return the next wrong line; None if there are no more."""
    return next(_STATE.lines, None)


def outcome(subject: Any, others: Sequence[Case]) -> tuple[tuple[str, ...], bool]:
    """Return the tensors that no line makes right, and whether the number of runs did not suffice.

    Args:
        subject: the target.
        others: further cases, in which what was found has to suffice too.
    """
    assert _STATE.finder is not None
    _STATE.finder.look_at(others)
    return _STATE.finder.left, _STATE.finder.stopped
