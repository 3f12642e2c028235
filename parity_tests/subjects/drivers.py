"""Drivers: each knows one interface, and takes a layer of it through the calls of a case."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.layers import KINDS
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.cases.tensors import Answer, native, parameters
from parity_tests.check_facts import (
    DROPOUT_MASKS,
    GRADIENTS_IN_PLACE,
    INPUTS_UNTOUCHED,
    RAISES,
    RESULTS_OWNED,
    VALUES,
    Check,
)
from parity_tests.subjects.results import CaseResults, call_result
from parity_tests.subjects.side_effects import (
    ReturnedArrays,
    Violations,
    overwritten_inputs,
    replaced_gradients,
)
from parity_tests.subjects.user_frames import format_error


@dataclass(frozen=True, slots=True)
class Problem:
    """What an adapter is given: one forward and backward of h_t = tanh(x_t Wx + h_{t-1} Wh + b).

    Attributes:
        Wx: [D, H], the input weights.
        Wh: [H, H], the recurrent weights.
        b: [H], the bias.
        xs: [B, T, D], the input.
        h_0: [B, H], the initial state.
        dhs: [B, T, H], the upstream gradient of every state.
        token: the token of the case.

    Example:
        An adapter that has the forward only, judged without its gradients:

        >>> import numpy as np, parity_tests
        >>> def answer(problem):
        ...     h, states = problem.h_0, []
        ...     for t in range(problem.xs.shape[1]):
        ...         h = np.tanh(problem.xs[:, t] @ problem.Wx + h @ problem.Wh + problem.b)
        ...         states.append(h)
        ...     return {"hs": np.stack(states, axis=1), "h_n": h}
        >>> gradients = ["dx", "dh_0", "dWx", "dWh", "db"]
        >>> parity_tests.check(answer, without=gradients, case="B2T3D4H5-f64-s0").ok
        True
    """

    Wx: Array
    Wh: Array
    b: Array
    xs: Array
    h_0: Array
    dhs: Array
    token: str


def class_of(kind: str, subject: Any) -> Any:
    """The class of a layer in ``subject``, or None."""
    for name in kind.split("."):
        subject = getattr(subject, name, None)
    return subject


class Driver:
    """One layer, and what is seen of it; subclasses know its interface."""

    def __init__(self, case: Case, subject: Any) -> None:
        self.case = case
        self.subject = subject
        self.cls = class_of(case.layer, subject)
        self.results = CaseResults()
        self.returned = ReturnedArrays()

    def find(self, check: Check, tensor: str, observed: str) -> None:
        self.results.findings.append(check.finding(tensor, self.case, observed))

    def find_all(self, check: Check, violations: Violations) -> None:
        for tensor, observed in violations:
            self.find(check, tensor, observed)

    def run(self, calls: Sequence[Call]) -> None:
        layer = self.make(calls[0])
        grads = self.gradients(layer)
        for number, call in enumerate(calls):
            if number and not call.carries:
                self.update(layer, call)
            before = {name: param.copy() for name, param in self.parameters(layer).items()}
            answer = self.call(number, layer, call)
            after = self.gradients(layer)
            self.record(call, answer | after)
            self.find_all(INPUTS_UNTOUCHED, overwritten_inputs(self.parameters(layer), before))
            self.find_all(GRADIENTS_IN_PLACE, replaced_gradients(after, grads))

    def make(self, call: Call) -> Any:
        """The layer with a call's weights."""
        raise NotImplementedError

    def update(self, layer: Any, call: Call) -> None:
        """Write a call's weights into the layer's parameters."""
        raise NotImplementedError

    def parameters(self, layer: Any) -> dict[str, Array]:
        """The layer's parameters by name."""
        raise NotImplementedError

    def gradients(self, layer: Any) -> Answer:
        """Their gradients by the names of tensors."""
        raise NotImplementedError

    def arguments(self, call: Call) -> dict[str, Array]:
        """Return the arguments of a call by the interface's names, in the shapes and the layout of the case."""
        return {
            name: self.give(tensor, value)
            for name, (tensor, value) in self.inputs(call).items()
            if value is not None
        }

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        """By the interface's names: the tensor that each has the form of, and its canonical values."""
        raise NotImplementedError

    def forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        """One forward, its results by the names of tensors."""
        raise NotImplementedError

    def backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        """The backward of it, without the gradients of parameters."""
        raise NotImplementedError

    def call(self, number: int, layer: Any, call: Call) -> Answer:
        """Run one forward and backward, and check that the arguments are unchanged."""
        arguments = self.arguments(call)
        answer = self.forward(layer, call, arguments)
        self.returned.keep(number, answer)
        gradients = self.backward(layer, call, arguments)
        self.returned.keep(number, gradients)
        inputs = self.inputs(call).items()
        before = {
            name: native(self.case, tensor, value) for name, (tensor, value) in inputs if value is not None
        }
        self.find_all(INPUTS_UNTOUCHED, overwritten_inputs(arguments, before))
        return answer | gradients

    def give(self, name: str, canonical: Array) -> Array:
        """An input in the form and the memory layout of the case."""
        return laid_out(native(self.case, name, canonical), self.case.layout)

    def record(self, call: Call, answer: Mapping[str, object]) -> None:
        self.results.calls.append(call_result(self.case, call, answer))


