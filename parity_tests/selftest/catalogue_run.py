"""The gate tested on its own catalogue: every fault is put into a layer, and must be caught and named."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from parity_tests.cases.arrays import DTYPES, Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case, shrink
from parity_tests.cases.features import restricted
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import SECOND_BIAS, Answer
from parity_tests.checks.registry import CONTRACT_CHECKS, run_contract_check
from parity_tests.checks.values import RunCase, judge
from parity_tests.diagnosis.diagnose import diagnose
from parity_tests.diagnosis.explanation import Explanation
from parity_tests.diagnosis.faults.catalogue import CATALOGUE
from parity_tests.diagnosis.faults.faulty_loop import HEADLESS, Fault, Variant
from parity_tests.diagnosis.probe_cases import PROBE_CASES
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import NoNoise
from parity_tests.report import Finding
from parity_tests.selftest.broken_layers import BROKEN
from parity_tests.subjects.adapters.declared import Declared
from parity_tests.subjects.interfaces import subject_of
from parity_tests.subjects.results import CallResult, CaseResults

MAX_CASES_TRIED = 100
"""Cases that are tried of each kind."""
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


def every_fault() -> list[tuple[str, str]]:
    """Name of each fault in the catalogue, and the check of the contract that names it, or ``""``
    where the numbers do."""
    by_contract = {str(CONTRACT_CHECKS[check].facts.fault): check for check in BROKEN}
    numbers = [(fault.name, "") for fault in CATALOGUE if fault.name not in by_contract]
    return [*numbers, *by_contract.items()]


def tried(name: str, check: str) -> Tried:
    """Put a fault in, and see what the gate makes of it."""
    start = time.monotonic()
    if check:
        return _by_contract(name, check, start)
    shown = first_shown(name)
    if shown is None:
        return Tried(name, "", 0, None, "", time.monotonic() - start)
    deadline = time.monotonic() + SHRINK_SECONDS
    (kind, without), run_case = shown.asked, shown.run_case
    smallest = shrink(0, shown.number, partial(_fails, run_case), deadline, (kind,), without)
    diagnoses = diagnose(kind, run_case, shown.findings, partial(restricted, without=without))
    named = "; ".join(found.fault for found in diagnoses if found.fault) or None
    return Tried(name, kind, shown.number + 1, named, str(smallest), time.monotonic() - start)


@dataclass(frozen=True, slots=True)
class Shown:
    """The first drawn case in which a layer with a fault is found wrong.

    Attributes:
        asked: the kind of the layer, and what its cases lack or have.
        run_case: the layer.
        number: of the case.
        findings: what was found.
    """

    asked: tuple[str, tuple[str, ...]]
    run_case: RunCase
    number: int
    findings: list[Finding]


def asked_of(fault: Fault) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the kinds of layers that can have a fault, and what is declared of each so that its cases may show it."""
    for kind in KINDS:
        if kind not in fault.layers:
            continue
        if any(fault.fits(case) for case in PROBE_CASES[kind]):
            yield kind, ()
        elif kind == "TimeRNN":
            losses, nonlinearities = fault.losses or HEADLESS, fault.nonlinearities or ("tanh",)
            ones = (True,) if fault.many_to_one else (False, True)
            for loss, nonlinearity, many_to_one in product(losses, nonlinearities, ones):
                if loss != "none" or not many_to_one:
                    declared = Declared(nonlinearity, loss, many_to_one=many_to_one)
                    yield kind, declared.implied


def first_shown(name: str) -> Shown | None:
    """Put a fault of the catalogue into the first kind of layer, and in the first variant, in which it shows."""
    (fault,) = (fault for fault in CATALOGUE if fault.name == name)
    for (kind, without), variant in product(asked_of(fault), fault.loops):
        run_case = answering(variant)
        for number in range(MAX_CASES_TRIED):
            findings = _findings(run_case, draw_case(0, number, (kind,), without))
            if findings:
                return Shown((kind, without), run_case, number, findings)
    return None


def _fails(run_case: RunCase, case: Case) -> bool:
    return bool(_findings(run_case, case))


def _findings(run_case: RunCase, case: Case) -> list[Finding]:
    return judge(case, truth, run_case).faults


def truth(case: Case, calls: Sequence[Call]) -> list[Answer]:
    """The plain loop's answers: torch has nothing to add where a variant of the loop is judged."""
    answers = Loop(case, NoNoise(case)).answers(calls)
    return [{**answer, SECOND_BIAS: answer["db"]} if "db" in answer else answer for answer in answers]


def answering(faults: Variant | Explanation) -> RunCase:
    """A subject that answers with the numbers of a variant, or of several faults, in the case's dtype."""

    def run_case(case: Case) -> CaseResults:
        noise = NoNoise(case)
        loop = faults.for_case(case, noise) if isinstance(faults, Variant) else faults.loop(case, noise)
        roundoff = loop.inner_roundoff
        return results_of(
            case,
            [
                {name: _rounded(value, roundoff) for name, value in answer.items()}
                for answer in loop.answers(calls_of(case))
            ],
        )

    return run_case


def results_of(case: Case, answers: Iterable[Answer]) -> CaseResults:
    """What a subject of these canonical answers returns, in the case's dtype."""
    with np.errstate(over="ignore"):
        return CaseResults(
            [
                CallResult({name: value.astype(DTYPES[case.dtype]) for name, value in answer.items()}, {})
                for answer in answers
            ]
        )


def _rounded(value: Array, roundoff: float) -> Array:
    """In the precision that is the fault."""
    if not roundoff:
        return value
    digits = round(-np.log2(roundoff))
    mantissa, exponent = np.frexp(value)
    return np.asarray(np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits))


def _by_contract(name: str, check: str, start: float) -> Tried:
    kind, cls = BROKEN[check]
    package = subject_of(cls, {"TimeRNN": "layer", "nn.RNN": "module"}[kind])
    findings, _ = run_contract_check(package, kind, check, ())
    case, named = (str(findings[0].case), findings[0].fault) if findings else ("", None)
    return Tried(name, kind, int(bool(findings)), named, case, time.monotonic() - start)
