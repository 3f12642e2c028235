"""Cases drawn and shrunk by Hypothesis.

Every case is drawn from bytes of its own, which follow from the run's seed and the case's number.
Hypothesis's own generation is not used: it draws constants it finds in whatever modules are loaded,
and varies what it drew before, so that cases would depend on the process and often repeat.
"""

import contextlib
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.strategies import DrawFn, SearchStrategy

from parity_tests.cases.case import Case
from parity_tests.cases.features import restricted
from parity_tests.cases.fields import (
    CALLS,
    DROPOUTS,
    FORMS,
    GAINS,
    GIVEN,
    LENGTHS,
    MOST_LAYERS,
    PLANTS,
    UPSTREAMS,
)
from parity_tests.cases.layers import KINDS
from parity_tests.cases.memory_layouts import LAYOUTS

MAX_STEPS = 300
MAX_HIDDEN = 128
MAX_BATCH = 32
MAX_AREA = 3 * 2**13
"""Of B * T * max(D, H), for all cells, so that no case takes the time of a hundred others."""
MAX_RELU_GAIN = 1.5
"""States of relu grow without bound; where they leave the range of float32 nothing is judged."""
MAX_WHOLE = 6
"""Of every size of a case of whole numbers: larger ones would round."""
SHARES = {"time": 7, "cell": 1, "nn": 7, "nncell": 1}
"""How often each kind is drawn."""


# A strategy is checked when it is first drawn from; made once, it is checked once.
_whole = cache(st.integers)
_one_of = cache(st.sampled_from)
_BOOLEANS = st.booleans()


