"""A trial: the user's code is run in a case, with some values replaced, and its results are compared."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import ALTERNATIVES
from parity_tests.diagnosis.lines.nonlinearities import Nonlinearity
from parity_tests.diagnosis.lines.recording import Key, Recorder, Replace
from parity_tests.diagnosis.lines.right_values import RightValues
from parity_tests.subjects.drivers import DRIVERS
from parity_tests.subjects.results import is_wanted

Tensor = tuple[int, str]
"""The number of a call, and the name of a tensor."""
ROUGH, PRECISE = 1e-6, 1e-11
"""Of the largest number of a tensor: what is off by less is right but for its precision, or right."""


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        got: the tensors.
        right: by tensor, whether it is right.
        raised: whether it raised.
    """

    got: dict[Tensor, Array]
    right: dict[Tensor, bool]
    raised: bool = False

    @property
    def wrong(self) -> frozenset[Tensor]:
        """The tensors that are not right."""
        return frozenset(tensor for tensor, is_right in self.right.items() if not is_right)


class Trial:
    """A subject in one case.

    Attributes:
        values: the right values of the case.
        tolerance: by how much a tensor may be off, of its largest number.
        runs: how many runs were made.
    """

    def __init__(
        self,
        subject: Any,
        case: Case,
        without: Collection[str],
        recorder: Recorder,
        nonlinearity: Nonlinearity | None = None,
    ) -> None:
        self.subject, self.case, self.without, self.recorder = subject, case, without, recorder
        self.values = RightValues.of(case, nonlinearity)
        self.tolerance = ROUGH
        self.runs = 0
        self._truth = {
            (number, name): value
            for number, answer in enumerate(self.values.answers)
            for name, value in answer.items()
            if is_wanted(name, without)
        }

    def run(self, replacements: Mapping[Key, Replace], record: bool = False) -> Outcome:
        """Run the subject with values replaced."""
        self.runs += 1
        kind = "adapter" if hasattr(self.subject, "answer") else self.case.layer
        driver = DRIVERS[kind](self.case, self.subject, self.without)
        raised = False
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                self.recorder.run(lambda: driver.run(calls_of(self.case)), replacements, record)
        except (Exception, SystemExit):
            raised = True
        got = {
            (number, name): np.asarray(value, np.float64)
            for number, result in enumerate(driver.results.calls)
            for name, value in result.tensors.items()
        }
        right = {tensor: self._right(tensor, got.get(tensor)) for tensor in self._truth}
        for number, result in enumerate(driver.results.calls):
            right |= {(number, name): self._others_right((number, name), got) for name in result.absent}
        if self.tolerance == PRECISE:  # a result in float32 is not right then
            for number, result in enumerate(driver.results.calls):
                right |= {(number, name): False for name in result.mismatches if (number, name) in right}
                right |= {(number, name): False for name in result.dtypes if (number, name) in right}
        return Outcome(got, right, raised)

    def _others_right(self, tensor: Tensor, got: Mapping[Tensor, Array]) -> bool:
        """Whether what an adapter returns in place of a tensor is right, as far as it has no row of its own."""
        number, name = tensor
        others = [
            (number, other) for other in ALTERNATIVES.get(name, ()) if (number, other) not in self._truth
        ]
        return all(self._right(tensor, got[other]) for other in others if other in got)

    def _right(self, tensor: Tensor, value: Array | None) -> bool:
        want = self._truth[tensor]
        if value is None or value.shape != want.shape:
            return False
        same = np.abs(value - want) <= self.tolerance * float(np.abs(want).max(initial=0)) + 1e-200
        return bool(same.all())
