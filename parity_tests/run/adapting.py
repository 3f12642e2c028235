"""The command ``rnn-parity adapt``: writes the adapter of somebody's code, and says what was proven of it."""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from parity_tests.adapt.find import find_adapter, parsed
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.search import Hints
from parity_tests.subjects.generated import FIRST, TEMPORARY
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import as_name
from parity_tests.words import counted

ADAPTER = "adapter.py"


def adapt_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the arguments of ``rnn-parity adapt`` to a parser."""
    parser.add_argument(
        "file", metavar="FILE[:NAME]", help="the code: a file, a class in it, or forward,backward"
    )
    parser.add_argument(
        "-o", dest="output", metavar="ADAPTER", help="the file to write; without it the adapter is printed"
    )
    parser.add_argument(
        "--make", default="", metavar="CODE", help="statements that make the object, named net"
    )
    parser.add_argument(
        "--weights",
        default="",
        metavar="CODE",
        help="a statement about the weights: 'Wh = Wh.T', or the vector of all: "
        "'theta = concatenate([Wx.ravel(), Wh.ravel(), b])'",
    )
    parser.add_argument(
        "--call",
        default="",
        metavar="CALL",
        help="the call of the forward: 'consume(x)', 'forward(list of columns)', 'step(h=h[None], x=x[:, t])'",
    )
    parser.add_argument("--back", default="", metavar="CALL", help="the call of the backward: 'produce(dhs)'")
    return parser


def run_adapt(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Run the command; return its exit status: 0 with an adapter, 2 without."""
    options = adapt_parser(parser).parse_args(words)
    try:
        hints = Hints(options.make, options.weights, options.call, options.back)
        outcome = find_adapter(options.file, hints)
    except (TargetError, ValueError) as error:
        parser.error(str(error))
    if not outcome.text:
        print(refused(options.file, outcome))
        return 2
    if options.output:
        output = Path(options.output)
        output.write_text(placed(outcome.text, options.file, output.parent), "utf-8")
    else:
        print(placed(outcome.text, options.file, Path()))
    print(summary(options.file, outcome, options.output or ADAPTER))
    return 0


def placed(text: str, spec: str, folder: Path) -> str:
    """The text of an adapter in a folder: it says where the user's file is, if that is elsewhere."""
    file, _ = parsed(spec)
    names = re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE)
    stem = as_name(file.stem)
    own = next(name for name in names[::-1] if name.rpartition(".")[2].rstrip("_") == stem.rstrip("_"))
    if file.suffix == ".ipynb" or own.rpartition(".")[2] != file.stem:
        return _loading_by_path(text, own, file)
    root = file.parents[own.count(".")]
    if root == folder.resolve():
        return text
    first = "import numpy as np\n"
    return text.replace(first, f"import sys\n\n{first}\nsys.path.insert(0, {str(root)!r})\n", 1)


def _loading_by_path(text: str, name: str, file: Path) -> str:
    """The text of an adapter of a notebook, or of a file that Python cannot import by its name."""
    loading = f"from parity_tests.subjects.loading import module_of\n\n{name} = module_of({str(file)!r})[0]"
    text = re.sub(rf"^import {name}\n", "", text, flags=re.MULTILINE)
    names = re.search(rf"^from {name} import (.*)$", text, re.MULTILINE)
    if names is None:
        return text.replace("import numpy as np\n", f"import numpy as np\n{loading}\n", 1)
    given = "\n".join(f"{each} = {name}.{each}" for each in names[1].split(", "))
    return text.replace(names[0], f"{loading}\n{given}", 1)


def adapted(spec: str, folder: Path) -> tuple[Outcome, str]:
    """Write the adapter of a target that is judged at once; return the outcome, and the target to judge.

    Args:
        spec: the user's target.
        folder: where the adapter is written.

    Raises:
        TargetError: there is no such file, or no reading of it.
    """
    outcome = find_adapter(spec)
    if not outcome.text:
        raise TargetError(f"{spec}: {outcome.refusal}")
    _, _, rest = placed(outcome.text, spec, folder).partition("\n")
    head = f"{FIRST}{spec}, written by rnn-parity adapt.\n{TEMPORARY}{','.join(outcome.without)}\n"
    file = folder / ADAPTER
    file.write_text(head + rest, "utf-8")
    return outcome, f"{file}:answer"


def refused(spec: str, outcome: Outcome) -> str:
    """Why there is no adapter, and what to do."""
    lines = [f"no adapter of {spec}: {outcome.refusal}", *(f"  {line}" for line in outcome.reading)]
    lines += [f"  {notice}" for notice in outcome.notices]
    return "\n".join(lines)


def summary(spec: str, outcome: Outcome, adapter: str) -> str:
    """What was proven, what was assumed, what was not found, and the command that judges it."""
    lines = [f"read in {counted(outcome.trials, 'trial')}:"]
    lines += [f"  {line}" for line in outcome.reading]
    lines += [f"ASSUMED: {line}" for line in outcome.assumed]
    if outcome.gave_up:
        lines.append(f"gave up at {counted(outcome.trials, 'trial')}; this is the nearest reading")
    lines.append(f"equal to the reference in 4 sizes: {', '.join(outcome.equal) or 'nothing'}")
    if outcome.unequal:
        lines.append(f"not equal: {', '.join(outcome.unequal)}; the command below says why")
    if outcome.missing:
        lines.append(f"not found: {', '.join(outcome.missing)}")
    lines += [f"notice: {notice}" for notice in outcome.notices]
    lines.append(f"judge it: {judging(outcome, adapter)}")
    return "\n".join(lines)


def judging(outcome: Outcome, adapter: str) -> str:
    """The command that judges an adapter."""
    words = ["rnn-parity", f"{adapter}:answer"]
    if outcome.without:
        words += ["--without", ",".join(outcome.without)]
    return shlex.join(words)