@cache
@st.composite
def _log_uniform(draw: DrawFn, most: int) -> int:
    """1 .. ``most``, every octave as likely as every other; shrinks towards 1."""
    octave = draw(_whole(0, (most - 1).bit_length()))
    lowest, highest = 2**octave // 2 + 1, min(most, 2**octave)
    # A part of the octave, not a number in it: so each choice can be made smaller by itself. One in
    # eight is the octave's end, a power of two, where fast paths begin.
    return min(highest, lowest + draw(_whole(0, 255)) * (highest - lowest + 1) // 224)


@cache
@st.composite
def _cases(draw: DrawFn, kinds: tuple[str, ...], without: tuple[str, ...]) -> Case:
    """What is drawn first is made simple first when a case is shrunk: one call before small sizes.

    Everything is drawn, used or not: a case that grows simpler must not need more draws.
    """
    kind = draw(_one_of(tuple(kind for kind in kinds for _ in range(SHARES[kind]))))
    notebook, is_cell, nn = kind in ("time", "cell"), kind in ("cell", "nncell"), kind == "nn"
    square, as_long = draw(_rarely(8)), draw(_rarely(8))
    planted, plant = draw(_rarely(16)), draw(_one_of(PLANTS))
    calls = draw(_one_of(CALLS))
    if calls not in CALLS[:2] and kind != "time":
        calls = CALLS[CALLS.index(calls) % 2]
    whole, layers = draw(_rarely(8)), draw(_one_of(tuple(range(1, MOST_LAYERS + 1))))
    bidirectional, relu, batch_first, evaluating = (draw(_BOOLEANS) for _ in range(4))
    dropout, given = draw(_one_of(DROPOUTS)), draw(_one_of(GIVEN))
    form, lengths = draw(_one_of(FORMS)), draw(_one_of(LENGTHS))
    layout = draw(_one_of(LAYOUTS))
    upstream = draw(_one_of(UPSTREAMS))
    dtype = draw(_one_of(("f64", "f32")))
    bias = draw(_one_of(("flat", "row") if notebook else ("flat", "flat", "flat", "nobias")))
    gain = draw(_one_of(GAINS))
    h0 = draw(_BOOLEANS) or kind == "cell"

    options: dict[str, Any] = {}
    cells = 1
    if not notebook:
        whole = whole and relu and bias == "flat"
        gain = 1.0 if whole else min(gain, MAX_RELU_GAIN) if relu else gain
        form = "batched" if form == "packed" and is_cell else form
        options |= {"relu": relu, "form": form, "whole": whole}
    if nn:
        lengths = "full" if form == "unbatched" else lengths
        upstream = "dense" if given == "final" else upstream
        dropout = 0.0 if layers == 1 or (whole and dropout != 0.5) else dropout
        options |= {"layers": layers, "bidirectional": bidirectional, "batch_first": batch_first}
        options |= {
            "lengths": lengths,
            "given": given,
            "dropout": dropout,
            "eval": evaluating and dropout > 0,
        }
        cells = layers * (1 + bidirectional)
    plant = plant if planted and calls == "once" else "none"
    if plant != "none" and not _may_be_planted(plant, options):
        plant = f"{plant[:4]}pad"
    if not _may_be_planted(plant, options):
        plant = "none"
    h0 = h0 or plant.endswith("h0")

    hidden, steps, rows = (
        MAX_HIDDEN,
        MAX_STEPS // cells,
        1 if form == "unbatched" and not notebook else MAX_BATCH,
    )
    if options.get("whole"):
        hidden, steps, rows = (min(most, MAX_WHOLE) for most in (hidden, steps, rows))
    H, D = draw(_log_uniform(hidden)), draw(_log_uniform(hidden))
    D = H if square else D
    if plant != "none" and not plant.endswith("pad"):
        D, H = max(D, 2), max(H, 2)
    area = max(1, MAX_AREA // (cells * max(D, H)))
    T = draw(_log_uniform(min(steps, area)))
    T = 1 if is_cell else max(T, int(calls[-1])) if calls.startswith("chunks") else T
    rows = min(rows, area // T)
    B = draw(_log_uniform(rows))
    B = T if as_long and rows >= T else B
    case = Case(
        kind=kind,
        B=B,
        T=T,
        D=D,
        H=H,
        dtype=dtype,
        gain=gain,
        h0=h0,
        upstream="dense" if is_cell else upstream,
        layout=layout,
        calls=calls,
        bias=bias,
        plant=plant,
        seed=draw(_whole(0, 2**20 - 1)),
        **options,
    )
    return restricted(case, without)


def _may_be_planted(plant: str, options: dict[str, Any]) -> bool:
    if options.get("whole"):
        return False
    if plant.endswith("pad"):
        return options.get("lengths", "full") != "full" and options["form"] == "batched"
    if plant.endswith("dhs") and options.get("given") == "final":
        return False
    masked = options.get("dropout", 0) > 0 and not options["eval"]
    return not (options.get("relu") or masked)


@cache
def _rarely(times: int) -> SearchStrategy[bool]:
    """True once in so many draws; shrinks to False."""
    return st.integers(0, times - 1).map(lambda number: number == times - 1)


def draw_case(
    run_seed: int, number: int, kinds: tuple[str, ...] = KINDS, without: tuple[str, ...] = ()
) -> Case:
    """Return case ``number`` of the run with this seed over these kinds, without these features; it
    depends on nothing else."""
    _drawn.clear()
    _drawing(kinds, without).hypothesis.fuzz_one_input(_bytes(run_seed, number))
    (case,) = _drawn
    return case


def shrink(
    run_seed: int,
    number: int,
    fails: Callable[[Case], bool],
    deadline: float,
    kinds: tuple[str, ...] = KINDS,
    without: tuple[str, ...] = (),
) -> Case:
    """Return the smallest failing case that Hypothesis comes to from a failing one.

    Args:
        run_seed: the seed of the run.
        number: of the case to start from, of which ``fails`` is true.
        fails: whether a case shows the failure.
        deadline: of ``time.monotonic()``; later, no further case is tried.
        kinds: of layers that the run judges.
        without: features that its cases do not have.
    """
    start = draw_case(run_seed, number, kinds, without)
    known = {start: True}
    failing = [start]

    def check(case: Case) -> None:
        if case not in known and time.monotonic() < deadline:
            known[case] = fails(case)
        if known.get(case, False):
            failing.append(case)
            raise _Failing

    test = _test(check, kinds, without)
    for run in (lambda: test.hypothesis.fuzz_one_input(_bytes(run_seed, number)), test):
        with contextlib.suppress(_Failing):
            run()
    return failing[-1]


class _Failing(Exception):
    """Tells Hypothesis that a case shows the failure."""


def _test(body: Callable[[Case], None], kinds: tuple[str, ...], without: tuple[str, ...]) -> Any:
    """A Hypothesis test that replays the failure it was fed, and shrinks it."""
    return settings(
        database=InMemoryExampleDatabase(),
        phases=[Phase.reuse, Phase.shrink],
        deadline=None,
        derandomize=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )(given(_cases(kinds, without))(lambda case: body(case)))


def _bytes(run_seed: int, number: int) -> bytes:
    """More than a draw uses."""
    return np.random.PCG64([run_seed, number]).random_raw(64).astype("<u8").tobytes()


_drawn: list[Case] = []


@cache
def _drawing(kinds: tuple[str, ...], without: tuple[str, ...]) -> Any:
    return _test(_drawn.append, kinds, without)
