"""How numbers, names and lists are written in messages."""

import difflib
import html
from collections.abc import Iterable, Sequence

LEAST_DIGITS, MOST_DIGITS = 6, 17
"""Significant digits of a value that is shown; 17 tell any two float64 values apart."""
LEAST_CHARACTERS_OF_A_START = 3
"""So many characters of a name are enough to suggest it."""
MAX_CHARACTERS_SHOWN = 60
"""Characters of a bad value that a message shows."""


def shown(value: object) -> str:
    """A bad value as a message shows it: on one line, and cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a longer number"
    except Exception:
        return f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS_SHOWN else f"{text[:MAX_CHARACTERS_SHOWN]}... (shortened)"


def on_one_line(text: object) -> str:
    r"""A name of a file as a message shows it: in quotes where it has characters that cannot be printed.

    Example:
        >>> on_one_line("a.txt"), on_one_line("a" + chr(7))
        ('a.txt', "'a\\x07'")
    """
    return str(text) if str(text).isprintable() else repr(str(text))


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "case"), counted(3, "case"), counted(2, "batch", "batches")
        ('1 case', '3 cases', '2 batches')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def an(noun: str) -> str:
    """A noun with its article.

    Example:
        >>> an("adapter"), an("cell")
        ('an adapter', 'a cell')
    """
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def in_words(names: Sequence[str]) -> str:
    """Names in a row, as a sentence has them; ``""`` for none.

    Example:
        >>> in_words(["dx"]), in_words(["dx", "dWx", "db"])
        ('dx', 'dx, dWx and db')
    """
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last


def apart(got: float, want: float) -> tuple[str, str]:
    """Two values with six digits, or with as many as it takes to tell them apart.

    Example:
        >>> apart(0.29909647339898243, 0.42765629313745984)
        ('0.299096', '0.427656')
        >>> apart(1.00000001, 1.0), apart(float("inf"), -0.5)
        (('1.00000001', '1'), ('inf', '-0.5'))
    """
    for digits in range(LEAST_DIGITS, MOST_DIGITS + 1):
        texts = f"{got:.{digits}g}", f"{want:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is probably meant, or None.

    Example:
        >>> nearest("relus", ["relu", "layers"]), nearest("bi", ["relu", "layers"])
        ('relu', None)
    """
    spelled = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), spelled, 1)
    if not close and len(name.strip("-")) >= LEAST_CHARACTERS_OF_A_START:
        close = [other for other in spelled if other.startswith(name.lower())][:1]
    return spelled[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question for the end of a message, or ``""`` where no name is close.

    Example:
        >>> did_you_mean("relus", ["relu", "layers"])
        '; did you mean relu?'
    """
    found = nearest(name, names)
    return f"; did you mean {found}?" if found and found != name else ""


def html_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in HTML, or ``""`` where it has no rows.

    Example:
        >>> html_table(["case"], [["B < 2"]])
        '<table><tr><th>case</th></tr><tr><td>B &lt; 2</td></tr></table>'
    """
    cells = [[f"<th>{html.escape(heading)}</th>" for heading in headings]]
    cells += [[f"<td>{html.escape(str(cell))}</td>" for cell in row] for row in rows]
    lines = "".join(f"<tr>{''.join(line)}</tr>" for line in cells)
    return f"<table>{lines}</table>" if rows else ""
