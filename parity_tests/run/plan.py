"""The plan of a run: what is judged, in which cases, against which reference."""

import importlib.metadata
import importlib.util
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.features import described, parse, restricted
from parity_tests.checks.contract import CHECKS, checks_of
from parity_tests.checks.known_failures import read_known
from parity_tests.checks.values import Reference, ReferenceFault, judge
from parity_tests.references.recorded import Recorded, RecordedError, default_folder, read
from parity_tests.report import Report
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.session import ENDED, ENDINGS, IMPLIED, Asker, InChild, InProcess

OURS = "rnn_np"
DEFAULT_CASES = 2000
DEFAULT_TIMEOUT = 10.0
BATCH = 50
"""Cases judged by one test: the unit that is shared out among workers."""
SMALL = ((1, 1, 1, 1), (1, 2, 1, 1), (1, 1, 1, 2), (1, 2, 1, 2), (2, 1, 1, 1), (2, 2, 1, 2), (2, 3, 2, 3))
"""B, T, D, H."""

OPTIONS = {
    "cases": ("N", "how many random cases to judge (default 2000)"),
    "seed": ("SEED", "of the random cases: a number (default 0) or fresh"),
    "reference": ("torch|recorded", "the reference (default: torch if it is installed)"),
    "case": ("TOKEN", "judge this case alone"),
    "target": (
        "TARGET",
        "what to judge: package.module:Name, file.py:Name or notebook.ipynb:Name (default: rnn_np)",
    ),
    "kind": ("KIND", "of the target: layer, cell, module, adapter or package (default: recognised)"),
    "without": ("NAMES", "what the target lacks, separated by commas: features, tensors, checks"),
    "known": ("FILE", "what the target is known to fail, with reasons"),
    "timeout": ("SECONDS", "that the target may take for a case (default 10)"),
}
"""What a run can be told, with what stands for its value and what it means."""

