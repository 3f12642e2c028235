"""What a run shows while it goes on: cases judged, cases a second, time left."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from parity_tests.run.runner import Run
from parity_tests.run.show.layout import terminal_width
from parity_tests.words import counted

LOG_SECONDS = 10.0
"""Seconds between two lines of a log."""
REWRITE_SECONDS = 0.2
"""Seconds between two texts of a line that is rewritten."""

LEAST_SECONDS_OF_A_RATE = 2.0
"""Before, the first cases say little about the others."""

Count = Callable[[], int]


class Progress:
    """Shows how far a run is: one line that is rewritten, or in a log a line every ten seconds.

    Args:
        out: where to write.
        rewrites: whether the line is rewritten.
        planned: returns how many there are to judge; 0 until that is known.
        judged: returns how many have been judged.
        noun: what is counted.
        verb: what is done with it.

    Attributes:
        phase: what is done after the last of them, or ``""``.
    """

    def __init__(
        self,
        out: TextIO,
        rewrites: bool,
        planned: Count,
        judged: Count,
        noun: str = "case",
        verb: str = "judged",
    ) -> None:
        self._out, self._rewrites = out, rewrites
        self._planned, self._judged = planned, judged
        self._noun, self._verb = noun, verb
        self.phase = ""
        self._started = self._shown_at = time.monotonic()
        self._judging_since: float | None = None
        self._written = 0

    def tick(self) -> None:
        """Show it, if it is time."""
        now = time.monotonic()
        if self._judging_since is None and self._judged():
            self._judging_since = now
        if now - self._shown_at < (REWRITE_SECONDS if self._rewrites else LOG_SECONDS):
            return
        self._shown_at = now
        line = self.line(now)
        if self._rewrites:
            line = line[: max(terminal_width() - 1, 1)]
            self._write("\r" + line.ljust(self._written))
            self._written = len(line)
        else:
            self._write(line + "\n")

    def clear(self) -> None:
        """Remove the line that is rewritten."""
        if self._written:
            self._write("\r" + " " * self._written + "\r")
            self._written = 0

    def line(self, now: float) -> str:
        """What is shown at a time of ``time.monotonic()``."""
        since_start = _duration(now - self._started)
        planned = self._planned()
        if self.phase or not planned:
            return f"{self.phase or 'starting'}, {since_start}"
        judged = min(self._judged(), planned)
        line = f"{judged} of {counted(planned, self._noun)} {self._verb}"
        seconds = now - (self._judging_since or now)
        if seconds < LEAST_SECONDS_OF_A_RATE:
            return f"{line}, {since_start}"
        rate = judged / seconds
        line += f", {_rate(rate)} {self._noun}s a second"
        return f"{line}, {_duration((planned - judged) / rate)} left" if judged < planned else line

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # who writes the verdict reports it
            self._out.write(text)
            self._out.flush()


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class Ticker:
    """Ticks in a thread of its own while the main thread judges or waits."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parity-progress", daemon=True)

    def start(self) -> None:
        """Start to tick."""
        self._thread.start()

    def stop(self) -> None:
        """Tick no more, and remove the line; do nothing if that is done."""
        if self._thread.is_alive():
            self._ended.set()
            self._thread.join()
            self._progress.clear()

    def _run(self) -> None:
        while not self._ended.wait(REWRITE_SECONDS):
            self._progress.tick()


class SharedCount:
    """A count that several processes add to: the size of a file."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def add(self) -> None:
        """Add 1."""
        os.write(self._fd, b".")

    def value(self) -> int:
        """What all processes have added."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Add no more."""
        os.close(self._fd)


class CallProgress:
    """The progress of a run in this process, shown where a person waits for a call to return."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._judged = 0

    def watch(self, run: Run) -> None:
        """Show the progress of a run from now on."""
        if somebody_waits():
            self._progress = Progress(sys.stdout, True, lambda: run.still_planned, lambda: self._judged)
            run.on_case, run.on_phase = self._case, self._phase

    def end(self) -> None:
        """Remove what is shown."""
        if self._progress is not None:
            self._progress.clear()

    def _case(self) -> None:
        self._judged += 1
        assert self._progress is not None
        self._progress.tick()

    def _phase(self, phase: str) -> None:
        assert self._progress is not None
        self._progress.phase = phase
        self._progress.tick()


def is_rewritable(out: TextIO) -> bool:
    """Whether a line can be written again: on a terminal that moves its cursor."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def in_notebook() -> bool:
    """Whether this process answers a notebook."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and bool(kernel.IPKernelApp.initialized())


def somebody_waits() -> bool:
    """Whether a person typed a call in a notebook or at a prompt, and waits for it to return."""
    return in_notebook() or (hasattr(sys, "ps1") and is_rewritable(sys.stdout))
