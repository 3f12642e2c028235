"""The contract of copies: ``copy.deepcopy`` and ``pickle`` of a layer between forward and backward.

A layer that cannot be copied is not at fault, nor is one whose copy raises; a copy that silently differs is.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pickle import dumps, loads
from typing import Any

from parity_tests.cases.arrays import Call
from parity_tests.cases.tensors import Answer
from parity_tests.checks.trial import ContractBroken, Trial, contract_check, copied, of_steady_layers
from parity_tests.subjects.driver import Driver
from parity_tests.subjects.parts import attribute

Layer = tuple[Driver, Any]
Steps = dict[str, Answer]
"""The results by when they came."""


class _CannotBeCopied(Exception):
    """What a layer may be."""


@contract_check(
    "deep copies",
    fault="deepcopy differs from the layer",
    advice="look for `__deepcopy__` and `__getstate__`, for functions that hold the layer they were made in, and for "
    "arrays that are views of one buffer: in a copy they are apart",
)
@of_steady_layers
def deep_copies(trial: Trial) -> None:
    """A ``copy.deepcopy`` between forward and backward goes on like the layer and apart from it, or raises."""
    if found := _difference(trial, deepcopy, "copy.deepcopy"):
        raise found


@contract_check(
    "pickles",
    fault="pickle differs from the layer",
    advice="look for `__getstate__`, `__setstate__` and `__reduce__` that leave out a state, a cache or an array",
)
@of_steady_layers
def pickles(trial: Trial) -> None:
    """What ``pickle`` makes of a layer between forward and backward goes on like it and apart from it, or raises."""
    found = _difference(trial, lambda layer: loads(dumps(layer)), "pickle")
    # Where a deepcopy differs too, one method makes both, and one fault is enough.
    if found and not _difference(trial, deepcopy, "copy.deepcopy"):
        raise found


def _difference(trial: Trial, copy: Callable[[Any], Any], name: str) -> ContractBroken | None:
    """Compare a layer and its copy with two layers that were made and called alike."""

    def copy_of(driver: Driver, layer: Any) -> Layer:
        try:
            return driver, copy(layer)
        except Exception as error:
            raise _CannotBeCopied from error

    def made(driver: Driver, layer: Any) -> Layer:
        other = trial.made(trial.first)
        other[0].forward(other[1], trial.first, other[0].arguments(trial.first))
        return other

    try:
        of_copy, of_layer = _one_after_the_other(trial, copy_of)
    except _CannotBeCopied:
        return None
    of_other, of_one = _one_after_the_other(trial, made)
    try:
        for when, answer in of_copy.items():
            trial.expect(
                answer, of_other.get(when, {}), f"{when}, in a copy made by {name} after its forward"
            )
        for when, answer in of_layer.items():
            trial.expect(answer, of_one[when], f"{when}, once a copy made by {name} was used")
    except ContractBroken as broken:
        return broken
    return None


def _one_after_the_other(trial: Trial, second_of: Callable[[Driver, Any], Layer]) -> tuple[Steps, Steps]:
    """The steps of a second layer, which may be a copy, and then of the first; both are after their forward.

    At last the second one is called again, which must leave the gradients of the first.
    """
    driver, layer = trial.made(trial.first)
    driver.forward(layer, trial.first, driver.arguments(trial.first))
    second = second_of(driver, layer)
    of_second, of_first = _steps(trial, second, is_copy=True), _steps(trial, (driver, layer))
    with suppress(Exception):
        trial.run(*second, trial.second)
    return of_second, of_first | {"in the end": copied(driver.gradients(layer))}


def _steps(trial: Trial, layer: Layer, *, is_copy: bool = False) -> Steps:
    """A backward and a further call; of a copy a call with other weights too, which are its own."""
    later = replace(trial.first, xs=trial.first.xs[::-1].copy())
    if trial.case.layer == "TimeRNN" and "state" not in trial.without:
        later = replace(later, h_0=None, carries=True)
    driver, instance = layer
    steps: dict[str, Callable[[], Answer]] = {
        "at its backward": lambda: trial.back(driver, instance, trial.first, driver.arguments(trial.first)),
        "at the next call": lambda: trial.run(driver, instance, later),
    }
    if is_copy and "second-call" not in trial.without:
        steps["with other weights"] = lambda: _with_other_weights(trial, layer, trial.second)
    answers: Steps = {}
    for when, step in steps.items():
        try:
            answers[when] = step()
        except Exception:
            if not is_copy:
                raise
    return answers


def _with_other_weights(trial: Trial, layer: Layer, call: Call) -> Answer:
    """A call after its weights were written into the parameters that a layer shows."""
    driver, instance = layer
    if trial.case.has_torch_interface:
        driver.update(instance, call)
        return trial.run(driver, instance, call)
    for param, value in zip(attribute(instance, "params") or (), trial.weights(call).values(), strict=False):
        param[...] = value
    return trial.run(driver, instance, call)
