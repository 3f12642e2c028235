"""Several faults at once, and faults in one place: fixed samples of the catalogue, all to be named.

    python -m parity_tests.selftest.combinations --pairs 500 --more 300 --confined 200

puts them into layers, two at a time, and prints how many were named whole, and every one that was not.
"""

import argparse
import random
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from parity_tests.diagnosis.diagnose import diagnose
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.faults.catalogue import CATALOGUE
from parity_tests.diagnosis.faults.faulty_loop import Fault, Variant
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.matching import CANNOT, reproduces
from parity_tests.diagnosis.places import CELLS, Place
from parity_tests.diagnosis.probe_cases import PROBE_CASES
from parity_tests.diagnosis.samples import Sample, sample_subject
from parity_tests.selftest.catalogue_run import answering

NEEDS_A_SUBJECT = ("dropout on the outputs",)
"""Faults whose loop needs the answers of a subject."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Faults that are put into one layer of a kind."""

    kind: str
    explanation: Explanation

    @property
    def fault_names(self) -> frozenset[str]:
        """The names of the faults, without their places."""
        return frozenset(suspect.fault.name for suspect in self.explanation.suspects)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the diagnosis made of a combination.

    Attributes:
        combination: the faults put in.
        named: the names given, with those that no case distinguishes together in one.
        unexplained: whether something was left without a name.
        seconds: how long it took.
    """

    combination: Combination
    named: tuple[frozenset[str], ...]
    unexplained: bool
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether all faults were named, and no other; of a confined one, its place in other words is as good."""
        names = self.combination.fault_names
        return (
            not self.unexplained
            and len(self.named) == len(names)
            and all(any(_fault_of(given) == name for each in self.named for given in each) for name in names)
        )

    @property
    def false(self) -> bool:
        """Whether a name was given that is not true."""
        names = self.combination.fault_names
        return any(not {_fault_of(given) for given in each} & names for each in self.named)


def _of(kind: str) -> list[Fault]:
    """The faults that a kind of layer can have without any declaration."""
    return [f for f in CATALOGUE if kind in f.layers and any(map(f.fits, PROBE_CASES[kind]))]


def _fault_of(name: str) -> str:
    """The name of the fault, without its place."""
    return name.split(", ")[0]


def combinations(kind: str, faults: int, number: int) -> Iterator[Combination]:
    """Yield combinations of faults from different stages of which each shows beside the others.

    Args:
        kind: of the layer.
        faults: how many at once.
        number: how many combinations.
    """
    rng = random.Random(f"{kind} {faults}")
    by_stage: dict[Stage, list[tuple[Fault, Variant]]] = {}
    for fault in _of(kind):
        for variant in fault.loops:
            if fault.name not in NEEDS_A_SUBJECT and not variant.loop.inner_roundoff:
                by_stage.setdefault(variant.stage, []).append((fault, variant))
    found = 0
    while found < number:
        stages = rng.sample(sorted(by_stage), min(faults, len(by_stage)))
        explanation = Explanation()
        for stage in stages:
            fault = rng.choice(sorted({f.name: f for f, _ in by_stage[stage]}.values(), key=lambda f: f.name))
            variant = rng.choice([v for f, v in by_stage[stage] if f is fault])
            explanation = explanation.and_with(Suspect(fault, variant))
        if len(set(explanation.names)) == faults and all_show(kind, explanation):
            found += 1
            yield Combination(kind, explanation)


PLACES = (
    *CELLS[:1],
    CELLS[3],
    CELLS[5],
    Place("with relu only", case=lambda case: case.relu),
    Place("with several layers only", case=lambda case: case.layers > 1),
    Place("with two directions only", case=lambda case: case.bidirectional),
    Place("where D = H only", case=lambda case: case.D == case.H),
    Place("from the second call on only", call=lambda number: number > 0),
    Place("in rows 2 and later only", axis="rows", index=lambda i: i >= 2),
    Place("in rows 8 and later only", axis="rows", index=lambda i: i >= 8),
    Place("in the last row only", axis="rows", index=lambda i: i == len(i) - 1),
    Place("in steps 2 and later only", axis="steps", index=lambda i: i >= 2),
    Place("in unit 1 only", axis="units", index=lambda i: i == 1),
)
"""Where faults are put in the sample of confined ones."""


