"""The worker: what runs in the child process. It loads the target there and calls functions with it."""

import faulthandler
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pickle import HIGHEST_PROTOCOL, dumps, loads
from typing import Any

from parity_tests.subjects.compiling import CompileSource
from parity_tests.subjects.interfaces import TargetError, subject_of
from parity_tests.subjects.loading import Target, load
from parity_tests.subjects.sandbox.framing import framed, receive
from parity_tests.subjects.user_frames import format_error

LEAST_RECURSION = 1000
"""Python's own limit, which sending an answer needs even if the target has set a lower one."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What the gate sends first.

    Attributes:
        target: what to load.
        functions: what the gate will call with the subject. To read their names is to import their
            modules: before the target, whose folder may hide modules that they need.
        load_seconds: after which loading is given up.
        seconds: after which a call is given up.
        compile_source: compiles the user's files instead of Python; None: Python does.
    """

    target: Target
    functions: tuple[Callable[..., Any], ...]
    load_seconds: float
    seconds: float
    compile_source: CompileSource | None = None


def main(channel_fd: int, trace_fd: int) -> None:
    """Load the target and serve until the gate hangs up; never returns.

    Every message back is a pair: ``loaded``, ``refused``, ``answer`` or ``raised``, and what goes with it.
    """
    os.set_inheritable(trace_fd, False)
    os.set_inheritable(channel_fd, False)
    worker = _Worker(socket.socket(fileno=channel_fd), trace_fd)
    worker.serve()
    # The gate has hung up. What the target has started, threads or processes, ends with this process.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


class _Worker:
    def __init__(self, channel: socket.socket, trace_fd: int) -> None:
        self.channel = channel
        self.trace_fd = trace_fd
        self.pid = os.getpid()
        self.secret = b""
        faulthandler.enable(trace_fd)

    def serve(self) -> None:
        config = self.receive()
        if config is None:
            return
        sys.argv = [config.target.module_or_file]
        self.limit(config.load_seconds)
        try:
            loaded = load(config.target, config.compile_source)
        except BaseException as error:  # also of a class whose attributes raise when they are read
            why = f"{config.target.spec}: loading it failed: {format_error(error)}"
            self.send(_pickled("refused", str(error) if isinstance(error, TargetError) else why))
            return
        self.send(_pickled("loaded", replace(loaded, obj=None)))
        while (request := self.receive()) is not None:
            self.limit(config.seconds)
            function, arguments = request
            try:
                subject = subject_of(loaded.obj, loaded.interface)
                reply = _pickled("answer", function(subject, *arguments))
            except BaseException as error:
                reply = _pickled("raised", format_error(error))
            self.send(reply)

    def limit(self, seconds: float) -> None:
        """Arm a watchdog that kills the process, even if the GIL is held or the parent is gone."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.trace_fd)

    def receive(self) -> Any:
        received = receive(self.channel)
        if received is None:
            return None
        self.secret, data = received
        return loads(data)

    def send(self, reply: bytes) -> None:
        if os.getpid() != self.pid:
            os._exit(0)  # the target has forked, and this is the other one
        faulthandler.cancel_dump_traceback_later()
        self.channel.sendall(framed(self.secret, reply))


def _pickled(message: str, value: Any) -> bytes:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), LEAST_RECURSION))
    return dumps((message, value), HIGHEST_PROTOCOL)
