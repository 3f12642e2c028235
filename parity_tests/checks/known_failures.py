"""Known failures: what a target is known to fail, each with a reason."""

from collections.abc import Mapping
from pathlib import Path

SPLIT = ": "


def read_known(file: Path) -> Mapping[str, str]:
    """Return the reasons by check and tensor, as in ``values of dh_0: the final carry is missing``.

    A line is an entry, empty, or a comment that begins with ``#``.

    Raises:
        ValueError: the file cannot be read, or an entry has no reason or stands there twice.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"known: cannot read {file}: {error}") from error
    known: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        what, _, reason = line.partition(SPLIT)
        if not reason.strip() or what in known:
            problem = "stands there twice" if what in known else "has no reason"
            raise ValueError(
                f"known: {file}:{number}: {what!r} {problem}; expected 'values of dx: reason' or 'speed: reason'"
            )
        known[what] = reason.strip()
    return known
