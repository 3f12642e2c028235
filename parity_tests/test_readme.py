"""What the README shows is true: its examples run, its commands and options exist."""

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.skipif(
    not README.exists(), reason="the README lies beside the package in a checkout"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_examples_run() -> None:
    examples = blocks("python")
    assert len(examples) == 2
    for example in examples:
        names: dict[str, Any] = {}
        exec(example, names)
        assert names["hs"].shape == (names["B"], names["T"], names["H"])
    assert len(names["losses"]) == 200


def test_the_options_exist(pytestconfig: pytest.Config) -> None:
    from parity_tests._cli import options_parser

    text = README.read_text("utf-8")
    ours = set(re.findall(r"`(--[a-z]+)(?![-a-z])", text))
    assert len(ours) == 6, ours
    assert ours <= {option for action in options_parser()._actions for option in action.option_strings}
    theirs = set(re.findall(r"--parity-[a-z]+", text))
    assert len(theirs) == 6
    assert all(hasattr(pytestconfig.option, name[2:].replace("-", "_")) for name in theirs)
