"""Drivers: each knows one interface, and takes a layer of it through the calls of a case."""

import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.layers import KINDS
from parity_tests.cases.memory_layouts import laid_out, writable
from parity_tests.check_facts import INPUTS_UNTOUCHED, INTERFACE, RAISES, TYPE, UPDATE_ERROR
from parity_tests.report import Finding, Severity
from parity_tests.subjects.adapters.declared import declared_by
from parity_tests.subjects.adapters.plain_results import coarse_updates, errors_of, plain_array
from parity_tests.subjects.adapters.problem import arrays_of, problem_of
from parity_tests.subjects.driver import Driver, Given, class_of
from parity_tests.subjects.interfaces import IN_WORDS, JUDGED_AS
from parity_tests.subjects.parts import PartMissing, attribute, call_made, called, method
from parity_tests.subjects.results import CaseResults, described
from parity_tests.subjects.side_effects import overwritten_inputs
from parity_tests.subjects.torch_drivers import TorchCellDriver, TorchRNNDriver
from parity_tests.subjects.user_frames import format_error

OWN = "rnn_np"
"""The project's own layers, of which advice is a fault."""
CALLS_OF_A_STEP = 4
"""How deep functions may call one another at a time step."""


class _AdapterDriver(Driver):
    """A function of a question, answered with tensors by name."""

    def run(self, calls: Sequence[Call]) -> None:
        (call,) = calls  # an adapter keeps nothing from call to call
        has_dh_n = declared_by(self.subject.answer).final_gradient
        problem = problem_of(self.case, call, has_dh_n)
        answer = called(self.subject.answer, problem)
        if isinstance(answer, Mapping):
            given = {str(name): value for name, value in answer.items()}
            plain = {name: plain_array(value) for name, value in given.items()}
            if getattr(plain.get("loss"), "size", 0) == 1:
                plain["loss"] = plain["loss"].reshape(())
            self.record(call, plain)
            self.results.calls[-1].errors = errors_of(given)
            self.find_all(UPDATE_ERROR, list(coarse_updates(given)))
        else:
            self.find(TYPE, "", f"the answer is {described(answer)}, expected tensors by name, a dict")
        given_again = problem_of(self.case, call, has_dh_n)
        self.find_all(INPUTS_UNTOUCHED, overwritten_inputs(arrays_of(problem), arrays_of(given_again)))


