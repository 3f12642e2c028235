"""What is declared missing is not passed, not required, not compared and not named, in any check."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

import parity_tests
from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.cases.features import FEATURES, restricted
from parity_tests.cases.tensors import OF_ADAPTERS, TENSORS, family
from parity_tests.checks.contract import speed
from parity_tests.checks.registry import TEMPLATES, checks_for, run_contract_check
from parity_tests.checks.values import judge
from parity_tests.gate_tests.people.right_styles import ViewsFirstStateLost
from parity_tests.references.live_torch import torch_answers
from parity_tests.subjects.drivers import run_case
from rnn_np import RNN, TimeRNN, nn


class Passed(Exception):
    """Something that is declared missing was passed, or asked for."""


def refuse(condition: object) -> None:
    if condition:
        raise Passed


ARRAYS: dict[str, Callable[[Any], bool]] = {
    "float32": lambda array: array.dtype == np.float32,
    "float64": lambda array: array.dtype == np.float64,
    "layouts": lambda array: not (array.flags.c_contiguous and array.flags.writeable),
    "non-finite": lambda array: not np.isfinite(array).all(),
}
"""By feature, whether an array that is given has it."""
OPTIONS = {
    "relu": "nonlinearity",
    "layers": "num_layers",
    "bidirectional": "bidirectional",
    "no-bias": "bias",
    "batch-first": "batch_first",
    "float64": "dtype",
    "initial-state": "hx",
    "lengths": "lengths",
    "final-gradient": "d_h_n",
    "dropout": "dropout",
}
"""By feature, the option that passes it."""
ATTRIBUTES = {"h": "h_n", "dh": "dh_0", "set_state": "initial-state", "reset_state": "state"}
"""By name, what a layer lacks that does not have it."""
BASES: dict[str, Any] = {"TimeRNN": TimeRNN, "RNN": RNN, "nn.RNN": nn.RNN, "nn.RNNCell": nn.RNNCell}


class Lacking:
    """A right layer that refuses what it lacks, and gives None for tensors that it lacks."""

    kind: str
    names: tuple[str, ...]
    stateful = False
    here: Any = None
    was_set = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.check(arguments, options)
        if not self.kind.startswith("nn."):
            refuse("bias" in self.names and len(arguments) > 2)
            bias = [*arguments, np.zeros(arguments[1].shape[1], arguments[1].dtype)][2]
            arguments = *arguments[:2], bias
            refuse("row-bias" in self.names and bias.ndim == 2)
            refuse("flat-bias" in self.names and bias.ndim == 1 and "bias" not in self.names)
        self.layer = BASES[self.kind](*arguments, **options)
        self.stateful = options.get("stateful", False)
        self.batch_axis = 1 if self.kind == "nn.RNN" and "batch_first" not in options else 0

    def check(self, arguments: Any, options: dict[str, Any]) -> None:
        refuse(any(OPTIONS.get(name) in options for name in self.names))
        arrays = [value for value in (*arguments, options.get("hx")) if isinstance(value, np.ndarray)]
        refuse(any(ARRAYS[name](array) for array in arrays for name in self.names if name in ARRAYS))

    def check_input(self, x: Any) -> None:
        refuse("packed" in self.names and isinstance(x, nn.utils.rnn.PackedSequence))
        if not isinstance(x, np.ndarray):
            return
        batched = x.ndim == (2 if self.kind in ("RNN", "nn.RNNCell") else 3)
        refuse("unbatched" in self.names and not batched)
        refuse("batch" in self.names and batched and x.shape[self.batch_axis] != 1)
        here = x.shape, b"".join(param.tobytes() for param in self.weights())
        refuse("second-call" in self.names and not self.stateful and self.here not in (None, here))
        refuse("state" in self.names and self.stateful and not self.was_set)
        self.here, self.was_set = here, False

    def weights(self) -> list[Any]:
        named = getattr(self.layer, "named_parameters", None)
        return [value for _, value in named()] if named else self.layer.params

    def hidden(self, names: tuple[str, ...], result: Any) -> Any:
        """The results of a call, without those that are lacking."""
        if len(names) == 1:
            return None if names[0] in self.names else result
        return tuple(None if n in self.names else value for n, value in zip(names, result, strict=True))

    def forward(self, *arguments: Any, **options: Any) -> Any:
        self.check(arguments, options)
        self.check_input(arguments[0])
        names = {"TimeRNN": ("hs",), "nn.RNN": ("hs", "h_n")}.get(self.kind, ("h_n",))
        return self.hidden(names, self.layer.forward(*arguments, **options))

    __call__ = forward

    @property
    def has_no_gradient(self) -> bool:
        return all(name in self.names for name in tensors_of(self.kind) if name[0] == "d")

    def backward(self, *arguments: Any, **options: Any) -> Any:
        refuse(self.has_no_gradient)
        self.check(arguments, options)
        refuse("dense-gradient" in self.names and self.kind == "TimeRNN" and arguments[0][:, :-1].any())
        names = ("dx",) if self.kind == "TimeRNN" else ("dx", "dh_0")
        return self.hidden(names, self.layer.backward(*arguments, **options))

    def __getattr__(self, name: str) -> Any:
        """All else is the layer's own, but for what it lacks."""
        if (
            ATTRIBUTES.get(name) in self.names
            or name == "layer"
            or (name == "grads" and self.has_no_gradient)
        ):
            raise AttributeError(name)
        self.was_set |= name == "set_state"
        value = getattr(self.layer, name)
        if name != "grads":
            return value
        if isinstance(value, list):
            return list(self.hidden(("dWx", "dWh", "db"), value))
        return {key: grad for key, grad in value.items() if family(f"d{key}") not in self.names}


