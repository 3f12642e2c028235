"""The plan of a run: which cases, against which reference, and whose layers."""

import importlib
import importlib.metadata
import importlib.util
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from parity_tests._case import Case
from parity_tests._judge import Reference, ReferenceFault, judge
from parity_tests._recorded import Recorded, RecordedError, default_folder, read
from parity_tests._report import Report
from parity_tests._subject import CLASSES, kinds_of

DEFAULT_CASES = 2000
BATCH = 50
"""Cases judged by one test: the unit that is shared out among workers."""


class PlanError(Exception):
    """The options ask for what cannot be done; the message says why."""


def default_reference() -> str:
    """``torch`` where it is installed, else ``recorded``."""
    return "recorded" if importlib.util.find_spec("torch") is None else "torch"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what a run judges; equal plans judge the same cases whatever the workers.

    Attributes:
        reference: ``torch`` or ``recorded``.
        seed: of the random cases.
        number: how many cases.
        case: the token of the only case, or None.
        layers: module that holds the layers judged.
    """

    reference: str
    seed: int
    number: int
    case: str | None
    layers: str

    @classmethod
    def make(
        cls,
        reference: str | None = None,
        seed: str | None = None,
        number: str | None = None,
        case: str | None = None,
        layers: str = "rnn_np",
    ) -> "Plan":
        """Resolve options as given, None where they are not.

        Raises:
            PlanError: an option is bad, or there is no such reference.
        """
        if reference not in (None, "torch", "recorded"):
            raise PlanError(f"reference: expected torch or recorded, got {reference!r}")
        if reference == "torch" and default_reference() != "torch":
            raise PlanError("reference: torch is not installed; install rnn-np[parity]")
        reference = reference or default_reference()
        kinds = kinds_of(_layers(layers))
        fresh = {"seed": seed, "cases": number}
        if case is not None:
            try:
                Case.parse(case)
            except ValueError as error:
                raise PlanError(f"case: {case!r} is no case: {error}") from error
            _refuse(fresh, "the one case given is judged")
            if Case.parse(case).kind not in kinds:
                raise PlanError(f"case: {case} is of kind {Case.parse(case).kind}, {layers} has only {kinds}")
            if reference == "recorded" and Case.parse(case) not in _recorded().cases:
                raise PlanError(f"case: {case} is not recorded; it needs torch, rnn-np[parity]")
            return cls(reference, 0, 1, case, layers)
        if reference == "recorded":
            _refuse(fresh, "fresh cases need torch, rnn-np[parity]; the recorded cases are fixed")
            return cls(reference, 0, len(_recorded_cases(kinds)), None, layers)
        return cls(reference, _seed(seed), _number(number), None, layers)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of layers that can be judged."""
        return kinds_of(_layers(self.layers))

    @property
    def batches(self) -> int:
        """Into how many tests the cases are put."""
        return -(-self.number // BATCH)

    def first(self, batch: int) -> int:
        """The number of the first case of a batch."""
        return batch * BATCH

    def size(self, batch: int) -> int:
        """How many cases a batch holds."""
        return min(BATCH, self.number - self.first(batch))

    def cases(self, batch: int) -> list[Case]:
        """The cases of a batch."""
        numbers = range(self.first(batch), self.first(batch) + self.size(batch))
        if self.case is not None:
            return [Case.parse(self.case)]
        if self.reference == "recorded":
            return [_recorded_cases(self.kinds)[number] for number in numbers]
        from parity_tests._draw import draw_case  # Hypothesis is not needed for recorded cases

        return [draw_case(self.seed, number, self.kinds) for number in numbers]

    def judge_cases(self, cases: Sequence[Case]) -> Report:
        """Judge every case, whatever is found; what cannot be judged is said in the report."""
        report = Report(planned=len(cases))
        for case in cases:
            try:
                report.add(judge(case, _reference(self.reference), _layers(self.layers)))
            except (ReferenceFault, RecordedError) as fault:
                report.unjudged.append(str(fault))
        return report

    def versions(self) -> dict[str, str]:
        """The versions that the verdict rests on."""
        import platform

        import numpy as np

        found = {"python": platform.python_version(), "numpy": np.__version__}
        if self.reference == "torch":
            found |= {name: importlib.metadata.version(name) for name in ("torch", "hypothesis")}
            return found
        return found | {f"recorded {name}": version for name, version in _recorded().versions.items()}


def _refuse(options: dict[str, str | None], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise PlanError(f"{name}: cannot be set to {value} here: {why}")


def _seed(text: str | None) -> int:
    if text == "fresh":
        return secrets.randbits(32)
    try:
        seed = 0 if text is None else int(text)
    except ValueError:
        seed = -1
    if seed < 0:
        raise PlanError(f"seed: expected a whole number of at least 0 or fresh, got {text!r}")
    return seed


def _number(text: str | None) -> int:
    try:
        number = DEFAULT_CASES if text is None else int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise PlanError(f"cases: expected a whole number of at least 1, got {text!r}")
    return number


@cache
def _recorded() -> Recorded:
    return read(default_folder())


def _recorded_cases(kinds: tuple[str, ...]) -> list[Case]:
    return [case for case in _recorded().cases if case.kind in kinds]


@cache
def _reference(name: str) -> Reference:
    if name == "recorded":
        return _recorded()
    import torch

    from parity_tests._torch import torch_answers

    torch.set_num_threads(1)
    return torch_answers


@cache
def _layers(name: str) -> Any:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise PlanError(f"layers: cannot import {name}: {type(error).__name__}: {error}") from error
    if not kinds_of(module):
        raise PlanError(f"layers: {name} has none of {', '.join(CLASSES.values())}")
    return module
