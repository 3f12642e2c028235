"""How close is close: the allowance, the comparison, and the rounding they rest on."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import pytest

from parity_tests.cases.arrays import Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.checks.values import allowances_of
from parity_tests.references.float64_loop import Loop, Spread
from parity_tests.references.perturbed_loop import PerturbedLoop
from parity_tests.references.rounding import PERTURBED, RUNS, RoundingNoise, SumBounds, unit_roundoff
from parity_tests.references.tolerance import (
    ALONE,
    ELEMENT_SPREADS,
    MAX_RELATIVE_SPREAD,
    SLICE_SPREADS,
    Allowance,
    allowance,
    compare,
)
from parity_tests.report import Finding, Report, Severity, Tally

U = 2.0**-53
SURE = np.asarray(False)


def spreads(case: Case, calls: Sequence[Call]) -> list[Spread]:
    return PerturbedLoop(case, RoundingNoise(case)).spreads(calls)


def allowance_of(case: Case, spread: Spread, name: str) -> Allowance:
    runs = spread.runs[name]
    return allowance(runs[0], runs, unit_roundoff(case.dtype), 1e-38, spread.unsure[name])


def test_the_allowance_of_a_slice() -> None:
    truth = np.array([[1.0, -4.0], [0.5, 0.25]])
    runs = np.stack([truth, truth + 1e-6, truth * (1 - 1e-6)])
    allowed = allowance(truth, runs, U, 0.0, SURE)
    # The small element of the first slice has its own limit, the others that of their slice.
    assert allowed.allow[0] == pytest.approx([ELEMENT_SPREADS * (1e-6 + U), SLICE_SPREADS * (4e-6 + 4 * U)])
    assert allowed.allow[1] == pytest.approx([SLICE_SPREADS * (1e-6 + 0.5 * U)] * 2)
    assert not allowed.inconclusive.any()
    alone = allowance(truth[:, :1], runs[..., :1], U, 0.0, SURE)
    assert alone.allow[0] == pytest.approx(ALONE * (1e-6 + U))


def test_a_wide_spread_is_inconclusive_and_never_a_pass() -> None:
    truth = np.array([[1.0, 1.0], [1.0, 1.0]])
    runs = np.stack([truth, truth + np.array([[0.9 * MAX_RELATIVE_SPREAD], [1.1 * MAX_RELATIVE_SPREAD]])])
    allowed = allowance(truth, runs, U, 0.0, SURE)
    assert allowed.inconclusive.tolist() == [False, True]
    comparison = compare(truth, truth + 100, allowed)
    assert comparison.inconclusive == 1
    assert comparison.wrong.tolist() == [[True, True], [False, False]]
    nothing_else = Report(1, 1, {"hs": Tally(1, slices=2, inconclusive=2)})
    assert not nothing_else.ok
    assert nothing_else.exit_code == 2


def test_an_exact_zero_is_conclusive() -> None:
    zero = np.zeros((1, 3))
    allowed = allowance(zero, np.zeros((RUNS, 1, 3)), U, 1e-300, SURE)
    assert not allowed.inconclusive.any()
    assert compare(zero, zero, allowed).equal
    assert not compare(zero, zero + 1e-200, allowed).equal


def test_numbers_below_the_smallest_normal_have_a_limit_of_its_size() -> None:
    tiny = float(np.finfo(np.float32).tiny)
    truth = np.full((1, 3), 1e-42)
    allowed = allowance(truth, np.stack([truth, truth, truth + 1e-44]), 2.0**-24, tiny, SURE)
    assert not allowed.inconclusive.any()
    assert compare(truth, np.zeros((1, 3)), allowed).equal
    assert not compare(truth, truth + 100 * tiny, allowed).equal


def test_a_slice_of_zeros_is_inconclusive_if_rounding_may_move_it() -> None:
    zero = np.zeros((1, 3))
    behind_saturated_units, behind_a_kink = (
        allowance(zero, np.stack([zero, zero, zero + size]), U, 0.0, SURE) for size in (1e-19, 1e-3)
    )
    assert not behind_saturated_units.inconclusive.any()
    assert not compare(zero, zero + 1e-15, behind_saturated_units).equal
    assert behind_a_kink.inconclusive.all()


def test_finite_or_not_must_agree() -> None:
    truth = np.array([[np.nan, np.inf, 1.0]])
    allowed = allowance(truth, np.stack([truth, truth]), U, 0.0, SURE)
    assert allowed.allow[0, 2] == pytest.approx(SLICE_SPREADS * U)
    assert compare(truth, np.array([[np.inf, np.nan, 1.0]]), allowed).equal
    for wrong in ([0.0, np.inf, 1.0], [np.nan, 5.0, 1.0], [np.nan, np.inf, np.nan], [np.nan, np.inf, 1.1]):
        comparison = compare(truth, np.array([wrong]), allowed)
        assert comparison.wrong.sum() == 1
    assert compare(truth, np.array([[0.0, np.inf, 1.0]]), allowed).worst == np.finfo(float).max


def test_an_early_step_is_judged_by_its_own_scale() -> None:
    truth = np.array([[[1e-9, 2e-9], [1.0, 2.0]]])
    allowed = allowance(truth, np.stack([truth, truth]), U, 0.0, SURE)
    got = truth.copy()
    got[0, 0, 1] *= 1 + 1e-12
    assert compare(truth, got, allowed).wrong[0].tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_perturbed_runs_spread_by_the_roundoff_and_run_0_does_not(dtype: str) -> None:
    case = Case(B=2, T=6, D=3, H=8, dtype=dtype, h0=True)
    calls = calls_of(case)
    (spread,) = spreads(case, calls)
    u = unit_roundoff(dtype)
    assert u == {"f32": 2.0**-24, "f64": 2.0**-53}[dtype]
    wide = np.finfo(np.float64).eps
    for name, runs in spread.runs.items():
        assert runs.shape[0] == RUNS == PERTURBED + 1
        distance = np.abs(runs[1:] - runs[0]).max(axis=tuple(range(1, runs.ndim)))
        scale = np.abs(runs[0]).max()
        assert (distance > 0.1 * u * scale).all(), name
        assert (distance < 200 * u * scale + wide * scale).all(), name
    assert not np.array_equal(spread.runs["dx"][1], spread.runs["dx"][2])


def test_the_rounding_is_the_same_whenever_it_is_measured() -> None:
    case = Case(B=2, T=6, D=3, H=8)
    first, second = (spreads(case, calls_of(case))[0].runs for _ in "12")
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "token",
    [
        "B3T9D4H6-f32-h0-s1",
        "B2T6D3H5-f64-g1.5-gaps-s2",
        "nn-B4T7D3H5L2-bi-f32-h0-both-unsorted-p0.5-s3",
        "nn-B3T8D4H6-relu-f64-both-s4",
        "nncell-B5D4H6-relu-f32-h0-nobias-s5",
    ],
)
def test_the_fast_loop_has_the_noise_of_the_plain_one(token: str) -> None:
    case = Case.parse(token)
    calls = calls_of(case)
    plain = Loop(case, RoundingNoise(case)).spreads(calls)
    fast = spreads(case, calls)
    for one, other in zip(plain, fast, strict=True):
        for name, runs in one.runs.items():
            assert other.runs[name][0] == pytest.approx(runs[0], rel=1e-13, abs=1e-15), name
            sizes = [np.sqrt(np.mean((each[1:] - each[0]) ** 2)) for each in (runs, other.runs[name])]
            assert 0.6 < sizes[1] / sizes[0] < 1.6, name
            assert np.array_equal(one.unsure[name], other.unsure[name]), name


def test_a_saturated_tanh_is_exact() -> None:
    case = Case(B=2, T=3, D=2, H=4, dtype="f32")
    (call,) = deepcopy(calls_of(case))
    call.xs[0, 1] = [1e20, -3e19]
    (spread,) = spreads(case, (call,))
    assert np.all(np.abs(spread.runs["hs"][:, 0, 1]) == 1)
    assert np.all(spread.runs["dx"][:, 0, 1] == 0)
    dx, dWx = (allowance_of(case, spread, name) for name in ("dx", "dWx"))
    assert not dx.inconclusive.any()
    assert not dWx.inconclusive.any()
    # Past 22 a slope of 1 / cosh(z)^2 is not 0, and as right.
    call.xs[0, 1] = 30 * np.sign(call.xs[0, 1]) / np.abs(call.weights[0].Wx).min()
    (spread,) = spreads(case, (call,))
    assert 0 < np.abs(spread.runs["dx"][1:, 0, 1]).max() < 1e-20
    assert not allowance_of(case, spread, "dx").inconclusive.any()


def test_gradients_beyond_the_working_precision_are_marked() -> None:
    case = Case(B=2, T=3, D=2, H=4, dtype="f32")
    (call,) = deepcopy(calls_of(case))
    assert call.dhs is not None
    call.dhs[0, 1] = 1e37
    (spread,) = spreads(case, (call,))
    # They reach step 1 and what comes before it, of that batch row.
    assert spread.unsure["dx"].tolist() == [[True, True, False], [False, False, False]]
    assert spread.unsure["dh_0"].tolist() == [[True, False]]
    assert spread.unsure["dWh"].all()
    assert not spread.unsure["hs"].any()


def test_a_lost_state_stays_lost_and_takes_its_gradients_along() -> None:
    chaotic = Case(B=1, T=300, D=2, H=12, gain=4.0, dtype="f32")
    (spread,) = spreads(chaotic, calls_of(chaotic))
    lost = spread.unsure["hs"][0].tolist()
    first = lost.index(True)
    assert 10 < first < 290
    assert lost == [False] * first + [True] * (300 - first)
    assert spread.unsure["dx"].all()
    assert spread.unsure["db"].all()
    calm = Case(B=1, T=300, D=2, H=12, gain=0.7, dtype="f32")
    assert not any(unsure.any() for unsure in spreads(calm, calls_of(calm))[0].unsure.values())


def test_relu_near_zero_may_fall_on_either_side() -> None:
    case = Case(layer="nn.RNN", B=1, T=2, D=1, H=3, nonlinearity="relu", dtype="f32")
    (call,) = deepcopy(calls_of(case))
    weights = call.weights[0]
    assert weights.b is not None
    assert weights.b_hh is not None
    far = spreads(case, (call,))[0]
    assert not any(allowance_of(case, far, name).inconclusive.any() for name in far.runs)
    # Of the second step, the first unit alone is within its rounding of 0.
    (tape_state,) = far.runs["hs"][0][:, 0]
    product = call.xs[0, 1] @ weights.Wx + tape_state @ weights.Wh
    weights.b[0] = -product[0] - weights.b_hh[0]
    near = spreads(case, (call,))[0]
    sides = near.runs["dx"][1:, 0, 1, 0] - near.runs["dx"][0, 0, 1, 0]
    assert np.sum(np.abs(sides) > 1e-3) == PERTURBED // 2
    assert allowance_of(case, near, "dx").inconclusive[0, 1]
    # Its output is as near to 0 on one side as on the other.
    assert not allowance_of(case, near, "h_n").inconclusive.any()


def test_whole_numbers_are_compared_bit_for_bit() -> None:
    pytest.importorskip("hypothesis")
    from parity_tests.cases.draw import draw_case

    drawn = [
        case
        for case in (draw_case(1, number, ("nn.RNN", "nn.RNNCell")) for number in range(600))
        if case.integer
    ]
    assert len(drawn) > 10
    for case in drawn:
        calls = calls_of(case)
        magnitudes = SumBounds(case)
        truths = [spread.runs for spread in Loop(case, magnitudes).spreads(calls)]
        assert 0 < magnitudes.largest < 2.0**22, case
        # Multiples of 1/2 that float32 holds: no order of operations rounds.
        for runs in truths:
            for tensor in runs.values():
                assert np.array_equal(2 * tensor, np.round(2 * tensor))
        answers = [{name: tensor[0] for name, tensor in runs.items()} for runs in truths]
        for truth, allowed in zip(answers, allowances_of(case, calls, answers), strict=True):
            for name in truth:
                off = truth[name].copy()
                off.reshape(-1)[-1] += 0.5
                assert compare(truth[name], truth[name], allowed[name]).equal
                assert not compare(truth[name], off, allowed[name]).equal


def test_a_report_keeps_the_smallest_case_of_each_finding() -> None:
    def finding(tensor: str, case: Case) -> Finding:
        return Finding("values", tensor, case, "off")

    report = Report(planned=3)
    for case in map(Case.parse, ("B4T4D4H4-f64-s0", "B1T2D1H1-f64-s0", "B2T2D2H2-f64-s0")):
        part = Report(1, 1, {"hs": Tally(1, 4, 0, 2.0, case)}, [finding("hs", case)], 1)
        assert Report.from_json(part.to_json()) == part
        report.add(Report.from_json(part.to_json()))
    assert [str(f.case) for f in report.findings] == ["B1T2D1H1-f64-s0"]
    assert (report.cases, report.tensors["hs"].slices, report.failed) == (3, 12, 3)
    assert report.exit_code == 1


def test_a_severity_is_plain_text_in_json_and_itself_again_when_read() -> None:
    found = Finding("values", "hs", Case.parse("B1T1D1H1-f64-s0"), "odd", severity=Severity.ADVISORY)
    data = Report(1, 1, findings=[found]).to_json()
    assert data["findings"][0]["severity"] == "unusual"
    # pytest-xdist refuses subclasses of str.
    assert type(data["findings"][0]["severity"]) is str
    assert Report.from_json(data).findings[0].severity is Severity.ADVISORY


def test_what_was_not_obtained_is_no_pass() -> None:
    good = {"hs": Tally(1, 4, 0, 0.1, Case.parse("B1T1D1H1-f64-s0"))}
    assert Report(1, 1, good).ok
    assert Report(2, 1, good).not_judged == ["1 of 2 cases were not compared"]
    assert Report(1, 1, {}).not_judged == ["no tensor was compared"]
    assert Report(1, 1, good, errors=["the references differ"]).exit_code == 2
    unusual = Finding("values", "hs", Case.parse("B1T1D1H1-f64-s0"), "odd", severity=Severity.ADVISORY)
    assert Report(1, 1, good, [unusual]).ok
