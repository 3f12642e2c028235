"""``rnn-parity``: a door to the gate. It turns its options into pytest's and runs pytest."""

import argparse
import sys
from collections.abc import Sequence

import pytest

from parity_tests.api import ENGINE, HERE, Watcher, plain_pytest
from parity_tests.cases.features import FEATURES
from parity_tests.cases.fields import CALLS, PLANTS, UPSTREAMS
from parity_tests.cases.memory_layouts import LAYOUTS
from parity_tests.run.plan import OPTIONS, default_reference
from parity_tests.subjects.interfaces import KINDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the layers; return 0 if all is equal, 1 at a difference, 2 if it could not be judged.

    ``faults`` as the target runs the gate over its own catalogue instead: 0 if every fault is caught.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = given[: given.index("--")] if "--" in given else given
    to_pytest = given[len(own) + 1 :]
    options = options_parser().parse_args(own)
    if options.workers not in (None, "auto") and not options.workers.isdecimal():
        print(
            f"rnn-parity: workers: expected a whole number or auto, got {options.workers!r}", file=sys.stderr
        )
        return 2
    alone = options.case is not None or (options.reference or default_reference()) == "recorded"
    workers = options.workers or ("0" if alone else "auto")
    command = [*ENGINE, "-p", "xdist", "-n", workers, "--dist", "worksteal", "--tb", "no", "-rN"]
    if options.target == "faults":
        with plain_pytest():
            return int(pytest.main([*command, *to_pytest, str(HERE / "selftest" / "test_faults.py")]))
    for name in (*OPTIONS, "json"):
        if getattr(options, name) is not None:
            command += [f"--parity-{name}={getattr(options, name)}"]
    watcher = Watcher()
    with plain_pytest():
        status = pytest.main([*command, *to_pytest, str(HERE / "run" / "test_gate.py")], plugins=[watcher])
    if watcher.report is None:
        return 2
    code = watcher.report.exit_code
    stopped = status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return 2 if stopped and code == 0 else code


def options_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="rnn-parity",
        description="Judge a recurrent layer in NumPy, yours or those of rnn_np, against torch.nn.RNN. "
        "Exit status: 0 all equal, 1 a difference, 2 could not judge.",
        usage="%(prog)s [TARGET] [options] [-- options of pytest]",
        epilog="A case's token: sizes B T D H; f32 or f64; g, the recurrent gain; h0, an initial state; "
        f"upstream gradient {', '.join(UPSTREAMS)}; memory layout {', '.join(LAYOUTS)}; calls "
        f"{', '.join(CALLS)}; row, a bias [1, H]; a value planted, such as {PLANTS[1]}; s, the seed. "
        "What has its default (the first of each) is left out.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="package.module:Name, path/to/file.py:Name or path/to/notebook.ipynb:Name (default: rnn_np); "
        "or faults: the gate over its own catalogue",
    )
    parser.add_argument(
        "--as",
        dest="kind",
        choices=KINDS,
        help="its interface, where it is not recognised: layer (TimeRNN's), cell (RNN's), module "
        "(nn.RNN's), adapter (a function of a case), package (a module of layers)",
    )
    parser.add_argument(
        "--without",
        metavar="NAMES",
        help=f"what it lacks, separated by commas: {', '.join(FEATURES)}; tensors; or checks",
    )
    parser.add_argument(
        "--known", metavar="FILE", help="what it is known to fail: lines such as 'values of dx: reason'"
    )
    parser.add_argument("--timeout", metavar="SECONDS", help="that it may take for a case (default 10)")
    parser.add_argument("--cases", metavar="N", help="how many random cases (default 2000)")
    parser.add_argument("--seed", metavar="SEED", help="of the random cases: a number (default 0) or fresh")
    parser.add_argument("--workers", metavar="N", help="processes: a number or auto (default: one a core)")
    parser.add_argument(
        "--reference", choices=("torch", "recorded"), help="default: torch where it is installed"
    )
    parser.add_argument("--case", metavar="TOKEN", help="judge one case alone")
    parser.add_argument("--json", metavar="FILE", help="write the report to FILE")
    return parser
