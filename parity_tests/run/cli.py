"""The command ``rnn-parity``: its arguments, turned into pytest's, and its exit status."""

import argparse
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parity_tests.cases.features import FEATURES
from parity_tests.cases.fields import token_help
from parity_tests.cases.tensors import TENSORS
from parity_tests.check_facts import CASE_CHECKS
from parity_tests.checks.registry import CONTRACT_CHECKS
from parity_tests.report import Verdict
from parity_tests.run.adapting import adapted, run_adapt
from parity_tests.run.engine import CATALOGUE, GATE, gateways, run_pytest, unexpected
from parity_tests.run.merging import run_merge
from parity_tests.run.options import MAX_WORKERS, OPTIONS, OptionError, whole_number
from parity_tests.run.output import lasting_stdout
from parity_tests.run.plan import default_reference
from parity_tests.run.record.resume import has_end
from parity_tests.run.show.again import SUBCOMMANDS
from parity_tests.run.show.layout import layout_here, terminal_width
from parity_tests.run.versions import machine, version_text
from parity_tests.subjects.interfaces import TargetError
from parity_tests.words import did_you_mean, nearest

ADAPT = (
    "Find out by trial how somebody's code is called, and write the adapter that judges it. "
    "Exit status: 0 with an adapter, 2 without."
)
MERGE = (
    "Merge the reports of all parts of a run, which --shard I/N --json FILE wrote, into its one verdict. "
    "Exit status: that of the run; 2 for a part that is missing, there twice, or of another run."
)
SPELLINGS = {
    **{option.name: option.of_command for option in OPTIONS},
    **{option.of_command.lstrip("-"): option.of_command for option in OPTIONS},
    **{name: f"--{name}" for name in ("json", "workers", "version", "verbose", "quiet", "help")},
    "n": "--workers",
}
"""The command's options, by these names and by those that they have elsewhere."""


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
    if command == "adapt":
        return run_adapt(_Parser(prog="rnn-parity adapt", description=ADAPT, allow_abbrev=False), words[1:])
    if command == "merge":
        return run_merge(_Parser(prog="rnn-parity merge", description=MERGE, allow_abbrev=False), words[1:])
    if command == "speed":
        from parity_tests.speed.command import DESCRIPTION, run_speed

        parser = _Parser(prog="rnn-parity speed", description=DESCRIPTION, allow_abbrev=False)
        return run_speed(parser, words[1:], machine())
    if command in SUBCOMMANDS:
        words = words[1:]
    own = words[: words.index("--")] if "--" in words else words
    to_pytest = words[len(own) + 1 :]
    return _faults(own, to_pytest) if command == "faults" else _judge(own, to_pytest)


def _judge(words: Sequence[str], to_pytest: Sequence[str]) -> int:
    parser = judge_parser()
    options = parser.parse_args(words)
    if not options.adapt:
        return _judged(parser, options, to_pytest)
    with tempfile.TemporaryDirectory(prefix="rnn-parity-") as folder:
        try:
            outcome, target = adapted(options.target or "", Path(folder))
        except TargetError as error:
            return _refused(parser, str(error), Verdict.NOT_JUDGED.value)
        options.target = target
        options.without = ",".join(filter(None, [options.without, *outcome.without]))
        return _judged(parser, options, to_pytest)


def _judged(parser: argparse.ArgumentParser, options: argparse.Namespace, to_pytest: Sequence[str]) -> int:
    alone = options.case is not None or (options.reference or default_reference()) == "recorded"
    alone = alone or (options.resume is not None and has_end(Path(options.resume)))
    if options.workers is not None and gateways(to_pytest):
        parser.error("argument --workers: --tx says how many workers there are, and where")
    workers = options.workers or ("0" if alone else "auto")
    passed = [
        f"{name}={value}"
        for name, value in (
            *((option.of_pytest, getattr(options, option.name)) for option in OPTIONS),
            ("--parity-json", options.json),
        )
        if value is not None
    ]
    outcome = run_pytest(GATE, workers, [*passed, *_detail(options), *to_pytest])
    if outcome.error:
        target = options.target or ""
        near = did_you_mean(target, SUBCOMMANDS) if target.isidentifier() else ""
        return _refused(parser, outcome.error + near, Verdict.NOT_JUDGED.value)
    report = outcome.report
    if report is None:
        if outcome.status == pytest.ExitCode.INTERRUPTED:
            print("rnn-parity: interrupted before anything was judged", file=sys.stderr)
        return 2
    stopped = outcome.status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return 2 if stopped and report.exit_code == 0 else report.exit_code


