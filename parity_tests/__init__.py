"""The gate: NumPy layers judged against ``torch.nn.RNN``.

Public names: ``check``, ``assert_parity`` and ``parametrize`` judge a layer from Python; ``Report``,
``Finding``, ``Case``, ``Question``, ``Answer`` and ``TENSORS`` are what they speak of. The gate itself is
a pytest plugin, ``parity_tests._plugin``, with ``rnn-parity`` as its command line.
"""

from typing import TYPE_CHECKING, Any

from parity_tests._answer import TENSORS, Answer
from parity_tests._case import Case
from parity_tests._performer import Question
from parity_tests._report import Finding, Report

if TYPE_CHECKING:
    from parity_tests._doors import assert_parity, check, parametrize

__all__ = [
    "TENSORS",
    "Answer",
    "Case",
    "Finding",
    "Question",
    "Report",
    "assert_parity",
    "check",
    "parametrize",
]


def __getattr__(name: str) -> Any:
    # The doors need pytest, which the process that a target runs in does without.
    if name in ("assert_parity", "check", "parametrize"):
        from parity_tests import _doors

        return getattr(_doors, name)
    raise AttributeError(f"module 'parity_tests' has no attribute {name!r}")
