"""The examples of the documents run and do what the text around them says, and their tables equal the code's."""

import inspect
import re
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.case import Case
from parity_tests.checks.registry import TEMPLATES
from parity_tests.checks.trial import ContractBroken, Trial
from parity_tests.checks.values import judge
from parity_tests.diagnosis.faults.catalogue import CATALOGUE
from parity_tests.diagnosis.faults.faulty_loop import Variant
from parity_tests.gate_tests.documents import (
    COOKBOOK,
    DOCUMENTS,
    GATE,
    IN_CHECKOUT,
    LAYERS,
    README,
    block,
    blocks,
    name_of,
    names_after,
    prepared,
    rows,
    with_tables,
)
from parity_tests.references.recorded import default_recorded
from parity_tests.report import Finding, Tally
from parity_tests.run.adapting import adapt_parser
from parity_tests.run.cli import judge_parser
from parity_tests.run.options import checked_options
from parity_tests.run.runner import Run
from parity_tests.selftest.catalogue_run import answering, every_fault, truth
from parity_tests.speed.command import speed_parser
from parity_tests.subjects.interfaces import INTERFACES
from rnn_np import TimeRNN

pytestmark = pytest.mark.skipif(not IN_CHECKOUT, reason="only a checkout has the documents")

EXAMPLES = [
    pytest.param(document, code, id=f"{name_of(document)}-{number}")
    for document in DOCUMENTS
    if document != COOKBOOK  # cookbook/test_cookbook.py runs its files
    for number, code in enumerate(blocks(document, "python"))
]
LONGEST = 120
"""Columns of a line that is neither code nor a row of a table; in the README also of those."""


def example(document: Path, part: str) -> dict[str, Any]:
    return names_after(document, block(document, "python", part))


@pytest.mark.parametrize(("document", "code"), EXAMPLES)
def test_an_example_runs(document: Path, code: str) -> None:
    if "parity_tests" in code:
        pytest.importorskip("torch", reason="fresh cases need torch")
    names_after(document, code)


def test_every_document_with_examples_is_found() -> None:
    assert {document for document in DOCUMENTS if blocks(document, "python")} == {
        README,
        LAYERS,
        GATE,
        COOKBOOK,
    }


@pytest.mark.parametrize("document", [README, LAYERS])
def test_a_network_of_torch_is_used_as_shown(document: Path) -> None:
    moved = example(document, "model.npz")
    assert moved["scores"].shape == (5, 3, 7)
    assert moved["h_n"].shape == (2 * 2, 3, 16)


def test_a_network_goes_back_to_torch_as_it_came() -> None:
    moved = example(LAYERS, "model.npz")
    back: dict[str, Any] = moved["back"]
    loaded = {name: value for name, value in moved["model"].items() if name.startswith("rnn.")}
    assert back.keys() == loaded.keys()
    assert all(np.array_equal(back[name], value) for name, value in loaded.items())
    assert all(grad.any() for grad in moved["rnn"].grads.values())


