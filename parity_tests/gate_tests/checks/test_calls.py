"""How a layer is called: what the checks of calls, copies and sizes find in further layers, and what they let pass."""

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array
from parity_tests.checks.registry import TEMPLATES, checks_for, run_contract_check
from parity_tests.checks.state import state_kept
from parity_tests.gate_tests.people.forward import ReluInstead
from parity_tests.gate_tests.people.right_layers import AllEinsum
from parity_tests.report import Severity
from parity_tests.selftest.measures.right_layers import RIGHT
from parity_tests.selftest.measures.right_layers import TimeRNN as Loop
from parity_tests.subjects.interfaces import subject_of
from rnn_np import TimeRNN, nn

FAULT, ADVICE = Severity.FAULT, Severity.ADVISORY
OF_CALLS = (
    "fifty calls",
    "another thread",
    "empty inputs",
    "other dtypes",
    "deep copies",
    "pickles",
    "other batch size",
    "replaced parameters",
)


class WrongAtCallFifty(TimeRNN):
    """The 50th backward has the wrong sign."""

    calls = 0

    def backward(self, dhs: Array) -> Array:
        self.calls += 1
        dxs = super().backward(dhs)
        return -dxs if self.calls == 50 else dxs


class Drifts(TimeRNN):
    """The inputs are scaled by a factor that each call changes in its tenth digit, in float32 in its fourth."""

    factor = 1.0

    def forward(self, xs: Array) -> Array:
        hs = super().forward((self.factor * xs).astype(xs.dtype))
        self.factor *= 1 + (1e-10 if xs.dtype == np.float64 else 1e-4)
        return hs


class InMainThreadAlone(TimeRNN):
    """It raises in any thread but the main one."""

    def forward(self, xs: Array) -> Array:
        if threading.current_thread() is not threading.main_thread():
            raise OSError("no worker")
        return super().forward(xs)


class NoFinalStatesElsewhere(nn.RNN):
    """The final states are zeros in any thread but the main one."""

    def forward(self, *arguments: Any, **options: Any) -> Any:
        output, h_n = super().forward(*arguments, **options)
        return output, h_n if threading.current_thread() is threading.main_thread() else 0 * h_n

    __call__ = forward


class NoStepsAreTheLastOnes(Loop):
    """An empty sequence has the results of the call before."""

    def forward(self, xs: Array) -> Array:
        if xs.shape[1] == 0:
            return np.zeros((len(xs), 0, len(self.params[1])), xs.dtype)
        return super().forward(xs)

    def backward(self, dhs: Array) -> Array:
        if dhs.shape[1] == 0:
            return np.zeros((len(dhs), 0, len(self.params[0])), dhs.dtype)
        return super().backward(dhs)


class NoStepsForgetTheState(Loop):
    """An empty sequence sets the state to zeros."""

    def forward(self, xs: Array) -> Array:
        if xs.shape[1] == 0:
            self.h = np.zeros_like(self.h)
            return np.zeros((len(xs), 0, len(self.params[1])), xs.dtype)
        return super().forward(xs)


class MeanOverNoRows(TimeRNN):
    """The gradients of no rows are NaN."""

    def backward(self, dhs: Array) -> Array:
        dxs = super().backward(dhs)
        for grad in self.grads:
            with np.errstate(all="ignore"):
                grad *= np.float64(len(dhs)) / np.float64(len(dhs))
        return dxs


class EmptyAndSpoilt(TimeRNN):
    """Right for no rows, but the next call is not."""

    empty = False

    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        if self.empty:
            hs *= 0
        self.empty = len(xs) == 0
        return hs


class TruncatesWholeNumbers(Loop):
    """The results have the dtype of the input."""

    def forward(self, xs: Array) -> Array:
        return super().forward(xs).astype(xs.dtype)


class BitsMisread(TimeRNN):
    """The bits of an input of another dtype are read as if they had the layer's."""

    def forward(self, xs: Array) -> Array:
        dtype = self.params[0].dtype
        if xs.dtype != dtype and xs.dtype.kind == "f":
            xs = np.resize(np.ascontiguousarray(xs).view(dtype), xs.shape)
        return super().forward(xs)


