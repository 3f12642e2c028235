"""Askers: they put the gate's questions to what is judged, in this process or in a child."""

from collections.abc import Sequence
from typing import Any, Protocol

from parity_tests.cases.arrays import Call
from parity_tests.cases.case import Case
from parity_tests.checks.contract import contract
from parity_tests.report import Finding
from parity_tests.subjects.drivers import Performance
from parity_tests.subjects.loading import Target
from parity_tests.subjects.sandbox.parent import Child, ChildDied, ChildError, ChildTimeout
from parity_tests.subjects.serving import kinds_of, layers_of, perform

ENDED = ("returns in time", "process goes on")
"""Checks that fail where a call never returns or ends the process."""
ENDINGS = 2
"""Calls that never return or end the process, after which no more are tried."""
IMPLIED = {"adapter": ("layouts", "row-bias", "second-call", "state"), "module": ("packed",)}
"""What no target of a kind can be asked, for its interface has no place for it."""


class Asker(Protocol):
    """What is judged, as the gate sees it.

    Attributes:
        kind: of the target, as in ``_kind.KINDS``.
        kinds: of the cases that it can be asked.
        notices: what was out of order when it was loaded.
        found: whether a fault has been found in this process.
    """

    kind: str
    kinds: tuple[str, ...]
    notices: list[str]
    found: bool

    def ask(self, case: Case, calls: Sequence[Call]) -> Performance:
        """Run it over the calls of a case."""

    def check(self, kind: str, name: str, without: tuple[str, ...]) -> tuple[list[Finding], str]:
        """Run a check of the contract: its findings, and why it could not be run, if so."""

    def close(self) -> None:
        """Ask nothing more."""


class InProcess:
    """Of an object at hand, in this process."""

    def __init__(self, obj: Any, kind: str) -> None:
        self.kind = kind
        self.layers = layers_of(obj, kind)
        self.kinds = kinds_of(self.layers)
        self.notices: list[str] = []
        self.found = False

    def ask(self, case: Case, calls: Sequence[Call]) -> Performance:
        """Run it over the calls of a case."""
        return perform(case, calls, self.layers)

    def check(self, kind: str, name: str, without: tuple[str, ...]) -> tuple[list[Finding], str]:
        """Run a check of the contract."""
        return contract(kind, name, without, self.layers)

    def close(self) -> None:
        """Nothing is open."""


class InChild:
    """Of a target in a child process, which may print, hang or die there.

    Raises:
        TargetError: it cannot be loaded.
    """

    def __init__(self, target: Target, timeout: float) -> None:
        self.child = Child(target, timeout)
        loaded = self.child.start()
        self.kind = loaded.kind
        self.notices = loaded.notices
        self.kinds: tuple[str, ...] = tuple(self.child.perform(("kinds", None)))
        self.found = False
        self.endings = 0

    def ask(self, case: Case, calls: Sequence[Call]) -> Performance:
        """Run it over the calls of a case."""
        try:
            performance: Performance = self.child.perform(("case", case))
        except ChildError as error:
            performance = Performance(findings=[_ended(error, str(case))])
        performance.findings += self._printed(str(case))
        return performance

    def check(self, kind: str, name: str, without: tuple[str, ...]) -> tuple[list[Finding], str]:
        """Run a check of the contract."""
        if self.endings >= ENDINGS:
            return [], f"{name}: not tried, as calls before did not return"
        try:
            findings, reason = self.child.perform(("check", (kind, name, without)))
        except ChildError as error:
            self.endings += isinstance(error, ChildTimeout | ChildDied)
            return [], f"{name}: {error}"
        return findings, reason

    def _printed(self, token: str) -> list[Finding]:
        if not self.child.printed:
            return []
        last = self.child.printed.strip().splitlines()[-1:] or [""]
        return [Finding("prints", "", token, f"it prints, last: {last[0][:120]!r}", "unusual")]

    def close(self) -> None:
        """End the child process."""
        self.child.close()


def _ended(error: ChildError, token: str) -> Finding:
    if isinstance(error, ChildTimeout):
        return Finding(ENDED[0], "", token, str(error))
    check = ENDED[1] if isinstance(error, ChildDied) else "raises"
    return Finding(check, "", token, str(error))
