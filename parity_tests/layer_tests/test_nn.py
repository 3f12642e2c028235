"""``rnn_np.nn`` against ``torch.nn``, and its contract, a line a test."""

import copy
import inspect
import itertools
import pickle
import threading
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array
from parity_tests.cases.memory_layouts import LAYOUTS, laid_out
from parity_tests.layer_tests.making import B, D, H, T, numbers
from rnn_np import nn
from rnn_np.nn.utils import rnn as packing

LENGTHS = [2, 5, 4]
FORMS = ["padded", "lengths", "packed", "unbatched"]
UPSTREAM = ["output", "h_n", "both"]


def make(*options: Any, seed: int = 1, **named: Any) -> nn.RNN:
    given: dict[str, Any] = {"dtype": np.float64, "rng": np.random.default_rng(seed)}
    return nn.RNN(D, H, *options, **given | named)


def make_cell(*options: Any, **named: Any) -> nn.RNNCell:
    given: dict[str, Any] = {"dtype": np.float64, "rng": np.random.default_rng(1)}
    return nn.RNNCell(D, H, *options, **given | named)


def same(left: Any, right: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-11, atol=1e-13)


def chain(rnn: nn.RNN, torch: Any) -> list[Any]:
    """One torch layer for each layer of ``rnn``, with its weights."""
    state, layers = rnn.state_dict(), []
    directions = 2 if rnn.bidirectional else 1
    for k in range(rnn.num_layers):
        layer = torch.nn.RNN(
            directions * H if k else D, H, 1, rnn.nonlinearity, rnn.bias, False, 0.0, rnn.bidirectional,
            dtype=torch.float64,
        )  # fmt: skip
        own = {name.replace(f"_l{k}", "_l0"): value for name, value in state.items() if f"_l{k}" in name}
        layer.load_state_dict({name: torch.tensor(value) for name, value in own.items()})
        layers.append(layer)
    return layers


def torchs(rnn: nn.RNN, x: Any, hx: Any, lengths: list[int] | None) -> tuple[Any, Any, dict[str, Any]]:
    """``output``, ``h_n`` and the parameters of torch, time-major, the masks of ``rnn`` applied."""
    torch = pytest.importorskip("torch")
    utils, masks = torch.nn.utils.rnn, rnn.dropout_masks
    states: list[Any] = []
    named: dict[str, Any] = {}
    for k, layer in enumerate(chain(rnn, torch)):
        h = None if hx is None else hx.chunk(rnn.num_layers)[k]
        if lengths is None:
            x, h_n = layer(x, h)
        else:
            x, h_n = layer(utils.pack_padded_sequence(x, lengths, enforce_sorted=False), h)
            x = utils.pad_packed_sequence(x, total_length=T)[0]
        if k < len(masks):
            x = x * torch.tensor(masks[k]) / (1 - rnn.dropout)
        states.append(h_n)
        named |= {name.replace("_l0", f"_l{k}"): param for name, param in layer.named_parameters()}
    return x, torch.cat(states), named


def compare(rnn: nn.RNN, form: str, with_hx: bool, upstream: str) -> None:
    torch = pytest.importorskip("torch")
    directions = 2 if rnn.bidirectional else 1
    rows = 1 if form == "unbatched" else B
    lengths = LENGTHS if form in ("lengths", "packed") else None
    x = numbers(T, rows, D)
    hx = numbers(rnn.num_layers * directions, rows, H) if with_hx else None
    d_output, d_h_n = numbers(T, rows, directions * H), numbers(rnn.num_layers * directions, rows, H)

    def to_form(array: Array) -> Any:
        """A time-major array as the layer takes it."""
        if form == "unbatched":
            return array[:, 0]
        if form == "packed":
            return packing.pack_padded_sequence(array, LENGTHS, enforce_sorted=False)
        return array.swapaxes(0, 1) if rnn.batch_first else array

    def from_form(value: Any) -> Array:
        if form == "packed":
            padded, given = packing.pad_packed_sequence(value, total_length=T)
            assert given.tolist() == LENGTHS
            return padded
        if form == "unbatched":
            return value[:, None]
        return value.swapaxes(0, 1) if rnn.batch_first else value

    def states(value: Any) -> Any:
        return value[:, 0] if form == "unbatched" and value is not None else value

    output, h_n = rnn(to_form(x), states(hx), lengths=LENGTHS if form == "lengths" else None)
    d_input, d_hx = rnn.backward(
        to_form(d_output) if upstream != "h_n" else None, states(d_h_n) if upstream != "output" else None
    )

    tx = torch.tensor(x, requires_grad=True)
    thx = None if hx is None else torch.tensor(hx, requires_grad=True)
    t_output, t_h_n, params = torchs(rnn, tx, thx, lengths)
    loss: Any = 0
    if upstream != "h_n":
        loss = (t_output * torch.tensor(d_output)).sum()
    if upstream != "output":
        loss = loss + (t_h_n * torch.tensor(d_h_n)).sum()
    loss.backward()
    close(from_form(output), t_output)
    close(h_n, states(t_h_n))
    close(from_form(d_input), tx.grad)
    if thx is not None:
        close(d_hx, states(thx.grad))
    assert rnn.grads.keys() == params.keys()
    for name, param in params.items():
        close(rnn.grads[name], param.grad)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_tensor_is_torchs(form: str, layers: int, nonlinearity: str, bidirectional: bool) -> None:
    for bias, batch_first, with_hx in itertools.product((True, False), repeat=3):
        for dropout in (0.0, 0.4)[:layers]:
            rnn = make(layers, nonlinearity, bias, batch_first, dropout, bidirectional)
            for upstream in UPSTREAM:
                compare(rnn, form, with_hx, upstream)
                assert len(rnn.dropout_masks) == (layers - 1 if dropout else 0)


