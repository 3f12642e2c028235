"""A driver takes a layer of one interface through the calls of a case; what is the same for all interfaces."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.case import Case
from parity_tests.cases.memory_layouts import laid_out
from parity_tests.cases.tensors import OUTPUTS, native, tensor_names
from parity_tests.check_facts import GRADIENTS_IN_PLACE, INPUTS_UNTOUCHED, RESULTS_OWNED, Check, as_advice
from parity_tests.subjects.parts import PartMissing, attribute, called
from parity_tests.subjects.results import CaseResults, call_result, is_wanted
from parity_tests.subjects.side_effects import (
    ReturnedArrays,
    Violations,
    overwritten_inputs,
    replaced_gradients,
)

Given = dict[str, object]
"""What a layer gave, by the names of tensors: arrays, if it is right."""


def class_of(kind: str, subject: Any) -> Any:
    """The class of a layer in ``subject``, or None."""
    for name in kind.split("."):
        subject = getattr(subject, name, None)
    return subject


class Driver:
    """One layer, and what is seen of it; subclasses know its interface.

    Args:
        case: the case.
        subject: the package that has the layer.
        without: what the layer is declared to lack; these tensors are neither asked for nor looked at.

    Attributes:
        places: where the tensors stand in the user's code.
        living: the tensors that are attributes, which a layer may fill again.
        gradients_in_place: the check that gradients stay in the same arrays.
        wanted: the tensors that the layer has to give.
        results: what was seen.
    """

    places: Mapping[str, str] = MappingProxyType({})
    living: Collection[str] = ()
    gradients_in_place: Check = GRADIENTS_IN_PLACE

    def __init__(self, case: Case, subject: Any, without: Collection[str] = ()) -> None:
        self.case = case
        self.subject = subject
        self.without = without
        self.cls = class_of(case.layer, subject)
        self.wanted = tuple(name for name in tensor_names(case) if is_wanted(name, without))
        self.has_backward = bool({*self.wanted} - {*OUTPUTS})
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
            self.find_all(self.gradients_in_place, self.replaced(after, grads))

    def make(self, call: Call) -> Any:
        """The layer with a call's weights."""
        raise NotImplementedError

    def update(self, layer: Any, call: Call) -> None:
        """Write a call's weights into the layer's parameters."""
        raise NotImplementedError

    def parameters(self, layer: Any) -> dict[str, Array]:
        """The layer's parameters by name."""
        raise NotImplementedError

    def inputs(self, call: Call) -> dict[str, tuple[str, Array | None]]:
        """By the interface's names: the tensor that each has the form of, and its canonical values."""
        raise NotImplementedError

    def run_forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        """One forward, its results by the names of tensors."""
        raise NotImplementedError

    def run_backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        """The backward of it, without the gradients of parameters."""
        raise NotImplementedError

    def all_gradients(self, layer: Any) -> Given:
        """The gradients of the parameters that are there, by the names of tensors."""
        raise NotImplementedError

    def arguments(self, call: Call) -> dict[str, Array]:
        """Return the arguments of a call by the interface's names, in the shapes and the layout of the case."""
        return {
            name: self.give(tensor, value)
            for name, (tensor, value) in self.inputs(call).items()
            if value is not None
        }

    def zero(self, layer: Any) -> None:
        """Set the gradients to zero as a training loop does, if the layer has a method for it."""
        zero_grad = attribute(layer, "zero_grad")
        if callable(zero_grad):
            with suppress(PartMissing):
                called(zero_grad)

    def forward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        """One forward, the results that are wanted."""
        return self._wanted(self.run_forward(layer, call, arguments))

    def backward(self, layer: Any, call: Call, arguments: dict[str, Array]) -> Given:
        """The backward of it, the results that are wanted; it is left out if no gradient is."""
        return self._wanted(self.run_backward(layer, call, arguments)) if self.has_backward else {}

    def gradients(self, layer: Any) -> Given:
        """The gradients of the parameters that are wanted and there."""
        return self._wanted(self.all_gradients(layer)) if self.of_parameters else {}

    @property
    def of_parameters(self) -> bool:
        """Whether the gradient of a parameter is wanted."""
        return bool({*self.wanted} - {"hs", "h_n", "dx", "dh_0"})

    def replaced(self, now: Given, first: Given) -> Violations:
        """The gradients that are in other arrays than before."""
        return replaced_gradients(now, first)

    def _wanted(self, given: Given) -> Given:
        return {name: value for name, value in given.items() if name in self.wanted}

    def pair(self, returned: object, first: str, second: str) -> Given:
        """What a call returned, as two tensors by name; the one alone if the other is not wanted."""
        if isinstance(returned, tuple | list) and len(returned) == 2:
            return dict(zip((first, second), returned, strict=True))
        if isinstance(returned, tuple | list) and len(returned) == 1:
            (returned,) = returned
        if isinstance(returned, tuple | list):
            return dict.fromkeys((first, second), returned)
        return {first if first in self.wanted else second: returned}

    def call(self, number: int, layer: Any, call: Call) -> Given:
        """Run one forward and backward, and check that the arguments are unchanged."""
        arguments = self.arguments(call)
        self.zero(layer)
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
        self.results.calls.append(call_result(self.case, call, answer, self.without, self.places))

    def changed_results(self) -> list[tuple[Check, str, str]]:
        """The returned arrays that a later call has changed: the check, the tensor, and what was seen."""
        return [
            (self.results_owned(tensor), tensor, observed) for tensor, observed in self.returned.changed()
        ]

    def results_owned(self, tensor: str) -> Check:
        """The check that a result keeps its values."""
        return as_advice(RESULTS_OWNED) if tensor in self.living else RESULTS_OWNED
