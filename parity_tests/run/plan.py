"""The plan of a run: what is judged, in which cases, against which reference."""

import importlib.util
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from parity_tests.cases.case import Case
from parity_tests.cases.features import (
    declared,
    declared_in_words,
    declared_nonlinearity,
    described,
    in_short,
    is_declared,
    parse,
    restricted,
    undeclared,
)
from parity_tests.cases.fields import FIELD, option_values
from parity_tests.cases.layers import LAYERS
from parity_tests.checks.known_failures import read_known
from parity_tests.checks.nonlinearity import other_nonlinearity
from parity_tests.checks.registry import CONTRACT_CHECKS, checks_for
from parity_tests.references.recorded import default_recorded
from parity_tests.report import Finding, Part
from parity_tests.run.options import DEFAULT_CASES, DEFAULT_SEED, DEFAULT_TIMEOUT, OptionError, Options
from parity_tests.subjects.interfaces import TargetError, taken_for
from parity_tests.subjects.loading import Target
from parity_tests.subjects.session import DEFAULT_TARGET, Session, TargetGivenUp
from parity_tests.words import an, in_words

ORDINARY = Case(B=3, T=4, D=2, H=5)
"""The first call of a target."""
NOT_OF_TORCH = ("sigmoid", "identity")
"""Nonlinearities that no layer of torch has."""
BATCH = 50
"""Cases judged by one test at least: the unit that workers and parts share out."""
MAX_BATCHES = 2000
"""Of a run. Every worker lists all tests; where there are more cases, each test judges more of them."""
CASES_BEFORE_STOP = 200
"""Random cases that are judged at least, whatever has been found in them."""
LACKED_BY_INTERFACE = {"module": ("packed",)}
"""Features that no target of an interface has, for its calls have no place for them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what a run judges; equal plans judge the same cases, however many workers run.

    Attributes:
        target: what is judged.
        interface: its interface, one of ``INTERFACES``.
        kinds: the kinds of layers that it has.
        reference: ``torch`` or ``recorded``.
        seed: of the random cases.
        number: how many cases.
        case: the only case, or None.
        without: what the target is declared to lack, and what is implied.
        implied: what its interface has no place for, and the fields that its declarations set.
        nonlinearity: the target's, if an option declares it.
        accuracy: how far the target's values may be off, if that is declared.
        first_fault: that it has plainly another nonlinearity, with which all else is judged.
        known: what it is known to fail, with the reasons.
        timeout: seconds that it may take for a case.
        lines: whether the wrong lines of its source are looked for.
        stops: whether cases are left out once a fault was found.
        part: which part of the run is done; None: all of it.
    """

    target: Target
    interface: str
    kinds: tuple[str, ...]
    reference: str
    seed: int = 0
    number: int = 1
    case: Case | None = None
    without: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
    nonlinearity: str | None = None
    accuracy: float | None = None
    first_fault: Finding | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    timeout: float = DEFAULT_TIMEOUT
    lines: bool = True
    stops: bool = False
    part: Part | None = None

    def restricted(self, case: Case) -> Case:
        """Return the case without what the target lacks."""
        return restricted(case, self.without)

    def judges(self, case: Case) -> bool:
        """Whether the target supports a case; a nonlinearity may be one that was found and not declared."""
        if case.layer not in self.kinds or {*undeclared(case, self.without)} - {"nonlinearity"}:
            return False
        return self.restricted(case) == case

    def ordinary_case(self, kind: str) -> Case:
        """A small case of a kind of layer, with nothing special, that the target supports."""
        sizes = {name: FIELD[name].fitted(getattr(ORDINARY, name), kind) for name in ("T", "h0")}
        return self.restricted(replace(ORDINARY, layer=kind, **sizes))

    @property
    def draws(self) -> bool:
        """Whether the cases are random ones."""
        return self.reference == "torch" and self.case is None

    @property
    def batch_size(self) -> int:
        """The cases of every batch but the last."""
        return max(BATCH, -(-self.number // MAX_BATCHES))

    @property
    def batches(self) -> range:
        """The numbers of the batches that are judged."""
        every = range(-(-self.number // self.batch_size))
        return self.part.share(every) if self.part else every

    @property
    def planned(self) -> int:
        """How many cases are judged."""
        return sum(map(self.size, self.batches))

    def first(self, batch: int) -> int:
        """The number of the first case of a batch."""
        return batch * self.batch_size

    def size(self, batch: int) -> int:
        """How many cases a batch holds."""
        return min(self.batch_size, self.number - self.first(batch))

    def cases(self, batch: int) -> list[Case]:
        """The cases of a batch."""
        numbers = range(self.first(batch), self.first(batch) + self.size(batch))
        if self.case is not None:
            return [self.case]
        if self.reference == "recorded":
            kept = self.recorded_cases()
            return [kept[number] for number in numbers]
        from parity_tests.cases.draw import draw_case  # Hypothesis is not needed for recorded cases

        return [draw_case(self.seed, number, self.kinds, self.without) for number in numbers]

    def cases_of_rare_options(self) -> list[Case]:
        """Small cases with every value of every option that the first ``CASES_BEFORE_STOP`` do not have."""
        from parity_tests.cases.draw import cases_with_options, draw_case

        first = range(min(CASES_BEFORE_STOP, self.number))
        covered = [option_values(draw_case(self.seed, n, self.kinds, self.without)) for n in first]
        cases = cases_with_options(self.kinds, self.without, set().union(*covered))
        return self.part.share(cases) if self.part else cases

    def recorded_cases(self) -> list[Case]:
        """The recorded cases that the target supports."""
        cases = default_recorded().cases
        return [case for case in cases if self.judges(case) and not undeclared(case, self.without)]

    @property
    def checks(self) -> list[tuple[str, str]]:
        """Kind and name of every check of the contract that is made; none where one case alone is judged."""
        if self.case is not None or self.interface == "adapter":
            return []
        checks = checks_for(self.kinds, self.without)
        return self.part.share(checks) if self.part else checks

    @property
    def without_time(self) -> bool:
        """Whether nothing that goes from a time step to another is judged: one step, and no way back."""
        return all(LAYERS[kind].is_cell for kind in self.kinds) and bool(
            {"dh_0", "initial-state"} & {*self.without}
        )

    @property
    def declared(self) -> list[str]:
        """What the target is declared to lack beyond what is implied."""
        return in_short(name for name in self.without if name not in self.implied)

    @property
    def skipped(self) -> list[str]:
        """What the target is declared to lack, in words."""
        return [described(name) for name in self.declared]


def make_plan(options: Options, session: Session) -> Plan:
    """Return the plan of a run with these options over a loaded target.

    Raises:
        OptionError: the options do not fit together, or the reference cannot be used.
        RecordedError: the recorded answers cannot be read.
    """
    reference = options.reference or default_reference()
    if reference == "torch":
        _check_installed(draws=options.case is None)
    if not session.kinds:
        raise OptionError(f"{options.target.spec}: there is nothing to judge in it")
    try:
        without = parse(",".join((*options.without, *session.lacked)), CONTRACT_CHECKS)
        known = read_known(options.known) if options.known else {}
    except ValueError as error:
        raise OptionError(str(error)) from error
    implied = _implied(session, options, without)
    if reference == "recorded" and (unrecorded := {*map(declared_nonlinearity, implied)} & {*NOT_OF_TORCH}):
        raise OptionError(
            f"reference: torch has no RNN with {unrecorded.pop()}, so no answers are recorded: use --reference torch"
        )
    plan = Plan(
        options.target,
        session.interface,
        session.kinds,
        reference,
        without=tuple(sorted({*without, *implied})),
        implied=implied,
        nonlinearity=options.nonlinearity,
        accuracy=options.accuracy,
        known=known,
        timeout=options.timeout,
        lines=options.lines,
        part=options.shard,
    )
    return _with_cases(_with_own_nonlinearity(plan, options, session), options)


def _with_own_nonlinearity(plan: Plan, options: Options, session: Session) -> Plan:
    """The plan with the nonlinearity that the target plainly has, where it is made for one alone."""
    kind = plan.kinds[0]
    has_option = (
        LAYERS[kind].has_torch_interface and plan.interface != "adapter" and "relu" not in plan.without
    )
    if len(plan.kinds) > 1 or has_option or options.case is not None:
        return plan
    with suppress(TargetError, TargetGivenUp):
        found = other_nonlinearity(session.run_case, plan.ordinary_case(kind))
        if found is None:
            return plan
        name, fault = found
        others = [each for each in plan.implied if declared_nonlinearity(each) is None and each != "relu"]
        implied = (*others, declared("nonlinearity", name))
        own_words = {*plan.without} - {*plan.implied}
        without = tuple(sorted((own_words | {*implied}) - {"relu"}))
        other = replace(plan, without=without, implied=implied, first_fault=fault)
        if plan.reference == "torch" or other.recorded_cases():
            return other
    return plan


def _implied(session: Session, options: Options, without: Collection[str]) -> tuple[str, ...]:
    """What follows from the interface, an adapter's declarations and a declared nonlinearity."""
    implied = (*LACKED_BY_INTERFACE.get(session.interface, ()), *session.implied)
    chosen, own = options.nonlinearity, next(filter(None, map(declared_nonlinearity, implied)), None)
    if chosen is None:
        return implied
    if own not in (None, chosen):
        raise OptionError(f"nonlinearity: the adapter declares {own}, got {chosen}")
    if chosen == "relu" and "relu" in without:
        raise OptionError("nonlinearity: relu was declared missing by --without relu")
    # A target of one nonlinearity is asked nothing of another.
    fixed = () if own else (declared("nonlinearity", chosen),)
    return (*(name for name in implied if name != "relu"), *fixed)


def default_reference() -> str:
    """``torch`` where it is installed, else ``recorded``."""
    return "torch" if _is_installed("torch") else "recorded"


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _check_installed(draws: bool) -> None:
    """Refuse torch as the reference where something that it needs is missing."""
    if not _is_installed("torch"):
        missing = "torch" if not draws or _is_installed("hypothesis") else "torch hypothesis"
        raise OptionError(f"reference: torch is not installed: pip install {missing}")
    if draws and not _is_installed("hypothesis"):
        raise OptionError(
            "reference: hypothesis is not installed, and it draws the cases that torch answers; "
            "pip install hypothesis, or use --reference recorded"
        )


def _with_cases(plan: Plan, options: Options) -> Plan:
    case = options.case
    if case is not None:
        _refuse(options, "the one case given is judged")
        if options.shard:
            raise OptionError(f"shard: cannot be set to {options.shard} here: the one case given is judged")
        if not plan.judges(case):
            raise OptionError(f"case: {_unfit(plan, case)}")
        if plan.reference == "recorded" and case not in default_recorded().cases:
            raise OptionError(f"case: {case} is not recorded; it needs {_torch_as_reference('torch')}")
        return replace(plan, case=case)
    if plan.reference == "recorded":
        _refuse(
            options,
            f"fresh cases need {_torch_as_reference('torch hypothesis')}; the recorded cases are fixed",
        )
        return replace(plan, number=len(plan.recorded_cases()))
    if options.seed == "fresh" and (others := _needs_one_seed(options)):
        raise OptionError(f"seed: cannot be fresh here: {others} the same seed")
    seed = secrets.randbits(32) if options.seed == "fresh" else options.seed
    return replace(
        plan,
        seed=DEFAULT_SEED if seed is None else int(seed),
        number=DEFAULT_CASES if options.cases is None else options.cases,
        stops=options.target != Target(DEFAULT_TARGET) and options.cases is None,
    )


def _needs_one_seed(options: Options) -> str:
    if options.shard:
        return "all parts need"
    return "a run that goes on needs" if options.resume else ""


def _torch_as_reference(needed: str) -> str:
    """What to type for it."""
    return "--reference torch" if _is_installed("torch") else f"torch: pip install {needed}"


def _unfit(plan: Plan, case: Case) -> str:
    """Why the target cannot be judged in a case."""
    spec = plan.target.spec
    if case.layer not in plan.kinds:
        words = taken_for(plan.interface, plan.kinds, is_forced=True)
        tokens = [str(plan.ordinary_case(kind)) for kind in plan.kinds]
        begin = [f"{LAYERS[kind].token}-" if LAYERS[kind].token else "B" for kind in plan.kinds]
        return (
            f"{case} is not for {spec}: it is judged as {words}; its tokens begin with {' or '.join(begin)}, "
            f"such as {tokens[0]}"
        )
    if undeclared(case, plan.without):
        fields = in_words([FIELD[name].text(getattr(case, name)) for name in undeclared(case, plan.without)])
        return f"{case} has {fields}, which {spec} does not declare: see parity_tests.adapter"
    needs = [name for name in plan.without if not is_declared(name) and restricted(case, (name,)) != case]
    if not needs:
        declared_too = in_words([declared_in_words(name) for name in plan.without if is_declared(name)])
        return f"{case} is no case of what {spec} declares: {declared_too}"
    declared = [name for name in needs if name in plan.declared]
    why = (
        f"--without {','.join(declared)} says that {spec} lacks"
        if declared
        else f"{an(plan.interface)} has no place for"
    )
    return f"{case} needs {in_words([described(name) for name in declared or needs])}, which {why}"


def _refuse(options: Options, why: str) -> None:
    for name, value in (("seed", options.seed), ("cases", options.cases)):
        if value is not None:
            raise OptionError(f"{name}: cannot be set to {value} here: {why}")
