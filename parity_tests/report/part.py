"""A part of a run: which one of how many."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

MAX_PARTS = 1000
EXPECTED = f"expected I/N, part I of N, from 1/1 to {MAX_PARTS}/{MAX_PARTS}, or auto"
BAZEL, GITLAB = ("TEST_TOTAL_SHARDS", "TEST_SHARD_INDEX"), ("CI_NODE_TOTAL", "CI_NODE_INDEX")
"""Environment variables: how many parts there are, and which one this is; Bazel counts from 0, GitLab from 1."""
STATUS_FILE = "TEST_SHARD_STATUS_FILE"
"""The variable with the file that tells Bazel, once it is there, that the test knows of parts."""

Some = TypeVar("Some", bound=Sequence[Any])


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run.

    Attributes:
        number: which one, from 1.
        of: how many there are.

    Example:
        >>> from parity_tests.report.part import Part
        >>> Part(2, 4).share(range(10)), str(Part(2, 4))
        (range(1, 10, 4), '2/4')
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= MAX_PARTS:
            raise ValueError(EXPECTED)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, whole: Some) -> Some:
        """What of a sequence belongs to the part: every ``of``-th, so that each belongs to one part."""
        return whole[self.number - 1 :: self.of]  # type: ignore[return-value]

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Return the part that a text says: ``I/N``, or ``auto`` for what Bazel or GitLab say.

        Raises:
            ValueError: it says none, or the environment does not.
        """
        if text == "auto":
            return _of_environment()
        number, slash, of = text.partition("/")
        if not slash or not _is_number(number) or not _is_number(of):
            raise ValueError(EXPECTED)
        return cls(int(number), int(of))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PARTS))


def _of_environment() -> Part:
    """What Bazel says, in whose tests GitLab's variables may be there too, or else GitLab."""
    for names, first in ((BAZEL, 0), (GITLAB, 1)):
        values = [os.environ.get(name, "") for name in names]
        if names == GITLAB and values == ["1", ""]:  # a job that is not parallel
            values[1] = "1"
        if any(values):
            part = _of_variables(names, values, first)
            if names == BAZEL and (file := os.environ.get(STATUS_FILE)):
                _touch(file)
            return part
    raise ValueError(
        f"auto takes the part from {' and '.join(BAZEL)} (Bazel) or {' and '.join(GITLAB)} (GitLab), and none of "
        "them is set"
    )


def _of_variables(names: Sequence[str], values: Sequence[str], first: int) -> Part:
    said = " and ".join(f"{name}={value!r}" for name, value in zip(names, values, strict=True))
    if not all(map(_is_number, values)):
        raise ValueError(f"auto expected two whole numbers, got {said}")
    of, index = map(int, values)
    if not first <= index < of + first:
        raise ValueError(f"auto expected an index from {first} on, of as many as the total says, got {said}")
    return Part(index + 1 - first, of)


def _touch(file: str) -> None:
    try:
        Path(file).touch()
    except (OSError, ValueError) as error:
        raise ValueError(f"auto cannot write {STATUS_FILE}={file!r}: {error}") from error
