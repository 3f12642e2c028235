"""Layers that are right except that each breaks one check of the contract."""

import copy
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.checks import calls, contract, copies, state
from rnn_np import TimeRNN, nn


class _Overwrites(TimeRNN):
    def backward(self, dhs: Array) -> Array:
        dxs = super().backward(dhs)
        dhs += 1
        return dxs


class _OneBuffer(TimeRNN):
    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        if getattr(self, "buffer", hs).shape != hs.shape or not hasattr(self, "buffer"):
            self.buffer = np.empty_like(hs)
        self.buffer[...] = hs
        return self.buffer


class _BackwardAdds(TimeRNN):
    def backward(self, dhs: Array) -> Array:
        self.kept = getattr(self, "kept", 0) + dhs
        return super().backward(np.array(self.kept))

    def forward(self, xs: Array) -> Array:
        self.kept = np.zeros((*xs.shape[:2], len(self.params[1])), xs.dtype)
        return super().forward(xs)


class _FirstWeights(TimeRNN):
    def forward(self, xs: Array) -> Array:
        if not hasattr(self, "packed"):
            self.packed = [param.copy() for param in self.params]
        live = [param.copy() for param in self.params]
        try:
            for param, first in zip(self.params, self.packed, strict=True):
                param[...] = first
            return super().forward(xs)
        finally:
            for param, value in zip(self.params, live, strict=True):
                param[...] = value


class _Accumulates(TimeRNN):
    def backward(self, dhs: Array) -> Array:
        before = [grad.copy() for grad in self.grads]
        dxs = super().backward(dhs)
        for grad, old in zip(self.grads, before, strict=True):
            grad += old
        return dxs


class _NewGradients(TimeRNN):
    def backward(self, dhs: Array) -> Array:
        self.grads = list(self._grad_buffers.arrays)
        dxs = super().backward(dhs)
        self.grads = [grad.copy() for grad in self.grads]
        return dxs


class _CopiesWeights(TimeRNN):
    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx.copy(), Wh.copy(), b.copy(), stateful)


class _SharedTape(TimeRNN):
    tapes: ClassVar[list[Any]] = []

    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        self.tapes[:] = [copy.deepcopy(self._tape)]
        return hs

    def backward(self, dhs: Array) -> Array:
        self._tape = self.tapes[0]
        return super().backward(dhs)


class _FirstTape(TimeRNN):
    def forward(self, xs: Array) -> Array:
        before = getattr(self, "waiting", None)
        hs = super().forward(xs)
        self.waiting = self._tape = before or copy.deepcopy(self._tape)
        return hs

    def backward(self, dhs: Array) -> Array:
        dxs = super().backward(dhs)
        self.waiting = None
        return dxs


class _InMemoryOrder(TimeRNN):
    def forward(self, xs: Array) -> Array:
        return super().forward(np.reshape(xs.ravel(order="K"), xs.shape))


class _Exponentials(TimeRNN):
    def forward(self, xs: Array) -> Array:
        hs = super().forward(xs)
        with np.errstate(all="ignore"):
            return hs + 0 * np.exp(np.abs(xs @ self.params[0])).sum(dtype=xs.dtype)


class _KeepsState(TimeRNN):
    def set_state(self, h: Array | None) -> None:
        super().set_state(h)
        self.theirs = h

    def forward(self, xs: Array) -> Array:
        if getattr(self, "theirs", None) is not None:
            super().set_state(self.theirs)
            self.theirs = None
        return super().forward(xs)


class _StateInResult(TimeRNN):
    view: Array | None = None

    def forward(self, xs: Array) -> Array:
        if self.view is not None:
            super().set_state(self.view)
        hs = super().forward(xs)
        self.view = hs[:, -1] if self.stateful else None
        return hs

    def set_state(self, h: Array | None) -> None:
        self.view = None
        super().set_state(h)

    def reset_state(self) -> None:
        self.view = None
        super().reset_state()


class _ForgetsState(TimeRNN):
    def forward(self, xs: Array) -> Array:
        if getattr(self, "called", False):
            self.reset_state()
        self.called = True
        return super().forward(xs)

    def set_state(self, h: Array | None) -> None:
        self.called = False
        super().set_state(h)


class _ResetsNothing(TimeRNN):
    def reset_state(self) -> None:
        """Keep it."""


class _KeepsCheckpoint(nn.RNN):
    def load_state_dict(self, state_dict: Mapping[str, Any], prefix: str = "") -> None:
        super().load_state_dict(state_dict, prefix)
        self.loaded = state_dict

    def forward(self, *arguments: Any, **options: Any) -> Any:
        if hasattr(self, "loaded"):
            super().load_state_dict(self.loaded)
            del self.loaded
        return super().forward(*arguments, **options)

    __call__ = forward