@pytest.mark.parametrize("options", [(), (3, "relu", False, True, 0.0, True), (2, "tanh", True, False, 0.0)])
def test_torchs_own_layer_loads_the_weights_and_gives_the_same(options: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch")
    rnn, theirs = make(*options), torch.nn.RNN(D, H, *options, dtype=torch.float64)
    assert [n for n, _ in rnn.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    rnn.load_state_dict(dict(theirs.named_parameters()))
    x = numbers(B, T, D)
    for ours, expected in zip(rnn(x), theirs(torch.tensor(x)), strict=True):
        close(ours, expected)
    theirs.load_state_dict({name: torch.tensor(value + 1) for name, value in rnn.state_dict().items()})
    rnn.load_state_dict({f"rnn.{n}": v for n, v in theirs.state_dict().items()} | {"fc.w": 0}, "rnn.")
    close(rnn(x)[0], theirs(torch.tensor(x))[0])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("with_hx", [True, False])
def test_the_cell_is_torchs(nonlinearity: str, bias: bool, batched: bool, with_hx: bool) -> None:
    torch = pytest.importorskip("torch")
    cell = make_cell(bias, nonlinearity)
    theirs = torch.nn.RNNCell(D, H, bias, nonlinearity, dtype=torch.float64)
    cell.load_state_dict(theirs.state_dict())
    lead = (B,) if batched else ()
    x, hx, d = numbers(*lead, D), numbers(*lead, H) if with_hx else None, numbers(*lead, H)
    tx = torch.tensor(x, requires_grad=True)
    thx = None if hx is None else torch.tensor(hx, requires_grad=True)
    expected = theirs(tx, thx)
    expected.backward(torch.tensor(d))
    close(cell(x, hx), expected)
    d_input, d_hx = cell.backward(d)
    close(d_input, tx.grad)
    assert d_hx.shape == d.shape
    if thx is not None:
        close(d_hx, thx.grad)
    for name, param in theirs.named_parameters():
        close(cell.grads[name], param.grad)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("place", ["x", "hx", "d_output"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_where_torch_has_them(nonlinearity: str, place: str, value: float) -> None:
    torch = pytest.importorskip("torch")
    rnn = make(2, nonlinearity, True, False, 0.0, True)
    given = {"x": numbers(T, B, D), "hx": numbers(4, B, H), "d_output": numbers(T, B, 2 * H)}
    given[place][0 if place == "hx" else 2, 1, 0] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output, h_n = rnn(given["x"], given["hx"])
        d_input, d_hx = rnn.backward(given["d_output"])
    x, hx = (torch.tensor(given[name], requires_grad=True) for name in ("x", "hx"))
    t_output, t_h_n, params = torchs(rnn, x, hx, None)
    t_output.backward(torch.tensor(given["d_output"]))
    pairs = [(output, t_output), (h_n, t_h_n), (d_input, x.grad), (d_hx, hx.grad)]
    for ours, theirs in [*pairs, *((rnn.grads[name], param.grad) for name, param in params.items())]:
        assert np.array_equal(np.isfinite(ours), np.isfinite(theirs.detach().numpy()))


@pytest.mark.parametrize("form", ["padded", "lengths"])
def test_overflow_and_what_it_leads_to_are_not_warned_of(form: str) -> None:
    rnn = make(3, "relu", dropout=0.5, bidirectional=True)
    for _, param in rnn.named_parameters():
        param *= 1e200
    huge = float(np.finfo(np.float64).max)
    cell = make_cell()
    for bias in (rnn.bias_ih_l0, rnn.bias_hh_l0, cell.bias_ih, cell.bias_hh):
        bias[...] = huge
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output, _ = rnn(huge * numbers(T, B, D), lengths=LENGTHS if form == "lengths" else None)
        d_input, _ = rnn.backward(huge * numbers(T, B, 2 * H))
        assert (cell(numbers(B, D)) == 1).all()
    assert not np.isfinite(output).all()
    assert not np.isfinite(d_input).all()


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    rnn = make(1, "relu")
    rnn.load_state_dict({name: np.zeros_like(param) for name, param in rnn.named_parameters()})
    rnn(numbers(T, B, D))
    rnn.backward(np.ones((T, B, H)))
    assert not any(grad.any() for grad in rnn.grads.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
@pytest.mark.parametrize("lengths", [LENGTHS, [2, 2, 2]])
def test_what_stands_in_the_padding_has_no_effect(value: float, lengths: list[int]) -> None:
    rnn = make(2, bidirectional=True, dropout=0.3)
    x, d = numbers(T, B, D), numbers(T, B, 2 * H)
    padding = np.arange(T)[:, None] >= lengths

    def play(masks: list[Array] | None) -> list[Array]:
        output, h_n = rnn(x, lengths=np.array(lengths), dropout_masks=masks)
        d_input, d_hx = rnn.backward(d)
        return [output, h_n, d_input, d_hx, *copy.deepcopy(list(rnn.grads.values()))]

    clean = play(None)
    x[padding] = value
    d[padding] = value
    spoiled = play(rnn.dropout_masks)
    assert same(clean, spoiled)
    assert not spoiled[0][padding].any()
    assert not spoiled[2][padding].any()


def test_lengths_that_are_all_t_change_nothing() -> None:
    rnn, x = make(2, bidirectional=True), numbers(T, B, D)
    for plain, given in zip(rnn(x), rnn(x, lengths=[T] * B), strict=True):
        assert np.array_equal(plain, given)


def test_the_same_seed_gives_the_same_weights_and_masks() -> None:
    x = numbers(T, B, D)
    first, second, other = (make(3, dropout=0.5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first(x)[0], second(x)[0])
    assert same(first.dropout_masks, second.dropout_masks)
    assert not np.array_equal(first.weight_ih_l0, other.weight_ih_l0)
    masks = first.dropout_masks
    first(x)
    assert not same(first.dropout_masks, masks)
    assert all(mask.shape == (T, B, H) and mask.dtype == bool for mask in masks)
    # Given to another, they are that call's.
    other.load_state_dict(first.state_dict())
    assert np.array_equal(other(x, dropout_masks=masks)[0], second(x, dropout_masks=masks)[0])
    assert same(other.dropout_masks, masks)


def test_dropout_is_for_training_alone() -> None:
    rnn, x = make(2, dropout=0.5), numbers(T, B, D)
    plain = make(2)
    assert rnn.training
    assert rnn.eval() is rnn
    assert np.array_equal(rnn(x)[0], plain(x)[0])
    assert rnn.dropout_masks == []
    assert rnn.train() is rnn
    assert not np.array_equal(rnn(x)[0], plain(x)[0])
    kept = make(2, dropout=1)
    kept(x)
    assert not kept.dropout_masks[0].any()
    assert not kept.backward(numbers(T, B, H))[0].any()
    kept(x, dropout_masks=[np.ones((T, B, H), bool)])
    assert not kept.backward(numbers(T, B, H))[0].any()


def test_about_the_right_share_is_dropped() -> None:
    rnn = nn.RNN(1, 50, 2, dropout=0.2, rng=np.random.default_rng(0))
    rnn(x := np.zeros((20, 20, 1), np.float32))
    assert abs(rnn.dropout_masks[0].mean() - 0.8) < 0.02
    # A number in [0, 1) is below p with probability p.
    drawn = np.random.default_rng(1).random((20, 20, 50), np.float32)
    rnn.rng, rnn.dropout = np.random.default_rng(1), float(drawn[0, 0, 0])
    rnn(x)
    assert rnn.dropout_masks[0][0, 0, 0]


def test_dropout_with_one_layer_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"no effect with one: got dropout=0\.5 and num_layers=1"):
        nn.RNN(D, H, dropout=0.5)


def test_a_warning_is_of_the_line_that_makes_the_layer() -> None:
    with pytest.warns(UserWarning, match="no effect") as caught:
        nn.RNN(D, H, dropout=0.5)
    assert caught[0].filename == __file__


def test_weights_are_drawn_from_torchs_range() -> None:
    rnn = nn.RNN(20, 100, 2, bidirectional=True, rng=np.random.default_rng(0))
    for _, param in rnn.named_parameters():
        assert param.dtype == np.float32
        assert abs(param).max() <= np.float32(0.1)
        assert abs(param).max() > 0.09


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_layers_dtype(dtype: type) -> None:
    rnn = make(2, "relu", dropout=0.5, bidirectional=True, dtype=dtype)
    results = [*rnn(numbers(T, B, D, dtype=dtype), lengths=LENGTHS)]
    results += rnn.backward(numbers(T, B, 2 * H, dtype=dtype))
    assert {array.dtype for array in (*results, *rnn.grads.values())} == {np.dtype(dtype)}


def test_gradients_are_the_same_arrays_for_life() -> None:
    rnn = make(2)
    held = dict(rnn.grads)
    rnn(numbers(T, B, D))
    rnn.backward(d := numbers(T, B, H))
    once = copy.deepcopy(held)
    rnn.backward(d)
    assert all(rnn.grads[name] is grad and np.array_equal(grad, once[name]) for name, grad in held.items())
    assert np.array_equal(held["bias_ih_l0"], held["bias_hh_l0"])
    assert not np.shares_memory(held["bias_ih_l0"], held["bias_hh_l0"])
    rnn.grads["bias_ih_l0"] = numbers(H)
    with pytest.raises(
        ValueError, match=r"^grads: expected .*, as in layer\.grads\[name\]\[\.\.\.\] = value$"
    ):
        rnn.backward(d)


def played(rnn: nn.RNN, form: str, spoil: bool) -> list[Any]:
    """Copies of what three calls give; ``spoil``: arguments and results are overwritten at once."""

    def mine(*values: Any) -> list[Any]:
        arrays = [array for value in values for array in (value if isinstance(value, tuple) else (value,))]
        kept = copy.deepcopy(arrays)
        for array in arrays if spoil else ():
            if array is not None:
                array[...] = 1
        return kept

    seen: list[Any] = []
    draw = np.random.default_rng(5).normal
    for _ in "123":
        x, hx, d, d_h_n = (draw(size=s) for s in ((T, B, D), (4, B, H), (T, B, 2 * H), (4, B, H)))
        lengths = np.array(LENGTHS) if form == "lengths" else None
        given: list[Any] = [x, d, d.copy()]
        if form == "packed":
            given = [packing.pack_padded_sequence(a, LENGTHS, enforce_sorted=False) for a in given]
        output, h_n = rnn(given[0], hx, lengths=lengths)
        mine(given[0], hx, lengths)
        seen += mine(output, h_n, *rnn.dropout_masks)
        seen += mine(*rnn.backward(given[1], d_h_n))
        mine(given[1])
        seen += mine(*rnn.backward(given[2]))
        seen += copy.deepcopy(list(rnn.grads.values()))
    return seen


@pytest.mark.parametrize("form", FORMS[:3])
def test_results_are_the_callers_own_and_arguments_not_kept(form: str) -> None:
    clean, spoiled = (
        played(make(2, dropout=0.3, bidirectional=True), form, spoil) for spoil in (False, True)
    )
    assert same(clean, spoiled)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["padded", "lengths"])
@pytest.mark.parametrize("sizes", [(B, T, D, H), (B, 1, 9, 1)])
def test_memory_layouts(layout: str, form: str, sizes: tuple[int, ...]) -> None:
    B, T, D, H = sizes
    options: dict[str, Any] = {"dtype": np.float64, "rng": np.random.default_rng(1)}
    rnn = nn.RNN(D, H, 2, batch_first=True, bidirectional=True, **options)
    cell = nn.RNNCell(D, H, **options)
    given = [numbers(B, T, D), numbers(4, B, H), numbers(B, T, 2 * H), numbers(4, B, H)]
    other = [laid_out(array, layout) for array in given]

    def play(x: Array, hx: Array, d_output: Array, d_h_n: Array) -> list[Array]:
        results = [*rnn(x, hx, lengths=np.minimum(LENGTHS, T) if form == "lengths" else None)]
        results += rnn.backward(d_output, d_h_n)
        results += [cell(x[:, 0], hx[0]), *cell.backward(d_h_n[0])]
        return [*results, *copy.deepcopy([*rnn.grads.values(), *cell.grads.values()])]

    kept = copy.deepcopy(given)
    for left, right in zip(play(*given), play(*other), strict=True):
        assert np.array_equal(left, right)
        assert right.flags.c_contiguous
    assert same([*given, *other], [*kept, *kept])


@pytest.mark.parametrize("form", FORMS[:3])
def test_memory_mapped_files_are_arrays(tmp_path: Path, form: str) -> None:
    rnn, plain = make(2, bidirectional=True), make(2, bidirectional=True)
    given: list[Any] = []
    for number, shape in enumerate([(T, B, D), (4, B, H), (T, B, 2 * H), (4, B, H)]):
        np.save(tmp_path / f"{number}.npy", numbers(*shape))
        given.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))

    def play(layer: nn.RNN, x: Any, hx: Array, d_output: Any, d_h_n: Array) -> list[Any]:
        if form == "packed":
            x, d_output = (packing.pack_padded_sequence(a, LENGTHS, False, False) for a in (x, d_output))
        output: Any
        output, h_n = layer(x, hx, lengths=LENGTHS if form == "lengths" else None)
        d_input, d_hx = layer.backward(d_output, d_h_n)
        if form == "packed":
            output, d_input = output.data, d_input.data
        return [output, h_n, d_input, d_hx]

    results = play(rnn, *given)
    assert same(results, play(plain, *map(np.array, given)))
    assert same(rnn.grads.values(), plain.grads.values())
    assert {type(result) for result in results} == {np.ndarray}


def test_backward_uses_the_weights_and_the_mode_of_its_forward() -> None:
    rnn, d = make(2, dropout=0.5), numbers(T, B, H)
    rnn(numbers(T, B, D))
    d_input, grads = rnn.backward(d)[0], copy.deepcopy(rnn.grads)
    for _, param in rnn.named_parameters():
        param += 1
    rnn.eval()
    assert np.array_equal(rnn.backward(d)[0], d_input)
    assert all(np.array_equal(rnn.grads[name], grad) for name, grad in grads.items())


def test_parameters_are_attributes_and_live() -> None:
    rnn, x = make(), numbers(T, B, D)
    before = rnn(x)[0]
    assert all(param is getattr(rnn, name) for name, param in rnn.named_parameters())
    assert not any(np.shares_memory(getattr(rnn, n), copied) for n, copied in rnn.state_dict().items())
    rnn.weight_hh_l0[...] = 0
    assert not np.array_equal(rnn(x)[0], before)
    rnn.weight_ih_l0 = np.asfortranarray(rnn.weight_ih_l0)
    assert rnn.state_dict()["weight_ih_l0"].flags.c_contiguous
    setattr(rnn, "weight_hh_l0", numbers(H, D))  # noqa: B010, mypy takes it for a method
    with pytest.raises(ValueError, match=r"weight_hh_l0: expected shape \[6, 6\], got shape \[6, 4\]"):
        rnn(x)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_in_mid_state_go_on_alike_and_apart(clone: Callable[[Any], Any]) -> None:
    rnn, x, d = make(2, dropout=0.5), numbers(T, B, D), numbers(T, B, H)
    rnn(x, lengths=LENGTHS)
    twin = clone(rnn)
    assert np.array_equal(twin.backward(d)[0], rnn.backward(d)[0])
    assert np.array_equal(twin(x)[0], rnn(x)[0])
    grads = copy.deepcopy(rnn.grads)
    twin.weight_ih_l0[...] = 0
    twin.backward(2 * d)
    assert all(np.array_equal(rnn.grads[name], grad) for name, grad in grads.items())
    cell = make_cell()
    cell(x[0])
    assert np.array_equal(clone(cell).backward(d[0])[0], cell.backward(d[0])[0])
    packed = packing.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    assert same(clone(packed), packed)


def test_two_layers_run_in_two_threads() -> None:
    layers = [make(2, dropout=0.3, bidirectional=True) for _ in "12"]
    alone = [played(layer, "lengths", False) for layer in copy.deepcopy(layers)]
    together: dict[int, list[Any]] = {}
    threads = [
        threading.Thread(target=lambda i=i: together.update({i: played(layers[i], "lengths", False)}))
        for i in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in (0, 1):
        assert same(alone[i], together[i])


def test_an_empty_batch_gives_empty_results_and_zero_gradients() -> None:
    rnn = make(2, bidirectional=True, dropout=0.5)
    for grad in rnn.grads.values():
        grad[...] = 7
    assert [a.shape for a in rnn(np.empty((T, 0, D)))] == [(T, 0, 2 * H), (4, 0, H)]
    assert [a.shape for a in rnn.backward(np.empty((T, 0, 2 * H)))] == [(T, 0, D), (4, 0, H)]
    assert not any(grad.any() for grad in rnn.grads.values())


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (nn.RNN(4, 6), "RNN(4, 6)"),
        (nn.RNN(4, 6, 2, "relu", False, True, 0.5, True, dtype="float64"),
         "RNN(4, 6, num_layers=2, nonlinearity='relu', bias=False, batch_first=True, dropout=0.5, "
         "bidirectional=True, dtype=float64)"),
        (nn.RNNCell(4, 6, False, "relu"), "RNNCell(4, 6, bias=False, nonlinearity='relu')"),
    ],
)  # fmt: skip
def test_repr_shows_what_is_not_the_default(layer: object, shown: str) -> None:
    assert repr(layer) == shown


def test_the_options_that_repr_compares_are_those_of_the_constructor() -> None:
    for layer, count in ((nn.RNN, 7), (nn.RNNCell, 3)):
        parameters = inspect.signature(layer).parameters
        assert len(layer._defaults) == count
        assert all(parameters[name].default is value for name, value in layer._defaults.items())


def test_a_call_is_forward_also_where_a_subclass_has_its_own() -> None:
    class Doubled(nn.RNN):
        def forward(self, input: Any, *given: Any, **options: Any) -> Any:  # noqa: A002
            output, h_n = super().forward(input, *given, **options)
            return 2 * output, h_n

    class DoubledCell(nn.RNNCell):
        def forward(self, input: Array, hx: Array | None = None) -> Array:  # noqa: A002
            return 2 * super().forward(input, hx)

    rnn, cell, x, hx = make(), make_cell(), numbers(T, B, D), numbers(1, B, H)
    options: dict[str, Any] = {"dtype": np.float64, "rng": np.random.default_rng(1)}
    twice, twice_cell = Doubled(D, H, **options), DoubledCell(D, H, **options)
    twice.load_state_dict(rnn.state_dict())
    twice_cell.load_state_dict(cell.state_dict())
    assert np.array_equal(twice(x, hx, lengths=LENGTHS)[0], 2 * rnn(x, hx, lengths=LENGTHS)[0])
    assert np.array_equal(twice_cell(x[0], hx[0]), 2 * cell(x[0], hx[0]))
    assert np.array_equal(rnn(x, hx)[0], rnn.forward(x, hx)[0])


def test_an_attribute_named_like_the_argument_of_a_method_is_the_users() -> None:
    rnn = make()
    for value in (1, "any"):
        setattr(rnn, "mode", value)  # noqa: B010, mypy takes it for a parameter
        assert getattr(rnn, "mode") == value  # noqa: B009


def test_an_open_npz_file_is_a_checkpoint(tmp_path: Path) -> None:
    rnn, other = make(2, bidirectional=True), make(2, bidirectional=True, seed=2)
    state: dict[str, Any] = rnn.state_dict("model.rnn.")
    np.savez(tmp_path / "model.npz", **state, step=np.array(7))
    with np.load(tmp_path / "model.npz") as checkpoint:
        other.load_state_dict(checkpoint, "model.rnn.")
        with pytest.raises(ValueError, match="unexpected: step"):
            other.load_state_dict(checkpoint)
    assert same(other.state_dict().values(), rnn.state_dict().values())


def test_tensors_that_numpy_cannot_hold_are_refused_by_name() -> None:
    torch = pytest.importorskip("torch")
    rnn = make()
    state: dict[str, Any] = rnn.state_dict()
    state["weight_hh_l0"] = torch.zeros(H, H, dtype=torch.bfloat16)
    state["bias_ih_l0"] = torch.zeros(H, device="meta")
    with pytest.raises(
        ValueError, match=r"state_dict: weight_hh_l0: expected a dense .*; bias_ih_l0: expected a dense"
    ):
        rnn.load_state_dict(state)


def test_calls_of_other_sizes_and_forms_do_not_meet() -> None:
    rnn = make(2, bidirectional=True)
    for t, b, lengths in (
        (T, B, None),
        (2, 7, [1, 2, 2, 1, 1, 2, 1]),
        (9, 1, None),
        (1, B, [1, 1, 1]),
        (T, B, LENGTHS),
    ):
        x, d, fresh = numbers(t, b, D), numbers(t, b, 2 * H), make(2, bidirectional=True)
        assert same(rnn(x, lengths=lengths), fresh(x, lengths=lengths))
        assert same(rnn.backward(d), fresh.backward(d))
        assert same(rnn.grads.values(), fresh.grads.values())
        assert same(rnn(x[:, 0]), fresh(x[:, 0]))


@pytest.mark.parametrize("kind", [list, tuple, *(f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8))])
def test_lengths_of_any_whole_kind(kind: Any) -> None:
    given = kind(LENGTHS) if callable(kind) else np.array(LENGTHS, kind)
    rnn, x = make(bidirectional=True), numbers(T, B, D)
    expected = rnn(x, lengths=LENGTHS)
    assert same(rnn(x, lengths=given), expected)
    packed = packing.pack_padded_sequence(x, given, enforce_sorted=False)
    if not callable(kind):
        packed = packing.PackedSequence(packed.data, *(np.array(field, kind) for field in packed[1:]))
    assert np.array_equal(packing.pad_packed_sequence(rnn(packed)[0])[0], expected[0])


