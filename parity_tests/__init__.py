"""A gate for recurrent layers in NumPy: judged against ``torch.nn.RNN``, every tensor, every case.

Public names: ``Case``, ``Answer``, ``TENSORS``, ``Finding``, ``Report``. The gate itself is a pytest
run: ``rnn-parity`` on the command line, or ``pytest``.
"""

from parity_tests._answer import TENSORS, Answer
from parity_tests._case import Case
from parity_tests._report import Finding, Report

__all__ = ["TENSORS", "Answer", "Case", "Finding", "Report"]
