"""Cases, their tokens, and the arrays that follow from them."""

import hashlib
import re
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.fields import DRAWN
from parity_tests.cases.memory_layouts import LAYOUTS, READ_ONLY, laid_out
from parity_tests.run.options import checked_options
from parity_tests.run.plan import Plan
from parity_tests.run.runner import Run

USUAL: dict[str, Any] = {"B": 3, "T": 4, "D": 2, "H": 5}


def _dhs(call: Call) -> Array:
    assert call.dhs is not None
    return call.dhs


def _cases() -> list[Case]:
    pytest.importorskip("hypothesis")
    from parity_tests.cases.draw import draw_case

    return [draw_case(5, number) for number in range(1500)]


def test_the_token_is_all_of_the_case() -> None:
    cases = _cases()
    assert [Case.parse(str(case)) for case in cases] == cases
    assert len({str(case) for case in cases}) == len(cases)
    assert max(len(str(case)) for case in cases) < 110


@pytest.mark.parametrize(
    ("case", "token"),
    [
        (Case(B=1, T=1, D=1, H=1), "B1T1D1H1-f64-s0"),
        (Case(**USUAL, dtype="f32", gain=0.001, h0=True, seed=7), "B3T4D2H5-f32-g0.001-h0-s7"),
        (Case(**USUAL, upstream="last", layout="fortran", calls="chunks3", bias="row"),
         "B3T4D2H5-f64-last-fortran-chunks3-row-s0"),
        (Case(**USUAL, nonfinite="nan@xs"), "B3T4D2H5-f64-nan@xs-s0"),
        (Case(layer="RNN", B=2, T=1, D=3, H=4, h0=True, calls="again"), "cell-B2D3H4-f64-again-s0"),
    ],
)  # fmt: skip
def test_tokens(case: Case, token: str) -> None:
    assert str(case) == token
    assert Case.parse(token) == case


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "expected a token such as"),
        ("B1T1D1", "expected a token such as"),
        ("B1T1D1H1-f16-s0", "'f16' in 'B1T1D1H1-f16-s0' is not understood"),
        ("B1T1D1H1-s0", "expected the token B1T1D1H1-f64-s0"),
        ("B1T1D1H1-f64-last-f64-s0", "expected the token B1T1D1H1-f64-last-s0"),
        ("B0T1D1H1-f64-s0", "B: expected at least 1, got 0"),
        ("B1T1D1H1-f64-g5-s0", "gain: expected one of"),
        ("B1T2D1H1-f64-chunks3-s0", "chunks3 needs T >= 3"),
        ("B1T2D1H1-f64-nan@h0-s0", "nan@h0 needs an initial state"),
        ("B1T2D1H2-f64-nan@xs-s0", "nan@xs needs D and H of at least 2"),
        ("cell-B1D1H1-f64-last-s0", "a cell has one step"),
        ("B99999T99999D1H1-f64-s0", "expected arrays of at most"),
    ],
)
def test_a_bad_token_is_refused_by_its_part(token: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        Case.parse(token)
    assert message in str(error.value)


def test_a_case_has_the_values_of_the_table_and_whole_numbers_of_python() -> None:
    same: dict[str, Any] = {"layers": np.array(1.0), "h0": 1, "gain": np.float32(1)}
    case = Case(**{name: np.int64(size) for name, size in USUAL.items()} | same)
    assert [type(value) for value in (case.B, case.layers, case.h0, case.gain)] == [int, int, bool, float]
    assert hash(case) == hash(Case.parse("B3T4D2H5-f64-h0-s0"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"B": np.int64(2**40), "T": np.int64(2**24)}, "T: expected at most 100,000"),
        ({"D": np.int64(2**62), "H": np.int64(4)}, "B, T, D, H: expected arrays of at most"),
        ({"H": 2**40, "D": np.int64(4)}, "B, T, D, H: expected arrays of at most"),
        ({"H": 10**5000}, "H: expected less than 9223372036854775808, got a longer number"),
        ({"B": np.timedelta64(1)}, "B: expected a whole number"),
        ({"layer": "x" * 9999}, "(shortened)"),
        ({"layer": np.array(["RNN", "RNN"])}, "layer: expected one of"),
        ({"bias": np.array([1, 2])}, "bias: expected one of"),
    ],
)
def test_a_value_that_is_no_field_is_refused_by_name(changed: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)) as refusal:
        Case(**USUAL | changed)
    assert len(str(refusal.value)) < 300


def test_a_case_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        Case(**USUAL).B = 2  # type: ignore[misc]


