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

from parity_tests._case import CALLS, GAINS, LAYOUTS, PLANTS, UPSTREAMS, Case

MAX_STEPS = 300
MAX_HIDDEN = 128
MAX_BATCH = 32
MAX_AREA = 3 * 2**13
"""Of B * T * max(D, H), so that no case takes the time of a hundred others."""


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


@st.composite
def _cases(draw: DrawFn) -> Case:
    """What is drawn first is made simple first when a case is shrunk: one call before small sizes.

    Everything is drawn, used or not: a case that grows simpler must not need more draws.
    """
    cell, square, as_long = (draw(_rarely(8)) for _ in range(3))
    planted, plant = draw(_rarely(16)), draw(_one_of(PLANTS))
    plant = plant if planted else "none"
    calls = draw(_one_of(CALLS))
    if plant != "none" or (cell and calls not in CALLS[:2]):
        calls = "once"
    layout = draw(_one_of(LAYOUTS))
    upstream = draw(_one_of(UPSTREAMS))
    dtype = draw(_one_of(("f64", "f32")))
    bias = draw(_one_of(("flat", "row")))
    gain = draw(_one_of(GAINS))
    h0 = draw(_BOOLEANS) or cell or plant.endswith("h0")
    H, D = draw(_log_uniform(MAX_HIDDEN)), draw(_log_uniform(MAX_HIDDEN))
    D = H if square else D
    if plant != "none":
        D, H = max(D, 2), max(H, 2)
    T = draw(_log_uniform(min(MAX_STEPS, MAX_AREA // max(D, H))))
    T = 1 if cell else max(T, int(calls[-1])) if calls.startswith("chunks") else T
    most = min(MAX_BATCH, MAX_AREA // (T * max(D, H)))
    B = draw(_log_uniform(most))
    B = T if as_long and most >= T else B
    return Case(
        layer="cell" if cell else "time",
        B=B,
        T=T,
        D=D,
        H=H,
        dtype=dtype,
        gain=gain,
        h0=h0,
        upstream="dense" if cell else upstream,
        layout=layout,
        calls=calls,
        bias=bias,
        plant=plant,
        seed=draw(_whole(0, 2**20 - 1)),
    )


@cache
def _rarely(times: int) -> SearchStrategy[bool]:
    """True once in so many draws; shrinks to False."""
    return st.integers(0, times - 1).map(lambda number: number == times - 1)


def draw_case(run_seed: int, number: int) -> Case:
    """Return case ``number`` of the run with this seed; it depends on nothing else."""
    _drawn.clear()
    _drawing.hypothesis.fuzz_one_input(_bytes(run_seed, number))
    (case,) = _drawn
    return case


def shrink(run_seed: int, number: int, fails: Callable[[Case], bool], deadline: float) -> Case:
    """Return the smallest failing case that Hypothesis comes to from a failing one.

    Args:
        run_seed: the seed of the run.
        number: of the case to start from, of which ``fails`` is true.
        fails: whether a case shows the failure.
        deadline: of ``time.monotonic()``; later, no further case is tried.
    """
    start = draw_case(run_seed, number)
    known = {start: True}
    failing = [start]

    def check(case: Case) -> None:
        if case not in known and time.monotonic() < deadline:
            known[case] = fails(case)
        if known.get(case, False):
            failing.append(case)
            raise _Failing

    test = _test(check)
    for run in (lambda: test.hypothesis.fuzz_one_input(_bytes(run_seed, number)), test):
        with contextlib.suppress(_Failing):
            run()
    return failing[-1]


class _Failing(Exception):
    """Tells Hypothesis that a case shows the failure."""


def _test(body: Callable[[Case], None]) -> Any:
    """A Hypothesis test that replays the failure it was fed, and shrinks it."""
    return settings(
        database=InMemoryExampleDatabase(),
        phases=[Phase.reuse, Phase.shrink],
        deadline=None,
        derandomize=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )(given(_cases())(lambda case: body(case)))


def _bytes(run_seed: int, number: int) -> bytes:
    """More than a draw uses."""
    return np.random.PCG64([run_seed, number]).random_raw(64).astype("<u8").tobytes()


_drawn: list[Case] = []
_drawing = _test(_drawn.append)
