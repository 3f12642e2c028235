"""The gate is seen to catch layers broken on purpose, and to accuse no right one."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import OF_ADAPTERS, TENSORS
from parity_tests.checks.values import judge
from parity_tests.gate_tests.kept import answers_of, drawn
from parity_tests.gate_tests.wrong import WRONG, one_tensor_off
from parity_tests.references.live_torch import torch_answers
from parity_tests.report import Report
from parity_tests.selftest.measures.right_layers import RIGHT
from parity_tests.subjects.drivers import kinds_of, run_case

pytestmark = pytest.mark.usefixtures("allowances_kept")
CASES = 150
NOTEBOOK = tuple(
    name for name in TENSORS if not name.startswith(("dweight", "dbias")) and name not in OF_ADAPTERS
)


def _report(layers: object, number: int = CASES, seed: int = 11) -> Report:
    report = Report(planned=number)
    for index in range(number):
        report.add(judge(drawn(seed, index, kinds_of(layers)), answers_of, partial(run_case, layers)))
    return report


@pytest.mark.parametrize("name", RIGHT)
def test_right_layers_are_not_accused(name: str) -> None:
    report = _report(RIGHT[name], number=300)
    assert report.ok, report.findings
    assert set(report.tensors) == set(NOTEBOOK)
    # A right layer is far from the limit, or the limit is no measure of rounding.
    assert max(tally.worst for tally in report.tensors.values()) < 0.4


@pytest.mark.parametrize("name", WRONG)
def test_broken_layers_are_caught(name: str) -> None:
    layers, check, tensors = WRONG[name]
    report = _report(layers)
    assert not report.ok
    assert report.exit_code == 1
    found = {(finding.check, finding.tensor) for finding in report.findings}
    allowed = {(kind, tensor) for kind in (check, "values", "non-finite values") for tensor in tensors}
    assert {(check, tensor) for tensor in tensors} <= found <= allowed


@pytest.mark.parametrize("tensor", NOTEBOOK)
@pytest.mark.parametrize(("dtype", "off"), [("f64", 1e-12), ("f32", 2e-4)])
def test_one_element_a_little_off_is_caught_in_its_tensor_alone(tensor: str, dtype: str, off: float) -> None:
    case = Case(B=3, T=5, D=4, H=6, dtype=dtype, h0=True)
    report = judge(case, torch_answers, partial(run_case, one_tensor_off(tensor, lambda array: off)))
    assert [(f.check, f.tensor) for f in report.findings] == [("values", tensor)]
    assert judge(case, torch_answers, partial(run_case, one_tensor_off(tensor, lambda array: 0.0))).ok


def test_the_message_needs_no_debugger() -> None:
    case = Case(B=2, T=5, D=3, H=4)
    layers, _, _ = WRONG["carry dropped"]
    finding = next(
        f for f in judge(case, torch_answers, partial(run_case, layers)).findings if f.tensor == "dx"
    )
    truth = torch_answers(case, calls := calls_of(case))[0]["dx"]
    layer = layers.TimeRNN(calls[0].Wx, calls[0].Wh, calls[0].b)
    layer.forward(calls[0].xs)
    got = layer.backward(calls[0].dhs)
    assert finding.case == case
    # Of the first step, the element that is off by most.
    row, unit = np.unravel_index(np.argmax(np.abs(got - truth)[:, 0]), truth[:, 0].shape)
    assert finding.message.startswith(
        f"dx[{row}, 0, {unit}]: got {got[row, 0, unit]:.6g}, expected {truth[row, 0, unit]:.6g}, error over"
    )
    # Without a carry the last step is right, and only the last.
    assert finding.message.endswith("; first wrong time step 0, last 3, of 0 to 4")
