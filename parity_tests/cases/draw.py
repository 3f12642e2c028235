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
from parity_tests.cases.fields import CALLS, FIELD, FIELDS, GAINS, NONFINITE, VALUES, option_values
from parity_tests.cases.layers import KINDS, LAYERS

MAX_STEPS = 300
MAX_HIDDEN = 128
MAX_BATCH = 32
MAX_AREA = 5 * 2**12
"""The limit of B * T * max(D, H), summed over all cells, so that no case takes very long."""
LARGE = {"B": (33, 512), "T": (301, 2000), "D": (129, 1024), "H": (129, 1024)}
"""The sizes of cases in which one of them is large."""
TOGETHER = {"B": (16, 24), "T": (80, 112), "H": (52, 80)}
"""The sizes of cases in which three are large together."""
EVERY = 250
LARGE_NUMBERS = {7: "together", 57: "B", 107: "T", 157: "D", 207: "H"}
"""Which case of every 250 has which large size."""
MAX_INTEGER = 6
"""The limit of every size of a case of integers: larger cases would round."""
SHARES = {"TimeRNN": 7, "RNN": 1, "nn.RNN": 7, "nn.RNNCell": 1}
"""How often each layer is drawn."""
VALUES_SHARES = {"usual": 20, "huge": 3}
"""How often values of each kind are drawn, if not once."""
CHAOTIC = (3.0, 4.0)
"""Scales at which rounding soon decides everything. They are drawn a third as often as others."""
CHAOTIC_STEPS = {"f32": 8, "f64": 24}
"""The most steps of a chaotic case, and of one in float64 or with states that grow without a bound."""


GAINS_DRAWN = tuple(gain for gain in GAINS for _ in range(1 if gain in CHAOTIC else 3))
NONFINITE_DRAWN = (*NONFINITE[1:], *("nan@pad", "inf@pad") * 3)
"""Those in the padding more often, for few cases have one."""
VALUES_DRAWN = tuple(value for value in VALUES for _ in range(VALUES_SHARES.get(value, 1)))

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
def _cases(draw: DrawFn, kinds: tuple[str, ...], without: tuple[str, ...], large: str) -> Case:
    """Cases of these layers without these features, with a ``large`` size of ``LARGE`` if one is named.

    Hypothesis simplifies earlier draws first, so the number of calls is drawn before the sizes.

    Every option is drawn, even if the layer does not have it: a simpler case must not need more draws.
    """
    if large in ("T", "together"):
        kinds = tuple(kind for kind in kinds if not LAYERS[kind].is_cell)
    kind = draw(_one_of(tuple(kind for kind in kinds for _ in range(SHARES[kind]))))
    square, as_long = draw(_rarely(8)), draw(_rarely(8))
    has_nonfinite, nonfinite = draw(_rarely(9)), draw(_one_of(NONFINITE_DRAWN))
    case = _repaired(kind, _drawn_options(draw, kind))
    if has_nonfinite:
        case = _with_nonfinite(case, nonfinite)
    if large:
        case = _of_one_cell(case, large)
    sizes = _large_sizes(draw, case, large) if large else _drawn_sizes(draw, case, square, as_long)
    return restricted(replace(case, **sizes, seed=draw(_integers(0, 2**20 - 1))), without)


