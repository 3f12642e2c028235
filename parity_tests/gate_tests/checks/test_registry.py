"""The registry of checks is complete, and every check of the contract finds the layer that breaks it."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from parity_tests.cases.case import Case
from parity_tests.cases.features import BACKWARD, FEATURES
from parity_tests.check_facts import GRADIENTS_IN_PLACE, INPUTS_UNTOUCHED, RESULTS_OWNED, Check
from parity_tests.checks import calls, contract, copies, registry, state
from parity_tests.checks.registry import ALL_CHECKS, CONTRACT_CHECKS, checks_for, run_contract_check
from parity_tests.checks.trial import ContractCheck, Trial, contract_check
from parity_tests.gate_tests.people import LAYERS
from parity_tests.report import Severity
from parity_tests.selftest.broken_layers import BROKEN
from parity_tests.subjects.drivers import run_case
from parity_tests.subjects.interfaces import subject_of
from rnn_np import TimeRNN

BY_PEOPLE = {
    "inputs copied": "KeepsInputView",
    "results copied": "OutputIsTheCache",
    "weights copied": "LiveWeightsInBackward",
    "gradients kept": "ForwardZeroesGrads",
}
"""Advisory checks that fail for correct layers too, and a layer of ``people`` that fails each."""
OF_STATE = {"state kept", "state apart from results", "other batch size", "state reset"}
EVERY_KIND = ("TimeRNN", "RNN", "nn.RNN", "nn.RNNCell")


class Clock:
    """A clock that goes on by one at every look, and by more where a layer is slow."""

    now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


def findings_of(name: str, kind: str, cls: Any) -> list[tuple[str, Severity, str | None]]:
    subject = subject_of(cls, {"TimeRNN": "layer", "nn.RNN": "module"}[kind])
    findings, reason = run_contract_check(subject, kind, name, ())
    assert not reason
    return [(finding.check, finding.severity, finding.fault) for finding in findings]


def test_every_check_has_a_name_of_its_own_and_a_meaning() -> None:
    names = [check.name for check in ALL_CHECKS]
    assert len({*names}) == len(names)
    assert CONTRACT_CHECKS.keys() < {*names}
    for check in ALL_CHECKS:
        assert check.meaning.endswith("."), check
        assert check.applies_to, check


def test_every_check_of_the_contract_has_a_fault_of_its_own_and_advice() -> None:
    faults = [check.facts.fault for check in CONTRACT_CHECKS.values()]
    assert None not in faults
    assert len({*faults}) == len(faults)
    assert all(check.facts.advice for check in CONTRACT_CHECKS.values())


def test_a_check_needs_a_feature_that_can_be_declared_missing() -> None:
    assert {name for check in CONTRACT_CHECKS.values() for name in check.needs} <= {*FEATURES, BACKWARD}


def test_two_checks_of_one_name_are_refused() -> None:
    @contract_check("second call", fault="another", advice="look elsewhere")
    def another(trial: Trial) -> None:
        """Something else holds."""

    with pytest.raises(ValueError, match="two checks have the name 'second call'"):
        registry.registered(contract, state, SimpleNamespace(another=another))  # type: ignore[arg-type]


def test_every_function_with_the_decorator_is_registered() -> None:
    modules = (contract, calls, copies, state)
    written = [v for module in modules for v in vars(module).values() if isinstance(v, ContractCheck)]
    assert written == [*CONTRACT_CHECKS.values()]


@pytest.mark.parametrize("name", [name for name in CONTRACT_CHECKS if name != contract.speed.name])
def test_a_check_finds_the_layer_that_breaks_it(name: str) -> None:
    facts = CONTRACT_CHECKS[name].facts
    if name in BROKEN:
        found = findings_of(name, *BROKEN[name])
    else:
        assert facts.severity == Severity.ADVISORY, f"{name} has no broken layer"
        found = findings_of(
            name, "TimeRNN", next(cls for _, _, cls in LAYERS if cls.__name__ == BY_PEOPLE[name])
        )
    # A layer may break the promise in one precision alone.
    assert {*found} == {(name, facts.severity, facts.fault)}


@pytest.mark.parametrize("check", [INPUTS_UNTOUCHED, RESULTS_OWNED, GRADIENTS_IN_PLACE], ids=lambda c: c.name)
def test_a_case_and_the_contract_say_the_same_of_a_side_effect(check: Check) -> None:
    kind, cls = BROKEN[check.name]
    subject = subject_of(cls, "layer")
    findings, _ = run_contract_check(subject, kind, check.name, ())
    in_a_case = run_case(subject, Case(B=3, T=4, D=2, H=5, h0=True, calls="chunks2")).findings
    assert {finding.check for finding in in_a_case} == {check.name}
    seen = {(f.tensor, f.message, f.severity, f.fault) for f in in_a_case}
    assert {(f.tensor, f.message, f.severity, f.fault) for f in findings} <= seen
    assert all(f.fault == check.fault and f.message.endswith(f"; {check.advice}") for f in in_a_case)


def test_a_slow_layer_is_found_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    class Slow(TimeRNN):
        def forward(self, xs: Any) -> Any:
            clock.now += 1000
            return super().forward(xs)

    monkeypatch.setattr(time, "perf_counter", clock)
    name = contract.speed.name
    assert findings_of(name, "TimeRNN", TimeRNN) == []
    assert findings_of(name, "TimeRNN", Slow) == [(name, Severity.ADVISORY, "slow")] * 2


def test_the_checks_of_a_kind_keep_their_order() -> None:
    """Test ids, and what xdist hands out, follow it."""
    every = """inputs untouched, results owned by the caller, repeatable backward, second call, gradients overwritten,
        gradients in place, parameters by reference, two layers in turn, two forwards, memory layouts, large inputs,
        inputs copied, results copied, weights copied, gradients kept, speed, fifty calls,
        another thread, empty inputs, other dtypes, deep copies, pickles"""
    added = {
        "TimeRNN": [
            "state copied",
            "state kept",
            "state apart from results",
            "other batch size",
            "state reset",
            "replaced parameters",
        ],
        "RNN": ["replaced parameters"],
        "nn.RNN": ["checkpoints copied", "checkpoints restored", "bad lengths"],
        "nn.RNNCell": ["checkpoints copied", "checkpoints restored"],
    }
    names = [name.strip() for name in every.split(",")]
    assert checks_for(EVERY_KIND, ()) == [(kind, name) for kind in EVERY_KIND for name in names + added[kind]]


@pytest.mark.parametrize(
    ("without", "left_out"),
    [
        ("layouts", {"memory layouts"}),
        ("second-call", {"second call", "empty inputs", "replaced parameters"}),
        ("large-inputs", {"large inputs"}),
        ("state", OF_STATE),
        ("initial-state", {"state copied", *OF_STATE}),
        ("batch", {"other batch size"}),
        ("lengths", set()),
    ],
)
def test_what_a_target_lacks_is_not_checked(without: str, left_out: set[str]) -> None:
    every, rest = checks_for(("TimeRNN",), ()), checks_for(("TimeRNN",), (without,))
    assert {name for _, name in every} - {name for _, name in rest} == left_out


def test_the_table_lists_every_check_once() -> None:
    heading, line, *rows = registry.check_table().splitlines()
    assert heading.startswith("| check | severity |")
    assert line == "| --- | --- | --- | --- | --- |"
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [check.name for check in ALL_CHECKS]
    assert "| speed | unusual | all layers |" in registry.check_table()
