"""``forward_only``: the same results, in little memory, and no backward after it."""

import copy
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array
from parity_tests.cases.memory_layouts import LAYOUTS, laid_out
from parity_tests.layer_tests.making import numbers
from rnn_np import RNN, TimeRNN, nn

B, T, D, H = 300, 40, 3, 4  # The steps are run in two parts.


def time_rnn(stateful: bool = False) -> TimeRNN:
    return TimeRNN(numbers(D, H), numbers(H, H), numbers(H), stateful)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sequence_and_the_state_after_it(layout: str) -> None:
    layer = time_rnn(stateful=True)
    other = copy.deepcopy(layer)
    for xs in numbers(2, B, T, D):
        given = laid_out(xs, layout)
        hs = layer.forward_only(given)
        assert np.array_equal(given, xs)
        np.testing.assert_allclose(hs, other(xs), rtol=1e-13)
        assert hs.flags.c_contiguous
        kept = hs.copy()
        hs[...] = 7
        assert layer.h is not None
        assert np.array_equal(layer.h, kept[:, -1])


@pytest.mark.parametrize("form", ["padded", "batch first", "lengths", "packed", "unbatched"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_layers_and_directions(form: str, layers: int, bidirectional: bool, nonlinearity: str) -> None:
    options: dict[str, Any] = {"batch_first": form == "batch first", "bidirectional": bidirectional}
    rnn = nn.RNN(D, H, layers, nonlinearity, dropout=0.5 * (layers > 1), dtype=np.float64, **options)
    rows = 1 if form == "unbatched" else B
    x, hx = numbers(B if options["batch_first"] else T, T if options["batch_first"] else rows, D), None
    hx = numbers(layers * (2 if bidirectional else 1), rows, H)
    call: dict[str, Any] = {}
    given: Any = x
    if form == "unbatched":
        given, hx = x[:, 0], hx[:, 0]
    elif form in ("lengths", "packed"):
        call["lengths"] = np.random.default_rng(0).integers(1, T + 1, B)
        if form == "packed":
            given = nn.utils.rnn.pack_padded_sequence(x, call.pop("lengths"), enforce_sorted=False)
    kept = x.copy()
    output, h_n = rnn(given, hx, **call)
    call["dropout_masks"] = rnn.dropout_masks
    again, h_again = rnn.forward_only(given, hx, **call)
    assert all(np.array_equal(a, b) for a, b in zip(rnn.dropout_masks, call["dropout_masks"], strict=True))
    np.testing.assert_allclose(h_again, h_n, rtol=1e-12, atol=1e-15)
    if isinstance(output, nn.utils.rnn.PackedSequence):
        output, again = output.data, again.data
    np.testing.assert_allclose(again, output, rtol=1e-12, atol=1e-15)
    assert again.flags.c_contiguous
    assert np.array_equal(x, kept)
    again[...] = 7
    assert not (h_again == 7).any()


@pytest.mark.parametrize("kind", [RNN, nn.RNNCell])
def test_one_step(kind: type) -> None:
    weights = numbers(D, H), numbers(H, H), numbers(H)
    cell: Any = RNN(*weights) if kind is RNN else nn.RNNCell(D, H, dtype=np.float64)
    x, h = numbers(B, D), numbers(B, H)
    assert np.array_equal(cell.forward_only(x, h), cell(x, h))


def calls() -> list[tuple[Any, tuple[Array, ...], Callable[[Any], Array]]]:
    x, h = numbers(2, D), numbers(2, H)
    cell = RNN(numbers(D, H), numbers(H, H), numbers(H))
    return [
        (time_rnn(), (x[:, None],), lambda hs: hs),
        (cell, (x, h), lambda h_next: h_next),
        (nn.RNN(D, H, dtype=np.float64), (x[None],), lambda results: results[0]),
        (nn.RNNCell(D, H, dtype=np.float64), (x, h), lambda h_next: h_next),
    ]


@pytest.mark.parametrize(("layer", "given", "output"), calls())
def test_a_backward_after_it_is_an_error_that_says_why(
    layer: Any, given: tuple[Array, ...], output: Callable[[Any], Array]
) -> None:
    upstream = np.ones_like(output(layer(*given)))
    layer.backward(upstream)
    layer.forward_only(*given)
    for again in (layer, copy.deepcopy(layer)):
        with pytest.raises(RuntimeError, match="forward_only, which keeps nothing"):
            again.backward(upstream)
    layer(*given)
    layer.backward(upstream)
    with pytest.raises(ValueError, match="expected"):
        layer.forward_only(*(array[..., :1] for array in given))
    layer.backward(upstream)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("sizes", [(16, 100, 64), (64, 200, 128)])
def test_the_peak_is_little_more_than_the_output(
    sizes: tuple[int, ...], layers: int, batch_first: bool
) -> None:
    H = sizes[-1]
    rnn = nn.RNN(H, H, layers, batch_first=batch_first)
    layer = TimeRNN.from_torch(nn.RNN(H, H).state_dict())
    x = numbers(*sizes, dtype=np.float32)
    for call in (layer.forward_only, rnn.forward_only) if batch_first else (rnn.forward_only,):
        tracemalloc.start()
        results = call(x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert x.nbytes < peak < 1.5 * x.nbytes + 3e4  # views, and the weights in another order
        del results
