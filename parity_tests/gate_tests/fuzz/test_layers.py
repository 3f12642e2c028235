"""Arguments of every layer of ``rnn_np``: constructors, methods and attributes, one call after another."""

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws the examples")

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

import rnn_np
from parity_tests.gate_tests.fuzz.calls import (
    assert_apart,
    assert_same,
    attempt,
    bits,
    ordinary,
)
from parity_tests.gate_tests.fuzz.examples import fuzzed
from parity_tests.gate_tests.fuzz.odd import KEYS, ODD, either, floats, is_array, picked
from rnn_np import nn
from rnn_np.nn.utils.rnn import PackedSequence, pack_padded_sequence

CLOSE = {"float32": 1e-4, "float64": 1e-11}
"""The same operations in other memory may round otherwise."""
WRONG = (TypeError, ValueError)
SHORT = 20
"""A message may name every entry of a state dict, so their names are short here."""


class Player:
    """Calls a layer with drawn arguments, and a copy of it with ordinary ones of the same meaning.

    The copy is not asked what the layer refuses, and both are the same afterwards.
    """

    kind: Any
    methods: tuple[str, ...]

    def __init__(self, data: DataObject) -> None:
        self.data = data
        self.odd = True
        """Whether arguments may be wrong."""
        self.dtype = np.dtype(data.draw(st.sampled_from(("float32", "float64"))))
        self.D, self.H, self.B, self.T = (data.draw(st.integers(2, 3)) for _ in range(4))
        self.layer: Any = self.make()
        self.twin = copy.deepcopy(self.layer)
        self.upstream: Any = None
        """Shape of the upstream gradient, None where there is nothing to go back through."""

    def make(self) -> Any:
        raise NotImplementedError

    def floats(self, *shape: int, wrong: int = 2) -> Any:
        return self.data.draw(floats(shape, self.dtype, wrong * self.odd))

    def or_none(self, *shape: int) -> Any:
        """The same, or None, which is right where there is a default."""
        return None if self.data.draw(st.integers(0, 3)) == 3 else self.floats(*shape)

    def either(self, *right: Any) -> Any:
        return self.data.draw(either(*right) if self.odd else picked(right[-1:]))

    def is_array(self, value: Any, *shape: int | None) -> bool:
        return is_array(value, self.dtype, *shape)

    def start(self) -> None:
        """A right call first, so that there is a state to keep and something to go back through."""
        self.odd = False
        self.play("forward")
        self.odd = True

    def play(self, method: str) -> None:
        getattr(self, f"play_{method}")()
        assert self.public(self.layer) == self.public(self.twin), f"{method} changed the layer"

    def public(self, layer: Any) -> Any:
        raise NotImplementedError

    def both(
        self, method: str, given: dict[str, Any], right: bool | None, names: tuple[str, ...] = ()
    ) -> bool:
        taken, result = attempt(getattr(self.layer, method), given, right, names)
        if taken:
            want = getattr(self.twin, method)(**{name: ordinary(value) for name, value in given.items()})
            if want is not self.twin:
                assert_same(result, want, CLOSE[self.dtype.name])
                assert_apart(result, given.values())
                self.twin = copy.deepcopy(self.layer)
        return taken

    def play_forward(self, method: str = "forward") -> None:
        raise NotImplementedError

    def play_forward_only(self) -> None:
        self.play_forward("forward_only")

    def play_call(self) -> None:
        self.play_forward("__call__")

    def back(self, given: dict[str, Any], right: bool) -> None:
        if self.upstream is not None:
            self.both("backward", given, right, ("grads",))
            return
        attempt(self.layer.backward, given, False, ("backward",), (RuntimeError, *WRONG))

    def set(
        self, name: str, value: Any, right: bool | None, errors: tuple[type[Exception], ...] = WRONG
    ) -> bool:
        """Set an attribute of both."""
        taken, _ = attempt(
            lambda **given: setattr(self.layer, name, given[name]), {name: value}, right, (), errors
        )
        if taken:
            setattr(self.twin, name, ordinary(value))
        return taken


