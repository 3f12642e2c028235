"""Targets that cannot be loaded, each in its own way: one line with the place in the user's file."""

import json
import os
import sys
from pathlib import Path

import pytest

from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Target, load
from parity_tests.subjects.sandbox.parent import Child
from parity_tests.subjects.user_frames import format_error

SOURCES = {
    "class End(BaseException): pass\nraise End('of all')": r"End: of all \(.*mine\.py:2\)",
    "raise KeyboardInterrupt": r"KeyboardInterrupt \(.*mine\.py:1\)",
    "class M(type):\n    def __getattr__(cls, name): raise RuntimeError(name)\nclass RNN(metaclass=M): pass": (
        r"RuntimeError: __wrapped__ \(.*mine\.py:2 in __getattr__\)"
    ),
    "raise SyntaxError('x', (None, 'a', [], 5))": r"SyntaxError \(.*mine\.py:1\)",
    "e = SyntaxError('x')\ne.filename, e.lineno, e.text = 5, 'x', 7\nraise e": r"SyntaxError.* \(.*mine\.py:3\)",
    "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E": r"E: <exception str\(\) failed> ",
    "raise ValueError('\\x1b[31m\\x00' + 'line\\n' * 10**6)": r"ValueError: \?\[31m\?line line .* \.\.\. \(",
    "import pickle\npickle.dumps = pickle.loads = None\nraise ValueError(1)": r"ValueError: 1 \(.*mine\.py:3\)",
}


@pytest.mark.parametrize("source", SOURCES)
def test_whatever_loading_raises_is_one_line(source: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"{source}\n", "utf-8")
    with Child(Target(f"{file}:RNN"), 10) as child, pytest.raises(TargetError) as refusal:
        child.start()
    message = str(refusal.value)
    assert message.isprintable()
    assert len(message) < 1000
    with pytest.raises(TargetError, match=rf"mine\.py:RNN: loading it failed: (mine\.)?{SOURCES[source]}"):
        raise refusal.value


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    for name, what in (
        ("folder.py", "got a folder"),
        ("folder.ipynb", "got a folder"),
        ("pipe.py", "got a pipe"),
        ("loop.py", "link that leads nowhere"),
        ("none.py", "there is no such file"),
    ):
        with pytest.raises(TargetError, match=rf"{name}: .*{what}"):
            load(Target(f"{tmp_path / name}:RNN"))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cells": 5}',
        "[" * 200_000,
        json.dumps({"cells": [], "metadata": {}, "nbformat": 99}),
        "\0",
    ],
)
def test_a_notebook_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    pytest.importorskip("nbformat")
    file = tmp_path / "mine.ipynb"
    file.write_text(text, "utf-8")
    with pytest.raises(TargetError, match=r"mine\.ipynb: expected a notebook, got ") as refusal:
        load(Target(f"{file}:RNN"))
    assert "\n" not in str(refusal.value)


def test_the_message_of_an_error_is_printable() -> None:
    assert format_error(ValueError("a\x1b[31mb\x00c\td\u202ee")) == "ValueError: a?[31mb?c d?e"


def test_a_folder_that_is_gone_is_no_traceback(tmp_path: Path) -> None:
    import subprocess

    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.rmdir({str(gone)!r}); import parity_tests.__main__ as m; sys.exit(m.main())"
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gone,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 2
    assert done.stderr == "rnn-parity: the current folder no longer exists; go to another one\n"
