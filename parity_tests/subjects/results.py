"""What a subject answered to the calls of a case, in the one form that the gate works with.

A driver checks type, shape and dtype here, at its border; inside the gate every array is canonical.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeGuard

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import DTYPES, Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import (
    ALTERNATIVES,
    TENSORS,
    Answer,
    canonical,
    family,
    native_shape,
    tensor_names,
)
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

    Attributes:
        tensors: what can be compared.
        mismatches: why a tensor cannot be; a tensor of a wrong dtype is in both.
        dtypes: the dtype of the tensors that are floats of another width than the parameters.
        absent: the tensors that are None, and may be.
        unknown: the names in the answer that no tensor has.
        errors: how far tensors may be off beyond their rounding, as they were found from updated weights.
    """

    tensors: Answer
    mismatches: dict[str, Mismatch]
    dtypes: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class CaseResults:
    """All calls that the subject answered, and what else was seen."""

    calls: list[CallResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def is_array(value: object) -> TypeGuard[Array]:
    """Whether it is an array of numbers, and of no class of its own."""
    return type(value) is np.ndarray and value.dtype.kind in "biufc"


def described(value: object) -> str:
    """Of which type a value is, in words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}" if type(value) is np.ndarray else f"a {type(value).__qualname__}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__qualname__} of {len(value)}"
    return f"a {type(value).__qualname__}"


def is_wanted(name: str, without: Container[str]) -> bool:
    """Whether a tensor is not declared missing, neither itself nor its family."""
    return name not in without and family(name) not in without


def call_result(
    case: Case,
    call: Call,
    answer: Mapping[str, object],
    without: Container[str] = (),
    places: Mapping[str, str] = MappingProxyType({}),
) -> CallResult:
    """Return a layer's own answer to a call, checked and in canonical arrays of the gate's own.

    Args:
        case: the case.
        call: the call.
        answer: tensors by name.
        without: tensors that are declared missing; they are left out.
        places: where a tensor stands in the user's code, for messages.
    """
    replaced = _replaced(case, answer)
    names = (*(name for name in tensor_names(case) if name not in replaced), *_further(replaced))
    result = CallResult({}, {}, absent=replaced, unknown=tuple(sorted({*answer} - {*names, *replaced})))
    for name in names:
        if not is_wanted(name, without):
            continue
        value = answer.get(name)
        if value is None and name == "dh_0" and call.h_0 is None and _may_lack_dh_0(case, without):
            result.absent += (name,)
            continue
        mismatch = _mismatch(case, call, name, answer, places.get(name, ""))
        if mismatch:
            result.mismatches[name] = mismatch
        if is_array(value) and (mismatch is None or mismatch.check == DTYPE.name):
            array = value.astype(np.float64) if value.dtype.kind == "f" and value.itemsize > 8 else value
            result.tensors[name] = canonical(case, name, array.copy())
            if mismatch is None and value.dtype != DTYPES[case.dtype] and value.ndim:
                result.dtypes[name] = str(value.dtype)
    return result


def _replaced(case: Case, answer: Mapping[str, object]) -> tuple[str, ...]:
    """The tensors in place of which there are others."""
    return tuple(
        name
        for name in tensor_names(case)
        if name not in answer and any(other in answer for other in ALTERNATIVES.get(name, ()))
    )


def _further(replaced: Container[str]) -> tuple[str, ...]:
    """The tensors that are there only in place of others."""
    return ALTERNATIVES["db"] if "db" in replaced else ()


def _may_lack_dh_0(case: Case, without: Container[str]) -> bool:
    """Torch gives no gradient of an initial state that was not given."""
    return case.has_torch_interface or (case.layer != "RNN" and "initial-state" in without)


def _mismatch(case: Case, call: Call, name: str, answer: Mapping[str, object], place: str) -> Mismatch | None:
    value = answer.get(name)
    shown = f"{name} ({place})" if place else name
    missing = f"`--without {family(name)}` says that it is not there"
    if value is None:
        is_there = place or name in answer
        what = "NoneType, not a numpy.ndarray" if is_there else "not among the tensors answered"
        return Mismatch(TYPE.name, name, "NoneType", "ndarray", f"{shown} is {what}; {missing}")
    if not is_array(value):
        message = f"{shown} is {described(value)}, not a numpy.ndarray of numbers"
        return Mismatch(TYPE.name, name, described(value), "ndarray", message)
    expected = native_shape(case, call, name)
    if value.shape != expected:
        got, want = str(list(value.shape)), str(list(expected))
        message = f"{name} has shape {got}, not {want} ({TENSORS[family(name)]})"
        return Mismatch(SHAPE.name, name, got, want, message)
    if not _is_float32_or_wider(value.dtype):
        got, want = str(value.dtype), str(DTYPES[case.dtype])
        return Mismatch(DTYPE.name, name, got, want, f"{name} is {got}, not {want} like the parameters")
    return None


def _is_float32_or_wider(dtype: np.dtype[Any]) -> bool:
    """Half precision is no float to compute with here."""
    return dtype.kind == "f" and dtype.isnative and dtype.itemsize >= 4
