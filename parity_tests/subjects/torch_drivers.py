"""Drivers of layers with torch's interface, ``nn.RNN`` and ``nn.RNNCell``."""

from contextlib import suppress
from types import MappingProxyType
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.features import declared_nonlinearity
from parity_tests.cases.memory_layouts import laid_out, writable
from parity_tests.cases.tensors import is_parameter_gradient, parameters
from parity_tests.check_facts import DROPOUT_MASKS, GRADIENTS_IN_PLACE, VALUES, as_advice
from parity_tests.subjects.driver import Driver, Given, class_of
from parity_tests.subjects.parts import PartMissing, attribute, called, called_with, method
from parity_tests.subjects.results import described, is_array
from parity_tests.subjects.side_effects import Violations, replaced_gradients
from parity_tests.subjects.signatures import made_by


class _TorchDriver(Driver):
    """``nn.RNN`` and ``nn.RNNCell``: parameters as attributes under torch's names."""

    gradients_in_place = as_advice(GRADIENTS_IN_PLACE)  # torch's own are new after each ``zero_grad``

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        of_parameters = [name for name in self.wanted if is_parameter_gradient(name)]
        self.places = {**self.places, **{name: f"`grads['{name[1:]}']`" for name in of_parameters}}

    def options(self) -> dict[str, Any]:
        """The constructor's, but for those that have their default: the default is judged too."""
        case = self.case
        # Of a layer with one nonlinearity, which is declared, it is no option.
        is_fixed = any(map(declared_nonlinearity, self.without)) and "nonlinearity" not in {
            parameter.name for parameter in made_by(self.cls)
        }
        options = {
            "num_layers": (case.layers, 1),
            "nonlinearity": ("tanh" if is_fixed else case.nonlinearity, "tanh"),
            "bias": (case.bias != "nobias", True),
            "batch_first": (case.batch_first, False),
            "dropout": (case.dropout, 0.0),
            "bidirectional": (case.bidirectional, False),
            "dtype": (np.float32 if case.dtype == "f32" else np.float64, np.float32),
        }
        return {name: value for name, (value, default) in options.items() if value != default}

    def make(self, call: Call) -> Any:
        layer = called(self.cls, self.case.D, self.case.H, **self.options())
        weights = parameters(self.case, call.weights)
        self.names = tuple(weights)
        if attribute(layer, "load_state_dict") is None:
            self.update(layer, call)
            return layer
        # A layer may keep these arrays, and they are updated in place.
        layout = writable(self.case.layout)
        loaded = {name: laid_out(value, layout) for name, value in weights.items()}
        called(method(layer, "load_state_dict"), loaded)
        return layer

    def update(self, layer: Any, call: Call) -> None:
        for name, value in parameters(self.case, call.weights).items():
            param = attribute(layer, name)
            if not is_array(param):
                what = "there is none" if param is None else f"it is {described(param)}"
                raise PartMissing(f"the layer needs a parameter `{name}`, an array, and {what}")
            if param.shape != value.shape:
                raise PartMissing(
                    f"the parameter `{name}` has shape {list(param.shape)}, not {list(value.shape)}"
                )
            if param.flags.writeable:
                param[...] = value
            else:
                setattr(layer, name, value.copy())

    def parameters(self, layer: Any) -> dict[str, Array]:
        found = {name: attribute(layer, name) for name in self.names}
        return {name: value for name, value in found.items() if is_array(value)}

    def all_gradients(self, layer: Any) -> Given:
        grads = attribute(layer, "grads")
        found: Given = {}
        for name in self.names:
            # Before the first backward there may be none, as in torch.
            with suppress(KeyError, TypeError, IndexError):
                found[f"d{name}"] = grads[name]
        return found

    def replaced(self, now: Given, first: Given) -> Violations:
        return replaced_gradients({name: now[name] for name in now if is_array(first.get(name))}, first)