LOCAL: dict[str, tuple[Any, str]] = {}
"""Objects of this process that can be judged, with their kind, by the spec that stands for them."""


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
        target: what is judged, as in ``_target``.
        forced: its kind, where it is not to be recognised.
        without: what it is declared to lack, as in ``_features``.
        known: the reasons of what it is known to fail.
        timeout: seconds that it may take for a case.
        stops: whether cases are left out once a fault was found.
    """

    reference: str
    seed: int
    number: int
    case: str | None
    target: str = OURS
    forced: str | None = None
    without: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    timeout: float = DEFAULT_TIMEOUT
    stops: bool = False

    @classmethod
    def make(
        cls,
        reference: str | None = None,
        seed: str | None = None,
        cases: str | None = None,
        case: str | None = None,
        target: str | None = None,
        kind: str | None = None,
        without: str | None = None,
        known: str | None = None,
        timeout: str | None = None,
    ) -> "Plan":
        """Resolve options as given, None where they are not.

        Raises:
            PlanError: an option is bad, there is no such reference, or the target cannot be loaded.
        """
        if reference not in (None, "torch", "recorded"):
            raise PlanError(f"reference: expected torch or recorded, got {reference!r}")
        if reference == "torch" and default_reference() != "torch":
            raise PlanError("reference: torch is not installed; install rnn-np[parity]")
        try:
            every = {name for checks in CHECKS.values() for name in checks}
            plan = cls(
                reference or default_reference(),
                0,
                1,
                None,
                target or OURS,
                kind,
                parse(without or "", every),
                read_known(Path(known)) if known else {},
                _seconds(timeout),
            )
            implied = IMPLIED.get(plan.asker.kind, ())
        except (ValueError, TargetError) as error:
            raise PlanError(str(error)) from error
        plan = replace(plan, without=tuple(sorted({*plan.without, *implied})))
        return plan._with_cases({"seed": seed, "cases": cases}, case)

    def _with_cases(self, fresh: dict[str, str | None], case: str | None) -> "Plan":
        if not self.asker.kinds:
            raise PlanError(f"{self.target}: there is nothing to judge in it")
        if case is not None:
            try:
                parsed = Case.parse(case)
            except ValueError as error:
                raise PlanError(f"case: {case!r} is no case: {error}") from error
            _refuse(fresh, "the one case given is judged")
            if not self.judges(parsed):
                raise PlanError(f"case: {case} asks for what {self.target} has not, or is declared to lack")
            if self.reference == "recorded" and parsed not in _recorded().cases:
                raise PlanError(f"case: {case} is not recorded; it needs torch, rnn-np[parity]")
            return replace(self, case=case)
        if self.reference == "recorded":
            _refuse(fresh, "fresh cases need torch, rnn-np[parity]; the recorded cases are fixed")
            return replace(self, number=len(self._recorded_cases()))
        stops = self.target != OURS and fresh["cases"] is None
        return replace(self, seed=_seed(fresh["seed"]), number=_number(fresh["cases"]), stops=stops)

    @property
    def asker(self) -> Asker:
        """Puts the questions to the target; made once in a process."""
        return _asker(self.target, self.forced, self.timeout)

    def fitted(self, case: Case) -> Case:
        """What the target can be asked of a case."""
        return restricted(case, self.without)

    def judges(self, case: Case) -> bool:
        """Whether the target can be asked a case."""
        return case.kind in self.asker.kinds and self.fitted(case) == case

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
            kept = self._recorded_cases()
            return [kept[number] for number in numbers]
        from parity_tests.cases.draw import draw_case  # Hypothesis is not needed for recorded cases

        return [draw_case(self.seed, number, self.asker.kinds, self.without) for number in numbers]

    def small_cases(self) -> list[Case]:
        """The smallest cases of each kind that can be asked: where a failure is looked for first."""
        cases = [
            Case(kind=kind, B=B, T=1 if kind.endswith("cell") else T, D=D, H=H, h0=h0 or kind == "cell")
            for kind in self.asker.kinds
            for h0 in (False, True)
            for B, T, D, H in SMALL
        ]
        cases += [replace(case, layers=2, bidirectional=True) for case in cases if case.kind == "nn"]
        return sorted({restricted(case, self.without) for case in cases}, key=lambda case: case.size)

    def shrink(self, number: int, fails: Callable[[Case], bool], deadline: float) -> Case:
        """The smallest failing case that a failing one leads to, before a time of ``time.monotonic()``."""
        from parity_tests.cases.draw import shrink

        return shrink(self.seed, number, fails, deadline, self.asker.kinds, self.without)

    def _recorded_cases(self) -> list[Case]:
        return [case for case in _recorded().cases if self.judges(case)]

    @property
    def checks(self) -> list[tuple[str, str]]:
        """Kind and name of every check of the contract; none where one case alone is judged."""
        if self.case is not None or self.asker.kind == "adapter":
            return []
        return checks_of(self.asker.kinds, self.without)

    @property
    def declared(self) -> list[str]:
        """What the target is declared to lack beyond what its kind implies."""
        return [name for name in self.without if name not in IMPLIED.get(self.asker.kind, ())]

    @property
    def not_asked(self) -> list[str]:
        """What the target is declared to lack, in words."""
        return [described(name) for name in self.declared]

    def judge_cases(self, cases: Sequence[Case]) -> Report:
        """Judge cases, whatever is found; what cannot be judged is said in the report."""
        report = Report(planned=len(cases))
        endings = 0
        for number, case in enumerate(cases):
            if self.stops and endings >= ENDINGS:
                report.stopped = len(cases) - number
                break
            try:
                part = judge(case, _reference(self.reference), self.asker.ask, self.without)
            except (ReferenceFault, RecordedError, TargetError) as fault:
                report.unjudged.append(str(fault))
                continue
            report.add(part.excused(self.known))
            endings += any(finding.check in ENDED for finding in part.findings)
        return report

    def judge_batch(self, batch: int) -> Report:
        """Judge the cases of a batch, or none of them where the run stops at a fault."""
        asker, size = self.asker, self.size(batch)
        if self.stops and asker.found:
            return Report(planned=size, stopped=size)
        report = self.judge_cases(self.cases(batch))
        asker.found |= bool(report.faults)
        return report

    def judge_contract(self, kind: str, name: str) -> Report:
        """Run a check of the contract."""
        report = Report(planned=0, checks=1)
        try:
            findings, reason = self.asker.check(kind, name, self.without)
        except TargetError as error:
            findings, reason = [], f"{name}: {error}"
        report.find([finding for finding in findings if finding.tensor not in self.without])
        report.unjudged += [reason] if reason else []
        return report.excused(self.known)

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


def _seconds(text: str | None) -> float:
    try:
        seconds = DEFAULT_TIMEOUT if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise PlanError(f"timeout: expected a number of seconds above 0, got {text!r}")
    return seconds


@cache
def _recorded() -> Recorded:
    return read(default_folder())


@cache
def _reference(name: str) -> Reference:
    if name == "recorded":
        return _recorded()
    import torch

    from parity_tests.references.live_torch import torch_answers

    torch.set_num_threads(1)
    return torch_answers


@cache
def _asker(target: str, kind: str | None, timeout: float) -> Asker:
    if target in LOCAL:
        return InProcess(*LOCAL[target])
    if target == OURS and kind is None:
        import rnn_np

        return InProcess(rnn_np, "package")
    return InChild(Target(target, kind), timeout)


def close_askers(plan: Plan) -> None:
    """End the child process of a plan, if it has one."""
    plan.asker.close()
    _asker.cache_clear()
