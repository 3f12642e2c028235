"""The documents of the project as tests see them: blocks, commands, and tables that are made from code.

``python -m parity_tests.gate_tests.documents`` writes the tables of ``parity_tests/README.md`` anew, and the
cookbook. It runs all of its recipes, for a minute or two, but those whose packages are not installed.
"""

import inspect
import re
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.cases.features import FEATURES
from parity_tests.cases.fields import token_table
from parity_tests.cases.tensors import TENSORS
from parity_tests.checks.registry import check_table
from parity_tests.diagnosis.faults import faulty_loop
from parity_tests.gate_tests.subjects.adapters.cookbook import page
from parity_tests.run.cli import judge_parser
from parity_tests.run.options import OPTIONS
from parity_tests.selftest.measures.markdown import table
from rnn_np import nn

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
IN_CHECKOUT = GITHUB.exists()
README, LAYERS, GATE = ROOT / "README.md", ROOT / "rnn_np" / "README.md", ROOT / "parity_tests" / "README.md"
COOKBOOK = page.COOKBOOK
DOCUMENTS = (README, LAYERS, GATE, COOKBOOK, *sorted(GITHUB.rglob("*.md")))


def blocks(document: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    text = document.read_text("utf-8") if document.exists() else ""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def block(document: Path, language: str, part: str) -> str:
    """The code block that has a part in it."""
    (found,) = (code for code in blocks(document, language) if part in code)
    return found


def name_of(document: Path) -> str:
    """The path of a document in the project."""
    return document.relative_to(ROOT).as_posix()


def rows(document: Path, heading: str) -> list[list[str]]:
    """The cells of the rows of the table with this heading, without the heading."""
    _, _, rest = document.read_text("utf-8").partition(f"\n| {heading}\n")
    assert rest, f"{name_of(document)} has no table | {heading}"
    table = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table]


def prepared(folder: Path) -> Path:
    """The folder, with the files that the examples and commands of the documents read."""
    trained: dict[str, Any] = nn.RNN(8, 16, 2, bidirectional=True).state_dict("rnn.")
    head: dict[str, Any] = {"head.weight": np.ones((7, 32), np.float32), "head.bias": np.ones(7, np.float32)}
    np.savez(folder / "model.npz", **trained, **head)
    (folder / "my_rnn.py").write_text(block(README, "python", "dt = 1 - h_next**2"), "utf-8")
    (folder / "adapter.py").write_text(block(README, "python", "def answer("), "utf-8")
    return folder


@cache
def names_after(document: Path, code: str) -> dict[str, Any]:
    """Run an example as a module of its own; return the names that it defines, and ``"back"``, what it saved."""
    names: dict[str, Any] = {"__name__": "example"}
    registered = list(faulty_loop.REGISTERED)
    with tempfile.TemporaryDirectory() as folder, chdir(prepared(Path(folder))):
        try:
            exec(compile(code, name_of(document), "exec"), names)
        finally:
            faulty_loop.REGISTERED[:] = registered  # an example may add a fault
        saved = Path("back.npz")
        names["back"] = dict(np.load(saved)) if saved.exists() else {}
    return names


def option_table() -> str:
    """The options of the command, pytest and Python."""
    import parity_tests

    arguments = inspect.signature(parity_tests.check).parameters
    own = {option.of_command: option for option in OPTIONS}
    lines = []
    for action in judge_parser()._actions:
        command = action.option_strings[-1] if action.option_strings else str(action.metavar)
        if command == "--help":
            continue
        option = own.get(command)
        name = option.name if option else ""
        value = f" {option.metavar if option else action.metavar}" if action.nargs is None else ""
        theirs = f"--parity-{name or 'json'}" if option or command == "--json" else ""
        theirs = {"--workers": "-n", "--verbose": "-v", "--quiet": "-q"}.get(command, theirs)
        assert not option or name in arguments
        cells = (f"{command}{value}", theirs, name)
        lines.append((*(f"`{cell}`" * bool(cell) for cell in cells), str(action.help)))
    return table(("command", "pytest", "Python", "meaning"), *lines)


def tensor_table() -> str:
    """The tensors that are compared."""
    lines = []
    for name, text in TENSORS.items():
        axes, meaning, *others = (part.strip() for part in re.split(r"(?<=\]) |; ", text))
        known = dict(other.split(" ", 1) for other in others)
        cells = (
            f"`{name}`",
            axes,
            meaning,
            known.get("torch:", ""),
            known.get("a", "").removeprefix("cell's "),
        )
        lines.append(cells)
    return table(("tensor", "canonical form", "meaning", "torch's name", "`RNN`'s name"), *lines)


def feature_table() -> str:
    """The features that a target may be declared to lack."""
    return table(
        ("feature", "without it, the target lacks"),
        *((f"`{name}`", what) for name, (what, _) in FEATURES.items()),
    )


def region_table() -> str:
    """The regions that the default run draws."""
    # Hypothesis draws the cases, and all else here does without.
    from parity_tests.gate_tests.cases import regions

    return regions.region_table()


TABLES = (option_table, feature_table, token_table, tensor_table, check_table, region_table)
"""Of ``parity_tests/README.md``."""


def with_tables(text: str) -> str:
    """The text of the gate's document with its tables as the code has them."""
    for made in TABLES:
        lines = made().strip()
        heading = lines.partition("\n")[0]
        before, found, rest = text.partition(f"\n\n{heading}\n")
        assert found, f"the document has no table {heading}"
        after = rest.partition("\n\n")[2]
        text = f"{before}\n\n{lines}\n\n{after}"
    return text


def shell_commands(code: str) -> Iterator[str]:
    """The commands of a shell block, each in one line and without its comment."""
    for line in code.replace("\\\n", " ").splitlines():
        command = re.sub(r"\s+# .*", "", line)
        if command.strip():
            yield command


if __name__ == "__main__":
    GATE.write_text(with_tables(GATE.read_text("utf-8")), "utf-8")
    COOKBOOK.write_text(page.page(page.obtained(COOKBOOK.read_text("utf-8"))), "utf-8")
