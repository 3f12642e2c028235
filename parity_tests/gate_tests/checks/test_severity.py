"""A fault makes numbers wrong in ordinary use; what right layers and torch do too is advice, or nothing."""

from functools import cache, partial
from itertools import count, islice
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.checks.contract import memory_layouts, speed
from parity_tests.checks.registry import checks_for, run_contract_check
from parity_tests.checks.values import judge
from parity_tests.gate_tests.people import right_styles
from parity_tests.references.live_torch import torch_answers
from parity_tests.report import Finding, Report, Severity
from parity_tests.selftest.catalogue_run import tried
from parity_tests.subjects.drivers import kinds_of, run_case
from parity_tests.subjects.interfaces import recognise, subject_of
from rnn_np import TimeRNN, nn

SEQUENCE = ("layers", "bidirectional", "batch-first", "no-bias", "unbatched", "lengths", "dropout", "packed")
COSTLY = (memory_layouts.name, speed.name)


@cache
def found(cls: Any, without: tuple[str, ...] = (), cases: int = 8) -> tuple[list[Finding], list[str]]:
    """What the gate finds in a class, and what it could not do."""
    subject = subject_of(cls, recognise(cls, "it"))
    (kind,) = kinds_of(subject)
    report = Report(planned=cases)
    drawn = (draw_case(4, number, (kind,), (*without, "packed")) for number in count())
    for case in islice((case for case in drawn if case.B * case.T * case.H < 1000), cases):
        report.add(judge(case, torch_answers, partial(run_case, subject, without=without), without))
    for _, check in checks_for((kind,), without):
        if check not in COSTLY:
            findings, reason = run_contract_check(subject, kind, check, without)
            report.find(findings)
            report.errors += [reason] if reason else []
    return report.findings, report.errors


def faults(findings: list[Finding]) -> set[str]:
    return {finding.check for finding in findings if finding.severity == Severity.FAULT}


RIGHT = [
    (right_styles.Sequence, SEQUENCE),
    (right_styles.Live, SEQUENCE),
    (right_styles.Renamed, SEQUENCE),
    (right_styles.Step, ()),
    (right_styles.Views, ()),
    (right_styles.Stacked, ()),
    (right_styles.OwnBuffers, ()),
    (right_styles.DoubleResults, ()),
    (right_styles.Single, ("float64",)),
    (right_styles.SingleInside, ("float64",)),
]
WRONG = [
    (right_styles.SequenceFinalLost, SEQUENCE, {"values"}),
    (right_styles.LiveNeverZero, SEQUENCE, {"values", "gradients overwritten", "second call"}),
    (right_styles.LiveOldCheckpoint, SEQUENCE, {"checkpoints restored"}),
    (right_styles.StepSlopeLost, (), {"values"}),
    (right_styles.ViewsFirstStateLost, (), {"values"}),
    (right_styles.OwnBuffersAddUp, (), {"values", "gradients overwritten", "second call"}),
    (right_styles.DoubleCarryLost, (), {"values"}),
    (right_styles.Single, (), {"dtype"}),
    (right_styles.SingleBiasTwice, (), {"values", "dtype"}),
    (right_styles.SingleInside, (), {"dtype"}),
]


@pytest.mark.parametrize(("cls", "without"), RIGHT, ids=lambda value: getattr(value, "__name__", ""))
def test_a_right_layer_of_another_style_is_not_accused(cls: Any, without: tuple[str, ...]) -> None:
    findings, errors = found(cls, without)
    assert faults(findings) == set(), findings
    assert errors == []