def lacking(kind: str, names: tuple[str, ...]) -> type:
    return type("Lacking", (Lacking,), {"kind": kind, "names": names})


def subject(kind: str, cls: Any) -> SimpleNamespace:
    if kind.startswith("nn."):
        return SimpleNamespace(nn=SimpleNamespace(**{kind[3:]: cls, "utils": nn.utils}))
    return SimpleNamespace(**{kind: cls})


def tensors_of(kind: str) -> list[str]:
    shared = ["h_n", "dx", "dh_0"] if kind.endswith("Cell") or kind == "RNN" else ["hs", "h_n", "dx", "dh_0"]
    own = [
        name
        for name in TENSORS
        if name[0] == "d"
        and name not in OF_ADAPTERS
        and ("_ih" in name or "_hh" in name) == kind.startswith("nn.")
    ]
    return shared + [name for name in own if name not in shared]


def features_of(kind: str) -> list[str]:
    """The features that some case of the kind has."""
    drawn = [draw_case(3, number, (kind,)) for number in range(60)]
    return [
        name
        for name, (_, change) in FEATURES.items()
        if any(change(case).items() - _fields(case) for case in drawn)
    ]


def _fields(case: Case) -> set[tuple[str, Any]]:
    return {(name, getattr(case, name)) for name in case.__slots__}


def combinations(kind: str) -> Iterator[tuple[str, ...]]:
    """Every tensor alone, all gradients, all results; the features in two halves, and nearly everything."""
    tensors, features = tensors_of(kind), features_of(kind)
    yield from ((name, "float32") for name in tensors)
    yield tuple(name for name in tensors if name[0] == "d")
    yield "hs", "h_n", "float64"
    yield tuple(name for name in features[::2] if name != "float32")
    yield tuple(name for name in features[1::2] if name != "flat-bias")
    yield tuple(name for name in (*features, "dx", *tensors[4:]) if name not in {"float64", "row-bias"})


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_right_layer_that_lacks_it_has_no_finding(kind: str) -> None:
    for names in combinations(kind):
        target, found, reasons = subject(kind, lacking(kind, names)), [], []
        for case in islice(small_cases(kind, names), 2):
            found += judge(case, torch_answers, partial(run_case, target, without=names), names).findings
        for _, check in checks_for((kind,), names):
            if check != speed.name:
                findings, reason = run_contract_check(target, kind, check, names)
                found += findings
                reasons += [reason] if reason else []
        assert not found, (names, [(finding.what, finding.message) for finding in found])
        assert not reasons, names


def small_cases(kind: str, names: tuple[str, ...]) -> Iterator[Case]:
    drawn = (draw_case(5, number, (kind,), names) for number in count())
    return (case for case in drawn if case.B * case.T * case.H < 500)


@pytest.mark.parametrize("kind", ["nn.RNN"])
def test_lengths_are_not_passed_by_the_first_of_two_calls_either(kind: str) -> None:
    cases = [draw_case(5, number, (kind,), ("lengths",)) for number in range(60)]
    again = [case for case in cases if case.calls == "again"]
    assert len(again) > 10
    assert all(call.lengths is None for case in again for call in calls_of(case))
    assert all(restricted(case, ("lengths",)) == case for case in again)


def test_what_is_declared_missing_is_not_named_in_the_diagnosis() -> None:
    report = parity_tests.check(ViewsFirstStateLost, cases=10, without=["db", "dx", "row-bias"])
    (fault,) = report.faults
    assert (fault.what, fault.fault) == ("values of dWh", "dWh without the initial state")
    assert "(Wrong: dWh; right: hs, h_n, dh_0, dWx.)" in fault.message
    assert {"dx", "db"}.isdisjoint(finding.tensor for finding in report.findings)
    with pytest.raises(
        ValueError,
        match=r"it is judged as a layer: a sequence, made of its weights.*; its tokens begin with B",
    ):
        parity_tests.check(ViewsFirstStateLost, case="nn-B1T1D1H1-f64-s0")
