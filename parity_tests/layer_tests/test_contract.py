"""The contract of the two layers, a line a test."""

import copy
import pickle
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array
from parity_tests.cases.memory_layouts import LAYOUTS, laid_out
from parity_tests.layer_tests.making import B, D, H, T, bits, make, make_cell, numbers, same, snapshot
from rnn_np import RNN, TimeRNN

DTYPES = [np.float32, np.float64]


def derivative(loss: Callable[[], float], array: Array) -> Array:
    """Central differences of ``loss`` in every element of ``array``."""
    slopes = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept, step = array[index], 1e-6
        array[index] = kept + step
        above = loss()
        array[index] = kept - step
        slopes[index] = (above - loss()) / (2 * step)
        array[index] = kept
    return slopes


def test_gradients_are_the_derivatives_of_the_outputs() -> None:
    layer = make(stateful=True)
    xs, h_0, dhs = numbers(B, T, D), numbers(B, H), numbers(B, T, H)

    def loss() -> float:
        layer.set_state(h_0)
        return float((layer.forward(xs) * dhs).sum())

    loss()
    dxs = layer.backward(dhs)
    pairs: list[Any] = [
        (xs, dxs),
        (h_0, layer.dh),
        *zip(layer.params, [g.copy() for g in layer.grads], strict=True),
    ]
    for array, gradient in pairs:
        np.testing.assert_allclose(gradient, derivative(loss, array), rtol=1e-6, atol=1e-8)


def test_the_sequence_is_the_steps() -> None:
    layer = make()
    cell = RNN(*layer.params)
    xs, h = numbers(B, T, D), np.zeros((B, H))
    hs = layer.forward(xs)
    for t in range(T):
        h = cell.forward(xs[:, t], h)
        np.testing.assert_allclose(hs[:, t], h, rtol=1e-13)


@pytest.mark.parametrize("shape", [(H,), (1, H)])
def test_gradients_are_the_same_arrays_for_life_in_the_shape_of_their_parameter(
    shape: tuple[int, ...],
) -> None:
    layer = TimeRNN(numbers(D, H), numbers(H, H), numbers(*shape))
    held = list(layer.grads)
    assert [grad.shape for grad in held] == [(D, H), (H, H), shape]
    assert not any(grad.any() for grad in held)
    layer.forward(numbers(B, T, D))
    layer.backward(dhs := numbers(B, T, H))
    once = [grad.copy() for grad in held]
    layer.backward(dhs)
    assert all(grad is kept for grad, kept in zip(layer.grads, held, strict=True))
    assert all(np.array_equal(grad, first) and grad.any() for grad, first in zip(held, once, strict=True))


def test_parameters_are_held_by_reference() -> None:
    Wx, Wh, b = numbers(D, H), numbers(H, H), numbers(H)
    layer = TimeRNN(Wx, Wh, b)
    assert all(param is given for param, given in zip(layer.params, (Wx, Wh, b), strict=True))
    xs = numbers(B, T, D)
    before = layer.forward(xs)
    for param in layer.params:
        param *= 0.5
    assert np.array_equal(layer.forward(xs), TimeRNN(0.5 * (2 * Wx), Wh, b).forward(xs))
    assert not np.allclose(before, layer.forward(xs))


def test_two_layers_share_a_weight() -> None:
    Wh = numbers(H, H)
    first, second = (TimeRNN(numbers(D, H), Wh, numbers(H)) for _ in "12")
    xs = numbers(B, T, D)
    outputs = first.forward(xs), second.forward(xs)
    Wh[...] = 0
    assert not any(
        np.allclose(layer.forward(xs), hs) for layer, hs in zip((first, second), outputs, strict=True)
    )
    assert not np.shares_memory(first.grads[1], second.grads[1])


