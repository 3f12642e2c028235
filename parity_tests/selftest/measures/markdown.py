"""What the measuring commands write: tables, and blocks of the gate's document."""

import datetime
import os
import platform
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from parity_tests.run.threads import blas_name

COLUMNS = 120
DOCUMENT = Path(__file__).parents[2] / "README.md"


def table(*rows: Sequence[str]) -> str:
    """A table in Markdown; the first row is its heading."""
    first, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([first, "|---" * len(rows[0]) + "|", *others])


def paragraph(text: str) -> str:
    """The text in lines that are not too long for the document."""
    return textwrap.fill(" ".join(text.split()), COLUMNS, break_on_hyphens=False)


def when_and_where() -> str:
    """When and where something is measured, with the versions that it rests on, in a sentence."""
    return (
        f"Measured on {datetime.datetime.now(datetime.UTC).date()} on a machine with {os.cpu_count()} cores of an "
        f"{_processor()}, with numpy {np.__version__}, torch {version('torch')}, {blas_name()}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0].replace("(R)", "").removesuffix(" Processor") if names else platform.machine()


def with_block(text: str, name: str, body: str) -> str:
    """The text of a document with ``body`` as the block that a command measured.

    The block stands between two comments, which name the command.

    Raises:
        ValueError: the document does not have the block exactly once.
    """
    begin, end = f"<!-- measured by parity_tests.selftest.measures.{name} -->\n", f"\n<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended) or begin in rest:
        raise ValueError(f"expected one block from {begin.strip()} to {end.strip()} in the document")
    return f"{before}{begin}{body}{end}{after}"


def write_block(name: str, body: str) -> None:
    """Put what a command measured into the gate's document."""
    DOCUMENT.write_text(with_block(DOCUMENT.read_text("utf-8"), name, body), "utf-8")