def test_options_that_may_change_take_effect_and_others_cannot() -> None:
    rnn, x = make(2, dropout=0.5), numbers(T, B, D)
    rnn.dropout = 0
    plain = make(2)
    assert np.array_equal(rnn(x)[0], plain(x)[0])
    rnn.batch_first = True
    assert np.array_equal(rnn(x.swapaxes(0, 1))[0].swapaxes(0, 1), plain(x)[0])
    quarter: Any = Fraction(1, 4)
    rnn.rng, rnn.dropout = np.random.default_rng(7), quarter
    rnn(np.ones((B, T, D)))
    assert np.array_equal(
        rnn.dropout_masks[0], np.random.default_rng(7).random((T, B, H), np.float32) >= 0.25
    )
    fixed = {"input_size": 5, "hidden_size": 7, "num_layers": 1, "nonlinearity": "relu", "bias": False,
             "bidirectional": True, "dtype": np.float32}  # fmt: skip
    for name, value in fixed.items():
        with pytest.raises(AttributeError, match=f"{name}: expected .*, as when the layer was made, got"):
            setattr(rnn, name, value)
        setattr(rnn, name, getattr(rnn, name))
    shown = repr(rnn)
    for equal in (np.float64, "float64", np.dtype(np.float64)):
        setattr(rnn, "dtype", equal)  # noqa: B010, mypy knows what it is declared to be
        assert rnn.dtype is np.dtype(np.float64)
    assert repr(rnn) == shown
    for name, value in {"dropout": "no", "batch_first": 1, "training": 0, "rng": None}.items():
        with pytest.raises(TypeError, match=f"{name}: expected"):
            setattr(rnn, name, value)
    with pytest.raises(ValueError, match="dropout: expected a number from 0 to 1, got 2"):
        rnn.dropout = 2


