"""What a fault is made of: faulty loops, their variants, and the entry in the catalogue.

A faulty loop is the plain float64 loop with one method replaced by a wrong one. The gate runs it on the
probe cases; if its numbers equal those of the subject, the subject has this fault.

    @fault(
        "carry doubled",
        sentence="What goes back from step to step counts twice:",
        look="look for `dh_prev` that is added in two places.",
        layers=SEQUENCES,
    )
    class CarryDoubled(FaultyLoop):
        def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
            return 2 * super().carry(trace, t, dz)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from types import MethodType
from typing import Any, ClassVar, TypeVar

from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.stages import METHODS, OF_BOTH, OF_STATES, STAGE_OF_METHODS, Stage
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_loop import Loop, Spread
from parity_tests.references.nonlinearities import DERIVATIVES, FUNCTIONS
from parity_tests.references.rounding import RoundingNoise

PARAMETERS = ("dWx", "dWh", "db")
SEQUENCES = ("TimeRNN", "nn.RNN")
"""The layers that run over a sequence."""
STACKS = ("nn.RNN",)
"""The layers that may have several layers and two directions."""
HEADLESS = ("none",)
"""What a case has behind its states where their gradient is given."""
ENTROPY, SQUARES = ("cross_entropy",), ("mse", "half_mse")
LOSSES = (*ENTROPY, *SQUARES)
HEADS = ("logits", *LOSSES)
"""Any head, with a loss or without."""


class FaultyLoop(Loop):
    """The plain loop with a fault.

    A subclass replaces methods of the plain loop. Its class attributes are its parameters: a
    ``Variant`` may set them to other values. Several faults are put into one loop by ``chained``: then
    ``super()`` in a method reaches the method of the fault before, and each fault has its own attributes.

    Attributes:
        stage: where the fault is; None: as the methods tell that the class replaces.
        tracks_only: methods that the class replaces only to remember something.
        inner_roundoff: the unit roundoff of the lower precision inside, if that is the fault; else 0.
        ill_conditioned: whether rounding changes its results by much.
        subject_answers: the subject's answer to each call, for faults that cannot be computed without
            them, such as a random mask.
        before: the loops before it in a chain.
        outer: the last fault of the chain, whose methods the plain loop calls.
    """

    stage: ClassVar[Stage | None] = None
    tracks_only: ClassVar[tuple[str, ...]] = ()
    inner_roundoff: float = 0.0
    ill_conditioned: bool = False
    before: "Sequence[FaultyLoop]" = ()
    outer: "FaultyLoop"

    def __init__(
        self,
        case: Case,
        noise: RoundingNoise,
        subject_answers: Sequence[Answer] = (),
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(case, noise)
        self.outer = self
        self.subject_answers = subject_answers
        for name, value in (params or {}).items():
            setattr(self, name, value)

    def link(self, before: Sequence["FaultyLoop"], outer: "FaultyLoop") -> None:
        """Put this fault into a chain: behind the loops ``before``, with ``outer`` as its last fault."""
        self.before, self.outer = before, outer

    def method_before(self, name: str) -> Callable[..., Any]:
        """Return a method of the nearest loop before this one that replaces it, or the plain loop's."""
        number = _replacing(tuple(map(type, self.before)))[name]
        return getattr(self.before[number], name) if number >= 0 else getattr(Loop, name).__get__(self.outer)

    def unsure(
        self,
        call: Call,
        kept: Spread | None,
        traces: list[CellTrace],
        gradients: list[Gradients],
        runs: Answer,
    ) -> Answer:
        """Return which slices depend on a diverged state: a single run cannot tell, and nobody asks."""
        return {} if self.noise.runs == 1 else super().unsure(call, kept, traces, gradients, runs)

    def applied(self, z: Array) -> Array:
        """Return the case's nonlinearity of the pre-activations ``z`` [T, runs, B, H], with its rounding."""
        value = FUNCTIONS[self.case.nonlinearity](z)
        self.noise.absolute(value[:, 1:])
        return value

    def slope_at(self, h: Array) -> Array:
        """Return the derivative of the case's nonlinearity, from the states ``h``."""
        return DERIVATIVES[self.case.nonlinearity](h)

    @classmethod
    def with_params(cls, **params: Any) -> "Variant":
        """Return this class as a variant with these parameters."""
        return Variant(cls).with_params(**params)

    @classmethod
    def infer(cls, variant: "Variant", samples: Sequence[Sample]) -> Iterator["Variant"]:
        """Yield the variants that may match the samples, with their constants.

        A fault with a constant overrides this, and computes the constant from the subject's numbers.
        """
        yield variant