def _drawn_options(draw: DrawFn, kind: str) -> dict[str, Any]:
    """Every option, whether the layer has it or not."""
    options: dict[str, Any] = {"calls": draw(_one_of(CALLS)), "integer": draw(_rarely(3))}
    options["layers"] = draw(_one_of(FIELD["layers"].values))
    for name in ("bidirectional", "relu", "batch_first", "eval"):
        options[name] = draw(_BOOLEANS)
    options["nonlinearity"] = "relu" if options.pop("relu") else "tanh"
    for name in ("dropout", "grad_outputs", "form", "lengths", "layout", "upstream", "dtype"):
        options[name] = draw(_one_of(FIELD[name].values))
    options["values"] = draw(_one_of(VALUES_DRAWN))
    biases = ("flat", "flat", "flat", "nobias") if LAYERS[kind].has_torch_interface else ("flat", "row")
    options |= {"bias": draw(_one_of(biases)), "gain": draw(_one_of(GAINS_DRAWN)), "h0": draw(_BOOLEANS)}
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
        options["gain"], options["values"] = 1.0, "usual"
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
    """The case with the value there, and what that needs; or with none, where its layer has no such place."""
    kind, place = case.layer, nonfinite.partition("@")[2]
    if nonfinite not in FIELD["nonfinite"].drawn(kind):
        return case
    changes: dict[str, Any] = {"values": "usual", "calls": "once", "integer": False}
    if place == "pad":
        changes |= {"form": "batched"} | ({"lengths": "unsorted"} if case.lengths == "full" else {})
    else:
        # A layer may multiply what it has in the padding by 0, and 0 * NaN is NaN.
        changes |= {"lengths": "full", "dropout": 0.0, "eval": False}
        changes |= {"nonlinearity": "tanh", "h0": case.h0 or place == "h0"}
    if place == "dhs" and case.grad_outputs == "final":
        changes["grad_outputs"] = "both"
    with contextlib.suppress(ValueError):
        return replace(case, nonfinite=nonfinite, **changes)
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
    if case.gain in CHAOTIC:
        steps = min(steps, max(case.chunks, CHAOTIC_STEPS[case.dtype]))
    elif case.is_unbounded and case.gain == MAX_GAIN_UNBOUNDED:
        steps = min(steps, max(case.chunks, CHAOTIC_STEPS["f64"]))
    T = FIELD["T"].fitted(max(draw(_log_uniform(min(steps, area))), case.chunks), case.layer)
    rows = min(rows, area // T)
    B = draw(_log_uniform(rows))
    return {"B": T if as_long and rows >= T else B, "T": T, "D": D, "H": H}


def _of_one_cell(case: Case, large: str) -> Case:
    """The case with one layer in one direction, and a gain at which rounding stays small over many steps."""
    # Of a sequence that is cut, each call has few steps.
    whole = case.nonfinite != "none" or case.loss != "none" or case.chunks > 1
    calls = "once" if whole else case.calls
    changes: dict[str, Any] = {"layers": 1, "bidirectional": False, "dropout": 0.0, "eval": False}
    changes |= {"integer": False, "gain": min(case.gain, 1.0), "calls": calls}
    if large in ("B", "together") and case.form == "unbatched":
        changes["form"] = "batched"
    return replace(case, **changes)


def _large_sizes(draw: DrawFn, case: Case, large: str) -> dict[str, Any]:
    """B, T, D and H of which one is large, or B, T and H together."""
    sizes = {"B": draw(_log_uniform(4)), "T": draw(_log_uniform(8)), "D": draw(_log_uniform(8))}
    sizes |= {"H": draw(_log_uniform(8))}
    if large == "together":
        sizes |= {name: least + draw(_integers(0, most - least)) for name, (least, most) in TOGETHER.items()}
    elif large in sizes:
        least, most = LARGE[large]
        sizes[large] = least + draw(_integers(0, most - least))
    if case.nonfinite != "none":
        sizes |= {name: max(sizes[name], 2) for name in ("D", "H")}
    sizes["T"] = FIELD["T"].fitted(max(sizes["T"], case.chunks), case.layer)
    return sizes | ({"B": 1} if case.form == "unbatched" else {})


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
    return _case_of_bytes(kinds, without, _large_of(number, kinds, without))(_bytes(run_seed, number))


def _large_of(number: int, kinds: tuple[str, ...], without: tuple[str, ...]) -> str:
    """Which size of a case is large, a name of ``LARGE`` or ``"together"``; or ``""``."""
    large = LARGE_NUMBERS.get(number % EVERY, "")
    has_steps = any(not LAYERS[kind].is_cell for kind in kinds)
    impossible = (large in ("T", "together") and not has_steps) or (
        large in ("B", "together") and "batch" in without
    )
    return "" if impossible else large


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

    test = _test(check, kinds, without, _large_of(number, kinds, without))
    for run in (lambda: test.hypothesis.fuzz_one_input(_bytes(run_seed, number)), test):
        with contextlib.suppress(_Failing), _no_files():
            run()
    if not _large_of(number, kinds, without):
        return failing[-1]
    return _smaller(failing[-1], check, without)


def _smaller(case: Case, check: Callable[[Case], None], without: tuple[str, ...]) -> Case:
    """The case with every size as small, and every option as usual, as it may be and still fail.

    Of a case with a large size: Hypothesis makes that as small as is drawn, and no smaller.
    """

    def failing(**changes: Any) -> Case | None:
        try:
            other = restricted(replace(case, **changes), without)
            check(other)
        except _Failing:
            return other
        except ValueError:  # the options do not go together
            pass
        return None

    before = None
    while case != before:
        before = case
        for row in FIELDS[1:]:
            least, most = row.least, getattr(case, row.name)
            if row.values:
                case = failing(**{row.name: row.allowed(case.layer)[0]}) or case
                continue
            while row.size and least < most:
                middle = (least + most) // 2
                found = failing(**{row.name: middle})
                least, most, case = (least, middle, found) if found else (middle + 1, most, case)
    return case


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


def _test(body: Callable[[Case], None], kinds: tuple[str, ...], without: tuple[str, ...], large: str) -> Any:
    """A Hypothesis test that replays a failure from bytes and shrinks it."""
    return settings(
        database=InMemoryExampleDatabase(),
        phases=[Phase.reuse, Phase.shrink],
        deadline=None,
        derandomize=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )(given(_cases(kinds, without, large))(lambda case: body(case)))


def _bytes(run_seed: int, number: int) -> bytes:
    """The bytes of a case; a draw uses fewer."""
    return np.random.PCG64([run_seed, number]).random_raw(64).astype("<u8").tobytes()


@cache
def _case_of_bytes(kinds: tuple[str, ...], without: tuple[str, ...], large: str) -> Callable[[bytes], Case]:
    drawn: list[Case] = []
    test = _test(drawn.append, kinds, without, large)

    def draw(buffer: bytes) -> Case:
        drawn.clear()
        test.hypothesis.fuzz_one_input(buffer)
        (case,) = drawn
        return case

    return draw
