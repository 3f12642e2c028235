"""One case judged: the reference's answer, the subject's, the comparison, the report."""

from collections.abc import Callable, Container, Sequence

import numpy as np

from parity_tests.cases.arrays import DTYPES, Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import SECOND_BIAS, TENSORS, Answer, family, native, time_axis
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import RoundingNoise, SumBounds, unit_roundoff
from parity_tests.references.tolerance import Allowance, Comparison, allowance, compare, exact
from parity_tests.report import Finding, Report, Tally
from parity_tests.subjects.drivers import NotArray
from parity_tests.subjects.serving import Ask, place

Reference = Callable[[Case, Sequence[Call]], list[Answer]]
"""Gives the true answers, in float64, to the calls of a case."""


class ReferenceFault(Exception):
    """The two references differ by more than their rounding: nothing can be judged by them."""


def judge(case: Case, reference: Reference, ask: Ask, without: Container[str] = ()) -> Report:
    """Judge one case.

    Args:
        case: what to judge.
        reference: gives the truth.
        ask: gives the subject's answers.
        without: tensors that are not compared.

    Raises:
        ReferenceFault: torch and the plain float64 loop disagree about the case.
    """
    calls = calls_of(case)
    truths = reference(case, calls)
    performance = ask(case, calls)
    report = Report(planned=1, cases=1)
    findings = list(performance.findings)
    for number, (truth, allowances) in enumerate(
        zip(truths, allowances_of(case, calls, truths), strict=True)
    ):
        if number >= len(performance.answers):
            continue  # the layer raised, which is a finding
        where = place(calls, calls[number])
        for name, allowed in allowances.items():
            if name in without or family(name) in without:
                continue
            got = performance.answers[number].get(name)
            want = native(case, name, truth[name])
            unfit = _unfit(case, name, got, want)
            if unfit or not isinstance(got, np.ndarray):
                findings += [unfit] if unfit else []
                continue
            allowed = Allowance(
                native(case, name, allowed.allow),
                native(case, name, allowed.inconclusive),
                allowed.disagreement,
            )
            comparison = compare(want, got, allowed)
            tally = report.tensors.setdefault(family(name), Tally(cases=1))
            tally.add(_tally(comparison, case))
            if not comparison.equal:
                findings.append(_difference(case, name, want, got, allowed, comparison, where))
    if findings:
        report.failed = [str(case)]
        report.find(findings)
    return report


def allowances_of(case: Case, calls: Sequence[Call], truths: Sequence[Answer]) -> list[dict[str, Allowance]]:
    """Return what is allowed in every tensor of every call, after holding the two references together.

    Raises:
        ReferenceFault: the unperturbed loop is further from the truth than is allowed.
    """
    u, tiny = unit_roundoff(case.dtype), float(np.finfo(DTYPES[case.dtype]).tiny)
    magnitudes = SumBounds(case)
    # Every number in it is a multiple of 1/2.
    if case.whole and (spreads := Loop(case, magnitudes).spreads(calls)) and magnitudes.largest < 0.25 / u:
        return [
            _agreed(case, truth, {name: exact(truth[name], runs[0]) for name, runs in spread.runs.items()})
            for truth, spread in zip(truths, spreads, strict=True)
        ]
    return [
        _agreed(
            case,
            truth,
            {
                name: allowance(truth[name], runs, u, tiny, spread.unsure[name])
                for name, runs in spread.runs.items()
            },
        )
        for truth, spread in zip(truths, Loop(case, RoundingNoise(case)).spreads(calls), strict=True)
    ]


def _agreed(case: Case, truth: Answer, allowances: dict[str, Allowance]) -> dict[str, Allowance]:
    for name, allowed in allowances.items():
        apart = allowed.disagreement
        if name == "db":
            apart = max(apart, compare(truth[name], truth[SECOND_BIAS], allowed).worst)
        if apart > 1:
            raise ReferenceFault(
                f"{case}: two references differ in {name} by {apart:.3g} times what rounding explains; "
                "the case cannot be judged"
            )
    return allowances


def _unfit(case: Case, name: str, got: Array | NotArray | None, want: Array) -> Finding | None:
    """What keeps a tensor from being compared at all: it is absent, or its type, shape or dtype."""
    token, dtype = str(case), DTYPES[case.dtype]
    if got is None:
        return Finding("type", name, token, f"{name} is not among the tensors answered")
    if isinstance(got, NotArray):
        return Finding("type", name, token, f"{name} is {got.what}, not a numpy.ndarray")
    if got.shape != want.shape:
        message = f"{name} has shape {list(got.shape)}, not {list(want.shape)} ({TENSORS[family(name)]})"
        return Finding("shape", name, token, message)
    if got.dtype != dtype:
        return Finding("dtype", name, token, f"{name} is {got.dtype}, not {dtype} like the parameters")
    return None


def _tally(comparison: Comparison, case: Case) -> Tally:
    judged = comparison.slices > comparison.inconclusive
    return Tally(0, comparison.slices, comparison.inconclusive, comparison.worst, str(case) if judged else "")


def _difference(
    case: Case,
    name: str,
    want: Array,
    got: Array,
    allowed: Allowance,
    comparison: Comparison,
    where: str,
) -> Finding:
    wrong = comparison.wrong
    steps = time_axis(case, name)
    places = np.argwhere(wrong)
    order = places[:, steps] if steps is not None else np.zeros(len(places))
    first = tuple(places[np.argmin(order)].tolist())
    error, slack = abs(float(got[first]) - float(want[first])), float(allowed.allow[first[:-1]])
    over = error / slack if slack and not np.isnan(error) else np.inf
    lines = [
        f"{name}{list(first)}{where}: got {float(got[first])!r}, expected {float(want[first])!r}, "
        f"error over allowed {over:.3g}; {len(places)} of {wrong.size} elements are off"
    ]
    if steps is not None:
        times = places[:, steps]
        lines.append(
            f"first wrong time step {times.min()}, last {times.max()}, of 0 to {got.shape[steps] - 1}"
        )
    check = "values" if np.isfinite(got[first]) == np.isfinite(want[first]) else "non-finite values"
    return Finding(check, name, str(case), "; ".join(lines))
