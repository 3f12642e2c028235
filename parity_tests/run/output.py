"""Output that may fail: the file of the report, and the command's own streams."""

import contextlib
import errno
import io
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

_temporary: set[Path] = set()


# Files


def check_writable(file: Path) -> None:
    """Say before the run that a file cannot be written; nothing is created or changed.

    Raises:
        OSError: it cannot be written.
        ValueError: it is no path, for a NUL in it.
    """
    target = _real(file)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise _error(errno.ENOENT, target.parent) from None
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise _error(errno.EACCES, target.parent) from None
        return
    if stat.S_ISDIR(mode):
        raise _error(errno.EISDIR, file)
    if not os.access(target, os.W_OK):
        raise _error(errno.EACCES, file)


def write_whole(file: Path, text: str) -> None:
    """Write a file so that it holds all of the text, or what it held before.

    A device, a pipe and the file that stdout or stderr goes to are written to directly.

    Raises:
        OSError: it cannot be written.
    """
    target = _real(file)
    stream = _stream(target)
    if stream is not None:
        stream.flush()
        _write(os.dup(stream.fileno()), text)
    elif target.exists() and not target.is_file():
        _write(os.open(target, os.O_WRONLY), text)
    else:
        _replace(target, text)


def remove_temporary_files() -> None:
    """Remove what ``write_whole`` has not finished; for a signal handler."""
    for file in list(_temporary):
        file.unlink(missing_ok=True)


def _real(file: Path) -> Path:
    """The file that a link leads to: it is replaced, and not the link."""
    return Path(os.path.realpath(file))


def _error(number: int, file: Path) -> OSError:
    return OSError(number, os.strerror(number), str(file))


def _stream(target: Path) -> TextIO | None:
    """The stream that goes to a file, if one does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if os.path.samestat(target.stat(), os.fstat(stream.fileno())):
                return stream
    return None


def _write(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".rnn-parity-{secrets.token_hex(4)}.tmp")
    _temporary.add(temporary)
    try:
        temporary.touch(target.stat().st_mode & 0o777 if target.exists() else 0o666, exist_ok=False)
        temporary.write_text(text, "utf-8")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        _temporary.discard(temporary)


# Streams


class Printer(io.TextIOBase):
    """A text stream that takes all that is printed, even where the stream below it no longer does.

    Attributes:
        error: what went wrong first below, or None.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Print a text, with escapes for what the stream's encoding lacks."""
        encoding = self.stream.encoding or "utf-8"
        self._try(self.stream.write, text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, method: Any, *arguments: Any) -> None:
        if self.error is not None:
            return
        try:
            method(*arguments)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self.error = error
            # What is left in its buffer goes nowhere, or Python would complain at its end.
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self.stream.fileno())
                os.close(null)

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return bool(self.stream.isatty())

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        """That of the stream below."""
        return self.stream.encoding

    @property
    def buffer(self) -> Any:
        """That of the stream below."""
        return self.stream.buffer


@contextmanager
def lasting_stdout() -> Iterator[Printer]:
    """Have a stdout that lasts: a reader may go, the disk may be full, or there may be none.

    Where file descriptors 0 to 2 are closed, they are opened first: another file with such a number
    would be written to by accident.
    """
    closed = _open_standard_files()
    before, sys.stdout = sys.stdout, Printer(sys.stdout)
    printer = sys.stdout
    if 1 in closed:
        printer.error = OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        yield printer
    finally:
        printer.flush()
        sys.stdout = before


def _open_standard_files() -> list[int]:
    closed = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    return closed
