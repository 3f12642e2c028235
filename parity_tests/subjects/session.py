"""Sessions: a loaded subject, in this process or in a child, and the way to call functions with it."""

from collections.abc import Callable
from typing import Any, Protocol

from parity_tests.cases.case import Case
from parity_tests.check_facts import PRINTS, PROCESS_GOES_ON, RAISES, RETURNS_IN_TIME
from parity_tests.report import Finding
from parity_tests.subjects.drivers import kinds_of, run_case
from parity_tests.subjects.interfaces import subject_of
from parity_tests.subjects.loading import Target
from parity_tests.subjects.results import CaseResults
from parity_tests.subjects.sandbox.parent import Child, ChildDied, ChildError, ChildTimeout

DID_NOT_RETURN = (RETURNS_IN_TIME.name, PROCESS_GOES_ON.name)
"""Checks that fail where a call never returns or ends the process."""
MAX_CRASHES = 2
"""Calls that never return or end the process, after which no more are tried."""
DEFAULT_TARGET = "rnn_np"
"""Judged in this process, as it is the project's own."""


class CallFailed(Exception):
    """A function could not be called with the subject; the message says why."""


class Session(Protocol):
    """A subject that can be called.

    Attributes:
        interface: the target's, one of ``INTERFACES``.
        kinds: the kinds of layers that it has.
        notices: what was out of order when it was loaded.
        without: what the target is declared to lack, features and tensors.
    """

    interface: str
    kinds: tuple[str, ...]
    notices: list[str]
    without: tuple[str, ...]

    def run_case(self, case: Case) -> CaseResults:
        """Run the subject over the calls of a case."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(subject, *arguments)``.

        Raises:
            CallFailed: nothing came back.
        """

    def close(self) -> None:
        """End the session."""


class InProcess:
    """The session of an object in this process."""

    def __init__(self, obj: Any, interface: str) -> None:
        self.interface = interface
        self.subject = subject_of(obj, interface)
        self.kinds = kinds_of(self.subject)
        self.notices: list[str] = []
        self.without: tuple[str, ...] = ()

    def run_case(self, case: Case) -> CaseResults:
        """Run the subject over the calls of a case."""
        return run_case(self.subject, case, self.without)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(subject, *arguments)``."""
        return function(self.subject, *arguments)

    def close(self) -> None:
        """Nothing is open."""


class InChild:
    """The session of a target in a child process, which may print, hang or die there.

    Args:
        target: what to load.
        timeout: seconds that a call may take.
        functions: what will be called besides ``run_case``.

    Raises:
        TargetError: it cannot be loaded.
    """

    def __init__(self, target: Target, timeout: float, functions: tuple[Callable[..., Any], ...]) -> None:
        self.child = Child(target, timeout, functions=(kinds_of, run_case, *functions))
        loaded = self.child.start()
        self.interface = loaded.interface
        self.notices = loaded.notices
        self.without: tuple[str, ...] = ()
        self.kinds: tuple[str, ...] = tuple(self.child.call(kinds_of))
        self.crashes = 0

    def run_case(self, case: Case) -> CaseResults:
        """Run the subject over the calls of a case; that it hangs, dies or prints is a finding."""
        try:
            results: CaseResults = self.child.call(run_case, case, self.without)
        except ChildError as error:
            results = CaseResults(findings=[_ended(error, case)])
        results.findings += self._printed(case)
        return results

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(subject, *arguments)``.

        Raises:
            CallFailed: nothing came back, or calls before never returned.
        """
        if self.crashes >= MAX_CRASHES:
            raise CallFailed("skipped: earlier calls hung or crashed")
        try:
            return self.child.call(function, *arguments)
        except ChildError as error:
            self.crashes += isinstance(error, ChildTimeout | ChildDied)
            raise CallFailed(str(error)) from error

    def _printed(self, case: Case) -> list[Finding]:
        if not self.child.printed:
            return []
        last = self.child.printed.strip().splitlines()[-1:] or [""]
        return [PRINTS.finding("", case, f"it prints, last: {last[0][:120]!r}")]

    def close(self) -> None:
        """End the child process."""
        self.child.close()


def open_session(
    target: Target, timeout: float, functions: tuple[Callable[..., Any], ...] = ()
) -> InProcess | InChild:
    """Load a target: an object at hand and the project's own layers in this process, others in a child.

    Args:
        target: what to load.
        timeout: seconds that a call may take in a child process.
        functions: what will be called with the subject besides ``run_case``.

    Raises:
        TargetError: it cannot be loaded.
    """
    if target.obj is not None:
        assert target.interface is not None  # recognised when the target was made
        return InProcess(target.obj, target.interface)
    if target == Target(DEFAULT_TARGET):
        import rnn_np

        return InProcess(rnn_np, "package")
    return InChild(target, timeout, functions)


def _ended(error: ChildError, case: Case) -> Finding:
    check = RAISES
    if isinstance(error, ChildTimeout):
        check = RETURNS_IN_TIME
    elif isinstance(error, ChildDied):
        check = PROCESS_GOES_ON
    return check.finding("", case, str(error))