def test_gradients_go_by_name_whatever_their_order_in_the_dict() -> None:
    rnn, twin, x, d = make(), make(), numbers(T, B, D), numbers(T, B, H)
    rnn.grads["weight_ih_l0"] = rnn.grads.pop("weight_ih_l0")
    for layer in (rnn, twin):
        layer(x)
        layer.backward(d)
    assert all(np.array_equal(rnn.grads[name], grad) for name, grad in twin.grads.items())


def test_backward_before_a_call_is_a_runtime_error() -> None:
    for layer in (make(), make_cell()):
        with pytest.raises(RuntimeError, match="backward: there is no forward to go back through"):
            layer.backward(numbers(T, B, H))


NUMBER = (TypeError, "expected an int of at least 1, got")
OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    *(({name: value}, *NUMBER) for name in ("input_size", "hidden_size", "num_layers")
      for value in (True, 2.0, "2", None, np.int64(2))),
    *(({name: value}, ValueError, f"{name}: expected an int of at least 1, got {value}")
      for name in ("input_size", "hidden_size", "num_layers") for value in (0, -1)),
    *(({name: value}, TypeError, f"{name}: expected True or False, got {value!r}")
      for name in ("bias", "batch_first", "bidirectional") for value in ("no", 1, None)),
    ({"nonlinearity": "sigmoid"}, ValueError, "nonlinearity: expected 'tanh' or 'relu', got 'sigmoid'"),
    ({"nonlinearity": None}, TypeError, "nonlinearity: expected 'tanh' or 'relu', got None"),
    *(({"dropout": value}, ValueError, "dropout: expected a number from 0 to 1") for value in (-0.1, 1.1, np.nan)),
    *(({"dropout": value}, TypeError, "dropout: expected a number from 0 to 1") for value in (True, "0", None, 1j)),
    ({"dtype": np.float16}, ValueError, "dtype: expected numpy.float32 or numpy.float64"),
    ({"dtype": None}, TypeError, "dtype: expected numpy.float32 or numpy.float64, got None"),
    ({"dtype": "no"}, TypeError, "dtype: expected numpy.float32 or numpy.float64, got 'no'"),
    ({"rng": 3}, TypeError, "rng: expected a numpy.random.Generator, got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error", "message"), OPTIONS)
