"""A sample: the subject's answers in one case, with the expected values and tolerances."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import DTYPES, Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import ALTERNATIVES, Answer, role
from parity_tests.check_facts import INTERFACE, RAISES
from parity_tests.checks.precision import float32_finding, wider_finding
from parity_tests.checks.values import RunCase, comparisons
from parity_tests.references.float64_loop import Loop
from parity_tests.references.perturbed_loop import PerturbedLoop
from parity_tests.references.rounding import noise_of, unit_roundoff
from parity_tests.references.tolerance import Allowance
from parity_tests.report import Finding
from parity_tests.subjects.results import Mismatch


@dataclass(slots=True)
class Sample:
    """What the subject answered in one case.

    Attributes:
        case: the case.
        calls: its calls.
        truths: the right answer to each call.
        allowed: the tolerance of each tensor of each call.
        got: for each call answered, the tensors that can be compared, in the canonical layout.
        mismatches: the tensors that cannot be compared, for their type, shape or dtype.
        wrong: for each call answered, the names of the wrong tensors.
        raised: the message of the exception that the subject raised; empty if it did not.
        single: the finding that the subject computes in float32, if it does and should not.
        wider: the finding that results are wider than the parameters, if they are.
    """

    case: Case
    calls: tuple[Call, ...]
    truths: list[Answer]
    allowed: list[dict[str, Allowance]]
    got: list[Answer] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    wrong: list[frozenset[str]] = field(default_factory=list)
    raised: str = ""
    single: Finding | None = None
    wider: Finding | None = None

    @property
    def all_wrong(self) -> frozenset[str]:
        """The names of the tensors that are wrong in any call."""
        return frozenset().union(*self.wrong)

    @property
    def names(self) -> frozenset[str]:
        """The names of the tensors that can be compared."""
        return frozenset().union(*self.got)

    def against(self, truths: list[Answer], wrong: list[frozenset[str]]) -> "Sample":
        """Return a copy that is compared with other answers than the right ones."""
        return replace(self, truths=truths, wrong=wrong)

    @property
    def cost(self) -> int:
        """The number of cell steps, a measure of the time that the loop takes."""
        return sum(call.xs.shape[1] for call in self.calls) * self.case.num_cells


def measured(
    case: Case, calls: Sequence[Call], loop: Loop
) -> tuple[list[Answer], list[dict[str, Allowance]]]:
    """Run a loop on calls, and return its answers and the tolerance that its rounding asks for."""
    u, tiny = unit_roundoff(case.dtype), float(np.finfo(DTYPES[case.dtype]).tiny)
    answers, allowed = [], []
    for spread in loop.spreads(calls):
        answers.append({name: runs[0] for name, runs in spread.runs.items()})
        allowed.append(spread.allowances(answers[-1], max(u, loop.noise.u), tiny))
    return answers, allowed


@lru_cache(maxsize=256)
def _right(
    case: Case, accuracy: float | None = None
) -> tuple[tuple[Call, ...], list[Answer], list[dict[str, Allowance]]]:
    calls = calls_of(case)
    return calls, *measured(case, calls, PerturbedLoop(case, noise_of(case, accuracy)))


def sample_subject(case: Case, run_case: RunCase, accuracy: float | None = None) -> Sample:
    """Run the subject in a case and compare its answers with the right ones."""
    sample = Sample(case, *_right(case, accuracy))
    results = run_case(case)
    raised = (RAISES.name, INTERFACE.name)
    sample.raised = next((f.message for f in results.findings if f.check in raised), "")
    for result in results.calls:
        sample.mismatches += result.mismatches.values()
        sample.got.append({})
        sample.wrong.append(frozenset())
    off = []
    for compared in comparisons(results, sample.truths, sample.allowed):
        got, comparison = compared.got, compared.comparison
        if got is None or comparison is None or got.dtype.kind != "f":
            continue
        # torch's two biases have one gradient: the wrong one, if one is wrong.
        name = "db" if compared.tensor in ALTERNATIVES["db"] else compared.tensor
        if name not in sample.wrong[compared.call]:
            sample.got[compared.call][name] = np.asarray(got, np.float64)
        if not comparison.equal:
            sample.wrong[compared.call] |= {name}
            off.append((compared.tensor, got))
    sample.single = None if accuracy else float32_finding(case, results.calls, off)
    sample.wider = wider_finding(case, results.calls)
    return sample


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
