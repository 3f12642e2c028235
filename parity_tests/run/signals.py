"""Signals to the command.

Ctrl-C asks for what is known so far: what is being judged ends, the rest is left out, and the report is
made. SIGTERM and SIGHUP end everything at once: the workers, and the child processes of targets.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

from parity_tests.run.output import remove_temporary_files
from parity_tests.run.runner import Run
from parity_tests.subjects.sandbox.process import kill_all

FROM_COMMAND = "parity_from_command"
"""Tells a worker process that the command has started it, and not a developer's pytest."""
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_Workers = Callable[[], Iterable[int]]


@contextmanager
def ended_by_signals(workers: _Workers) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this process with all that it has started; restore all handlers at the end.

    Args:
        workers: gives the numbers of the worker processes at that time.
    """
    before = {number: signal.getsignal(number) for number in (*_ENDS, signal.SIGINT)}
    for number in _ENDS:
        _set(number, partial(_end, workers, f"rnn-parity: ended by {number.name}\n"))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report_at_interrupt(run: Run, workers: _Workers) -> None:
    """Let the first Ctrl-C end the judging, here and in the workers; the next one is as usual."""

    def handler(number: int, frame: FrameType | None) -> None:
        if run.interrupted:
            signal.default_int_handler(number, frame)
        print("\ninterrupted: the report of what is known follows", file=sys.stderr)
        _send(signal.SIGINT, workers())
        run.interrupt()

    _set(signal.SIGINT, handler)


def handle_in_worker(run: Run) -> None:
    """Set the handlers of a worker process, for as long as it lives."""
    for number in _ENDS:
        _set(number, partial(_end, tuple, ""))
    _set(signal.SIGINT, lambda *_: run.interrupt())


def _set(number: signal.Signals, handler: Callable[[int, FrameType | None], Any]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
        signal.signal(number, handler)


def _send(number: int, processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _end(workers: _Workers, message: str, number: int, _: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, message.encode())  # print may have been interrupted itself
    _send(number, workers())
    kill_all()
    remove_temporary_files()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
