"""A list of models: right ones, and faulty ones with the fault written beside each before it was first run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import parity_tests
from parity_tests.subjects.adapters.problem import Problem

Answering = Callable[[Problem], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Model:
    """An adapter of somebody's model.

    Attributes:
        adapter: answers with the model's numbers.
        fault: the first fault that is to be named; empty for a right model.
        without: what the model lacks.
    """

    adapter: Answering
    fault: str
    without: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The adapter's name."""
        return self.adapter.__name__


MODELS: list[Model] = []
"""All models."""


def model(
    fault: str = "", without: tuple[str, ...] = (), **declared: Any
) -> Callable[[Answering], Answering]:
    """Add an adapter to the list; ``declared`` is what it declares."""

    def add(function: Answering) -> Answering:
        MODELS.append(Model(parity_tests.adapter(**declared)(function), fault, without))
        return function

    return add
