"""Precision: a layer that computes in float32 what it is given in float64, and results wider than asked for.

Both are found once for a target. The first is a fault, and all else in the layer is then judged in float32.
"""

from collections.abc import Iterable, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer, families_of
from parity_tests.check_facts import FLOAT32_INSIDE, FLOAT32_RESULTS, WIDER_DTYPE
from parity_tests.references.perturbed_loop import PerturbedLoop
from parity_tests.references.rounding import LowerPrecisionNoise, unit_roundoff
from parity_tests.references.tolerance import Allowance
from parity_tests.report import Finding
from parity_tests.subjects.results import CallResult


def float32_finding(
    case: Case, results: Iterable[CallResult], wrong: Iterable[tuple[str, Array | None]]
) -> Finding | None:
    """Return the finding that a layer computes in float32 though its parameters are float64, if it does.

    Args:
        case: the case.
        results: of each call.
        wrong: the tensors that are off by more than float64 explains: name, and the layer's values.
    """
    if case.dtype != "f64":
        return None
    names = [name for result in results for name, dtype in result.dtypes.items() if dtype == "float32"]
    if names:
        observed = f"With float64 parameters {_listed(names)} float32"
        return FLOAT32_RESULTS.finding("", case, observed)
    names = (
        []
        if case.integer
        else [name for name, values in wrong if values is not None and holds_float32(values)]
    )
    if names:
        observed = f"With float64 parameters {_listed(names)} float64, but the values are those of float32"
        return FLOAT32_INSIDE.finding("", case, observed)
    return None


def wider_finding(case: Case, results: Iterable[CallResult]) -> Finding | None:
    """Return the finding that results are wider than the parameters, if they are."""
    wider = {name: dtype for result in results for name, dtype in result.dtypes.items() if dtype != "float32"}
    if not wider:
        return None
    given, got = "float32" if case.dtype == "f32" else "float64", "/".join(sorted({*wider.values()}))
    return WIDER_DTYPE.finding("", case, f"With {given} parameters {_listed(wider)} {got}")


def float32_allowances(
    case: Case, calls: Sequence[Call], truths: Sequence[Answer]
) -> list[dict[str, Allowance]]:
    """Return what is allowed in every tensor of every call of a layer that computes in float32."""
    single = np.finfo(np.float32)
    noise = LowerPrecisionNoise(case, unit_roundoff("f32"), float(single.max))
    return [
        spread.allowances(truth, noise.u, float(single.tiny))
        for truth, spread in zip(truths, PerturbedLoop(case, noise).spreads(calls), strict=True)
    ]


def holds_float32(values: Array) -> bool:
    """Whether all values are float32's, and not all of them are so simple that this means nothing."""
    finite = np.asarray(values, np.float64)[np.isfinite(values)]
    with np.errstate(over="ignore"):
        single = finite.astype(np.float32)
    # Half precision has 11 digits; those of values beyond its range count too.
    digits = np.ldexp(np.frexp(finite)[0], 11)
    return bool((single == finite).all() and (digits != np.round(digits)).any())


def _listed(names: Iterable[str]) -> str:
    found = families_of(names)
    return f"{', '.join(found)} {'is' if len(found) == 1 else 'are'}"
