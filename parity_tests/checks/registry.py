"""The one list of checks: the contract checks, and those made in every case.

A contract check is a function with a decorator, which gives its name, severity, fault and advice. The other
checks are made by the drivers, by comparing values and by the process of a target; their names and meanings
are in ``parity_tests.check_facts``.
"""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.features import BACKWARD, restricted
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import OUTPUTS, family, tensor_names
from parity_tests.check_facts import CASE_CHECKS, Check, as_advice
from parity_tests.checks import calls, contract, copies, state
from parity_tests.checks.trial import ContractBroken, ContractCheck, Trial
from parity_tests.report import Finding
from parity_tests.subjects.drivers import strictly
from parity_tests.subjects.parts import PartMissing
from parity_tests.subjects.results import is_wanted
from parity_tests.subjects.user_frames import format_error

TEMPLATES = {
    "TimeRNN": Case(B=3, T=4, D=2, H=5, h0=True),
    "RNN": Case(layer="RNN", B=3, T=1, D=2, H=5, h0=True),
    "nn.RNN": Case(
        layer="nn.RNN", B=3, T=4, D=2, H=5, h0=True, layers=2, bidirectional=True, grad_outputs="both"
    ),
    "nn.RNNCell": Case(layer="nn.RNNCell", B=3, T=1, D=2, H=5, h0=True),
}
"""The case in which a kind of layer is checked, once in each precision."""


def registered(*modules: ModuleType) -> dict[str, ContractCheck]:
    """The checks of these modules by name, in the order of their definition."""
    found: dict[str, ContractCheck] = {}
    for value in (value for module in modules for value in vars(module).values()):
        if isinstance(value, ContractCheck) and found.setdefault(value.name, value) is not value:
            raise ValueError(f"two checks have the name {value.name!r}")
    return found


CONTRACT_CHECKS = registered(contract, calls, copies, state)
"""The checks of the contract by name, in the order in which they are run."""
ALL_CHECKS: tuple[Check, ...] = tuple(
    dict.fromkeys((*CASE_CHECKS, *(check.facts for check in CONTRACT_CHECKS.values())))
)
"""Every check once, those made in every case first."""


def checks_for(kinds: Iterable[str], without: Iterable[str]) -> list[tuple[str, str]]:
    """Return kind and name of every check of the contract that applies.

    Args:
        kinds: the kinds of layers that the target has.
        without: what it lacks: features, and checks with hyphens for spaces.
    """
    left_out = {*without}
    asked = {family(name) for kind in KINDS for name in tensor_names(TEMPLATES[kind])} - {*OUTPUTS}
    if not any(is_wanted(name, left_out) for name in asked):
        left_out.add(BACKWARD)
    return [
        (kind, check.name)
        for kind in kinds
        for check in CONTRACT_CHECKS.values()
        if kind in check.kinds
        and check.name.replace(" ", "-") not in left_out
        and not {*check.needs} & left_out
    ]


def run_contract_check(
    subject: Any, kind: str, name: str, without: tuple[str, ...]
) -> tuple[list[Finding], str]:
    """Run one check in both precisions.

    Args:
        subject: the package that has the layer.
        kind: of the layer that is checked.
        name: of the check.
        without: the features and tensors that the layer lacks.

    Returns:
        The findings, and why the check could not be run, or ``""``.
    """
    check = CONTRACT_CHECKS[name]
    findings: list[Finding] = []
    cases = {restricted(replace(TEMPLATES[kind], dtype=dtype), without) for dtype in ("f64", "f32")}
    for case in sorted(cases, key=str):
        trial = Trial(case, subject, without)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                trial.alone(trial.first)
            except PartMissing as missing:
                return findings, f"{name}: {missing}"
            except (Exception, SystemExit) as error:
                return findings, f"{name}: an ordinary call raises {format_error(error)}"
            try:
                check.run(trial)
            except ContractBroken as broken:
                facts = as_advice(check.facts) if broken.is_advice else check.facts
                findings.append(facts.finding(broken.tensor, case, str(broken)))
            except PartMissing as missing:
                findings.append(Finding(name, "", case, str(missing), check.facts.severity))
            except (Exception, SystemExit) as error:
                message = f"raises {format_error(error)}"
                findings.append(Finding(name, "", case, message, check.facts.severity))
    # How long a step takes depends on what else the machine does.
    return (findings if check is contract.speed else strictly(findings, subject, kind)), ""


def check_table() -> str:
    """Return all checks as a table in Markdown."""
    rows = [("check", "severity", "applies to", "what must hold", "name of the fault"), ("---",) * 5]
    rows += [
        (check.name, check.severity, check.applies_to, check.meaning.replace("``", "`"), check.fault or "")
        for check in ALL_CHECKS
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
