"""What the README shows is true: its examples run, its commands and options exist."""

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn_np import nn

README = Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.skipif(
    not README.exists(), reason="the README lies beside the package in a checkout"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained: dict[str, Any] = nn.RNN(8, 16, 2, bidirectional=True).state_dict("rnn.")
    head: dict[str, Any] = {"head.weight": np.ones((7, 32), np.float32), "head.bias": np.ones(7, np.float32)}
    np.savez("model.npz", **trained, **head)
    seen: list[dict[str, Any]] = [{}, {}, {}]
    for example, names in zip(blocks("python"), seen, strict=True):
        exec(example, names)
    first, training, moved = seen
    for names in (first, training):
        assert names["hs"].shape == (names["B"], names["T"], names["H"])
    assert len(training["losses"]) == 200
    assert moved["scores"].shape == (5, 3, 7)
    back = np.load("back.npz")
    assert back.files == list(trained)
    assert all(np.array_equal(back[name], value) for name, value in trained.items())
    assert all(grad.any() for grad in moved["rnn"].grads.values())


def test_what_torch_writes_is_what_the_example_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    model = torch.nn.ModuleDict(
        {"rnn": torch.nn.RNN(8, 16, 2, bidirectional=True), "head": torch.nn.Linear(32, 7)}
    )
    (example,) = (block for block in blocks("python") if "model.npz" in block)
    (line,) = re.findall(r"# saved by torch's side: (.*)", example)
    exec(line, {"np": np, "model": model})
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["scores"].shape == (5, 3, 7)


def test_nothing_of_torchs_layer_is_left_out() -> None:
    torch = pytest.importorskip("torch")
    utils = torch.nn.utils.rnn
    arguments = set(inspect.signature(torch.nn.modules.rnn.RNNBase.__init__).parameters) - {"self", "mode"}
    fields = {name for name in dir(utils.PackedSequence) if name not in dir(tuple)}
    names = {name for name in {*dir(torch.nn.RNN), *utils.__all__, *fields, *arguments} if name[0] != "_"}
    _, section = README.read_text("utf-8").split("## `rnn_np.nn`")
    table = "\n".join(line for line in section.split("\n## ")[0].splitlines() if line.startswith("|"))
    assert len(names) > 80
    assert {name for name in names if not re.search(rf"`[^`]*\b{name}\b[^`]*`", table)} == set()


def test_the_options_exist(pytestconfig: pytest.Config) -> None:
    from parity_tests._cli import options_parser

    text = README.read_text("utf-8")
    ours = set(re.findall(r"`(--[a-z]+)(?![-a-z])", text))
    assert len(ours) == 6, ours
    assert ours <= {option for action in options_parser()._actions for option in action.option_strings}
    theirs = set(re.findall(r"--parity-[a-z]+", text))
    assert len(theirs) == 6
    assert all(hasattr(pytestconfig.option, name[2:].replace("-", "_")) for name in theirs)