def test_arrays_follow_from_the_token_bit_for_bit() -> None:
    # Written down once: another platform or NumPy version must make the same bits.
    digest = hashlib.sha256()
    for token in (
        "B3T4D2H5-f64-h0-s1",
        "B3T4D2H5-f32-g2-gaps-again-s2",
        "B2T6D3H3-f32-g0.001-h0-chunks3-s3",
        "B2T6D3H3-f64-h0-inf@h0-s3",
        "nn-B3T4D2H5L3-bi-f32-h0-both-unsorted-p0.25-s4",
        "nn-B2T3D2H3L2-relu-f32-final-int-s5",
    ):
        for call in calls_of(Case.parse(token)):
            for name, array in call.arrays().items():
                digest.update(f"{name}{array.shape}{array.dtype.name}".encode())
                digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest()[:16] == "a6b13132a68a0934"


def test_arrays_are_ordinary_numbers() -> None:
    (call,) = calls_of(Case(B=20, T=30, D=10, H=200, h0=True))
    for name, scale in (
        ("xs", 1),
        ("dhs", 1),
        ("h_0", 0.5),
        ("Wx0", 10**-0.5),
        ("Wh0", 200**-0.5),
        ("b0", 0.3),
    ):
        array = call.arrays()[name]
        usual = array[(array != 0) & (np.abs(array) < 2 * scale)]
        assert abs(usual.mean()) < 0.3 * scale
        assert 0.7 * scale < usual.std() < 1.2 * scale
        if name in ("Wx0", "Wh0"):
            assert np.unique(array).size > 0.99 * array.size
        else:  # zeros and large numbers among the ordinary ones
            assert 0 < (array == 0).mean() < 0.2
            assert np.abs(array).max() > 4 * scale


def test_chunks_are_the_sequence_in_parts() -> None:
    whole = calls_of(Case(**USUAL, h0=True))[0]
    parts = calls_of(Case(**USUAL, h0=True, calls="chunks3"))
    assert [part.carries for part in parts] == [False, True, True]
    assert np.array_equal(np.concatenate([part.xs for part in parts], axis=1), whole.xs)
    assert np.array_equal(np.concatenate([_dhs(part) for part in parts], axis=1), _dhs(whole))
    assert [part.h_0 is None for part in parts] == [False, True, True]


def test_another_call_has_other_weights() -> None:
    first, second = calls_of(Case(**USUAL, calls="again"))
    assert not np.array_equal(first.Wx, second.Wx)
    assert second.xs.shape == (3, 4, 2)


@pytest.mark.parametrize("upstream", ["last", "gaps"])
def test_upstream_gradients_have_zeros(upstream: str) -> None:
    silent = [not step.any() for step in _dhs(calls_of(Case(B=2, T=40, D=1, H=3, upstream=upstream))[0])[0]]
    assert silent == [True] * 39 + [False] if upstream == "last" else 10 < sum(silent) < 30


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(5,), (3, 4), (3, 4, 5)])
def test_layouts_hold_the_same_values(layout: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    other = laid_out(array, layout)
    assert np.array_equal(array, other)
    assert not np.shares_memory(array, other)
    assert other.flags.writeable == (layout not in READ_ONLY) or layout == "broadcast"
    if layout in ("strided", "negative"):
        assert not other.flags.contiguous
        assert (min(other.strides) < 0) == (layout == "negative")


def test_memory_of_other_kinds() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert not laid_out(array, "unaligned").flags.aligned
    assert not laid_out(array, "mapped").flags.owndata
    constant = laid_out(np.repeat(array[:, :1], 4, axis=1), "broadcast")
    assert constant.strides[-1] == 0
    assert np.array_equal(constant[:, 3], array[:, 0])


def test_the_run_draws_what_it_says() -> None:
    pytest.importorskip("torch")

    def planned(cases: int, seed: int) -> Plan:
        with Run.open(checked_options({"cases": cases, "seed": seed})) as run:
            return run.plan

    plan = planned(120, 3)
    assert [plan.size(batch) for batch in plan.batches] == [50, 50, 20]
    cases = [case for batch in plan.batches for case in plan.cases(batch)]
    assert len(set(cases)) == 120
    # A longer run starts with the same cases; another seed has others.
    longer = planned(500, 3)
    assert longer.cases(1) == plan.cases(1)
    assert not set(planned(120, 4).cases(0)) & set(cases)


def test_the_draw_reaches_every_kind() -> None:
    cases = _cases()
    for name, choices in DRAWN.items():
        assert {getattr(case, name) for case in cases} == set(choices), name
    for name in ("B", "T", "D", "H"):
        assert sum(getattr(case, name) == 1 for case in cases) > 40
    assert max(case.T for case in cases) > 200
    assert max(case.H for case in cases) > 100
    assert any(case.D == case.H > 4 for case in cases)
    assert any(case.B == case.T > 4 for case in cases)


def test_the_arrays_of_a_case_are_made_once_and_cannot_be_changed() -> None:
    case = Case(**USUAL, h0=True, calls="chunks2")
    assert calls_of(case) is calls_of(Case.parse(str(case)))
    for call in calls_of(case):
        for array in call.arrays().values():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