def _faults(words: Sequence[str], to_pytest: Sequence[str]) -> int:
    parser = _Parser(
        prog="rnn-parity faults",
        description="Put every fault of the catalogue into a layer; each must be caught and named. "
        "Exit status: 0 all caught.",
        usage="%(prog)s [--workers N] [-- options of pytest]",
        allow_abbrev=False,
    )
    _add_workers(parser)
    _add_detail(parser)
    options = parser.parse_args(words)
    outcome = run_pytest(CATALOGUE, options.workers or "auto", [*_detail(options), *to_pytest])
    return _refused(parser, outcome.error) if outcome.error else outcome.status


def judge_parser() -> argparse.ArgumentParser:
    """The arguments of ``rnn-parity judge``."""
    parser = _Parser(
        prog="rnn-parity",
        description="Judge a recurrent layer in NumPy, yours or those of rnn_np, against torch.nn.RNN.\n"
        "Exit status: 0 all equal, 1 a difference, 2 could not judge.",
        usage="%(prog)s [TARGET] [options] [-- options of pytest]\n"
        "       %(prog)s adapt FILE[:NAME] [-o ADAPTER]: write the adapter of code of another form\n"
        "       %(prog)s faults [--workers N]: put every fault of the catalogue into a layer\n"
        "       %(prog)s merge FILE...: the one verdict of the parts of a run\n"
        "       %(prog)s speed [options]: time the layers of rnn_np beside torch, JAX and ONNX Runtime",
        epilog=f"Features that a target may be declared to lack:\n{_listed(FEATURES)}\n\n"
        f"Tensors that are compared:\n{_listed(TENSORS)}\n\n"
        "Checks of the contract; --without names them with hyphens, as in inputs-copied:\n"
        f"{_listed(CONTRACT_CHECKS)}\n\n"
        f"Checks made in every case:\n{_listed(check.name for check in CASE_CHECKS)}\n\n"
        f"{token_help()}\n\n"
        "A target with the name of a subcommand is written as a file: ./faults.py.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in OPTIONS:
        name = option.of_command
        if option.const is not None:
            parser.add_argument(
                name, dest=option.name, action="store_const", const=option.const, help=option.help
            )
            continue
        extra = {"nargs": "?"} if option.flag == "" else {"dest": option.name}
        parser.add_argument(
            name if name.startswith("-") else option.name,
            metavar=option.metavar if option.choices is None else None,
            choices=option.choices,
            help=option.help,
            **extra,  # type: ignore[arg-type]
        )
    parser.add_argument(
        "--adapt", action="store_true", help="judge the target through an adapter that is found by trial"
    )
    _add_workers(parser)
    _add_detail(parser)
    parser.add_argument("--json", metavar="FILE", help="write the report to FILE")
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the versions that a bug report needs"
    )
    return parser


def _listed(names: Iterable[str]) -> str:
    return textwrap.fill(
        ", ".join(names),
        min(terminal_width(), 100),
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )


class _Parser(argparse.ArgumentParser):
    """Asks whether another option or value was meant, where one is misspelt."""

    def error(self, message: str) -> NoReturn:
        super().error(message + _meant(message))


def _meant(message: str) -> str:
    unknown = re.match("unrecognized arguments: (-[^ =]+)", message)
    if unknown:
        found = nearest(unknown[1].lstrip("-").removeprefix("parity-"), SPELLINGS)
        return f"; did you mean {SPELLINGS[found]}?" if found else ""
    choice = re.match("argument ([^ :]+): invalid choice: '([^']*)'", message)
    choices = {option.of_command: option.choices or () for option in OPTIONS}
    return did_you_mean(choice[2], choices.get(choice[1], ())) if choice else ""


def _refused(parser: argparse.ArgumentParser, message: str, what: str = "error") -> int:
    """Say why nothing was judged; return the exit status."""
    text = f"{parser.prog}: {what}: {message}"
    if sys.stderr.isatty():
        text = "\n".join(layout_here().text(text, rest="  "))
    print(text, file=sys.stderr)
    return 2


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


def _add_detail(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-v", "--verbose", action="store_true", help="show all that was found")
    group.add_argument("-q", "--quiet", action="store_true", help="show one line, the verdict")


def _detail(options: argparse.Namespace) -> list[str]:
    """The same for pytest."""
    return ["-v"] * options.verbose + ["-q"] * options.quiet


def _workers(text: str) -> str:
    if text == "auto":
        return text
    try:
        return str(whole_number("workers", text, "a whole number or auto", 0, MAX_WORKERS))
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("workers: ")) from error
