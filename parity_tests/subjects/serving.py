"""The subject: what is judged, run over the calls of a case, in this process."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from parity_tests.cases.arrays import Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.layers import KINDS
from parity_tests.subjects.drivers import PERFORMERS, Performance, class_of
from parity_tests.subjects.user_frames import told

Ask = Callable[[Case, Sequence[Call]], Performance]
"""Runs the subject over the calls of a case."""


def layers_of(obj: Any, kind: str) -> Any:
    """A target of a kind of ``_kind.KINDS`` as a package that holds it alone."""
    if kind == "layer":
        return SimpleNamespace(TimeRNN=obj)
    if kind == "cell":
        return SimpleNamespace(RNN=obj)
    if kind == "adapter":
        return SimpleNamespace(answer=obj)
    if kind == "package":
        # torch's own names: a module of layers that is not inside of a package.
        return SimpleNamespace(nn=obj) if _is_module(getattr(obj, "RNN", None)) else obj
    return SimpleNamespace(nn=SimpleNamespace(**{"RNN" if _is_module(obj) else "RNNCell": obj}))


def _is_module(cls: Any) -> bool:
    """Whether it is made like ``nn.RNN``; what cannot be told is."""
    try:
        names = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return False
    return "num_layers" in names or ("input_size" in names and "bidirectional" in names)


def kinds_of(layers: Any) -> tuple[str, ...]:
    """The kinds of layers that ``layers`` has."""
    if hasattr(layers, "answer"):
        return ("time",)
    return tuple(kind for kind in KINDS if class_of(kind, layers) is not None)


def asked(layers: Any) -> Ask:
    """What asks ``layers``, a package or what stands for one."""
    return lambda case, calls: perform(case, calls, layers)


def perform(case: Case, calls: Sequence[Call], layers: Any) -> Performance:
    """Run the class of the case's kind in ``layers`` over the calls of a case.

    What the layer raises is a finding, and ends the case.
    """
    performer = PERFORMERS["adapter" if hasattr(layers, "answer") else case.kind](case, layers)
    try:
        with warnings.catch_warnings():
            # A right layer may warn, of an overflow in an exponential, say; values are judged here.
            warnings.simplefilter("ignore")
            performer.run(calls)
    except (Exception, SystemExit) as error:
        call = calls[len(performer.performance.answers)]
        performer.find("raises", "", f"{told(error)}{place(calls, call)}")
    performer.check_ownership()
    return performer.performance


def place(calls: Sequence[Call], call: Call) -> str:
    """Which call of several, and its shape; nothing if there is but one."""
    if len(calls) == 1:
        return ""
    number = next(index for index, other in enumerate(calls, 1) if other is call)
    B, T, _ = call.xs.shape
    return f" in call {number} of {len(calls)} (B = {B}, T = {T})"


def serve(obj: Any, kind: str, request: tuple[str, Any]) -> Any:
    """Answer a request of the gate, in the child process: ``kinds``, ``case`` or ``check``."""
    order, value = request
    layers = layers_of(obj, kind)
    if order == "kinds":
        return kinds_of(layers)
    if order == "case":
        return perform(value, calls_of(value), layers)
    from parity_tests.checks.contract import contract

    of, name, without = value
    return contract(of, name, without, layers)