class _ListDriver(Driver):
    """``RNN`` and ``TimeRNN``: parameters by reference in a list."""

    places = MappingProxyType(
        {f"d{name}": f"`grads[{number}]`" for number, name in enumerate(("Wx", "Wh", "b"))}
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that there are."""
        return ("Wx", "Wh") if self.case.bias == "nobias" else ("Wx", "Wh", "b")

    def values(self, call: Call) -> list[Array]:
        """The parameters' values in a call."""
        bias = [] if self.case.bias == "nobias" else [call.b[None] if self.case.bias == "row" else call.b]
        return [call.Wx, call.Wh, *bias]

    def make(self, call: Call) -> Any:
        layout = writable(self.case.layout)
        self.params = [laid_out(value, layout) for value in self.values(call)]
        # Not stateful is the default, and judged as such.
        options = {"stateful": True} if self.case.stateful and not self.case.is_cell else {}
        return called(self.cls, *self.params, **options)

    def update(self, layer: Any, call: Call) -> None:
        for param, value in zip(self.params, self.values(call), strict=True):
            param[...] = value

    def parameters(self, layer: Any) -> dict[str, Array]:
        return dict(zip(self.names, self.params, strict=True))

    def all_gradients(self, layer: Any) -> Given:
        grads = attribute(layer, "grads")
        if grads is None:
            return {}
        if self.case.bias == "nobias" and isinstance(grads, list | tuple):
            grads = grads[:2]  # a layer may keep a bias of its own
        names = [f"d{name}" for name in self.names]
        left = [name for name in names if name in self.wanted]
        if isinstance(grads, list | tuple) and len(grads) in (len(names), len(left)):
            return dict(zip(names if len(grads) == len(names) else left, grads, strict=True))
        return dict.fromkeys(names, grads)


class _TimeRNNDriver(_ListDriver):
    places = MappingProxyType(
        {
            "hs": "what `forward` returns",
            "h_n": "`h` of the layer",
            "dx": "what `backward` returns",
            "dh_0": "`dh` of the layer",
            **_ListDriver.places,
        }
    )
    living = ("h_n", "dh_0")

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {"xs": ("dx", call.xs), "h_0": ("h_n", call.h_0), "dhs": ("hs", call.dhs)}

    def run_forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        if call.h_0 is not None:
            called(method(layer, "set_state"), arguments["h_0"])
        elif self.must_reset(layer, call):
            called(method(layer, "reset_state"))
        hs = called(method(layer, "forward"), arguments["xs"])
        return {"hs": hs} | ({"h_n": attribute(layer, "h")} if "h_n" in self.wanted else {})

    def must_reset(self, layer: Any, call: Call) -> bool:
        """Whether the state is reset; a layer without the method has none at its first call."""
        starts = self.case.stateful and not call.carries
        return starts and (self.case.calls == "reset" or attribute(layer, "reset_state") is not None)

    def run_backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        dx = called(method(layer, "backward"), arguments["dhs"])
        return {"dx": dx} | ({"dh_0": attribute(layer, "dh")} if "dh_0" in self.wanted else {})


class _RNNDriver(_ListDriver):
    places = MappingProxyType(
        {
            "h_n": "what `forward` returns",
            "dx": "the first that `backward` returns",
            "dh_0": "the second that `backward` returns",
            **_ListDriver.places,
        }
    )

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {"x": ("dx", call.xs), "h_prev": ("h_n", call.h_0), "dh_next": ("dx", call.dhs)}

    def run_forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        return {"h_n": called(method(layer, "forward"), arguments["x"], arguments["h_prev"])}

    def run_backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        return self.pair(called(method(layer, "backward"), arguments["dh_next"]), "dx", "dh_0")


DRIVERS: dict[str, type[Driver]] = {
    "adapter": _AdapterDriver,
    "TimeRNN": _TimeRNNDriver,
    "RNN": _RNNDriver,
    "nn.RNN": TorchRNNDriver,
    "nn.RNNCell": TorchCellDriver,
}


def kinds_of(subject: Any) -> tuple[str, ...]:
    """The kinds of layers that ``subject`` has."""
    if hasattr(subject, "answer"):
        return (declared_by(subject.answer).kind,)
    return tuple(kind for kind in KINDS if class_of(kind, subject) is not None)


def implied_by(subject: Any) -> tuple[str, ...]:
    """What follows from an adapter's declarations: features that are lacking, and fields of every case."""
    return declared_by(subject.answer).implied if hasattr(subject, "answer") else ()


def lacked_by(subject: Any) -> tuple[str, ...]:
    """What an adapter declares to lack, as ``--without`` does."""
    return declared_by(subject.answer).without if hasattr(subject, "answer") else ()


def strictly(findings: list[Finding], subject: Any, kind: str) -> list[Finding]:
    """Return findings as they count for a subject: of the project's own layers, advice is a fault."""
    module = getattr(class_of(kind, subject), "__module__", None) or ""
    if module.partition(".")[0] != OWN:
        return findings
    return [replace(finding, severity=Severity.FAULT) for finding in findings]


def run_case(subject: Any, case: Case, without: Collection[str] = ()) -> CaseResults:
    """Run the class of the case's kind in ``subject`` over the calls of a case.

    What the layer raises is a finding, and ends the case.

    Args:
        subject: the package that has the layer.
        case: what to run.
        without: what the layer is declared to lack.
    """
    calls = calls_of(case)
    driver = DRIVERS["adapter" if hasattr(subject, "answer") else case.layer](case, subject, without)
    try:
        with warnings.catch_warnings():
            # A right layer may warn, of an overflow in an exponential, say; values are judged here.
            warnings.simplefilter("ignore")
            with deep_recursion(CALLS_OF_A_STEP * case.T * case.num_cells):
                driver.run(calls)
    except PartMissing as missing:
        label = call_label(calls, len(driver.results.calls))
        driver.find(INTERFACE, "", f"{missing}{label}{_reading(driver)}")
    except (Exception, SystemExit) as error:
        label = call_label(calls, len(driver.results.calls))
        made = call_made(error)
        made = f"; the call was {made}" if made else ""
        driver.find(RAISES, "", f"{format_error(error)}{label}{made}{_reading(driver)}")
    for found in driver.changed_results():
        driver.find(*found)
    driver.results.findings = strictly(driver.results.findings, subject, case.layer)
    return driver.results


@contextmanager
def deep_recursion(calls: int) -> Iterator[None]:
    """Let functions call one another this much deeper: a layer may call itself at every time step."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + calls)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _reading(driver: Driver) -> str:
    """What the target is judged as, for the end of a message; of an adapter nothing was assumed."""
    return f"; {JUDGED_AS} {IN_WORDS[driver.case.layer]}" if driver.cls is not None else ""


def call_label(calls: Sequence[Call], number: int) -> str:
    """Which call of several, and its shape; nothing if there is but one."""
    if len(calls) == 1:
        return ""
    B, T, _ = calls[number].xs.shape
    return f" in call {number + 1} of {len(calls)} (B = {B}, T = {T})"
