"""The wrong lines of a target, found in a child process of their own: no verdict depends on it."""

import inspect
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.diagnosis.lines.cases import cases_to_search
from parity_tests.diagnosis.lines.child import instrumented, next_line, outcome, start
from parity_tests.diagnosis.probe_cases import PROBE_CASES
from parity_tests.report.wrong_line import WrongLine
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import SUFFIXES, Target
from parity_tests.subjects.sandbox.parent import Child, ChildError, ChildTimeout
from parity_tests.subjects.sandbox.process import can_start

SECONDS = 10.0
"""For all lines of a target together."""
LOAD_SECONDS = 30.0


@dataclass(slots=True)
class WrongLines:
    """The wrong lines of a target.

    Attributes:
        lines: in the order in which they were found, by kind of layer.
        note: why there is no line, or that there may be more; empty if there is nothing to say.
        left: by kind, the tensors that no line makes right.
    """

    lines: dict[str, list[WrongLine]] = field(default_factory=dict)
    note: str = ""
    left: dict[str, tuple[str, ...]] = field(default_factory=dict)


def wrong_lines(
    target: Target,
    own: Iterable[tuple[str, Sequence[Case]]],
    without: Sequence[str],
    restrict: Callable[[Case], Case],
) -> WrongLines:
    """Find the lines of a target's source that are wrong.

    Args:
        target: what was judged.
        own: by kind of layer, cases in which its values are wrong.
        without: what it is declared to lack.
        restrict: removes from a case what the target does not support.
    """
    found = WrongLines()
    try:
        loadable = _with_source(target)
    except _NoSource as reason:
        found.note = f"No line is told: {reason}."
        return found
    deadline = time.monotonic() + SECONDS
    functions: tuple[Callable[..., Any], ...] = (start, next_line, outcome)
    with Child(loadable, SECONDS, LOAD_SECONDS, functions, instrumented) as child:
        try:
            child.start()
            for kind, cases in own:
                lines = found.lines.setdefault(kind, [])
                searched = cases_to_search(kind, cases, restrict)
                if not child.call(start, searched, tuple(without)):
                    found.note = "No line is told: the target is not written in Python that can be read."
                    return found
                while (line := child.call(next_line)) is not None:
                    lines.append(_shown(line))
                    if time.monotonic() > deadline:
                        found.note = (
                            f"The search for wrong lines ended after {SECONDS:g} s; there may be more."
                        )
                        return found
                # One line alone may hide faults that show in other cases; these have names.
                others = [*map(restrict, PROBE_CASES[kind])] if len(lines) == 1 else []
                found.left[kind], stopped = child.call(outcome, others)
                if stopped:
                    found.note = "The search for wrong lines ended at its limit of runs; there may be more."
        except ChildTimeout:
            found.note = f"The search for wrong lines ended after {SECONDS:g} s; there may be more."
        except (ChildError, TargetError) as error:
            found.note = f"No line is told: the code could not be run in a second process: {error}."
    return found


class _NoSource(Exception):
    """The source of a target cannot be had; the message says why."""


def _with_source(target: Target) -> Target:
    """The target as a file to load, which an object at hand is not yet."""
    if not can_start():
        raise _NoSource("it is looked for in a child process, which needs Linux or macOS")
    if target.obj is None:
        return target
    obj = inspect.unwrap(target.obj)
    name = getattr(obj, "__qualname__", None)
    if not isinstance(name, str):
        raise _NoSource("the target is no class and no function that has a name")
    if "<" in name:
        raise _NoSource(f"{name.rpartition('.')[2]} is defined inside a function, and cannot be loaded again")
    module = sys.modules.get(getattr(obj, "__module__", "") or "")
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(SUFFIXES) or not Path(file).is_file():
        raise _NoSource(f"{name} has no source file")
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not target.obj:
        raise _NoSource(f"{name} of {file} is another object than the one that was judged")
    return Target(f"{file}:{name}", target.interface)


def _shown(line: WrongLine) -> WrongLine:
    """The line with its files as a person names them: relative to the current folder if they are there."""
    return replace(line, file=_relative(line.file), called_in=_relative(line.called_in))


def _relative(name: str) -> str:
    file, here = Path(name), Path.cwd()
    return str(file.relative_to(here)) if file.is_absolute() and file.is_relative_to(here) else name
