"""Draw and shrink cases with Hypothesis.

Every case is drawn from its own bytes, which follow from the run's seed and the case's number.
Hypothesis's own generation is not used: it takes constants from the modules that are loaded and
mutates earlier examples, so that cases would depend on the process and often repeat.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir, storage_directory
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.strategies import DrawFn, SearchStrategy

from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case
from parity_tests.cases.features import MAX_GAIN_UNBOUNDED, restricted
from parity_tests.cases.fields import CALLS, FIELD, FIELDS, GAINS, NONFINITE, option_values
from parity_tests.cases.layers import KINDS, LAYERS

MAX_STEPS = 300
MAX_HIDDEN = 128
MAX_BATCH = 32
MAX_AREA = 3 * 2**13
"""The limit of B * T * max(D, H), summed over all cells, so that no case takes very long."""
MAX_INTEGER = 6
"""The limit of every size of a case of integers: larger cases would round."""
SHARES = {"TimeRNN": 7, "RNN": 1, "nn.RNN": 7, "nn.RNNCell": 1}
"""How often each layer is drawn."""


# Hypothesis validates a strategy at its first draw, so each is made only once.
_integers = cache(st.integers)
_one_of = cache(st.sampled_from)
_BOOLEANS = st.booleans()


@cache
@st.composite
def _log_uniform(draw: DrawFn, most: int) -> int:
    """1 to ``most``, each octave with the same probability; shrinks towards 1."""
    octave = draw(_integers(0, (most - 1).bit_length()))
    lowest, highest = 2**octave // 2 + 1, min(most, 2**octave)
    # The position in the octave is drawn, not the number: so each draw can shrink without the other.
    # One in eight is the end of the octave, a power of two, where fast paths begin.
    return min(highest, lowest + draw(_integers(0, 255)) * (highest - lowest + 1) // 224)


@cache
@st.composite
def _cases(draw: DrawFn, kinds: tuple[str, ...], without: tuple[str, ...]) -> Case:
    """Hypothesis simplifies earlier draws first, so the number of calls is drawn before the sizes.

    Every option is drawn, even if the layer does not have it: a simpler case must not need more draws.
    """
    kind = draw(_one_of(tuple(kind for kind in kinds for _ in range(SHARES[kind]))))
    square, as_long = draw(_rarely(8)), draw(_rarely(8))
    has_nonfinite, nonfinite = draw(_rarely(16)), draw(_one_of(NONFINITE))
    case = _repaired(kind, _drawn_options(draw, kind))
    if has_nonfinite:
        case = _with_nonfinite(case, nonfinite)
    sizes = _drawn_sizes(draw, case, square, as_long)
    return restricted(replace(case, **sizes, seed=draw(_integers(0, 2**20 - 1))), without)


def _drawn_options(draw: DrawFn, kind: str) -> dict[str, Any]:
    """Every option, whether the layer has it or not."""
    options: dict[str, Any] = {"calls": draw(_one_of(CALLS)), "integer": draw(_rarely(8))}
    options["layers"] = draw(_one_of(FIELD["layers"].values))
    for name in ("bidirectional", "relu", "batch_first", "eval"):
        options[name] = draw(_BOOLEANS)
    options["nonlinearity"] = "relu" if options.pop("relu") else "tanh"
    for name in ("dropout", "grad_outputs", "form", "lengths", "layout", "upstream", "dtype"):
        options[name] = draw(_one_of(FIELD[name].values))
    biases = ("flat", "flat", "flat", "nobias") if LAYERS[kind].has_torch_interface else ("flat", "row")
    options |= {"bias": draw(_one_of(biases)), "gain": draw(_one_of(GAINS)), "h0": draw(_BOOLEANS)}
    return options


def _repaired(kind: str, options: dict[str, Any]) -> Case:
    """The nearest valid case, with sizes that are small but suit every option."""
    if options["calls"] not in FIELD["calls"].allowed(kind):
        options["calls"] = CALLS[CALLS.index(options["calls"]) % 2]
    options = {name: FIELD[name].fitted(value, kind) for name, value in options.items()}
    is_relu = options["nonlinearity"] == "relu"
    if not is_relu or options["bias"] != "flat":
        options["integer"] = False
    if options["integer"]:
        options["gain"] = 1.0
        options["dropout"] = options["dropout"] if options["dropout"] == 0.5 else 0.0
    elif is_relu:
        options["gain"] = min(options["gain"], MAX_GAIN_UNBOUNDED)
    if options["form"] == "unbatched":
        options["lengths"] = "full"
    if options["grad_outputs"] == "final":
        options["upstream"] = "dense"
    if options["layers"] == 1:
        options["dropout"] = 0.0
    if options["dropout"] == 0:
        options["eval"] = False
    return Case(layer=kind, B=1, T=FIELD["T"].fitted(3, kind), D=2, H=2, **options)


def _with_nonfinite(case: Case, nonfinite: str) -> Case:
    """The case with the value there; if it may not be, in the padding; or else the case unchanged."""
    for choice in (nonfinite, f"{nonfinite[:4]}pad"):
        with contextlib.suppress(ValueError):
            return replace(case, nonfinite=choice, h0=case.h0 or choice.endswith("h0"))
    return case


def _drawn_sizes(draw: DrawFn, case: Case, square: bool, as_long: bool) -> dict[str, Any]:
    """B, T, D and H.

    Args:
        draw: draws from a strategy.
        case: with all other fields.
        square: whether D = H.
        as_long: whether B = T, if B may be as large.
    """
    hidden, steps, rows = MAX_HIDDEN, MAX_STEPS // case.num_cells, MAX_BATCH
    if case.form == "unbatched":
        rows = 1
    if case.integer:
        hidden, steps, rows = (min(most, MAX_INTEGER) for most in (hidden, steps, rows))
    H, D = draw(_log_uniform(hidden)), draw(_log_uniform(hidden))
    D = H if square else D
    if case.nonfinite != "none" and not case.nonfinite.endswith("pad"):
        D, H = max(D, 2), max(H, 2)
    area = max(1, MAX_AREA // (case.num_cells * max(D, H)))
    T = FIELD["T"].fitted(max(draw(_log_uniform(min(steps, area))), case.chunks), case.layer)
    rows = min(rows, area // T)
    B = draw(_log_uniform(rows))
    return {"B": T if as_long and rows >= T else B, "T": T, "D": D, "H": H}


@cache
def _rarely(times: int) -> SearchStrategy[bool]:
    """True once in ``times`` draws; shrinks to False."""
    return st.integers(0, times - 1).map(lambda number: number == times - 1)


def cases_with_options(
    kinds: tuple[str, ...], without: tuple[str, ...] = (), covered: Collection[tuple[str, Any]] = ()
) -> list[Case]:
    """Return small cases that have, together, every value of every option that a drawn case may have.

    Args:
        kinds: the layers that the run judges.
        without: features that the run's cases do not have.
        covered: names and values of options that are not needed.
    """
    result, seen = [], {*covered}
    for case in _one_option_each(kinds):
        case = restricted(case, without)
        if not option_values(case) <= seen:
            seen |= option_values(case)
            result.append(case)
    return result


def _one_option_each(kinds: tuple[str, ...]) -> Iterator[Case]:
    usual: dict[str, Any] = {row.name: row.default for row in FIELDS if row.values}
    del usual["layer"], usual["nonfinite"]
    # Two layers with dropout have the most options, relu alone has whole numbers.
    usual |= {"layers": 2, "dropout": 0.5}
    for kind in kinds:
        for name in usual:
            for value in FIELD[name].drawn(kind):
                nonlinearity = "relu" if name == "integer" else "tanh"
                yield _small(kind, {**usual, "nonlinearity": nonlinearity, name: value})
        for value in NONFINITE:
            for lengths in ("full", "unsorted"):
                one_layer = _small(kind, {**usual, "layers": 1, "lengths": lengths})
                yield _with_nonfinite(one_layer, value)


def _small(kind: str, options: dict[str, Any]) -> Case:
    case = _repaired(kind, options)
    return replace(case, B=1 if case.form == "unbatched" else 3, H=3)


def draw_case(
    run_seed: int, number: int, kinds: tuple[str, ...] = KINDS, without: tuple[str, ...] = ()
) -> Case:
    """Return case ``number`` of the run with this seed over these kinds, without these features; it
    depends on nothing else."""
    return _case_of_bytes(kinds, without)(_bytes(run_seed, number))


def shrink(
    run_seed: int,
    number: int,
    fails: Callable[[Case], bool],
    deadline: float,
    kinds: tuple[str, ...] = KINDS,
    without: tuple[str, ...] = (),
) -> Case:
    """Shrink a failing case; return the smallest failing case that Hypothesis finds.

    Args:
        run_seed: the seed of the run.
        number: the number of the case to start from; it must fail.
        fails: returns whether a case fails in the same way.
        deadline: a time of ``time.monotonic()``; after it no further case is tried.
        kinds: the layers that the run judges.
        without: features that the run's cases do not have.
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
        with contextlib.suppress(_Failing), _no_files():
            run()
    return failing[-1]


