"""A campaign accuses wrong layers alone, goes on where it ended, and takes the same memory for any number of cases."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch gives the true answers")
pytest.importorskip("hypothesis", reason="Hypothesis draws cases")

from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.checks.values import ReferencesDisagree
from parity_tests.gate_tests.wrong import WRONG
from parity_tests.report import SystematicError
from parity_tests.selftest.measures import campaign
from parity_tests.selftest.measures.campaign import Task, chosen, tables, tried
from parity_tests.selftest.measures.histogram import HIGHEST, LOWEST, Histogram, merged
from parity_tests.selftest.measures.tried import Tried


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = campaign.main(["--seed", "3", *arguments])
    return status, capsys.readouterr().out


def test_a_campaign_goes_on_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = ("--variant", "rnn_np", "--variant", "loop")
    status, at_once = run(*two, "--cases", "12", capsys=capsys)
    assert status == 0
    assert "12 cases of seed 3" in at_once
    assert "None was accused." in " ".join(at_once.split())
    keep = ("--keep", str(tmp_path / "kept.json"))
    assert run(*two, *keep, "--cases", "5", capsys=capsys)[0] == 0
    status, in_two = run(*two, *keep, "--cases", "12", capsys=capsys)
    assert status == 0
    assert in_two == at_once
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    with pytest.raises(SystemExit, match=r"campaign: keep: .* is of seed 3 and of rnn_np, loop"):
        campaign.main([*keep, "--variant", "loop"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("carry dropped", "error over allowed"),
        ("raises", "raises"),
        ("time-major out", "hs has shape"),
        ("float32 gradient", ": error over allowed"),
        ("upstream written to", "inputs untouched"),
    ],
)
def test_a_wrong_layer_is_accused(
    wrong: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(campaign.VARIANTS, "loop", WRONG[wrong][0])
    status, output = run("--variant", "loop", "--cases", "4", capsys=capsys)
    assert status == 1
    accused = [line for line in output.splitlines() if line.startswith("ACCUSED: loop in ")]
    assert said in accused[0]
    assert f". {len(accused)} accusations." in " ".join(output.split())


def test_a_systematic_error_is_accused_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Tried(cases=Counter(loop=40, einsum=40))
    for name, units in (("loop", 3.0), ("einsum", -0.3)):
        for seed in range(40):
            case = Case(B=1, T=1, D=1, H=1, dtype="f32", seed=seed)
            error = SystematicError.of_case(units * (1 + seed), 1.0 + seed, case)
            found.systematic.setdefault((name, "dx"), SystematicError()).add(error)
    assert found.means("loop") == {"dx": pytest.approx(3.0)}
    (fault,) = found.systematic_faults()
    assert fault.startswith("ACCUSED: loop: systematic error of dx: ")
    monkeypatch.setattr(campaign, "tried", lambda task, numbers: found)
    status, output = run("--variant", "loop", "--cases", "1", capsys=capsys)
    assert status == 1
    assert output.startswith(fault)
    assert "1 accusations" in output


def test_a_case_in_which_the_references_disagree_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def disagree(case: object) -> None:
        raise ReferencesDisagree(f"{case}: two references differ")

    monkeypatch.setattr(campaign, "prepared", disagree)
    status, output = run("--cases", "1", capsys=capsys)
    assert status == 2
    assert output.startswith("NOT JUDGED: ")
    assert "in 1 cases the references disagreed" in " ".join(output.split())


def test_what_is_kept_does_not_grow_with_the_cases() -> None:
    found = tried(Task(0, ("rnn_np",)), range(6))
    assert Tried.from_json(json.loads(json.dumps(found.to_json()))) == found
    twice = tried(Task(0, ("rnn_np",)), range(6))
    twice.merge(found)
    assert twice.of().total == 2 * found.of().total
    assert twice.ratios.keys() == found.ratios.keys()
    assert tables(twice).count("\n") == tables(found).count("\n")
    most = Histogram()
    most.add(np.ldexp(np.linspace(1, 2, 9999), np.arange(9999) % 200 - 150), 3.0, "a case")
    assert len(most.counts) <= HIGHEST - LOWEST + 1


def test_whole_numbers_are_judged_and_not_counted() -> None:
    task = Task(0, ("rnn_np",))
    number = next(n for n in range(200) if draw_case(0, n, task.kinds).integer)
    found = tried(task, range(number, number + 1))
    assert found.cases["rnn_np"] == 1
    assert found.of().total == 0


def test_the_quantiles_are_those_of_numpy() -> None:
    ratios = np.random.default_rng(0).random(10_000) ** 3
    one, other = Histogram(), Histogram()
    one.add(ratios[:300], float(ratios[:300].max()), "first")
    other.add(ratios[300:], float(ratios[300:].max()), "second")
    both = merged((one, other))
    assert both.total == 10_000
    assert both.largest == ratios.max()
    assert both.case == ("first" if ratios.argmax() < 300 else "second")
    for share in (0.01, 0.5, 0.99, 0.9999):
        want = np.quantile(ratios, share, method="inverted_cdf")
        assert want <= both.quantile(share) <= 1.022 * want
    assert Histogram().quantile(0.5) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cases", "0"], "cases: expected a whole number of at least 1, got '0'"),
        (["--seed", "-1"], "seed: expected a whole number of at least 0, got '-1'"),
        (["--variant", "none"], "variant: expected all, right, rnn_np, loop, .*, got 'none'"),
        (["--keep", "/nowhere/kept.json", "--cases", "1"], "keep: /nowhere/kept.json cannot be written"),
        (["--keep", __file__], "keep: .* is no file of a campaign"),
    ],
)
def test_a_bad_option_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"campaign: {message}"):
        campaign.main(arguments)


def test_right_layers_are_judged_in_cases_of_theirs() -> None:
    assert Task(0, chosen(["right"])).kinds == ("TimeRNN", "RNN")
    assert Task(0, chosen(["all"])).kinds == ("TimeRNN", "RNN", "nn.RNN", "nn.RNNCell")
    assert chosen(["loop", "right"])[0] == "loop"
