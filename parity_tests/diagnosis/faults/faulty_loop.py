"""A fault, and its twins: the plain loop with one piece of it written wrong.

Where a fault has a constant, ``infer`` finds it from what the subject answered.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.cases.case import KINDS, Case
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.samples import Sample, pairs, precise, wrong_roles
from parity_tests.references.float64_cell import Gradients, Tape
from parity_tests.references.float64_loop import Loop, Spread
from parity_tests.references.rounding import Noise

PARAMETERS = ("dWx", "dWh", "db")
GRADIENTS = ("dx", "dh_0", *PARAMETERS)
SEQUENCES = ("time", "nn")
STACKS = ("nn",)


class Twin(Loop):
    """The plain loop with a fault.

    A class attribute is a parameter: a ``Variant`` may give it another value.

    Attributes:
        coarse: the unit roundoff inside, where that is the fault.
        rough: whether its numbers are moved far by rounding.
    """

    coarse: float = 0.0
    rough: bool = False

    def __init__(
        self, case: Case, noise: Noise, heard: Sequence[Answer] = (), params: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(case, noise)
        self.heard = heard
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

    loop: type[Twin]
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

    def for_case(self, case: Case, noise: Noise, heard: Sequence[Answer] = ()) -> Twin:
        """The loop, ready to run a case."""
        return self.loop(case, noise, heard, self.params)

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
        for cls in self.loop.__mro__[: self.loop.__mro__.index(Twin)]:
            for name in {*vars(cls), *inspect.get_annotations(cls)}:
                value = vars(cls).get(name)
                if name.startswith("__") or hasattr(Twin, name) or isinstance(value, classmethod):
                    continue
                is_parameter = (
                    value is not None and not callable(value) and not isinstance(value, staticmethod)
                )
                brought.setdefault(name, self.value(name) if is_parameter else cls)
        return brought


AnyTwin = TypeVar("AnyTwin", bound=Twin)


@dataclass(frozen=True)
class Fault:
    """An entry of the catalogue.

    Attributes:
        name: short, stable.
        sentence: what the numbers show.
        look: where to look in one's own code.
        loops: wrong in this way, each a little differently.
        kinds: of layers it may stand in.
    """

    name: str
    sentence: str
    look: str
    loops: tuple[Variant, ...]
    kinds: tuple[str, ...] = KINDS


REGISTERED: list[Fault] = []
"""Every fault of the modules imported so far."""


def register(
    name: str,
    *,
    sentence: str,
    look: str,
    loops: Sequence[type[Twin] | Variant],
    kinds: tuple[str, ...] = KINDS,
) -> None:
    """Enter a fault into the catalogue that several classes of loops have."""
    REGISTERED.append(Fault(name, sentence, look, tuple(map(as_variant, loops)), kinds))


def fault(
    name: str,
    *,
    sentence: str,
    look: str,
    kinds: tuple[str, ...] = KINDS,
    variants: Sequence[Mapping[str, Any]] = ({},),
) -> Callable[[type[AnyTwin]], type[AnyTwin]]:
    """Enter the class decorated into the catalogue, once with the parameters of each variant."""

    def enter(cls: type[AnyTwin]) -> type[AnyTwin]:
        loops = [cls.with_params(**params) for params in variants]
        register(name, sentence=sentence, look=look, loops=loops, kinds=kinds)
        return cls

    return enter


def as_variant(loop: type[Twin] | Variant) -> Variant:
    """A class with the parameters it has by itself."""
    return loop if isinstance(loop, Variant) else Variant(loop)


BOTH_BACKWARDS: tuple[Mapping[str, Any], ...] = ({"own": True}, {})
"""With the backward of its own forward, and with the right cell's."""


def with_both_backwards(loop: type[Twin] | Variant) -> tuple[Variant, Variant]:
    """The variants of ``BOTH_BACKWARDS``."""
    return as_variant(loop).with_params(own=True), as_variant(loop)


