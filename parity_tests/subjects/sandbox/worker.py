"""The host: what runs in a child process, loads the target there, and serves the gate's requests."""

import faulthandler
import importlib
import os
import pickle
import socket
import sys
from dataclasses import dataclass, replace
from typing import Any

from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Target, load
from parity_tests.subjects.sandbox.framing import framed, receive
from parity_tests.subjects.user_frames import told

LEAST_RECURSION = 1000
"""Python's own limit, which answering needs whatever the target has set."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the gate sends first.

    Attributes:
        target: what to load.
        handler: ``module:function``; called with the object, its kind and a request, it answers.
        load_seconds: after which loading is given up.
        seconds: after which a request is given up.
    """

    target: Target
    handler: str
    load_seconds: float
    seconds: float


def main(channel_fd: int, trace_fd: int) -> None:
    """Load the target and serve until the gate hangs up; never returns.

    Every message back is a pair: ``loaded``, ``refused``, ``answer`` or ``raised``, and what goes with it.
    """
    os.set_inheritable(trace_fd, False)
    os.set_inheritable(channel_fd, False)
    host = _Host(socket.socket(fileno=channel_fd), trace_fd)
    host.serve()
    os._exit(0)  # past threads that the target may have left running


class _Host:
    def __init__(self, channel: socket.socket, trace_fd: int) -> None:
        self.channel = channel
        self.trace_fd = trace_fd
        self.pid = os.getpid()
        self.secret = b""
        faulthandler.enable(trace_fd)

    def serve(self) -> None:
        orders = self.receive()
        if orders is None:
            return
        module, function = orders.handler.split(":")
        # Before the target, whose folder may hide modules that the handler needs.
        handler = getattr(importlib.import_module(module), function)
        sys.argv = [orders.target.place]
        self.limit(orders.load_seconds)
        try:
            loaded = load(orders.target)
        except TargetError as error:
            self.send(_pickled("refused", str(error)))
            return
        self.send(_pickled("loaded", replace(loaded, obj=None)))
        while (request := self.receive()) is not None:
            self.limit(orders.seconds)
            try:
                reply = _pickled("answer", handler(loaded.obj, loaded.kind, request))
            except BaseException as error:
                reply = _pickled("raised", told(error))
            self.send(reply)

    def limit(self, seconds: float) -> None:
        """End the process by itself after a while, even if it never lets Python run, even without a gate."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.trace_fd)

    def receive(self) -> Any:
        received = receive(self.channel)
        if received is None:
            return None
        self.secret, data = received
        return pickle.loads(data)

    def send(self, reply: bytes) -> None:
        if os.getpid() != self.pid:
            os._exit(0)  # the target has forked, and this is the other one
        faulthandler.cancel_dump_traceback_later()
        self.channel.sendall(framed(self.secret, reply))


def _pickled(message: str, value: Any) -> bytes:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), LEAST_RECURSION))
    return pickle.dumps((message, value), pickle.HIGHEST_PROTOCOL)
