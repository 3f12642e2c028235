"""The systematic error of a tensor: what all cases of a run say together about its size."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from parity_tests.cases.case import Case

UNIT = 2.0**-36
"""All sums are multiples of it: so float64 adds up ten million cases exactly, in any order."""


@dataclass(slots=True)
class SystematicError:
    """How far float32 results are too large or too small on average, as a share of their size.

    Every case adds its own estimate ``signed / weight``; the less rounding moves its numbers, the larger its
    weight. All are in units of the unit roundoff, 2^-24.

    Attributes:
        cases: how many cases have added.
        signed, weight: their sums.
        signed_squared, product, weight_squared: the sums of their squares and products, for the uncertainty.
        case: the smallest of them.
    """

    cases: int = 0
    signed: float = 0.0
    weight: float = 0.0
    signed_squared: float = 0.0
    product: float = 0.0
    weight_squared: float = 0.0
    case: Case | None = None

    @classmethod
    def of_case(cls, signed: float, weight: float, case: Case) -> "SystematicError":
        """What one case says."""
        numbers = (signed, weight, signed * signed, signed * weight, weight * weight)
        signed, weight, *squares = (round(number / UNIT) * UNIT for number in numbers)
        signed_squared, product, weight_squared = squares
        return cls(1, signed, weight, signed_squared, product, weight_squared, case)

    def add(self, other: "SystematicError") -> None:
        """Take in other cases."""
        for row in fields(self)[:-1]:
            setattr(self, row.name, getattr(self, row.name) + getattr(other, row.name))
        found = [case for case in (self.case, other.case) if case]
        self.case = min(found, key=lambda case: case.size) if found else None

    @property
    def mean(self) -> float:
        """The mean relative error, in units of the unit roundoff; 0 if nothing is known."""
        return self.signed / self.weight if self.weight else 0.0

    @property
    def uncertainty(self) -> float:
        """The standard error of the mean; infinite if nothing is known."""
        if not self.weight:
            return math.inf
        mean = self.mean
        squares = self.signed_squared - 2 * mean * self.product + mean * mean * self.weight_squared
        return math.sqrt(max(squares, 0.0)) / self.weight

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types; the case is its token, or ``""``."""
        return {**asdict(replace(self, case=None)), "case": str(self.case) if self.case else ""}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SystematicError":
        """What ``to_json`` came from."""
        own = {name: data[name] for name in cls.__slots__}
        return cls(**{**own, "case": Case.parse(data["case"]) if data["case"] else None})
