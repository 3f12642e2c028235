"""The parts of the cost are all there, and blocks of the document are written where they belong."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch gives the true answers")
pytest.importorskip("hypothesis", reason="Hypothesis draws cases")

from parity_tests.selftest.measures import cost
from parity_tests.selftest.measures.cost import PARTS, Cost, cost_table
from parity_tests.selftest.measures.markdown import DOCUMENT, with_block
from parity_tests.selftest.measures.measurement import CE1EF78, listed

BLOCKS = ("resolution", "campaign", "cost")


def test_the_cost_of_a_list_has_all_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("B2T9D3H4-f32-s0\nnn-B2T9D3H4-f64-s0\n", "ascii")
    cost.main(["--list", str(file), "--rounds", "2"])
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("| CPU seconds | the cases of mine.txt |") + 2
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[first : first + 5]] == [*PARTS]
    assert "| number of cases | 2 |" in lines


def test_lists_stand_beside_one_another() -> None:
    first = Cost(dict(zip(PARTS, (1.0, 4.0, 3.0, 2.0, 0.0), strict=True)), [(8.0, "slow"), (2.0, "fast")])
    second = Cost(dict.fromkeys(PARTS, 1.0), [(0.25, f"case {n}") for n in range(20)])
    text = cost_table({"old": first, "new": second})
    assert "| torch | 4.0 (40 %) | 1.0 (20 %) |" in text
    assert "| together | 10.0 | 5.0 |" in text
    assert "| the slowest tenth of them | 8.0 (80 %) | 0.5 (10 %) |" in text
    assert "| the slowest case | 8.00: `slow` |" in text


def test_a_bad_number_of_rounds_is_refused() -> None:
    with pytest.raises(SystemExit, match="cost: rounds: expected a whole number of at least 1, got '0'"):
        cost.main(["--rounds", "0"])


def test_the_cases_of_ce1ef78_are_2000() -> None:
    assert len({*listed(CE1EF78)}) == 2000


@pytest.mark.parametrize("name", BLOCKS)
def test_the_document_has_a_block_of_every_command(name: str) -> None:
    text = DOCUMENT.read_text("utf-8")
    once = with_block(text, name, "Measured.")
    assert with_block(once, name, "Measured.") == once != text


def test_a_block_is_replaced_and_nothing_else() -> None:
    begin, end = "<!-- measured by parity_tests.selftest.measures.cost -->", "<!-- end of cost -->"
    text = f"Before.\n\n{begin}\nold\n\nlines\n{end}\n\nAfter.\n"
    assert with_block(text, "cost", "new") == f"Before.\n\n{begin}\nnew\n{end}\n\nAfter.\n"
    for bad in ("Nothing.\n", text.replace(end, ""), text + text):
        with pytest.raises(ValueError, match="expected one block"):
            with_block(bad, "cost", "new")
