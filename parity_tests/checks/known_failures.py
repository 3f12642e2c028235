"""Known failures: what a target is known to fail, each with a reason."""

from collections.abc import Mapping
from pathlib import Path

SPLIT = ": "
MAX_BYTES = 2**20
"""Of the file; a device may never end."""


def read_known(file: Path) -> Mapping[str, str]:
    """Return the reasons by check and tensor, as in ``values of dh_0: the final carry is missing``.

    A line is an entry, empty, or a comment that begins with ``#``.

    Raises:
        ValueError: the file cannot be read, or an entry has no reason or stands there twice.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES:,} bytes")
        text = data.decode("utf-8")
    except OSError as error:
        raise ValueError(f"known: cannot read {file}: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or a NUL in the path
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
