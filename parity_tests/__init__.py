"""The gate: NumPy layers judged against ``torch.nn.RNN``.

``check``, ``assert_parity`` and ``parametrize`` judge a layer from Python. ``Report`` and ``Finding`` are
what they return, ``Case`` is one comparison, and ``TENSORS`` lists the tensors that are compared. ``Problem``
is what an adapter is given, ``adapter`` declares what the code behind it has, and ``gradients_from_update``
serves code that updates its own weights. The command is ``rnn-parity``; pytest's plugin is
``parity_tests.run.plugin``.

The folders, in the order of the data: ``cases`` (what is asked), ``references`` (what is true, and how
closely), ``subjects`` (what is judged), ``checks`` (is it right?), ``diagnosis`` (which fault is it?),
``run`` (a run, from options to exit status). Only the names listed here are public, and ``__version__``, which
is that of ``rnn_np``.
"""

from parity_tests.api import assert_parity, check, parametrize
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import TENSORS
from parity_tests.report import Finding, Report
from parity_tests.subjects.adapters.declared import adapter
from parity_tests.subjects.adapters.problem import Problem as Problem
from parity_tests.subjects.adapters.updates import gradients_from_update

__version__ = "0.1.0"
__all__ = [
    "TENSORS",
    "Case",
    "Finding",
    "Problem",
    "Report",
    "adapter",
    "assert_parity",
    "check",
    "gradients_from_update",
    "parametrize",
]


def __dir__() -> list[str]:
    """The public names, without the folders."""
    return [*__all__, "__version__"]