def test_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    layers: list[Any] = [nn.RNN]
    if options.keys() <= {"input_size", "hidden_size", "bias", "nonlinearity", "dtype", "rng"}:
        layers.append(nn.RNNCell)
    for layer in layers:
        with pytest.raises(error) as refusal:
            layer(**{"input_size": D, "hidden_size": H} | options)
        assert message in str(refusal.value)


PACKED = packing.pack_padded_sequence(numbers(T, B, D), LENGTHS, enforce_sorted=False)
CALLS: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda rnn: rnn([[0.0] * D]), TypeError, "input: expected a numpy.ndarray, got list"),
    (lambda rnn: rnn(numbers(D)), ValueError, "input: expected shape [T, B, D] with D = 4, got shape [4]"),
    (lambda rnn: rnn(numbers(1, T, B, D)), ValueError, "input: expected shape [T, B, D]"),
    (lambda rnn: rnn(numbers(T, B, D + 1)), ValueError, "with D = 4, got shape [5, 3, 5]"),
    (lambda rnn: rnn(numbers(T, D + 1)), ValueError, "input: expected shape [T, D] with D = 4, got shape [5, 5]"),
    (lambda rnn: rnn(numbers(0, B, D)), ValueError, "input: expected at least one time step"),
    (lambda rnn: rnn(numbers(T, B, D, dtype=np.float32)), ValueError, "input: expected float64"),
    (lambda rnn: rnn(numbers(T, B, D), numbers(2, 1, H)), ValueError,
     "hx: expected shape [num_layers*directions, B, H] with num_layers*directions = 2, B = 3, H = 6, got shape [2, 1, 6]"),
    (lambda rnn: rnn(numbers(T, B, D), numbers(1, B, H)), ValueError, "hx: expected shape [num_layers*directions, B, H]"),
    (lambda rnn: rnn(numbers(T, B, D), numbers(2, H)), ValueError, "hx: expected shape [num_layers*directions, B, H]"),
    (lambda rnn: rnn(numbers(T, D), numbers(2, 1, H)), ValueError, "hx: expected shape [num_layers*directions, H]"),
    (lambda rnn: rnn(numbers(T, B, D), numbers(2, B, H, dtype=np.float32)), ValueError, "hx: expected float64"),
    *((lambda rnn, n=n: rnn(numbers(T, B, D), lengths=n), ValueError, "lengths: expected whole numbers in 1 to T = 5")
      for n in ([0, 1, 2], [1, 6, 2], [-1, 1, 1], [1, 2], [[1, 2, 3]])),
    *((lambda rnn, n=n: rnn(numbers(T, B, D), lengths=n), TypeError, "lengths: expected whole numbers in 1 to T = 5")
      for n in ([1.5, 2, 3], [1.0, 2.0, 3.0], [True] * 3, ["1"] * 3, 3, "123", [[1], [2, 3]], [None] * 3)),
    (lambda rnn: rnn(numbers(T, D), lengths=[3]), ValueError, "lengths: expected None for an unbatched input"),
    (lambda rnn: rnn(PACKED, lengths=LENGTHS), ValueError, "lengths: expected None"),
    (lambda rnn: rnn(np.empty((T, 0, D)), lengths=[]), ValueError, "lengths: expected at least one row"),
    (lambda rnn: rnn(PACKED._replace(batch_sizes=np.array([3, 2]))), ValueError, "input.data: expected sum(batch_sizes) = 5 rows"),
    (lambda rnn: rnn(packing.pack_sequence([numbers(3, D + 1)])), ValueError, "input.data: expected shape [N, D]"),
    (lambda rnn: rnn(numbers(T, B, D), dropout_masks=[]), ValueError, "dropout_masks: expected 1"),
    (lambda rnn: rnn(numbers(T, B, D), dropout_masks=3), TypeError, "dropout_masks: expected a list"),
    (lambda rnn: rnn(numbers(T, B, D), dropout_masks=[numbers(T, B, H)]), ValueError,
     "dropout_masks[0]: expected bool, got float64"),
    (lambda rnn: rnn(numbers(T, B, D), dropout_masks=[np.ones((T, 1, H), bool)]), ValueError,
     "dropout_masks[0]: expected shape [T, B, directions*H]"),
    (lambda rnn: rnn.backward(None), ValueError, "d_output, d_h_n: expected at least one gradient"),
    (lambda rnn: rnn.backward(numbers(T, B, D)), ValueError, "d_output: expected shape [T, B, directions*H] with T = 5, B = 3, directions*H = 6, got shape [5, 3, 4]"),
    (lambda rnn: rnn.backward(numbers(T, 1, H)), ValueError, "d_output: expected shape"),
    (lambda rnn: rnn.backward(numbers(T, B, H, dtype=np.float32)), ValueError, "d_output: expected float64"),
    (lambda rnn: rnn.backward(PACKED), TypeError, "d_output: expected a numpy.ndarray, got PackedSequence"),
    (lambda rnn: rnn.backward(None, numbers(2, 1, H)), ValueError, "d_h_n: expected shape [num_layers*directions, B, H]"),
    (lambda rnn: rnn.train(1), TypeError, "mode: expected True or False, got 1"),
    (lambda rnn: rnn.state_dict(1), TypeError, "prefix: expected a str, got 1"),
    (lambda rnn: rnn.load_state_dict([]), TypeError, "state_dict: expected a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_calls_are_refused_before_anything_is_changed(
    call: Callable[[nn.RNN], object], error: type[Exception], message: str
) -> None:
    rnn, x, d = make(2, dropout=0.5), numbers(T, B, D), numbers(T, B, H)
    rnn(x)
    rnn.backward(d)
    grads, twin = copy.deepcopy(rnn.grads), copy.deepcopy(rnn)
    with pytest.raises(error) as refusal:
        call(rnn)
    assert message in str(refusal.value)
    assert all(np.array_equal(rnn.grads[name], grad) for name, grad in grads.items())
    assert np.array_equal(rnn.backward(d)[0], twin.backward(d)[0])
    assert np.array_equal(rnn(x)[0], twin(x)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cell: cell(numbers(B, D + 1)), "input: expected shape [B, D] with D = 4, got shape [3, 5]"),
        (lambda cell: cell(numbers(T, B, D)), "input: expected shape [B, D]"),
        (lambda cell: cell(numbers(D + 1)), "input: expected shape [D] with D = 4, got shape [5]"),
        (lambda cell: cell(numbers(B, D), numbers(1, H)), "hx: expected shape [B, H] with B = 3, H = 6"),
        (lambda cell: cell(numbers(D), numbers(1, H)), "hx: expected shape [H] with H = 6"),
        (lambda cell: cell(numbers(B, D), numbers(B, H, dtype=np.float32)), "hx: expected float64"),
        (lambda cell: cell.backward(numbers(1, H)), "d_h_next: expected shape [B, H] with B = 3, H = 6"),
    ],
)
def test_calls_of_a_cell_are_refused(call: Callable[[nn.RNNCell], object], message: str) -> None:
    cell, d = make_cell(), numbers(B, H)
    cell(numbers(B, D))
    before = cell.backward(d)
    with pytest.raises(ValueError, match="expected") as refusal:
        call(cell)
    assert message in str(refusal.value)
    with pytest.raises(TypeError, match=r"input: expected a numpy\.ndarray, got list"):
        cell([[0.0] * D])  # type: ignore[arg-type]
    assert same(cell.backward(d), before)
    cell(numbers(D))
    with pytest.raises(ValueError, match=r"d_h_next: expected shape \[H\] with H = 6, got shape \[3, 6\]"):
        cell.backward(d)


