"""Code in conventions that were read wrongly, or not at all: each is read as its author would call it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from parity_tests.adapt import search
from parity_tests.adapt.child import outcome_of
from parity_tests.adapt.search import Hints
from parity_tests.adapt.sentences import NO_NONLINEARITY
from parity_tests.gate_tests.adapt.reading import read
from parity_tests.run.adapting import placed
from parity_tests.subjects.loading import module_of

EVERY = ("hs", "h_n", "dx", "dh_0", "dWx", "dWh", "db")

OF_HEAD = ("dWx", "dWh", "db", "dWy", "dby")

LAYER = """import numpy as np

class Layer:
    def __init__(self, n_in, n_hidden):
        self.w_in, self.w_rec = np.ones((n_in, n_hidden)), np.ones((n_hidden, n_hidden))
        self.bias = np.zeros(n_hidden)

    def forward(self, x, h):
        self.x, self.hs = x, [h]
        for t in range(x.shape[1]):
            self.hs.append(np.tanh(x[:, t] @ self.w_in + self.hs[-1] @ self.w_rec + self.bias))
        return np.stack(self.hs[1:], axis=1)

    def backward(self, d):
        dw_in, dw_rec, dbias = np.zeros_like(self.w_in), np.zeros_like(self.w_rec), np.zeros_like(self.bias)
        dx, carry = np.zeros_like(self.x), 0
        for t in reversed(range(d.shape[1])):
            dz = (d[:, t] + carry) * (1 - self.hs[t + 1] ** 2)
            dw_in, dw_rec = dw_in + self.x[:, t].T @ dz, dw_rec + self.hs[t].T @ dz
            dbias = dbias + dz.sum(axis=0)
            dx[:, t], carry = dz @ self.w_in.T, dz @ self.w_rec.T
        return dx, carry, dw_in, dw_rec, dbias
"""
"""Right code, parts of which the tests replace."""

CELL = """import numpy as np

class Cell:
    def __init__(self, n_out):
        self.n_out, self.n_in = n_out, None

    def init_weights(self):
        self.w_in, self.w_rec = np.zeros((self.n_in, self.n_out)), np.zeros((self.n_out, self.n_out))
        self.bias = np.zeros(self.n_out)
        self.xs, self.states = [], []

    def forward(self, x):
        before = self.states[-1] if self.states else np.zeros((len(x), self.n_out))
        self.xs.append(x)
        self.states.append(np.tanh(x @ self.w_in + before @ self.w_rec + self.bias))
        return self.states[-1]
"""

FUNCTIONS = """from typing import NamedTuple
import numpy as np

class Params(NamedTuple):
    w_in: np.ndarray
    w_rec: np.ndarray
    bias: np.ndarray

def step(params, h, x):
    return np.tanh(x @ params.w_in + h @ params.w_rec + params.bias)

def forward(params, xs, h0):
    hs = [h0]
    for x in xs:
        hs.append(step(params, hs[-1], x))
    return np.stack(hs[1:]), (xs, hs)

def backward(params, cache, dhs):
    (xs, hs), dh = cache, 0
    w_in, w_rec, bias = (np.zeros_like(p) for p in params)
    dxs = np.zeros_like(xs)
    for t in range(len(xs) - 1, -1, -1):
        da = (dhs[t] + dh) * (1 - hs[t + 1] ** 2)
        w_in, w_rec, bias = w_in + xs[t].T @ da, w_rec + hs[t].T @ da, bias + da.sum(0)
        dxs[t], dh = da @ params.w_in.T, da @ params.w_rec.T
    return Params(w_in, w_rec, bias), dxs, dh
"""

LOSS = """import numpy as np

class CharRNN:
    def __init__(self, vocab_size, hidden_size):
        self.Wxh, self.Whh = np.ones((hidden_size, vocab_size)), np.ones((hidden_size, hidden_size))
        self.Why = np.ones((vocab_size, hidden_size))
        self.bh, self.by = np.zeros((hidden_size, 1)), np.zeros((vocab_size, 1))

    def loss(self, inputs, targets, hprev):
        hs, ps, loss = {-1: hprev}, {}, 0
        for t, i in enumerate(inputs):
            hs[t] = np.tanh(self.Wxh[:, [i]] + self.Whh @ hs[t - 1] + self.bh)
            y = self.Why @ hs[t] + self.by
            ps[t] = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
            loss -= np.log(ps[t][targets[t], 0])
        dWxh, dWhh, dWhy = np.zeros_like(self.Wxh), np.zeros_like(self.Whh), np.zeros_like(self.Why)
        dbh, dby, carry = np.zeros_like(self.bh), np.zeros_like(self.by), 0
        for t in reversed(range(len(inputs))):
            dy = ps[t].copy()
            dy[targets[t]] -= 1
            dWhy, dby = dWhy + dy @ hs[t].T, dby + dy
            dz = (1 - hs[t] ** 2) * (self.Why.T @ dy + carry)
            dbh, dWhh = dbh + dz, dWhh + dz @ hs[t - 1].T
            dWxh[:, [inputs[t]]] += dz
            carry = self.Whh.T @ dz
        return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]