@pytest.mark.parametrize(
    ("cls", "without", "checks"), WRONG, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_same_with_a_fault_is_caught(cls: Any, without: tuple[str, ...], checks: set[str]) -> None:
    assert faults(found(cls, without, cases=12)[0]) - {"non-finite values"} == checks


def test_references_kept_are_advice() -> None:
    findings, _ = found(right_styles.Views)
    assert {finding.check for finding in findings} == {
        "repeatable backward",
        "inputs copied",
        "results copied",
        "weights copied",
        "state copied",
        "state apart from results",
        "other batch size",
        "other dtypes",
    }
    assert {finding.fault for finding in findings} >= {
        "set_state keeps the caller's array",
        "state is a view of the result",
    }
    assert "checkpoints copied" in {finding.check for finding in found(right_styles.Live, SEQUENCE)[0]}
    # The state is an attribute, and not what a call returns.
    (buffers,) = (f for f in found(right_styles.OwnBuffers)[0] if f.check == "results owned by the caller")
    assert (buffers.tensor, buffers.severity) == ("h_n", Severity.ADVISORY)


def test_advice_is_a_fault_of_the_projects_own_layers() -> None:
    class Keeps(TimeRNN):
        kept: Any = None

        def set_state(self, h: Any) -> None:
            self.kept = h

        def forward(self, xs: Any) -> Any:
            super().set_state(self.kept)
            self.kept = None
            return super().forward(xs)

    for module, severity in ((__name__, Severity.ADVISORY), ("rnn_np._layers", Severity.FAULT)):
        Keeps.__module__ = module
        findings, _ = run_contract_check(subject_of(Keeps, "layer"), "TimeRNN", "state copied", ())
        assert {finding.severity for finding in findings} == {severity}


# Precision.


def test_float64_out_of_float32_comes_last_and_once() -> None:
    report = parity_tests.check(right_styles.DoubleCarryLost, cases=6, lines=False)
    assert {finding.severity for finding in report.findings[:5]} == {Severity.FAULT}
    assert [finding.what for finding in report.findings].count("wider dtype") == 1
    assert report.findings[-1].what == "wider dtype"
    assert report.findings[-1].severity == Severity.ADVISORY
    assert "hs, h_n, dx, dh_0 are float64" in report.findings[-1].message
    assert str(report).index("WRONG" if "WRONG" in str(report) else "values of") < str(report).index(
        "wider dtype"
    )


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (right_styles.Single, "buffers fixed to float32"),
        (right_styles.SingleInside, "float32 inside"),
        (right_styles.SingleSum, "float32 inside"),
    ],
)
def test_float64_computed_in_float32_is_one_fault(cls: Any, fault: str) -> None:
    report = parity_tests.check(cls, cases=6)
    assert [(finding.what, finding.fault) for finding in report.faults] == [("dtype", fault)]
    assert "np.float32" in report.faults[0].message


def test_half_precision_is_not_taken_for_float32() -> None:
    assert tried("half precision inside", "").named == "half precision inside"


def test_all_else_of_a_layer_that_computes_in_float32_is_judged_in_float32() -> None:
    report = parity_tests.check(right_styles.SingleBiasTwice, cases=8, lines=False)
    assert [(f.what, f.fault) for f in report.faults] == [
        ("values of db", "gradient doubled"),
        ("dtype", "buffers fixed to float32"),
    ]
    assert report.exit_code == 1
    assert set(report.tensors) == {"hs", "h_n", "dx", "dh_0", "dWx", "dWh", "db"}


def test_layers_of_two_kinds_have_one_fault_of_precision() -> None:
    package = type(
        "package", (), {"TimeRNN": right_styles.Single, "RNN": right_styles.SingleSum, "__module__": "x"}
    )
    report = Report(planned=2)
    for case in (Case(B=2, T=3, D=2, H=3), Case(layer="RNN", B=2, T=1, D=2, H=3, h0=True)):
        report.add(judge(case, torch_answers, partial(run_case, package)))
    assert [finding.what for finding in report.faults if finding.check == "dtype"] == ["dtype"]


# What torch does.


def test_torch_gives_no_gradient_of_a_state_that_was_not_given() -> None:
    for kind, cls in (("nn.RNN", right_styles.Sequence), ("nn.RNNCell", right_styles.Step)):
        given, not_given = (Case(layer=kind, B=2, T=1, D=2, H=3, h0=h0, dtype="f32") for h0 in (True, False))

        class NoGradient(cls):  # type: ignore[misc, valid-type]
            def backward(self, *arguments: Any) -> Any:
                return super().backward(*arguments)[0], None

        subject = subject_of(NoGradient, "module" if kind == "nn.RNN" else "cell")
        assert judge(not_given, torch_answers, partial(run_case, subject)).ok
        (finding,) = judge(given, torch_answers, partial(run_case, subject)).findings
        assert finding.what == "type of dh_0"
        assert finding.message == (
            "dh_0 (the second that `backward` returns) is NoneType, not a numpy.ndarray; "
            "`--without dh_0` says that it is not there"
        )


