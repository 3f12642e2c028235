"""A notebook as a module: its code cells run in order, past what only Jupyter understands."""

import contextlib
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

from parity_tests.subjects.compiling import CompileSource, compiled
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.user_frames import error_line, format_error

_LINE_MAGIC = re.compile(r"\s*([%!?]|[\w.]+\?{1,2}\s*$|[\w, ]+=\s*[%!])")
_PYTHON_MAGICS = ("%%time", "%%capture", "%%prun")
"""Cell magics whose body is Python that leaves its names behind."""

CELL_CHARACTERS_QUOTED = 40
"""Characters of a cell's first line that a notice shows, since Jupyter does not number cells."""


def run(file: Path, name: str, compile_source: CompileSource | None = None) -> tuple[ModuleType, list[str]]:
    """Run a notebook's code cells in its own folder; return the module and what was out of order.

    A cell that fails, ``sys.exit`` included, is reported and skipped; the next ones run.

    Args:
        file: the notebook.
        name: under which the module is known to Python.
        compile_source: compiles the cells instead of Python; None: Python does.

    Raises:
        TargetError: nbformat is not installed, or the file is no notebook.
    """
    cells = _code_cells(file)
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    notices: list[str] = []
    with contextlib.chdir(file.parent):
        for number, source in enumerate(cells, 1):
            notices += _run_cell(source, f"{file.name}[{number}]", number, module, compile_source or compiled)
    return module, notices


def _code_cells(file: Path) -> list[str]:
    try:
        import nbformat
    except ImportError as error:
        raise TargetError(
            f"{file}: a notebook needs nbformat, which is not installed: pip install nbformat"
        ) from error
    with warnings.catch_warnings():
        # Of what a validator would like better; the cells are there all the same.
        warnings.simplefilter("ignore")
        try:
            notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
            return [str(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
        except Exception as error:
            raise TargetError(
                f"{file}: expected a notebook, got a file that is not a notebook: {error_line(error)}"
            ) from error


def _run_cell(
    source: str, filename: str, number: int, module: ModuleType, compile_source: CompileSource
) -> list[str]:
    """Run a cell; return what was skipped of it, and its failure."""
    first = source.lstrip().partition("\n")[0].strip()
    name = f"code cell {number} ({first[:CELL_CHARACTERS_QUOTED]!r})"
    skipped: list[str] = []
    if first.startswith("%%"):
        if first.split()[0] not in _PYTHON_MAGICS:
            return [f"{name}: skipped"]
        source = source.replace(first, "", 1)
        skipped = [first]
    source = _python(source, skipped)
    notices = [f"{name}: skipped {line!r}" for line in skipped]
    try:
        exec(compile_source(source, filename), vars(module))
    except (Exception, SystemExit) as error:
        notices.append(f"{name}: failed: {format_error(error)}")
    return notices


def _python(source: str, skipped: list[str]) -> str:
    """Return the source with ``pass`` for the lines that only IPython understands, and list those.

    Only lines at which Python stumbles are taken: ``% b`` may well go on from the line above.
    """
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(source, "", "exec", dont_inherit=True)
            return source
        except (SyntaxError, ValueError) as error:
            lines = source.split("\n")
            stumbled = getattr(error, "lineno", None) or len(lines)
            magics = [at for at, line in enumerate(lines[:stumbled]) if _LINE_MAGIC.match(line)]
            if not magics:
                return source
            at = last = magics[-1]
            while lines[last].endswith("\\") and last + 1 < len(lines):
                last += 1
            skipped.append(lines[at].strip())
            indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
            lines[at : last + 1] = [f"{indent}pass"] * (last + 1 - at)
            source = "\n".join(lines)
