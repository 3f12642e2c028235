"""What tests of the child process have it do: call the target."""

from typing import Any


def answer(subject: Any, case: Any) -> Any:
    """Return what the target, an adapter, makes of a case."""
    return subject.answer(case)
