"""The command ``rnn-parity speed``."""

import importlib.util
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from parity_tests.speed import measure, table, timing
from parity_tests.speed.ours import Contender
from parity_tests.speed.peers import PEERS, Peer, of_loop, of_torch
from parity_tests.speed.plot import AXES, swept
from parity_tests.speed.problem import LAYERS, Problem, Shape
from parity_tests.speed.timing import Spread
from rnn_np import TimeRNN, nn

Command = Callable[..., tuple[int, str]]
TINY = ("--shapes", "2x3x2x4", "--rounds", "1")
LIBRARIES = ("jax", "jax-projected", "onnxruntime")


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let these packages not be installed, as far as ``speed`` can see."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in packages else found(name, *rest)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_is_measured_beside_its_peers(dtype: str, tmp_path: Path, run_here: Command) -> None:
    file = tmp_path / "speed.json"
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        words = ("--layers", "all", "--peers", "torch,loop", "--dtype", dtype, "--json", str(file))
        status, output = run_here("speed", *TINY, *words)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert status == 0, output
    assert f"numbers: {dtype}\nof peak: the share of the speed of NumPy's product " in output
    assert f"peers: torch: torch {torch.__version__}; loop\nnot measured: none\nthreads: 1\n" in output
    assert "NumPy: " in output
    assert ", BLAS: " in output
    assert "processor: " in output
    assert "3 of 14: nn.RNN, training, 2, 3, 2, 4\n" in output
    assert re.search(r"\n2, 1, 2, 4 +rnn_np +\d+\.\d{4} +\d+\.\d{4} to \d+\.\d{4} +\d+\.\d% ", output)
    figures = json.loads(file.read_text("utf-8"))
    assert [(row["layer"], row["kind"]) for row in figures["rows"]] == [
        (layer, kind) for layer in LAYERS for kind in ("training", "forward")
    ]
    for row in figures["rows"]:
        beside = (
            {"torch"} if row["layer"] in ("two-layers", "bidirectional", "lengths") else {"torch", "loop"}
        )
        assert row["milliseconds"].keys() == row["shares"].keys() == {"rnn_np"} | beside
        assert row["ratios"].keys() == beside
        operations = Problem(row["layer"], Shape(**row["shape"]), dtype).operations(row["kind"] == "training")
        milliseconds = row["milliseconds"]["rnn_np"]["median"]
        assert row["shares"]["rnn_np"] == pytest.approx(
            operations / (milliseconds / 1e3) / (1e9 * row["product"]["median"])
        )
        for name, ratio in row["ratios"].items():
            times = row["milliseconds"]
            assert ratio["median"] == pytest.approx(times["rnn_np"]["median"] / times[name]["median"])
    assert figures["threads"] == 1
    assert figures["rounds"] == 1
    assert figures["plot"] == []


def test_a_single_step_has_no_number_of_steps(run_here: Command) -> None:
    words = ("--shapes", "2x3x2x4,2x5x2x4", "--rounds", "1", "--layers", "RNN", "--peers", "loop")
    status, output = run_here("speed", *words)
    assert status == 0
    assert re.findall(r"(\d of \d): (.*)", output) == [
        ("1 of 2", "RNN, training, 2, 1, 2, 4"),
        ("2 of 2", "RNN, forward, 2, 1, 2, 4"),
    ]


def test_torch_gets_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        of_torch(Problem("TimeRNN", Shape(1, 1, 1, 2), "float32"), 3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, run_here: Command) -> None:
    without(monkeypatch, "jax", "onnxruntime", "torch", "matplotlib")
    status, output = run_here("speed", *TINY)
    assert status == 0, output
    absent = "; ".join(
        f"{name}: {package} is not installed"
        for name, package in (
            ("torch", "torch"),
            ("compiled", "torch"),
            ("jax", "jax"),
            ("jax-projected", "jax"),
            ("onnxruntime", "onnxruntime"),
        )
    )
    assert f"peers: loop\nnot measured: {absent}\n" in output
    status, output = run_here("speed", *TINY, "--layers", "lengths,RNN")
    assert status == 2
    assert "argument --layers: lengths: torch is not installed, which gives the true answer: pip " in output
    status, output = run_here("speed", "--plot", "speed.png")
    assert status == 2
    assert "argument --plot: matplotlib is not installed: pip install 'rnn-np[speed]'" in output


def test_torch_compile_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = next(peer for peer in PEERS if peer.name == "compiled")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiled.missing() == "torch.compile needs a C++ compiler, g++ or the one named by CXX"
    monkeypatch.setenv("CXX", "python")
    assert not compiled.missing()


