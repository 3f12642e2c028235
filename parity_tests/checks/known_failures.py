"""Known failures: what a target is known to fail, each with a reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from parity_tests.cases.case import Case
from parity_tests.check_facts import known_failure
from parity_tests.checks.registry import ALL_CHECKS
from parity_tests.report import Finding
from parity_tests.words import did_you_mean, on_one_line

SPLIT = ": "
MAX_BYTES = 2**20
"""Of the file; a device may never end."""


def read_known(file: Path) -> Mapping[str, str]:
    """Return the reasons by check and tensor, as in ``values of dh_0: the final carry is missing``.

    A line is an entry, empty, or a comment that begins with ``#``.

    Raises:
        ValueError: the file cannot be read, or an entry has no reason, stands there twice or names no check.
    """
    name = on_one_line(file)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES:,} bytes")
        text = data.decode("utf-8")
    except OSError as error:
        raise ValueError(f"known: cannot read {name}: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or a NUL in the path
        raise ValueError(f"known: cannot read {name}: {error}") from error
    names = [check.name for check in ALL_CHECKS]
    known: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        what, _, reason = line.partition(SPLIT)
        if not reason.strip() or what in known:
            problem = "stands there twice" if what in known else "has no reason"
            raise ValueError(f"known: {name}:{number}: {what!r} {problem}; expected 'values of dx: reason'")
        check = what.partition(" of ")[0]
        if check not in names:
            raise ValueError(
                f"known: {name}:{number}: there is no check {check!r}{did_you_mean(check, names)}; "
                f"expected one of {', '.join(names)}"
            )
        known[what] = reason.strip()
    return known


def passing_now(known: Mapping[str, str], findings: Iterable[Finding], case: Case) -> list[Finding]:
    """What was known to fail and was not found, as findings: like a strict xfail.

    Args:
        known: what is known to fail, with the reasons.
        findings: all of a complete run.
        case: that the target supports.
    """
    failing = {finding.what for finding in findings}
    return [
        known_failure(what).finding(
            "", case, f"{what!r} passes now: take it out of the known failures ({reason})"
        )
        for what, reason in known.items()
        if what not in failing
    ]
