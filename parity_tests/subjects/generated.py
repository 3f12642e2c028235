"""Adapters that ``rnn-parity adapt`` has written: what they say of themselves at their head."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FIRST = "# Adapter of "
"""How the first line begins; what follows is what was read."""
READ_AS = "# Read as: "
"""How the line begins that says the reading in one sentence."""
TEMPORARY = "# Judged at once: "
"""How the line begins of an adapter that is thrown away after the run; what follows are its options."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generated adapter says of itself.

    Attributes:
        of: the file, class or functions that it was made for.
        read_as: the reading in one sentence.
        is_temporary: whether it is thrown away after the run.
    """

    of: str
    read_as: str
    is_temporary: bool


@cache
def generated(file: str) -> Generated | None:
    """Return what a file says if it is a generated adapter, else None."""
    try:
        with Path(file).open(encoding="utf-8") as lines:
            head = [line.rstrip("\n") for _, line in zip(range(4), lines, strict=False)]
    except (OSError, UnicodeDecodeError):
        return None
    if not head or not head[0].startswith(FIRST):
        return None
    said = [line.removeprefix(READ_AS) for line in head if line.startswith(READ_AS)]
    is_temporary = any(line.startswith(TEMPORARY) for line in head)
    return Generated(
        head[0].removeprefix(FIRST).partition(", written by")[0], "".join(said[:1]), is_temporary
    )