def never(*_: Any) -> Any:
    raise AssertionError("a wrong answer was timed")


@pytest.mark.parametrize("tensor", ["output", "d_input", "weight_hh_l0", "bias_ih_l0"])
def test_a_wrong_peer_is_not_timed(tensor: str, monkeypatch: pytest.MonkeyPatch, run_here: Command) -> None:
    def wrong(problem: Problem, threads: int) -> Contender:
        right = of_loop(problem, threads)

        def training() -> Any:
            answer = right.passes["training"]()
            answer[tensor] = answer[tensor] * np.float32(1.001)
            return answer

        return right._replace(passes={**right.passes, "training": training})

    monkeypatch.setattr(table, "PEERS", [Peer("loop", (), None, wrong)])
    monkeypatch.setattr(measure, "in_turn", never)
    status, output = run_here("speed", *TINY)
    assert status == 1
    assert f"rnn-parity speed: loop, TimeRNN, training, 2, 3, 2, 4: {tensor} is off by " in output
    assert "expected at most 0.0001 of that. A wrong answer is not timed\n" in output


def test_a_peer_whose_answer_has_another_shape_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, run_here: Command
) -> None:
    def wrong(problem: Problem, threads: int) -> Contender:
        return of_loop(problem, threads)._replace(read=lambda found: {"output": found["output"][:1]})

    monkeypatch.setattr(table, "PEERS", [Peer("loop", (), None, wrong)])
    monkeypatch.setattr(measure, "in_turn", never)
    status, output = run_here("speed", *TINY)
    assert status == 1
    assert ": output: expected shape [3, 2, 4], got shape [1, 2, 4]\n" in output


@pytest.mark.parametrize(
    ("layer", "cls", "method", "tensor"),
    [
        ("TimeRNN", TimeRNN, "backward", "d_input"),
        ("lengths", nn.RNN, "backward", "d_input"),
        ("nn.RNN", nn.RNN, "forward", "output"),
        ("nn.RNNCell", nn.RNNCell, "backward", "d_input"),
    ],
)
def test_a_wrong_layer_of_ours_is_not_timed(
    layer: str, cls: Any, method: str, tensor: str, monkeypatch: pytest.MonkeyPatch, run_here: Command
) -> None:
    right = getattr(cls, method)

    def wrong(self: Any, *arguments: Any, **options: Any) -> Any:
        found = right(self, *arguments, **options)
        return found * 1.001 if isinstance(found, np.ndarray) else (found[0] * 1.001, *found[1:])

    monkeypatch.setattr(cls, method, wrong)
    monkeypatch.setattr(measure, "in_turn", never)
    status, output = run_here("speed", *TINY, "--layers", layer, "--peers", "loop")
    assert status == 1
    assert f"rnn-parity speed: rnn_np, {layer}, training, " in output
    assert f": {tensor} is off by " in output


def test_nan_is_a_wrong_answer(monkeypatch: pytest.MonkeyPatch, run_here: Command) -> None:
    monkeypatch.setattr(TimeRNN, "forward_only", lambda self, xs: np.full((2, 3, 4), np.nan, np.float32))
    status, output = run_here("speed", *TINY, "--peers", "loop")
    assert status == 1
    assert "rnn_np, TimeRNN, forward, 2, 3, 2, 4: output is off by nan" in output


def test_a_peer_that_fails_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, run_here: Command
) -> None:
    def failing(problem: Problem, threads: int) -> Contender:
        raise NotImplementedError("no float64 here\nand more")

    monkeypatch.setattr(table, "PEERS", [Peer("onnxruntime", (), None, failing)])
    status, output = run_here("speed", *TINY)
    assert status == 0
    assert re.search(r"\n +onnxruntime +left out: NotImplementedError: no float64 here\n", output)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shapes", "1x2x3"], "--shapes: expected shapes BxTxDxH of whole numbers of at least 1, such as"),
        (["--shapes", "1x2x0x4"], "got '1x2x0x4'"),
        (["--shapes", "1x2x3x4,"], "got ''"),
        (["--shapes", "1x2x-3x4"], "got '1x2x-3x4'"),
        (
            ["--shapes", "1000x1000x1000x1"],
            "--shapes: expected at most 268,435,456 numbers in inputs, states",
        ),
        (["--layers", "TimeRNN,nn.RMN"], "--layers: expected some of TimeRNN, nn.RNN, two-layers,"),
        (["--layers", "nn.RMN"], "got 'nn.RMN'; did you mean nn.RNN?"),
        (["--peers", "tensorflow"], "--peers: expected some of torch, compiled, jax, jax-projected,"),
        (["--threads", "0"], "--threads: expected a whole number from 1 to "),
        (["--threads", "two"], "got 'two'"),
        (["--rounds", "1.5"], "--rounds: expected a whole number from 1 to 10,000, got '1.5'"),
        (["--dtype", "float16"], "--dtype: invalid choice: 'float16'"),
        (["--json", "no/such/folder.json"], "--json: cannot write no/such/folder.json"),
        (["--json", "."], "--json: cannot write ."),
        (["--plot", "speed.gif"], "--plot: expected a file with .png, .svg, .pdf, got 'speed.gif'"),
        (["my_rnn.py"], "unrecognized arguments: my_rnn.py"),
    ],
)
def test_a_bad_option_is_refused(words: list[str], message: str, tmp_path: Path, run_here: Command) -> None:
    status, output = run_here("speed", *words, folder=tmp_path)
    assert status == 2
    assert "rnn-parity speed: error: " in output
    assert message in output
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_file_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_here: Command
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    status, output = run_here("speed", "--json", str(tmp_path / "speed.json"))
    assert status == 2
    assert "--json: cannot write" in output


