"""What a contract check is written with: the layers that it calls, and the decorator that registers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import Answer
from parity_tests.check_facts import Check
from parity_tests.checks.precision import holds_float32
from parity_tests.report import Severity
from parity_tests.subjects.driver import Driver
from parity_tests.subjects.drivers import DRIVERS
from parity_tests.subjects.results import is_array
from parity_tests.subjects.side_effects import Violations

CLOSE = {"f64": 1e-9, "f32": 1e-3}
"""How far two results of one layer may differ, relative to the largest element: its operations may run in
another order."""


class ContractBroken(Exception):
    """The layer does not pass the check.

    Attributes:
        tensor: the tensor concerned, or ``""``.
        is_advice: whether right layers of this kind do so too.
    """

    def __init__(self, message: str, tensor: str = "", *, is_advice: bool = False) -> None:
        super().__init__(message)
        self.tensor = tensor
        self.is_advice = is_advice


class Trial:
    """One case, its calls, and as many layers of the subject as a check needs, to be called in any order.

    Attributes:
        case: the case that the layers are made for.
        subject: the package that has the layer.
        without: what the layer is declared to lack.
        first: a call of the case's sizes.
        other: a call of another batch size and length, with weights of its own.
        second: a call of the case's sizes, with weights of its own.
    """

    def __init__(self, case: Case, subject: Any, without: tuple[str, ...] = ()) -> None:
        self.case = case
        self.subject = subject
        self.without = without
        (self.first,) = calls_of(replace(case, calls="once"))
        # The first of them has lengths, unless these are declared missing.
        lengths = {"lengths"} & {*without}
        self.other, self.second = calls_of(restricted(replace(case, calls="again", seed=7), lengths))

    def made(self, call: Call) -> tuple[Driver, Any]:
        """A new layer with a call's weights, and its driver."""
        driver = DRIVERS[self.case.layer](self.case, self.subject, self.without)
        return driver, driver.make(call)

    def run(self, driver: Driver, layer: Any, call: Call) -> Answer:
        """One forward and backward."""
        arguments = driver.arguments(call)
        driver.zero(layer)
        answer = copied(driver.forward(layer, call, arguments))
        return answer | self.back(driver, layer, call, arguments)

    def back(self, driver: Driver, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        """The backward of the last forward, with the gradients of the parameters."""
        answer = driver.backward(layer, call, arguments)
        return copied(answer | driver.gradients(layer))

    def alone(self, call: Call) -> Answer:
        """The results of a call of a new layer."""
        return self.run(*self.made(call), call)

    def goes_on(self, driver: Driver, layer: Any, arguments: dict[str, Array]) -> Answer:
        """The forward of a layer from the state that it has."""
        call = replace(self.first, h_0=None, carries=True)
        return copied(driver.forward(layer, call, arguments))

    def forbid(self, violations: Violations, *, is_advice: bool = False) -> None:
        """Raise ``ContractBroken`` with the first of them, if there is one."""
        for tensor, observed in violations:
            raise ContractBroken(observed, tensor, is_advice=is_advice)

    def weights(self, call: Call) -> dict[str, Array]:
        """A call's weights, in new arrays of the layer's own form, by the interface's names."""
        driver, layer = self.made(call)
        return driver.parameters(layer)

    def unlike(
        self, got: Answer, want: Answer, close: float | None = None, least: float = 0.0
    ) -> dict[str, str]:
        """The tensors of ``want`` that are not equal in ``got``, with what is wrong.

        Args:
            got: the results.
            want: what they are to be.
            close: how far they may differ, relative to the largest element; None: ``CLOSE``.
            least: the largest element counts as at least this.
        """
        wrong = {}
        for name, value in want.items():
            if name not in got:
                wrong[name] = "is no array"
                continue
            other = got[name]
            scale = max(float(np.abs(value).max(initial=0.0)), least)
            # That it computes in float32 is one fault, which the comparison of values finds.
            allowed = close or CLOSE["f32" if holds_float32(value) else self.case.dtype]
            if other.shape != value.shape or not np.allclose(
                other, value, rtol=0, atol=allowed * scale, equal_nan=True
            ):
                wrong[name] = "differs"
        return wrong

    def expect(
        self,
        got: Answer,
        want: Answer,
        why: str,
        *,
        close: float | None = None,
        least: float = 0.0,
        is_advice: bool = False,
    ) -> None:
        """Raise ``ContractBroken`` with the first tensor that is ``unlike``, if there is one."""
        for name, what in self.unlike(got, want, close, least).items():
            raise ContractBroken(f"{name} {what} {why}", name, is_advice=is_advice)


def of_steady_layers(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
    """Make a check say nothing of a layer that gives other results at every call or in every layer.

    It would say nothing about what the check is about, and other checks find it.
    """

    @wraps(run)
    def checked(trial: Trial) -> None:
        try:
            run(trial)
        except ContractBroken:
            driver, layer = trial.made(trial.first)
            once, again = trial.run(driver, layer, trial.first), trial.run(driver, layer, trial.first)
            if not trial.unlike(again, once) and not trial.unlike(trial.alone(trial.first), once):
                raise

    return checked


def copied(answer: Mapping[str, object]) -> Answer:
    """The results that are arrays, in new ones; the others are found where values are compared."""
    return {name: value.copy() for name, value in answer.items() if is_array(value)}


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """A check that compares a layer with itself.

    Attributes:
        facts: its name, meaning, severity and fault.
        kinds: the kinds of layers that it applies to.
        needs: the features that it is about, or ``BACKWARD``; without one the check is left out.
        run: raises ``ContractBroken`` where a layer does not pass.
    """

    facts: Check
    kinds: tuple[str, ...]
    needs: tuple[str, ...]
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
    needs: tuple[str, ...] = (),
    severity: Severity = Severity.FAULT,
) -> Registers:
    """Make a function a check of the contract; the first line of its docstring is the check's meaning.

    Args:
        name: of the check, as ``--without`` and the reports have it.
        fault: the name of the fault in a layer that does not pass.
        advice: where to look for the fault in one's own code.
        kinds: the kinds of layers that the check applies to.
        needs: names of ``FEATURES``, or ``BACKWARD``; the check is left out for a target without one of them.
        severity: ``Severity.ADVISORY`` where correct layers may fail.
    """

    def register(run: Callable[[Trial], None]) -> ContractCheck:
        meaning = (run.__doc__ or "").partition("\n")[0]
        facts = Check(name, meaning, _applies_to(kinds), severity, fault, advice)
        return ContractCheck(facts, kinds, needs, run)

    return register


def contract_form_of(facts: Check, *, needs: tuple[str, ...] = ()) -> Registers:
    """Make a function the contract's form of a check that is made in every case too."""
    return lambda run: ContractCheck(facts, KINDS, needs, run)


def _applies_to(kinds: tuple[str, ...]) -> str:
    return "all layers" if kinds == KINDS else ", ".join(f"`{kind}`" for kind in kinds)