def test_backward_uses_the_weights_of_its_forward() -> None:
    layer, xs, dhs = make(), numbers(B, T, D), numbers(B, T, H)
    layer.forward(xs)
    dxs, grads = layer.backward(dhs), [grad.copy() for grad in layer.grads]
    for param in layer.params:
        param += 1
    assert np.array_equal(layer.backward(dhs), dxs)
    assert all(np.array_equal(grad, old) for grad, old in zip(layer.grads, grads, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_everything_has_the_dtype_of_the_parameters(dtype: type) -> None:
    layer, cell = make(dtype=dtype), make_cell(dtype)
    hs = layer.forward(numbers(B, T, D, dtype=dtype))
    dxs = layer.backward(numbers(B, T, H, dtype=dtype))
    h_next = cell.forward(numbers(B, D, dtype=dtype), numbers(B, H, dtype=dtype))
    dx, dh = cell.backward(numbers(B, H, dtype=dtype))
    for array in (hs, dxs, layer.h, layer.dh, *layer.grads, h_next, dx, dh, *cell.grads):
        assert array is not None
        assert array.dtype == dtype


def test_results_are_the_callers_own() -> None:
    def play(meddle: bool) -> list[Array]:
        bits.state = start
        layer, seen = make(stateful=True), []
        for _ in "123":
            hs = layer.forward(numbers(B, T, D))
            h = layer.h
            dxs = layer.backward(numbers(B, T, H))
            results: list[Any] = [hs, h, dxs, layer.dh]
            seen += copy.deepcopy([*results, *layer.grads])
            for array in results:
                if meddle:
                    assert array.flags.writeable
                    array[...] = 99
            seen.append(layer.backward(numbers(B, T, H)))
        return seen

    start = bits.state
    assert all(np.array_equal(a, b) for a, b in zip(play(False), play(True), strict=True))


def test_no_later_call_changes_a_result() -> None:
    layer, cell = make(stateful=True), make_cell()
    results: list[Array] = []
    copies: list[Array] = []
    for _ in "123":
        hs, h = layer.forward(numbers(B, T, D)), layer.h
        dxs, dh = layer.backward(numbers(B, T, H)), layer.dh
        h_next = cell.forward(numbers(B, D), numbers(B, H))
        new = [a for a in (hs, h, dxs, dh, h_next, *cell.backward(numbers(B, H))) if a is not None]
        results += new
        copies += [array.copy() for array in new]
    layer.reset_state()
    assert len(results) == 21
    assert all(np.array_equal(a, b) for a, b in zip(results, copies, strict=True))


def test_arguments_are_not_kept_by_reference() -> None:
    def play(meddle: bool) -> list[Array]:
        bits.state = start
        layer, cell = make(stateful=True), make_cell()
        xs, dhs, h_0, x, h_prev, dh_next = (
            numbers(*shape) for shape in ((B, T, D), (B, T, H), (B, H), (B, D), (B, H), (B, H))
        )

        def spoil(*arrays: Array) -> None:
            for array in arrays if meddle else ():
                array[...] = 99

        layer.set_state(h_0)
        spoil(h_0)
        hs = layer.forward(xs)
        spoil(xs)
        first = layer.backward(dhs)
        second = layer.backward(dhs)
        spoil(dhs)
        h_next = cell.forward(x, h_prev)
        spoil(x, h_prev)
        return [hs, first, second, *layer.grads, h_next, *cell.backward(dh_next), *cell.grads]

    start = bits.state
    assert all(np.array_equal(a, b) for a, b in zip(play(False), play(True), strict=True))


@pytest.mark.parametrize("sizes", [(B, T, D, H), (1, 1, D, H), (1, T, 1, 1), (B, 1, D, D), (2, 1, 9, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layouts(layout: str, dtype: type, sizes: tuple[int, ...]) -> None:
    B, T, D, H = sizes
    weights = [numbers(D, H, dtype=dtype), numbers(H, H, dtype=dtype), numbers(H, dtype=dtype)]
    given = [numbers(B, T, D, dtype=dtype), numbers(B, H, dtype=dtype), numbers(B, T, H, dtype=dtype)]
    kept = [array.copy() for array in (*weights, *given)]

    def play(arrays: list[Array]) -> list[Array]:
        Wx, Wh, b, xs, h_0, dhs = arrays
        layer = TimeRNN(Wx, Wh, b, stateful=True)
        layer.set_state(h_0)
        results = [layer.forward(xs), layer.backward(dhs), layer.dh, *layer.grads]
        cell = RNN(Wx, Wh, b)
        results += [cell.forward(xs[:, 0], h_0), *cell.backward(dhs[:, 0]), *cell.grads]
        return [result for result in results if result is not None]

    plain = play([*weights, *given])
    other = [laid_out(array, layout) for array in (*weights, *given)]
    for left, right in zip(plain, play(other), strict=True):
        assert np.array_equal(left, right)
        assert right.flags.c_contiguous
    assert all(np.array_equal(a, b) for a, b in zip([*weights, *given], kept, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(other, kept, strict=True))


def test_memory_mapped_files_are_arrays(tmp_path: Path) -> None:
    def mapped(*shape: int) -> Array:
        np.save(tmp_path / "array.npy", numbers(*shape))
        return np.load(tmp_path / "array.npy", mmap_mode="c")

    Wx, Wh, b, xs, dhs = mapped(D, H), mapped(H, H), mapped(H), mapped(B, T, D), mapped(B, T, H)
    layer, plain = TimeRNN(Wx, Wh, b), TimeRNN(np.array(Wx), np.array(Wh), np.array(b))
    results = layer.forward(xs), layer.backward(dhs), *layer.grads
    assert same(list(results), [plain.forward(np.array(xs)), plain.backward(np.array(dhs)), *plain.grads])
    assert {type(result) for result in results} == {np.ndarray}


def test_backward_belongs_to_the_last_forward() -> None:
    layer, first, second, dhs = make(), numbers(B, T, D), numbers(B, T, D), numbers(B, T, H)
    layer.forward(first)
    expected = layer.backward(dhs)
    layer.forward(second)
    assert not np.allclose(layer.backward(dhs), expected)
    layer.forward(numbers(2, 9, D))
    layer.forward(first)
    assert np.array_equal(layer.backward(dhs), expected)
    assert np.array_equal(layer.backward(dhs), expected)


def test_backward_before_forward_is_a_runtime_error() -> None:
    layer, cell = make(), make_cell()
    for backward, shape in ((layer.backward, (B, T, H)), (cell.backward, (B, H))):
        with pytest.raises(RuntimeError, match="backward: there is no forward to go back through"):
            backward(numbers(*shape))


def test_stateful_carries_the_state_over_and_stops_the_gradient() -> None:
    layer, xs, dhs = make(stateful=True), numbers(B, 2 * T, D), numbers(B, 2 * T, H)
    Wx, Wh, b = layer.params
    whole = TimeRNN(Wx, Wh, b)
    hs = whole.forward(xs)
    first = layer.forward(xs[:, :T])
    state = layer.h
    second = layer.forward(xs[:, T:])
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), hs, rtol=1e-12)
    # Truncated: the second part's gradients are those of a sequence that starts there.
    dxs = layer.backward(dhs[:, T:])
    alone = TimeRNN(Wx, Wh, b, stateful=True)
    alone.set_state(state)
    alone.forward(xs[:, T:])
    assert np.array_equal(alone.backward(dhs[:, T:]), dxs)
    assert np.array_equal(np.asarray(alone.dh), np.asarray(layer.dh))


def test_set_state_and_reset_state() -> None:
    layer, xs, h_0 = make(stateful=True), numbers(B, T, D), numbers(B, H)
    assert layer.h is None
    assert layer.dh is None
    zeros = layer.forward(xs)
    layer.set_state(h_0)
    assert np.array_equal(np.asarray(layer.h), h_0)
    given = layer.forward(xs)
    assert not np.allclose(given, zeros)
    assert np.array_equal(np.asarray(layer.h), given[:, -1])
    for forget in (layer.reset_state, lambda: layer.set_state(None)):
        forget()
        assert layer.h is None
        assert np.array_equal(layer.forward(xs), zeros)


def test_not_stateful_starts_from_zeros_every_time() -> None:
    layer, xs = make(), numbers(B, T, D)
    hs = layer.forward(xs)
    assert np.array_equal(np.asarray(layer.h), hs[:, -1])
    layer.set_state(numbers(B, H))
    assert np.array_equal(layer.forward(xs), hs)
    assert layer.forward(numbers(1, 2, D)).shape == (1, 2, H)


def test_a_state_that_is_set_waits_until_the_layer_is_stateful() -> None:
    layer, xs, h_0 = make(), numbers(B, T, D), numbers(B, H)
    layer.set_state(h_0)
    assert np.array_equal(np.asarray(layer.h), h_0)
    layer.stateful = True
    Wx, Wh, b = layer.params
    stateful = TimeRNN(Wx, Wh, b, stateful=True)
    stateful.set_state(h_0)
    assert np.array_equal(layer.forward(xs), stateful.forward(xs))


def test_a_call_is_forward_also_where_a_subclass_has_its_own() -> None:
    class Doubled(TimeRNN):
        def forward(self, xs: Array) -> Array:
            return 2 * super().forward(xs)

    class DoubledCell(RNN):
        def forward(self, x: Array, h_prev: Array) -> Array:
            return 2 * super().forward(x, h_prev)

    layer, cell, xs, h = make(), make_cell(), numbers(B, T, D), numbers(B, H)
    assert np.array_equal(layer(xs), layer.forward(xs))
    assert np.array_equal(cell(xs[:, 0], h), cell.forward(xs[:, 0], h))
    Wx, Wh, b = layer.params
    assert np.array_equal(Doubled(Wx, Wh, b)(xs), 2 * layer(xs))
    assert np.array_equal(DoubledCell(*cell.params)(xs[:, 0], h), 2 * cell(xs[:, 0], h))


@pytest.mark.parametrize("dtype", DTYPES)
def test_repr_shows_the_sizes_whatever_became_of_the_parameters(dtype: type) -> None:
    class Mine(TimeRNN):
        pass

    Wx, Wh, b = make(False, dtype).params
    for layer, shown in (
        (make(True, dtype), f"TimeRNN(D=4, H=6, dtype={dtype.__name__}, stateful=True)"),
        (Mine(Wx, Wh, b), f"Mine(D=4, H=6, dtype={dtype.__name__}, stateful=False)"),
        (make_cell(dtype), f"RNN(D=4, H=6, dtype={dtype.__name__})"),
    ):
        assert repr(layer) == shown
        layer.params.clear()
        assert repr(layer) == shown


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["xs", "h_0", "dhs"])
@pytest.mark.parametrize("hidden", [1, H])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_non_finite_values_are_where_torch_has_them(
    value: float, place: str, hidden: int, scale: float
) -> None:
    torch = pytest.importorskip("torch")
    Wx, Wh, b = scale * numbers(2, hidden), scale * numbers(hidden, hidden), numbers(hidden)
    arrays = {"xs": numbers(B, T, 2), "h_0": numbers(B, hidden), "dhs": numbers(B, T, hidden)}
    arrays[place][(1, 0) if place == "h_0" else (1, 2, 0)] = value
    layer = TimeRNN(Wx, Wh, b, stateful=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.set_state(arrays["h_0"])
        hs = layer.forward(arrays["xs"])
        dxs = layer.backward(arrays["dhs"])
    rnn = torch.nn.RNN(2, hidden, batch_first=True, dtype=torch.float64)
    state = {"weight_ih_l0": Wx.T, "weight_hh_l0": Wh.T, "bias_ih_l0": b, "bias_hh_l0": np.zeros(hidden)}
    rnn.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    x, h = (torch.tensor(a, requires_grad=True) for a in (arrays["xs"], arrays["h_0"][None]))
    output, _ = rnn(x, h)
    output.backward(torch.tensor(arrays["dhs"]))
    pairs = [
        (hs, output),
        (dxs, x.grad),
        (layer.dh, h.grad[0]),
        (layer.grads[0], rnn.weight_ih_l0.grad.T),
        (layer.grads[1], rnn.weight_hh_l0.grad.T),
        (layer.grads[2], rnn.bias_ih_l0.grad),
    ]
    spread = 0
    for ours, theirs in pairs:
        finite = np.isfinite(theirs.detach().numpy())
        assert np.array_equal(np.isfinite(np.asarray(ours)), finite)
        spread += (~finite).sum()
    assert spread > 0


def test_an_empty_batch_gives_empty_results_and_zero_gradients() -> None:
    layer, cell = make(stateful=True), make_cell()
    for grad in (*layer.grads, *cell.grads):
        grad[...] = 7
    assert layer.forward(np.empty((0, T, D))).shape == (0, T, H)
    assert layer.backward(np.empty((0, T, H))).shape == (0, T, D)
    assert [np.asarray(layer.h).shape, np.asarray(layer.dh).shape] == [(0, H), (0, H)]
    assert cell.forward(np.empty((0, D)), np.empty((0, H))).shape == (0, H)
    assert [a.shape for a in cell.backward(np.empty((0, H)))] == [(0, D), (0, H)]
    assert not any(grad.any() for grad in (*layer.grads, *cell.grads))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_in_mid_state_go_on_alike_and_apart(clone: Callable[[Any], Any]) -> None:
    layer, xs, dhs = make(stateful=True), numbers(B, T, D), numbers(B, T, H)
    layer.forward(xs)
    twin = clone(layer)
    assert np.array_equal(twin.backward(dhs), layer.backward(dhs))
    assert np.array_equal(twin.forward(xs), layer.forward(xs))
    assert all(np.array_equal(a, b) for a, b in zip(twin.grads, layer.grads, strict=True))
    before = snapshot(layer)
    for param in twin.params:
        param += 1
    twin.forward(xs)
    twin.backward(dhs)
    assert same(snapshot(layer), before)
    cell = make_cell()
    cell.forward(xs[:, 0], numbers(B, H))
    ours, theirs = cell.backward(dhs[:, 0]), clone(cell).backward(dhs[:, 0])
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_two_layers_run_in_two_threads() -> None:
    layers = [make(stateful=True) for _ in "12"]
    given = [(numbers(B, T, D), numbers(B, T, H)) for _ in range(200)]

    def play(layer: TimeRNN, results: list[Array]) -> None:
        for xs, dhs in given:
            results += [layer.forward(xs), layer.backward(dhs)]

    alone: list[list[Array]] = [[], []]
    for layer, results in zip(copy.deepcopy(layers), alone, strict=True):
        play(layer, results)
    together: list[list[Array]] = [[], []]
    threads = [threading.Thread(target=play, args=pair) for pair in zip(layers, together, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for left, right in zip(alone, together, strict=True):
        assert len(left) == len(right) == 400
        assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
