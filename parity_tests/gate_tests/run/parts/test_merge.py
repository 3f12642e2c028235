"""Merging: all parts give the report of the run in one piece, and anything else is refused."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parity_tests
from parity_tests.gate_tests.run.parts import targets
from parity_tests.gate_tests.run.parts.targets import FORWARD
from parity_tests.report import Report, Verdict
from parity_tests.run import plan, runner
from parity_tests.run.cli import main

pytest.importorskip("torch", reason="fresh cases need torch")

Data = dict[str, Any]


def written(folder: Path, report: Report, name: str) -> str:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(report.to_json()), "utf-8")
    return str(file)


def parts_of(folder: Path, target: Any, of: int, **options: Any) -> list[str]:
    """The files with the reports of all parts."""
    reports = [
        parity_tests.check(target, shard=f"{number}/{of}", **{**FORWARD, **options})
        for number in range(1, of + 1)
    ]
    return [written(folder, report, f"part-{number}") for number, report in enumerate(reports, 1)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of the two parts of a run that is equal."""
    return parts_of(tmp_path_factory.mktemp("two"), targets.right, 2, cases=60)


def merged(files: list[str], folder: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, Report]:
    output = folder / "merged.json"
    capfd.readouterr()
    status = main(["merge", *files, "--json", str(output)])
    return status, capfd.readouterr().out, Report.from_json(output.read_text("utf-8"))


@pytest.mark.parametrize(
    ("target", "cases", "said"),
    [
        (targets.right, 60, "EQUAL: every tensor of every case"),
        (targets.wrong, None, "DIFFERENT: "),  # it stops at a fault
    ],
)
def test_all_parts_give_the_report_of_the_run_in_one_piece(
    target: Any,
    cases: int | None,
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "DEFAULT_CASES", 50)
    monkeypatch.setattr(plan, "BATCH", 10)
    for module in (plan, runner):
        monkeypatch.setattr(module, "CASES_BEFORE_STOP", 20)
    files = parts_of(tmp_path, target, 2, cases=cases)
    whole = parity_tests.check(target, cases=cases, **FORWARD)  # type: ignore[arg-type]
    status, text, report = merged(files[::-1], tmp_path, capfd)
    assert status == whole.exit_code
    assert text.startswith(said)
    # Of the verdict's line only the time is missing.
    assert text.splitlines()[1:] == str(whole).splitlines()[1:]
    assert re.sub(r" in [0-9.]+ s", "", str(whole).splitlines()[0]) == text.splitlines()[0]
    assert report == whole
    assert report.to_json() == whole.to_json()
    assert report.stopped == (30 if cases is None else 0)


def test_a_fault_that_is_seen_before_the_first_case_counts_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.Run, "explain", lambda run, report: None)
    monkeypatch.setattr(plan, "BATCH", 2)
    files = parts_of(tmp_path, targets.with_relu, 2, cases=4)
    whole = parity_tests.check(targets.with_relu, cases=4, **FORWARD)  # type: ignore[arg-type]
    assert merged(files, tmp_path, capfd)[2] == whole
    assert whole.failed == 1
    second = Report.from_json(Path(files[1]).read_text("utf-8"))
    assert (second.failed, second.verdict, second.exit_code) == (0, Verdict.DIFFERENT, 1)


def test_what_ends_a_run_ends_its_parts_and_is_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "BATCH", 2)
    files = parts_of(tmp_path, targets.raises, 2, cases=4)
    whole = parity_tests.check(targets.raises, cases=4, **FORWARD)  # type: ignore[arg-type]
    status, _, report = merged(files, tmp_path, capfd)
    assert (status, report.verdict, len(report.errors)) == (2, Verdict.NOT_JUDGED, 1)
    assert report == whole


def test_a_fault_that_only_some_parts_see_is_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SHRINK_SECONDS", 0.0)
    monkeypatch.setattr(runner.Run, "explain", lambda run, report: None)  # it takes long
    monkeypatch.setattr(plan, "BATCH", 5)
    files = parts_of(tmp_path, targets.rarely_wrong, 3, cases=20)
    whole = parity_tests.check(targets.rarely_wrong, cases=20, **FORWARD)  # type: ignore[arg-type]
    status, _, report = merged(files, tmp_path, capfd)
    assert status == whole.exit_code == 1
    assert {Report.from_json(Path(file).read_text("utf-8")).exit_code for file in files} == {0, 1}
    assert [(each.what, each.severity, each.fault) for each in report.findings] == [
        (each.what, each.severity, each.fault) for each in whole.findings
    ]
    assert replace(report, findings=[], note="") == replace(whole, findings=[], note="")


