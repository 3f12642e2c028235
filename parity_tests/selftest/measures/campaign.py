"""``python -m parity_tests.selftest.measures.campaign``: right layers in many cases, of which none may be accused.

Our layers, and right ones that are written in other ways (``right_layers.py``). The reference and what is allowed
are computed once for each case. The tables say how near to what is allowed the slices came, and in which case the
largest error was. With ``--keep FILE`` a campaign goes on after an interruption, or further with more cases.

Exit status 1: a layer was accused; its cases are printed at once. 2: the references disagreed in a case.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rnn_np
from parity_tests.cases.draw import draw_case
from parity_tests.cases.layers import KINDS
from parity_tests.cases.tensors import families_of
from parity_tests.checks.precision import wider_finding
from parity_tests.checks.systematic import SignedErrors
from parity_tests.checks.values import ReferencesDisagree, comparisons
from parity_tests.report import Severity
from parity_tests.run.options import DEFAULT_CASES, MAX_CASES, MAX_SEED, OptionError
from parity_tests.selftest.measures.markdown import paragraph, table, when_and_where, write_block
from parity_tests.selftest.measures.measurement import (
    MOST_WORKERS,
    Prepared,
    add_options,
    at_least,
    prepared,
    shared_out,
)
from parity_tests.selftest.measures.right_layers import RIGHT
from parity_tests.selftest.measures.tried import Tried
from parity_tests.subjects.drivers import kinds_of, run_case

OURS = "rnn_np"
VARIANTS: dict[str, Any] = {OURS: rnn_np, **RIGHT}
GROUPS = {"all": tuple(VARIANTS), "right": tuple(RIGHT)}
QUANTILES = {"50 %": 0.5, "99 %": 0.99, "99.99 %": 0.9999}
BATCH = 20
"""Cases that a process judges at once."""
SECONDS = 20.0
"""Between two lines of progress, and between two writings of the file."""
DTYPES = {"f64": "float64", "f32": "float32"}


@dataclass(frozen=True, slots=True)
class Task:
    """Which cases are drawn, and which layers are judged in them."""

    seed: int
    variants: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of layers that any of the variants has."""
        return tuple(
            kind for kind in KINDS if any(kind in kinds_of(VARIANTS[name]) for name in self.variants)
        )


def tried(task: Task, numbers: range) -> Tried:
    """Judge the cases of these numbers."""
    result = Tried(done=len(numbers))
    for number in numbers:
        case = draw_case(task.seed, number, task.kinds)
        try:
            of = prepared(case)
        except ReferencesDisagree as error:
            result.undecided += 1
            result.bad.append(f"NOT JUDGED: {error}")
            continue
        for name in task.variants:
            if case.layer in kinds_of(VARIANTS[name]):
                _judge(name, of, result)
    return result


def _judge(name: str, of: Prepared, result: Tried) -> None:
    case = of.case
    answered = run_case(VARIANTS[name], case)
    result.cases[name] += 1
    findings = [*answered.findings, *filter(None, [wider_finding(case, answered.calls)])]
    faults = [f"{each.what}: {each.message}" for each in findings if each.severity == Severity.FAULT]
    if len(answered.calls) < len(of.calls) and not faults:
        faults.append("it did not answer every call")
    errors = SignedErrors(case)
    for each in comparisons(answered, of.truths, of.allowances):
        if each.mismatch:
            faults.append(each.mismatch.message)
        if each.comparison is None:
            continue
        if not each.comparison.equal:
            faults.append(
                f"{each.tensor} of call {each.call + 1}: error over allowed {each.comparison.worst:.4g}"
            )
        result.add(name, each, errors)
    result.add_signed(name, errors)
    if faults:
        result.accused += 1
        result.bad.append(f"ACCUSED: {name} in {case}: {'; '.join(faults)}")


def ranges(done: int, cases: int) -> Iterator[range]:
    """The numbers of the cases that are left, in batches."""
    for start in range(done, cases, BATCH):
        yield range(start, min(start + BATCH, cases))


def tables(found: Tried) -> str:
    """Quantiles of every tensor over all layers, and the largest of each layer."""
    columns = [f"{dtype}, {what}" for dtype in DTYPES.values() for what in (*QUANTILES, "largest")]
    by_tensor = [["error / allowed", *columns]]
    for name in families_of(key[2] for key in found.ratios):
        cells = [f"`{name}`"]
        for dtype in DTYPES:
            histogram = found.of(dtype=dtype, tensor=name)
            cells += [f"{histogram.quantile(share):.2g}" for share in QUANTILES.values()]
            cells.append(f"{histogram.largest:.2g}")
        by_tensor.append(cells)
    by_variant = [
        ["layer", "cases", "slices", "largest error / allowed", "largest mean error, float32", "case"]
    ]
    for name, cases in found.cases.items():
        own = {key: histogram for key, histogram in found.ratios.items() if key[0] == name}
        if not own:
            continue
        worst = max(own, key=lambda key: own[key].largest)
        slices = sum(each.total for each in own.values())
        largest = f"{own[worst].largest:.3f} (`{worst[2]}`)"
        by_variant.append(
            [
                name,
                f"{cases:,}",
                f"{slices:,}",
                largest,
                _largest_mean(found.means(name)),
                f"`{own[worst].case}`",
            ]
        )
    return f"{table(*by_tensor)}\n\n{table(*by_variant)}"