@lru_cache(maxsize=4096)
def _replacing(classes: "tuple[type[FaultyLoop], ...]") -> dict[str, int]:
    """Return for each method the number of the last class that replaces it, -1 if none does."""
    return {
        name: max(
            (n for n, cls in enumerate(classes) if getattr(cls, name) is not getattr(FaultyLoop, name)),
            default=-1,
        )
        for name in METHODS
    }


@lru_cache(maxsize=4096)
def _not_replaced(
    classes: "tuple[type[FaultyLoop], ...]",
) -> tuple[list[tuple[str, Callable[..., Any]]], list[tuple[str, int]]]:
    """Return what the last class leaves to others: the plain loop's methods, and those of classes before it."""
    own, before = _replacing(classes[-1:]), _replacing(classes[:-1])
    left = [(name, before[name]) for name in METHODS if own[name] < 0]
    of_loop = [(name, getattr(Loop, name)) for name, number in left if number < 0]
    return of_loop, [(name, number) for name, number in left if number >= 0]


def _passed_on(name: str) -> Callable[..., Any]:
    """Return the method that calls the fault before, or the plain loop's method for the whole chain."""

    def method(self: FaultyLoop, *arguments: Any) -> Any:
        return self.method_before(name)(*arguments)

    method.__doc__ = getattr(Loop, name).__doc__
    return method


for _name in METHODS:
    setattr(FaultyLoop, _name, _passed_on(_name))


class CannotCombine(Exception):
    """A fault cannot be computed in the loop that it is put into."""


def known(value: Array | None) -> Array:
    """Return what a fault remembers.

    Raises:
        CannotCombine: a fault behind it computes otherwise, so that it was never told.
    """
    if value is None:
        raise CannotCombine("what the fault remembers is not computed")
    return value


def chained(loops: Sequence[FaultyLoop]) -> FaultyLoop:
    """Return one loop with all these faults; the methods of the last one run first."""
    last = loops[-1]
    for number, loop in enumerate(loops):
        loop.link(loops[:number], last)
    # What the last fault does not replace need not be looked for in each call.
    of_loop, of_before = _not_replaced(tuple(map(type, loops)))
    for name, method in of_loop:
        last.__dict__[name] = MethodType(method, last)
    for name, number in of_before:
        last.__dict__[name] = getattr(loops[number], name)
    last.keep_preactivations = any(loop.keep_preactivations for loop in loops)
    last.inner_roundoff = max(loop.inner_roundoff for loop in loops)
    return last


@dataclass(frozen=True)
class Variant:
    """A class of faulty loops with values for its parameters.

    Attributes:
        loop: the class.
        params: parameters that differ from the class's own values.
        constants: the parameters that were found from a subject's numbers. The sentence of a fault may
            name them, as ``{limit:g}``.
    """

    loop: type[FaultyLoop]
    params: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)

    def with_params(self, **params: Any) -> "Variant":
        """Return a copy with these parameters changed.

        Raises:
            TypeError: the class has no parameter of this name.
        """
        unknown = [name for name in params if not hasattr(self.loop, name)]
        if unknown:
            raise TypeError(f"{self.loop.__name__} has no parameter {', '.join(unknown)}")
        return replace(self, params={**self.params, **params})

    def with_constants(self, **constants: Any) -> "Variant":
        """Return a copy with these parameters, found from a subject's numbers."""
        return replace(self.with_params(**constants), constants={**self.constants, **constants})

    def value(self, name: str) -> Any:
        """Return the value of a parameter."""
        return self.params[name] if name in self.params else getattr(self.loop, name)

    def for_case(
        self, case: Case, noise: RoundingNoise, subject_answers: Sequence[Answer] = ()
    ) -> FaultyLoop:
        """Return a loop that can run the calls of ``case``."""
        return self.loop(case, noise, subject_answers, self.params)

    def infer(self, samples: Sequence[Sample]) -> Iterator["Variant"]:
        """Yield the variants that may match the samples, with their constants."""
        return self.loop.infer(self, samples)

    @cached_property
    def replaced(self) -> frozenset[str]:
        """The methods of the plain loop that the class replaces."""
        classes = self.loop.__mro__[: self.loop.__mro__.index(FaultyLoop)]
        found = {
            name for cls in classes for name in vars(cls) if name not in vars(cls).get("tracks_only", ())
        }
        return frozenset(found & {*METHODS})

    @cached_property
    def stage(self) -> Stage:
        """Where the fault is."""
        if self.loop.stage is not None:
            return self.loop.stage
        for stage, methods in STAGE_OF_METHODS:
            if self.replaced & methods:
                return stage
        return Stage.FINISHED

    @property
    def may_change_states(self) -> bool:
        """Whether the states may be others."""
        return bool(self.replaced & (OF_STATES | OF_BOTH)) or self.loop.inner_roundoff > 0

    @property
    def may_change_gradients(self) -> bool:
        """Whether gradients may be others where the states are the same."""
        return bool(self.replaced - OF_STATES) or self.loop.inner_roundoff > 0


