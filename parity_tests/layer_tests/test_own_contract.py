"""The project's own layers keep all of the contract: what is advice for other layers holds of them too."""

import numpy as np
import pytest

import rnn_np
from parity_tests.cases.case import Case
from parity_tests.checks.contract import memory_layouts, speed
from parity_tests.checks.registry import TEMPLATES, checks_for, run_contract_check
from parity_tests.subjects.drivers import run_case
from rnn_np import nn


@pytest.mark.parametrize("kind", TEMPLATES)
def test_no_check_finds_anything_of_any_severity(kind: str) -> None:
    for check in checks_for((kind,), ()):
        if check[1] not in (memory_layouts.name, speed.name):  # layouts have tests of their own
            assert run_contract_check(rnn_np, *check, ()) == ([], "")


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_no_case_finds_anything_of_any_severity(dtype: str) -> None:
    for case in (
        Case(B=2, T=3, D=2, H=3, h0=True, calls="chunks2", dtype=dtype),
        Case(layer="RNN", B=2, T=1, D=2, H=3, h0=True, calls="again", dtype=dtype),
        Case(layer="nn.RNN", B=2, T=3, D=2, H=3, layers=2, calls="again", dtype=dtype),
        Case(layer="nn.RNNCell", B=2, T=1, D=2, H=3, calls="again", dtype=dtype),
    ):
        results = run_case(rnn_np, case)
        assert results.findings == []
        assert all(not call.mismatches and not call.dtypes and not call.absent for call in results.calls)


@pytest.mark.parametrize("layer", [nn.RNN(2, 3, 2, bidirectional=True), nn.RNNCell(2, 3)])
def test_a_state_dict_shares_no_memory_with_the_layer(layer: nn.RNN | nn.RNNCell) -> None:
    own = dict(layer.named_parameters())
    taken = layer.state_dict()
    layer.load_state_dict(taken)
    for name, value in taken.items():
        assert not np.shares_memory(value, own[name])
    before = {name: value.copy() for name, value in own.items()}
    for value in taken.values():
        value[...] = 7
    assert all(np.array_equal(value, before[name]) for name, value in layer.named_parameters())
