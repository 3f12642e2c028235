"""Targets whose wrong lines are looked for, and how what is told compares with the truth."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.diagnosis.lines.point import wrong_lines
from parity_tests.gate_tests.lines.layers import FURTHER
from parity_tests.gate_tests.lines.truth import LINES, consistent_lines_of, lines_of, targets
from parity_tests.gate_tests.people import STRANGERS
from parity_tests.run.plan import LACKED_BY_INTERFACE
from parity_tests.subjects.drivers import kinds_of
from parity_tests.subjects.interfaces import subject_of
from parity_tests.subjects.loading import Target, load
from parity_tests.wrong_line import WrongLine

FOLDER = Path(__file__).with_name("layers")


@dataclass(frozen=True)
class Told:
    """What was told of a target.

    Attributes:
        first: ``right``, ``wrong`` or ``none``.
        later: the same of each further line, or ``consistent``.
        faults: how many faults were told, of how many.
        lines: the lines.
    """

    first: str
    later: tuple[str, ...]
    faults: tuple[int, int]
    lines: tuple[WrongLine, ...]


def told_of_people(name: str) -> Told:
    """Look for the wrong lines of a layer of ``people``."""
    obj = targets()[name][0]
    stranger = next((each for each in STRANGERS if each.name == name), None)
    interface, without = (stranger.interface, stranger.without) if stranger else (None, ())
    target = Target(f"{inspect.getsourcefile(obj)}:{obj.__qualname__}", interface)
    return _told(target, without, obj, lines_of(name), consistent_lines_of(name))


def told_of_further(name: str) -> Told:
    """Look for the wrong lines of a layer of ``layers``."""
    entry = next(entry for entry in FURTHER if entry.name == name)
    file = FOLDER / entry.file
    texts = [line.strip() for line in file.read_text("utf-8").split("\n")]
    truth = [{(str(file), texts.index(text) + 1) for text in fault} for fault in entry.faults]
    target = Target(f"{file}:{entry.name}", entry.kind)
    return _told(target, entry.without, load(target).obj, truth, set())


def _told(
    target: Target,
    without: Iterable[str],
    obj: Any,
    truth: list[set[tuple[str, int]]],
    consistent: set[tuple[str, int]],
) -> Told:
    interface = Target.at_hand(obj, target.interface).interface or ""
    lacking = (*without, *LACKED_BY_INTERFACE.get(interface, ()))
    (kind, *_) = kinds_of(subject_of(obj, interface))

    def restrict(case: Case) -> Case:
        return restricted(case, lacking)

    found = wrong_lines(target, [(kind, [])], lacking, restrict).lines.get(kind, [])
    places = [(str(Path(line.file).resolve()), line.line) for line in found]
    every = set().union(*truth)
    words = ["right" if at in every else "consistent" if at in consistent else "wrong" for at in places]
    number = sum(any(at in fault for at in places) for fault in truth)
    return Told(words[0] if words else "none", tuple(words[1:]), (number, len(truth)), tuple(found))


__all__ = ["FURTHER", "LINES", "Told", "told_of_further", "told_of_people"]
