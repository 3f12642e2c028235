"""The command ``rnn-parity``: its arguments, turned into pytest's, and its exit status."""

import argparse
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from parity_tests.cases.features import FEATURES
from parity_tests.cases.fields import token_help
from parity_tests.run.engine import CATALOGUE, GATE, run_pytest, unexpected
from parity_tests.run.options import MAX_WORKERS, OPTIONS, OptionError, whole_number
from parity_tests.run.output import lasting_stdout
from parity_tests.run.plan import default_reference
from parity_tests.run.versions import version_text

RESERVED = ("adapt", "speed", "merge")
"""Names of subcommands that are to come."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; ``judge`` is the default one.

    Returns:
        0 if all is equal, 1 at a difference, 2 if it could not be judged. Of ``faults``: 0 if every
        fault of the catalogue is caught.
    """
    with lasting_stdout() as stdout:
        try:
            status = _run_command(arguments)
        except SystemExit as end:  # of argparse
            status = int(end.code or 0)
        except KeyboardInterrupt:
            print("rnn-parity: interrupted", file=sys.stderr)
            status = 2
        except Exception as error:
            if "--full-trace" in (sys.argv if arguments is None else arguments):
                raise
            print(f"rnn-parity: {unexpected(error)}", file=sys.stderr)
            status = 2
    if stdout.error is not None:
        reason = getattr(stdout.error, "strerror", None) or stdout.error
        print(f"rnn-parity: stdout: cannot print: {reason}", file=sys.stderr)
        return status or 2
    return status


def _run_command(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words[0] if words else ""
    if command in RESERVED:
        print(
            f"rnn-parity: {command} does not exist yet; a target of this name is written ./{command}.py",
            file=sys.stderr,
        )
        return 2
    if command in ("judge", "faults"):
        words = words[1:]
    own = words[: words.index("--")] if "--" in words else words
    to_pytest = words[len(own) + 1 :]
    return _faults(own, to_pytest) if command == "faults" else _judge(own, to_pytest)


def _judge(words: Sequence[str], to_pytest: Sequence[str]) -> int:
    parser = judge_parser()
    options = parser.parse_args(words)
    alone = options.case is not None or (options.reference or default_reference()) == "recorded"
    workers = options.workers or ("0" if alone else "auto")
    passed = [
        f"{name}={value}"
        for name, value in (
            *((option.of_pytest, getattr(options, option.name)) for option in OPTIONS),
            ("--parity-json", options.json),
        )
        if value is not None
    ]
    status, report = run_pytest(GATE, workers, [*passed, *to_pytest])
    if report is None:
        if status == pytest.ExitCode.INTERRUPTED:
            print("rnn-parity: interrupted before anything was judged", file=sys.stderr)
        return 2
    stopped = status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return 2 if stopped and report.exit_code == 0 else report.exit_code


def _faults(words: Sequence[str], to_pytest: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="rnn-parity faults",
        description="Put every fault of the catalogue into a layer; each must be caught and named. "
        "Exit status: 0 all caught.",
        usage="%(prog)s [--workers N] [-- options of pytest]",
        allow_abbrev=False,
    )
    _add_workers(parser)
    options = parser.parse_args(words)
    status, _ = run_pytest(CATALOGUE, options.workers or "auto", to_pytest)
    return status


def judge_parser() -> argparse.ArgumentParser:
    """The arguments of ``rnn-parity judge``."""
    parser = argparse.ArgumentParser(
        prog="rnn-parity",
        description="Judge a recurrent layer in NumPy, yours or those of rnn_np, against torch.nn.RNN.\n"
        "Exit status: 0 all equal, 1 a difference, 2 could not judge.",
        usage="%(prog)s [TARGET] [options] [-- options of pytest]\n"
        "       %(prog)s faults [--workers N]: put every fault of the catalogue into a layer",
        epilog=f"Features that a target may be declared to lack:\n{_listed(FEATURES)}\n\n"
        f"{token_help()}\n\n"
        "A target with the name of a subcommand is written as a file: ./faults.py.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in OPTIONS:
        name = option.of_command
        extra = {"nargs": "?"} if option.flag == "" else {"dest": option.name}
        parser.add_argument(
            name if name.startswith("-") else option.name,
            metavar=option.metavar if option.choices is None else None,
            choices=option.choices,
            help=option.help,
            **extra,  # type: ignore[arg-type]
        )
    _add_workers(parser)
    parser.add_argument("--json", metavar="FILE", help="write the report to FILE")
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the versions that a bug report needs"
    )
    return parser


def _listed(names: Iterable[str]) -> str:
    return textwrap.fill(
        ", ".join(names), 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )


class _Version(argparse.Action):
    """Prints the versions as they are; argparse's own action would wrap the lines."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        print(version_text())
        parser.exit()


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        help="processes: a number or auto (default: one a core)",
    )


def _workers(text: str) -> str:
    if text == "auto":
        return text
    try:
        return str(whole_number("workers", text, "a whole number or auto", 0, MAX_WORKERS))
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("workers: ")) from error
