"""Output that fails: nothing is lost, nothing is half written, and a line says what failed."""

import errno
import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parity_tests.gate_tests.run.test_run import run
from parity_tests.run.output import Printer, check_writable, remove_temporary_files, write_whole

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def test_a_file_is_replaced_as_a_whole_and_a_link_and_its_mode_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "report.json", tmp_path / "link.json"
    file.write_text("old", "utf-8")
    file.chmod(0o640)
    link.symlink_to(file)
    write_whole(link, "new")
    assert link.is_symlink()
    assert file.read_text("utf-8") == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert {*tmp_path.iterdir()} == {file, link}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_written_to_the_end_is_as_before(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    for name in ("old.json", "new.json"):
        file = tmp_path / name
        if name == "old.json":
            file.write_text("old", "utf-8")
        for method in ("write_text", "replace"):
            with monkeypatch.context() as patch:
                patch.setattr(Path, method, fail)
                with pytest.raises(type(error)):
                    write_whole(file, "new")
    assert [file.read_text("utf-8") for file in tmp_path.iterdir()] == ["old"]


def test_a_signal_handler_removes_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_text", lambda *_: remove_temporary_files())
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "report.json", "new")
    assert not [*tmp_path.iterdir()]


def test_a_pipe_and_the_file_of_stdout_are_written_to_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(fifo, "whole")
    assert os.read(reader, 99) == b"whole"
    os.close(reader)
    with (tmp_path / "out").open("w+", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stdout", out)
        out.write("before ")
        write_whole(tmp_path / "out", "report")
        out.write(" after")
    assert (tmp_path / "out").read_text("utf-8") == "before report after"


@needs_full
def test_a_full_disk_is_an_error() -> None:
    check_writable(FULL)
    with pytest.raises(OSError, match="No space left"):
        write_whole(FULL, "report")


def test_what_cannot_be_written_is_said_before_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("old", "utf-8")
    bad: list[tuple[Path, str]] = [
        (Path(), "Is a directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none" / "a.json", "No such file or directory"),
        (file / "a.json", "Not a directory"),
        (tmp_path / ("a" * 999), "File name too long"),
        (tmp_path / "a\0", "null"),
    ]
    for path, message in bad:
        with pytest.raises((OSError, ValueError), match=message):
            check_writable(path)
    check_writable(tmp_path / "new.json")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)  # root may write anywhere
        for path in (file, tmp_path / "new.json"):
            with pytest.raises(OSError, match="Permission denied"):
                check_writable(path)
    assert [*tmp_path.iterdir()] == [file]
    assert file.read_text("utf-8") == "old"


class Failing(io.StringIO):
    """A stream that takes so many texts."""

    encoding = "ascii"

    def __init__(self, texts: int) -> None:
        super().__init__()
        self.texts = texts

    def write(self, text: str) -> int:
        self.texts -= 1
        if self.texts < 0:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(text)


def test_printing_goes_on_where_nobody_reads() -> None:
    stream = Failing(1)
    printer = Printer(stream)
    for text in ("é\n", "lost", "lost too"):
        assert printer.write(text) == len(text)
        printer.flush()
    assert stream.getvalue() == "\\xe9\n"
    assert isinstance(printer.error, BrokenPipeError)
    stream = Failing(1)
    stream.close()
    closed = Printer(stream)
    closed.write("text")
    assert isinstance(closed.error, ValueError)


Command = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def in_a_shell() -> Command:
    """Runs the command with what a shell does to its streams."""

    def in_shell(redirection: str) -> tuple[int, str]:
        code = (
            "import subprocess, sys\n"
            "command = [sys.executable, '-m', 'parity_tests', '--version']\n"
            f"sys.exit(subprocess.run(['bash', '-c', '\"$@\" {redirection}', 'bash', *command]).returncode)"
        )
        return run(code=code)

    return in_shell


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        pytest.param("> /dev/full", "No space left on device", marks=needs_full),
        ("| true; exit ${PIPESTATUS[0]}", "Broken pipe"),
        (">&-", "Bad file descriptor"),
    ],
)
def test_an_output_that_fails_is_one_line_and_status_2(
    redirection: str, message: str, in_a_shell: Command
) -> None:
    assert in_a_shell(redirection) == (2, f"rnn-parity: stdout: cannot print: {message}\n")


@needs_full
def test_a_report_that_cannot_be_written_is_no_pass_and_the_verdict_is_printed() -> None:
    status, text = run("--reference", "recorded", "--case", "B1T1D1H1-f64-s0", "--json", str(FULL))
    assert status == 2
    assert "NOT JUDGED: json: cannot write /dev/full: No space left on device" in text
    assert "1 of 1 cases compared" in text
    assert "Traceback" not in text
