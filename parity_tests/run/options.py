"""The options of a run: one table for the command, pytest and Python."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.subjects.interfaces import INTERFACES, TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.session import DEFAULT_TARGET

DEFAULT_CASES = 2000
DEFAULT_SEED = 0
DEFAULT_TIMEOUT = 10.0
REFERENCES = ("torch", "recorded")


class OptionError(ValueError):
    """An option is bad, or the options do not fit together; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run, each checked; None for an option that was not given.

    Attributes:
        target: what to judge.
        cases: how many random cases.
        seed: of the random cases, a number or ``"fresh"``.
        case: the only case to judge.
        reference: ``"torch"`` or ``"recorded"``.
        without: names of what the target lacks.
        known: a file of what it is known to fail.
        timeout: seconds that a target in a child process may take for a case.
    """

    target: Target
    cases: int | None = None
    seed: int | str | None = None
    case: Case | None = None
    reference: str | None = None
    without: tuple[str, ...] = ()
    known: Path | None = None
    timeout: float = DEFAULT_TIMEOUT


def _cases(value: Any) -> int:
    return _integer("cases", value, 1, "a whole number of at least 1")


def _seed(value: Any) -> int | str:
    return (
        "fresh" if value == "fresh" else _integer("seed", value, 0, "a whole number of at least 0 or fresh")
    )


def _integer(name: str, value: Any, least: int, expected: str) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise OptionError(f"{name}: expected {expected}, got {value!r}")
    return number


def _case(value: Any) -> Case:
    try:
        return value if isinstance(value, Case) else Case.parse(value)
    except (ValueError, AttributeError) as error:
        raise OptionError(f"case: {value!r} is no case: {error}") from error


def _reference(value: Any) -> str:
    if value not in REFERENCES:
        raise OptionError(f"reference: expected torch or recorded, got {value!r}")
    return str(value)


def _without(value: Any) -> tuple[str, ...]:
    names: Iterable[str] = value.split(",") if isinstance(value, str) else value
    return tuple(sorted({name.strip() for name in names if name.strip()}))


def _timeout(value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise OptionError(f"timeout: expected a number of seconds above 0, got {value!r}")
    return seconds


def _as_given(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: in Python; pytest's is ``--parity-NAME``.
        metavar: the placeholder of its value in help texts.
        help: what it means, and its default.
        check: makes its value from text or from Python's types, or raises OptionError.
        flag: the command's, if it is not ``--NAME``; ``""``: the positional argument.
        choices: all of its values, if they can be listed.
    """

    name: str
    metavar: str
    help: str
    check: Callable[[Any], Any]
    flag: str | None = None
    choices: tuple[str, ...] | None = None

    @property
    def of_command(self) -> str:
        """The command's argument."""
        return f"--{self.name}" if self.flag is None else self.flag or self.metavar

    @property
    def of_pytest(self) -> str:
        """Pytest's argument."""
        return f"--parity-{self.name}"


OPTIONS = (
    Option(
        "target",
        "TARGET",
        "what to judge: package.module:Name, path/to/file.py:Name or path/to/notebook.ipynb:Name "
        f"(default {DEFAULT_TARGET})",
        _as_given,
        flag="",
    ),
    Option(
        "kind",
        "INTERFACE",
        f"the target's interface, if it is not recognised: {', '.join(INTERFACES[:-1])} or {INTERFACES[-1]}",
        _as_given,
        flag="--as",
        choices=INTERFACES,
    ),
    Option(
        "without",
        "NAMES",
        "what the target lacks: features, tensors or checks, separated by commas",
        _without,
    ),
    Option("known", "FILE", "what the target is known to fail: lines such as 'values of dx: reason'", Path),
    Option(
        "timeout", "SECONDS", f"that the target may take for a case (default {DEFAULT_TIMEOUT:g})", _timeout
    ),
    Option(
        "cases",
        "N",
        f"how many random cases to judge (default {DEFAULT_CASES}, fewer once your target has a fault)",
        _cases,
    ),
    Option("seed", "SEED", f"of the random cases: a number (default {DEFAULT_SEED}) or fresh", _seed),
    Option(
        "reference",
        "REFERENCE",
        "torch, or recorded: the answers in fixtures/ (default: torch if it is installed)",
        _reference,
        choices=REFERENCES,
    ),
    Option("case", "TOKEN", "judge this case alone", _case),
)
"""The options that all doors share."""


def checked_options(given: Mapping[str, Any]) -> Options:
    """Return the options of a run from values as given, text or Python's own; None is not given.

    Raises:
        OptionError: a value is bad; the message names the option, the value and what was expected.
    """
    values = {
        option.name: option.check(given[option.name])
        for option in OPTIONS
        if given.get(option.name) is not None
    }
    target, interface = values.pop("target", DEFAULT_TARGET), values.pop("kind", None)
    try:
        if isinstance(target, str):
            return Options(Target(target, interface), **values)
        return Options(Target.at_hand(target, interface), **values)
    except TargetError as error:
        raise OptionError(str(error)) from error
