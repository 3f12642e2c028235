"""What a campaign has shown so far: its size does not grow with the cases."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import family
from parity_tests.checks.systematic import SignedErrors, systematic_findings
from parity_tests.checks.values import Compared
from parity_tests.report import SystematicError, Tally
from parity_tests.selftest.measures.histogram import Histogram, merged

COUNTS = ("done", "inconclusive", "accused", "undecided")


@dataclass(slots=True)
class Tried:
    """What layers were judged in, and how near they came to what is allowed.

    Attributes:
        done: how many cases were drawn.
        cases: how many each variant was judged in.
        inconclusive: how many slices proved nothing.
        ratios: error over allowed at the worst element of every other slice in which something may round, by
            variant, dtype and tensor.
        systematic: how far float32 results are too large or too small on average, by variant and tensor.
        bad: lines about accused layers and cases that could not be judged, not yet printed.
        accused: how many layers in how many cases.
        undecided: in how many cases the references disagreed.
    """

    done: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    inconclusive: int = 0
    ratios: dict[tuple[str, str, str], Histogram] = field(default_factory=dict)
    systematic: dict[tuple[str, str], SystematicError] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    accused: int = 0
    undecided: int = 0

    def merge(self, other: "Tried") -> None:
        """Add what other cases have shown."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cases.update(other.cases)
        for key, histogram in other.ratios.items():
            self.ratios.setdefault(key, Histogram()).merge(histogram)
        for pair, error in other.systematic.items():
            self.systematic.setdefault(pair, SystematicError()).add(error)

    def add(self, variant: str, compared: Compared, errors: SignedErrors) -> None:
        """Add a tensor that was compared; ``errors`` are those of its case."""
        assert compared.comparison is not None
        assert compared.got is not None
        self.inconclusive += compared.comparison.inconclusive
        histogram = self.ratios.setdefault((variant, errors.case.dtype, family(compared.tensor)), Histogram())
        histogram.add(ratios(compared), compared.comparison.worst, str(errors.case))
        if compared.comparison.equal:
            errors.add(compared.tensor, compared.want, compared.got, compared.allowed)

    def add_signed(self, variant: str, errors: SignedErrors) -> None:
        """Add the signed errors of a case."""
        for name, (signed, weight) in errors.sums.items():
            if weight:
                error = SystematicError.of_case(signed, weight, errors.case)
                self.systematic.setdefault((variant, name), SystematicError()).add(error)

    def of(self, variant: str = "", dtype: str = "", tensor: str = "") -> Histogram:
        """What was counted of a variant, dtype and tensor; of all where one is empty."""
        wanted = variant, dtype, tensor
        return merged(
            histogram
            for key, histogram in self.ratios.items()
            if all(want in ("", own) for want, own in zip(wanted, key, strict=True))
        )

    def means(self, variant: str) -> dict[str, float]:
        """The mean relative error of each float32 tensor of a variant, in units of roundoff."""
        return {key[1]: error.mean for key, error in self.systematic.items() if key[0] == variant}

    def systematic_faults(self) -> list[str]:
        """Lines about layers that a run would accuse of a systematic error."""
        found = []
        for variant in self.cases:
            own = {
                key[1]: Tally(systematic=error) for key, error in self.systematic.items() if key[0] == variant
            }
            found += [
                f"ACCUSED: {variant}: {each.what}: {each.message}" for each in systematic_findings(own, [])
            ]
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        return {
            **{name: getattr(self, name) for name in COUNTS},
            "cases": self.cases,
            "ratios": [[*key, histogram.to_json()] for key, histogram in self.ratios.items()],
            "systematic": [[*key, error.to_json()] for key, error in self.systematic.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What ``to_json`` came from."""
        counts = {name: data[name] for name in COUNTS}
        ratios = {(row[0], row[1], row[2]): Histogram.from_json(row[3]) for row in data["ratios"]}
        systematic = {(row[0], row[1]): SystematicError.from_json(row[2]) for row in data["systematic"]}
        return cls(**counts, cases=Counter(data["cases"]), ratios=ratios, systematic=systematic)


def ratios(compared: Compared) -> Array:
    """Error over allowed at the worst element of each slice that concludes and in which something may round."""
    assert compared.got is not None
    with np.errstate(all="ignore"):
        ratio = np.abs(compared.got - compared.want) / compared.allowed.allow
    ratio[~np.isfinite(ratio)] = 0  # neither is finite, or they are equal where nothing is allowed
    rounds = ~compared.allowed.inconclusive & (compared.allowed.allow > 0).any(axis=-1)
    return np.asarray(ratio.max(axis=-1, initial=0.0)[rounds])
