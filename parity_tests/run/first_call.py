"""The first ordinary call of a target: why nothing can be judged after it."""

from contextlib import suppress
from dataclasses import replace

from parity_tests.cases.case import Case
from parity_tests.cases.features import FEATURES, restricted
from parity_tests.cases.layers import LAYERS
from parity_tests.cases.tensors import TENSORS, families_of
from parity_tests.check_facts import INTERFACE, RAISES, TYPE
from parity_tests.run.plan import Plan
from parity_tests.subjects.interfaces import OTHERWISE, TargetError
from parity_tests.subjects.readings import adapt_command, gates_of, refusal_of_gates
from parity_tests.subjects.session import CallFailed, Session, TargetGivenUp
from parity_tests.words import in_words

ANSWERS = "it answers with --without"
"""How a message names the one feature that makes a target raise."""


def first_error(plan: Plan, session: Session) -> str:
    """Why nothing can be judged: the first ordinary call raises, of every layer that there is; or ``""``.

    An adapter that does not return every tensor that it is to return is not judged either. What one
    feature alone makes raise is in the message. A layer that answers without its bias has a fault that
    the diagnosis names.
    """
    first = ""
    for kind in plan.kinds:
        case = plan.ordinary_case(kind)
        raised = _raised(plan, session, case)
        if not raised and plan.interface == "adapter":
            return _incomplete(plan, session, case)
        if not raised or (
            LAYERS[kind].has_torch_interface and not _raised(plan, session, replace(case, bias="nobias"))
        ):
            return ""
        first = first or f"the first ordinary call {raised}{_answers_without(plan, session, case)}"
    return _with_other_reading(plan, session, first)


def _with_other_reading(plan: Plan, session: Session, failure: str) -> str:
    """Why the first call fails, with what else the target may be."""
    spec = plan.target.spec
    if plan.interface in ("adapter", "package") or ANSWERS in failure:
        return f"{spec}: {failure}"
    with suppress(TargetError, TargetGivenUp, CallFailed):
        unit, evidence = session.call(gates_of)
        if unit:
            return f"{refusal_of_gates(spec, unit, evidence)}. Here {failure}"
    other = OTHERWISE.get(plan.kinds[0], "") if plan.target.interface is None else ""
    command = adapt_command(spec, plan.target.obj)
    return (
        f"{spec}: {failure}. If it is no such {plan.interface}: {other and f'{other}, or '}`{command}` "
        "looks for an adapter"
    )


def _incomplete(plan: Plan, session: Session, case: Case) -> str:
    """What an adapter does not return of what it is to return, or ``""``."""
    try:
        results = session.run_case(case)
    except (TargetError, TargetGivenUp):
        return ""
    spec = plan.target.spec
    if not results.calls:
        return next((f"{spec}: {f.message}" for f in results.findings if f.check == TYPE.name), "")
    result = results.calls[0]
    missing = families_of(name for name, row in result.mismatches.items() if row.got == "NoneType")
    if not missing:
        return ""
    there = [name for name in families_of((*result.tensors, *result.mismatches)) if name not in missing]
    unknown = f"; {in_words(result.unknown)} is no tensor's name" if result.unknown else ""
    if not there:
        return f"{spec}: it returns none of {', '.join(missing)}{unknown}: return a dict with these names"
    declared = plan.declared
    features = [name for name in declared if name not in TENSORS]
    without = ",".join((*families_of((*missing, *(set(declared) - {*features}))), *features))
    return (
        f"{spec}: it returns {in_words(there)}, but not {in_words(missing)}{unknown}. Return "
        f"{'it' if len(missing) == 1 else 'them'} too, or add --without {without}"
    )


def _raised(plan: Plan, session: Session, case: Case) -> str:
    try:
        found = session.run_case(case).findings
    except (TargetError, TargetGivenUp):  # said of the cases in which it happens again
        return ""
    verbs = {RAISES.name: "raises", INTERFACE.name: "fails:"}
    return next((f"{verbs[f.check]} {f.message}" for f in found if f.check in verbs), "")


def _answers_without(plan: Plan, session: Session, case: Case) -> str:
    for name in FEATURES:
        simpler = restricted(case, (name,))
        if simpler != case and not _raised(plan, session, simpler):
            return f"; {ANSWERS} {name}"
    return ""