class OfList(Player):
    """``RNN`` and ``TimeRNN``."""

    def made(self, **further: Any) -> Any:
        """A new layer; after a refusal one of which nothing is odd."""
        data, D, H = self.data, self.D, self.H
        shapes = {"Wx": (D, H), "Wh": (H, H), "b": (1, H) if data.draw(st.booleans()) else (H,)}
        given = {name: self.floats(*shape, wrong=9) for name, shape in shapes.items()} | further
        if data.draw(st.integers(0, 9)) == 5:
            given["Wx"] = np.zeros((0, H), self.dtype)
        taken, layer = attempt(self.kind, given, self.fits(**given))
        layer = layer if taken else self.kind(*(self.floats(*shape, wrong=0) for shape in shapes.values()))
        (self.D, self.H), self.dtype = layer.params[0].shape, layer.params[0].dtype
        return layer

    def fits(self, Wx: Any, Wh: Any, b: Any, stateful: Any = False) -> bool:
        if not any(is_array(Wx, dtype, None, None) for dtype in ("f4", "f8")) or not Wx.size:
            return False
        H, dtype = Wx.shape[1], Wx.dtype
        has_bias = is_array(b, dtype, H) or is_array(b, dtype, 1, H)
        return is_array(Wh, dtype, H, H) and has_bias and isinstance(stateful, bool)

    def public(self, layer: Any) -> Any:
        state = [layer.h, layer.dh, layer.stateful] if isinstance(layer, rnn_np.TimeRNN) else []
        return bits([list(map(np.array, layer.params)), layer.grads, *state])

    def ones(self) -> dict[str, Any]:
        """Arguments that a forward takes."""
        raise NotImplementedError

    def play_params(self) -> None:
        """Another parameter in the list: the next forward takes it or names it."""
        at = self.data.draw(st.integers(0, 2))
        own, shape = self.layer.params[at], self.layer.grads[at].shape
        new = self.layer.params[at] = self.floats(*shape)
        if self.is_array(new, *shape):
            self.twin.params[at] = ordinary(new)
            self.play_forward()
            self.twin.params[at] = ordinary(own)
        else:
            given = bits(new)
            attempt(self.layer.forward, self.ones(), False, ("Wx", "Wh", "b"))
            assert bits(new) == given
        self.layer.params[at] = own

    def play_grads(self) -> None:
        """Other gradients in the list: the next backward names them."""
        if self.upstream is None:
            return
        at, upstream = self.data.draw(st.integers(0, 2)), np.ones(self.upstream, self.dtype)
        own = self.layer.grads[at]
        new = self.layer.grads[at] = self.floats(*own.shape)
        given = bits(new)
        with pytest.raises(ValueError, match=r"^grads: expected"):
            self.layer.backward(upstream)
        assert bits(new) == given
        self.layer.grads[at] = own

    def play_lists(self) -> None:
        """The lists themselves are replaced."""
        name, odd = self.data.draw(st.sampled_from(("params", "grads"))), self.data.draw(picked(ODD))
        own = getattr(self.layer, name)
        right = isinstance(odd, list | tuple) and all(type(array) is np.ndarray for array in odd)
        attempt(lambda **given: setattr(self.layer, name, given[name]), {name: odd}, right)
        assert right or getattr(self.layer, name) is own
        setattr(self.layer, name, own)


class Step(OfList):
    """Calls of ``RNN``."""

    kind = rnn_np.RNN
    methods = ("forward", "forward_only", "call", "backward", "backward", "params", "grads", "lists")

    def make(self) -> Any:
        return self.made()

    def ones(self) -> dict[str, Any]:
        return {"x": np.ones((self.B, self.D), self.dtype), "h_prev": np.ones((self.B, self.H), self.dtype)}

    def play_forward(self, method: str = "forward") -> None:
        x, h_prev = self.floats(self.B, self.D), self.floats(self.B, self.H)
        right = self.is_array(x, None, self.D) and self.is_array(h_prev, len(x), self.H)
        if self.both(method, {"x": x, "h_prev": h_prev}, right):
            self.upstream = None if method == "forward_only" else h_prev.shape

    def play_backward(self) -> None:
        dh_next = self.floats(*(self.upstream or (self.B, self.H)))
        self.back({"dh_next": dh_next}, self.is_array(dh_next, *(self.upstream or ())))


