"""The subject: the layers judged, run over the calls of a case.

Any module or object with classes of the interfaces of ``rnn_np`` can be judged.
"""

import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity_tests._answer import Answer, native, parameters
from parity_tests._case import KINDS, Case
from parity_tests._inputs import Array, Call, laid_out
from parity_tests._report import Finding

CLASSES = {"time": "TimeRNN", "cell": "RNN", "nn": "nn.RNN", "nncell": "nn.RNNCell"}
"""What holds each kind of layer."""


def class_of(kind: str, layers: Any) -> Any:
    """The class of a kind in ``layers``, or None."""
    for name in CLASSES[kind].split("."):
        layers = getattr(layers, name, None)
    return layers


def kinds_of(layers: Any) -> tuple[str, ...]:
    """The kinds of layers that ``layers`` has."""
    return tuple(kind for kind in KINDS if class_of(kind, layers) is not None)


@dataclass(slots=True)
class Performance:
    """What the subject answered to each call, and what else was seen while it did."""

    answers: list[Answer] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def perform(case: Case, calls: Sequence[Call], layers: Any) -> Performance:
    """Run the class of the case's kind in ``layers`` over the calls of a case.

    What the layer raises is a finding, and ends the case.
    """
    performer = _PERFORMERS[case.kind](case, layers)
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
    """One layer, and what is seen of it; subclasses know its interface."""

    def __init__(self, case: Case, layers: Any) -> None:
        self.case = case
        self.layers = layers
        self.cls = class_of(case.kind, layers)
        self.performance = Performance()
        self.returned: list[tuple[int, str, Array, Array]] = []

    def find(self, check: str, tensor: str, message: str) -> None:
        self.performance.findings.append(Finding(check, tensor, str(self.case), message))

    def run(self, calls: Sequence[Call]) -> None:
        layer = self.make(calls[0])
        grads = self.gradients(layer)
        for number, call in enumerate(calls):
            if number and not call.carries:
                self.update(layer, call)
            before = {name: param.copy() for name, param in self.parameters(layer).items()}
            answer = self.call(number, layer, call)
            after = self.gradients(layer)
            self.record(answer | after)
            for name, param in self.parameters(layer).items():
                self.check_untouched(name, param, before[name])
            for name, first in grads.items():
                if after.get(name) is not first:
                    self.find(
                        "gradients in place",
                        name,
                        f"grads holds another array for {name[1:]} after backward, "
                        "so an optimizer that keeps the old one never sees the gradient",
                    )

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

    def call(self, number: int, layer: Any, call: Call) -> Answer:
        """One forward and backward: the answer but for those gradients."""
        raise NotImplementedError

    def give(self, name: str, canonical: Array) -> Array:
        """An input in the form and the memory layout of the case."""
        return laid_out(native(self.case, name, canonical), self.case.layout)

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

    def check_given(self, given: Mapping[str, tuple[Array, str, Array | None]]) -> None:
        """``given``: what was handed over under which name, and its tensor and canonical values."""
        for name, (now, tensor, before) in given.items():
            if before is not None:
                self.check_untouched(name, now, native(self.case, tensor, before))

    def check_ownership(self) -> None:
        for number, name, array, copy in self.returned:
            if not _identical(array, copy):
                self.find(
                    "results owned by the caller",
                    name,
                    f"{name} returned by call {number + 1} was changed by what the layer did later",
                )


class _Notebook(_Performer):
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
        return {f"d{name}": grad for name, grad in zip(self.names, layer.grads, strict=True)}


class _TimeRNN(_Notebook):
    def call(self, number: int, layer: Any, call: Call) -> Answer:
        assert call.dhs is not None  # the only gradient that the interface takes
        xs, dhs = self.give("dx", call.xs), self.give("hs", call.dhs)
        if call.h_0 is not None:
            state = self.give("h_n", call.h_0)
            layer.set_state(state)
        elif self.case.stateful and not call.carries:
            layer.reset_state()
        hs = self.keep(number, "hs", layer.forward(xs))
        h_n = self.keep(number, "h_n", layer.h)
        dx = self.keep(number, "dx", layer.backward(dhs))
        dh_0 = self.keep(number, "dh_0", layer.dh)
        given = {"xs": (xs, "dx", call.xs), "dhs": (dhs, "hs", call.dhs)}
        self.check_given(given | ({"h_0": (state, "h_n", call.h_0)} if call.h_0 is not None else {}))
        return {"hs": hs, "h_n": h_n, "dx": dx, "dh_0": dh_0}


class _RNN(_Notebook):
    def call(self, number: int, layer: Any, call: Call) -> Answer:
        assert call.h_0 is not None  # a cell's case has both
        assert call.dhs is not None
        x, h_prev, dh_next = self.give("dx", call.xs), self.give("h_n", call.h_0), self.give("dx", call.dhs)
        h_next = self.keep(number, "h_n", layer.forward(x, h_prev))
        dx, dh_prev = layer.backward(dh_next)
        self.keep(number, "dx", dx)
        self.keep(number, "dh_0", dh_prev)
        self.check_given(
            {
                "x": (x, "dx", call.xs),
                "h_prev": (h_prev, "h_n", call.h_0),
                "dh_next": (dh_next, "dx", call.dhs),
            }
        )
        return {"h_n": h_next, "dx": dx, "dh_0": dh_prev}


