"""Code that is read in this process: a child process for each would take most of the time of the tests."""

import importlib.util
import itertools
import re
import sys
import tempfile
from contextlib import chdir
from functools import cache
from pathlib import Path

from parity_tests.adapt.child import outcome_of
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.search import Hints

_NUMBERS = itertools.count()


def read(source: str, names: str, folder: Path, hints: Hints | None = None) -> Outcome:
    """Return what comes of reading a source.

    Args:
        source: the text of a file.
        names: what to read in it, with commas between; empty for what is found.
        folder: where the file is written, so that its source can be looked up, and where it runs.
        hints: what the user says.
    """
    name = f"read_{next(_NUMBERS)}"
    file = folder / f"{name}.py"
    file.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with chdir(folder):
            spec.loader.exec_module(module)
            named = [each for each in names.split(",") if each]
            outcome = outcome_of(module, str(file), named, hints or Hints())
    finally:
        del sys.modules[name]
    return outcome


@cache
def read_file(file: Path, names: str) -> Outcome:
    """Return what comes of reading a file as it stands; it is read once, however many tests ask."""
    with tempfile.TemporaryDirectory() as folder:
        return read(file.read_text("utf-8"), names, Path(folder))


def code_of(outcome: Outcome) -> str:
    """The adapter without the comment at its head and the name of the file, which differ between two readings."""
    lines = [line for line in outcome.text.splitlines() if not line.startswith("#")]
    return re.sub(r"\bread_\d+\b", "mine", "\n".join(lines))