def test_the_first_thing_that_everybody_types_names_both_ways_out() -> None:
    message = (
        "input: expected float32, the dtype of the parameters, got float64; convert with "
        "input.astype(numpy.float32), or make the layer with dtype=numpy.float64"
    )
    rnn, cell, x = nn.RNN(2, 3), nn.RNNCell(2, 3), np.ones((4, 1, 2))
    for call in (lambda: rnn(x), lambda: rnn(x[:, 0]), lambda: cell(x[0]), lambda: cell(x[0, 0])):
        with pytest.raises(ValueError, match="input: ") as refusal:
            call()
        assert str(refusal.value) == message
    with pytest.raises(ValueError, match=r"^input\.data: .*, or make the layer with dtype=numpy\.float64$"):
        rnn(packing.pack_sequence([x[:, 0]]))
    # Both work.
    assert rnn(x.astype(np.float32))[0].dtype == np.float32
    assert nn.RNN(2, 3, dtype=np.float64)(x)[0].dtype == np.float64
    assert cell(x[0].astype(np.float32)).dtype == np.float32
    assert nn.RNNCell(2, 3, dtype=np.float64)(x[0]).dtype == np.float64
    # No layer has the other dtype, or a layer of it would refuse the rest.
    for call, message in (
        (lambda: rnn(x.astype(int)), r"input: .*, got int64; convert with input\.astype\(numpy\.float32\)$"),
        (lambda: rnn(x.astype(np.float32), np.ones((1, 1, 3))), r"hx: .*; convert with hx\.astype\(numpy\.float32\)$"),
        (lambda: rnn.backward(np.ones((4, 1, 3))), r"d_output: .*; convert with d_output\.astype\(numpy\.float32\)$"),
    ):  # fmt: skip
        rnn(x.astype(np.float32))
        with pytest.raises(ValueError, match=message):
            call()