"""


def test_the_code_that_is_replaced_is_right(tmp_path: Path) -> None:
    outcome = read(LAYER, "Layer", tmp_path)
    assert (outcome.equal, outcome.assumed) == (EVERY, ())


def test_a_cell_that_keeps_its_states_is_given_a_step_not_a_sequence(tmp_path: Path) -> None:
    outcome = read(CELL, "Cell", tmp_path)
    assert "unit: one time step a call, the input as [B, D]" in outcome.reading
    assert outcome.equal == ("hs", "h_n")


TWISTED = "x = x.reshape(x.shape[1], len(x), -1).swapaxes(0, 1)\n        self.x, self.hs = x, [h]"


@pytest.mark.parametrize(
    ("place", "fault", "said"),
    [
        (
            "np.stack(self.hs[1:], axis=1)",
            "np.array(self.hs[1:]).reshape(*x.shape[:2], -1)",
            "what it returns",
        ),
        ("self.x, self.hs = x, [h]", TWISTED, "one row at a time"),
        ("dw_in + self.x[:, t].T @ dz", "dw_in + self.x[:, t].T @ dz[:1]", "with one row it does"),
    ],
)
def test_a_fault_of_the_batch_is_not_read_around_silently(
    place: str, fault: str, said: str, tmp_path: Path
) -> None:
    outcome = read(LAYER.replace(place, fault), "Layer", tmp_path)
    assert said in "".join(outcome.assumed)


@pytest.mark.parametrize("prefix", ["nabla_", "total_d_"])
def test_gradients_are_known_by_the_end_of_their_names(prefix: str, tmp_path: Path) -> None:
    source = LAYER
    for name in ("w_in", "w_rec", "bias"):
        source = source.replace(f"d{name}", f"{prefix}{name}")
    outcome = read(source, "Layer", tmp_path)
    assert (outcome.equal, outcome.assumed) == (EVERY, ())


def test_weights_in_a_named_tuple_that_a_step_reads(tmp_path: Path) -> None:
    outcome = read(FUNCTIONS, "", tmp_path)
    assert (outcome.equal, outcome.assumed) == (EVERY, ())
    assert "made: params = Params(w_in=Wx, w_rec=Wh, bias=b)" in outcome.reading


def test_functions_that_are_not_called_are_not_imported(tmp_path: Path) -> None:
    outcome = read(FUNCTIONS, "", tmp_path)
    assert " import Params, backward, forward\n" in outcome.text
    assert ":forward,backward, written by" in outcome.text


IN_PLACE = FUNCTIONS.replace(
    "from typing import NamedTuple\n", "from dataclasses import dataclass\n"
).replace("class Params(NamedTuple):", "@dataclass\nclass Params:")
IN_PLACE = IN_PLACE.replace(
    "(np.zeros_like(p) for p in params)", "(np.zeros_like(p) for p in vars(params).values())"
)
IN_PLACE = IN_PLACE.replace(
    "        w_in, w_rec, bias = w_in + xs[t].T @ da, w_rec + hs[t].T @ da, bias + da.sum(0)\n",
    "        w_in += xs[t].T @ da\n        w_rec += hs[t].T @ da\n        bias += da.sum(0)\n",
)
"""Gradients that are added in place, which raises where the sum over the batch is forgotten."""


@pytest.mark.parametrize(
    ("place", "fault"), [("bias += da.sum(0)", "bias += da"), ("w_in += xs[t].T @ da", "w_in += da")]
)
def test_a_row_at_a_time_is_told_where_the_batch_alone_would_be_right(
    place: str, fault: str, tmp_path: Path
) -> None:
    right = read(IN_PLACE, "", tmp_path)
    assert (right.equal, right.assumed) == (EVERY, ())
    outcome = read(IN_PLACE.replace(place, fault), "", tmp_path)
    assert any("with one row" in line for line in outcome.assumed)


SQUEEZED = """import torch

