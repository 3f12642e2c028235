"""The options of a run: one table for the command, pytest and Python."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from parity_tests.cases.case import Case
from parity_tests.cases.fields import NONLINEARITIES
from parity_tests.report import Part
from parity_tests.report.part import EXPECTED
from parity_tests.subjects.interfaces import INTERFACES, TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.session import DEFAULT_TARGET
from parity_tests.subjects.user_frames import format_error
from parity_tests.words import did_you_mean, shown

DEFAULT_CASES = 2000
DEFAULT_SEED = 0
DEFAULT_TIMEOUT = 10.0
MAX_CASES = 10_000_000
MAX_SEED = 2**63 - 1
MIN_TIMEOUT, MAX_TIMEOUT = 0.001, 86_400.0
MIN_ACCURACY, MAX_ACCURACY = 1e-15, 0.1
MAX_WORKERS = 256
MAX_SPEC = 4096
"""Characters of a target; no path is longer."""
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
        lines: whether the wrong lines of the target's source are looked for.
        nonlinearity: the target's, if it is declared.
        accuracy: how far the target's values may be off on purpose, relative to their size.
        shard: which part of the run to do; None: all of it.
        resume: a file that keeps what was judged.
    """

    target: Target
    cases: int | None = None
    seed: int | str | None = None
    case: Case | None = None
    reference: str | None = None
    without: tuple[str, ...] = ()
    known: Path | None = None
    timeout: float = DEFAULT_TIMEOUT
    lines: bool = True
    nonlinearity: str | None = None
    accuracy: float | None = None
    shard: Part | None = None
    resume: Path | None = None


def _cases(value: Any) -> int:
    return whole_number("cases", value, "a whole number of at least 1", 1, MAX_CASES)


def _seed(value: Any) -> int | str:
    if isinstance(value, str) and value == "fresh":
        return value
    return whole_number("seed", value, "a whole number of at least 0 or fresh", 0, MAX_SEED)


def whole_number(name: str, value: Any, expected: str, least: int, most: int) -> int:
    """Return the number that an option is set to.

    Args:
        name: of the option.
        value: as given, a number or its decimal digits.
        expected: what it may be, but for the largest number.
        least: the smallest number allowed.
        most: the largest.

    Raises:
        OptionError: it is no such number.
    """
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    # Python converts at most 4300 digits, and a number longer than the largest is too large anyway.
    number = int(value.lstrip("0")[: len(str(most)) + 1] or "0") if digits else value
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise OptionError(f"{name}: expected {expected}, got {shown(value)}")
    if number > most:
        raise OptionError(f"{name}: expected at most {most:,}, got {shown(value)}")
    return number


def _case(value: Any) -> Case:
    try:
        return value if isinstance(value, Case) else Case.parse(value)
    except (ValueError, TypeError) as error:
        raise OptionError(f"case: {shown(value)} is no case: {error}") from error


def _reference(value: Any) -> str:
    if not isinstance(value, str) or value not in REFERENCES:
        near = did_you_mean(value, REFERENCES) if isinstance(value, str) else ""
        raise OptionError(f"reference: expected torch or recorded, got {shown(value)}{near}")
    return str(value)


def _without(value: Any) -> tuple[str, ...]:
    try:
        names: list[str] = value.split(",") if isinstance(value, str) else list(value)
        return tuple(sorted({name.strip() for name in names if name.strip()}))
    except (TypeError, AttributeError) as error:
        raise OptionError(
            f"without: expected names, as a str with commas or a list, got {shown(value)}"
        ) from error


def _nonlinearity(value: Any) -> str:
    if not isinstance(value, str) or value not in NONLINEARITIES:
        near = did_you_mean(value, NONLINEARITIES) if isinstance(value, str) else ""
        raise OptionError(
            f"nonlinearity: expected one of {', '.join(NONLINEARITIES)}, got {shown(value)}{near}"
        )
    return value


def _accuracy(value: Any) -> float:
    expected = f"accuracy: expected a number from {MIN_ACCURACY:g} to {MAX_ACCURACY:g}, got {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise OptionError(expected)
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise OptionError(expected) from error
    if not MIN_ACCURACY <= number <= MAX_ACCURACY:
        raise OptionError(expected)
    return number


def _known(value: Any) -> Path:
    return _file("known", value)


