"""Layers as people write them: every faulty one is caught, and no right one is accused."""

from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from math import inf
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

from parity_tests.cases.case import Case
from parity_tests.checks.registry import checks_for, run_contract_check
from parity_tests.checks.values import judge
from parity_tests.gate_tests.kept import answers_of, drawn
from parity_tests.gate_tests.people import CELLS, LAYERS, MODULES, RIGHT_LAYERS, RIGHT_MODULES
from parity_tests.report import Report, Severity
from parity_tests.subjects.drivers import run_case
from rnn_np import nn

pytestmark = pytest.mark.usefixtures("allowances_kept")
MOST = 700
"""Cases tried; a default run has 2000."""
FAULTS_BY_CONTRACT = {
    "OneTapeForAll": "two layers in turn",
    "ClassCache": "two layers in turn",
    "ClassCacheCell": "two layers in turn",
    "OverflowingTanh": "large inputs",
}
"""Whose faults no values of a drawn case show, and the check that does."""
ADVICE_BY_CONTRACT = {
    "CachePopped": "repeatable backward",
    "KeepsInputView": "inputs copied",
    "OutputIsTheCache": "results copied",
    "LiveWeightsInBackward": "weights copied",
    "ForwardZeroesGrads": "gradients kept",
    "KeepsGivenState": "state copied",
    "LoadedByReference": "checkpoints copied",
    "NewGradientArrays": "gradients in place",
}
"""What correct layers do too, and the check that says so."""
AS_IN_TORCH = {"LiveStateDict"}
"""What torch does itself, and no check says."""
BLOCKS = "blocks"
"""The tag of a layer that multiplies block by block in Python: large cases take it seconds each."""
MOST_PRODUCTS = 40_000
"""Products a row in the cases that it is judged in by every run."""
FLOAT64_OUT = "float64-out"
"""The tag of layers that give float64 for float32, which is advice."""


def cases(kind: str) -> Iterator[Case]:
    """Drawn cases of a kind that the layers here have: they know no packed sequences."""
    of_kind = (drawn(0, number, (kind,)) for number in count())
    return (case for case in of_kind if case.form != "packed")


def layers(kind: str, cls: Any) -> SimpleNamespace:
    if kind == "nn.RNN":
        return SimpleNamespace(nn=SimpleNamespace(RNN=cls))
    return SimpleNamespace(**{{"TimeRNN": "TimeRNN", "RNN": "RNN"}[kind]: cls})


class ReadAcrossRows(nn.RNN):
    """Packed data taken for whole rows one after another."""

    def forward(self, input: Any, *arguments: Any, **options: Any) -> Any:  # noqa: A002, torch's name
        """Run over the rows as they are misread."""
        if isinstance(input, nn.utils.rnn.PackedSequence):
            rows = [np.nonzero(input.batch_sizes > row)[0] for row in range(input.batch_sizes[0])]
            starts = np.cumsum(input.batch_sizes) - input.batch_sizes
            order = np.concatenate([starts[steps] + row for row, steps in enumerate(rows)])
            input = input._replace(data=input.data[order])  # noqa: A001
        return super().forward(input, *arguments, **options)

    __call__ = forward


def test_packed_data_read_across_rows_is_caught() -> None:
    subject = SimpleNamespace(nn=SimpleNamespace(RNN=ReadAcrossRows, utils=nn.utils))
    of_modules = (drawn(0, number, ("nn.RNN",)) for number in range(100))
    wrong = [case for case in of_modules if judge(case, answers_of, partial(run_case, subject)).faults]
    assert len(wrong) > 10
    # With one row, or one step, there is nothing to mix up.
    assert {case.form for case in wrong} == {"packed"}
    assert all(case.B > 1 and case.T > 1 for case in wrong if case.calls == "once")


def faulty() -> list[Any]:
    return [
        pytest.param(kind, cls, id=f"{tag}-{cls.__name__}")
        for kind, entries in (("TimeRNN", LAYERS), ("RNN", CELLS), ("nn.RNN", MODULES))
        for tag, _, cls in entries
        if cls.__name__ not in {*FAULTS_BY_CONTRACT, *ADVICE_BY_CONTRACT, *AS_IN_TORCH} and tag != FLOAT64_OUT
    ]


@pytest.mark.parametrize(("kind", "cls"), faulty())
def test_a_fault_is_caught(kind: str, cls: Any) -> None:
    subject = layers(kind, cls)
    assert any(
        judge(case, answers_of, partial(run_case, subject)).faults for case in islice(cases(kind), MOST)
    )


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        pytest.param(kind, cls, id=cls.__name__)
        for kind, entries in (("TimeRNN", LAYERS), ("RNN", CELLS))
        for tag, _, cls in entries
        if tag == FLOAT64_OUT
    ],
)
def test_float64_out_of_float32_is_advice_given_once_and_all_else_is_judged(kind: str, cls: Any) -> None:
    report = Report(planned=60)
    for case in islice(cases(kind), 60):
        report.add(judge(case, answers_of, partial(run_case, layers(kind, cls))))
    assert report.ok, report.findings
    assert [(f.what, f.severity) for f in report.findings] == [("wider dtype", Severity.ADVISORY)]
    assert all(tally.cases == 60 for tally in report.tensors.values())


@pytest.mark.parametrize(
    ("name", "check", "severity"),
    [(*row, Severity.FAULT) for row in FAULTS_BY_CONTRACT.items()]
    + [(*row, Severity.ADVISORY) for row in ADVICE_BY_CONTRACT.items()],
)
def test_the_contract_shows_what_values_do_not(name: str, check: str, severity: Severity) -> None:
    everything = (("TimeRNN", LAYERS), ("RNN", CELLS), ("nn.RNN", MODULES))
    ((kind, cls),) = [
        (kind, cls) for kind, entries in everything for _, _, cls in entries if cls.__name__ == name
    ]
    findings, reason = run_contract_check(layers(kind, cls), kind, check, ())
    assert findings, reason
    assert {finding.severity for finding in findings} == {severity}


def products(case: Case) -> int:
    """How many numbers a row multiplies."""
    return case.T * (case.D + case.H) * case.H


def right_layers() -> Iterator[Any]:
    """Every right layer, with the size of the cases that it is judged in."""
    modules = [*RIGHT_MODULES, *(row for row in MODULES if row[2].__name__ in AS_IN_TORCH)]
    for kind, entries in (("TimeRNN", RIGHT_LAYERS), ("nn.RNN", modules)):
        for tag, _, cls in entries:
            if tag == BLOCKS:
                yield pytest.param(kind, cls, MOST_PRODUCTS, id=tag)
                yield pytest.param(kind, cls, inf, id=f"{tag}, large cases too", marks=pytest.mark.proof)
            else:
                yield pytest.param(kind, cls, inf, id=tag)


@pytest.mark.parametrize(("kind", "cls", "most_products"), [*right_layers()])
def test_a_right_layer_is_not_accused(kind: str, cls: Any, most_products: float) -> None:
    report = Report(planned=120)
    small = (case for case in cases(kind) if products(case) <= most_products)
    for case in islice(small, 120):
        report.add(judge(case, answers_of, partial(run_case, layers(kind, cls))))
    assert report.ok, report.findings
    for check in checks_for((kind,), ()):
        findings, reason = run_contract_check(layers(kind, cls), *check, ())
        assert not reason
        assert Severity.FAULT not in {finding.severity for finding in findings}, findings