class Sequence(OfList):
    """Calls of ``TimeRNN``."""

    kind = rnn_np.TimeRNN
    methods = (
        "forward",
        "forward_only",
        "call",
        "backward",
        "backward",
        "params",
        "grads",
        "lists",
        "state",
        "stateful",
    )

    def make(self) -> Any:
        return self.made(stateful=self.either(True, False))

    @property
    def rows(self) -> int | None:
        """The batch size that a forward takes; None: any."""
        h = self.layer.h if self.layer.stateful else None
        return None if h is None else len(h)

    def shape(self) -> tuple[int, int, int]:
        return self.B if self.rows is None else self.rows, self.T, self.D

    def ones(self) -> dict[str, Any]:
        return {"xs": np.ones(self.shape(), self.dtype)}

    def play_forward(self, method: str = "forward") -> None:
        xs = self.floats(*self.shape())
        right = self.is_array(xs, self.rows, None, self.D) and xs.shape[1] > 0
        if self.both(method, {"xs": xs}, right):
            self.upstream = None if method == "forward_only" else (*xs.shape[:2], self.H)

    def play_backward(self) -> None:
        dhs = self.floats(*(self.upstream or (self.B, self.T, self.H)))
        self.back({"dhs": dhs}, self.is_array(dhs, *(self.upstream or ())))

    def play_state(self) -> None:
        h = self.floats(self.B, self.H)
        self.both("set_state", {"h": h}, h is None or self.is_array(h, None, self.H))
        if self.data.draw(st.booleans()):
            self.layer.reset_state()
            self.twin.reset_state()

    def play_stateful(self) -> None:
        stateful = self.either(True, False)
        self.set("stateful", stateful, isinstance(stateful, bool))


def is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 100


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_dtype(value: Any) -> bool:
    if value is float or (isinstance(value, type) and value in (np.float32, np.float64)):
        return True
    return isinstance(value, str | np.dtype) and value in ("float32", "float64")


def is_probability(value: Any) -> bool:
    kinds = (int, float, np.integer, np.floating)
    is_real = isinstance(value, kinds) or type(value).__name__ == "Fraction"
    return bool(is_real and not isinstance(value, bool | np.timedelta64) and 0 <= value <= 1)


RULES: dict[str, Callable[[Any], Any]] = {
    "input_size": is_size,
    "hidden_size": is_size,
    "num_layers": is_size,
    "nonlinearity": lambda value: isinstance(value, str) and value in ("tanh", "relu"),
    "bias": is_bool,
    "batch_first": is_bool,
    "dropout": is_probability,
    "bidirectional": is_bool,
    "dtype": is_dtype,
    "rng": lambda value: value is None or isinstance(value, np.random.Generator),
}
"""What each option may be."""