def confined(number: int) -> Iterator[Combination]:
    """Yield single faults in one place of ``nn.RNN`` and ``TimeRNN`` in turn, of which the place shows."""
    rng = random.Random("confined")
    found = 0
    while found < number:
        kind = ("nn.RNN", "TimeRNN")[found % 2]
        fault = rng.choice(_of(kind))
        variant, place = rng.choice(fault.loops), rng.choice(PLACES)
        suspect = Suspect(fault, variant, place)
        explanation = Explanation((suspect,))
        if (
            fault.name in NEEDS_A_SUBJECT
            or variant.loop.inner_roundoff
            or (place.cell and kind == "TimeRNN")
            or not all_show(kind, explanation)
        ):
            continue
        everywhere = Explanation((replace(suspect, place=None),))
        if not reproduces(everywhere, samples_of(kind, explanation)):
            found += 1
            yield Combination(kind, explanation)


def all_show(kind: str, explanation: Explanation) -> bool:
    """Return whether each of the faults changes a number that rounding does not, in some probe case."""
    try:
        samples = samples_of(kind, explanation)
        return not any(reproduces(explanation.without(suspect), samples) for suspect in explanation.suspects)
    except CANNOT:
        return False  # one of them cannot be computed beside another, or in this place


def samples_of(kind: str, explanation: Explanation) -> list[Sample]:
    """The probe cases, answered with the faults."""
    return [sample_subject(case, answering(explanation)) for case in PROBE_CASES[kind]]


def outcome(combination: Combination) -> Outcome:
    """Put the faults into a layer, and see what the diagnosis makes of it."""
    start = time.monotonic()
    found = diagnose(combination.kind, answering(combination.explanation), [])
    named = tuple(
        frozenset(name.split(", or ")) for each in found if each.fault for name in each.fault.split(", and ")
    )
    unexplained = any(each.fault is None for each in found)
    return Outcome(combination, named, unexplained, time.monotonic() - start)


SHARES = (("TimeRNN", 2), ("nn.RNN", 1), ("RNN", 1))
"""Of the layers that combinations are put into, in quarters."""


def sampled(pairs: int, more: int, in_places: int) -> Iterator[tuple[str, Combination]]:
    """Yield the samples, each with the name of its group."""
    groups = (("pairs", 2, pairs), ("triples", 3, more - more // 3), ("fours", 4, more // 3))
    for name, faults, number in groups:
        for kind, quarters in SHARES:
            share = number * quarters // 4
            yield from ((name, combination) for combination in combinations(kind, faults, share))
    yield from (("confined", combination) for combination in confined(in_places))


def _numbered(arguments: tuple[int, int, int, int, int]) -> list[tuple[str, str, bool, bool, float]]:
    """Judge every n-th of the samples, in a process of its own: combinations cannot be sent."""
    pairs, more, in_places, first, step = arguments
    warnings.simplefilter("ignore")
    rows = []
    for number, (group, combination) in enumerate(sampled(pairs, more, in_places)):
        if number % step == first:
            found = outcome(combination)
            names = " + ".join(combination.explanation.names)
            named = "; ".join(" | ".join(sorted(each)) for each in found.named) or "nothing"
            left = ", and something without a name" if found.unexplained else ""
            text = f"{combination.kind}: {names} -> {named}{left}"
            rows.append((group, text, found.whole, found.false, found.seconds))
            if not found.whole or found.false:
                print(f"{group}: {'FALSE NAME' if found.false else 'not whole'}: {text}", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how many of the samples were named whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("pairs", "more", "confined"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    tasks = [
        (options.pairs, options.more, options.confined, worker, options.workers)
        for worker in range(options.workers)
    ]
    with ProcessPoolExecutor(options.workers) as pool:
        rows = [row for part in pool.map(_numbered, tasks) for row in part]
    for group in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == group]
        print(
            f"{group}: {sum(row[2] for row in own)} of {len(own)} named whole, "
            f"{sum(row[3] for row in own)} with a false name, at most {max(row[4] for row in own):.1f} s"
        )


if __name__ == "__main__":
    main()
