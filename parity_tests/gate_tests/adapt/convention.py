"""One hand-written convention: its file, what is read of it, and single faults to put in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "conventions"


@dataclass(frozen=True, slots=True)
class Convention:
    """A file of right code in somebody's own convention.

    Attributes:
        path: the file, below ``conventions``.
        name: what is to be read in it; of functions, their names with commas between.
        kinds: what the convention shows.
        faults: single edits, each the name of the fault, the text that it replaces, and the new text.
    """

    path: str
    name: str
    kinds: tuple[str, ...]
    faults: tuple[tuple[str, str, str], ...]

    @property
    def file(self) -> Path:
        """Where the file is."""
        return FOLDER / self.path

    @property
    def spec(self) -> str:
        """What a user would point at."""
        return f"{self.file}:{self.name}"

    def faulty(self) -> Iterator[tuple[str, str]]:
        """The name of each fault, and the source with it.

        Raises:
            ValueError: the old text of an edit does not occur exactly once.
        """
        right = self.file.read_text("utf-8")
        for fault, old, new in self.faults:
            if right.count(old) != 1:
                raise ValueError(f"{self.path}, {fault}: {old!r} occurs {right.count(old)} times, expected 1")
            yield fault, right.replace(old, new)
