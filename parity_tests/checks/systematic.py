"""Systematic errors: each number of a run is within what rounding may do to it, and all together are not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import family
from parity_tests.check_facts import SYSTEMATIC
from parity_tests.references.rounding import unit_roundoff
from parity_tests.references.tolerance import Allowance
from parity_tests.report import Finding, Severity, SystematicError, Tally

MOST_SYSTEMATIC = 2.5
"""Units of roundoff that a tensor may be too large or too small by on average; right layers have at most 0.2."""
MOST_UNCERTAIN = 8.0
"""How many times its uncertainty a mean must be."""
FEWEST_CASES = 30


def signed_error(truth: Array, got: Array, allowed: Allowance, u: float) -> tuple[float, float]:
    """Return the mean error along the truth and the weight of it, in units of roundoff; weight 0 for nothing.

    The quotient is the relative error ``e`` for which ``got = (1 + e u) truth`` fits best, each element
    weighted by what rounding may do to it.
    """
    with np.errstate(all="ignore"):
        sizes, errors = truth / allowed.allow, (got - truth) / allowed.allow
        weights = sizes * sizes
        known = np.isfinite(weights) & np.isfinite(errors) & ~allowed.inconclusive[..., None]
        count = int(known.sum())
        if not count:
            return 0.0, 0.0
        if count < known.size:
            sizes, errors = np.where(known, sizes, 0.0), np.where(known, errors, 0.0)
            weights = np.where(known, weights, 0.0)
        return float(u * np.vdot(sizes, errors) / count), float(u * u * weights.sum() / count)


class SignedErrors:
    """Those of one case, by the family of the tensor; of float64 and of whole numbers there are none."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, truth: Array, got: Array, allowed: Allowance) -> None:
        """Take in a tensor of a call."""
        if self.case.dtype == "f32" and not self.case.integer:
            signed, weight = self.sums.get(family(name), (0.0, 0.0))
            more_signed, more_weight = signed_error(truth, got, allowed, unit_roundoff("f32"))
            self.sums[family(name)] = signed + more_signed, weight + more_weight

    def put_into(self, tensors: Mapping[str, Tally]) -> None:
        """Put them into the tallies of the case, but for tensors that are wrong."""
        for name, (signed, weight) in self.sums.items():
            if tensors[name].worst <= 1 and weight:
                tensors[name].systematic = SystematicError.of_case(signed, weight, self.case)


def systematic_findings(
    tensors: Mapping[str, Tally], found: Sequence[Finding], known: Collection[str] = ()
) -> list[Finding]:
    """Return the findings of tensors that are too large or too small on average over a run.

    Args:
        tensors: the tallies of the run.
        found: its findings; of a tensor that is wrong in single cases nothing more is said.
        known: what the target is known to fail, such as ``systematic error of dx``.
    """
    wrong = {finding.tensor for finding in found}
    findings = []
    for name, tally in tensors.items():
        error = tally.systematic
        mean = error.mean
        if (
            error.case is None
            or name in wrong
            or error.cases < FEWEST_CASES
            or abs(mean) < max(MOST_SYSTEMATIC, MOST_UNCERTAIN * error.uncertainty)
        ):
            continue
        observed = (
            f"on average over {error.cases:,} float32 cases {name} is {abs(mean) * 2.0**-24:.1e} of its size "
            f"too {'large' if mean > 0 else 'small'}, {abs(mean):.1f} times the unit roundoff. Each number alone is "
            f"within what rounding may do to it"
        )
        finding = SYSTEMATIC.finding(name, error.case, observed)
        is_known = finding.what in known
        findings.append(replace(finding, severity=Severity.KNOWN) if is_known else finding)
    return findings