class SharesWeights(nn.RNN):
    """A copy shares the weights, and nothing else."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        twin = copy.copy(self)
        vars(twin).update(
            {name: copy.deepcopy(value) for name, value in vars(self).items() if name[0] != "w"}
        )
        return twin


class SharesGradients(Loop):
    """A copy shares the arrays of the gradients, and nothing else."""

    shared = "grads"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        twin = copy.copy(self)
        vars(twin).update({n: copy.deepcopy(value) for n, value in vars(self).items() if n != self.shared})
        return twin


class SharesParameters(SharesGradients):
    """A copy shares the arrays of the parameters, and nothing else."""

    shared = "params"


class ClosureOverItself(Loop):
    """A function of the constructor holds the layer, and in a copy the layer that it was copied from."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.filled: Callable[[list[Array]], None] = lambda gradients: Loop.fill(self, gradients)

    def fill(self, gradients: list[Array]) -> None:
        self.filled(gradients)


class FlatGradients(Loop):
    """The gradients are views of one array, which backward fills; in a copy they are apart."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.flat = np.zeros(sum(grad.size for grad in self.grads), self.grads[0].dtype)
        ends = np.cumsum([grad.size for grad in self.grads])
        parts = np.split(self.flat, ends[:-1])
        self.grads = [part.reshape(grad.shape) for part, grad in zip(parts, self.grads, strict=True)]

    def fill(self, gradients: list[Array]) -> None:
        self.flat[...] = np.concatenate([gradient.ravel() for gradient in gradients])


class PicklesWeightsAlone(Loop):
    """A copy has no cache, so that its backward raises, and starts anew."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "cache"} | {"h": None}


class PicklesNoCache(Loop):
    """Right: the backward of a copy raises."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "cache"}


class NotPickled(Loop):
    """Right: neither kind of copy can be made."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("holds a file")


class Tiles(Loop):
    """The rows of the state are repeated, or dropped, to fit."""

    def start(self, xs: Array) -> Array:
        start = super().start(xs)
        return start if len(start) == len(xs) else np.resize(start, (len(xs), start.shape[1]))


class FirstRows(Loop):
    """What a loop over the rows of the input does."""

    def start(self, xs: Array) -> Array:
        start = super().start(xs)
        if len(start) < len(xs):
            raise IndexError("row of the state")
        return start[: len(xs)]


class StartsAnew(Loop):
    """Right."""

    def start(self, xs: Array) -> Array:
        start = super().start(xs)
        return start if len(start) == len(xs) else np.zeros((len(xs), start.shape[1]), xs.dtype)


class KeepsStateOfSameLength(Loop):
    """The state is forgotten where a call has another number of steps than the one before."""

    steps = 0

    def start(self, xs: Array) -> Array:
        kept = self.steps in (0, xs.shape[1])
        self.steps = xs.shape[1]
        return super().start(xs) if kept else np.zeros((len(xs), len(self.params[1])), xs.dtype)

    def set_state(self, h: Array | None) -> None:
        self.steps = 0
        super().set_state(h)


class NamesBesideParams(Loop):
    """Right: an update in place is seen, another array in `params` is not."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.weights = tuple(self.params)

    def forward(self, xs: Array) -> Array:
        self.params, shown = [*self.weights], self.params
        try:
            return super().forward(xs)
        finally:
            self.params = shown

    def backward(self, dhs: Array) -> Array:
        self.params, shown = [*self.weights], self.params
        try:
            return super().backward(dhs)
        finally:
            self.params = shown


class HalfBesideParams(NamesBesideParams):
    """The forward reads what the constructor was given, the backward what `params` has now."""

    backward = Loop.backward


class GradientsOfTheOldSize(Loop):
    """Weights of a larger input are used, and the gradient of its last column is lost."""

    def fill(self, gradients: list[Array]) -> None:
        super().fill([gradient[: len(grad)] for gradient, grad in zip(gradients, self.grads, strict=True)])


class FrozenParams(Loop):
    """Right: another array is refused."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params = tuple(self.params)  # type: ignore[assignment]


class Noisy(TimeRNN):
    """Other results at every call: no check of copies or threads is about that."""

    noise = np.random.default_rng(0)

    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        return np.asarray(hs + 0.1 * self.noise.normal(size=hs.shape), hs.dtype)


class NoTwoAlike(TimeRNN):
    """Other results in every layer, but the same at every call of one."""

    noise = np.random.default_rng(0)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.scale = self.noise.uniform(0.5, 1)

    def forward(self, xs: Array) -> Array:
        return super().forward((self.scale * xs).astype(xs.dtype))