def test_all_that_is_wrong_with_a_checkpoint_is_in_one_error() -> None:
    rnn = make()
    before = rnn.state_dict()
    wrong: dict[str, Any] = {
        "p.weight_ih_l0": numbers(D, H),
        "p.weight_hh_l0": numbers(H, H, dtype=np.float32),
        "p.bias_ih_l0": [0.0] * H,
        "p.weight_ih_l1": numbers(H, D),
        "other": 0,
    }
    with pytest.raises(ValueError, match="state_dict: ") as refusal:
        rnn.load_state_dict(wrong, "p.")
    for message in (
        "missing: p.bias_hh_l0",
        "unexpected: p.weight_ih_l1",
        "p.weight_ih_l0: expected shape [6, 4], got shape [4, 6]",
        "p.weight_hh_l0: expected float64",
        "p.bias_ih_l0: expected a numpy.ndarray, got list",
    ):
        assert message in str(refusal.value)
    assert "other" not in str(refusal.value)
    assert all(np.array_equal(before[name], param) for name, param in rnn.named_parameters())
    del wrong["p.weight_ih_l0"]
    with pytest.raises(ValueError, match=r"missing: p\.weight_ih_l0; .*; p\.weight_hh_l0: expected float64"):
        rnn.load_state_dict(wrong, "p.")
    rnn.load_state_dict(before | {"bias_ih_l0": rnn.bias_hh_l0, "bias_hh_l0": rnn.bias_ih_l0})
    assert np.array_equal(rnn.bias_ih_l0, before["bias_hh_l0"])
    assert np.array_equal(rnn.bias_hh_l0, before["bias_ih_l0"])


@pytest.mark.parametrize("lengths", [[5, 4, 2], [2, 5, 4], [3, 3, 3], [1, 4, 4]])
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_is_torchs(lengths: list[int], batch_first: bool) -> None:
    torch = pytest.importorskip("torch")
    utils = torch.nn.utils.rnn
    for x in (numbers(B, T, 2) if batch_first else numbers(T, B, 2), np.arange(15).reshape(3, 5)):
        first = batch_first or x.ndim == 2
        ordered = lengths == sorted(lengths, reverse=True)
        for enforce in (True, False)[not ordered :]:
            packed = packing.pack_padded_sequence(x, lengths, first, enforce)
            theirs = utils.pack_padded_sequence(torch.tensor(x), torch.tensor(lengths), first, enforce)
            for ours, expected in zip(packed, theirs, strict=True):
                assert (ours is None) == (expected is None)
                assert ours is None or np.array_equal(ours, expected)
            for total in (None, 7):
                pairs = zip(
                    packing.pad_packed_sequence(packed, batch_first, 9, total),
                    utils.pad_packed_sequence(theirs, batch_first, 9, total),
                    strict=True,
                )
                assert all(np.array_equal(*pair) and pair[0].dtype == pair[1].numpy().dtype for pair in pairs)
            parts = packing.unpack_sequence(packed)
            assert same(parts, utils.unpack_sequence(theirs))
            again = packing.pack_sequence(parts, enforce_sorted=enforce)
            assert same(again, packed)
            for side in ("left", "right"):
                padded = packing.pad_sequence(parts, batch_first, 3, side)
                expected = utils.pad_sequence(list(map(torch.tensor, parts)), batch_first, 3, side)
                assert np.array_equal(padded, expected)
            padded = packing.pad_sequence(parts, batch_first)
            assert same(packing.unpad_sequence(padded, lengths, batch_first), parts)


def test_a_packed_sequence_that_is_sorted_runs_without_indices() -> None:
    rnn, x = make(bidirectional=True), numbers(T, B, D)
    packed = packing.pack_padded_sequence(x, [5, 4, 2])
    output, h_n = rnn(packed)
    assert output.sorted_indices is output.unsorted_indices is None
    expected = rnn(x, lengths=[5, 4, 2])
    assert np.array_equal(packing.pad_packed_sequence(output)[0], expected[0])
    assert np.array_equal(h_n, expected[1])


def test_sequences_of_one_length_are_put_in_the_order_of_the_indices() -> None:
    torch = pytest.importorskip("torch")
    rnn, data, order, hx = make(bidirectional=True), numbers(2 * B, D), np.array([2, 0, 1]), numbers(2, B, H)
    theirs = torch.nn.utils.rnn.PackedSequence(
        torch.tensor(data), torch.tensor([B, B]), torch.tensor(order), torch.tensor(np.argsort(order))
    )
    output, h_n = rnn(packing.PackedSequence(data, np.array([B, B]), order), hx)
    (layer,) = chain(rnn, torch)
    expected, t_h_n = layer(theirs, torch.tensor(hx))
    close(output.data, expected.data)
    close(h_n, t_h_n)


def test_equal_lengths_keep_their_order() -> None:
    lengths = [1 + i % 3 for i in range(60)]
    packed = packing.pack_padded_sequence(numbers(3, 60), lengths, enforce_sorted=False)
    assert packed.sorted_indices is not None
    assert packed.sorted_indices.tolist() == sorted(range(60), key=lambda i: -lengths[i])


def test_sequences_are_padded_with_zeros_and_unpadded_to_arrays_of_their_own() -> None:
    parts = [numbers(length, 2) for length in (2, 4)]
    padded = np.asfortranarray(packing.pad_sequence(parts))
    assert not padded[2:, 0].any()
    again = packing.unpad_sequence(padded, [2, 4])
    assert same(again, parts)
    assert all(part.flags.c_contiguous and part.flags.owndata for part in again)


