"""The gate over its own catalogue: every fault is put in and must be seen, and named."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_tests._answer import native
from parity_tests._broken import BROKEN
from parity_tests._case import Case
from parity_tests._catalogue import FAULTS
from parity_tests._contract import FAULTS as CONTRACT
from parity_tests._contract import contract
from parity_tests._diagnose import diagnose
from parity_tests._draw import draw_case, shrink
from parity_tests._inputs import DTYPES, Call, calls_of
from parity_tests._judge import judge
from parity_tests._loop import Loop, Spread
from parity_tests._match import Coarse
from parity_tests._performer import CLASSES, Performance
from parity_tests._report import Finding
from parity_tests._subject import Ask, layers_of
from parity_tests._twins import Still, Twin

MOST = 1000
"""Cases that are tried."""
SHRINK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one fault.

    Attributes:
        fault: its name.
        kind: of the layer that it was put into.
        caught: how many cases it took; 0 if it was not caught.
        named: what it was called.
        case: the smallest case that shows it.
        seconds: how long that took.
    """

    fault: str
    kind: str
    caught: int
    named: str | None
    case: str
    seconds: float


def every_fault() -> list[tuple[str, str, str]]:
    """Name of each fault in the catalogue, the first kind of layer that it can stand in, and the check
    of the contract that names it, or ``""`` where the numbers do."""
    numbers = [(fault.name, next(kind for kind in CLASSES if kind in fault.kinds), "") for fault in FAULTS]
    return numbers + [(CONTRACT[check][0], kind, check) for check, (kind, _) in BROKEN.items()]


def tried(name: str, kind: str, check: str) -> Tried:
    """Put a fault in, and see what the gate makes of it."""
    start = time.monotonic()
    if check:
        return _by_contract(name, kind, check, start)
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    ask = answering(fault.twins[0])
    for number in range(MOST):
        findings = _findings(ask, draw_case(0, number, (kind,)))
        if findings:
            break
    else:
        return Tried(name, kind, 0, None, "", time.monotonic() - start)
    deadline = time.monotonic() + SHRINK_SECONDS
    smallest = shrink(0, number, lambda case: bool(_findings(ask, case)), deadline, (kind,))
    diagnoses = diagnose(kind, lambda case: ask(case, calls_of(case)), findings)
    named = "; ".join(found.fault for found in diagnoses if found.fault) or None
    return Tried(name, kind, number + 1, named, str(smallest), time.monotonic() - start)


def _findings(ask: Ask, case: Case) -> list[Finding]:
    return judge(case, truth, ask).faults


def truth(case: Case, calls: Sequence[Call]) -> list[dict[str, Any]]:
    """The plain loop's answers: torch has nothing to add where a twin of the loop is judged."""
    spreads = Loop(case, Still(case)).spreads(calls)
    answers = [{name: runs[0] for name, runs in spread.runs.items()} for spread in spreads]
    return [{**answer, "db_hh": answer["db"]} if "db" in answer else answer for answer in answers]


def answering(twin: type[Twin]) -> Ask:
    """A subject that answers with a twin's numbers."""

    def ask(case: Case, calls: Sequence[Call]) -> Performance:
        # Where rounding itself is the fault, a run that is perturbed stands for it.
        noise, run = (Coarse(case, twin.coarse), 1) if twin.coarse else (Still(case), 0)
        spreads = twin(case, noise).spreads(calls)
        return Performance([_native(case, spread, run) for spread in spreads])

    return ask


def _native(case: Case, spread: Spread, run: int) -> dict[str, Any]:
    dtype = DTYPES[case.dtype]
    with np.errstate(all="ignore"):
        return {name: np.array(native(case, name, runs[run]), dtype) for name, runs in spread.runs.items()}


def _by_contract(name: str, kind: str, check: str, start: float) -> Tried:
    _, cls = BROKEN[check]
    package = layers_of(cls, {"time": "layer", "nn": "module"}[kind])
    findings, _ = contract(kind, check, (), package)
    case, named = (findings[0].case, findings[0].fault) if findings else ("", None)
    return Tried(name, kind, int(bool(findings)), named, case, time.monotonic() - start)
