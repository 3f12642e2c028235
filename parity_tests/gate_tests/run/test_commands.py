"""Subcommands, versions, and targets that have the name of a subcommand."""

import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np

import rnn_np
from parity_tests.gate_tests.run.test_run import run

Command = Callable[..., tuple[int, str]]
ONE_CASE = ("--reference", "recorded", "--case", "cell-B1D1H1-f32-s0")


def test_a_target_with_the_name_of_a_subcommand_is_written_as_a_file(
    tmp_path: Path, run_here: Command
) -> None:
    (tmp_path / "faults.py").write_text("from rnn_np import RNN\n", "utf-8")
    status, output = run_here("./faults.py:RNN", *ONE_CASE, folder=tmp_path)
    assert status == 0, output
    assert "judging ./faults.py:RNN, taken for a cell" in output
    status, output = run_here("judge", "faults:RNN", *ONE_CASE, folder=tmp_path)
    assert status == 0, output
    assert "judging faults:RNN, taken for a cell" in output


def test_judge_is_the_default_command(run_here: Command) -> None:
    for words in (["judge"], []):
        status, output = run_here(*words, *ONE_CASE)
        assert status == 0, output
        assert "judging rnn_np (" in output
        assert "1 of 1 cases compared" in output


def test_an_empty_target_is_refused(run_here: Command) -> None:
    status, output = run_here("", "--reference", "recorded")
    assert status == 2
    assert "target: expected package.module:Name, " in output


def test_the_version_says_what_a_bug_report_needs() -> None:
    status, output = run("--version")
    assert status == 0
    lines = dict(line.split(" ", 1) for line in output.splitlines())
    assert lines["rnn-np"] == rnn_np.__version__
    assert lines["Python"].startswith(platform.python_version())
    assert lines["NumPy"].startswith(f"{np.__version__}, BLAS: ")
    assert {"torch", "hypothesis", "pytest", "pytest-xdist", "platform", "processor"} <= lines.keys()
