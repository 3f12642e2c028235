"""Faults seen without a faulty loop: from types, shapes, dtypes, exceptions and random numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from parity_tests.cases.tensors import families_of
from parity_tests.check_facts import DTYPE, RAISES, SHAPE, TYPE
from parity_tests.diagnosis.samples import Sample
from parity_tests.subjects.results import Mismatch


@dataclass(frozen=True)
class Symptom:
    """A fault that is recognised without a faulty loop: its name and its message."""

    name: str
    sentence: str


SQUEEZED = Symptom(
    "squeeze removes the batch axis",
    "Axes of length 1 are lost: look for `squeeze()` without an axis.",
)
TRANSPOSED = Symptom(
    "batch and time exchanged",
    "The first two axes are exchanged: look for a result left time-major (or batch-first).",
)
KEPT_AXIS = Symptom(
    "batch axis kept for unbatched input",
    "For an unbatched input results have a batch axis of 1: look for where it is taken away again.",
)
SUMMED = Symptom(
    "directions summed",
    "The output is as wide as one direction: look for a sum (or mean) where both are to be concatenated.",
)
CUT = Symptom(
    "output cut to the longest row",
    "The output ends with the longest row instead of at T: look for the total length when padding again.",
)
ABSENT = Symptom(
    "result never set",
    "A result is None instead of an array: look for where it is to be set, or returned.",
)
FINAL_ONLY = Symptom(
    "absent output gradient refused",
    "backward raises if only the gradient of h_n is given: look for the output's gradient that may be None.",
)
NO_BIAS = Symptom(
    "bias left out by default",
    "The layer raises unless bias=False: look for the default of the option `bias`, which is True.",
)
RANDOM = Symptom(
    "random numbers",
    "The same case gives other numbers each time: look for random numbers, or memory that is never filled.",
)
EVALUATED = Symptom(
    "dropout in evaluation mode",
    "In evaluation mode the outputs are random: look for dropout that ignores `eval`.",
)
UNLOADED = Symptom(
    "parameters not loaded",
    "Before the parameters are updated in place, results are random: look for parameters that load_state_dict leaves out.",
)
SYMPTOMS = (
    SQUEEZED,
    TRANSPOSED,
    KEPT_AXIS,
    SUMMED,
    CUT,
    ABSENT,
    FINAL_ONLY,
    NO_BIAS,
    RANDOM,
    EVALUATED,
    UNLOADED,
)
"""All symptoms."""

Shows = Callable[[Sample, str, list[int], list[int]], bool]


def _squeezed(sample: Sample, name: str, got: list[int], want: list[int]) -> bool:
    return got == [n for n in want if n > 1] or (len(got) < len(want) and sample.case.B == 1)


def _exchanged(sample: Sample, name: str, got: list[int], want: list[int]) -> bool:
    return len(want) > 2 and got == [want[1], want[0], *want[2:]]


def _kept(sample: Sample, name: str, got: list[int], want: list[int]) -> bool:
    return sample.case.form == "unbatched" and len(got) == len(want) + 1 and 1 in got


def _summed(sample: Sample, name: str, got: list[int], want: list[int]) -> bool:
    return sample.case.bidirectional and got[:-1] == want[:-1] and 2 * got[-1] == want[-1]


def _cut(sample: Sample, name: str, got: list[int], want: list[int]) -> bool:
    longest = (
        max(int(call.lengths.max()) for call in sample.calls if call.lengths is not None)
        if any(call.lengths is not None for call in sample.calls)
        else 0
    )
    differing = [mine for mine, right in zip(got, want, strict=False) if mine != right]
    return name in ("hs", "dx") and len(got) == len(want) and differing == [longest]


_SHAPES: tuple[tuple[Symptom, Shows], ...] = (
    (KEPT_AXIS, _kept),
    (TRANSPOSED, _exchanged),
    (SUMMED, _summed),
    (CUT, _cut),
    (SQUEEZED, _squeezed),
)


@dataclass(frozen=True, slots=True)
class ObservedSymptom:
    """Something that is wrong apart from the numbers.

    Attributes:
        symptom: the fault, if it is known.
        text: the message.
        check: the check that fails.
        tensors: the tensors concerned.
    """

    symptom: Symptom | None
    text: str
    check: str
    tensors: frozenset[str]


def observed_symptoms(samples: Sequence[Sample]) -> list[ObservedSymptom]:
    """Return what types, shapes, dtypes and exceptions show."""
    result = []
    for check, recognise in _RECOGNISED.items():
        rows = [(sample, row) for sample in samples for row in sample.mismatches if row.check == check]
        if not rows:
            continue
        symptom, first = recognise(rows), rows[0][1]
        names = frozenset(row.tensor for _, row in rows)
        text = f"{first.tensor} has the {check} {first.got} instead of {first.expected}."
        result.append(ObservedSymptom(symptom, symptom.sentence if symptom else text, check, names))
    raised = [sample for sample in samples if sample.raised]
    if raised:
        result.append(_raised(raised, [sample for sample in samples if not sample.raised]))
    return result


_Rows = list[tuple[Sample, Mismatch]]


def _of_types(rows: _Rows) -> Symptom | None:
    if not all(row.got == "NoneType" for _, row in rows):
        return None
    lacked = ",".join(families_of(row.tensor for _, row in rows))
    return replace(ABSENT, sentence=f"{ABSENT.sentence} If your code has none, --without {lacked} says so.")


def _of_shapes(rows: _Rows) -> Symptom | None:
    for symptom, shows in _SHAPES:
        if all(shows(sample, row.tensor, _numbers(row.got), _numbers(row.expected)) for sample, row in rows):
            return symptom
    return None


_RECOGNISED: dict[str, Callable[[_Rows], Symptom | None]] = {
    TYPE.name: _of_types,
    SHAPE.name: _of_shapes,
    DTYPE.name: lambda rows: None,
}


def _numbers(shape: str) -> list[int]:
    return [int(part) for part in shape.strip("[]").split(",") if part.strip()]


def _raised(raised: Sequence[Sample], fine: Sequence[Sample]) -> ObservedSymptom:
    symptom = None
    if fine and all(sample.case.grad_outputs == "final" for sample in raised):
        symptom = FINAL_ONLY
    elif all(s.case.bias != "nobias" for s in raised) and fine and all(s.case.bias == "nobias" for s in fine):
        symptom = NO_BIAS
    where = "in every case" if not fine else f"in {len(raised)} of {len(raised) + len(fine)} cases"
    text = symptom.sentence if symptom else f"It raises {where}."
    return ObservedSymptom(symptom, text, RAISES.name, frozenset(("",)))