# What is wrong is said in the user's terms.

OURS = (
    "TypeError",
    "KeyError",
    "IndexError",
    "AttributeError",
    "operand",
    "unpack",
    "subscriptable",
    "Traceback",
)


class Told:
    """A right TimeRNN but for one thing."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.layer = TimeRNN(*arguments, **options)

    def forward(self, xs: Any) -> Any:
        return self.layer.forward(xs)

    def backward(self, dhs: Any) -> Any:
        return self.layer.backward(dhs)

    def set_state(self, h: Any) -> None:
        self.layer.set_state(h)

    def reset_state(self) -> None:
        self.layer.reset_state()

    h = property(lambda self: self.layer.h)
    dh = property(lambda self: self.layer.dh)
    grads = property(lambda self: self.layer.grads)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"forward": lambda self, xs: [self.layer(xs)].clear()},
            "hs (what `forward` returns) is NoneType, not a numpy.ndarray",
        ),
        ({"forward": lambda self, xs: self.layer(xs).tolist()}, "hs (what `forward` returns) is a list of 3"),
        (
            {"backward": lambda self, dhs: (self.layer.backward(dhs), 0)},
            "is a tuple of 2, not a numpy.ndarray",
        ),
        ({"backward": None}, "the layer needs a method `backward`, and it has none"),
        ({"h": None}, "h_n (`h` of the layer) is NoneType, not a numpy.ndarray; `--without h_n` says"),
        ({"dh": "text"}, "dh_0 (`dh` of the layer) is a str, not a numpy.ndarray"),
        ({"grads": None}, "dWx (`grads[0]`) is NoneType, not a numpy.ndarray"),
        ({"grads": {}}, "dWx (`grads[0]`) is a dict, not a numpy.ndarray"),
        ({"grads": [np.zeros(2)]}, "dWx (`grads[0]`) is a list of 1, not a numpy.ndarray"),
        (
            {"set_state": None},
            "the layer needs a method `set_state`, and it has none; `--without initial-state`",
        ),
        ({"set_state": lambda self: None}, "it cannot be called as its interface says"),
    ],
)
def test_what_a_layer_lacks_is_said_in_the_users_terms(change: dict[str, Any], message: str) -> None:
    told = type("Told", (Told,), change)
    subject = subject_of(told, "layer")
    case = Case(B=3, T=3, D=2, H=3, h0=True)
    findings = judge(case, torch_answers, partial(run_case, subject)).findings
    assert any(message in finding.message for finding in findings), findings
    for _, check in checks_for(("TimeRNN",), ()):
        if check not in COSTLY:
            more, reason = run_contract_check(subject, "TimeRNN", check, ())
            findings = [*findings, *more]
            assert not reason or message in reason
    for finding in findings:
        assert (
            not any(word in finding.message.replace(message, "") for word in OURS) or "set_state" in change
        ), finding


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "the answer is a NoneType, expected tensors by name, a dict"),
        ([1, 2], "the answer is a list of 2, expected tensors by name, a dict"),
        ({"hs": None}, "hs is NoneType, not a numpy.ndarray"),
        ({"hs": ["a"]}, "hs is a list of 1, not a numpy.ndarray of numbers"),
    ],
)
def test_an_adapter_that_answers_something_else_is_told_so(answer: Any, message: str) -> None:
    subject = subject_of(lambda problem: answer, "adapter")
    findings = judge(Case(B=1, T=2, D=2, H=2), torch_answers, partial(run_case, subject)).findings
    assert message in findings[0].message, findings


def test_options_that_a_class_does_not_have_are_named_with_the_feature() -> None:
    class Small(nn.RNN):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__(input_size, hidden_size)

    subject = subject_of(Small, "module")
    (finding,) = run_case(subject, Case(layer="nn.RNN", B=1, T=2, D=2, H=2, layers=2, dtype="f32")).findings
    assert "got an unexpected keyword argument 'num_layers'; `--without layers` says" in finding.message
    assert "it was judged as a module: a sequence, made by sizes, like torch.nn.RNN" in finding.message
