"""A part of a run: what belongs to it, which one it is, and that its verdict is never EQUAL."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parity_tests
import rnn_np
from parity_tests.cases.case import Case
from parity_tests.gate_tests.run.parts.targets import FORWARD, right, wrong
from parity_tests.report import Finding, Part, Report, Tally, Verdict
from parity_tests.report.part import BAZEL, GITLAB, MAX_PARTS, STATUS_FILE
from parity_tests.run.options import OptionError, checked_options
from parity_tests.run.plan import BATCH, MAX_BATCHES, Plan
from parity_tests.run.runner import Run
from parity_tests.subjects.loading import Target

pytest.importorskip("torch", reason="fresh cases need torch")

CASE = Case(B=1, T=1, D=1, H=1)


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*BAZEL, *GITLAB, STATUS_FILE):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    "value", ["0/4", "5/4", "1/0", "0/0", "a/b", "1", "1/", "/4", "-1/4", "1/4/2", "1 /4", "", "Auto", "²/4"]
)
def test_what_is_no_part_is_refused(value: str) -> None:
    with pytest.raises(
        OptionError, match=r"^shard: expected I/N, part I of N, from 1/1 to 1000/1000, or auto, got "
    ):
        checked_options({"shard": value})


def test_other_types_and_too_many_parts_are_refused() -> None:
    for value in (2, (1, 2), f"1/{MAX_PARTS + 1}", "9" * 5000 + "/2", b"1/2"):
        with pytest.raises(OptionError, match=r"^shard: expected I/N"):
            checked_options({"shard": value})
    assert checked_options({"shard": "1/1000"}).shard == Part(1, 1000)


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"TEST_TOTAL_SHARDS": "4", "TEST_SHARD_INDEX": "0"}, Part(1, 4)),
        ({"TEST_TOTAL_SHARDS": "4", "TEST_SHARD_INDEX": "3"}, Part(4, 4)),
        ({"CI_NODE_TOTAL": "4", "CI_NODE_INDEX": "1"}, Part(1, 4)),
        ({"CI_NODE_TOTAL": "4", "CI_NODE_INDEX": "4"}, Part(4, 4)),
        ({"CI_NODE_TOTAL": "1"}, Part(1, 1)),
        # A test of Bazel's inside of a job of GitLab's.
        (
            {"TEST_TOTAL_SHARDS": "4", "TEST_SHARD_INDEX": "2", "CI_NODE_TOTAL": "2", "CI_NODE_INDEX": "1"},
            Part(3, 4),
        ),
    ],
)
def test_auto_is_what_bazel_or_gitlab_say(
    variables: dict[str, str], part: Part, no_variables: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        no_variables.setenv(name, value)
    assert checked_options({"shard": "auto"}).shard == part
    assert checked_options({}).shard is None


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "and none of them is set"),
        ({"CI_NODE_TOTAL": "4"}, "got CI_NODE_TOTAL='4' and CI_NODE_INDEX=''"),
        ({"CI_NODE_INDEX": "1"}, "got CI_NODE_TOTAL='' and CI_NODE_INDEX='1'"),
        ({"CI_NODE_TOTAL": "4", "CI_NODE_INDEX": "0"}, "expected an index from 1 on"),
        ({"TEST_TOTAL_SHARDS": "4", "TEST_SHARD_INDEX": "4"}, "expected an index from 0 on"),
        ({"TEST_TOTAL_SHARDS": "0", "TEST_SHARD_INDEX": "0"}, "got TEST_TOTAL_SHARDS='0'"),
        ({"TEST_TOTAL_SHARDS": "x", "TEST_SHARD_INDEX": "0"}, "expected two whole numbers, got"),
        ({"TEST_TOTAL_SHARDS": "2", "CI_NODE_TOTAL": "2", "CI_NODE_INDEX": "1"}, "got TEST_TOTAL_SHARDS='2'"),
    ],
)
def test_auto_without_a_part_is_refused(
    variables: dict[str, str], said: str, no_variables: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        no_variables.setenv(name, value)
    with pytest.raises(OptionError, match=r"^shard: auto ") as refusal:
        checked_options({"shard": "auto"})
    assert said in str(refusal.value)


def test_auto_tells_bazel_that_parts_are_known(tmp_path: Path, no_variables: pytest.MonkeyPatch) -> None:
    file = tmp_path / "status"
    for name, value in {"TEST_TOTAL_SHARDS": "2", "TEST_SHARD_INDEX": "1", STATUS_FILE: str(file)}.items():
        no_variables.setenv(name, value)
    checked_options({})
    assert not file.exists()
    assert checked_options({"shard": "auto"}).shard == Part(2, 2)
    assert file.exists()
    no_variables.setenv(STATUS_FILE, str(tmp_path / "nowhere" / "status"))
    with pytest.raises(OptionError, match=r"^shard: auto cannot write TEST_SHARD_STATUS_FILE="):
        checked_options({"shard": "auto"})


@pytest.mark.parametrize("of", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("number", [1, 50, 51, 2000, 100_000, 100_001, 10_000_000])
def test_each_case_and_check_is_in_one_part(number: int, of: int) -> None:
    whole = Plan(Target("rnn_np"), "package", ("TimeRNN", "nn.RNN"), "torch", number=number)
    parts = [replace(whole, part=Part(n, of)) for n in range(1, of + 1)]
    assert sorted(batch for part in parts for batch in part.batches) == [*whole.batches]
    assert sum(part.planned for part in parts) == whole.planned == number
    checks = [check for part in parts for check in part.checks]
    assert len(checks) == len(set(checks)) == len(whole.checks) > 20
    assert {*checks} == {*whole.checks}
    assert len(whole.batches) <= MAX_BATCHES


def test_the_cases_of_a_seed_do_not_depend_on_the_size_of_a_batch() -> None:
    plan = Plan(Target("rnn_np"), "package", ("RNN",), "torch", seed=3, number=51)
    many = replace(plan, number=100_001)
    assert (plan.batch_size, many.batch_size) == (BATCH, 51)
    assert many.cases(0) == plan.cases(0) + plan.cases(1)


def test_a_part_that_is_equal_is_never_equal() -> None:
    report = parity_tests.check(right, cases=110, shard="2/2", **FORWARD)  # type: ignore[arg-type]
    assert (report.verdict, report.exit_code, report.ok) == (Verdict.PART, 0, True)
    assert (report.part, report.planned, report.cases) == (Part(2, 2), 50, 50)
    assert str(report).startswith("PART 2 of 2: equal so far; 50 of 50 cases compared in ")
    assert repr(report) == "<Report PART: part 2 of 2 is equal so far; 50 of 50 cases compared>"
    assert report.to_json()["verdict"] == "PART"
    assert report.to_json()["part"] == {"number": 2, "of": 2}
    assert "EQUAL" not in str(report)
    parity_tests.assert_parity(right, cases=1, shard="1/1", **FORWARD)  # type: ignore[arg-type]


def test_a_part_with_a_fault_fails() -> None:
    report = parity_tests.check(wrong, cases=60, shard="2/2", **FORWARD)  # type: ignore[arg-type]
    assert (report.verdict, report.exit_code, report.cases) == (Verdict.DIFFERENT, 1, 10)
    assert "; this is part 2 of 2" in str(report).splitlines()[0]


def test_a_part_with_nothing_in_it_neither_fails_nor_is_equal() -> None:
    report = parity_tests.check(right, cases=60, shard="3/4", **FORWARD)  # type: ignore[arg-type]
    assert (report.verdict, report.exit_code, report.cases, report.not_judged) == (Verdict.PART, 0, 0, [])
    assert str(report).startswith("PART 3 of 4: nothing is left for it; 0 of 0 cases compared")


def test_what_one_part_leaves_open_another_may_settle_but_a_comparison_that_is_missing_counts() -> None:
    values: dict[str, Any] = {"planned": 1, "cases": 1, "tensors": {"hs": Tally(1, 2, 2)}}
    assert Report(**values).verdict == Verdict.NOT_JUDGED
    assert Report(**values, part=Part(1, 2)).verdict == Verdict.PART
    incomplete: list[dict[str, Any]] = [
        {"cases": 0},
        {"errors": ["no answer"]},
        {"given_up": {"it hangs": 1}, "cases": 0},
        {"planned_checks": 1},
        {"tensors": {}},
    ]
    for missing in incomplete:
        assert Report(**{**values, **missing}, part=Part(1, 2)).verdict == Verdict.NOT_JUDGED
    fault = Finding("values", "hs", CASE, "")
    assert Report(**values, findings=[fault], part=Part(1, 2)).verdict == Verdict.DIFFERENT
    assert Report(**values, selected=True, part=Part(1, 2)).verdict != Verdict.EQUAL


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shard": "1/2", "seed": "fresh"}, "seed: cannot be fresh here: all parts need the same seed"),
        (
            {"resume": "file", "seed": "fresh"},
            "seed: cannot be fresh here: a run that goes on needs the same seed",
        ),
        (
            {"shard": "1/2", "case": "B1T1D1H1-f64-s0"},
            "shard: cannot be set to 1/2 here: the one case given is judged",
        ),
    ],
)
def test_options_that_contradict_a_part_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as refusal:
        Run.open(checked_options({"target": rnn_np.TimeRNN, **options}))
    assert str(refusal.value) == said


def test_pytest_judges_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tests = ["-p", "parity_tests.run.plugin", "--pyargs", "parity_tests.run.test_gate", "-n", "0"]
    monkeypatch.chdir(tmp_path)
    options = ["--parity-target", "rnn_np:RNN", "--parity-cases", "60", "--parity-json", "part.json"]
    assert pytest.main([*tests, *options, "--parity-shard", "2/2"]) == 0
    assert "PART 2 of 2: equal so far; 10 of 10 cases compared" in capfd.readouterr().out
    assert Report.from_json((tmp_path / "part.json").read_text("utf-8")).verdict == Verdict.PART
    assert pytest.main([*tests, *options, "--parity-shard", "3/2"]) == pytest.ExitCode.USAGE_ERROR
    assert "parity: shard: expected I/N" in capfd.readouterr().err
