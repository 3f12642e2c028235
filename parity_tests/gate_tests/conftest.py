"""Longer proofs are run where they are asked for: ``pytest -m proof``. The command is run in this process."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from parity_tests.checks import values
from parity_tests.gate_tests import kept
from parity_tests.run.cli import main
from parity_tests.run.engine import CATALOGUE

SOME_FAULTS = 10
"""Every how many-th fault of the catalogue is put into a layer and named in every run."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the longer proofs out unless markers are chosen."""
    # The gate ships the tests of the catalogue, and its command runs them all.
    faults = [item for item in items if item.path == CATALOGUE]
    for number, item in enumerate(faults):
        if number % SOME_FAULTS:
            item.add_marker("proof")
    if config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("proof")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("proof")]


@pytest.fixture
def allowances_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure what is allowed in a case once, however many layers are judged in it."""
    monkeypatch.setattr(values, "allowances_of", kept.allowances_of)


@pytest.fixture
def run_here(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command ``rnn-parity``, called in this process: another one needs seconds for its imports."""

    def run(*arguments: str, folder: Path | None = None) -> tuple[int, str]:
        capfd.readouterr()
        end = arguments.index("--") if "--" in arguments else len(arguments)
        has_none = "--workers" in arguments or arguments[:1] in (("adapt",), ("speed",))
        workers = [] if has_none else ["--workers", "0"]
        with chdir(folder or Path.cwd()):
            status = main([*arguments[:end], *workers, *arguments[end:]])
        return status, "".join(capfd.readouterr())

    return run
