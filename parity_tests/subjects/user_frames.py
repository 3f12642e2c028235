"""A place in the user's own code: where an error arose, or where a process was when it stopped."""

import importlib
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from parity_tests.subjects.generated import generated

MAX_MESSAGE_CHARACTERS = 500
"""Characters kept of an error's own message."""

_OURS = Path(__file__).parents[1]
_TESTS = _OURS / "gate_tests"
_LAYERS = str(_OURS.with_name("rnn_np")) + os.sep


def _start() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it has been removed
        return Path("/nowhere")


_START = _start()  # a target may go elsewhere, or remove it
_LIBRARIES = tuple(
    path + os.sep
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)

_Frame = tuple[str, int, str]


def format_error(error: BaseException) -> str:
    """Return an error in one line: its type, its message, and its place."""
    where = user_frame(error)
    line = f"{error_line(error)} ({where})" if where else error_line(error)
    return "".join(character if character.isprintable() else "?" for character in line)


def error_line(error: BaseException) -> str:
    """Return its type and message alone, in one line of bounded length."""
    try:
        lines = traceback.format_exception_only(error)
    except Exception:  # its fields are not what Python expects
        lines = []
    line = next((line for line in lines if not line.startswith(" ")), type(error).__name__)
    line = " ".join(line.split())
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[:MAX_MESSAGE_CHARACTERS] + " ..."


def user_frame(error: BaseException) -> str:
    """Return ``file:line in function`` of the last frame that is the user's, or ``""``."""
    if (
        isinstance(error, SyntaxError)
        and isinstance(error.filename, str)
        and isinstance(error.lineno, int | None)
    ):
        return _shown((error.filename, error.lineno or 0, "<module>"))
    frames = traceback.walk_tb(error.__traceback__)
    return _last((frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in frames)


def last_frame(dump: str) -> str:
    """Return the same of what ``faulthandler`` wrote last, for the thread that counts."""
    _, crashed, rest = dump.rpartition("Current thread")
    threads = rest.split("(most recent call first):")
    # A crash names its thread first; without one the main thread stands last.
    frames = re.findall(r'File "(.*)", line (\d+) in (.*)', threads[1 if crashed else -1])
    return _last((name, int(line), function) for name, line, function in reversed(frames))


def _last(frames: Iterable[_Frame]) -> str:
    foreign = [frame for frame in frames if not _is_machinery(frame[0])]
    own = [frame for frame in foreign if not frame[0].startswith(_LIBRARIES)]
    chosen = own or foreign
    return _shown(chosen[-1]) if chosen else ""


def _is_machinery(filename: str) -> bool:
    path = Path(filename)
    return (
        (path.is_relative_to(_OURS) and not path.is_relative_to(_TESTS))
        or filename == importlib.__file__
        or generated(filename) is not None
        or filename.startswith("<frozen importlib")
    )


def is_users_file(filename: str) -> bool:
    """Whether a file is the user's: not the gate's, nor of a library."""
    return not _is_machinery(filename) and not filename.startswith((*_LIBRARIES, _LAYERS))


def _shown(frame: _Frame) -> str:
    filename, line, function = frame
    path = Path(filename)
    place = f"{path.relative_to(_START) if path.is_relative_to(_START) else filename}:{line}"
    return place if function.startswith("<") else f"{place} in {function}"
