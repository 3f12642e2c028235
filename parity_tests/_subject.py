"""The subject: the layers judged, run over the calls of a case.

Any module or object with ``RNN`` and ``TimeRNN`` of the interface of ``rnn_np`` can be judged.
"""

import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity_tests._answer import Answer
from parity_tests._case import Case
from parity_tests._inputs import Array, Call, laid_out
from parity_tests._report import Finding

PARAMETERS = ("Wx", "Wh", "b")


@dataclass(slots=True)
class Performance:
    """What the subject answered to each call, and what else was seen while it did."""

    answers: list[Answer] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def perform(case: Case, calls: Sequence[Call], layers: Any) -> Performance:
    """Run ``layers.TimeRNN`` or ``layers.RNN`` over the calls of a case.

    What the layer raises is a finding, and ends the case.
    """
    performer = _Performer(case, layers)
    try:
        with warnings.catch_warnings():
            # A right layer may warn, of an overflow in an exponential, say; values are judged here.
            warnings.simplefilter("ignore")
            performer.run(calls)
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        call = calls[len(performer.performance.answers)]
        performer.find(
            "raises",
            "",
            f"{type(error).__name__}: {error} (in {last.name}, {last.filename}:{last.lineno})"
            f"{place(calls, call)}",
        )
    performer.check_ownership()
    return performer.performance


def place(calls: Sequence[Call], call: Call) -> str:
    """Which call of several, and its shape; nothing if there is but one."""
    if len(calls) == 1:
        return ""
    number = next(index for index, other in enumerate(calls, 1) if other is call)
    B, T, _ = call.xs.shape
    return f" in call {number} of {len(calls)} (B = {B}, T = {T})"


class _Performer:
    def __init__(self, case: Case, layers: Any) -> None:
        self.case = case
        self.layers = layers
        self.performance = Performance()
        self.returned: list[tuple[int, str, Array, Array]] = []

    def find(self, check: str, tensor: str, message: str) -> None:
        self.performance.findings.append(Finding(check, tensor, str(self.case), message))

    def run(self, calls: Sequence[Call]) -> None:
        case = self.case
        params = self.parameters(calls[0])
        if case.layer == "cell":
            layer = self.layers.RNN(*params)
        else:
            # Not stateful is the default, and judged as such.
            options = {"stateful": True} if case.stateful else {}
            layer = self.layers.TimeRNN(*params, **options)
        grads = list(layer.grads)
        for number, call in enumerate(calls):
            if number and not call.carries:
                for param, value in zip(params, (call.Wx, call.Wh, call.b), strict=True):
                    param[...] = value.reshape(param.shape)
            before = [param.copy() for param in params]
            one_call = self.cell_call if case.layer == "cell" else self.sequence_call
            answer = one_call(number, layer, call)
            for name, grad in zip(PARAMETERS, layer.grads, strict=True):
                answer[f"d{name}"] = grad
            self.record(answer)
            for name, param, old in zip(PARAMETERS, params, before, strict=True):
                self.check_untouched(name, param, old)
            for name, grad, first in zip(PARAMETERS, layer.grads, grads, strict=True):
                if grad is not first:
                    self.find(
                        "gradients in place",
                        f"d{name}",
                        f"grads holds another array for {name} after backward, "
                        "so an optimizer that keeps the old one never sees the gradient",
                    )

    def parameters(self, call: Call) -> list[Array]:
        layout = "contiguous" if self.case.layout == "readonly" else self.case.layout
        bias = call.b[None] if self.case.bias == "row" else call.b
        return [laid_out(value, layout) for value in (call.Wx, call.Wh, bias)]

    def sequence_call(self, number: int, layer: Any, call: Call) -> Answer:
        case = self.case
        xs, dhs = laid_out(call.xs, case.layout), laid_out(call.dhs, case.layout)
        if call.h_0 is not None:
            state = laid_out(call.h_0, case.layout)
            layer.set_state(state)
        elif case.stateful and not call.carries:
            layer.reset_state()
        hs = self.keep(number, "hs", layer.forward(xs))
        h_n = self.keep(number, "h_n", layer.h)
        dx = self.keep(number, "dx", layer.backward(dhs))
        dh_0 = self.keep(number, "dh_0", layer.dh)
        if call.h_0 is not None:
            self.check_untouched("h_0", state, call.h_0)
        self.check_untouched("xs", xs, call.xs)
        self.check_untouched("dhs", dhs, call.dhs)
        return {"hs": hs, "h_n": h_n, "dx": dx, "dh_0": dh_0}

    def cell_call(self, number: int, layer: Any, call: Call) -> Answer:
        assert call.h_0 is not None  # a cell's case always has one
        given = {
            "x": laid_out(call.xs[:, 0], self.case.layout),
            "h_prev": laid_out(call.h_0, self.case.layout),
            "dh_next": laid_out(call.dhs[:, 0], self.case.layout),
        }
        h_next = self.keep(number, "h_n", layer.forward(given["x"], given["h_prev"]))
        dx, dh_prev = layer.backward(given["dh_next"])
        self.keep(number, "dx", dx)
        self.keep(number, "dh_0", dh_prev)
        for name, old in (("x", call.xs[:, 0]), ("h_prev", call.h_0), ("dh_next", call.dhs[:, 0])):
            self.check_untouched(name, given[name], old)
        return {"h_n": h_next, "dx": dx, "dh_0": dh_prev}

    def keep(self, number: int, name: str, array: Array) -> Array:
        """Remember a returned array and what is in it, to see whether a later call changes it."""
        if isinstance(array, np.ndarray):
            self.returned.append((number, name, array, array.copy()))
        return array

    def record(self, answer: Answer) -> None:
        self.performance.answers.append(
            {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in answer.items()}
        )

    def check_untouched(self, name: str, now: Array, before: Array) -> None:
        if not _identical(now, before):
            self.find("inputs untouched", name, f"{name} was changed by the layer")

    def check_ownership(self) -> None:
        for number, name, array, copy in self.returned:
            if not _identical(array, copy):
                self.find(
                    "results owned by the caller",
                    name,
                    f"{name} returned by call {number + 1} was changed by what the layer did later",
                )


def _identical(left: Array, right: Array) -> bool:
    return left.tobytes() == right.tobytes()
