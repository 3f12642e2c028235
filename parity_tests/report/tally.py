"""The result of all comparisons of one tensor."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.report.systematic import SystematicError

TALLY_HEADINGS = ("tensor", "cases", "slices", "inconclusive", "worst error / allowed", "in case")


@dataclass(slots=True)
class Tally:
    """The result of all comparisons of one tensor.

    Attributes:
        cases: how many cases have the tensor.
        slices: how many slices were compared.
        inconclusive: how many of them rounding left undecided.
        worst: the largest error over allowed among conclusive slices.
        case: the case in which it was seen; None if no slice was conclusive.
        systematic: how far float32 results are too large or too small on average.
    """

    cases: int = 0
    slices: int = 0
    inconclusive: int = 0
    worst: float = 0.0
    case: Case | None = None
    systematic: SystematicError = field(default_factory=SystematicError)

    def add(self, other: "Tally") -> None:
        """Take in another tally of the same tensor."""
        self.cases += other.cases
        self.slices += other.slices
        self.inconclusive += other.inconclusive
        self.systematic.add(other.systematic)
        if other.case and (not self.case or other.worst > self.worst):
            self.worst, self.case = other.worst, other.case
        elif other.case and self.case and other.worst == self.worst:  # the order does not matter
            self.case = min(self.case, other.case, key=lambda case: case.size)

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types; the case is its token, or ``""``."""
        own = {name: getattr(self, name) for name in self.__slots__}
        case = str(self.case) if self.case else ""
        return {**own, "case": case, "systematic": self.systematic.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        """The tally that ``to_json`` came from."""
        own = {name: data[name] for name in cls.__slots__}
        case = Case.parse(data["case"]) if data["case"] else None
        return cls(**{**own, "case": case, "systematic": SystematicError.from_json(data["systematic"])})


def shown_worst(tally: Tally) -> str:
    """The largest error over allowed; JSON has no infinity, and its largest number stands for it."""
    if not tally.case:
        return "none conclusive"
    return "inf" if tally.worst >= sys.float_info.max else f"{tally.worst:.3g}"