class TorchRNNDriver(_TorchDriver):
    """``nn.RNN``."""

    places = MappingProxyType(
        {
            "hs": "the first that a call returns",
            "h_n": "the second that a call returns",
            "dx": "the first that `backward` returns",
            "dh_0": "the second that `backward` returns",
        }
    )

    def make(self, call: Call) -> Any:
        layer = super().make(call)
        if not self.case.eval:
            return layer
        evaluating = called(method(layer, "eval"))
        return layer if evaluating is None else evaluating

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {
            "input": ("dx", call.xs),
            "hx": ("h_n", call.h_0),
            "d_output": ("hs", call.dhs),
            "d_h_n": ("h_n", call.dh_n),
        }

    def run_forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        options: dict[str, Any] = {}
        x = self.packed(arguments["input"], call) if self.case.form == "packed" else arguments["input"]
        if call.lengths is not None and self.case.form != "packed":
            options["lengths"] = call.lengths.copy()
        if call.masks:
            self.check_masks(layer, x, arguments, options)
            # A packed sequence ends with its longest row.
            T = self.ends(call).max() if self.case.form == "packed" else call.xs.shape[1]
            options["dropout_masks"] = [mask.swapaxes(0, 1)[:T].copy() for mask in call.masks]
        return self.padded("hs", self.pair(_forward(layer, x, arguments, options), "hs", "h_n"), call)

    def run_backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        d_output: Any = arguments.get("d_output")
        if d_output is not None and self.case.form == "packed":
            d_output = self.packed(d_output, call)
        d_h_n = {"d_h_n": arguments["d_h_n"]} if "d_h_n" in arguments else {}
        returned = called_with(method(layer, "backward"), d_output, d_h_n)
        return self.padded("dx", self.pair(returned, "dx", "dh_0"), call)

    def packed(self, padded: Array, call: Call) -> Any:
        """[B, T, ...] packed by the subject's own function."""
        lengths = self.ends(call)
        unsorted = bool((lengths[1:] > lengths[:-1]).any())
        options = {"enforce_sorted": False} if unsorted else {}
        return self._utility("pack_padded_sequence")(padded, lengths, batch_first=True, **options)

    def padded(self, name: str, given: Given, call: Call) -> Given:
        """The same, where one tensor is padded again by the subject's own function if it is packed."""
        if self.case.form != "packed" or name not in self.wanted or given.get(name) is None:
            return given
        T = call.xs.shape[1]
        pad = self._utility("pad_packed_sequence")
        padded, lengths = pad(given[name], batch_first=True, total_length=T)
        if not np.array_equal(lengths, self.ends(call)):
            self.find(VALUES, name, f"{name} has the lengths {lengths}, not {self.ends(call)}")
        return given | {name: padded}

    def _utility(self, name: str) -> Any:
        found = class_of(f"nn.utils.rnn.{name}", self.subject)
        if found is None:
            raise PartMissing(
                f"it has no `nn.utils.rnn.{name}`; `--without packed` says that it is not there"
            )
        return found

    def ends(self, call: Call) -> Array:
        """The sequences' lengths."""
        B, T, _ = call.xs.shape
        return np.full(B, T) if call.lengths is None else call.lengths

    def check_masks(self, layer: Any, x: Any, arguments: dict[str, Array], options: dict[str, Any]) -> None:
        """The layer's own masks say what it dropped: given back to it, they give the same output."""
        output = self._output(layer, x, arguments, options)
        masks = attribute(layer, "dropout_masks")
        if output is None or masks is None:
            missing = "the layer has no `dropout_masks` that say what it dropped"
            if masks is None:
                self.find(DROPOUT_MASKS, "hs", f"{missing}; `--without dropout` says that it has no dropout")
            return
        given = {**options, "dropout_masks": [mask.copy() for mask in masks]}
        again = self._output(layer, x, arguments, given)
        if again is None or not np.array_equal(output, again, equal_nan=True):
            self.find(DROPOUT_MASKS, "hs", "dropout_masks given back to the layer give another output")

    def _output(
        self, layer: Any, x: Any, arguments: dict[str, Array], options: dict[str, Any]
    ) -> Array | None:
        """The output of a call, None if there is none to compare."""
        output = self._wanted(self.pair(_forward(layer, x, arguments, options), "hs", "h_n")).get("hs")
        output = getattr(output, "data", None) if self.case.form == "packed" else output
        return output.copy() if is_array(output) else None


def _forward(layer: Any, x: Any, arguments: dict[str, Array], options: dict[str, Any]) -> Any:
    """A call as in torch, or of ``forward`` where a layer has that alone."""
    hx = {"hx": arguments["hx"]} if "hx" in arguments else {}
    return called_with(layer if callable(layer) else method(layer, "forward"), x, hx, **options)


class TorchCellDriver(_TorchDriver):
    """``nn.RNNCell``."""

    places = MappingProxyType(
        {
            "h_n": "what a call returns",
            "dx": "the first that `backward` returns",
            "dh_0": "the second that `backward` returns",
        }
    )

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        return {"input": ("dx", call.xs), "hx": ("h_n", call.h_0), "d_h_next": ("dx", call.dhs)}

    def run_forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        return {"h_n": _forward(layer, arguments["input"], arguments, {})}

    def run_backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        return self.pair(called(method(layer, "backward"), arguments["d_h_next"]), "dx", "dh_0")
