"""What a subject answered to the calls of a case, in the one form that the gate works with.

A driver checks type, shape and dtype here, at its border; inside the gate every array is canonical.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import DTYPES, Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import TENSORS, Answer, canonical, family, native_shape, tensor_names
from parity_tests.check_facts import DTYPE, SHAPE, TYPE
from parity_tests.report import Finding


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a tensor cannot be compared: it is missing, or its type, shape or dtype is wrong.

    Attributes:
        check: ``type``, ``shape`` or ``dtype``.
        tensor: its name.
        got: the type, shape or dtype that it has.
        expected: what it should be.
        message: all of it in words.
    """

    check: str
    tensor: str
    got: str
    expected: str
    message: str


@dataclass(slots=True)
class CallResult:
    """One call: the tensors in their canonical form, and what cannot be compared.

    A tensor of a wrong dtype is in both.
    """

    tensors: Answer
    mismatches: dict[str, Mismatch]


@dataclass(slots=True)
class CaseResults:
    """All calls that the subject answered, and what else was seen."""

    calls: list[CallResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def call_result(case: Case, call: Call, answer: Mapping[str, object]) -> CallResult:
    """Return a layer's own answer to a call, checked and in canonical arrays of the gate's own."""
    result = CallResult({}, {})
    for name in tensor_names(case):
        value = answer.get(name)
        array = _plain_array(value)
        mismatch = _mismatch(case, call, name, answer, array)
        if mismatch:
            result.mismatches[name] = mismatch
        if array is not None and (mismatch is None or mismatch.check == DTYPE.name):
            result.tensors[name] = canonical(case, name, array)
    return result


def _plain_array(value: object) -> Array | None:
    """A copy, or None for what is no array of numbers."""
    if type(value) is np.ndarray and value.dtype.kind in "biufc":
        return value.copy()
    return None


def _mismatch(
    case: Case, call: Call, name: str, answer: Mapping[str, object], array: Array | None
) -> Mismatch | None:
    if array is None:
        value = answer.get(name)
        if name not in answer:
            return Mismatch(
                TYPE.name, name, "NoneType", "ndarray", f"{name} is not among the tensors answered"
            )
        what = f"array of {value.dtype}" if type(value) is np.ndarray else type(value).__qualname__
        return Mismatch(TYPE.name, name, what, "ndarray", f"{name} is {what}, not a numpy.ndarray")
    expected = native_shape(case, call, name)
    if array.shape != expected:
        got, want = str(list(array.shape)), str(list(expected))
        message = f"{name} has shape {got}, not {want} ({TENSORS[family(name)]})"
        return Mismatch(SHAPE.name, name, got, want, message)
    if array.dtype != DTYPES[case.dtype]:
        got, want = str(array.dtype), str(DTYPES[case.dtype])
        return Mismatch(DTYPE.name, name, got, want, f"{name} is {got}, not {want} like the parameters")
    return None