def found(cls: Any, names: tuple[str, ...] = OF_CALLS) -> dict[str, set[Severity]]:
    """The checks of calls that a layer does not pass, and how severe that is."""
    kind, interface = ("nn.RNN", "module") if issubclass(cls, nn.RNN) else ("TimeRNN", "layer")
    severities: dict[str, set[Severity]] = {}
    for _, name in checks_for((kind,), ()):
        if name in names:
            findings, reason = run_contract_check(subject_of(cls, interface), kind, name, ())
            assert not reason
            for finding in findings:
                severities.setdefault(name, set()).add(finding.severity)
    return severities


@pytest.mark.parametrize(
    ("cls", "check", "severity"),
    [
        (WrongAtCallFifty, "fifty calls", FAULT),
        (Drifts, "fifty calls", FAULT),
        (InMainThreadAlone, "another thread", FAULT),
        (NoFinalStatesElsewhere, "another thread", FAULT),
        (NoStepsAreTheLastOnes, "empty inputs", FAULT),
        (NoStepsForgetTheState, "empty inputs", FAULT),
        (MeanOverNoRows, "empty inputs", FAULT),
        (EmptyAndSpoilt, "empty inputs", FAULT),
        (TruncatesWholeNumbers, "other dtypes", ADVICE),
        (BitsMisread, "other dtypes", FAULT),
        (SharesWeights, "deep copies", FAULT),
        (SharesGradients, "deep copies", FAULT),
        (SharesParameters, "deep copies", FAULT),
        (ClosureOverItself, "deep copies", FAULT),
        (FlatGradients, "deep copies", FAULT),
        (PicklesWeightsAlone, "deep copies", FAULT),
        (Tiles, "other batch size", FAULT),
        (FirstRows, "other batch size", ADVICE),
        (HalfBesideParams, "replaced parameters", FAULT),
        (GradientsOfTheOldSize, "replaced parameters", FAULT),
        (NamesBesideParams, "replaced parameters", ADVICE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_check_finds_further_layers(cls: Any, check: str, severity: Severity) -> None:
    assert found(cls)[check] == {severity}


@pytest.mark.parametrize(
    "cls",
    [PicklesNoCache, NotPickled, StartsAnew, FrozenParams, Noisy, NoTwoAlike],
    ids=lambda cls: cls.__name__,
)
def test_what_is_refused_or_another_matter_is_not_found(cls: Any) -> None:
    expected = {"other batch size": {ADVICE}} if issubclass(cls, Loop) and cls is not StartsAnew else {}
    assert found(cls) == expected


def test_a_state_is_kept_from_a_call_of_one_length_to_a_call_of_another() -> None:
    assert found(KeepsStateOfSameLength, (state_kept.name,)) == {state_kept.name: {FAULT}}


def test_a_fault_of_both_kinds_of_copies_is_found_once() -> None:
    assert "pickles" not in found(PicklesWeightsAlone)


@pytest.mark.parametrize("without", [(), ("batch",)], ids=str)
@pytest.mark.parametrize("name", RIGHT)
def test_right_layers_have_no_fault(name: str, without: tuple[str, ...]) -> None:
    for kind, check in checks_for(("TimeRNN", "RNN"), without):
        if check in OF_CALLS:
            findings, reason = run_contract_check(RIGHT[name], kind, check, without)
            assert not reason
            assert not [finding for finding in findings if finding.severity == FAULT]


def test_a_slow_layer_is_called_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr("parity_tests.checks.calls.time.monotonic", lambda: next(seconds))
    assert found(WrongAtCallFifty, ("fifty calls",)) == {}


def test_half_precision_is_not_given_where_it_may_turn_a_slope_off() -> None:
    subject = subject_of(ReluInstead, "layer")
    findings, _ = run_contract_check(subject, "TimeRNN", "other dtypes", ("nonlinearity=relu",))
    assert {finding.severity for finding in findings} <= {ADVICE}


def test_rounding_that_is_left_where_units_saturate_is_not_found() -> None:
    # In the case of a single row they do.
    subject = subject_of(AllEinsum, "layer")
    assert run_contract_check(subject, "TimeRNN", "other dtypes", ("batch",)) == ([], "")


def test_what_a_layer_is_declared_to_lack_is_not_given_to_it() -> None:
    subject = subject_of(BitsMisread, "layer")
    assert run_contract_check(subject, "TimeRNN", "other dtypes", ("float32",)) == ([], "")
    assert TEMPLATES["TimeRNN"].B == 3
    assert not run_contract_check(subject_of(MeanOverNoRows, "layer"), "TimeRNN", "empty inputs", ("batch",))[
        0
    ]