class Net(torch.nn.Module):
    def __init__(self, n_in, n_hidden):
        super().__init__()
        self.wx, self.wh = torch.nn.Linear(n_in, n_hidden), torch.nn.Linear(n_hidden, n_hidden)

    def forward(self, x, hx):
        h, hs = hx.squeeze(0), []
        rows, units = h.shape
        for x_t in x.unbind(1):
            h = torch.tanh(self.wx(x_t) + self.wh(h) FAULT)
            hs.append(h)
        return torch.stack(hs, 1)
"""
"""With several rows torch squeezes nothing away, so that the state may be [B, H] or [1, B, H]; one row tells."""


@pytest.mark.parametrize("fault", ["", "- self.wh.bias"])
def test_an_axis_that_is_squeezed_away_is_given(fault: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    outcome = read(SQUEEZED.replace("FAULT", fault), "Net", tmp_path)
    assert "net.forward(x, h[None])" in outcome.text
    assert outcome.equal == (EVERY if not fault else ())


def test_names_that_say_nothing_end_the_search_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SECONDS", 3600.0)
    source = "import numpy as np\n\ndef forward(p, q, r, s, u, v):\n    return np.zeros((5, 3, 11))\n"
    outcome = read(source, "", tmp_path)
    assert outcome.gave_up
    assert "gave up at" in outcome.refusal
    assert outcome.trials < 8000


CONFIG = "from dataclasses import dataclass\n\n@dataclass\nclass Config:\n    n_in: int = 3\n    n_hidden: int = 4\n    seed: int = 0\n\n"


@pytest.mark.parametrize(
    ("top", "form", "made"),
    [
        (CONFIG, "c.{}", "Layer(Config(n_in=D, n_hidden=H))"),
        ("", "c.{}", "Layer(SimpleNamespace(n_hidden=H, n_in=D))"),
        ("", "c['{}']", "Layer({'n_hidden': H, 'n_in': D, 'seed': 0})"),
    ],
)
def test_sizes_in_a_configuration(top: str, form: str, made: str, tmp_path: Path) -> None:
    n_in, n_hidden, seed = (form.format(name) for name in ("n_in", "n_hidden", "seed"))
    source = LAYER.replace("__init__(self, n_in, n_hidden):", "__init__(self, c):")
    source = source.replace(
        "np.ones((n_in, n_hidden)), np.ones((n_hidden, n_hidden))",
        f"np.ones(({n_in}, {n_hidden})), np.ones(({n_hidden}, {n_hidden}))",
    )
    source = source.replace(
        "np.zeros(n_hidden)", f"np.zeros({n_hidden})" + (f" * {seed}" if "[" in form else "")
    )
    outcome = read(top + source, "Layer", tmp_path)
    assert (outcome.equal, outcome.assumed) == (EVERY, ())
    assert f"made: net = {made}" in outcome.reading


def test_the_kind_of_a_loss_is_seen_where_only_the_last_state_is_returned(tmp_path: Path) -> None:
    outcome = read(LOSS, "CharRNN", tmp_path)
    assert (outcome.equal, outcome.assumed) == (("h_n", "loss", *OF_HEAD), ())


@pytest.mark.parametrize(
    ("name", "function", "slope"),
    [
        ("relu", "np.maximum(0, ", "(self.hs[t + 1] > 0)"),
        ("sigmoid", "(lambda z: 1 / (1 + np.exp(-z)))(", "self.hs[t + 1] * (1 - self.hs[t + 1])"),
        ("identity", "(", "1"),
    ],
)
def test_another_nonlinearity_is_declared_and_told(
    name: str, function: str, slope: str, tmp_path: Path
) -> None:
    source = LAYER.replace("np.tanh(", function).replace("(1 - self.hs[t + 1] ** 2)", slope)
    outcome = read(source, "Layer", tmp_path)
    assert outcome.equal == EVERY
    assert f'@parity_tests.adapter(nonlinearity="{name}")' in outcome.text
    told = f"nonlinearity: {name}, declared; if tanh is meant, this is the fault"
    assert told in outcome.reading
    assert told in outcome.text.splitlines()[1]  # which the verdict line repeats
    assert outcome.assumed == ((NO_NONLINEARITY,) if name == "identity" else ())


MEMORY = """        self.memory = {name: np.zeros_like(w) for name, w in self.params.items()}
"""
"""What Adagrad keeps."""


def test_what_an_optimizer_keeps_is_no_gradient(tmp_path: Path) -> None:
    source = LOSS.replace("hidden_size):\n", "hidden_size):\n        self.params = {}\n", 1)
    for name in ("Wxh", "Whh", "Why", "bh", "by"):
        source = source.replace(f"self.{name}", f"self.params['{name}']")
    source = source.replace("    def loss(", f"{MEMORY}\n    def loss(")
    returned = "{" + ", ".join(f"'{name}': d{name}" for name in ("Wxh", "Whh", "Why", "bh", "by")) + "}"
    source = source.replace("return loss, dWxh, dWhh, dWhy, dbh, dby,", f"return loss, {returned},")
    outcome = read(source, "CharRNN", tmp_path)
    assert (outcome.equal, outcome.assumed) == (("h_n", "loss", *OF_HEAD), ())


SQUARES = """import numpy as np