AnyLoop = TypeVar("AnyLoop", bound=FaultyLoop)


@dataclass(frozen=True)
class Fault:
    """An entry of the catalogue.

    Attributes:
        name: short; it never changes, as known-failure files refer to it.
        sentence: what the numbers show.
        look: what to look for in the code.
        loops: the ways in which this fault is commonly written.
        layers: the kinds of layers that can have it.
        losses: what a case has behind its states, for a fault that needs it; empty for any.
        nonlinearities: those that it can be a fault of; empty for any.
        many_to_one: whether it needs a head that reads the last state alone.
    """

    name: str
    sentence: str
    look: str
    loops: tuple[Variant, ...]
    layers: tuple[str, ...] = KINDS
    losses: tuple[str, ...] = ()
    nonlinearities: tuple[str, ...] = ()
    many_to_one: bool = False

    def fits(self, case: Case) -> bool:
        """Return whether a layer may have the fault in a case."""
        return (
            (not self.losses or case.loss in self.losses)
            and (not self.nonlinearities or case.nonlinearity in self.nonlinearities)
            and (not self.many_to_one or case.many_to_one)
        )


REGISTERED: list[Fault] = []
"""The faults of all modules imported so far."""


def register(
    name: str,
    *,
    sentence: str,
    look: str,
    loops: Sequence[type[FaultyLoop] | Variant],
    layers: tuple[str, ...] = KINDS,
    losses: tuple[str, ...] = (),
    nonlinearities: tuple[str, ...] = (),
    many_to_one: bool = False,
) -> None:
    """Add a fault to the catalogue whose ``loops`` are several classes."""
    variants = tuple(map(as_variant, loops))
    REGISTERED.append(Fault(name, sentence, look, variants, layers, losses, nonlinearities, many_to_one))


def fault(
    name: str,
    *,
    sentence: str,
    look: str,
    layers: tuple[str, ...] = KINDS,
    losses: tuple[str, ...] = (),
    nonlinearities: tuple[str, ...] = (),
    many_to_one: bool = False,
    variants: Sequence[Mapping[str, Any]] = ({},),
) -> Callable[[type[AnyLoop]], type[AnyLoop]]:
    """Add a fault to the catalogue whose loop is the decorated class.

    ``variants`` holds the parameters of each variant; by default there is one, with the class's own.
    """

    def add(cls: type[AnyLoop]) -> type[AnyLoop]:
        loops = [cls.with_params(**params) for params in variants]
        register(
            name,
            sentence=sentence,
            look=look,
            loops=loops,
            layers=layers,
            losses=losses,
            nonlinearities=nonlinearities,
            many_to_one=many_to_one,
        )
        return cls

    return add


def as_variant(loop: type[FaultyLoop] | Variant) -> Variant:
    """Return a class as a variant with its own parameters."""
    return loop if isinstance(loop, Variant) else Variant(loop)


BOTH_BACKWARDS: tuple[Mapping[str, Any], ...] = ({"own_backward": True}, {})
"""A wrong forward with the backward that belongs to it, and with the backward of the right cell."""


def with_both_backwards(loop: type[FaultyLoop] | Variant) -> tuple[Variant, Variant]:
    """Return the two variants of ``BOTH_BACKWARDS``."""
    return as_variant(loop).with_params(own_backward=True), as_variant(loop)
