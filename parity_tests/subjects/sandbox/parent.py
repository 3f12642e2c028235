"""Runs a target in a child process that dies with the gate."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parity_tests.subjects.compiling import CompileSource
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Loaded, Target
from parity_tests.subjects.sandbox.framing import NotPlain, read_plain
from parity_tests.subjects.sandbox.process import ChildDied, ChildError, ChildTimeout, Process
from parity_tests.subjects.sandbox.worker import WorkerConfig

__all__ = ["Child", "ChildDied", "ChildError", "ChildRaised", "ChildTimeout"]


class ChildRaised(ChildError):
    """An exception came instead of an answer, or the answer could not be taken; the child goes on."""


class Child:
    """A target in a process of its own; a context manager, at whose end the process is killed.

    It starts with ``start`` or the first request. After a timeout or a death it starts anew, and
    loads the target again, with the next request.

    Args:
        target: what to load.
        timeout: seconds that a request may take.
        load_timeout: seconds that loading may take, all cells of a notebook together.
        functions: what will be called; their modules are imported in the child before the target.
        compile_source: compiles the user's files there instead of Python; None: Python does.

    Attributes:
        timeout: as given; a change takes effect when the process starts anew.
        printed: the end of what was printed during the last request, on stdout or stderr.
    """

    def __init__(
        self,
        target: Target,
        timeout: float,
        load_timeout: float = 60,
        functions: tuple[Callable[..., Any], ...] = (),
        compile_source: CompileSource | None = None,
    ) -> None:
        self.target = target
        self.printed = ""
        self.timeout = timeout
        self._config = WorkerConfig(target, functions, load_timeout, timeout, compile_source)
        self._folder = Path.cwd()
        self._process: Process | None = None
        self._loaded = Loaded("", None, [])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process, and those that it has started; a later request starts another."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def start(self) -> Loaded:
        """Load the target unless it is loaded, and return what it is, without the object.

        Raises:
            TargetError: it cannot be loaded, or not in time.
        """
        if self._process is None:
            self._config = replace(self._config, seconds=self.timeout)
            try:
                message, value = self._exchange(self._config, self._config.load_seconds)
            except ChildError as error:
                raise TargetError(f"{self.target.spec}: loading it failed: {error}") from error
            if message == "refused":
                self.close()
                raise TargetError(value)
            self._loaded = value
        return self._loaded

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(subject, *arguments)``, called in the child with the target loaded there.

        Args:
            function: a function of a module, found by its name on the other side. It returns arrays,
                plain values, or objects of the gate's own classes.
            arguments: values that can be pickled.

        Raises:
            TargetError: the target had to be loaded again, and could not be.
            ChildRaised: an exception came instead of an answer, or no plain data.
            ChildTimeout: nothing came in time.
            ChildDied: the process ended first.
        """
        self.start()
        message, value = self._exchange((function, arguments), self._config.seconds)
        if message == "raised":
            raise ChildRaised(value)
        return value

    def _exchange(self, request: object, seconds: float) -> tuple[str, Any]:
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        self._process = self._process or Process(self._folder)
        try:
            reply = self._process.exchange(data, seconds)
        except BaseException:  # Ctrl-C as well
            self.printed = self._process.printed
            self.close()
            raise
        self.printed = self._process.printed
        try:
            return read_plain(reply)
        except NotPlain as error:
            raise ChildRaised(f"the answer cannot be taken: {error}") from error
