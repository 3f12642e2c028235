"""One case judged: the subject's answer compared with the reference's."""

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import DTYPES, Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import ALTERNATIVES, SECOND_BIAS, Answer, family, native, time_axis
from parity_tests.check_facts import ENDS_A_CASE, NON_FINITE_VALUES, VALUES
from parity_tests.checks.precision import float32_allowances, float32_finding, wider_finding
from parity_tests.checks.systematic import SignedErrors
from parity_tests.references.float64_loop import Loop
from parity_tests.references.perturbed_loop import PerturbedLoop
from parity_tests.references.rounding import SumBounds, noise_of
from parity_tests.references.tolerance import Allowance, Comparison, compare, exact, with_error
from parity_tests.report import Finding, Report, Tally
from parity_tests.subjects.drivers import call_label
from parity_tests.subjects.results import CaseResults, Mismatch, is_wanted
from parity_tests.words import apart

Reference = Callable[[Case, Sequence[Call]], list[Answer]]
"""Gives the true answers, in float64, to the calls of a case."""


ORDINARY = 1e-2
"""Numbers from this size on are easy to read."""
PLAIN = 1e-3
"""The relative difference from which on they plainly differ."""
RunCase = Callable[[Case], CaseResults]
"""Runs the subject over the calls of a case."""


class ReferencesDisagree(Exception):
    """The two references differ by more than their rounding: nothing can be judged by them."""


def judge(
    case: Case,
    reference: Reference,
    run_case: RunCase,
    without: Container[str] = (),
    accuracy: float | None = None,
) -> Report:
    """Judge one case.

    Args:
        case: what to judge.
        reference: gives the truth.
        run_case: gives the subject's answers.
        without: tensors that are not compared.
        accuracy: how far the subject's values may be off, relative to their size; None: by their rounding.

    Raises:
        ReferencesDisagree: torch and the plain float64 loop disagree about the case.
    """
    calls = calls_of(case)
    truths = reference(case, calls)
    results = run_case(case)
    allowances = allowances_of(case, calls, truths, accuracy)
    report = Report(planned=1)
    findings = list(results.findings)
    errors = SignedErrors(case)
    left = _planned_comparisons(results, allowances, without)
    everything = list(comparisons(results, truths, allowances, without))
    off = [(compared.tensor, compared.got) for compared in everything if compared.differs]
    if single := None if accuracy else float32_finding(case, results.calls, off):
        everything = list(comparisons(results, truths, float32_allowances(case, calls, truths), without))
    findings += filter(None, [single, wider_finding(case, results.calls)])
    for compared in everything:
        name = compared.tensor
        if compared.mismatch:
            mismatch = compared.mismatch
            findings.append(Finding(mismatch.check, name, case, mismatch.message))
        if compared.comparison is None or compared.mismatch:
            continue
        left.discard((compared.call, name))
        tally = report.tensors.setdefault(family(name), Tally(cases=1))
        tally.add(_tally(compared.comparison, case))
        if compared.got is not None and accuracy is None:
            errors.add(name, compared.want, compared.got, compared.allowed)
        if not compared.comparison.equal:
            findings.append(_difference(case, compared, call_label(calls, compared.call)))
    errors.put_into(report.tensors)
    report.calls = len(calls) - len({call for call, _ in left})
    if left:
        report.uncompared = {_why_uncompared(results, calls, left): 1}
    else:
        report.cases = 1
    if findings:
        report.failed = 1
        report.find(findings)
    return report


@dataclass(frozen=True, slots=True)
class Compared:
    """One tensor of one call with the true one, both canonical.

    Attributes:
        call: the number of the call, from 0.
        tensor: its name.
        mismatch: what is wrong with its type, shape or dtype, if anything.
        got: the subject's, None if it is no array of the right shape.
        want: the truth.
        allowed: what is allowed.
        comparison: of ``got`` with ``want``, None if there is no ``got``.
    """

    call: int
    tensor: str
    mismatch: Mismatch | None
    got: Array | None
    want: Array
    allowed: Allowance
    comparison: Comparison | None

    @property
    def differs(self) -> bool:
        """Whether it is off by more than is allowed."""
        return self.comparison is not None and not self.comparison.equal


def comparisons(
    results: CaseResults,
    truths: Sequence[Answer],
    allowances: Sequence[Mapping[str, Allowance]],
    without: Container[str] = (),
) -> Iterator[Compared]:
    """Compare every tensor of every call that the subject answered with the truth.

    Args:
        results: the subject's.
        truths: the right answer to each call.
        allowances: what is allowed in each tensor of each call.
        without: tensors that are left out.
    """
    for number, (result, truth, allowances_of_call) in enumerate(
        zip(results.calls, truths, allowances, strict=False)
    ):
        there = {name: name for name in allowances_of_call if name not in result.absent}
        # torch's two biases have one gradient.
        there |= {
            name: "db" for name in ALTERNATIVES["db"] if name in {**result.tensors, **result.mismatches}
        }
        for name, right in there.items():
            if not is_wanted(name, without):
                continue
            got, want, allowed = result.tensors.get(name), truth[right], allowances_of_call[right]
            if name in result.errors:
                allowed = with_error(allowed, want, result.errors[name])
            comparison = None if got is None else compare(want, got, allowed)
            yield Compared(number, name, result.mismatches.get(name), got, want, allowed, comparison)


