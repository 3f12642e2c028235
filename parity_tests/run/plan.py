"""The plan of a run: what is judged, in which cases, against which reference."""

import importlib.util
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from parity_tests.cases.case import Case
from parity_tests.cases.features import described, parse, restricted
from parity_tests.cases.fields import FIELD, option_values
from parity_tests.cases.layers import LAYERS
from parity_tests.checks.known_failures import read_known
from parity_tests.checks.registry import CONTRACT_CHECKS, checks_for
from parity_tests.references.recorded import default_recorded
from parity_tests.run.options import DEFAULT_CASES, DEFAULT_SEED, DEFAULT_TIMEOUT, OptionError, Options
from parity_tests.subjects.interfaces import taken_for
from parity_tests.subjects.loading import Target
from parity_tests.subjects.session import DEFAULT_TARGET, Session
from parity_tests.words import an, in_words

ORDINARY = Case(B=3, T=4, D=2, H=5)
"""The first call of a target."""
BATCH = 50
"""Cases judged by one test: the unit that workers share out."""
CASES_BEFORE_STOP = 200
"""Random cases that are judged at least, whatever has been found in them."""
LACKED_BY_INTERFACE = {
    "adapter": ("layouts", "row-bias", "second-call", "state"),
    "module": ("packed",),
}
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
        without: what the target is declared to lack, and what its interface has no place for.
        known: what it is known to fail, with the reasons.
        timeout: seconds that it may take for a case.
        lines: whether the wrong lines of its source are looked for.
        stops: whether cases are left out once a fault was found.
    """

    target: Target
    interface: str
    kinds: tuple[str, ...]
    reference: str
    seed: int = 0
    number: int = 1
    case: Case | None = None
    without: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    timeout: float = DEFAULT_TIMEOUT
    lines: bool = True
    stops: bool = False

    def restricted(self, case: Case) -> Case:
        """Return the case without what the target lacks."""
        return restricted(case, self.without)

    def judges(self, case: Case) -> bool:
        """Whether the target supports a case."""
        return case.layer in self.kinds and self.restricted(case) == case

    def ordinary_case(self, kind: str) -> Case:
        """A small case of a kind of layer, with nothing special, that the target supports."""
        sizes = {name: FIELD[name].fitted(getattr(ORDINARY, name), kind) for name in ("T", "h0")}
        return self.restricted(replace(ORDINARY, layer=kind, **sizes))

    @property
    def draws(self) -> bool:
        """Whether the cases are random ones."""
        return self.reference == "torch" and self.case is None

    @property
    def batches(self) -> int:
        """The number of batches."""
        return -(-self.number // BATCH)

    def first(self, batch: int) -> int:
        """The number of the first case of a batch."""
        return batch * BATCH

    def size(self, batch: int) -> int:
        """How many cases a batch holds."""
        return min(BATCH, self.number - self.first(batch))

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
        return cases_with_options(self.kinds, self.without, set().union(*covered))

    def recorded_cases(self) -> list[Case]:
        """The recorded cases that the target supports."""
        return [case for case in default_recorded().cases if self.judges(case)]

    @property
    def checks(self) -> list[tuple[str, str]]:
        """Kind and name of every check of the contract; none where one case alone is judged."""
        if self.case is not None or self.interface == "adapter":
            return []
        return checks_for(self.kinds, self.without)

    @property
    def without_time(self) -> bool:
        """Whether nothing that goes from a time step to another is judged: one step, and no way back."""
        return all(LAYERS[kind].is_cell for kind in self.kinds) and bool(
            {"dh_0", "initial-state"} & {*self.without}
        )

    @property
    def declared(self) -> list[str]:
        """What the target is declared to lack beyond what its interface implies."""
        return [name for name in self.without if name not in LACKED_BY_INTERFACE.get(self.interface, ())]

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
        without = parse(",".join(options.without), CONTRACT_CHECKS)
        known = read_known(options.known) if options.known else {}
    except ValueError as error:
        raise OptionError(str(error)) from error
    plan = Plan(
        options.target,
        session.interface,
        session.kinds,
        reference,
        without=tuple(sorted({*without, *LACKED_BY_INTERFACE.get(session.interface, ())})),
        known=known,
        timeout=options.timeout,
        lines=options.lines,
    )
    return _with_cases(plan, options)


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
    seed = secrets.randbits(32) if options.seed == "fresh" else options.seed
    return replace(
        plan,
        seed=DEFAULT_SEED if seed is None else int(seed),
        number=DEFAULT_CASES if options.cases is None else options.cases,
        stops=options.target != Target(DEFAULT_TARGET) and options.cases is None,
    )


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
    needs = [name for name in plan.without if restricted(case, (name,)) != case]
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