class OfTorch(Player):
    """``nn.RNN`` and ``nn.RNNCell``."""

    shared = (
        "forward",
        "forward_only",
        "call",
        "backward",
        "weight",
        "load",
        "save",
        "mode",
        "frozen",
        "grads",
    )

    def options(self) -> dict[str, tuple[Any, ...]]:
        """Right values of every option."""
        return {
            "bias": (True, False),
            "nonlinearity": ("tanh", "relu"),
            "dtype": (self.dtype, self.dtype.name, self.dtype.type),
            "rng": (None, np.random.default_rng(1)),
        }

    def make(self) -> Any:
        options = self.options()
        names = self.data.draw(st.sets(st.sampled_from(sorted(options))))
        given = {"input_size": self.either(self.D), "hidden_size": self.either(self.H)}
        given |= {name: self.either(*options[name]) for name in sorted(names)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a dropout with one layer
            taken, layer = attempt(self.kind, given, all(RULES[name](value) for name, value in given.items()))
        layer = layer if taken else self.kind(self.D, self.H, dtype=self.dtype)
        self.D, self.H, self.dtype = layer.input_size, layer.hidden_size, layer.dtype
        return layer

    def public(self, layer: Any) -> Any:
        options = [layer.training, getattr(layer, "dropout", 0.0), getattr(layer, "batch_first", False)]
        values = {name: np.array(getattr(layer, name)) for name in layer.grads}
        masks = getattr(layer, "dropout_masks", [])
        return bits([values, layer.grads, options, masks]), str(layer.rng.bit_generator.state)

    def play_weight(self) -> None:
        """Another parameter: set or refused at once, and taken or named by the next call."""
        name = self.data.draw(st.sampled_from(sorted(self.layer.grads)))
        own = getattr(self.layer, name)
        new = self.floats(*own.shape)
        if not self.set(name, new, type(new) is np.ndarray):
            return
        if self.is_array(new, *own.shape):
            self.play_forward()
        else:
            attempt(self.layer.forward, {"input": np.ones((self.T, self.D), self.dtype)}, False, (name,))
        for layer in (self.layer, self.twin):
            setattr(layer, name, own.copy())

    def play_load(self) -> None:
        prefix = self.either("", "a.")
        is_prefix = isinstance(prefix, str)
        if is_prefix and len(prefix) > SHORT:
            return
        before = prefix if is_prefix else ""
        shapes = {before + name: grad.shape for name, grad in self.layer.grads.items()}
        entries: Any = {name: self.floats(*shape, wrong=19) for name, shape in shapes.items()}
        change = self.data.draw(st.integers(0, 5))
        if change == 5:
            del entries[self.data.draw(st.sampled_from(sorted(entries)))]
        elif change == 4:
            key = self.data.draw(picked((before + "a", *KEYS)))
            entries[key] = 1
        elif change == 3:
            entries = self.data.draw(picked(ODD))
        right = is_prefix and isinstance(entries, dict)
        if right:
            # A key that is no name begins with no prefix but the empty one.
            own = {
                key: value
                for key, value in entries.items()
                if not before or (isinstance(key, str) and key.startswith(before))
            }
            right = own.keys() == shapes.keys()
            right = right and all(self.is_array(own[name], *shape) for name, shape in shapes.items())
        self.both("load_state_dict", {"state_dict": entries, "prefix": prefix}, right)

    def play_save(self) -> None:
        prefix = self.either("", "a.")
        taken, state = attempt(self.layer.state_dict, {"prefix": prefix}, isinstance(prefix, str))
        if taken:
            assert list(state) == [prefix + name for name in self.layer.grads]
            assert_apart(state, [dict(self.layer.named_parameters())])

    def play_mode(self) -> None:
        mode = self.either(True, False)
        self.both("train", {"mode": mode}, is_bool(mode))
        if self.data.draw(st.booleans()):
            assert self.layer.eval() is self.layer
            self.twin.eval()

    def play_frozen(self) -> None:
        """An option that the layer was made for."""
        name = self.data.draw(st.sampled_from(("input_size", "hidden_size", "nonlinearity", "bias", "dtype")))
        own, odd = getattr(self.layer, name), self.data.draw(picked(ODD))
        right = bool(RULES[name](odd) and odd == own)
        self.set(name, odd, right, (AttributeError, *WRONG))
        assert getattr(self.layer, name) is own

    def play_grads(self) -> None:
        """Another dict of gradients, or another array in it: refused, or named by the next backward."""
        if self.upstream is None:
            return
        own = self.layer.grads
        name = self.data.draw(st.sampled_from(sorted(own)))
        new = {**own, name: self.floats(*own[name].shape)}
        is_dict = self.data.draw(st.integers(0, 3)) < 3
        value = new if is_dict else self.data.draw(picked(ODD))
        right = isinstance(value, dict) and all(type(array) is np.ndarray for array in value.values())
        taken, _ = attempt(lambda grads: setattr(self.layer, "grads", grads), {"grads": value}, right)
        if taken:
            with pytest.raises(ValueError, match=r"^grads: expected"):
                self.layer.backward(np.ones(self.upstream, self.dtype))
        self.layer.grads = own


class Cell(OfTorch):
    """Calls of ``nn.RNNCell``."""

    kind = nn.RNNCell
    methods = OfTorch.shared

    def play_forward(self, method: str = "forward") -> None:
        batch = () if self.data.draw(st.booleans()) else (self.B,)
        x, hx = self.floats(*batch, self.D), self.or_none(*batch, self.H)
        right = self.is_array(x, self.D) or self.is_array(x, None, self.D)
        if self.both(
            method, {"input": x, "hx": hx}, right and (hx is None or self.is_array(hx, *x.shape[:-1], self.H))
        ):
            self.upstream = None if method == "forward_only" else (*x.shape[:-1], self.H)

    def play_backward(self) -> None:
        d_h_next = self.floats(*(self.upstream or (self.B, self.H)))
        self.back({"d_h_next": d_h_next}, self.is_array(d_h_next, *(self.upstream or ())))


class Stack(OfTorch):
    """Calls of ``nn.RNN``."""

    kind = nn.RNN
    methods = (*OfTorch.shared, "options")
    packed: PackedSequence | None = None
    """The output of the last call, if it is one."""
    states: tuple[int, ...] = ()

    def options(self) -> dict[str, tuple[Any, ...]]:
        return super().options() | {
            "num_layers": (1, 2),
            "batch_first": (True, False),
            "dropout": (0.0, 0.5),
            "bidirectional": (True, False),
        }

    def play_options(self) -> None:
        name = self.data.draw(st.sampled_from(("batch_first", "dropout", "training", "rng")))
        value = self.either(True, False, 0.5, 0.0)
        rules: dict[str, Callable[[Any], Any]] = {
            "dropout": is_probability,
            "rng": lambda value: isinstance(value, np.random.Generator),
        }
        rule: Callable[[Any], Any] = rules.get(name, is_bool)
        self.set(name, value, rule(value))

    @property
    def directions(self) -> int:
        return 2 if self.layer.bidirectional else 1

    @property
    def S(self) -> int:
        return int(self.layer.num_layers) * self.directions

    def play_forward(self, method: str = "forward") -> None:
        B, T, batch_first = self.B, self.T, self.layer.batch_first
        form = self.data.draw(st.sampled_from(("batched", "unbatched", "packed", "lengths")))
        lengths = [T, *[1] * (B - 1)]
        axes = (T,) if form == "unbatched" else (B, T) if batch_first else (T, B)
        x: Any = self.floats(*axes, self.D)
        hx = self.or_none(*((self.S, self.H) if form == "unbatched" else (self.S, B, self.H)))
        right = self.is_array(x, None, self.D) or self.is_array(x, None, None, self.D)
        if right:
            T, B = (len(x), 1) if x.ndim == 2 else x.shape[1::-1] if batch_first else x.shape[:2]
            states = (self.S, self.H) if x.ndim == 2 else (self.S, B, self.H)
            right = T > 0 and (hx is None or self.is_array(hx, *states))
        if form == "packed" and right and x.ndim == 3 and (B, T) == (self.B, self.T):
            x = pack_padded_sequence(x, lengths, batch_first)
        given = {"input": x, "hx": hx}
        if form == "lengths":
            array = np.array(lengths)
            near = [0, *lengths[1:]], [*lengths[1:], T + 1], lengths[1:], None
            right_ones = lengths, tuple(lengths), array, array[::-1], array.astype("u1")
            ends = given["lengths"] = self.either(*near, *right_ones)
            right = right and (ends is None or (x.ndim == 3 and are_lengths(ends, B, T)))
        if self.data.draw(st.integers(0, 5)) == 5:
            count = self.layer.num_layers - 1 if self.layer.training and self.layer.dropout > 0 else 0
            masks = given["dropout_masks"] = self.either(
                [np.ones((T, B, self.H * self.directions), bool)] * count, None
            )
            is_list = isinstance(masks, list | tuple) and len(masks) == count
            shape = T, B, self.H * self.directions
            right = right and (
                masks is None or (is_list and all(is_array(mask, bool, *shape) for mask in masks))
            )
        before = copy.deepcopy(self.twin)
        if self.both(method, given, right):
            output, h_n = before.forward(**given)
            self.packed = output if isinstance(output, PackedSequence) else None
            rows = output.data if self.packed else output
            self.states = h_n.shape
            self.upstream = None if method == "forward_only" else rows.shape

    def play_backward(self) -> None:
        given = self.data.draw(st.sampled_from(("both", "d_output", "d_h_n", "neither")))
        d_output: Any = None
        d_h_n: Any = None
        if given in ("both", "d_output"):
            d_output = self.floats(*(self.upstream or (self.T, self.B, self.H)))
        if given in ("both", "d_h_n"):
            d_h_n = self.floats(*(self.states or (self.S, self.B, self.H)))
        right = self.upstream is not None and (d_h_n is None or self.is_array(d_h_n, *self.states))
        if self.upstream is not None and self.packed is not None and self.is_array(d_output, *self.upstream):
            d_output = self.packed._replace(data=d_output)
        elif d_output is None:
            right = right and d_h_n is not None
        else:
            right = right and self.packed is None and self.is_array(d_output, *(self.upstream or ()))
        self.back({"d_output": d_output, "d_h_n": d_h_n}, right)

    def play_grads(self) -> None:
        if self.packed is None:
            super().play_grads()


def are_lengths(value: Any, B: int, T: int) -> bool:
    if (
        not isinstance(value, list | tuple | np.ndarray)
        or len(np.shape(value) if type(value) is np.ndarray else (0,)) != 1
    ):
        return False
    if not isinstance(value, np.ndarray) and not all(isinstance(end, int | np.integer) for end in value):
        return False
    if isinstance(value, np.ndarray) and value.dtype.kind not in "iu":
        return False
    return len(value) == B > 0 and all(1 <= end <= T and not isinstance(end, bool) for end in value)


@pytest.mark.parametrize("player", [Step, Sequence, Cell, Stack])
@fuzzed(0.1, data=st.data())
def test_calls_one_after_another(player: type[Player], data: DataObject) -> None:
    game = player(data)
    if data.draw(st.integers(0, 3)):
        game.start()
    for _ in range(data.draw(st.integers(1, 6))):
        game.play(data.draw(picked(game.methods)))


@fuzzed(0.04, data=st.data())
def test_from_torch(data: DataObject) -> None:
    dtype, D, H = data.draw(st.sampled_from(("f4", "f8"))), 2, 3
    shapes = {"weight_ih_l0": (H, D), "weight_hh_l0": (H, H), "bias_ih_l0": (H,), "bias_hh_l0": (H,)}
    given: Any = {name: data.draw(floats(shape, dtype, 9)) for name, shape in shapes.items()}
    change = data.draw(st.integers(0, 5))
    if change == 5:
        del given[data.draw(st.sampled_from(sorted(given)))]
    elif change == 4:
        given[data.draw(picked(KEYS))] = 1
    elif change == 3:
        given = data.draw(picked(ODD))
    right = isinstance(given, dict) and given.keys() == shapes.keys()
    if right:
        H = (
            len(given["weight_ih_l0"])
            if type(given["weight_ih_l0"]) is np.ndarray and given["weight_ih_l0"].ndim
            else H
        )
        sizes: dict[str, tuple[int | None, ...]] = {"weight_ih_l0": (H, None), "weight_hh_l0": (H, H)}
        sizes |= {"bias_ih_l0": (H,), "bias_hh_l0": (H,)}
        right = any(
            all(is_array(given[name], kind, *size) for name, size in sizes.items()) for kind in ("f4", "f8")
        )
        right = right and given["weight_ih_l0"].size > 0
    stateful = data.draw(either(True, False))
    arguments = {"state_dict": given, "stateful": stateful}
    taken, layer = attempt(rnn_np.TimeRNN.from_torch, arguments, right and is_bool(stateful), (*shapes, "Wx"))
    if taken:
        weight_ih, weight_hh, bias_ih, bias_hh = (np.array(given[name]) for name in shapes)
        with np.errstate(all="ignore"):
            assert_same(layer.params, [weight_ih.T, weight_hh.T, bias_ih + bias_hh])
        assert_apart(layer.params, [given])


def test_every_public_name_of_a_layer_is_played() -> None:
    played = {
        *(
            "forward",
            "forward_only",
            "backward",
            "params",
            "grads",
            "stateful",
            "set_state",
            "h",
            "dh",
            "reset_state",
        ),
        *(
            "from_torch",
            "load_state_dict",
            "state_dict",
            "train",
            "eval",
            "named_parameters",
            "dropout_masks",
        ),
    }
    for layer in (rnn_np.RNN, rnn_np.TimeRNN, nn.RNN, nn.RNNCell):
        public = {name for name, _ in inspect.getmembers(layer) if not name.startswith("_")}
        assert public <= played, layer
