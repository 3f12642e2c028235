"""One case judged: the reference's answer, the subject's, the comparison, the report."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from parity_tests._answer import SECOND_BIAS, TENSORS, Answer
from parity_tests._case import Case
from parity_tests._compare import Allowance, Comparison, allowance, compare
from parity_tests._inputs import DTYPES, Array, Call, calls_of
from parity_tests._report import Finding, Report, Tally
from parity_tests._rounding import Spread, spreads, unit_roundoff
from parity_tests._subject import perform, place

Reference = Callable[[Case, Sequence[Call]], list[Answer]]
"""Gives the true answers, in float64, to the calls of a case."""


class ReferenceFault(Exception):
    """The two references differ by more than their rounding: nothing can be judged by them."""


def judge(case: Case, reference: Reference, layers: Any) -> Report:
    """Judge ``layers`` (with ``RNN`` and ``TimeRNN`` like those of ``rnn_np``) in one case.

    Raises:
        ReferenceFault: torch and the plain float64 loop disagree about the case.
    """
    calls = calls_of(case)
    truths = reference(case, calls)
    performance = perform(case, calls, layers)
    report = Report(planned=1, cases=1)
    findings = list(performance.findings)
    for number, (truth, spread) in enumerate(zip(truths, spreads(case, calls), strict=True)):
        allowances = allowances_of(case, truth, spread)
        if number >= len(performance.answers):
            continue  # the layer raised, which is a finding
        where = place(calls, calls[number])
        for name, allowed in allowances.items():
            got = performance.answers[number][name]
            want = _shaped(case, name, truth[name])
            unfit = _unfit(case, name, got, want)
            if unfit:
                findings.append(unfit)
                continue
            comparison = compare(truth[name], got.reshape(truth[name].shape), allowed)
            tally = report.tensors.setdefault(name, Tally(cases=1))
            tally.add(_tally(comparison, case))
            if not comparison.equal:
                findings.append(_difference(case, name, want, got, allowed, comparison, where))
    if findings:
        report.failed = [str(case)]
        report.find(findings)
    return report


def allowances_of(case: Case, truth: Answer, spread: Spread) -> dict[str, Allowance]:
    """Return what is allowed in every tensor of a call, after holding the two references together.

    Raises:
        ReferenceFault: the unperturbed loop is further from ``truth`` than is allowed.
    """
    u, tiny = unit_roundoff(case.dtype), float(np.finfo(DTYPES[case.dtype]).tiny)
    allowances: dict[str, Allowance] = {}
    for name, runs in spread.runs.items():
        value = truth[name]
        allowed = allowance(value, runs, u, tiny, spread.unsure[name])
        apart = allowed.disagreement
        if name == "db":
            apart = max(apart, compare(value, truth[SECOND_BIAS], allowed).worst)
        if apart > 1:
            raise ReferenceFault(
                f"{case}: two references differ in {name} by {apart:.3g} times what rounding explains; "
                "the case cannot be judged"
            )
        allowances[name] = allowed
    return allowances


def _shaped(case: Case, name: str, truth: Array) -> Array:
    """The reference tensor in the shape that the layer has it in."""
    return truth[None] if name == "db" and case.bias == "row" else truth


def _unfit(case: Case, name: str, got: object, want: Array) -> Finding | None:
    """What keeps a tensor from being compared at all: its type, shape or dtype."""
    token, dtype = str(case), DTYPES[case.dtype]
    if type(got) is not np.ndarray:
        return Finding("type", name, token, f"{name} is {type(got).__name__}, not a numpy.ndarray")
    if got.shape != want.shape:
        message = f"{name} has shape {list(got.shape)}, not {list(want.shape)} ({TENSORS[name]})"
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
    wrong = comparison.wrong.reshape(got.shape)
    steps = 1 if name in ("hs", "dx") and case.layer != "cell" else None
    places = np.argwhere(wrong)
    order = places[:, steps] if steps else np.zeros(len(places))
    first = tuple(places[np.argmin(order)].tolist())
    slack = allowed.allow.reshape((1,) * (got.ndim - 1 - allowed.allow.ndim) + allowed.allow.shape)
    over = abs(float(got[first]) - float(want[first])) / float(slack[first[:-1]])
    over = np.inf if np.isnan(over) else over
    lines = [
        f"{name}{list(first)}{where}: got {float(got[first])!r}, expected {float(want[first])!r}, "
        f"error over allowed {over:.3g}; {len(places)} of {wrong.size} elements are off"
    ]
    if steps:
        times = places[:, steps]
        lines.append(f"first wrong time step {times.min()}, last {times.max()}, of 0 to {got.shape[1] - 1}")
    check = "values" if np.isfinite(got[first]) == np.isfinite(want[first]) else "non-finite values"
    return Finding(check, name, str(case), "; ".join(lines))