def test_jax_gets_the_threads_and_the_environment_is_restored(
    monkeypatch: pytest.MonkeyPatch, run_here: Command
) -> None:
    seen: dict[str, str | None] = {}

    def looking(problem: Problem, threads: int) -> Contender:
        seen.update({name: os.environ.get(name) for name in ("NPROC", "XLA_FLAGS")}, threads=str(threads))
        return of_loop(problem, threads)

    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr(table, "PEERS", [Peer("jax", (), None, looking)])
    assert run_here("speed", *TINY)[0] == 0
    flags = "--xla_dump_to=x --xla_cpu_multi_thread_eigen=false"
    assert seen == {"NPROC": "1", "XLA_FLAGS": flags, "threads": "1"}
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=x"
    assert "NPROC" not in os.environ


def test_each_size_is_doubled_over_a_decade() -> None:
    base = Shape(1, 2, 3, 4)
    assert [shape.T for shape in swept(base, "T")] == [2, 4, 8, 16, 32]
    assert {axis: swept(base, axis)[-1] for axis in AXES}["D"] == Shape(1, 2, 48, 4)


def test_a_plot_is_drawn(tmp_path: Path, run_here: Command) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "speed.svg"
    status, output = run_here(
        "speed", "--shapes", "1x1x1x2", "--rounds", "1", "--peers", "loop", "--plot", str(file)
    )
    assert status == 0, output
    assert "19 of 19: TimeRNN, training, 1, 1, 1, 32" in output
    assert "<svg" in file.read_text("utf-8")


@pytest.mark.parametrize("name", LIBRARIES)
def test_other_libraries_give_the_true_answer(name: str, run_here: Command) -> None:
    peer = next(peer for peer in PEERS if peer.name == name)
    for package in peer.packages:
        pytest.importorskip(package)
    status, output = run_here("speed", *TINY, "--layers", "TimeRNN,nn.RNN", "--peers", name)
    assert status == 0, output
    assert len(re.findall(rf"\n +{name} +\d", output)) == (2 if name == "onnxruntime" else 4)


def test_the_operations_of_a_problem() -> None:
    assert Problem("TimeRNN", Shape(2, 3, 4, 5), "float32").operations(training=False) == 2 * 6 * 5 * (4 + 5)
    two, both = (Problem(layer, Shape(2, 3, 4, 5), "float32") for layer in ("two-layers", "bidirectional"))
    assert two.operations(training=True) == 6 * 6 * 5 * (4 + 5 + 5 + 5)
    assert both.operations(training=True) == 6 * 6 * 5 * 2 * (4 + 5)
    lengths = Problem("lengths", Shape(2, 3, 4, 5), "float32")
    assert lengths.lengths is not None
    assert lengths.operations(training=False) == 2 * sum(lengths.lengths) * 5 * (4 + 5)


def test_medians_and_quartiles() -> None:
    assert Spread.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0)


def test_every_function_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BLOCK_SECONDS", 0.0)
    called: list[str] = []
    times = timing.in_turn([lambda: called.append("a"), lambda: called.append("b")], 2)
    assert called == ["a", "b", "a", "b", "a", "b"]
    assert [len(found) for found in times] == [2, 2]
    monkeypatch.setattr(timing, "MOST_SECONDS", 0.0)
    assert [len(found) for found in timing.in_turn([lambda: None], 9)] == [timing.LEAST_ROUNDS]


def test_the_product_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PRODUCT_SIZE", 3)
    product = timing.Product("float32")
    product.run()
    assert product.operations == 54
    assert 8000 <= timing.peak_memory(lambda: np.zeros(1000)) < 10_000
