"""What holds for all of the project's code: sizes of files and folders, and which names are private."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="only a checkout holds all of the project"
)

PACKAGES = ("rnn_np", "parity_tests")
MOST_LINES = 400
MOST_ENTRIES = 20
UNCOUNTED = ("__pycache__", "py.typed")
"""Entries of a folder that hold nothing to read."""
UNLIMITED = ("parity_tests/diagnosis/faults", "parity_tests/gate_tests", "parity_tests/layer_tests")
"""The catalogue of faults, and the tests, grow by a file or a class for each thing they know."""
MOST_LINES_OF_README = 200


def limited(path: Path) -> bool:
    return not path.relative_to(ROOT).as_posix().startswith(UNLIMITED)


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_a_file_has_at_most_400_lines() -> None:
    long = {
        path.relative_to(ROOT).as_posix() for path in sources() if limited(path) and lines(path) > MOST_LINES
    }
    assert long == set()


def test_the_readme_has_at_most_200_lines() -> None:
    assert lines(ROOT / "README.md") <= MOST_LINES_OF_README


def test_a_folder_has_at_most_20_entries() -> None:
    folders = {path.parent for path in sources() if limited(path)}
    sizes = {
        folder.relative_to(ROOT).as_posix(): sum(entry.name not in UNCOUNTED for entry in folder.iterdir())
        for folder in folders
    }
    assert {name: entries for name, entries in sizes.items() if entries > MOST_ENTRIES} == {}


def test_what_judges_has_the_numpy_of_before_the_target() -> None:
    rooms = ("cases", "references", "subjects", "checks", "diagnosis")
    direct = {
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in (ROOT / "parity_tests" / room).rglob("*.py")
        if any(line.startswith("import numpy") for line in path.read_text("utf-8").splitlines())
    }
    assert direct == set()


NO_RULE = ("parity_tests/gate_tests/people/", "parity_tests/diagnosis/faults/named_")
"""``people`` is written as people write. To go: the entries of the catalogue, which stand apart from its loops."""


def test_no_module_imports_a_private_name_of_another() -> None:
    # Ruff's PLC2701 looks at the names of other packages only.
    found = [
        (importer, imported)
        for importer, path in ((path.relative_to(ROOT).as_posix(), path) for path in sources())
        if not importer.startswith(NO_RULE)
        for imported in imports_of(path)
        if is_private(imported, importer)
    ]
    assert found == []


def imports_of(path: Path) -> list[str]:
    """The dotted names of all that a file imports, ``package.module.name``."""
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def is_private(imported: str, importer: str) -> bool:
    """Whether one of the parts begins with ``_``, and the importer lies outside of the package that holds it."""
    parts = imported.split(".")
    return any(
        part.startswith("_")
        and not part.endswith("__")
        and not importer.startswith("/".join(parts[:n]) + "/")
        for n, part in enumerate(parts)
    )


@pytest.mark.parametrize(
    ("imported", "importer", "private"),
    [
        ("rnn_np._kernel", "rnn_np/nn/_rnn.py", False),
        ("rnn_np._kernel.Array", "rnn_np/nn/_rnn.py", False),
        ("rnn_np.nn._rows.Rows", "rnn_np/_layers.py", True),
        ("rnn_np._kernel.Array", "parity_tests/report/report.py", True),
        ("rnn_np._kernel._step", "rnn_np/_layers.py", True),
        ("parity_tests.report.report._size", "parity_tests/api.py", True),
        ("__future__.annotations", "parity_tests/api.py", False),
    ],
)
def test_a_private_name_is_recognised(imported: str, importer: str, private: bool) -> None:
    assert is_private(imported, importer) is private
