"""A sample: the subject's answers in one case, with the expected values and tolerances."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from parity_tests.cases.arrays import DTYPES, Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer, family, native, time_axis
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import RoundingNoise, unit_roundoff
from parity_tests.references.tolerance import Allowance, allowance, compare
from parity_tests.subjects.drivers import Performance

Ask = Callable[[Case], Performance]
"""Runs the subject in a case."""
ROLES = {
    "dweight_ih": "dWx",
    "dweight_hh": "dWh",
    "dbias_ih": "db",
    "dbias_hh": "db",
}


def role(name: str) -> str:
    """Return the name that a parameter's gradient has in a single cell: dWx, dWh or db."""
    return ROLES.get(family(name), name)


@dataclass(slots=True)
class Sample:
    """What the subject answered in one case.

    Attributes:
        case: the case.
        calls: its calls.
        truths: the right answer to each call.
        allowed: the tolerance of each tensor of each call.
        got: for each call answered, the tensors that can be compared, in the canonical layout.
        unfit: tensors that cannot be compared: (tensor, check, what it is, what it should be).
        wrong: for each call answered, the names of the wrong tensors.
        raised: the message of the exception that the subject raised; empty if it did not.
    """

    case: Case
    calls: tuple[Call, ...]
    truths: list[Answer]
    allowed: list[dict[str, Allowance]]
    got: list[Answer] = field(default_factory=list)
    unfit: list[tuple[str, str, str, str]] = field(default_factory=list)
    wrong: list[frozenset[str]] = field(default_factory=list)
    raised: str = ""

    @property
    def all_wrong(self) -> frozenset[str]:
        """The names of the tensors that are wrong in any call."""
        return frozenset().union(*self.wrong)

    @property
    def cost(self) -> int:
        """The number of cell steps, a measure of the time that the loop takes."""
        return sum(call.xs.shape[1] for call in self.calls) * self.case.cells


def measured(
    case: Case, calls: Sequence[Call], loop: Loop
) -> tuple[list[Answer], list[dict[str, Allowance]]]:
    """Run a loop on calls, and return its answers and the tolerance that its rounding asks for."""
    u, tiny = unit_roundoff(case.dtype), float(np.finfo(DTYPES[case.dtype]).tiny)
    answers, allowed = [], []
    for spread in loop.spreads(calls):
        answers.append({name: runs[0] for name, runs in spread.runs.items()})
        allowed.append(
            {
                name: allowance(runs[0], runs, max(u, loop.noise.u), tiny, spread.unsure[name])
                for name, runs in spread.runs.items()
            }
        )
    return answers, allowed


@lru_cache(maxsize=256)
def _right(case: Case) -> tuple[tuple[Call, ...], list[Answer], list[dict[str, Allowance]]]:
    calls = calls_of(case)
    return calls, *measured(case, calls, Loop(case, RoundingNoise(case)))


def sample_subject(case: Case, ask: Ask) -> Sample:
    """Run the subject in a case and compare its answers with the right ones."""
    sample = Sample(case, *_right(case))
    performance = ask(case)
    sample.raised = next((f.message for f in performance.findings if f.check == "raises"), "")
    for answer, truth, limits in zip(performance.answers, sample.truths, sample.allowed, strict=False):
        got: Answer = {}
        for name, want in truth.items():
            value = answer.get(name)
            reason = _unfit(value, native(case, name, want), DTYPES[case.dtype])
            if reason:
                sample.unfit.append((name, *reason))
            comparable = not reason or reason[0] == "dtype"
            if isinstance(value, np.ndarray) and comparable and value.dtype.kind == "f":
                got[name] = np.asarray(canonical(case, name, value), np.float64)
        sample.got.append(got)
        sample.wrong.append(
            frozenset(
                name for name, value in got.items() if not compare(truth[name], value, limits[name]).equal
            )
        )
    return sample


def _unfit(value: object, want: Array, dtype: np.dtype[np.generic]) -> tuple[str, str, str] | None:
    if not isinstance(value, np.ndarray):
        return "type", type(value).__name__, "ndarray"
    if value.shape != want.shape:
        return "shape", str(list(value.shape)), str(list(want.shape))
    if value.dtype != dtype:
        return "dtype", str(value.dtype), str(dtype)
    return None


def canonical(case: Case, name: str, value: Array) -> Array:
    """The inverse of ``native``."""
    alone = case.form == "unbatched"
    if name in ("h_n", "dh_0"):
        if case.kind == "nn":
            return value[:, None] if alone else value
        return value[None, None] if alone else value[None]
    if name in ("hs", "dx"):
        if case.is_cell:
            return value[None, None] if alone else value[:, None]
        if time_axis(case, name) == 0:
            return value[None] if alone else value.swapaxes(0, 1)
        return value
    return value[0] if case.bias == "row" and name == "db" else value


def prefer_float64(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples in float64, or all samples if there is none."""
    listed = list(samples)
    return [sample for sample in listed if sample.case.dtype == "f64"] or listed


def pairs(
    samples: Iterable[Sample], wanted: str
) -> Iterable[tuple[Sample, Call, Mapping[str, Array], Mapping[str, Array], str]]:
    """Yield every tensor of a role: sample, call, the subject's tensors, the right ones, and the name."""
    for sample in samples:
        for call, got, truth in zip(sample.calls, sample.got, sample.truths, strict=False):
            for name in got:
                if role(name) == wanted:
                    yield sample, call, got, truth, name


def wrong_roles(samples: Iterable[Sample]) -> frozenset[str]:
    """Return the roles of the tensors that are wrong in any sample."""
    return frozenset(role(name) for sample in samples for name in sample.all_wrong)
