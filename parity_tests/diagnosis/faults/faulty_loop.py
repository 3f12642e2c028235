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

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import RoundingNoise

PARAMETERS = ("dWx", "dWh", "db")
SEQUENCES = ("TimeRNN", "nn.RNN")
"""The layers that run over a sequence."""
STACKS = ("nn.RNN",)
"""The layers that may have several layers and two directions."""


class FaultyLoop(Loop):
    """The plain loop with a fault.

    A subclass replaces methods of the plain loop. Its class attributes are its parameters: a
    ``Variant`` may set them to other values. What it remembers from call to call it declares with an
    annotation, so that ``Variant.combined_with`` knows of it.

    Attributes:
        inner_roundoff: the unit roundoff of the lower precision inside, if that is the fault; else 0.
        ill_conditioned: whether rounding changes its results by much.
        subject_answers: the subject's answer to each call, for faults that cannot be computed without
            them, such as a random mask.
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
        for name, value in (params or {}).items():
            setattr(self, name, value)

    def tanh(self, z: Array) -> Array:
        """Return tanh of the pre-activations ``z`` [T, runs, B, H], with its rounding."""
        value = np.tanh(z)
        self.noise.absolute(value[:, 1:])
        return value

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


class PiecesClash(Exception):
    """Two faulty loops cannot be combined.

    Both define the same name, or one needs something that the other does not provide.
    """


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

    def combined_with(self, other: "Variant") -> "Variant":
        """Return a loop with both faults.

        Both may replace the same method of the plain loop: then this loop's method runs first, and its
        ``super()`` call reaches the other's. Everything else that the two define must have different
        names: helper methods, what they remember, and parameters, unless their values are equal.

        Raises:
            PiecesClash: both define the same name, or one class is a subclass of the other.
        """
        mine, theirs = self._definitions(), other._definitions()
        clash = sorted(name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name])
        if clash:
            raise PiecesClash(
                f"{self.loop.__name__} and {other.loop.__name__} both define {', '.join(clash)}"
            )
        if issubclass(self.loop, other.loop) or issubclass(other.loop, self.loop):
            raise PiecesClash(f"{self.loop.__name__} and {other.loop.__name__} are variants of one fault")
        return Variant(
            type("TwoFaults", (self.loop, other.loop), {}),
            {**other.params, **self.params},
            {**other.constants, **self.constants},
        )

    def _definitions(self) -> dict[str, Any]:
        """What the class adds to the plain loop: the value of each parameter, and for each other name
        the class that defines it."""
        definitions: dict[str, Any] = {}
        for cls in self.loop.__mro__[: self.loop.__mro__.index(FaultyLoop)]:
            for name in {*vars(cls), *inspect.get_annotations(cls)}:
                value = vars(cls).get(name)
                if name.startswith("__") or hasattr(FaultyLoop, name) or isinstance(value, classmethod):
                    continue
                is_parameter = (
                    value is not None and not callable(value) and not isinstance(value, staticmethod)
                )
                definitions.setdefault(name, self.value(name) if is_parameter else cls)
        return definitions


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
    """

    name: str
    sentence: str
    look: str
    loops: tuple[Variant, ...]
    layers: tuple[str, ...] = KINDS


REGISTERED: list[Fault] = []
"""The faults of all modules imported so far."""


def register(
    name: str,
    *,
    sentence: str,
    look: str,
    loops: Sequence[type[FaultyLoop] | Variant],
    layers: tuple[str, ...] = KINDS,
) -> None:
    """Add a fault to the catalogue whose ``loops`` are several classes."""
    REGISTERED.append(Fault(name, sentence, look, tuple(map(as_variant, loops)), layers))


def fault(
    name: str,
    *,
    sentence: str,
    look: str,
    layers: tuple[str, ...] = KINDS,
    variants: Sequence[Mapping[str, Any]] = ({},),
) -> Callable[[type[AnyLoop]], type[AnyLoop]]:
    """Add a fault to the catalogue whose loop is the decorated class.

    ``variants`` holds the parameters of each variant; by default there is one, with the class's own.
    """

    def add(cls: type[AnyLoop]) -> type[AnyLoop]:
        loops = [cls.with_params(**params) for params in variants]
        register(name, sentence=sentence, look=look, loops=loops, layers=layers)
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