class _FirstCheckpoint(nn.RNN):
    def load_state_dict(self, state_dict: Mapping[str, Any], prefix: str = "") -> None:
        super().load_state_dict(state_dict, prefix)
        self.loaded = {name: np.array(value) for name, value in state_dict.items()}

    def state_dict(self, prefix: str = "") -> dict[str, Array]:
        return self.loaded


class _AnyLength(nn.RNN):
    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None, **options: Any) -> Any:  # noqa: A002
        if lengths is not None:
            lengths = np.clip(lengths, 1, input.shape[1 if self.batch_first else 0])
        return super().forward(input, hx, lengths=lengths, **options)

    __call__ = forward


class _CountsCalls(TimeRNN):
    calls = 0

    def forward(self, xs: Array) -> Array:
        self.calls += 1
        hs = super().forward(xs)
        return hs if self.calls < 10 else np.asarray(1.01 * hs, xs.dtype)


class _SetUpInOneThread(TimeRNN):
    here = threading.local()

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b, stateful)
        self.here.scale = 1.0

    def forward(self, xs: Array) -> Array:
        return np.asarray(getattr(self.here, "scale", 0.5) * super().forward(xs), xs.dtype)


class _KeepsGradientsOfOthers(TimeRNN):
    def backward(self, dhs: Array) -> Array:
        if dhs.size == 0:
            return np.empty((*dhs.shape[:2], len(self.params[0])), dhs.dtype)
        return super().backward(dhs)


class _WholeNumbersOfOthers(TimeRNN):
    def forward(self, xs: Array) -> Array:
        dtype = self.params[0].dtype
        return super().forward(xs if xs.dtype == dtype else xs.astype(int).astype(dtype))


class _ShallowCopy(TimeRNN):
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.copy(self)


class _StateNotPickled(TimeRNN):
    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_h": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        twin = type(self).__new__(type(self))
        vars(twin).update(copy.deepcopy(vars(self), memo))
        return twin


class _StateOfOtherRows(TimeRNN):
    def forward(self, xs: Array) -> Array:
        if self.h is not None:
            super().set_state(np.resize(self.h, (len(xs), len(self.params[1]))))
        return super().forward(xs)


class _BackThroughFirstWeights(TimeRNN):
    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b, stateful)
        self.first = TimeRNN(Wx, Wh, b, stateful)

    def forward(self, xs: Array) -> Array:
        self.first.set_state(self.h)
        self.first.forward(xs)
        return super().forward(xs)

    def backward(self, dhs: Array) -> Array:
        super().backward(dhs)
        return self.first.backward(dhs)


BROKEN: dict[str, tuple[str, type]] = {
    contract.inputs_untouched.name: ("TimeRNN", _Overwrites),
    contract.results_owned.name: ("TimeRNN", _OneBuffer),
    contract.repeatable_backward.name: ("TimeRNN", _BackwardAdds),
    contract.second_call.name: ("TimeRNN", _FirstWeights),
    contract.gradients_overwritten.name: ("TimeRNN", _Accumulates),
    contract.gradients_in_place.name: ("TimeRNN", _NewGradients),
    contract.parameters_by_reference.name: ("TimeRNN", _CopiesWeights),
    contract.two_layers.name: ("TimeRNN", _SharedTape),
    contract.two_forwards.name: ("TimeRNN", _FirstTape),
    contract.memory_layouts.name: ("TimeRNN", _InMemoryOrder),
    contract.large_inputs.name: ("TimeRNN", _Exponentials),
    calls.fifty_calls.name: ("TimeRNN", _CountsCalls),
    calls.another_thread.name: ("TimeRNN", _SetUpInOneThread),
    calls.empty_inputs.name: ("TimeRNN", _KeepsGradientsOfOthers),
    calls.other_dtypes.name: ("TimeRNN", _WholeNumbersOfOthers),
    copies.deep_copies.name: ("TimeRNN", _ShallowCopy),
    copies.pickles.name: ("TimeRNN", _StateNotPickled),
    state.state_copied.name: ("TimeRNN", _KeepsState),
    state.state_apart.name: ("TimeRNN", _StateInResult),
    state.state_kept.name: ("TimeRNN", _ForgetsState),
    state.other_batch_size.name: ("TimeRNN", _StateOfOtherRows),
    state.state_reset.name: ("TimeRNN", _ResetsNothing),
    state.replaced_parameters.name: ("TimeRNN", _BackThroughFirstWeights),
    state.checkpoints_copied.name: ("nn.RNN", _KeepsCheckpoint),
    state.checkpoints_restored.name: ("nn.RNN", _FirstCheckpoint),
    state.bad_lengths.name: ("nn.RNN", _AnyLength),
}
"""The check of the contract that each must fail, its kind, and the class."""