def _largest_mean(means: dict[str, float]) -> str:
    if not means:
        return ""
    tensor = max(means, key=lambda name: abs(means[name]))
    return f"{means[tensor]:+.3f} u (`{tensor}`)"


def said(task: Task, found: Tried) -> str:
    """What the campaign has shown, in Markdown."""
    slices = found.of().total
    accused = found.accused + len(found.bad)
    verdict = f"{accused} accusations" if accused else "None was accused"
    verdict += f", and in {found.undecided} cases the references disagreed" if found.undecided else ""
    summary = (
        f"{found.done:,} cases of seed {task.seed}, {slices:,} slices that round and {found.inconclusive:,} "
        f"inconclusive ones. {verdict}. {when_and_where()}"
    )
    return f"{paragraph(summary)}\n\n{tables(found)}"


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The variants that names and groups of them stand for.

    Raises:
        OptionError: there is no such variant.
    """
    result: list[str] = []
    for name in names:
        if name not in VARIANTS and name not in GROUPS:
            raise OptionError(f"variant: expected {', '.join([*GROUPS, *VARIANTS])}, got {name!r}")
        result += GROUPS.get(name, (name,))
    return tuple(dict.fromkeys(result))


def kept_in(file: Path, task: Task) -> Tried:
    """What the file of an earlier campaign holds; nothing if there is no file.

    Raises:
        OptionError: it cannot be read, or is of another campaign.
    """
    if not file.exists():
        return Tried()
    try:
        data = json.loads(file.read_text("utf-8"))
        of, found = Task(data["seed"], tuple(data["variants"])), Tried.from_json(data)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise OptionError(f"keep: {file} is no file of a campaign: {error}") from error
    if of != task:
        raise OptionError(
            f"keep: {file} is of seed {of.seed} and of {', '.join(of.variants)}; choose another file"
        )
    return found


def campaign(task: Task, cases: int, workers: int, keep: Path | None) -> Tried:
    """Judge all cases; print what is accused, and now and then how far it is.

    Raises:
        OptionError: the file cannot be read or written.
    """
    found = kept_in(keep, task) if keep else Tried()
    written = time.monotonic()
    for part in shared_out(partial(tried, task), ranges(found.done, cases), workers):
        for line in part.bad:
            print(line, flush=True)
        found.merge(part)
        if time.monotonic() - written > SECONDS:
            _write(keep, task, found)
            worst = found.of()
            print(
                f"{found.done:,} of {cases:,} cases, {found.accused} accusations, largest error / allowed "
                f"{worst.largest:.3f} in {worst.case}",
                file=sys.stderr,
                flush=True,
            )
            written = time.monotonic()
    _write(keep, task, found)
    found.bad = found.systematic_faults()
    for line in found.bad:
        print(line, flush=True)
    return found


def _write(file: Path | None, task: Task, found: Tried) -> None:
    if file is None:
        return
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_text(json.dumps({"seed": task.seed, "variants": task.variants, **found.to_json()}), "utf-8")
        new.replace(file)
    except OSError as error:
        raise OptionError(f"keep: {file} cannot be written: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the cases and print the tables; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m parity_tests.selftest.measures.campaign", description=__doc__
    )
    parser.add_argument("--cases", default=str(DEFAULT_CASES), metavar="N", help="how many (default 2000)")
    parser.add_argument(
        "--variant",
        action="append",
        metavar="NAME",
        help=f"{', '.join([*GROUPS, *VARIANTS])} (default all; may be repeated); the right ones have TimeRNN and "
        "RNN, so of cases of all layers they are judged in half",
    )
    parser.add_argument("--seed", default="0", metavar="S", help="of the cases (default 0)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep what was found, and go on from there")
    add_options(parser, "workers", "write")
    options = parser.parse_args(arguments)
    try:
        cases = at_least("cases", options.cases, 1, MAX_CASES)
        workers = at_least("workers", options.workers, 1, MOST_WORKERS)
        task = Task(at_least("seed", options.seed, 0, MAX_SEED), chosen(options.variant or ["all"]))
        found = campaign(task, cases, workers, options.keep)
    except OptionError as error:
        sys.exit(f"campaign: {error}")
    body = said(task, found)
    print(body)
    if options.write:
        write_block("campaign", body)
    return 1 if found.accused or found.bad else 2 if found.undecided else 0


if __name__ == "__main__":
    sys.exit(main())
