"""What a check of the contract is written with: the layers it tries, and how it is registered."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.layers import CLASSES, KINDS
from parity_tests.cases.tensors import Answer
from parity_tests.check_facts import Check
from parity_tests.report import Severity
from parity_tests.subjects.drivers import PERFORMERS, Performer

CLOSE = {"f64": 1e-9, "f32": 1e-3}
"""How far the layer may be from itself where the order of its operations may differ."""


class Broken(Exception):
    """The layer breaks the contract.

    Attributes:
        tensor: what it concerns, or ``""``.
    """

    def __init__(self, message: str, tensor: str = "") -> None:
        super().__init__(message)
        self.tensor = tensor


class Trial:
    """Layers of the subject's, to be called in any order."""

    def __init__(self, case: Case, layers: Any) -> None:
        self.case = case
        self.layers = layers
        (self.first,) = calls_of(replace(case, calls="once"))
        self.other, self.second = calls_of(replace(case, calls="again", seed=7))

    def made(self, call: Call) -> tuple[Performer, Any]:
        """A new layer with a call's weights."""
        performer = PERFORMERS[self.case.kind](self.case, self.layers)
        return performer, performer.make(call)

    def run(self, performer: Performer, layer: Any, call: Call) -> Answer:
        """One forward and backward."""
        given = performer.given(call)
        answer = copied(performer.forward(layer, call, given))
        return answer | self.back(performer, layer, call, given)

    def back(self, performer: Performer, layer: Any, call: Call, given: dict[str, Array]) -> Answer:
        """The backward of the last forward, gradients of parameters included."""
        answer = performer.backward(layer, call, given)
        return copied(answer | performer.gradients(layer))

    def alone(self, call: Call) -> Answer:
        """What a new layer answers to a call."""
        return self.run(*self.made(call), call)

    def expect(self, got: Answer, want: Answer, why: str) -> None:
        """Raise ``Broken`` unless two answers are as good as equal."""
        for name, value in want.items():
            other = got[name]
            scale = float(np.abs(value).max(initial=0.0))
            if other.shape != value.shape or not np.allclose(
                other, value, rtol=0, atol=CLOSE[self.case.dtype] * scale, equal_nan=True
            ):
                raise Broken(f"{name} differs {why}", name)


def copied(answer: Answer) -> Answer:
    """The answer in arrays of its own."""
    return {name: np.array(value) for name, value in answer.items()}


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """A check that compares a layer with itself.

    Attributes:
        facts: its name, meaning, severity and fault.
        kinds: the kinds of layers that it applies to.
        needs: the feature that it is about; without it the check is left out.
        run: raises ``Broken`` where a layer does not pass.
    """

    facts: Check
    kinds: tuple[str, ...]
    needs: str | None
    run: Callable[[Trial], None]

    @property
    def name(self) -> str:
        """The check's name."""
        return self.facts.name


Registers = Callable[[Callable[[Trial], None]], ContractCheck]


def contract_check(
    name: str,
    *,
    fault: str,
    advice: str,
    kinds: tuple[str, ...] = KINDS,
    needs: str | None = None,
    severity: Severity = Severity.FAULT,
) -> Registers:
    """Make a function a check of the contract; the first line of its docstring is the check's meaning.

    Args:
        name: of the check, as ``--without`` and the reports have it.
        fault: the name of the fault in a layer that does not pass.
        advice: where to look for the fault in one's own code.
        kinds: the kinds of layers that the check applies to.
        needs: a name of ``FEATURES``; the check is left out for a target without this feature.
        severity: ``Severity.ADVISORY`` where correct layers may fail.
    """

    def register(run: Callable[[Trial], None]) -> ContractCheck:
        meaning = (run.__doc__ or "").partition("\n")[0]
        facts = Check(name, meaning, _applies_to(kinds), severity, fault, advice)
        return ContractCheck(facts, kinds, needs, run)

    return register


def contract_form_of(facts: Check) -> Registers:
    """Make a function the contract's form of a check that is made in every case too."""
    return lambda run: ContractCheck(facts, KINDS, None, run)


def _applies_to(kinds: tuple[str, ...]) -> str:
    return "all layers" if kinds == KINDS else ", ".join(f"`{CLASSES[kind]}`" for kind in kinds)
