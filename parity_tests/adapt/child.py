"""What runs in the child process: the user's file is loaded there, and programs are tried."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from parity_tests.adapt.deep.proof import deep_proven
from parity_tests.adapt.heads.own import own_head
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.program import GaveUp
from parity_tests.adapt.proof import proven
from parity_tests.adapt.refusals import refusal
from parity_tests.adapt.search import Found, Hints, search, whole
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import module_of

HEAD_SECONDS = 2.0
"""Of the search for a call with its own head."""
ONE_LAYER = "it has several layers, and one is judged: no call gives the states of all of them"


def nothing(case: Any) -> None:
    """What the child process is started with, in an empty folder: the user's file is loaded later."""


def adapt(_: Any, file: str, names: Sequence[str], hints: Hints) -> Outcome:
    """Return the adapter of what is named in a file.

    Args:
        file: the path.
        names: of a class, or of functions; none: what is found in it.
        hints: what the user says.
    """
    try:
        module, notices = module_of(file)
    except TargetError as error:
        return Outcome(refusal=str(error))
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        return Outcome(refusal=f"{Path(file).name} has no {missing[0]}")
    return outcome_of(module, file, names, hints, tuple(notices))


def outcome_of(
    module: ModuleType, file: str, names: Sequence[str], hints: Hints, notices: tuple[str, ...] = ()
) -> Outcome:
    """Return the adapter of what is named in a module that is loaded.

    Args:
        module: the module.
        file: where it was loaded from.
        names: of a class, or of functions; none: what is found in it.
        hints: what the user says.
        notices: what was out of order when it was loaded.
    """
    deep = whole(module, names, hints)
    if deep.program is not None:
        return deep_proven(module, file, deep, notices)
    found = search(module, names, hints)
    if found.program is not None and deep.directions:
        found = replace(found, program=found.program.adding(told=(ONE_LAYER,)))
    if found.program is None or found.reading is None:
        why = refusal(module, names, found)
        return Outcome(refusal=why, trials=found.trials, gave_up=found.gave_up, notices=notices)
    return proven(module, file, with_own_head(module, found), notices)


def with_own_head(module: ModuleType, found: Found) -> Found:
    """Return a reading with its own head in place of one that is taken away, where there is one."""
    assert found.reading is not None
    assert found.program is not None
    deadline = time.monotonic() + HEAD_SECONDS
    try:
        own = own_head(module, found.name, found.reading, found.program, lambda: time.monotonic() > deadline)
    except GaveUp:
        return found
    if own.program is None:
        return replace(found, program=found.program.adding(told=own.told))
    return replace(found, reading=own.reading, program=own.program)