def allowances_of(
    case: Case, calls: Sequence[Call], truths: Sequence[Answer], accuracy: float | None = None
) -> list[dict[str, Allowance]]:
    """Return what is allowed in every tensor of every call, after holding the two references together.

    Raises:
        ReferencesDisagree: the unperturbed loop is further from the truth than is allowed.
    """
    tiny = float(np.finfo(DTYPES[case.dtype]).tiny)
    noise = noise_of(case, accuracy)
    magnitudes = SumBounds(case)
    # Every number in it is a multiple of 1/2.
    exact_in = accuracy is None and case.integer
    if (
        exact_in
        and (spreads := Loop(case, magnitudes).spreads(calls))
        and magnitudes.largest < 0.25 / noise.u
    ):
        return [
            _agreed(case, truth, {name: exact(truth[name], runs[0]) for name, runs in spread.runs.items()})
            for truth, spread in zip(truths, spreads, strict=True)
        ]
    return [
        _agreed(case, truth, spread.allowances(truth, noise.u, tiny))
        for truth, spread in zip(truths, PerturbedLoop(case, noise).spreads(calls), strict=True)
    ]


def _agreed(case: Case, truth: Answer, allowances: dict[str, Allowance]) -> dict[str, Allowance]:
    for name, allowed in allowances.items():
        apart = allowed.disagreement
        if name == "db" and SECOND_BIAS in truth:
            apart = max(apart, compare(truth[name], truth[SECOND_BIAS], allowed).worst)
        if apart > 1:
            far = f"{apart:.3g} times what" if apart < sys.float_info.max else "more than any"
            raise ReferencesDisagree(
                f"{case}: two references differ in {name} by {far} rounding explains; the case cannot be judged"
            )
    return allowances


def _planned_comparisons(
    results: CaseResults, allowances: Sequence[Mapping[str, Allowance]], without: Container[str]
) -> set[tuple[int, str]]:
    """Number of the call and name of the tensor of every comparison that a case consists of."""
    planned = {
        (number, name)
        for number, allowances_of_call in enumerate(allowances)
        for name in allowances_of_call
        if is_wanted(name, without)
    }
    return planned - {(number, name) for number, call in enumerate(results.calls) for name in call.absent}


def _why_uncompared(results: CaseResults, calls: Sequence[Call], left: Iterable[tuple[int, str]]) -> str:
    if len(results.calls) < len(calls):
        ended = next((finding.check for finding in results.findings if finding.check in ENDS_A_CASE), None)
        return f"the target did not answer every call{f' ({ended})' if ended else ''}"
    missing = sorted({family(name) for _, name in left})
    return f"{', '.join(missing)} could not be compared"


def _tally(comparison: Comparison, case: Case) -> Tally:
    judged = comparison.slices > comparison.inconclusive
    return Tally(0, comparison.slices, comparison.inconclusive, comparison.worst, case if judged else None)


def _difference(case: Case, compared: Compared, label: str) -> Finding:
    """The finding of a tensor that is off, with indices as the layer has them."""
    name, comparison, allow = compared.tensor, compared.comparison, compared.allowed.allow
    assert comparison is not None
    assert compared.got is not None
    wrong, want, got = (
        native(case, name, array) for array in (comparison.wrong, compared.want, compared.got)
    )
    steps = time_axis(case, name)
    indices = np.argwhere(wrong)
    order = indices[:, steps] if steps is not None else np.zeros(len(indices))
    earliest = indices[order == order.min()]
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.nan_to_num(np.abs(got - want), nan=np.inf)[tuple(earliest.T)]
    first = tuple(earliest[np.argmax(errors)].tolist())
    error, slack = abs(float(got[first]) - float(want[first])), float(native(case, name, allow)[first])
    over = error / slack if slack and not np.isnan(error) else np.inf
    got_text, want_text = apart(float(got[first]), float(want[first]))
    lines = [
        f"{name}{list(first) if first else ''}{label}: got {got_text}, expected {want_text}, error over allowed {over:.3g}; "
        f"{len(indices)} of {wrong.size} elements {'is' if len(indices) == 1 else 'are'} off"
    ]
    if steps is not None:
        times = indices[:, steps]
        lines.append(
            f"first wrong time step {times.min()}, last {times.max()}, of 0 to {got.shape[steps] - 1}"
        )
    check = VALUES if np.isfinite(got[first]) == np.isfinite(want[first]) else NON_FINITE_VALUES
    finding = check.finding(name, case, "; ".join(lines))
    size = max(abs(float(got[first])), abs(float(want[first])))
    return finding if size >= ORDINARY and not error < PLAIN * size else replace(finding, telling=False)
