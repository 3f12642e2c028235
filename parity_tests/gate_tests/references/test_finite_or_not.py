"""A reference that is not finite where it should be, or the reverse, judges nothing: it neither accuses nor excuses."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import rnn_np
from parity_tests import check
from parity_tests.cases.arrays import Array, calls_of
from parity_tests.checks.values import ReferencesDisagree, judge
from parity_tests.references.recorded import default_recorded
from parity_tests.references.tolerance import allowance
from parity_tests.report import Report
from parity_tests.subjects.drivers import run_case

RECORDED = default_recorded()
PLANTED = [case for case in RECORDED.cases if case.nonfinite.endswith(("@xs", "@h0", "@dhs"))]
ORDINARY = [case for case in RECORDED.cases if case.nonfinite == "none" and not case.has_head][::40]


def judged(case: Any, name: str, falsified: Array) -> Report:
    first, *rest = RECORDED(case, calls_of(case))
    return judge(case, lambda *_: [{**first, name: falsified}, *rest], partial(run_case, rnn_np))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_recorded_nan_in_place_of_a_number_accuses_no_layer(value: float) -> None:
    for case in ORDINARY:
        for name, truth in RECORDED(case, calls_of(case))[0].items():
            falsified = truth.copy()
            falsified.reshape(-1)[-1] = value
            with pytest.raises(ReferencesDisagree, match="more than any rounding explains"):
                judged(case, name, falsified)


def test_a_recorded_number_in_place_of_nan_is_no_truth() -> None:
    altered = 0
    for case in PLANTED:
        for name, truth in RECORDED(case, calls_of(case))[0].items():
            falsified = truth.copy()
            falsified[~np.isfinite(truth)] = 0.25
            if np.isfinite(truth).all() or name == "db_hh":
                continue
            altered += 1
            with pytest.raises(ReferencesDisagree, match="more than any rounding explains"):
                judged(case, name, falsified)
    assert altered > 20


class NanAtTheEnd(rnn_np.TimeRNN):
    """It has NaN where the falsified torch has it."""

    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        hs[-1, -1, -1] = np.nan
        return hs


@pytest.mark.parametrize("layer", [rnn_np.TimeRNN, NanAtTheEnd])
def test_a_torch_that_returns_nan_is_not_believed(layer: type, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    right = torch.nn.RNN.forward

    def wrong(rnn: Any, *arguments: Any) -> Any:
        output, h_n = right(rnn, *arguments)
        output = output.clone()
        output[-1, -1, -1] = torch.nan
        return output, h_n

    monkeypatch.setattr(torch.nn.RNN, "forward", wrong)
    report = check(layer, case="B2T3D4H5-f64-s0")
    assert report.exit_code == 2
    assert not report.findings
    assert "two references differ in hs by more than any rounding explains" in report.errors[0]


def test_where_a_value_may_overflow_both_are_right() -> None:
    loop = np.array([[1.0, 1e308], [1.0, 2.0]])
    truth, runs = np.array([[1.0, np.inf], [1.0, 2.0]]), np.stack([loop, loop])
    for unsure, disagreement in (([True, False], 0.0), ([False, True], np.inf)):
        assert allowance(truth, runs, 2.0**-53, 0.0, np.array(unsure)).disagreement == disagreement


def test_zeros_in_place_of_numbers_are_no_wide_spread() -> None:
    loop = np.array([[1.0], [2.0]])
    runs = np.stack([loop, loop * (1 + 2.0**-52), loop * (1 - 2.0**-52)])
    unsure = np.zeros(2, bool)
    assert allowance(loop, runs, 2.0**-53, 0.0, unsure).disagreement < 1
    assert allowance(loop * [[0], [1]], runs, 2.0**-53, 0.0, unsure).disagreement > 1
