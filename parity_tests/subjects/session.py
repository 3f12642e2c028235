"""Sessions: a loaded subject, in this process or in a child, and the way to call functions with it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from parity_tests.cases.case import Case
from parity_tests.check_facts import PRINTS, PROCESS_GOES_ON, RAISES, RETURNS_IN_TIME
from parity_tests.report import Finding
from parity_tests.subjects.drivers import implied_by, kinds_of, lacked_by, run_case
from parity_tests.subjects.interfaces import TargetError, subject_of
from parity_tests.subjects.loading import Target
from parity_tests.subjects.results import CaseResults
from parity_tests.subjects.sandbox.parent import Child, ChildDied, ChildError, ChildTimeout
from parity_tests.subjects.sandbox.process import can_start

DID_NOT_RETURN = (RETURNS_IN_TIME.name, PROCESS_GOES_ON.name)
"""Checks that fail where a call never returns or ends the process."""
MAX_LOST, TIMES = 5, "five times"
"""Calls that do not return in time or end the process, after which a session runs no more cases."""
MAX_LOST_BEFORE_CHECKS = 2
"""Such calls after which it makes no more checks; cases, whose findings count, are tried for longer."""
TENTH = 0.1
"""Part of the time limit that is left once a call has not returned in time."""
DEFAULT_TARGET = "rnn_np"
"""Judged in this process, as it is the project's own."""


class CallFailed(Exception):
    """A function could not be called with the subject; the message says why."""


class TargetGivenUp(Exception):
    """Too many calls did not return or ended the process, so no more are made; the message says so."""


class Session(Protocol):
    """A subject that can be called.

    Attributes:
        interface: the target's, one of ``INTERFACES``.
        kinds: the kinds of layers that it has.
        implied: the features that its cases do not have, and the fields that all have, as an adapter declares.
        lacked: what an adapter declares to lack, as ``--without`` does.
        notices: what was out of order when it was loaded.
        without: what the target is declared to lack, features and tensors.
    """

    interface: str
    kinds: tuple[str, ...]
    implied: tuple[str, ...]
    lacked: tuple[str, ...]
    notices: list[str]
    without: tuple[str, ...]

    def run_case(self, case: Case) -> CaseResults:
        """Run the subject over the calls of a case.

        Raises:
            TargetGivenUp: ``MAX_LOST`` calls before did not return.
        """

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(subject, *arguments)``.

        Raises:
            CallFailed: nothing came back.
            TargetGivenUp: ``MAX_LOST_BEFORE_CHECKS`` calls before did not return.
        """

    def close(self) -> None:
        """End the session."""


class InProcess:
    """The session of an object in this process."""

    def __init__(self, obj: Any, interface: str) -> None:
        self.interface = interface
        self.subject = subject_of(obj, interface)
        self.kinds = kinds_of(self.subject)
        self.implied = implied_by(self.subject)
        self.lacked = lacked_by(self.subject)
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

    Once a call has not returned in time, later ones get a tenth of the time. After ``MAX_LOST`` calls
    that did not return, ended the process, or could not be made because the target could not be loaded
    again, no more are made.

    Args:
        target: what to load.
        timeout: seconds that a call may take.
        functions: what will be called besides ``run_case``.

    Raises:
        TargetError: it cannot be loaded.
    """

    def __init__(self, target: Target, timeout: float, functions: tuple[Callable[..., Any], ...]) -> None:
        self.timeout = timeout
        self.child = Child(target, timeout, functions=(kinds_of, implied_by, lacked_by, run_case, *functions))
        loaded = self.child.start()
        self.interface = loaded.interface
        self.notices = loaded.notices
        self.without: tuple[str, ...] = ()
        try:
            self.kinds: tuple[str, ...] = tuple(self.child.call(kinds_of))
            is_adapter = self.interface == "adapter"
            self.implied: tuple[str, ...] = tuple(self.child.call(implied_by)) if is_adapter else ()
            self.lacked: tuple[str, ...] = tuple(self.child.call(lacked_by)) if is_adapter else ()
        except ChildError as error:
            self.child.close()
            raise TargetError(f"{target.spec}: its attributes cannot be read: {error}") from error
        self._lost: list[Exception] = []

    def run_case(self, case: Case) -> CaseResults:
        """Run the subject over the calls of a case; that it hangs, dies or prints is a finding."""
        try:
            results: CaseResults = self._ask(MAX_LOST, run_case, case, self.without)
        except ChildError as error:
            results = CaseResults(findings=[_ended(error, case)])
        results.findings += self._printed(case)
        return results

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(subject, *arguments)``.

        Raises:
            CallFailed: nothing came back.
            TargetGivenUp: ``MAX_LOST_BEFORE_CHECKS`` calls before did not return.
        """
        try:
            return self._ask(MAX_LOST_BEFORE_CHECKS, function, *arguments)
        except ChildError as error:
            raise CallFailed(str(error)) from error

    def _ask(self, max_lost: int, function: Callable[..., Any], *arguments: Any) -> Any:
        if len(self._lost) >= max_lost:
            raise TargetGivenUp(f"the target {_deeds(self._lost)} {TIMES}")
        shortened = self.child.timeout < self.timeout
        try:
            return self.child.call(function, *arguments)
        except ChildTimeout as error:
            self._lost.append(error)
            self.child.timeout = self.timeout * TENTH
            if not shortened:
                raise
            why = "a tenth of the limit, because an earlier call did not return"
            raise ChildTimeout(f"{error} ({why})") from error
        except (ChildDied, TargetError) as error:
            self._lost.append(error)
            raise

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
        TargetError: it cannot be loaded, or this system cannot run the child process.
    """
    if target.obj is not None:
        assert target.interface is not None  # recognised when the target was made
        return InProcess(target.obj, target.interface)
    if target == Target(DEFAULT_TARGET):
        import rnn_np

        return InProcess(rnn_np, "package")
    if not can_start():
        raise TargetError(
            f"{target.spec}: a target that is given by its name runs in a child process, which needs Linux or "
            "macOS; here, import the class or function in Python and give it to parity_tests.check"
        )
    return InChild(target, timeout, functions)


def _deeds(lost: Iterable[Exception]) -> str:
    deeds: list[tuple[type[Exception], str]] = [
        (ChildTimeout, "had not returned in time"),
        (ChildDied, "had ended its process"),
        (TargetError, "could not be loaded again"),
    ]
    return " or ".join(words for kind, words in deeds if any(isinstance(error, kind) for error in lost))


def _ended(error: ChildError, case: Case) -> Finding:
    check = RAISES
    if isinstance(error, ChildTimeout):
        check = RETURNS_IN_TIME
    elif isinstance(error, ChildDied):
        check = PROCESS_GOES_ON
    return check.finding("", case, str(error))
