"""The gate: NumPy layers judged against ``torch.nn.RNN``.

Public names: ``check``, ``assert_parity`` and ``parametrize`` judge a layer from Python; ``Report``,
``Finding``, ``Case``, ``Question``, ``Answer`` and ``TENSORS`` are what they speak of. The gate itself is
a pytest plugin, ``parity_tests.run.plugin``, with ``rnn-parity`` as its command line.
"""

from typing import TYPE_CHECKING, Any

from parity_tests.cases.case import Case
from parity_tests.cases.tensors import TENSORS, Answer
from parity_tests.report import Finding, Report
from parity_tests.subjects.drivers import Question

if TYPE_CHECKING:
    from parity_tests.api import assert_parity, check, parametrize

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
        from parity_tests import api

        return getattr(api, name)
    raise AttributeError(f"module 'parity_tests' has no attribute {name!r}")
