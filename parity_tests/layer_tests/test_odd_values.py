"""Odd values for every argument: TypeError or ValueError that names it, and nothing is changed."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.layer_tests.making import B, D, H, T, make, make_cell, numbers, same
from rnn_np import RNN, TimeRNN, nn
from rnn_np.nn.utils.rnn import PackedSequence, pad_packed_sequence, pad_sequence

REFUSED = (TypeError, ValueError)


class Rude:
    """An object of which nothing can be asked."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # pytest asks for some
            raise AttributeError(name)
        raise RuntimeError(name)


class Detachable:
    """What looks like a tensor and is none."""

    def detach(self) -> "Detachable":
        raise KeyError("detach")


def _nn(**options: Any) -> nn.RNN:
    rnn = nn.RNN(D, H, 2, bidirectional=True, dtype=np.float64, **options)
    rnn(numbers(T, B, D))
    rnn.backward(numbers(T, B, 2 * H))
    return rnn


@pytest.mark.parametrize("layer", [nn.RNN, nn.RNNCell])
@pytest.mark.parametrize(
    "dtype",
    ["1,,", "f8,f8", "(2,)f8", "", "no", ">f4", "O", None, int, object, Rude(), 1, [1], np.float32(1), [("a", "f8")],
     {"names": ["a"], "formats": ["f8"]}, numbers(2), np.dtype("V8"), np.dtype("f2"), "f8" * 999],
)  # fmt: skip
def test_a_dtype_that_is_none_is_refused(layer: Any, dtype: Any) -> None:
    with pytest.raises(REFUSED, match=r"^dtype: expected numpy\.float32 or numpy\.float64, got "):
        layer(D, H, dtype=dtype)


