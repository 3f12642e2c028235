"""Small problems of ``TimeRNN`` are computed in memory that is kept: nobody may see that, but for the time."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import parity_tests
from parity_tests.cases.arrays import Array
from parity_tests.layer_tests.making import numbers, same
from rnn_np import TimeRNN, nn

LIMIT = "rnn_np._workspace.MOST_NUMBERS"
Results = list[Any]


def played(layer: TimeRNN, xs: Array, dhs: Array) -> Results:
    return [layer.forward(xs), layer.backward(dhs), layer.h, layer.dh, *layer.grads]


@pytest.mark.parametrize(("B", "T", "D", "H"), [(1, 1, 1, 2), (1, 16, 8, 8), (4, 32, 16, 32), (30, 2, 5, 3)])
@pytest.mark.parametrize("stateful", [False, True])
def test_it_computes_what_the_kernel_does(
    B: int, T: int, D: int, H: int, stateful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = TimeRNN(numbers(D, H), numbers(H, H) / H, numbers(1, H), stateful)
    other, h = copy.deepcopy(layer), numbers(B, H)
    xs, dhs = numbers(2, B, T, D), numbers(2, B, T, H)
    for one in (layer, other):
        one.set_state(h)
    small = [played(layer, *given) for given in zip(xs, dhs, strict=True)]
    monkeypatch.setattr(LIMIT, 0)
    large = [played(other, *given) for given in zip(xs, dhs, strict=True)]
    for ours, theirs in zip(small, large, strict=True):
        for one, another in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, another, rtol=1e-9, atol=1e-12)


def test_without_it_the_layer_passes_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMIT, 0)
    assert parity_tests.check(TimeRNN, reference="recorded").ok


@pytest.mark.parametrize("stateful", [False, True])
def test_what_calls_return_is_the_callers(stateful: bool) -> None:
    layer = TimeRNN(numbers(3, 4), numbers(4, 4), numbers(4), stateful)
    xs, dhs = numbers(3, 2, 5, 3), numbers(3, 2, 5, 4)
    held: Results = []
    kept: Results = []
    for x, d in zip(xs, dhs, strict=True):
        held += [layer.forward_only(x), layer.h, *played(layer, x, d)[:4]]
        kept += copy.deepcopy(held[-6:])
    assert same(held, kept)
    for array in held:
        array[...] = 7
    assert np.array_equal(layer.backward(dhs[2]), kept[-3])
    assert np.array_equal(np.asarray(layer.h), kept[-2])


CLONES = [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_keeps_its_tape(clone: Callable[[TimeRNN], TimeRNN]) -> None:
    layer = TimeRNN(numbers(3, 4), numbers(4, 4), numbers(4))
    xs, dhs = numbers(2, 2, 5, 3), numbers(2, 5, 4)
    layer.forward(xs[0])
    expected = [layer.backward(dhs), *copy.deepcopy(layer.grads)]
    twin, states = clone(layer), [layer.h, layer.dh]
    layer.forward(xs[1])
    layer.backward(dhs)
    assert same([twin.h, twin.dh], states)
    assert same([twin.backward(dhs), *twin.grads], expected)
    last = layer.backward(dhs)
    twin.forward(xs[0])
    assert np.array_equal(layer.backward(dhs), last)


def test_a_copy_has_no_memory_of_its_kind() -> None:
    layer = TimeRNN(numbers(3, 4), numbers(4, 4), numbers(4))
    layer.forward_only(numbers(1, 1, 3))
    size = len(pickle.dumps(layer))
    layer.forward_only(numbers(1, 500, 3))
    assert len(pickle.dumps(layer)) == size


def test_after_an_interrupted_forward_there_is_none_to_go_back_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = TimeRNN(numbers(3, 4), numbers(4, 4), numbers(4))
    layer.forward(numbers(2, 5, 3))

    def interrupted(*_: Array) -> Array:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "tanh", interrupted)
    with pytest.raises(KeyboardInterrupt):
        layer.forward(numbers(2, 5, 3))
    with pytest.raises(RuntimeError, match="there is no forward to go back through"):
        layer.backward(numbers(2, 5, 4))


def test_sizes_may_change_from_call_to_call() -> None:
    D, H = 3, 4
    weights = numbers(D, H), numbers(H, H), numbers(H)
    layer = TimeRNN(*weights)
    given = [
        (numbers(B, T, D), numbers(B, T, H)) for B, T in ((2, 5), (5, 2), (3, 2), (1, 1), (2000, 5), (2, 5))
    ]
    for xs, dhs in given:
        expected = played(TimeRNN(*weights), xs, dhs)
        assert same(played(layer, xs, dhs), expected)


def test_the_other_family_gives_the_same_numbers() -> None:
    B, T, D, H = 2, 5, 3, 4
    rnn = nn.RNN(D, H, dtype=np.float64)
    layer = TimeRNN.from_torch(rnn.state_dict())
    xs, dhs = numbers(B, T, D), numbers(B, T, H)
    output, _ = rnn(xs.transpose(1, 0, 2))
    d_input, _ = rnn.backward(dhs.transpose(1, 0, 2))
    np.testing.assert_allclose(layer.forward(xs).transpose(1, 0, 2), output, rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dhs).transpose(1, 0, 2), d_input, rtol=1e-9, atol=1e-13)