class _AdapterDriver(Driver):
    """A function of a question, answered with tensors by name."""

    def run(self, calls: Sequence[Call]) -> None:
        (call,) = calls  # an adapter keeps nothing from call to call
        assert call.dhs is not None
        h_0 = np.zeros((len(call.xs), self.case.H), call.xs.dtype) if call.h_0 is None else call.h_0[0]
        values = {"Wx": call.Wx, "Wh": call.Wh, "b": call.b, "xs": call.xs, "h_0": h_0, "dhs": call.dhs}
        arguments = {name: value.copy() for name, value in values.items()}
        answer = self.subject.answer(Problem(**arguments, token=str(self.case)))
        if not isinstance(answer, Mapping):
            raise TypeError(f"answer: expected tensors by name, got {type(answer).__qualname__}")
        self.record(call, {str(name): value for name, value in answer.items()})
        self.find_all(INPUTS_UNTOUCHED, overwritten_inputs(arguments, values))


class _ListDriver(Driver):
    """``RNN`` and ``TimeRNN``: parameters by reference in a list."""

    names = ("Wx", "Wh", "b")

    def make(self, call: Call) -> Any:
        layout = "contiguous" if self.case.layout == "readonly" else self.case.layout
        bias = call.b[None] if self.case.bias == "row" else call.b
        self.params = [laid_out(value, layout) for value in (call.Wx, call.Wh, bias)]
        # Not stateful is the default, and judged as such.
        options = {"stateful": True} if self.case.stateful and not self.case.is_cell else {}
        return self.cls(*self.params, **options)

    def update(self, layer: Any, call: Call) -> None:
        for param, value in zip(self.params, (call.Wx, call.Wh, call.b), strict=True):
            param[...] = value.reshape(param.shape)

    def parameters(self, layer: Any) -> dict[str, Array]:
        return dict(zip(self.names, self.params, strict=True))

    def gradients(self, layer: Any) -> Answer:
        grads = list(layer.grads)
        if len(grads) != len(self.names):
            raise TypeError(f"grads: expected 3 arrays, of Wx, Wh and b, got {len(grads)}")
        return {f"d{name}": grad for name, grad in zip(self.names, grads, strict=True)}


class _TimeRNNDriver(_ListDriver):
    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {"xs": ("dx", call.xs), "h_0": ("h_n", call.h_0), "dhs": ("hs", call.dhs)}

    def forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        if call.h_0 is not None:
            layer.set_state(arguments["h_0"])
        elif self.case.stateful and not call.carries:
            layer.reset_state()
        hs = layer.forward(arguments["xs"])
        return {"hs": hs, "h_n": layer.h}

    def backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        dx = layer.backward(arguments["dhs"])
        return {"dx": dx, "dh_0": layer.dh}


class _RNNDriver(_ListDriver):
    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {"x": ("dx", call.xs), "h_prev": ("h_n", call.h_0), "dh_next": ("dx", call.dhs)}

    def forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        return {"h_n": layer.forward(arguments["x"], arguments["h_prev"])}

    def backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        dx, dh_prev = layer.backward(arguments["dh_next"])
        return {"dx": dx, "dh_0": dh_prev}


class _TorchDriver(Driver):
    """``nn.RNN`` and ``nn.RNNCell``: parameters as attributes under torch's names."""

    def options(self) -> dict[str, Any]:
        """The constructor's, but for those that have their default: the default is judged too."""
        case = self.case
        options = {
            "num_layers": (case.layers, 1),
            "nonlinearity": ("relu" if case.relu else "tanh", "tanh"),
            "bias": (case.bias != "nobias", True),
            "batch_first": (case.batch_first, False),
            "dropout": (case.dropout, 0.0),
            "bidirectional": (case.bidirectional, False),
            "dtype": (np.float32 if case.dtype == "f32" else np.float64, np.float32),
        }
        return {name: value for name, (value, default) in options.items() if value != default}

    def make(self, call: Call) -> Any:
        layer = self.cls(self.case.D, self.case.H, **self.options())
        weights = parameters(self.case, call.weights)
        layer.load_state_dict({name: laid_out(value, self.case.layout) for name, value in weights.items()})
        self.names = tuple(weights)
        return layer

    def update(self, layer: Any, call: Call) -> None:
        for name, value in parameters(self.case, call.weights).items():
            getattr(layer, name)[...] = value

    def parameters(self, layer: Any) -> dict[str, Array]:
        return {name: getattr(layer, name) for name in self.names}

    def gradients(self, layer: Any) -> Answer:
        return {f"d{name}": layer.grads[name] for name in self.names}