@pytest.mark.parametrize("size", ["input_size", "hidden_size", "num_layers"])
def test_sizes_beyond_all_memory_are_refused(size: str) -> None:
    for value in (10**30, 10**400):
        with pytest.raises(ValueError, match=size):
            nn.RNN(**({"input_size": D, "hidden_size": H, size: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("f4", 1e300), ("f4", -1e39), ("f4", 10**400), ("f8", 10**400), ("f2", 70000), ("f2", np.float32(1e30)), ("i1", 128),
     ("i1", float("nan")), ("i8", float("inf")), ("i8", 2**63), ("u1", -1), ("u8", 0.5), ("?", 2), ("M8[s]", 0), ("U3", 1), ("V4", 1)],
)  # fmt: skip
def test_a_padding_value_that_the_dtype_lacks_is_refused(dtype: str, value: Any) -> None:
    rows, packed = (
        [np.zeros(2, dtype), np.zeros(1, dtype)],
        PackedSequence(np.zeros(3, dtype), np.array([2, 1])),
    )
    for call in (
        lambda: pad_sequence(rows, padding_value=value),
        lambda: pad_packed_sequence(packed, padding_value=value),
    ):
        with pytest.raises(ValueError, match=r"^padding_value: expected a value of "):
            call()


@pytest.mark.parametrize("value", ["x", None, 1j, np.complex64(1), [1.0], numbers(1), np.array(1.0), Rude()])
def test_a_padding_value_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^padding_value: expected a number, got "):
        pad_sequence([numbers(2)], padding_value=value)


def test_a_length_or_sizes_beyond_all_memory_are_refused() -> None:
    packed = PackedSequence(numbers(3), np.array([2, 1]))
    for length in (10**30, 10**400, 2**62):
        with pytest.raises(ValueError, match=r"^total_length: "):
            pad_packed_sequence(packed, total_length=length)
    sizes = np.array([2**63, 2**63], np.uint64)  # their sum overflows, to 0
    with pytest.raises(ValueError, match=r"^PackedSequence\.data: expected sum"):
        PackedSequence(numbers(0), sizes)
    with pytest.raises(TypeError, match=r"^sequences: expected arrays"):
        pad_sequence(np.array(1.0))


@pytest.mark.parametrize("value", [[1], None, 5, "grads", [[1.0]], {"a": numbers(1)}, Rude(), (1, 2, 3)])
def test_an_attribute_is_not_set_to_what_can_never_be_its_value(value: Any) -> None:
    layers: list[Any] = [make(), make_cell(), _nn(), nn.RNNCell(D, H)]
    for layer in layers:
        names = ["grads", "params"] if hasattr(layer, "params") else ["grads", *list(layer.grads)[:1]]
        for name in names:
            if isinstance(value, dict) and isinstance(layer.grads, dict) and name == "grads":
                continue  # refused by backward, like a list of other arrays
            before = getattr(layer, name)
            with pytest.raises(TypeError, match=rf"^{name}.*: expected a (list|dict|numpy\.ndarray)"):
                setattr(layer, name, value)
            assert getattr(layer, name) is before
    with pytest.raises(TypeError, match=r"^stateful: expected True or False"):
        make().stateful = value


def test_gradients_that_cannot_be_written_are_refused_before_any_is() -> None:
    def reshaped(grad: Any) -> None:
        grad.shape = (1, *grad.shape)

    def readonly(grad: Any) -> None:
        grad.flags.writeable = False

    layers: list[tuple[Any, Any]] = [(make(), numbers(B, T, H)), (_nn(), numbers(T, B, 2 * H))]
    layers[0][0].forward(numbers(B, T, D))
    for layer, upstream in layers:
        for change in (readonly, reshaped):
            twin = copy.deepcopy(layer)
            grads = list(twin.grads.values() if isinstance(twin.grads, dict) else twin.grads)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # setting a shape is deprecated from NumPy 2.5 on
                change(grads[-1])
            before = copy.deepcopy(grads)
            with pytest.raises(
                ValueError, match=r"^grads: expected an array of shape .* that can be written"
            ):
                twin.backward(upstream)
            assert same(grads, before)


def _own(layer: Any, call: Callable[[Any], object], upstream: Callable[[Any], Any], name: str) -> None:
    grads = list(layer.grads.values() if isinstance(layer.grads, dict) else layer.grads)
    before = copy.deepcopy(grads)
    given = upstream(layer)
    with pytest.raises(
        ValueError, match=rf"^{name}: expected an array of its own, .*; pass {name}\.copy\(\)$"
    ):
        call(given)
    assert same(grads, before)


def test_an_own_gradient_array_is_refused_as_upstream_gradient() -> None:
    cell = RNN(numbers(H, H), numbers(H, H), numbers(H))
    cell.forward(numbers(H, H), numbers(H, H))
    for upstream in (lambda c: c.grads[0], lambda c: c.grads[1].T, lambda c: c.grads[0][::-1]):
        _own(cell, cell.backward, upstream, "dh_next")
    cell.forward(numbers(B, H), numbers(B, H))
    _own(cell, cell.backward, lambda c: np.broadcast_to(c.grads[2], (B, H)), "dh_next")
    layer = TimeRNN(numbers(D, 4), numbers(4, 4), numbers(4))
    layer.forward(numbers(2, 2, D))
    _own(layer, layer.backward, lambda t: t.grads[1].reshape(2, 2, 4), "dhs")
    torch_cell = nn.RNNCell(H, H, dtype=np.float64)
    torch_cell(numbers(H, H))
    _own(torch_cell, torch_cell.backward, lambda c: c.grads["weight_hh"], "d_h_next")
    rnn = _nn()
    rnn(numbers(1, 1, D))
    _own(rnn, rnn.backward, lambda r: r.grads["weight_ih_l1"][:1, None], "d_output")
    rnn(numbers(1, H, D))
    d = numbers(1, H, 2 * H)
    _own(
        rnn,
        lambda own: rnn.backward(d, own),
        lambda r: np.broadcast_to(r.grads["weight_hh_l1"], (4, H, H)),
        "d_h_n",
    )
    packed, _ = rnn(PackedSequence(numbers(1, D), np.array([1])))
    own = rnn.grads["weight_ih_l1_reverse"][:1]
    _own(rnn, rnn.backward, lambda _: PackedSequence(own, *packed[1:]), "d_output")


def test_other_memory_of_the_layer_may_be_given_and_the_numbers_are_right() -> None:
    cell = RNN(numbers(H, H), numbers(H, H), numbers(H))
    twin = copy.deepcopy(cell)
    x, h = cell.params[0], cell.grads[1]
    assert np.array_equal(cell.forward(x, h), twin.forward(x.copy(), h.copy()))
    for own, apart in zip(cell.backward(cell.params[1]), twin.backward(cell.params[1].copy()), strict=True):
        assert np.array_equal(own, apart)
    assert same(cell.grads, twin.grads)


def test_objects_of_which_nothing_can_be_asked_are_refused() -> None:
    layer, rnn = make(), _nn()
    calls: list[Callable[[], object]] = [
        lambda: layer.forward(Rude()),  # type: ignore[arg-type]
        lambda: rnn(Rude()),  # type: ignore[call-overload]
        lambda: TimeRNN(numbers(D, H), numbers(H, H), Rude()),  # type: ignore[arg-type]
        lambda: nn.RNNCell(D, H)(Rude()),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r": expected a numpy\.ndarray, got Rude"):
            call()
    for entry in (Detachable(), [[1.0], [1.0, 2.0]]):
        with pytest.raises(REFUSED, match=r"^weight_ih_l0: expected"):
            TimeRNN.from_torch({"weight_ih_l0": entry, "weight_hh_l0": 0, "bias_ih_l0": 0, "bias_hh_l0": 0})
    with pytest.raises(ValueError, match="weight_ih_l0: expected a dense float32 or float64 tensor"):
        rnn.load_state_dict({**rnn.state_dict(), "weight_ih_l0": Detachable()})


def test_biases_whose_sum_is_infinite_do_not_warn() -> None:
    largest = np.full(H, np.finfo(np.float64).max)
    state = {
        "weight_ih_l0": numbers(H, D),
        "weight_hh_l0": numbers(H, H),
        "bias_ih_l0": largest,
        "bias_hh_l0": largest,
    }
    assert np.isinf(TimeRNN.from_torch(state).params[2]).all()