class Changed(Twin):
    """Its finished gradients are changed, of the roles that the subject has wrong."""

    among: tuple[str, ...] = PARAMETERS
    roles: frozenset[str] = frozenset(PARAMETERS)

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        found = super().backward(tape, dhs, dh_n)
        for name in sorted(self.roles):
            setattr(found, name, self.changed(name, getattr(found, name), tape))
        return found

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        """The gradient of a role, [runs, ...] or, for dx, [T, runs, B, D]."""
        raise NotImplementedError

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        """Which roles it may be: those that are wrong, and all."""
        among: frozenset[str] = frozenset(variant.value("among"))
        wrong = wrong_roles(samples) & among
        return [wrong] if wrong == among or not wrong else [wrong, among]

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for roles in cls.choices(variant, samples):
            if roles:
                yield variant.with_constants(roles=roles)


def of_roles(*roles: str) -> dict[str, Any]:
    """The parameters of a ``Changed`` that concerns these roles only."""
    return {"among": roles, "roles": frozenset(roles)}


def nice(value: float, within: float = 1e-9) -> float:
    """The number of few digits, or its inverse, that ``value`` is but for rounding."""
    if not np.isfinite(value) or value == 0:
        return value
    for digits in range(1, 7):
        short = float(f"{value:.{digits - 1}e}")
        inverse = 1 / float(f"{1 / value:.{digits - 1}e}")
        for candidate in (short, inverse):
            if abs(candidate - value) <= within * abs(value):
                return candidate
    return value


def tolerance(samples: Sequence[Sample]) -> float:
    """How far constants found from the samples may be off, relatively."""
    return 1e-9 if samples[0].case.dtype == "f64" else 1e-5


def largest(samples: Sequence[Sample], role: str) -> float:
    """The largest magnitude in a tensor, to few digits."""
    chosen = precise(samples)
    most = max((np.abs(got[name]).max(initial=0) for *_, got, _, name in pairs(chosen, role)), default=0.0)
    return nice(float(most), tolerance(chosen)) if np.isfinite(most) else 0.0


def ratio(samples: Sequence[Sample], select: Callable[[str], bool]) -> float | None:
    """Got / right of the tensors selected, if it is one number everywhere."""
    chosen = precise(samples)
    got, right = [np.zeros(0)], [np.zeros(0)]
    for sample in chosen:
        for mine, truth in zip(sample.got, sample.truths, strict=False):
            for name in mine:
                if select(name):
                    got.append(mine[name].ravel())
                    right.append(truth[name].ravel())
    x, y = np.concatenate(right), np.concatenate(got)
    if not x.size or not np.isfinite(y).all() or not (x @ x):
        return None
    factor = float(x @ y / (x @ x))
    close = np.abs(y - factor * x).max() <= 1e-3 * max(np.abs(y).max(), np.abs(x).max() * 1e-6)
    return nice(factor, tolerance(chosen)) if close else None


def solved(sample: Sample, call: int = 0) -> Array:
    """The dz of the only step of a single cell, from dx; D must be no less than H."""
    dx = sample.got[call]["dx"][:, 0]
    Wx = np.asarray(sample.calls[call].Wx, np.float64)
    return np.linalg.lstsq(Wx, dx.T, rcond=None)[0].T


class _KeepsUpstream(Twin):
    """Remembers the upstream gradients of a cell's outputs, without the carry."""

    upstream_alone: Array

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        self.upstream_alone = dhs
        return super().backward(tape, dhs, dh_n)


class _Numbered(Twin):
    """Knows which cell it is at."""

    cell_number: int
    current_call: Call
    cell_numbers: dict[int, int]

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.cell_number = -1
        self.current_call = call
        self.cell_numbers = {}
        return super().call(call, before)

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        self.cell_number += 1
        return super().forward(weights, x, h_0, running)

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        self.cell_numbers = {id(tape): number for number, tape in enumerate(tapes)}
        return super().recalled(tapes)

    def number(self, tape: Tape) -> int:
        """Of a tape's cell, in the forward as in the backward."""
        return self.cell_numbers.get(id(tape), self.cell_number)

    def reverse(self, tape: Tape) -> bool:
        """Whether it is of the reverse direction."""
        return self.case.bidirectional and self.number(tape) % 2 == 1
