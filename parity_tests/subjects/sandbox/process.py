"""A process that the gate starts, talks with, listens to, and kills."""

import contextlib
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parity_tests.subjects.sandbox.framing import CHUNK_BYTES, HEADER, SECRET_BYTES, framed
from parity_tests.subjects.user_frames import last_frame

OUTPUT_BYTES_KEPT = 4096
"""Bytes kept of what is printed, the last ones."""

OUTPUT_LINES_SHOWN = 5
"""Of these, lines shown of a process that died."""

GRACE_SECONDS = 5.0
"""Seconds beyond its limit in which a process should have ended by itself and reported where it was."""

_POLL = 0.2
_BOOT = "import sys; sys.path[:] = sys.argv[3:]; from parity_tests.subjects.sandbox.worker import main; main(*map(int, sys.argv[1:3]))"
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "MPLBACKEND": "Agg",  # plt.show() waits for nobody
}


def can_start() -> bool:
    """Whether this system can: Windows has no process groups, and passes no open files on."""
    return os.name == "posix" and hasattr(os, "killpg") and hasattr(signal, "SIGKILL")


class ChildError(Exception):
    """A request was not answered; the message says why, and nothing else may be concluded."""


class ChildTimeout(ChildError):
    """The target was stopped because it did not return in time."""


class ChildDied(ChildError):
    """The target's process ended, by itself or by a signal, before it answered."""


_running: set["Process"] = set()


def kill_all() -> None:
    """End all processes that run, and those that they have started; for a signal handler."""
    for process in list(_running):
        process.kill()


class Process:
    """A host in a process group of its own, found by the gate's own ``sys.path``.

    Args:
        folder: in which it starts.

    Attributes:
        printed: the end of what was printed during the last exchange, on stdout or stderr.
    """

    def __init__(self, folder: Path) -> None:
        self.printed = ""
        self._tail = bytearray()
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._channel, theirs = socket.socketpair()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115, closed by kill
        fds = theirs.fileno(), self._trace.fileno()
        path = map(os.path.abspath, sys.path)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-u", "-B", "-c", _BOOT, *map(str, fds), *path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | _ENVIRONMENT,
                pass_fds=fds,
                start_new_session=True,
            )
        _running.add(self)
        assert self._popen.stdout is not None
        self._output = self._popen.stdout
        self._channel.setblocking(False)
        os.set_blocking(self._output.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._selector.register(self._channel, selectors.EVENT_READ)

    def exchange(self, data: bytes, seconds: float) -> bytes:
        """Send data and return what comes back.

        Raises:
            ChildTimeout: nothing complete came back in time.
            ChildDied: the process ended first, or garbled its connection with the gate.
        """
        self._listen()  # what threads have printed in the meantime belongs to no request
        self._tail.clear()
        try:
            return self._exchange(memoryview(framed(self._secret, data)), seconds)
        finally:
            self.printed = self._tail.decode("utf-8", "replace")

    def kill(self) -> None:
        """End the process and its group, at once; do nothing if that is done."""
        # macOS says that a group of the dead may not be signalled.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        _running.discard(self)
        self._selector.close()
        for file in (self._channel, self._output, self._trace):
            file.close()

    def _exchange(self, outgoing: memoryview, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds + GRACE_SECONDS
        incoming = bytearray()
        self._selector.modify(self._channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while time.monotonic() < deadline:
            ready = {key.fileobj: mask for key, mask in self._selector.select(_POLL)}
            if self._output in ready:
                self._listen()
            mask = ready.get(self._channel, 0)
            try:
                if mask & selectors.EVENT_WRITE:
                    outgoing = outgoing[self._channel.send(outgoing[:CHUNK_BYTES]) :]
                    if not outgoing:
                        self._selector.modify(self._channel, selectors.EVENT_READ)
                if mask & selectors.EVENT_READ:
                    piece = self._channel.recv(CHUNK_BYTES)
                    incoming += piece
                    if not piece:
                        raise self._ended(seconds)
            except ConnectionError:
                raise self._ended(seconds) from None
            if self._is_complete(incoming):
                self._listen()
                return bytes(incoming[HEADER.size :])
            # A process that the target has forked may hold the other end open.
            if not ready and self._popen.poll() is not None:
                raise self._ended(seconds)
        raise ChildTimeout(f"timed out after {seconds:g} s")

    def _is_complete(self, incoming: bytearray) -> bool:
        if len(incoming) < HEADER.size:
            return False
        secret, size = HEADER.unpack_from(incoming)
        if secret != self._secret or len(incoming) > HEADER.size + size:
            raise ChildDied("it wrote to the gate's private socket")
        return bool(len(incoming) == HEADER.size + size)

    def _listen(self) -> None:
        """Take in what has been printed; a pipe holds no more than a piece."""
        if self._output not in self._selector.get_map():
            return
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self._output.fileno(), CHUNK_BYTES)
            if not piece:
                self._selector.unregister(self._output)
            self._tail += piece
            del self._tail[:-OUTPUT_BYTES_KEPT]

    def _ended(self, seconds: float) -> ChildError:
        """Why there will be no answer."""
        try:
            status = self._popen.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return ChildDied("it closed the gate's private socket")
        self._listen()
        self._trace.seek(0)
        trace = self._trace.read().decode("utf-8", "replace")
        place = last_frame(trace)
        if "Timeout (" in trace:
            return ChildTimeout(f"timed out after {seconds:g} s" + (f"; it was at {place}" if place else ""))
        last = " | ".join(self._tail.decode("utf-8", "replace").splitlines()[-OUTPUT_LINES_SHOWN:])
        return ChildDied(
            f"its process ended, {_in_words(status)}"
            + (f", at {place}" if place else "")
            + (f"; it printed last: {last}" if last else "")
        )


def _in_words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
