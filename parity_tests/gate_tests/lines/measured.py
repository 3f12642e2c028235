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
from parity_tests.report.wrong_line import WrongLine
from parity_tests.run.plan import LACKED_BY_INTERFACE
from parity_tests.subjects.adapters.declared import Declared
from parity_tests.subjects.drivers import kinds_of
from parity_tests.subjects.interfaces import subject_of
from parity_tests.subjects.loading import Target, load

OWN = {
    "TimeRNN": (
        "B3T4D5H5-f64-h0-s1",
        "B3T4D2H7-f64-s2",
        "B3T4D2H7-f64-h0-fortran-s3",
        "B3T4D2H7-f64-h0-row-s4",
        "B3T4D2H7-f64-h0-reset-s5",
        "B1T4D2H7-f64-h0-s6",
        "B11T21D2H9-f64-h0-s7",
        "B3T30D2H7-f64-g2-h0-s8",
    ),
    "RNN": ("cell-B3D5H5-f64-s1", "cell-B3D2H7-f64-fortran-s2", "cell-B1D2H7-f64-s3", "cell-B11D2H9-f64-s4"),
    "nn.RNN": (
        "nn-B3T4D5H5-f64-h0-both-s1",
        "nn-B3T4D2H7-f64-both-s2",
        "nn-B3T4D2H7-f64-h0-s3",
        "nn-B3T4D2H7-f64-h0-final-s4",
        "nn-B3T4D2H7-f64-h0-both-nobias-s5",
        "nn-B3T4D2H7L2-f64-h0-both-p0.5-s6",
        "nn-B3T4D2H7L2-f64-h0-both-p0.5-eval-s7",
        "nn-B1T4D2H7-f64-h0-both-unbatched-s8",
    ),
    "nn.RNNCell": ("nncell-B3D5H5-f64-h0-s1", "nncell-B3D2H7-f64-s2", "nncell-B3D2H7-f64-h0-nobias-s3"),
}
"""Cases in which the gate may find a layer wrong; the search begins with simpler ones."""
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
    lacking = (
        *without,
        *LACKED_BY_INTERFACE.get(interface, ()),
        *(Declared().implied if interface == "adapter" else ()),
    )
    (kind, *_) = kinds_of(subject_of(obj, interface))

    def restrict(case: Case) -> Case:
        return restricted(case, lacking)

    own = [Case.parse(token) for token in OWN[kind]]
    found = wrong_lines(target, [(kind, own)], lacking, restrict).lines.get(kind, [])
    places = [(str(Path(line.file).resolve()), line.line) for line in found]
    every = set().union(*truth)
    words = ["right" if at in every else "consistent" if at in consistent else "wrong" for at in places]
    number = sum(any(at in fault for at in places) for fault in truth)
    return Told(words[0] if words else "none", tuple(words[1:]), (number, len(truth)), tuple(found))


__all__ = ["FURTHER", "LINES", "Told", "told_of_further", "told_of_people"]
