"""Bad input is refused, by name, before anything is changed."""

import copy
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.layer_tests.making import B, D, H, T, make, make_cell, numbers, same, snapshot
from rnn_np import RNN, TimeRNN

single = np.float32


@pytest.mark.parametrize("layer", [RNN, TimeRNN])
@pytest.mark.parametrize(
    ("Wx", "Wh", "b", "error", "message"),
    [
        ([[1.0]], numbers(1, 1), numbers(1), TypeError, "Wx: expected a numpy.ndarray, got list"),
        (numbers(D, H), None, numbers(H), TypeError, "Wh: expected a numpy.ndarray, got NoneType"),
        (numbers(D, H), numbers(H, H), 0.5, TypeError, "b: expected a numpy.ndarray, got float"),
        (numbers(D), numbers(H, H), numbers(H), ValueError, "Wx: expected shape [D, H], got shape [4]"),
        (numbers(D, H), numbers(H, D), numbers(H), ValueError, "Wh: expected shape [H, H] with H = 6, got shape [6, 4]"),
        (numbers(D, H), numbers(H, H), numbers(D), ValueError, "b: expected shape [H] with H = 6, got shape [4]"),
        (numbers(D, H), numbers(H, H), numbers(H, 1), ValueError, "b: expected shape [1, H] with H = 6, got shape [6, 1]"),
        (numbers(D, H), numbers(H, H), numbers(1, 1), ValueError, "b: expected shape [1, H]"),
        (numbers(D, H), numbers(H, H), numbers(2, H), ValueError, "b: expected shape [1, H]"),
        (numbers(0, H), numbers(H, H), numbers(H), ValueError, "Wx: expected shape [D, H] with D and H at least 1"),
        (numbers(D, H, dtype=single), numbers(H, H), numbers(H), ValueError,
         "Wh: expected float32, the dtype of Wx, got float64; convert with Wh.astype(numpy.float32)"),
        (numbers(D, H), numbers(H, H), numbers(H, dtype=single), ValueError, "b: expected float64, the dtype of Wx"),
        (numbers(D, H).astype(np.float16), numbers(H, H), numbers(H), ValueError, "Wx: expected dtype float32 or float64"),
        (numbers(D, H).astype(">f8"), numbers(H, H), numbers(H), ValueError, "Wx: expected dtype float32 or float64"),
        (numbers(D, H) * 1j, numbers(H, H), numbers(H), ValueError, "Wx: expected dtype float32 or float64"),
        (np.ma.masked_array(numbers(D, H)), numbers(H, H), numbers(H), TypeError, "got MaskedArray"),
    ],
)  # fmt: skip
def test_parameters(layer: type, Wx: Any, Wh: Any, b: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refusal:
        layer(Wx, Wh, b)
    assert message in str(refusal.value)


@pytest.mark.parametrize("stateful", [None, 1, "no"])
def test_stateful_is_a_bool(stateful: Any) -> None:
    with pytest.raises(TypeError, match="stateful: expected True or False"):
        TimeRNN(numbers(D, H), numbers(H, H), numbers(H), stateful=stateful)


CALLS: list[tuple[Callable[[TimeRNN], object], type[Exception], str]] = [
    (lambda layer: layer.forward([[[0.0] * D]]), TypeError,  # type: ignore[arg-type]
     "xs: expected a numpy.ndarray, got list; convert with numpy.asarray(xs, dtype=...)"),
    (lambda layer: layer.forward(numbers(B, D)), ValueError, "xs: expected shape [B, T, D] with D = 4, got shape [3, 4]"),
    (lambda layer: layer.forward(numbers(B, T, D + 1)), ValueError, "with D = 4, got shape [3, 5, 5]"),
    (lambda layer: layer.forward(numbers(B, T, 1)), ValueError, "with D = 4, got shape [3, 5, 1]"),
    (lambda layer: layer.forward(numbers(B, 0, D)), ValueError, "xs: expected at least one time step"),
    (lambda layer: layer.forward(numbers(B, T, D, dtype=single)), ValueError,
     "xs: expected float64, the dtype of the parameters, got float32; convert with xs.astype(numpy.float64)"),
    (lambda layer: layer.forward(np.zeros((B, T, D), int)), ValueError, "got int64; convert with"),
    (lambda layer: layer.forward(numbers(B + 1, T, D)), ValueError, "xs: expected batch size 3, that of the layer's state, got 4"),
    (lambda layer: layer.forward(numbers(1, T, D)), ValueError, "xs: expected batch size 3"),
    (lambda layer: layer.backward(numbers(B, T, D)), ValueError, "dhs: expected shape [B, T, H] with B = 3, T = 5, H = 6"),
    (lambda layer: layer.backward(numbers(B, T + 1, H)), ValueError, "got shape [3, 6, 6]"),
    (lambda layer: layer.backward(numbers(1, T, H)), ValueError, "got shape [1, 5, 6]"),
    (lambda layer: layer.backward(numbers(B, H)), ValueError, "got shape [3, 6]"),
    (lambda layer: layer.backward(numbers(B, T, H, dtype=single)), ValueError, "dhs: expected float64"),
    (lambda layer: layer.backward(None), TypeError, "dhs: expected a numpy.ndarray, got NoneType"),  # type: ignore[arg-type]
    (lambda layer: layer.set_state(numbers(B, H + 1)), ValueError, "h: expected shape [B, H] with H = 6, got shape [3, 7]"),
    (lambda layer: layer.set_state(numbers(1, B, H)), ValueError, "h: expected shape [B, H]"),
    (lambda layer: layer.set_state(numbers(B, H, dtype=single)), ValueError, "h: expected float64"),
    (lambda layer: layer.set_state(0), TypeError, "h: expected a numpy.ndarray, got int"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_calls_of_a_sequence(call: Callable[[TimeRNN], object], error: type[Exception], message: str) -> None:
    layer = make(stateful=True)
    layer.forward(numbers(B, T, D))
    layer.backward(dhs := numbers(B, T, H))
    before, twin = snapshot(layer), copy.deepcopy(layer)
    with pytest.raises(error) as refusal:
        call(layer)
    assert message in str(refusal.value)
    assert same(snapshot(layer), before)
    # Neither the tape nor the state was touched.
    assert np.array_equal(layer.backward(dhs), twin.backward(dhs))
    assert np.array_equal(layer.forward(xs := numbers(B, T, D)), twin.forward(xs))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (numbers(B, D + 1), numbers(B, H)),
            ValueError,
            "x: expected shape [B, D] with D = 4, got shape [3, 5]",
        ),
        (
            (numbers(B, D), numbers(1, H)),
            ValueError,
            "h_prev: expected shape [B, H] with B = 3, H = 6, got shape [1, 6]",
        ),
        ((numbers(B, D), numbers(H)), ValueError, "h_prev: expected shape [B, H]"),
        ((numbers(B, D), None), TypeError, "h_prev: expected a numpy.ndarray, got NoneType"),
        ((numbers(B, D, dtype=single), numbers(B, H)), ValueError, "x: expected float64"),
        ((numbers(B, D), numbers(B, H, dtype=single)), ValueError, "h_prev: expected float64"),
        ((numbers(B, T, D), numbers(B, H)), ValueError, "x: expected shape [B, D]"),
    ],
)
def test_calls_of_a_cell(arguments: tuple[Any, Any], error: type[Exception], message: str) -> None:
    cell = make_cell()
    cell.forward(numbers(B, D), numbers(B, H))
    dh_next = numbers(B, H)
    before = cell.backward(dh_next)
    with pytest.raises(error) as refusal:
        cell.forward(*arguments)
    assert message in str(refusal.value)
    for wrong in (numbers(1, H), numbers(B, D), numbers(B, H, dtype=single)):
        grads = [grad.copy() for grad in cell.grads]
        with pytest.raises(ValueError, match=r"^dh_next: expected"):
            cell.backward(wrong)
        assert all(np.array_equal(a, b) for a, b in zip(cell.grads, grads, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(cell.backward(dh_next), before, strict=True))


def test_an_input_of_the_other_dtype_is_refused_with_both_ways_out() -> None:
    layer, cell, x = make(dtype=single), make_cell(single), numbers(B, T, D)
    cases: list[tuple[str, Callable[[], object]]] = [
        ("xs", lambda: layer.forward(x)),
        ("h", lambda: layer.set_state(numbers(B, H))),
        ("x", lambda: cell.forward(x[:, 0], numbers(B, H))),
    ]
    for name, call in cases:
        with pytest.raises(ValueError, match=f"^{name}: expected") as refusal:
            call()
        assert str(refusal.value) == (
            f"{name}: expected float32, the dtype of the parameters, got float64; convert with "
            f"{name}.astype(numpy.float32), or make the layer from float64 parameters"
        )
    # No layer has whole numbers.
    with pytest.raises(ValueError, match=r"got int64; convert with xs\.astype\(numpy\.float32\)$"):
        layer.forward(x.astype(int))


def test_parameters_replaced_by_others_of_another_kind_are_refused() -> None:
    layer = make()
    layer.params[0] = numbers(D, H)
    assert layer.forward(numbers(B, T, D)).shape == (B, T, H)
    layer.params[:] = numbers(D + 1, H), numbers(H, H), numbers(H)
    with pytest.raises(ValueError, match=r"^Wx: expected shape .* as when the layer was made"):
        layer.forward(numbers(B, T, D + 1))
    layer.params[:] = numbers(D, H + 1), numbers(H + 1, H + 1), numbers(H + 1)
    with pytest.raises(ValueError, match=r"^Wx: expected shape .* as when the layer was made"):
        layer.forward(numbers(B, T, D))
    layer.params[:] = make(dtype=single).params
    with pytest.raises(ValueError, match=r"^Wx: expected .* dtype float64 as when the layer was made"):
        layer.forward(numbers(B, T, D, dtype=single))
    layer.params[:] = numbers(D, H), numbers(H, H), numbers(1, H)
    with pytest.raises(ValueError, match=r"^b: expected shape \[6\] .* as when the layer was made"):
        layer.forward(numbers(B, T, D))


def test_params_and_grads_are_kept_whole() -> None:
    layer = make()
    layer.forward(numbers(B, T, D))
    layer.backward(dhs := numbers(B, T, H))
    kept = copy.deepcopy(layer.grads)
    for changed in (
        [*layer.grads[:2], numbers(H)],
        layer.grads[:2],
        [grad.astype(single) for grad in layer.grads],
    ):
        own, layer.grads = layer.grads, changed
        with pytest.raises(
            ValueError, match=r"^grads: expected .*, as in layer\.grads\[0\]\[\.\.\.\] = value$"
        ):
            layer.backward(2 * dhs)
        layer.grads = own
        assert same(layer.grads, kept)
    layer.params.pop()
    with pytest.raises(ValueError, match=r"params: expected \[Wx, Wh, b\], got 2 of them"):
        layer.forward(numbers(B, T, D))


def test_a_tensor_is_refused_with_the_way_to_convert_it() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"got Tensor; convert with xs\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        make().forward(torch.zeros(B, T, D))


STATE = {
    "weight_ih_l0": numbers(H, D),
    "weight_hh_l0": numbers(H, H),
    "bias_ih_l0": numbers(H),
    "bias_hh_l0": numbers(H),
}


def test_from_torch_transposes_and_adds_the_biases() -> None:
    layer = TimeRNN.from_torch(OrderedDict(STATE), stateful=True)
    assert layer.stateful
    assert not TimeRNN.from_torch(STATE).stateful
    assert all(param.flags.c_contiguous for param in layer.params)
    Wx, Wh, b = layer.params
    assert np.array_equal(Wx, STATE["weight_ih_l0"].T)
    assert np.array_equal(Wh, STATE["weight_hh_l0"].T)
    assert np.array_equal(b, STATE["bias_ih_l0"] + STATE["bias_hh_l0"])
    assert not any(np.shares_memory(param, entry) for param in layer.params for entry in STATE.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_from_torch_is_torchs_layer(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rnn = torch.nn.RNN(D, H, batch_first=True, dtype=getattr(torch, dtype))
    xs = numbers(B, T, D).astype(dtype)
    expected = rnn(torch.tensor(xs))[0].detach().numpy()
    plain = rnn.state_dict()
    for state in (
        plain,
        dict(rnn.named_parameters()),
        {name: value.numpy() for name, value in plain.items()},
    ):
        hs = TimeRNN.from_torch(state).forward(xs)
        assert hs.dtype == dtype
        np.testing.assert_allclose(hs, expected, rtol=0, atol=20 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (None, TypeError, "state_dict: expected a mapping"),
        ({}, ValueError, "missing: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0; unexpected: none"),
        ({**STATE, "weight_ih_l1": 0, "weight_ih_l0_reverse": 0}, ValueError,
         "missing: none; unexpected: weight_ih_l1, weight_ih_l0_reverse"),
        ({**STATE, "bias_hh_l0": numbers(D)}, ValueError, "bias_hh_l0: expected shape [H] with H = 6, got shape [4]"),
        ({**STATE, "weight_hh_l0": numbers(H, D)}, ValueError, "weight_hh_l0: expected shape [H, H] with H = 6"),
        ({**STATE, "weight_ih_l0": numbers(D, H)}, ValueError, "weight_hh_l0: expected shape [H, H] with H = 4"),
        ({**STATE, "bias_ih_l0": numbers(D)}, ValueError, "bias_ih_l0: expected shape [H] with H = 6, got shape [4]"),
        ({**STATE, "weight_ih_l0": numbers(H)}, ValueError, "weight_ih_l0: expected shape [H, D] with H = 6, got shape [6]"),
        ({**STATE, "weight_ih_l0": np.array(1.0)}, ValueError, "weight_ih_l0: expected shape [H, D], got shape []"),
        ({**STATE, "weight_ih_l0": np.float64(1)}, TypeError, "weight_ih_l0: expected a numpy.ndarray, got float64"),
        ({**STATE, "bias_ih_l0": [0.0] * H}, TypeError, "bias_ih_l0: expected a numpy.ndarray, got list"),
        ({**STATE, "bias_ih_l0": numbers(H, dtype=single)}, ValueError, "bias_ih_l0: expected float64"),
        ({name: value.astype(np.float16) for name, value in STATE.items()}, ValueError, "weight_ih_l0: expected dtype float32 or float64"),
    ],
)  # fmt: skip
def test_from_torch_refuses(state: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refusal:
        TimeRNN.from_torch(state)
    assert message in str(refusal.value)


def test_from_torch_names_a_dtype_that_numpy_lacks() -> None:
    torch = pytest.importorskip("torch")
    rnn = torch.nn.RNN(D, H, dtype=torch.bfloat16)
    with pytest.raises(
        ValueError, match=r"weight_ih_l0: expected a dense float32 or float64 tensor, got torch\.bfloat16"
    ):
        TimeRNN.from_torch(rnn.state_dict())


def test_the_layers_need_numpy_alone() -> None:
    code = """
import sys
import numpy
before = set(sys.modules)
import rnn_np
after = {name.split('.')[0] for name in set(sys.modules) - before}
assert 'rnn_np' in after
assert after <= {'rnn_np', 'numpy', *sys.stdlib_module_names}, after
"""
    subprocess.run([sys.executable, "-c", code], check=True)