@pytest.mark.parametrize("document", [README, LAYERS])
def test_what_torch_writes_is_what_the_example_reads(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    model = torch.nn.ModuleDict(
        {"rnn": torch.nn.RNN(8, 16, 2, bidirectional=True), "head": torch.nn.Linear(32, 7)}
    )
    code = block(document, "python", "model.npz")
    (line,) = re.findall(r"# saved by torch's side: (.*)", code)
    exec(line, {"np": np, "model": model})
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["scores"].shape == (5, 3, 7)


def test_the_sequence_layer_is_used_as_shown() -> None:
    names = example(LAYERS, "TimeRNN(Wx, Wh, b)")
    assert names["hs"].shape == (names["B"], names["T"], names["H"])
    assert names["dxs"].shape == (names["B"], names["T"], names["D"])


def test_the_gate_is_called_as_shown() -> None:
    pytest.importorskip("torch", reason="fresh cases need torch")
    names = example(README, "parity_tests.check")
    assert names["report"].ok
    assert names["report"].cases == 50
    assert names["test_my_layer"].pytestmark[0].args[0] == "check"


def test_the_wrong_layer_gets_the_name_shown(
    tmp_path: Path, run_here: Callable[..., tuple[int, str]]
) -> None:
    pytest.importorskip("torch", reason="fresh cases need torch")
    status, output = run_here("my_rnn.py:RNN", "--json", "report.json", folder=prepared(tmp_path))
    assert status == 1
    said = " ".join(output.split())
    (shown,) = blocks(README, "text")
    # Where the text leaves something out, it has dots.
    for part in re.split(r"\.\.\.,?", shown):
        assert " ".join(part.split()) in said


def test_the_faulty_loop_shown_is_found_wrong() -> None:
    loop = Variant(example(GATE, "class CarryHalved")["CarryHalved"])
    wrong = judge(Case.parse("B3T4D2H3-f64-h0-s1"), truth, answering(loop))
    assert {finding.tensor for finding in wrong.faults} == {"dx", "dh_0", "dWx", "dWh", "db"}
    assert judge(Case.parse("B3T1D2H3-f64-h0-s1"), truth, answering(loop)).ok


def test_the_check_shown_passes_a_right_layer_and_finds_a_wrong_one() -> None:
    class Uninitialised(TimeRNN):
        made = 0

        def forward(self, xs: Any) -> Any:
            type(self).made += 1
            return super().forward(xs) + 1e-9 * self.made

    check = example(GATE, "contract_check")["same_bits"]
    check.run(Trial(TEMPLATES["TimeRNN"], type("package", (), {"TimeRNN": TimeRNN})))
    with pytest.raises(ContractBroken, match="hs differs"):
        check.run(Trial(TEMPLATES["TimeRNN"], type("package", (), {"TimeRNN": Uninitialised})))


def test_nothing_of_torchs_layer_is_left_out() -> None:
    torch = pytest.importorskip("torch")
    utils = torch.nn.utils.rnn
    arguments = set(inspect.signature(torch.nn.modules.rnn.RNNBase.__init__).parameters) - {"self", "mode"}
    fields = {name for name in dir(utils.PackedSequence) if name not in dir(tuple)}
    names = {name for name in {*dir(torch.nn.RNN), *utils.__all__, *fields, *arguments} if name[0] != "_"}
    table = "\n".join(" | ".join(row) for row in rows(LAYERS, "| `torch.nn.RNN` | `rnn_np.nn.RNN` |"))
    assert len(names) > 80
    assert {name for name in names if not re.search(rf"`[^`]*\b{name}\b[^`]*`", table)} == set()


def test_the_tables_of_the_gate_are_the_code_s() -> None:
    text = GATE.read_text("utf-8")
    assert with_tables(text) == text, "run: python -m parity_tests.gate_tests.documents"


def test_the_interfaces_are_all_there() -> None:
    assert [row[0] for row in rows(GATE, "interface (`--as`) | what the target is |")] == [
        f"`{interface}`" for interface in INTERFACES
    ]


def test_the_keys_of_the_json_report_are_all_there() -> None:
    listed = rows(GATE, "key | type | meaning |")
    with Run.open(checked_options({"case": "B1T1D1H1-f64-s0", "reference": "recorded"})) as run:
        report = run.to_json()
    assert [row[0].strip("`") for row in listed] == [*report]
    types = {bool: "boolean", str: "string", int: "number", list: "list", dict: "object"}
    for (key, described, _), value in zip(listed, report.values(), strict=True):
        assert value is None or described.startswith(types[type(value)]), key
    finding = GATE.read_text("utf-8").partition("A finding has\n")[2]
    keys = re.findall(r"^\| `(\w+)` \|", finding, re.MULTILINE)
    assert keys == [*Finding("values", "dx", Case.parse("B2T3D4H5-f64-s0"), "off").to_json()]
    (tally,) = (row[2] for row in listed if row[0] == "`tensors`")
    assert re.findall(r"`(\w+)`", tally) == [*Tally.__slots__]


def test_the_options_that_documents_name_exist(pytestconfig: pytest.Config) -> None:
    text = "".join(document.read_text("utf-8") for document in DOCUMENTS)
    parsers = judge_parser(), adapt_parser(ArgumentParser()), speed_parser(ArgumentParser())
    known = {option for each in parsers for action in each._actions for option in action.option_strings}
    named = {
        option
        for code in re.findall(r"`(rnn-parity [^`]*|--[^`]*)`", text)
        for option in re.findall(r"(?<!\S)--[a-z]+(?![-\w])", code.partition(" -- ")[0])
    }
    assert len(named) == 34, named
    # Of xdist, and of the maintainers' commands.
    assert named <= known | {"--tx", "--rsyncdir", "--python", "--write", "--keep"}
    theirs = set(re.findall(r"--parity-[a-z]+", text))
    assert len(theirs) == 15
    assert all(hasattr(pytestconfig.option, name[2:].replace("-", "_")) for name in theirs)


def test_the_files_and_folders_that_documents_name_exist() -> None:
    for document in DOCUMENTS:
        text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)]+)\)", text):
            path, _, section = link.partition("#")
            assert path.startswith("https://") or (document.parent / path).exists(), link
            if section:
                target = document.parent / path if path else document
                headings = re.findall(r"^#+ (.*)", target.read_text("utf-8"), re.MULTILINE)
                assert section in [heading.lower().replace(" ", "-") for heading in headings], link
        for path in re.findall(
            r"`((?:parity_tests|rnn_np|cases|references|subjects|checks|diagnosis|run)/[\w/.]*)`", text
        ):
            roots = (document.parent, document.parents[1])
            assert any((root / path).exists() for root in roots), f"{name_of(document)}: {path}"


def test_numbers_that_follow_from_the_code_are_right() -> None:
    text = " ".join(GATE.read_text("utf-8").split())
    loops = sum(len(fault.loops) for fault in CATALOGUE)
    for number in (
        f"the gate runs {loops} faulty loops",
        f"All {len(every_fault())} are caught",
        f"torch's answers for {len(default_recorded().cases)} cases",
    ):
        assert number in text


def test_the_rooms_of_the_gate_are_all_there() -> None:
    named = re.findall(
        r"`([\w.]+)/?`",
        " ".join(row[0] for row in rows(GATE, "folder or file | question that it answers | read first |")),
    )
    inside = {path.name for path in GATE.parent.iterdir() if not path.name.startswith(("_", "."))}
    assert {*named} | {"py.typed", "README.md", "COOKBOOK.md"} >= inside


def test_lines_are_short() -> None:
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        if document != README:
            text = re.sub(r"^(```.*?^```|\|.*?$)", "", text, flags=re.MULTILINE | re.DOTALL)
        assert [line for line in text.splitlines() if len(line) > LONGEST] == [], name_of(document)


@pytest.mark.parametrize("document", [README, LAYERS])
def test_what_is_said_of_nan_has_its_exception(document: Path) -> None:
    text = " ".join(document.read_text("utf-8").split())
    (sentence,) = re.findall(r"NaN and infinity appear in the same elements as in torch\. [^.]*\.", text)
    assert "with infinite upstream gradients, in 11 of 20,000 float32 tensors" in sentence