class _Module(_Performer):
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
        weights = parameters(self.case, call.cells)
        layer.load_state_dict({name: laid_out(value, self.case.layout) for name, value in weights.items()})
        self.names = tuple(weights)
        return layer

    def update(self, layer: Any, call: Call) -> None:
        for name, value in parameters(self.case, call.cells).items():
            getattr(layer, name)[...] = value

    def parameters(self, layer: Any) -> dict[str, Array]:
        return {name: getattr(layer, name) for name in self.names}

    def gradients(self, layer: Any) -> Answer:
        return {f"d{name}": layer.grads[name] for name in self.names}


class _NN(_Module):
    def make(self, call: Call) -> Any:
        layer = super().make(call)
        return layer.eval() or layer if self.case.eval else layer

    def call(self, number: int, layer: Any, call: Call) -> Answer:
        case = self.case
        arrays = {"input": ("dx", call.xs), "hx": ("h_n", call.h_0)}
        arrays |= {"d_output": ("hs", call.dhs), "d_h_n": ("h_n", call.dh_n)}
        given = {
            name: (self.give(tensor, value), tensor, value)
            for name, (tensor, value) in arrays.items()
            if value is not None
        }
        plain: dict[str, Any] = {name: given[name][0] if name in given else None for name in arrays}
        options: dict[str, Any] = {}
        if case.form == "packed":
            for name in ("input", "d_output"):
                plain[name] = None if plain[name] is None else self.packed(plain[name], call)
        elif call.lengths is not None:
            options["lengths"] = call.lengths.copy()
        if call.masks:
            self.check_masks(layer, plain, options)
            # A packed sequence ends with its longest row.
            T = self.ends(call).max() if case.form == "packed" else call.xs.shape[1]
            options["dropout_masks"] = [mask.swapaxes(0, 1)[:T].copy() for mask in call.masks]
        output, h_n = layer(plain["input"], **({} if plain["hx"] is None else {"hx": plain["hx"]}), **options)
        self.keep(number, "h_n", h_n)
        hs = self.padded(number, "hs", output, call)
        both = {} if plain["d_h_n"] is None else {"d_h_n": plain["d_h_n"]}
        d_input, dh_0 = layer.backward(plain["d_output"], **both)
        self.keep(number, "dh_0", dh_0)
        dx = self.padded(number, "dx", d_input, call)
        self.check_given(given)
        return {"hs": hs, "h_n": h_n, "dx": dx, "dh_0": dh_0}

    def packed(self, padded: Array, call: Call) -> Any:
        """[B, T, ...] packed by the subject's own function."""
        lengths = self.ends(call)
        unsorted = bool((lengths[1:] > lengths[:-1]).any())
        options = {"enforce_sorted": False} if unsorted else {}
        pack = self.layers.nn.utils.rnn.pack_padded_sequence
        return pack(padded, lengths, batch_first=True, **options)

    def padded(self, number: int, name: str, given: Any, call: Call) -> Array:
        """What was returned, padded again by the subject's own function if it is packed."""
        if self.case.form != "packed":
            return self.keep(number, name, given)
        self.keep(number, name, given.data)
        T = call.xs.shape[1]
        padded, lengths = self.layers.nn.utils.rnn.pad_packed_sequence(
            given, batch_first=True, total_length=T
        )
        if not np.array_equal(lengths, self.ends(call)):
            self.find("values", name, f"{name} has the lengths {lengths}, not {self.ends(call)}")
        return np.asarray(padded)

    def ends(self, call: Call) -> Array:
        """The sequences' lengths."""
        B, T, _ = call.xs.shape
        return np.full(B, T) if call.lengths is None else call.lengths

    def check_masks(self, layer: Any, plain: dict[str, Any], options: dict[str, Any]) -> None:
        """The layer's own masks say what it dropped: given back to it, they give the same output."""
        output, _ = layer(plain["input"], **options)
        masks = [mask.copy() for mask in layer.dropout_masks]
        again, _ = layer(plain["input"], dropout_masks=masks, **options)
        packed = self.case.form == "packed"
        first, second = ((value.data if packed else value) for value in (output, again))
        if not np.array_equal(first, second, equal_nan=True):
            self.find("dropout masks", "hs", "dropout_masks given back to the layer give another output")


class _NNCell(_Module):
    def call(self, number: int, layer: Any, call: Call) -> Answer:
        assert call.dhs is not None  # the only gradient that the interface takes
        arrays = {"input": ("dx", call.xs), "d_h_next": ("dx", call.dhs), "hx": ("h_n", call.h_0)}
        given = {
            name: (self.give(tensor, value), tensor, value)
            for name, (tensor, value) in arrays.items()
            if value is not None
        }
        hx = {"hx": given["hx"][0]} if "hx" in given else {}
        h_next = self.keep(number, "h_n", layer(given["input"][0], **hx))
        d_input, d_hx = layer.backward(given["d_h_next"][0])
        self.keep(number, "dx", d_input)
        self.keep(number, "dh_0", d_hx)
        self.check_given(given)
        return {"h_n": h_next, "dx": d_input, "dh_0": d_hx}


_PERFORMERS: dict[str, type[_Performer]] = {"time": _TimeRNN, "cell": _RNN, "nn": _NN, "nncell": _NNCell}


def _identical(left: Array, right: Array) -> bool:
    return left.tobytes() == right.tobytes()
