"""How text is laid out: the width, what is never broken, tables, and colours."""

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

LOG_WIDTH = 100
"""Columns where there is no terminal."""
MOST_COLUMNS = 120
"""Longer lines are hard to read; tables may be as wide as the terminal."""
LEAST_COLUMNS = 20
_UNBROKEN = re.compile(r"`[^`\n]*`|\w\[[\d, ]*\]|--[a-z]+ [A-Z]+\b")
"""Code, an index, and an option with its value."""
_NO_BREAK = "\0"

Paint = Callable[..., str]
"""Gives a text colours: ``paint(text, red=True, bold=True)``."""


def plain(text: str, **_: bool) -> str:
    """The text as it is."""
    return text


@dataclass(frozen=True, slots=True)
class Layout:
    """How a report is laid out.

    Attributes:
        width: columns.
        detail: -1 for the verdict alone, 0 for what is usually wanted, 1 for all.
        paint: gives colours.
        is_log: whether it is read later, perhaps by a program: the verdict and the rows of tables are not
            wrapped.
        all_in: says where the rest is.
    """

    width: int = LOG_WIDTH
    detail: int = 0
    paint: Paint = plain
    is_log: bool = True
    all_in: str = "-v shows all"

    def text(self, text: str, first: str = "", rest: str | None = None) -> list[str]:
        """Return a text in lines, the first with the indent ``first``, the others with ``rest``.

        Code, indices, tokens and other words are never broken, even where they are longer than a line.
        """
        rest = " " * len(first) if rest is None else rest
        kept = _UNBROKEN.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
        width = max(min(self.width, MOST_COLUMNS), LEAST_COLUMNS)
        lines = textwrap.wrap(
            kept,
            width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return [line.replace(_NO_BREAK, " ") for line in lines] or [first.rstrip()]


IN_A_LOG = Layout()


def layout_here(detail: int = 0) -> Layout:
    """The layout of plain text for standard output, where ``detail`` may be any number of ``-v``."""
    return Layout(terminal_width(), max(-1, min(1, detail)), is_log=not sys.stdout.isatty())


def layout_of_call() -> Layout:
    """The layout of a report that a call returns."""
    return replace(layout_here(), all_in="report.findings has all")


def terminal_width() -> int:
    """The columns of the terminal, or of a log."""
    return shutil.get_terminal_size((LOG_WIDTH, 0)).columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: what stands above it.
        is_number: whether it is aligned to the right.
        is_token: whether it holds tokens: the first column to be left out where the line is too short.
    """

    heading: str
    is_number: bool = True
    is_token: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], layout: Layout) -> list[str]:
    """Return a table in lines, whole in a log, and so that it fits the width of a terminal.

    Where it is too wide, the tokens are left out or, with more detail, get a line of their own; where it is
    still too wide, each row is a sentence.
    """
    cells = [[column.heading for column in columns], *map(list, rows)]
    lines = _aligned(columns, cells)
    if layout.is_log or max(map(len, lines)) <= layout.width:
        return lines
    kept = [number for number, column in enumerate(columns) if not column.is_token]
    lines = _aligned([columns[number] for number in kept], [[row[n] for n in kept] for row in cells])
    if max(map(len, lines)) > layout.width:
        lines = ["", *(_sentence(cells[0], row, kept, layout) for row in cells[1:])]
    if layout.detail > 0:
        for number in set(range(len(columns))) - {*kept}:
            lines = [
                f"{line}\n  {cells[0][number]} {row[number]}" if at and row[number] else line
                for at, (line, row) in enumerate(zip(lines, cells, strict=True))
            ]
    return [line for line in lines if line]


def _aligned(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in cells
    ]


def _sentence(headings: Sequence[str], row: Sequence[str], kept: Sequence[int], layout: Layout) -> str:
    facts = ", ".join(f"{headings[number]} {row[number]}" for number in kept[1:] if row[number])
    return "\n".join(layout.text(f"{row[kept[0]]}: {facts}", rest="  "))
