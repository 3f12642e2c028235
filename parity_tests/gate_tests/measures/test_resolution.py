"""The smallest error that is caught is the one that really is."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch gives the true answers")
pytest.importorskip("hypothesis", reason="Hypothesis draws cases")

import rnn_np
from parity_tests.cases.case import Case
from parity_tests.checks.values import Compared, comparisons
from parity_tests.references.tolerance import compare
from parity_tests.selftest.measures import resolution
from parity_tests.selftest.measures.measurement import prepared
from parity_tests.selftest.measures.resolution import (
    Smallest,
    caught,
    injectable,
    measured,
    smallest,
    smallest_errors,
    tables,
)
from parity_tests.subjects.drivers import run_case

TOKENS = (
    "B3T9D4H6-f32-h0-s1",
    "B2T6D3H5-f64-g1.5-gaps-again-s2",
    "nn-B4T7D3H5L2-bi-f32-h0-both-unsorted-p0.5-s3",
    "cell-B3D4H5-f64-s4",
    "B2T5D3H4-f32-last-huge-s5",
)


def compared(token: str) -> list[Compared]:
    case = Case.parse(token)
    of = prepared(case)
    return list(comparisons(run_case(rnn_np, case), of.truths, of.allowances))


@pytest.mark.parametrize("token", TOKENS)
def test_an_injected_error_is_caught_above_the_smallest_and_not_below(token: str) -> None:
    rng = np.random.default_rng(0)
    tried = 0
    for each in compared(token):
        errors = smallest_errors(each)
        assert each.got is not None
        got = each.got.astype(np.float64)
        some = np.argwhere(np.isfinite(errors) & injectable(each))
        if not len(some):
            continue
        tried += 1
        element = tuple(rng.choice(some))
        for place, least in ((..., errors[injectable(each)].min()), (element, errors[element])):
            for share, is_caught in ((1.05, True), (0.95, False)):
                wrong = got.copy()
                wrong[place] += share * least * got[place]  # 1 + e would be rounded first
                assert compare(each.want, wrong, each.allowed).equal is not is_caught, (
                    each.tensor,
                    place,
                    share,
                )
    assert tried >= 4


def test_a_case_says_of_each_tensor_what_its_comparisons_say() -> None:
    case = Case.parse(TOKENS[2])
    found = {each.tensor: each for each in smallest(case)}
    weights = [each for each in compared(TOKENS[2]) if each.tensor.startswith("dweight_ih_l")]
    assert len(weights) == 4
    own = found["dweight_ih"]
    assert own.whole == min(smallest_errors(each)[injectable(each)].min() for each in weights)
    assert own.whole <= own.one < math.inf
    assert own.slices == sum(each.want[..., 0].size for each in weights)
    assert smallest(case) == smallest(case)
    # The padding is 0: no relative error changes it.
    (hs,) = (each for each in compared(TOKENS[2]) if each.tensor == "hs")
    assert hs.got is not None
    assert np.array_equal(injectable(hs), hs.got != 0)
    assert not injectable(hs).all()


def test_where_nothing_concludes_no_error_is_caught() -> None:
    (each, *_) = compared(TOKENS[0])
    assert np.isfinite(smallest_errors(each)).all()
    each.allowed.inconclusive[0] = True
    assert np.isinf(smallest_errors(each))[0].all()
    assert np.isfinite(smallest_errors(each))[1:].all()


def test_the_shares_are_of_the_cases_in_which_an_error_was_injected() -> None:
    hundred = [1e-6 * number for number in range(1, 101)]
    assert caught(hundred) == "1.0e-6 / 5.0e-5 / 9.5e-5"
    assert caught([*hundred[:94], *([math.inf] * 6)]) == "1.0e-6 / 5.0e-5 / never"
    assert caught([]) == ""
    rows = [Smallest(f"case {n}", "f32", "hs", error, error, 10, n) for n, error in enumerate(hundred[:10])]
    rows += [Smallest("zeros", "f32", "hs", math.inf, math.nan, 10, 10)]
    text = tables(rows)
    assert "| `hs` |  |  | 1.0e-6 / 5.0e-6 / 1.0e-5 | 1.0e-6 / 5.0e-6 / 1.0e-5 |" in text
    assert "| `hs` | 0.00 % | 0 of 0 | 50.00 % | 1 of 11 |" in text
    assert text.endswith("Of 11 cases 1 is inconclusive throughout.")


def test_the_command_measures_a_list_and_leaves_whole_numbers_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("B1T2D1H2-f32-s0\nnn-B1T2D2H3-relu-f32-int-s0\n", "ascii")
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(resolution, "write_block", lambda *block: written.append(block))
    resolution.main(["--list", str(file), "--write"])
    output = capsys.readouterr().out
    assert "the cases of mine.txt, the 1 of 2 that are not of whole numbers:" in output
    assert "`dWh`" in output
    assert "dweight_hh" not in output
    assert written == [("resolution", output.rstrip("\n"))]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (None, [], "cannot be read"),
        ("", [], "has no case"),
        ("B1T1D1H1-f64-s0 B0", [], "token 2 of .*: expected a token"),
        ("B1T1D1H1-f64-s0", ["--workers", "0"], "workers: expected a whole number of at least 1, got '0'"),
        (
            "B1T1D1H1-f64-s0",
            ["--workers", "two"],
            "workers: expected a whole number of at least 1, got 'two'",
        ),
    ],
)
def test_a_bad_option_is_refused(
    text: str | None, arguments: list[str], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "cases.txt"
    if text is not None:
        file.write_text(text, "ascii")
    with pytest.raises(SystemExit, match=f"resolution: .*{message}"):
        resolution.main(["--list", str(file), *arguments])


@pytest.mark.proof
def test_two_processes_measure_what_one_does() -> None:
    cases = [Case.parse(token) for token in TOKENS] * 11
    assert measured(cases, workers=2) == measured(cases)