def test_a_known_failure_that_passes_now_is_for_all_parts_together_to_say(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known.txt"
    known.write_text("values of h_n: rarely wrong\nvalues of hs: wrong\n", "utf-8")
    files = parts_of(tmp_path, targets.wrong, 2, cases=60, known=known)
    assert [Report.from_json(Path(file).read_text("utf-8")).exit_code for file in files] == [0, 0]
    assert main(["merge", *files]) == 1
    assert "'values of h_n' passes now" in capfd.readouterr().out


def test_a_tensor_of_which_nothing_is_conclusive_in_any_part_is_not_judged(
    two: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = []
    for file in two:
        data = json.loads(Path(file).read_text("utf-8"))
        tally = data["tensors"]["hs"]
        data["inconclusive"] += tally["slices"] - tally["inconclusive"]
        tally.update(inconclusive=tally["slices"], worst=0.0, case="")
        files.append(str(tmp_path / Path(file).name))
        Path(files[-1]).write_text(json.dumps(data), "utf-8")
    assert main(["merge", *files]) == 2
    assert "NOT JUDGED: hs: every slice compared was inconclusive" in capfd.readouterr().out


def changed(change: Callable[[Data], object]) -> Callable[[list[str], Path], list[str]]:
    """The two files, the second of them changed."""

    def files(two: list[str], folder: Path) -> list[str]:
        data = json.loads(Path(two[1]).read_text("utf-8"))
        change(data)
        file = folder / "changed.json"
        file.write_text(json.dumps(data), "utf-8")
        return [two[0], str(file)]

    return files


def renumbered(two: list[str], folder: Path) -> list[str]:
    """The first part twice, once as if it were the second."""
    data = json.loads(Path(two[0]).read_text("utf-8"))
    data["part"]["number"] = 2
    file = folder / "changed.json"
    file.write_text(json.dumps(data), "utf-8")
    return [two[0], str(file)]


def copied(two: list[str], folder: Path) -> list[str]:
    file = folder / "copy.json"
    file.write_bytes(Path(two[0]).read_bytes())
    return [two[0], str(file), two[1]]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (lambda two, _: two[:1], "part 2 of 2 is missing"),
        (lambda two, _: two[1:], "part 1 of 2 is missing"),
        (lambda two, _: [two[0], two[1], two[0]], "is given twice"),
        (copied, "part 1 of 2 is there twice: "),
        (renumbered, "has the numbers of "),
        (lambda two, _: [*two, "--json", two[1]], "is a part, and would be overwritten"),
        (lambda two, _: [*two, "nowhere.json"], "nowhere.json: cannot read it: No such file"),
        (lambda two, folder: [*two, str(folder)], "cannot read it: Is a directory"),
        (changed(lambda data: data.update(seed=1)), "is a part of another run than "),
        (changed(lambda data: data.update(seed=1)), "seed is 1, not 0"),
        (changed(lambda data: data.update(target="other")), "target is other, not "),
        (changed(lambda data: data.update(reference="recorded")), "reference is recorded, not torch"),
        (changed(lambda data: data.update(without=[])), "without is nothing, not "),
        (changed(lambda data: data["versions"].update(torch="1.0")), "versions: torch is 1.0, not "),
        (changed(lambda data: data["run"].update(cases=61)), "cases is 61, not 60"),
        (changed(lambda data: data["run"].update(timeout=1)), "timeout is 1, not 10"),
        (changed(lambda data: data["run"].update(code="0")), "the target's source is another one"),
        (changed(lambda data: data["part"].update(of=3)), "it is one of 3 parts, not of 2"),
        (changed(lambda data: data["part"].update(number=3)), "damaged: expected I/N"),
        (changed(lambda data: data.update(part=None)), "report: it is damaged: verdict is PART, but"),
        (
            changed(lambda data: data.update(part=None, verdict="EQUAL")),
            "it is the report of a whole run, not of a part",
        ),
        (
            changed(lambda data: data.update(selected=True, verdict="PASSED")),
            "only some of its cases and checks were selected",
        ),
        (
            changed(lambda data: data.update(planned=1, cases=1)),
            "its part has 10 cases and 0 checks, and it planned 1 and 0",
        ),
        (changed(lambda data: data.update(planned=1)), "more was compared than planned"),
        (changed(lambda data: data.update(format=2)), "it has format 2, of a later version than this one"),
        (changed(lambda data: data.update(verdict="EQUAL")), "verdict is EQUAL, but the rest makes it PART"),
        (changed(lambda data: data.pop("run")), "it is the report of a whole run, not of a part"),
        (changed(lambda data: data.clear()), "report: it is no report of rnn-parity"),
    ],
)
def test_what_is_not_all_of_one_run_is_refused(
    files: Callable[[list[str], Path], list[str]],
    said: str,
    two: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "merged.json"
    assert main(["merge", "--json", str(output), *files(two, tmp_path)]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith("rnn-parity merge: ")
    assert said in error
    assert error.count("\n") == 1
    assert not output.exists()


def test_parts_of_another_version_of_the_gate_are_refused(
    two: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = []
    for file in two:
        data = json.loads(Path(file).read_text("utf-8"))
        data["versions"]["rnn-np"] = "0.0.1"
        files.append(str(tmp_path / Path(file).name))
        Path(files[-1]).write_text(json.dumps(data), "utf-8")
    assert main(["merge", *files]) == 2
    assert "it was made by rnn-np 0.0.1, and this is " in capfd.readouterr().err


def test_the_report_must_be_writable(
    two: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["merge", *two, "--json", str(tmp_path / "no" / "merged.json")]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert "json: cannot write " in error
    assert main(["merge"]) == 2
    assert main(["merge", *two, "-q"]) == 0
    assert capfd.readouterr().out.count("\n") == 1
