"""A session with a target that does not answer: how often it is asked, and how long it may take."""

from contextlib import suppress
from typing import Any

import pytest

from parity_tests.cases.case import Case
from parity_tests.report import Report
from parity_tests.run.plan import Plan
from parity_tests.run.runner import Run
from parity_tests.subjects import session
from parity_tests.subjects.drivers import kinds_of
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Loaded, Target
from parity_tests.subjects.results import CaseResults
from parity_tests.subjects.sandbox.parent import ChildDied, ChildRaised, ChildTimeout
from parity_tests.subjects.session import CallFailed, InChild, TargetGivenUp

CASE = Case.parse("B1T1D1H1-f64-s0")


class Silent:
    """In place of a child process: each call ends as the list says, and with an answer once it is empty."""

    printed = ""

    def __init__(self, _target: Target, timeout: float, functions: Any) -> None:
        self.timeout = timeout
        self.limits: list[float] = []
        self.ends: list[Exception] = []

    def start(self) -> Loaded:
        return Loaded("layer", None, [])

    def call(self, function: Any, *_: Any) -> Any:
        if function is kinds_of:
            return ("TimeRNN",)
        self.limits.append(self.timeout)
        if self.ends:
            raise self.ends.pop(0)
        return CaseResults()

    def close(self) -> None:
        pass


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(session, "Child", Silent)
    return InChild(Target("mine.py:RNN"), 10.0, ())


def test_after_the_first_hang_a_call_gets_a_tenth_of_the_time(silent: Any) -> None:
    silent.run_case(CASE)
    silent.child.ends = [ChildTimeout("timed out after 10 s"), ChildTimeout("timed out after 1 s")]
    messages = [silent.run_case(CASE).findings[0].message for _ in range(2)]
    silent.run_case(CASE)
    assert silent.child.limits == [10, 10, 1, 1]
    assert messages == [
        "timed out after 10 s",
        "timed out after 1 s (a tenth of the limit, because an earlier call did not return)",
    ]


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ([ChildTimeout("hung")] * 5, "the target had not returned in time five times"),
        ([ChildDied("dead")] * 5, "the target had ended its process five times"),
        (
            [ChildTimeout("hung"), TargetError("gone")] + [ChildDied("dead")] * 3,
            "the target had not returned in time or had ended its process or could not be loaded again "
            "five times",
        ),
    ],
)
def test_after_five_lost_calls_no_more_are_made(silent: Any, ends: list[Exception], reason: str) -> None:
    silent.child.ends = [ChildRaised("an exception is an answer"), *ends]
    for _ in range(6):
        with suppress(TargetError):
            assert silent.run_case(CASE).findings
    for _ in range(2):
        with pytest.raises(TargetGivenUp) as given_up:
            silent.run_case(CASE)
        assert str(given_up.value) == reason
    assert len(silent.child.limits) == 6


def test_checks_leave_calls_for_the_cases(silent: Any) -> None:
    silent.child.ends = [ChildTimeout("hung")] * 5
    for _ in range(2):
        with pytest.raises(CallFailed):
            silent.call(str)
    with pytest.raises(TargetGivenUp):
        silent.call(str)
    for _ in range(3):
        assert silent.run_case(CASE).findings[0].check == "returns in time"
    with pytest.raises(TargetGivenUp):
        silent.run_case(CASE)


def test_cases_that_are_given_up_are_counted_and_are_no_pass(silent: Any) -> None:
    silent.child.ends = [ChildTimeout("hung")] * 9
    plan = Plan(
        Target("mine.py:RNN"),
        "layer",
        ("TimeRNN",),
        "recorded",
        number=30,
        known={"returns in time": "we know"},
    )
    run = Run(plan, silent)
    run.expect(plan.batches, 0)
    for batch in plan.batches:
        run.add(run.judge_batch(batch), batch)
    report = run.finish()
    assert "25 of 30 cases were not judged: the target had not returned in time five times" in (
        report.not_judged
    )
    assert len(report.not_judged) == 3  # the others: five cases not compared, and no check run
    assert report.exit_code == 2
    other = Report(planned=0, given_up=dict(report.given_up))
    report.add(Report.from_json(other.to_json()))
    assert report.given_up == {"the target had not returned in time five times": 2 * 25}
    assert Report(2000, given_up={"why": 1640}).not_judged[0] == "1,640 of 2,000 cases were not judged: why"


def test_a_target_whose_attributes_cannot_be_read_is_refused(silent: Any, monkeypatch: Any) -> None:
    def broken(*_: Any) -> None:
        raise ChildRaised("RuntimeError: no")

    monkeypatch.setattr(Silent, "call", broken)
    with pytest.raises(TargetError, match=r"mine\.py:RNN: its attributes cannot be read: RuntimeError: no"):
        InChild(Target("mine.py:RNN"), 10.0, ())
