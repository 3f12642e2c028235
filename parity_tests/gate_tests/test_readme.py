"""What the README shows is true: its examples run, its commands and options exist."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn_np import nn

README = Path(__file__).parents[2] / "README.md"
pytestmark = pytest.mark.skipif(
    not README.exists(), reason="the README lies beside the package in a checkout"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def example(part: str) -> str:
    """The example in Python that holds ``part``."""
    (found,) = (block for block in blocks("python") if part in block)
    return found


def run(part: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(example(part), names)
    return names


def test_the_layers_are_used_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(blocks("python")) == 6
    monkeypatch.chdir(tmp_path)
    trained: dict[str, Any] = nn.RNN(8, 16, 2, bidirectional=True).state_dict("rnn.")
    head: dict[str, Any] = {"head.weight": np.ones((7, 32), np.float32), "head.bias": np.ones(7, np.float32)}
    np.savez("model.npz", **trained, **head)
    first, training, moved = run("from_torch"), run("losses"), run("model.npz")
    for names in (first, training):
        assert names["hs"].shape == (names["B"], names["T"], names["H"])
    assert len(training["losses"]) == 200
    assert moved["scores"].shape == (5, 3, 7)
    back = np.load("back.npz")
    assert back.files == list(trained)
    assert all(np.array_equal(back[name], value) for name, value in trained.items())
    assert all(grad.any() for grad in moved["rnn"].grads.values())


def test_the_gate_is_called_as_shown() -> None:
    pytest.importorskip("torch", reason="fresh cases need torch")
    names = run("parity_tests.check")
    assert names["report"].ok
    assert names["report"].cases == 100
    assert names["test_my_layer"].pytestmark[0].args[0] == "check"


def test_the_wrong_layer_gets_the_name_shown(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fresh cases need torch")
    (tmp_path / "my_rnn.py").write_text(example("dt = 1 - h_next**2"), "utf-8")
    status, output = command(tmp_path, "my_rnn.py:RNN")
    assert status == 1
    (shown,) = (block for block in blocks("text") if "my_rnn.py:RNN" in block)
    for line in shown.splitlines():
        if line.startswith((" ", "1.")) and "got" not in line:
            assert line in output


def test_the_adapter_passes(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="fresh cases need torch")
    (tmp_path / "adapter.py").write_text(example("def answer(case)"), "utf-8")
    status, output = command(
        tmp_path, "adapter.py:answer", "--without", "dx,dh_0,dWx,dWh,db", "--cases", "50"
    )
    assert status == 0, output


def command(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "parity_tests", *arguments], capture_output=True, text=True, cwd=folder
    )
    return done.returncode, done.stdout


def test_what_torch_writes_is_what_the_example_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    model = torch.nn.ModuleDict(
        {"rnn": torch.nn.RNN(8, 16, 2, bidirectional=True), "head": torch.nn.Linear(32, 7)}
    )
    (line,) = re.findall(r"# saved by torch's side: (.*)", example("model.npz"))
    exec(line, {"np": np, "model": model})
    names = run("model.npz")
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
    from parity_tests.run.cli import judge_parser

    text = README.read_text("utf-8")
    ours = set(re.findall(r"`(--[a-z]+)(?![-a-z])", text))
    assert len(ours) == 10, ours
    assert ours <= {option for action in judge_parser()._actions for option in action.option_strings}
    theirs = set(re.findall(r"--parity-[a-z]+", text))
    assert len(theirs) == 10
    assert all(hasattr(pytestconfig.option, name[2:].replace("-", "_")) for name in theirs)