@contextlib.contextmanager
def _no_files() -> Iterator[None]:
    """Keep Hypothesis from writing into the current folder, where it keeps what it reads in modules there."""
    kept: Any = storage_directory("any", intent_to_write=False)
    before = getattr(kept, "path", kept).parent
    set_hypothesis_home_dir(f"{os.devnull}/none")
    try:
        yield
    finally:
        set_hypothesis_home_dir(before)


class _Failing(Exception):
    """Tells Hypothesis that a case fails."""


def _test(body: Callable[[Case], None], kinds: tuple[str, ...], without: tuple[str, ...]) -> Any:
    """A Hypothesis test that replays a failure from bytes and shrinks it."""
    return settings(
        database=InMemoryExampleDatabase(),
        phases=[Phase.reuse, Phase.shrink],
        deadline=None,
        derandomize=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )(given(_cases(kinds, without))(lambda case: body(case)))


def _bytes(run_seed: int, number: int) -> bytes:
    """The bytes of a case; a draw uses fewer."""
    return np.random.PCG64([run_seed, number]).random_raw(64).astype("<u8").tobytes()


@cache
def _case_of_bytes(kinds: tuple[str, ...], without: tuple[str, ...]) -> Callable[[bytes], Case]:
    drawn: list[Case] = []
    test = _test(drawn.append, kinds, without)

    def draw(buffer: bytes) -> Case:
        drawn.clear()
        test.hypothesis.fuzz_one_input(buffer)
        (case,) = drawn
        return case

    return draw