def _resume(value: Any) -> Path:
    return _file("resume", value)


def _file(name: str, value: Any) -> Path:
    if not isinstance(value, str | PathLike):
        raise OptionError(f"{name}: expected a file, got {shown(value)}")
    return Path(value)


def _shard(value: Any) -> Part:
    if not isinstance(value, str):
        raise OptionError(f"shard: {EXPECTED}, got {shown(value)}")
    try:
        return Part.parse(value)
    except ValueError as error:
        got = "" if value == "auto" else f", got {shown(value)}"
        raise OptionError(f"shard: {error}{got}") from error


def _timeout(value: Any) -> float:
    try:
        plain = not isinstance(value, bool) and (
            not isinstance(value, str) or (value.isascii() and "_" not in value)
        )
        seconds = float(value) if plain else math.nan
    except OverflowError:
        seconds = math.inf
    except (TypeError, ValueError):
        seconds = math.nan
    if not seconds > 0:
        raise OptionError(f"timeout: expected a number of seconds above 0, got {shown(value)}")
    if not MIN_TIMEOUT <= seconds <= MAX_TIMEOUT:
        raise OptionError(
            f"timeout: expected {MIN_TIMEOUT:g} to {MAX_TIMEOUT:g} seconds, which is a day, got {shown(value)}"
        )
    return seconds


def _kind(value: Any) -> str:
    if not isinstance(value, str) or value not in INTERFACES:
        near = did_you_mean(value, INTERFACES) if isinstance(value, str) else ""
        raise OptionError(f"as: expected one of {', '.join(INTERFACES)}, got {shown(value)}{near}")
    return value


def _lines(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in ("yes", "no"):
        raise OptionError(f"lines: expected yes or no, got {shown(value)}")
    return value == "yes"


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
        const: what the command's flag stands for, if it takes no value.
    """

    name: str
    metavar: str
    help: str
    check: Callable[[Any], Any]
    flag: str | None = None
    choices: tuple[str, ...] | None = None
    const: str | None = None

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
        _kind,
        flag="--as",
        choices=INTERFACES,
    ),
    Option(
        "without",
        "NAMES",
        "what the target lacks: features, tensors or checks, separated by commas",
        _without,
    ),
    Option(
        "nonlinearity",
        "NAME",
        f"of the target: {', '.join(NONLINEARITIES[:-1])} or {NONLINEARITIES[-1]}; nothing of another is then asked "
        "(default: tanh, and relu where it is an option)",
        _nonlinearity,
        choices=NONLINEARITIES,
    ),
    Option(
        "accuracy",
        "SIZE",
        "of a target that is approximate on purpose, as with tables or float16: how far every value that it "
        "computes may be off, relative to its size (default: by its rounding)",
        _accuracy,
    ),
    Option("known", "FILE", "what the target is known to fail: lines such as 'values of dx: reason'", _known),
    Option(
        "timeout",
        "SECONDS",
        f"that the target may take for a case (default {DEFAULT_TIMEOUT:g}, at most a day); "
        "a tenth of it once it did not return",
        _timeout,
    ),
    Option(
        "cases",
        "N",
        f"how many random cases to judge (default {DEFAULT_CASES}, fewer once your target has a fault; "
        f"at most {MAX_CASES:,})",
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
    Option(
        "lines",
        "YES",
        "whether the wrong lines of the target's source are looked for, yes or no (default yes; the flag is no)",
        _lines,
        flag="--no-lines",
        const="no",
    ),
    Option(
        "shard",
        "I/N",
        "judge part I of N, every N-th batch and check; auto: the part that Bazel or GitLab say (default: all)",
        _shard,
    ),
    Option(
        "resume", "FILE", "keep what was judged in FILE, and go on from there after an interruption", _resume
    ),
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
            if len(target) > MAX_SPEC or "\0" in target:
                raise OptionError(
                    f"target: expected at most {MAX_SPEC} characters, none of them NUL, got {shown(target)}"
                )
            return Options(Target(target, interface), **values)
        return Options(Target.at_hand(target, interface), **values)
    except TargetError as error:
        raise OptionError(str(error)) from error
    except Exception as error:  # of an attribute that raises when it is read
        raise OptionError(f"target: it cannot be looked at: {format_error(error)}") from error
