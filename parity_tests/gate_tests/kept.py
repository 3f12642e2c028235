"""Answers that are kept for the tests that judge many layers in the same cases: they take most of the time."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from parity_tests.cases.arrays import Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer
from parity_tests.checks import values
from parity_tests.references.tolerance import Allowance

_allowances_of = values.allowances_of
_allowances: dict[Case, tuple[Sequence[Answer], list[dict[str, Allowance]]]] = {}


@cache
def drawn(seed: int, number: int, kinds: tuple[str, ...]) -> Case:
    """A random case, drawn once."""
    from parity_tests.cases.draw import draw_case  # needs Hypothesis

    return draw_case(seed, number, kinds)


@cache
def _torch_answers(case: Case) -> list[Answer]:
    from parity_tests.references.live_torch import torch_answers  # needs torch

    answers = torch_answers(case, calls_of(case))
    for answer in answers:
        for array in answer.values():
            array.flags.writeable = False
    return answers


def answers_of(case: Case, calls: Sequence[Call]) -> list[Answer]:
    """The answers of torch, which it gives once."""
    return _torch_answers(case)


def allowances_of(
    case: Case, calls: Sequence[Call], truths: Sequence[Answer], accuracy: float | None = None
) -> Sequence[Mapping[str, Allowance]]:
    """What is allowed of these true answers, measured once."""
    if accuracy is not None:
        return _allowances_of(case, calls, truths, accuracy)
    of, allowances = _allowances.get(case, ((), []))
    if not _same(of, truths):
        allowances = _allowances_of(case, calls, truths)
        _allowances[case] = truths, allowances
    return allowances


def _same(some: Sequence[Answer], others: Sequence[Answer]) -> bool:
    return some is others or (
        len(some) == len(others)
        and all(
            one.keys() == other.keys() and all(np.array_equal(one[name], other[name], True) for name in one)
            for one, other in zip(some, others, strict=True)
        )
    )