def test_gradients_of_another_packing_are_refused() -> None:
    rnn = make()
    output, _ = rnn(PACKED)
    with pytest.raises(ValueError, match=r"d_output\.sorted_indices: expected \[1 2 0\], as in the input"):
        rnn.backward(packing.PackedSequence(output.data, output.batch_sizes))
    with pytest.raises(TypeError, match="d_output: expected a PackedSequence, got ndarray"):
        rnn.backward(numbers(T, B, H))


no: Any = "no"
none: Any = None
PACKING: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda x: packing.pack_padded_sequence(x, LENGTHS), ValueError, "lengths: expected none to be above"),
    (lambda x: packing.pack_padded_sequence(x, [5, 2, 4]), ValueError, "lengths: expected none to be above"),
    (lambda x: packing.pack_padded_sequence(x, [5, 4]), ValueError, "lengths: expected whole numbers"),
    (lambda x: packing.pack_padded_sequence(x, [5, 4, 0]), ValueError, "lengths: expected whole numbers"),
    (lambda x: packing.pack_padded_sequence(x[0, 0], [1]), ValueError, "input: expected shape [T, B, ...]"),
    (lambda x: packing.pack_padded_sequence(x, LENGTHS, no), TypeError, "batch_first: expected True or False"),
    (lambda x: packing.pack_padded_sequence(x, LENGTHS, True, no), TypeError, "enforce_sorted: expected"),
    (lambda x: packing.pack_padded_sequence(x[:, :0], []), ValueError, "input: expected at least one element"),
    (lambda x: packing.pad_packed_sequence(x), TypeError, "sequence: expected a PackedSequence, got ndarray"),
    (lambda x: packing.pad_packed_sequence(PACKED, no), TypeError, "batch_first: expected True or False"),
    (lambda x: packing.pad_packed_sequence(PACKED, total_length=4), ValueError, "total_length: expected at least 5"),
    *((lambda x, total=total: packing.pad_packed_sequence(PACKED, total_length=total), error,
       "total_length: expected a whole number of at least 1, or None") for total, error in ((0, ValueError), (True, TypeError), (7.0, TypeError))),
    (lambda x: packing.pad_packed_sequence(PACKED, padding_value=no), TypeError, "padding_value: expected a number"),
    (lambda x: packing.pad_packed_sequence(packing.pack_sequence([np.arange(3)]), padding_value=0.5), ValueError,
     "padding_value: expected a value of int64"),
    (lambda x: packing.pad_sequence([np.arange(3)], padding_value=0.5), ValueError, "padding_value: expected a value of int64"),
    *((lambda x, kind=kind: packing.pad_sequence([x.astype(kind)], padding_value=1e300), ValueError,
       f"padding_value: expected a value of {kind}") for kind in ("float32", "float16", "uint8")),
    (lambda x: packing.pad_sequence([]), ValueError, "sequences: expected at least one array"),
    *((lambda x, given=given: packing.pad_sequence(given), TypeError, "sequences: expected arrays [length, ...], got " + type(given).__name__)
      for given in (3, "35", b"35")),
    (lambda x: packing.pad_sequence([x, x[0, 0, 0]]), TypeError, "sequences[1]: expected a numpy.ndarray, got float64"),
    (lambda x: packing.pad_sequence([np.array(1.0)]), ValueError, "sequences[0]: expected shape [length, ...], got shape []"),
    (lambda x: packing.pad_sequence([x], no), TypeError, "batch_first: expected True or False"),
    (lambda x: packing.pad_sequence([x, x[..., 0]]), ValueError, "sequences[1]: expected [length, ...]"),
    (lambda x: packing.pad_sequence([x], padding_side="up"), ValueError, "padding_side: expected 'left' or 'right'"),
    (lambda x: packing.unpad_sequence(x, [6, 1, 1]), ValueError, "lengths: expected whole numbers in 0 to T = 5"),
    (lambda x: packing.unpad_sequence(x[0, 0], [1]), ValueError, "padded_sequences: expected shape [T, B, ...], got shape [4]"),
    (lambda x: packing.unpack_sequence(x), TypeError, "packed_sequences: expected a PackedSequence, got ndarray"),
    (lambda x: packing.pack_sequence([x[:2, 0], x[:, 0]]), ValueError, "pass enforce_sorted=False"),
    (lambda x: packing.PackedSequence(x, np.array([2, 1])), ValueError, "PackedSequence.data: expected"),
    *((lambda x, sizes=sizes: packing.PackedSequence(x, np.array(sizes)), ValueError,
       "PackedSequence.batch_sizes: expected sizes of at least 1, never rising") for sizes in ([1, 4], [2, 1, 2], [5, 0])),
    (lambda x: packing.PackedSequence(x, np.array([], int)), ValueError, "PackedSequence.batch_sizes: expected sizes of at least 1"),
    (lambda x: packing.PackedSequence(x, none), TypeError, "PackedSequence.batch_sizes: expected a numpy.ndarray, got NoneType"),
    (lambda x: packing.PackedSequence(x, np.array([5]), None, no), TypeError,
     "PackedSequence.unsorted_indices: expected a numpy.ndarray, got str"),
    (lambda x: packing.PackedSequence(x, np.array([5.0])), TypeError, "PackedSequence.batch_sizes: expected whole numbers"),
    (lambda x: packing.PackedSequence(x, np.array([[5]])), ValueError, "PackedSequence.batch_sizes: expected shape [T]"),
    (lambda x: packing.PackedSequence(no, np.array([5])), TypeError, "PackedSequence.data: expected a numpy.ndarray, got str"),
    (lambda x: packing.PackedSequence(np.array(1.0), np.array([1])), ValueError, "PackedSequence.data: expected shape [N, ...]"),
    (lambda x: packing.PackedSequence(x, np.array([5]), np.arange(5.0)), TypeError, "PackedSequence.sorted_indices: expected whole numbers"),
    (lambda x: packing.PackedSequence(x, np.array([5]), np.arange(5)[None]), ValueError, "PackedSequence.sorted_indices: expected shape [B]"),
    (lambda x: packing.PackedSequence(x, np.array([5]), np.arange(5), np.arange(5.0)), TypeError,
     "PackedSequence.unsorted_indices: expected whole numbers"),
    (lambda x: packing.PackedSequence(x, np.array([3, 2]), np.array([0, 1, 1])), ValueError,
     "PackedSequence.sorted_indices: expected each of 0 to 2 once"),
    (lambda x: packing.PackedSequence(x, np.array([3, 2]), np.array([1, 2, 0]), np.array([1, 2, 0])), ValueError,
     "PackedSequence.unsorted_indices: expected the inverse"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), PACKING)
def test_packing_refuses(call: Callable[[Array], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refusal:
        call(numbers(T, B, D))
    assert message in str(refusal.value)
