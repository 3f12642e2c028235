"""An explanation: the faults that together have a subject's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.confined_loop import ConfinedLoop
from parity_tests.diagnosis.faults.faulty_loop import Fault, FaultyLoop, Variant, chained
from parity_tests.diagnosis.faults.nonlinearities import written
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.diagnosis.places import Place
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.rounding import NoNoise, RoundingNoise


@dataclass(frozen=True, eq=False, slots=True)
class Suspect:
    """A fault of the catalogue with one of its loops, and where it is confined to.

    Attributes:
        fault: the fault.
        variant: the loop.
        place: where it is; None: everywhere.
        nonlinearity: the one that its sentence speaks of.
    """

    fault: Fault
    variant: Variant
    place: Place | None = None
    nonlinearity: str = "tanh"

    @property
    def name(self) -> str:
        """The fault, and its place."""
        return f"{self.fault.name}, {self.place.words}" if self.place else self.fault.name

    @property
    def key(self) -> str:
        """Equal for suspects of the same loop."""
        return f"{self.name} {self.variant.loop.__name__} {sorted(self.variant.params.items())}"

    @property
    def sentence(self) -> str:
        """What the numbers show, and where to look."""
        both = f"{self.fault.sentence} {self.fault.look}"
        text = written(both, self.nonlinearity, **self.variant.constants)
        return f"{self.place.words[0].upper()}{self.place.words[1:]}: {text}" if self.place else text

    @property
    def stage(self) -> Stage:
        """Where in the computation it is."""
        return self.variant.stage

    def loop(self, case: Case, noise: RoundingNoise, subject_answers: Sequence[Answer]) -> FaultyLoop:
        """Return the faulty loop for a case."""
        loop = self.variant.for_case(case, noise, subject_answers)
        return loop if self.place is None else ConfinedLoop(loop, self.place)


@dataclass(frozen=True, eq=False, slots=True)
class Explanation:
    """Faults that act together, in the order of their stages.

    Attributes:
        suspects: the faults.
        first: the loop that they are put into: without a fault, or from the subject's own states.
    """

    suspects: tuple[Suspect, ...] = ()
    first: type[FaultyLoop] = FaultyLoop

    def and_with(self, suspect: Suspect) -> "Explanation":
        """Return the explanation with one more fault."""
        suspects = sorted((*self.suspects, suspect), key=lambda each: each.stage)
        return Explanation(tuple(suspects), self.first)

    def without(self, suspect: Suspect) -> "Explanation":
        """Return the explanation without one of its faults."""
        return Explanation(tuple(each for each in self.suspects if each is not suspect), self.first)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the faults."""
        return tuple(suspect.name for suspect in self.suspects)

    @property
    def states_given(self) -> bool:
        """Whether the subject's own states are taken for granted, as nothing explains them."""
        return self.first is not FaultyLoop

    @property
    def key(self) -> tuple[frozenset[str], bool]:
        """Equal for explanations of the same loops."""
        return frozenset(each.key for each in self.suspects), self.states_given

    @property
    def inner_roundoff(self) -> float:
        """The unit roundoff of the lower precision that is one of the faults; 0 if none is."""
        return max((each.variant.loop.inner_roundoff for each in self.suspects), default=0.0)

    @property
    def ill_conditioned(self) -> bool:
        """Whether rounding changes the results by much."""
        return any(each.variant.loop.ill_conditioned for each in self.suspects)

    def has_inferred_numbers(self, of_states: bool) -> bool:
        """Return whether a constant was found from the subject's numbers, in a fault that changes states."""
        return any(
            isinstance(constant, float)
            for each in self.suspects
            if each.stage == Stage.STATES or not of_states
            for constant in each.variant.constants.values()
        )

    def loop(self, case: Case, noise: RoundingNoise, subject_answers: Sequence[Answer] = ()) -> FaultyLoop:
        """Return the loop with all these faults."""
        return chained(
            [
                self.first(case, noise, subject_answers),
                *(each.loop(case, noise, subject_answers) for each in self.suspects),
            ]
        )

    def answers(self, sample: Sample) -> list[Answer]:
        """Return the answers of the loop with all these faults, without rounding noise."""
        return self.loop(sample.case, NoNoise(sample.case), sample.got).answers(sample.calls)
