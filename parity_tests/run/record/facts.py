"""What a run rests on: from its plan, and back to a plan that prints its report."""

from contextlib import suppress
from types import SimpleNamespace

from parity_tests.cases.case import Case
from parity_tests.cases.features import is_declared
from parity_tests.report import Part, RunFacts
from parity_tests.run.plan import Plan
from parity_tests.run.versions import versions_of
from parity_tests.subjects.generated import generated
from parity_tests.subjects.interfaces import TargetError, recognise
from parity_tests.subjects.loading import Target
from parity_tests.subjects.session import DEFAULT_TARGET, CallFailed, Session, TargetGivenUp
from parity_tests.subjects.source import digest_of_modules, digest_of_object


def facts_of(plan: Plan, session: Session) -> RunFacts:
    """What a run of a plan rests on.

    Args:
        plan: of the run.
        session: the loaded target.
    """
    target = plan.target
    at_hand = (
        None if target.obj is None else getattr(target.obj, "__qualname__", type(target.obj).__qualname__)
    )
    return RunFacts(
        reference=plan.reference,
        target=_told(target),
        kind=plan.interface,
        notices=tuple(session.notices),
        without=tuple(name for name in plan.without if not is_declared(name)),
        declared=tuple(name for name in plan.without if is_declared(name)),
        seed=plan.seed if plan.draws else None,
        versions=versions_of(plan),
        cases=plan.number,
        kinds=plan.kinds,
        implied=plan.implied,
        forced=_forced(target),
        nonlinearity=plan.nonlinearity,
        accuracy=plan.accuracy,
        case=None if plan.case is None else str(plan.case),
        known=dict(plan.known),
        timeout=plan.timeout,
        lines=plan.lines,
        stops=plan.stops,
        at_hand=at_hand,
        code=_code(target, session),
    )


def _told(target: Target) -> str:
    """The target as it was given: of an adapter that is thrown away, the code that it was made for."""
    adapter = generated(target.module_or_file) if target.obj is None else None
    return adapter.of if adapter and adapter.is_temporary else target.spec


def _forced(target: Target) -> str | None:
    """The interface that an option forces; of an object at hand the target has the recognised one else."""
    if target.obj is None:
        return target.interface
    with suppress(TargetError):
        if target.interface == recognise(target.obj, target.spec):
            return None
    return target.interface


def _code(target: Target, session: Session) -> str:
    if target.obj is not None:
        return digest_of_object(target.obj)
    if target == Target(DEFAULT_TARGET):
        import rnn_np

        return digest_of_object(rnn_np)
    with suppress(TargetError, TargetGivenUp, CallFailed):
        return str(session.call(digest_of_modules, target.module_or_file))
    return ""


def plan_of(facts: RunFacts, part: Part | None = None) -> Plan:
    """The plan that these facts are of; its target is not loaded, and of an object only its name is known.

    Raises:
        TargetError: the target is no target.
        ValueError: the case is none.
    """
    obj = None if facts.at_hand is None else SimpleNamespace(__qualname__=facts.at_hand)
    return Plan(
        Target(facts.target, facts.forced, obj),
        facts.kind,
        facts.kinds,
        facts.reference,
        seed=facts.seed or 0,
        number=facts.cases,
        case=None if facts.case is None else Case.parse(facts.case),
        without=tuple(sorted((*facts.without, *facts.declared))),
        implied=facts.implied,
        nonlinearity=facts.nonlinearity,
        accuracy=facts.accuracy,
        known=facts.known,
        timeout=facts.timeout,
        lines=facts.lines,
        stops=facts.stops,
        part=part,
    )
