"""How a finding is shown again, and nothing else: a command for the shell, or a call for Python."""

import shlex
from dataclasses import replace

from parity_tests.check_facts import CASE_CHECKS, KNOWN_FAILURE
from parity_tests.checks.registry import CONTRACT_CHECKS, TEMPLATES
from parity_tests.report import Finding
from parity_tests.run.options import DEFAULT_TIMEOUT
from parity_tests.run.plan import Plan, default_reference
from parity_tests.subjects.generated import generated
from parity_tests.subjects.interfaces import TargetError, recognise
from parity_tests.subjects.session import DEFAULT_TARGET

SUBCOMMANDS = ("judge", "adapt", "faults", "merge", "speed")
IN_EVERY_CASE = {check.name for check in CASE_CHECKS}


def run_again(plan: Plan, finding: Finding) -> str:
    """What shows a finding again, or ``""`` where only the whole run does."""
    if finding.check.startswith(KNOWN_FAILURE.name):
        return ""
    return _call(plan, finding) if plan.target.obj is not None else _command(plan, finding)


def is_of_contract(plan: Plan, finding: Finding) -> bool:
    """Whether a check of the contract made it, which a case by itself does not make."""
    if finding.check not in CONTRACT_CHECKS:
        return False
    template = replace(TEMPLATES[finding.case.layer], dtype=finding.case.dtype)
    return finding.check not in IN_EVERY_CASE or finding.case == plan.restricted(template)


def _command(plan: Plan, finding: Finding) -> str:
    target = plan.target
    in_a_case = not is_of_contract(plan, finding)
    words = ["rnn-parity"]
    if target.spec in SUBCOMMANDS:
        words.append(SUBCOMMANDS[0])
    adapter = generated(target.module_or_file)
    if adapter and adapter.is_temporary:
        words += [adapter.of, "--adapt"]
    elif target.spec != DEFAULT_TARGET:
        words.append(f"./{target.spec}" if target.spec.startswith("-") else target.spec)
    options = {
        "--as": target.interface,
        "--without": ",".join(plan.declared),
        "--nonlinearity": plan.nonlinearity,
        "--accuracy": None if plan.accuracy is None else f"{plan.accuracy:g}",
        "--case": str(finding.case) if in_a_case else "",
        "--reference": _reference(plan),
        "--timeout": f"{plan.timeout:g}" if plan.timeout != DEFAULT_TIMEOUT else "",
    }
    words += [word for name, value in options.items() if value for word in (name, value)]
    if not in_a_case:
        kind = [finding.case.layer] if len(plan.kinds) > 1 else []
        words += ["--", "-k", " and ".join([*kind, *finding.check.split()])]
    return shlex.join(words)


def _call(plan: Plan, finding: Finding) -> str:
    target = plan.target
    name = str(getattr(target.obj, "__qualname__", "")).rpartition("<locals>.")[2]
    options: dict[str, object] = {
        "kind": target.interface if target.interface != _recognised(target.obj) else None,
        "without": plan.declared or None,
        "nonlinearity": plan.nonlinearity,
        "accuracy": plan.accuracy,
        "reference": _reference(plan) or None,
        "case": str(finding.case),
    }
    if is_of_contract(plan, finding):  # every call with random cases makes the checks
        del options["case"]
        options["cases"] = 1 if plan.reference == "torch" else None
    arguments = [name if _is_a_name(name) else "target"]
    arguments += [f"{option}={_written(value)}" for option, value in options.items() if value is not None]
    return f"parity_tests.check({', '.join(arguments)})"


def _recognised(obj: object) -> str | None:
    try:
        return recognise(obj, "")
    except TargetError:
        return None


def _reference(plan: Plan) -> str:
    return plan.reference if plan.reference != default_reference() else ""


def _is_a_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _written(value: object) -> str:
    """As formatters write it, with double quotes."""
    return repr(value).replace("'", '"')
