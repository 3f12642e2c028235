"""A fault, and its twins: the plain loop with one piece of it written wrong.

Where a fault has a constant, ``infer`` finds it from what the subject answered.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.cases.case import KINDS, Case
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import RoundingNoise

PARAMETERS = ("dWx", "dWh", "db")
GRADIENTS = ("dx", "dh_0", *PARAMETERS)
SEQUENCES = ("time", "nn")
STACKS = ("nn",)


class FaultyLoop(Loop):
    """The plain loop with a fault.

    A class attribute is a parameter: a ``Variant`` may give it another value.

    Attributes:
        coarse: the unit roundoff inside, where that is the fault.
        rough: whether its numbers are moved far by rounding.
    """

    inner_roundoff: float = 0.0
    ill_conditioned: bool = False

    def __init__(
        self,
        case: Case,
        noise: RoundingNoise,
        subject_answers: Sequence[Answer] = (),
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(case, noise)
        self.subject_answers = subject_answers
        """What the subject answered, for what can only be seen there, as a random mask."""
        for name, value in (params or {}).items():
            setattr(self, name, value)

    def tanh(self, z: Array) -> Array:
        """Of pre-activations [T, runs, B, H]."""
        value = np.tanh(z)
        self.noise.absolute(value[:, 1:])
        return value

    @classmethod
    def with_params(cls, **params: Any) -> "Variant":
        """The class with these parameters."""
        return Variant(cls).with_params(**params)

    @classmethod
    def infer(cls, variant: "Variant", samples: Sequence[Sample]) -> Iterator["Variant"]:
        """The variants that might be the subject's, with their constants."""
        yield variant


class PiecesClash(Exception):
    """Two faulty loops cannot be put together: both bring something of one name, or a piece of one meets
    a loop that it was not made for."""


@dataclass(frozen=True)
class Variant:
    """A class of faulty loops, and values of its parameters.

    Attributes:
        loop: the class.
        params: in place of the class's own.
        constants: those among ``params`` that were found from a subject's numbers; a fault's sentence
            may name them.
    """

    loop: type[FaultyLoop]
    params: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)

    def with_params(self, **params: Any) -> "Variant":
        """The same with other parameters.

        Raises:
            TypeError: the class has no such parameter.
        """
        unknown = [name for name in params if not hasattr(self.loop, name)]
        if unknown:
            raise TypeError(f"{self.loop.__name__} has no parameter {', '.join(unknown)}")
        return replace(self, params={**self.params, **params})

    def with_constants(self, **constants: Any) -> "Variant":
        """The same with parameters found from a subject's numbers."""
        return replace(self.with_params(**constants), constants={**self.constants, **constants})

    def value(self, name: str) -> Any:
        """A parameter's value."""
        return self.params[name] if name in self.params else getattr(self.loop, name)

    def for_case(
        self, case: Case, noise: RoundingNoise, subject_answers: Sequence[Answer] = ()
    ) -> FaultyLoop:
        """The loop, ready to run a case."""
        return self.loop(case, noise, subject_answers, self.params)

    def infer(self, samples: Sequence[Sample]) -> Iterator["Variant"]:
        """The variants that might be the subject's, with their constants."""
        return self.loop.infer(self, samples)

    def combined_with(self, other: "Variant") -> "Variant":
        """Both faults in one loop.

        A piece of the plain loop may be written by both: this loop's comes first and reaches the
        other's by ``super()``. Whatever else the two bring must not have the same name.

        Raises:
            PiecesClash: they bring different things of one name, or one is a special case of the other.
        """
        mine, theirs = self._brought(), other._brought()
        clash = sorted(name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name])
        if clash:
            raise PiecesClash(f"{self.loop.__name__} and {other.loop.__name__} both bring {', '.join(clash)}")
        if issubclass(self.loop, other.loop) or issubclass(other.loop, self.loop):
            raise PiecesClash(f"{self.loop.__name__} and {other.loop.__name__} are one fault")
        return Variant(
            type("TwoFaults", (self.loop, other.loop), {}),
            {**other.params, **self.params},
            {**other.constants, **self.constants},
        )

    def _brought(self) -> dict[str, Any]:
        """What the class adds to the plain loop, by name: parameters with their values, and for the
        rest, methods and what it remembers, the class that says so."""
        brought: dict[str, Any] = {}
        for cls in self.loop.__mro__[: self.loop.__mro__.index(FaultyLoop)]:
            for name in {*vars(cls), *inspect.get_annotations(cls)}:
                value = vars(cls).get(name)
                if name.startswith("__") or hasattr(FaultyLoop, name) or isinstance(value, classmethod):
                    continue
                is_parameter = (
                    value is not None and not callable(value) and not isinstance(value, staticmethod)
                )
                brought.setdefault(name, self.value(name) if is_parameter else cls)
        return brought


AnyLoop = TypeVar("AnyLoop", bound=FaultyLoop)


@dataclass(frozen=True)
class Fault:
    """An entry of the catalogue.

    Attributes:
        name: short, stable.
        sentence: what the numbers show.
        look: where to look in one's own code.
        loops: wrong in this way, each a little differently.
        layers: of layers it may stand in.
    """

    name: str
    sentence: str
    look: str
    loops: tuple[Variant, ...]
    layers: tuple[str, ...] = KINDS


REGISTERED: list[Fault] = []
"""Every fault of the modules imported so far."""


def register(
    name: str,
    *,
    sentence: str,
    look: str,
    loops: Sequence[type[FaultyLoop] | Variant],
    layers: tuple[str, ...] = KINDS,
) -> None:
    """Enter a fault into the catalogue that several classes of loops have."""
    REGISTERED.append(Fault(name, sentence, look, tuple(map(as_variant, loops)), layers))


def fault(
    name: str,
    *,
    sentence: str,
    look: str,
    layers: tuple[str, ...] = KINDS,
    variants: Sequence[Mapping[str, Any]] = ({},),
) -> Callable[[type[AnyLoop]], type[AnyLoop]]:
    """Enter the class decorated into the catalogue, once with the parameters of each variant."""

    def enter(cls: type[AnyLoop]) -> type[AnyLoop]:
        loops = [cls.with_params(**params) for params in variants]
        register(name, sentence=sentence, look=look, loops=loops, layers=layers)
        return cls

    return enter


def as_variant(loop: type[FaultyLoop] | Variant) -> Variant:
    """A class with the parameters it has by itself."""
    return loop if isinstance(loop, Variant) else Variant(loop)


BOTH_BACKWARDS: tuple[Mapping[str, Any], ...] = ({"own_backward": True}, {})
"""With the backward of its own forward, and with the right cell's."""


def with_both_backwards(loop: type[FaultyLoop] | Variant) -> tuple[Variant, Variant]:
    """The variants of ``BOTH_BACKWARDS``."""
    return as_variant(loop).with_params(own_backward=True), as_variant(loop)
