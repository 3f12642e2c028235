"""The regions that the default run draws: which cases are in each, and how many must be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.draw import CHAOTIC, LARGE, MAX_BATCH, MAX_HIDDEN, MAX_STEPS
from parity_tests.cases.fields import DRAWN, FIELDS
from parity_tests.cases.layers import KINDS
from parity_tests.gate_tests.kept import drawn
from parity_tests.run.options import DEFAULT_CASES, DEFAULT_SEED
from parity_tests.selftest.measures.markdown import table

MANY, LARGE_ONES = 10, 8
"""The least number of cases in a region, and in one of large sizes."""
TOGETHER = {"B": 16, "T": 80, "H": 48}
"""The least sizes of a case in which three are large together."""
ELEMENTS = range(2**16, 2**19 + 1)
"""B T H of such a case."""
ORDINARY = {"B": MAX_BATCH, "T": MAX_STEPS, "D": MAX_HIDDEN, "H": MAX_HIDDEN}
"""The largest sizes of all other cases."""
WORDS = {
    "layer": "layer",
    "layers": "number of layers",
    "nonlinearity": "nonlinearity",
    "dtype": "precision",
    "values": "values",
    "layout": "memory layout",
    "gain": "scale of the recurrent weights",
    "calls": "calls of one layer",
    "upstream": "gradient of the outputs",
    "grad_outputs": "what has a gradient",
    "bias": "bias",
    "form": "form of the input",
    "lengths": "lengths",
    "dropout": "dropout",
    "nonfinite": "NaN and infinity",
}
"""The fields of which every drawn value is a region."""
FLAGS = ("bidirectional", "batch_first", "h0", "eval")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of all cases.

    Attributes:
        group: the row of the table.
        name: what it is called there.
        has: whether a case is in it.
        least: how many cases of the default run must be.
    """

    group: str
    name: str
    has: Callable[[Case], bool]
    least: int = MANY


def default_cases() -> list[Case]:
    """The random cases of the default run."""
    return [drawn(DEFAULT_SEED, number, KINDS) for number in range(DEFAULT_CASES)]


def is_large_alone(size: str, case: Case) -> bool:
    """Whether one size is larger than in other cases, and no other is."""
    return [name for name, most in ORDINARY.items() if getattr(case, name) > most] == [size]


def is_large_together(case: Case) -> bool:
    """Whether B, T and H are large together."""
    large = all(getattr(case, name) >= least for name, least in TOGETHER.items())
    return large and case.B * case.T * case.H in ELEMENTS


def is_chaotic(case: Case) -> bool:
    """Whether it has tanh and recurrent weights so large that rounding soon decides everything."""
    return case.nonlinearity == "tanh" and case.gain in CHAOTIC


def _has(name: str, values: Sequence[Any], case: Case) -> bool:
    return getattr(case, name) in values


def regions() -> Iterator[Region]:
    """Every region, in the order of the table."""
    for size, (_, most) in LARGE.items():
        name = f"{size} from {ORDINARY[size] + 1} to {most:,}"
        yield Region("one size alone is large", name, partial(is_large_alone, size), LARGE_ONES)
    sizes = ", ".join(f"{name} >= {least}" for name, least in TOGETHER.items())
    name = f"{sizes} and B T H from 2^16 to 2^19"
    yield Region("three sizes are large together", name, is_large_together, LARGE_ONES)
    for size in LARGE:
        yield Region("a size is 1", f"{size} = 1", partial(_has, size, (1,)))
    yield Region("whole numbers", "`int`", partial(_has, "integer", (True,)))
    yield Region("rounding soon decides", "tanh and a scale of 3 or 4", is_chaotic)
    for row in FIELDS:
        if row.name not in WORDS:
            continue
        for value in DRAWN[row.name]:
            text = f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
            yield Region(WORDS[row.name], text, partial(_has, row.name, (value,)))
    for name in FLAGS:
        yield Region("options that are on", f"`{name}`", partial(_has, name, (True,)))


@cache
def counted() -> dict[Region, int]:
    """How many cases of the default run each region has."""
    cases = default_cases()
    return {region: sum(map(region.has, cases)) for region in regions()}


def region_table() -> str:
    """The regions with their numbers of cases, as a table in Markdown."""
    groups: dict[str, list[str]] = {}
    for region, number in counted().items():
        groups.setdefault(region.group, []).append(f"{region.name}: {number:,}")
    return table(
        ("region", f"of {DEFAULT_CASES:,} cases"),
        *((name, ", ".join(cells)) for name, cells in groups.items()),
    )