class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.Wx, self.Wh = np.ones((n_in, n_hidden)), np.ones((n_hidden, n_hidden))
        self.Wy, self.bh, self.by = np.ones((n_hidden, n_out)), np.zeros(n_hidden), np.zeros(n_out)

    def forward(self, x):
        self.x, self.h = x, [np.zeros(len(self.bh))]
        for x_t in x:
            self.h.append(np.tanh(x_t @ self.Wx + self.h[-1] @ self.Wh + self.bh))
        self.y = np.array(self.h[1:]) @ self.Wy + self.by
        return self.y

    def loss(self, target):
        return FACTOR * np.sum((self.y - target) ** 2)

    def backward(self, target):
        dy, carry = 2 * FACTOR * (self.y - target), 0
        dWy, dby = np.array(self.h[1:]).T @ dy, dy.sum(0)
        dWx, dWh, dbh = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.bh)
        for t in reversed(range(len(dy))):
            dz = (dy[t] @ self.Wy.T + carry) * (1 - self.h[t + 1] ** 2)
            dWx, dWh, dbh = dWx + np.outer(self.x[t], dz), dWh + np.outer(self.h[t], dz), dbh + dz
            carry = dz @ self.Wh.T
        return dWx, dWh, dWy, dbh, dby
"""


@pytest.mark.parametrize("factor", ["0.5", "1 / len(self.x)"])
def test_the_factor_of_a_squared_loss_is_read_off_a_method_that_gives_its_value(
    factor: str, tmp_path: Path
) -> None:
    outcome = read(SQUARES.replace("FACTOR", f"({factor})"), "Net", tmp_path)
    assert (outcome.equal, outcome.assumed) == (("hs", "h_n", "logits", "loss", *OF_HEAD), ())


SET_UP = CELL.replace("(self, n_out):", "(self, n_out, input_shape=None):").replace(
    "self.n_out, self.n_in = n_out, None", "self.n_out, self.input_shape = n_out, input_shape"
)
SET_UP = SET_UP.replace(
    "def init_weights(self):\n", "def init_weights(self):\n        _, n_in = self.input_shape\n"
)
SET_UP = SET_UP.replace("self.n_in, self.n_out)", "n_in, self.n_out)")


def test_the_shape_of_the_input_is_set_before_the_weights_are_made(tmp_path: Path) -> None:
    outcome = read(SET_UP, "Cell", tmp_path)
    assert "net.input_shape = (T, D)" in outcome.text
    assert outcome.equal == ("hs", "h_n")


def test_what_is_refused_is_the_class_with_a_forward(tmp_path: Path) -> None:
    base = "class Base:\n    pass\n\n"
    outcome = read(
        base + CELL.replace("init_weights", "ready").replace("import numpy as np\n", ""), "", tmp_path
    )
    assert "Cell is made without weights: another method makes them" in outcome.refusal


@pytest.mark.parametrize("name", ["queue.py", "my-rnn.py", "n.py"])
def test_an_adapter_imports_a_file_of_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    file, before = tmp_path / name, {*sys.modules}
    file.write_text(LAYER, "utf-8")
    module, _ = module_of(str(file))
    try:
        outcome = outcome_of(module, str(file), ["Layer"], Hints())
        del sys.modules[module.__name__]
        env: dict[str, Any] = {"__name__": "adapter"}
        exec(placed(outcome.text, str(file), Path("/")), env)
        assert sys.modules[env["Layer"].__module__].__file__ == str(file)
    finally:
        for each in {*sys.modules} - before:
            del sys.modules[each]
