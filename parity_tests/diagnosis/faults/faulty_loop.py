"""A fault, and its twins: the plain loop with one piece of it written wrong.

Where a fault has a constant, ``infer`` finds it from what the subject answered.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.cases.case import KINDS, Case
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.samples import Sample, pairs, precise, wrong_roles
from parity_tests.references.float64_loop import Gradients, Loop, Spread, Tape
from parity_tests.references.rounding import Noise

PARAMETERS = ("dWx", "dWh", "db")
GRADIENTS = ("dx", "dh_0", *PARAMETERS)
SEQUENCES = ("time", "nn")
STACKS = ("nn",)


class Twin(Loop):
    """The plain loop with a fault.

    Attributes:
        constants: of the fault, found from the numbers; its sentence may name them.
        coarse: the unit roundoff inside, where that is the fault.
        rough: whether its numbers are moved far by rounding.
    """

    constants: ClassVar[dict[str, Any]] = {}
    coarse: ClassVar[float] = 0.0
    rough: ClassVar[bool] = False

    def __init__(self, case: Case, noise: Noise, heard: Sequence[Answer] = ()) -> None:
        super().__init__(case, noise)
        self.heard = heard
        """What the subject answered, for what can only be seen there, as a random mask."""

    def tanh(self, z: Array) -> Array:
        """Of pre-activations [T, runs, B, H]."""
        value = np.tanh(z)
        self.noise.absolute(value[:, 1:])
        return value

    @classmethod
    def having(cls, **constants: Any) -> type[Self]:
        """The twin with these constants."""
        return type(cls.__name__, (cls,), {**constants, "constants": constants})

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type["Twin"]]:
        """The twins that might be the subject's, with their constants."""
        yield cls


AnyTwin = TypeVar("AnyTwin", bound=Twin)


@dataclass(frozen=True)
class Fault:
    """An entry of the catalogue.

    Attributes:
        name: short, stable.
        sentence: what the numbers show.
        look: where to look in one's own code.
        twins: wrong in this way, each a little differently.
        kinds: of layers it may stand in.
    """

    name: str
    sentence: str
    look: str
    twins: tuple[type[Twin], ...]
    kinds: tuple[str, ...] = KINDS


REGISTERED: list[Fault] = []
"""Every fault of the modules imported so far."""


def register(
    name: str, *, sentence: str, look: str, twins: Sequence[type[Twin]], kinds: tuple[str, ...] = KINDS
) -> None:
    """Enter a fault into the catalogue that several classes of twins have."""
    REGISTERED.append(Fault(name, sentence, look, tuple(twins), kinds))


def fault(
    name: str,
    *,
    sentence: str,
    look: str,
    kinds: tuple[str, ...] = KINDS,
    variants: Sequence[Mapping[str, Any]] = ({},),
) -> Callable[[type[AnyTwin]], type[AnyTwin]]:
    """Enter the class decorated into the catalogue, once with the attributes of each variant."""

    def enter(cls: type[AnyTwin]) -> type[AnyTwin]:
        twins = [variant(cls, **values) if values else cls for values in variants]
        register(name, sentence=sentence, look=look, twins=twins, kinds=kinds)
        return cls

    return enter


BOTH_BACKWARDS: tuple[Mapping[str, Any], ...] = ({"own": True}, {})
"""With the backward of its own forward, and with the right cell's."""


def with_both_backwards(base: type[Twin]) -> tuple[type[Twin], type[Twin]]:
    """The twins of ``BOTH_BACKWARDS``."""
    return variant(base, own=True), base


class Changed(Twin):
    """Its finished gradients are changed, of the roles that the subject has wrong."""

    among: ClassVar[tuple[str, ...]] = PARAMETERS
    roles: ClassVar[frozenset[str]] = frozenset(PARAMETERS)

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        found = super().backward(tape, dhs, dh_n)
        for name in sorted(self.roles):
            setattr(found, name, self.changed(name, getattr(found, name), tape))
        return found

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        """The gradient of a role, [runs, ...] or, for dx, [T, runs, B, D]."""
        raise NotImplementedError

    @classmethod
    def choices(cls, samples: Sequence[Sample]) -> list[frozenset[str]]:
        """Which roles it may be: those that are wrong, and all."""
        wrong = wrong_roles(samples) & frozenset(cls.among)
        return [wrong] if wrong == frozenset(cls.among) or not wrong else [wrong, frozenset(cls.among)]

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for roles in cls.choices(samples):
            if roles:
                yield cls.having(roles=roles)


def of_role(base: type[Changed], *roles: str) -> type[Changed]:
    """The twin with these roles only."""
    return type(base.__name__, (base,), {"among": roles, "roles": frozenset(roles)})


def variant(base: type[Twin], **values: Any) -> type[Twin]:
    """The twin with other attributes."""
    return type(base.__name__, (base,), values)


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


class _Numbered(Twin):
    """Knows which cell it is at."""

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.at = -1
        self.now = call
        self.numbers: dict[int, int] = {}
        return super().call(call, before)

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        self.at += 1
        return super().forward(weights, x, h_0, running)

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        self.numbers = {id(tape): number for number, tape in enumerate(tapes)}
        return super().recalled(tapes)

    def number(self, tape: Tape) -> int:
        """Of a tape's cell, in the forward as in the backward."""
        return self.numbers.get(id(tape), self.at)

    def reverse(self, tape: Tape) -> bool:
        """Whether it is of the reverse direction."""
        return self.case.bidirectional and self.number(tape) % 2 == 1
