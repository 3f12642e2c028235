"""The JSON of a report: it fits its schema, and it is read back as it was, or refused with the reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parity_tests
import rnn_np
from parity_tests.cases.case import Case
from parity_tests.gate_tests.run.parts import targets
from parity_tests.gate_tests.run.parts.targets import FORWARD
from parity_tests.gate_tests.wrong import MY_RNN
from parity_tests.references.recorded import default_recorded
from parity_tests.report import Finding, Part, Report, Severity, Tally, Verdict
from parity_tests.report.schema import TYPES

pytest.importorskip("torch", reason="fresh cases need torch")
jsonschema: Any = pytest.importorskip("jsonschema")

CASE = Case(B=1, T=1, D=1, H=1)
ONE = "B2T3D4H5-f64-s0"
LINES = MY_RNN.replace("class RNN", "class Mine")


class Doubled(rnn_np.TimeRNN):
    """Its gradient is twice as large as it should be."""

    def backward(self, dhs: Any) -> Any:
        return 2 * super().backward(dhs)


def known_and_new(folder: Path) -> Report:
    file = folder / "known.txt"
    file.write_text("values of hs: we know\nvalues of dh_0: it passes\n", "utf-8")
    return parity_tests.check(targets.wrong, cases=5, known=file, **FORWARD)  # type: ignore[arg-type]


def with_a_wrong_line(folder: Path) -> Report:
    (folder / "mine.py").write_text(LINES, "utf-8")
    report = parity_tests.check(f"{folder}/mine.py:Mine", cases=3)
    assert any(finding.wrong_line for finding in report.findings)
    return report


REPORTS: dict[str, tuple[Callable[[Path], Report], Verdict]] = {
    "equal": (lambda _: parity_tests.check(targets.right, cases=5, **FORWARD), Verdict.EQUAL),  # type: ignore[arg-type]
    "fault": (lambda _: parity_tests.check(Doubled, case=ONE), Verdict.DIFFERENT),
    "not judged": (
        lambda _: parity_tests.check(lambda problem: {}, cases=5, lines=False),
        Verdict.NOT_JUDGED,
    ),
    "part": (lambda _: parity_tests.check(targets.right, cases=5, shard="1/2", **FORWARD), Verdict.PART),  # type: ignore[arg-type]
    "empty part": (
        lambda _: parity_tests.check(targets.right, cases=5, shard="2/2", **FORWARD),  # type: ignore[arg-type]
        Verdict.PART,
    ),
    "known": (known_and_new, Verdict.DIFFERENT),
    "wrong line": (with_a_wrong_line, Verdict.DIFFERENT),
    "recorded": (
        lambda _: parity_tests.check(rnn_np.RNN, reference="recorded", without=["float32"]),
        Verdict.EQUAL,
    ),
}


@pytest.mark.parametrize("kind", REPORTS)
def test_a_report_fits_the_schema_and_is_read_back(kind: str, tmp_path: Path) -> None:
    make, verdict = REPORTS[kind]
    report = make(tmp_path)
    data = report.to_json()
    jsonschema.validate(data, Report.schema(), jsonschema.Draft202012Validator)
    assert data.keys() == Report.schema()["properties"].keys()
    text = json.dumps(data)
    again = Report.from_json(text)
    assert again == report
    assert again.to_json() == data
    assert Report.from_json(text.encode()) == Report.from_json(json.loads(text)) == report
    assert (again.verdict, again.ok, again.exit_code) == (verdict, report.ok, report.exit_code)
    assert again.headline == report.headline


def test_one_key_has_torch_s_version() -> None:
    import torch

    live = parity_tests.check(rnn_np.TimeRNN, case=ONE).to_json()
    kept = str(min(default_recorded().cases, key=lambda case: (case.layer != "RNN", case.size)))
    recorded = parity_tests.check(rnn_np.RNN, case=kept, reference="recorded").to_json()
    assert live["versions"]["torch"] == torch.__version__
    assert recorded["versions"]["torch"] == default_recorded().versions["torch"]


def test_the_schema_is_one_and_uses_no_word_that_is_not_checked() -> None:
    schema = Report.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    words = {"$schema", "title", "description", "$defs", "$ref"}
    words |= {"type", "required", "properties", "additionalProperties", "items", "const", "enum", "minimum"}

    def visit(node: dict[str, Any]) -> None:
        assert node.keys() <= words
        kinds = node.get("type", [])
        assert {kinds} <= TYPES.keys() if isinstance(kinds, str) else {*kinds} <= TYPES.keys()
        assert node.get("required", []) == [*node.get("properties", {})]
        inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values()]
        inner += [node[name] for name in ("items", "additionalProperties") if name in node]
        for each in inner:
            visit(each)

    visit(schema)


CHANGES: tuple[Any, ...] = ("left out", None, 1.5, -1, "text", True, [1], {"a": []})


@pytest.fixture(scope="module")
def good() -> Report:
    return parity_tests.check(Doubled, case=ONE, lines=False)


def test_a_change_that_contradicts_the_rest_or_the_schema_is_refused(good: Report) -> None:
    """Every value of another type, every key left out: alike refused here and by the schema."""
    validator = jsonschema.Draft202012Validator(Report.schema())
    whole = good.to_json()
    places = [
        ((), [*whole]),
        (("run",), [*whole["run"]]),
        (("tensors", "dx"), [*whole["tensors"]["dx"]]),
        (("findings", 0), [*whole["findings"][0]]),
    ]
    for path, keys in places:
        for key in keys:
            for change in CHANGES:
                data = json.loads(json.dumps(whole))
                node = data
                for step in path:
                    node = node[step]
                if change == "left out":
                    del node[key]
                elif type(node[key]) is type(change):
                    continue
                else:
                    node[key] = change
                if not validator.is_valid(data):
                    # Without its facts it is the report of a batch, which no door takes for one of a run.
                    if (path, key, change) == ((), "run", "left out"):
                        continue
                    assert _refused(data), (path, key, change)


def _refused(data: dict[str, Any]) -> bool:
    try:
        Report.from_json(data)
    except ValueError as error:
        return str(error).startswith("report: ") and "\n" not in str(error)
    return False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "EQUAL"}, "it is damaged: verdict is EQUAL, but the rest makes it DIFFERENT"),
        ({"ok": True}, "it is damaged: ok is True"),
        ({"findings": []}, "it is damaged: ok is False, but the rest makes it True"),
        ({"planned": 0}, "it is damaged: more was compared than planned"),
        ({"inconclusive": 5}, "it is damaged: inconclusive is 5"),
        ({"format": 2}, "it has format 2, of a later version than this one, which reads format 1"),
        ({"format": 0}, "it is damaged: format: got 0"),
        ({"format": "1"}, "it is damaged: format: expected integer, got str"),
        ({"part": {"number": 3, "of": 2}}, "it is damaged: expected I/N"),
        ({"known": [{}]}, "it is damaged: known[0].check is missing"),
        ({"seed": -1}, "it is damaged: seed: got -1, expected at least 0"),
    ],
)
def test_a_damaged_or_later_report_is_refused(change: dict[str, Any], said: str, good: Report) -> None:
    with pytest.raises(ValueError, match=r"^report: ") as refusal:
        Report.from_json(json.dumps(good.to_json() | change))
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[]", "it is no report of rnn-parity"),
        ('{"format": 1}', "it is no report of rnn-parity"),
        ("null", "it is no report of rnn-parity"),
        ("[" * 100_000, "it is no JSON"),
        ('{"format": NaN}', "NaN is no number of JSON"),
        (b"\xff\xfe\x00", "it is no JSON"),
        ("9" * 5000, "it is no JSON"),
    ],
)
def test_what_is_no_report_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"^report: ") as refusal:
        Report.from_json(text)
    assert said in str(refusal.value)


def test_a_report_that_is_not_a_text_is_refused() -> None:
    others: tuple[Any, ...] = (5, None, [], Path("report.json"))
    for value in others:
        with pytest.raises(TypeError, match="expected a text or an object, got a "):
            Report.from_json(value)


def test_known_findings_keep_their_place_and_a_key_of_a_later_version_is_ignored(good: Report) -> None:
    names = ("hs", "dx", "dWx", "db")
    kinds = (Severity.FAULT, Severity.KNOWN, Severity.FAULT, Severity.KNOWN)
    findings = [
        Finding("values", name, CASE, "off", severity=kind) for name, kind in zip(names, kinds, strict=True)
    ]
    report = Report(2, 2, {"hs": Tally(1, 1, 0, 0.1, CASE)}, findings, 1, part=Part(1, 2))
    assert Report.from_json(report.to_json()) == report
    assert Report.from_json(report.to_json() | {"later": 1}) == report
    assert replace(report, seconds=1.0, text="words") == report
