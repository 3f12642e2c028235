"""Hints: what is true of the subject's numbers in all cases tried, if no fault matches."""

from collections.abc import Callable, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case
from parity_tests.checks.values import RunCase
from parity_tests.diagnosis.conditions import conditions
from parity_tests.diagnosis.relations import relations
from parity_tests.diagnosis.samples import Sample, sample_subject
from parity_tests.diagnosis.symptoms import EVALUATED, RANDOM, UNLOADED, Symptom


def randomness_symptom(samples: Sequence[Sample], run_case: RunCase) -> Symptom | None:
    """Return the symptom that explains random numbers, or None if the subject repeats its numbers."""
    wrong = [sample for sample in samples if sample.all_wrong]
    # In a large case it is unlikely that random numbers repeat.
    first_time = max(wrong, key=lambda sample: sample.case.size)
    again = sample_subject(first_time.case, run_case)
    same = all(
        np.array_equal(value, second[name], equal_nan=True)
        for first, second in zip(first_time.got, again.got, strict=False)
        for name, value in first.items()
        if name in second
    )
    if same:
        return None
    if all(sample.case.eval and sample.case.dropout for sample in wrong):
        return EVALUATED
    later = [sample for sample in samples if sample.case.calls == "again" and len(sample.wrong) > 1]
    if later and all(sample.wrong[0] and not sample.wrong[1] for sample in later):
        return UNLOADED
    return RANDOM


def outputs_dropped(samples: Sequence[Sample]) -> bool:
    """Return whether outputs are exactly zero that should not be: then a fault may explain random numbers."""
    return any(
        bool(((got["hs"] == 0) & (right["hs"] != 0)).any())
        for sample in samples
        for got, right in zip(sample.got, sample.truths, strict=False)
        if "hs" in got and not sample.case.relu
    )


def hints(samples: Sequence[Sample], run_case: RunCase, restrict: Callable[[Case], Case]) -> str:
    """Return all that is known: where the subject is wrong, and how."""
    wrong = [sample for sample in samples if sample.all_wrong]
    where = f"Wrong in {len(wrong)} of {len(samples)} cases."
    return " ".join([where, *conditions(samples, run_case, restrict), *relations(samples)])
