"""``python -m parity_tests.selftest.measures.resolution``: the smallest relative error that the gate catches.

In every case that is not of whole numbers, each tensor of our layers is multiplied by 1 + e as a whole, and one
random element of it that is neither 0 nor infinite. The table says which e is caught in one case at least, in half
of the cases, and in 95 % of them; then how many slices are inconclusive.

Nothing is searched for: an element got with an error ``got - want`` reaches what is allowed exactly at
``(allowed - sign(got) * (got - want)) / |got|``, and a tensor at the least of its elements.
"""

import argparse
import math
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import rnn_np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import families_of, family
from parity_tests.checks.values import Compared, comparisons
from parity_tests.run.options import OptionError
from parity_tests.selftest.measures.markdown import paragraph, table, when_and_where, write_block
from parity_tests.selftest.measures.measurement import (
    MOST_WORKERS,
    add_options,
    at_least,
    batches,
    case_lists,
    prepared,
    shared_out,
)
from parity_tests.subjects.drivers import run_case

BATCH = 25
"""Cases that a process measures at once."""
SHARES = (0.0, 0.5, 0.95)
"""Of the cases in which an error is injected: one of them, half, nearly all."""
DTYPES = {"f64": "float64", "f32": "float32"}


@dataclass(frozen=True, slots=True)
class Smallest:
    """What one case says of one tensor.

    Attributes:
        case: its token.
        dtype: of the case.
        tensor: the entry of ``TENSORS``.
        whole: the smallest relative error of all elements that is caught; infinite if none is.
        one: that of one random element; NaN where no element is finite and not 0, so that there is no error.
        slices: how many slices there are.
        inconclusive: how many of them prove nothing.
    """

    case: str
    dtype: str
    tensor: str
    whole: float
    one: float
    slices: int
    inconclusive: int


def smallest_errors(compared: Compared) -> Array:
    """The relative error of each element that is just allowed; infinite where it may be any."""
    assert compared.got is not None
    got = compared.got.astype(np.float64)
    with np.errstate(all="ignore"):
        errors = (compared.allowed.allow - np.sign(got) * (got - compared.want)) / np.abs(got)
    errors[compared.allowed.inconclusive] = np.inf
    errors[~np.isfinite(errors)] = np.inf
    return np.asarray(errors)


def smallest(case: Case) -> list[Smallest]:
    """What a case says of each tensor, by our layers."""
    of = prepared(case)
    found = list(comparisons(run_case(rnn_np, case), of.truths, of.allowances))
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    result = []
    for name in families_of(each.tensor for each in found):
        own = [each for each in found if family(each.tensor) == name]
        errors = [smallest_errors(each) for each in own]
        elements = np.concatenate([error[injectable(each)] for error, each in zip(errors, own, strict=True)])
        result.append(
            Smallest(
                str(case),
                case.dtype,
                name,
                whole=float(elements.min(initial=np.inf)),
                one=float(rng.choice(elements)) if elements.size else math.nan,
                slices=sum(each.comparison.slices for each in own if each.comparison),
                inconclusive=sum(each.comparison.inconclusive for each in own if each.comparison),
            )
        )
    return result


def injectable(compared: Compared) -> Array:
    """The elements in which a relative error is one."""
    assert compared.got is not None
    return np.asarray(np.isfinite(compared.got) & np.isfinite(compared.want) & (compared.got != 0))


def _measured(cases: Sequence[Case]) -> list[Smallest]:
    return [each for case in cases for each in smallest(case)]


def measured(cases: Sequence[Case], workers: int = 1) -> list[Smallest]:
    """What all cases that are not of whole numbers say."""
    rounding = [case for case in cases if not case.integer]
    return [each for batch in shared_out(_measured, batches(rounding, BATCH), workers) for each in batch]


def caught(errors: Sequence[float]) -> str:
    """The errors that are caught in the ``SHARES`` of the cases; empty without a case.

    Example:
        >>> caught([1e-7, 2e-7, 3e-7, float("inf")])
        '1.0e-7 / 2.0e-7 / never'
    """
    ordered = sorted(errors)
    shown = () if not ordered else (ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in SHARES)
    return " / ".join(
        "never" if error == math.inf else f"{error:.1e}".replace("e-0", "e-").replace("e+0", "e")
        for error in shown
    )


def tables(found: Sequence[Smallest]) -> str:
    """Both tables, and how many cases prove nothing at all."""
    columns = [f"{dtype}, {what}" for dtype in DTYPES.values() for what in ("whole tensor", "one element")]
    errors = [["smallest relative error caught", *columns]]
    undecided = [["inconclusive", *(f"{dtype}, {what}" for dtype in DTYPES.values() for what in _UNDECIDED)]]
    for name in families_of(each.tensor for each in found):
        own = [[each for each in found if (each.tensor, each.dtype) == (name, dtype)] for dtype in DTYPES]
        injected = [[each for each in some if not math.isnan(each.one)] for some in own]
        errors.append([f"`{name}`"])
        for some in injected:
            errors[-1] += [caught([each.whole for each in some]), caught([each.one for each in some])]
        undecided.append([f"`{name}`", *(cell for some in own for cell in _undecided(some))])
    return f"{table(*errors)}\n\n{table(*undecided)}\n\n{_throughout(found)}"


_UNDECIDED = ("slices", "cases without one that concludes")


def _undecided(some: Sequence[Smallest]) -> tuple[str, str]:
    slices, inconclusive = sum(each.slices for each in some), sum(each.inconclusive for each in some)
    nothing = sum(each.slices == each.inconclusive for each in some)
    return f"{inconclusive / max(slices, 1):.2%}".replace("%", " %"), f"{nothing} of {len(some):,}"


def _throughout(found: Sequence[Smallest]) -> str:
    concluded = {each.case for each in found if each.slices > each.inconclusive}
    cases = {each.case for each in found}
    left = len(cases - concluded)
    return f"Of {len(cases):,} cases {left or 'none'} {'are' if left > 1 else 'is'} inconclusive throughout."


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both lists of cases, or those given, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m parity_tests.selftest.measures.resolution", description=__doc__
    )
    add_options(parser, "list", "workers", "write")
    options = parser.parse_args(arguments)
    try:
        workers = at_least("workers", options.workers, 1, MOST_WORKERS)
        lists = case_lists([Path(path) for path in options.list])
    except OptionError as error:
        sys.exit(f"resolution: {error}")
    parts = [paragraph(when_and_where())]
    for name, cases in lists.items():
        found = measured(cases, workers)
        rounding = len({each.case for each in found})
        parts.append(f"In {name}, the {rounding:,} of {len(cases):,} that are not of whole numbers:")
        parts.append(tables(found))
    body = "\n\n".join(parts)
    print(body)
    if options.write:
        write_block("resolution", body)


if __name__ == "__main__":
    main()