class _TorchRNNDriver(_TorchDriver):
    def make(self, call: Call) -> Any:
        layer = super().make(call)
        return layer.eval() or layer if self.case.eval else layer

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {
            "input": ("dx", call.xs),
            "hx": ("h_n", call.h_0),
            "d_output": ("hs", call.dhs),
            "d_h_n": ("h_n", call.dh_n),
        }

    def forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        options: dict[str, Any] = {"hx": arguments["hx"]} if "hx" in arguments else {}
        x = self.packed(arguments["input"], call) if self.case.form == "packed" else arguments["input"]
        if call.lengths is not None and self.case.form != "packed":
            options["lengths"] = call.lengths.copy()
        if call.masks:
            self.check_masks(layer, x, options)
            # A packed sequence ends with its longest row.
            T = self.ends(call).max() if self.case.form == "packed" else call.xs.shape[1]
            options["dropout_masks"] = [mask.swapaxes(0, 1)[:T].copy() for mask in call.masks]
        output, h_n = layer(x, **options)
        return {"hs": self.padded("hs", output, call), "h_n": h_n}

    def backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        d_output: Any = arguments.get("d_output")
        if d_output is not None and self.case.form == "packed":
            d_output = self.packed(d_output, call)
        d_h_n = {"d_h_n": arguments["d_h_n"]} if "d_h_n" in arguments else {}
        d_input, d_hx = layer.backward(d_output, **d_h_n)
        return {"dx": self.padded("dx", d_input, call), "dh_0": d_hx}

    def packed(self, padded: Array, call: Call) -> Any:
        """[B, T, ...] packed by the subject's own function."""
        lengths = self.ends(call)
        unsorted = bool((lengths[1:] > lengths[:-1]).any())
        options = {"enforce_sorted": False} if unsorted else {}
        pack = self.subject.nn.utils.rnn.pack_padded_sequence
        return pack(padded, lengths, batch_first=True, **options)

    def padded(self, name: str, returned: Any, call: Call) -> Any:
        """What was returned, padded again by the subject's own function if it is packed."""
        if self.case.form != "packed":
            return returned
        T = call.xs.shape[1]
        padded, lengths = self.subject.nn.utils.rnn.pad_packed_sequence(
            returned, batch_first=True, total_length=T
        )
        if not np.array_equal(lengths, self.ends(call)):
            self.find(VALUES, name, f"{name} has the lengths {lengths}, not {self.ends(call)}")
        return padded

    def ends(self, call: Call) -> Array:
        """The sequences' lengths."""
        B, T, _ = call.xs.shape
        return np.full(B, T) if call.lengths is None else call.lengths

    def check_masks(self, layer: Any, x: Any, options: dict[str, Any]) -> None:
        """The layer's own masks say what it dropped: given back to it, they give the same output."""
        output, _ = layer(x, **options)
        masks = [mask.copy() for mask in layer.dropout_masks]
        again, _ = layer(x, dropout_masks=masks, **options)
        packed = self.case.form == "packed"
        first, second = ((value.data if packed else value) for value in (output, again))
        if not np.array_equal(first, second, equal_nan=True):
            self.find(DROPOUT_MASKS, "hs", "dropout_masks given back to the layer give another output")


class _TorchCellDriver(_TorchDriver):
    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {"input": ("dx", call.xs), "hx": ("h_n", call.h_0), "d_h_next": ("dx", call.dhs)}

    def forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        return {"h_n": layer(arguments["input"], **({"hx": arguments["hx"]} if "hx" in arguments else {}))}

    def backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Answer:
        d_input, d_hx = layer.backward(arguments["d_h_next"])
        return {"dx": d_input, "dh_0": d_hx}


DRIVERS: dict[str, type[Driver]] = {
    "adapter": _AdapterDriver,
    "TimeRNN": _TimeRNNDriver,
    "RNN": _RNNDriver,
    "nn.RNN": _TorchRNNDriver,
    "nn.RNNCell": _TorchCellDriver,
}


def kinds_of(subject: Any) -> tuple[str, ...]:
    """The kinds of layers that ``subject`` has."""
    if hasattr(subject, "answer"):
        return ("TimeRNN",)
    return tuple(kind for kind in KINDS if class_of(kind, subject) is not None)


def run_case(subject: Any, case: Case) -> CaseResults:
    """Run the class of the case's kind in ``subject`` over the calls of a case.

    What the layer raises is a finding, and ends the case.
    """
    calls = calls_of(case)
    driver = DRIVERS["adapter" if hasattr(subject, "answer") else case.layer](case, subject)
    try:
        with warnings.catch_warnings():
            # A right layer may warn, of an overflow in an exponential, say; values are judged here.
            warnings.simplefilter("ignore")
            driver.run(calls)
    except (Exception, SystemExit) as error:
        label = call_label(calls, len(driver.results.calls))
        driver.find(RAISES, "", f"{format_error(error)}{label}")
    driver.find_all(RESULTS_OWNED, driver.returned.changed())
    return driver.results


def call_label(calls: Sequence[Call], number: int) -> str:
    """Which call of several, and its shape; nothing if there is but one."""
    if len(calls) == 1:
        return ""
    B, T, _ = calls[number].xs.shape
    return f" in call {number + 1} of {len(calls)} (B = {B}, T = {T})"
