"""What a run rests on: the target, the options and the versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

SHOWN_ALONE = ("reference", "target", "kind", "notices", "without", "declared", "seed")
"""Facts that a report shows first; the others are under the key ``run``, and ``versions`` has its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run rests on. It is equal in all parts of one run, but for the notices.

    Attributes:
        reference: ``torch`` or ``recorded``.
        target: what is judged, as it was given.
        kind: the target's interface.
        notices: what was out of order when it was loaded.
        without: what it lacks, and what its interface has no place for.
        declared: what every case has by declaration.
        seed: of the random cases; None if there are none.
        versions: by name.
        cases: how many cases, in all parts.
        kinds: the kinds of layers that the target has.
        implied: what its interface has no place for, and what its declarations set.
        forced: the interface that an option forces, or None.
        nonlinearity: that an option declares, or None.
        accuracy: that an option declares, or None.
        case: the token of the only case, or None.
        known: what the target is known to fail, with the reasons.
        timeout: seconds that it may take for a case.
        lines: whether wrong lines are looked for.
        stops: whether cases are left out once a fault was found.
        at_hand: what the target is called, if it is an object of a process; else None.
        code: a digest of the target's source.
    """

    reference: str
    target: str
    kind: str
    notices: tuple[str, ...] = field(default=(), compare=False)
    without: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    seed: int | None = None
    versions: Mapping[str, str]
    cases: int
    kinds: tuple[str, ...]
    implied: tuple[str, ...] = ()
    forced: str | None = None
    nonlinearity: str | None = None
    accuracy: float | None = None
    case: str | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    timeout: float
    lines: bool
    stops: bool
    at_hand: str | None = None
    code: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types, by the names of the attributes."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: [*value] if isinstance(value, tuple) else {**value} if isinstance(value, Mapping) else value
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RunFacts":
        """The facts that ``to_json`` came from; other keys are ignored."""
        own: dict[str, Any] = {each.name: data[each.name] for each in fields(cls)}
        return cls(**own | {name: tuple(value) for name, value in own.items() if isinstance(value, list)})

    def difference(self, other: "RunFacts") -> str:
        """The first fact in which another run differs, with both values, or ``""``."""
        for each in fields(self):
            own, theirs = getattr(self, each.name), getattr(other, each.name)
            if not each.compare or own == theirs:
                continue
            if each.name == "code":
                return "the target's source is another one"
            if isinstance(own, Mapping):
                key = next(key for key in (*own, *theirs) if own.get(key) != theirs.get(key))
                return f"{each.name}: {key} is {theirs.get(key)}, not {own.get(key)}"
            return f"{each.name} is {_in_words(theirs)}, not {_in_words(own)}"
        return ""


def _in_words(value: object) -> str:
    return (", ".join(map(str, value)) or "nothing") if isinstance(value, tuple) else str(value)


def accuracy_in_words(accuracy: float) -> str:
    """A declared accuracy, for a verdict."""
    return f"each of its values may be off by {accuracy:g} of its size, as declared by --accuracy"
