"""What has none of the gate's interfaces is told what it looks like, and what to type next."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity_tests
import rnn_np
from parity_tests.subjects.interfaces import TargetError, recognise, subject_of
from parity_tests.subjects.loading import Target, load

MINE = """
import numpy as np


class Base:
    def __init__(self, Wx, Wh, b): pass
    def forward(self, xs): pass
    def backward(self, dhs): pass


class Stepping:
    def __init__(self, Wx, Wh, b): pass
    def step(self, x, h): pass
    def bptt(self, dh): pass


class BySizes(Base):
    def __init__(self, n_in, n_hidden): pass


class WithOutput(Base):
    def __init__(self, input_size, hidden_size, output_size): pass


class WithRate(Base):
    def __init__(self, Wx, Wh, b, learning_rate, name): pass


class FromNothing(Base):
    def __init__(self): pass


class ForwardOfSequence:
    def __init__(self, Wx, Wh, b): pass
    def forward(self, xs): pass


class ForwardWithState(Base):
    backward = None
    def __init__(self, Wx, Wh, b, stateful=False): self.h = None
    def set_state(self, h): pass


class ForwardOfStep(Base):
    backward = None
    def forward(self, x, h): pass


def rnn_forward(x, h0, Wx, Wh, b): pass


class Wide(Base):
    def __init__(self, n): self.W = np.zeros((4 * n, n))


class Sliced(Base):
    def __init__(self, n): pass
    def gates(self, z, H): return z[:, 3 * H :]


class ThreeGates(Base):
    def __init__(self, n): self.W = np.random.randn(n, 3 * n)


class Parts(Base):
    def __init__(self, n): pass
    def gates(self, z): return np.split(z, 4, axis=1)


class Letters(Base):
    def __init__(self, n): self.W_f, self.W_i, self.W_o = n, n, n


class Keys(Base):
    def __init__(self, n): self.p = {"Wz": n, "Wr": n}


class NoGates(Base):
    def forward(self, x, h, b, c): pass
    def __init__(self, Wi, Wo, f, n): self.a = 4 * np.pi, 3 * n, np.zeros((4, 3)), Wi[:, 3:]


class Recurrent(Base):
    def forward(self, x, h_prev, c_prev): pass


class Kept(Base):
    def set_state(self, h, c=None): pass


class MyGRU(Base): pass


class LSTMLayer(Base): pass


def lstm_step(x, prev_h, prev_c, W): pass
"""
TORCH = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, input_size, hidden_size): super().__init__()
    def forward(self, x): return x


class Scan(torch.autograd.Function):
    @staticmethod
    def forward(c, x, h): return x
    @staticmethod
    def backward(c, d): return d


class Own:
    pass


class LSTMNet(nn.Module):
    def forward(self, x): return x
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "theirs.py").write_text(TORCH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("mine", "theirs"):
        sys.modules.pop(name, None)


def refusal(spec: str, interface: str | None = None) -> str:
    with pytest.raises(TargetError) as refused:
        load(Target(spec, interface))
    return str(refused.value)


def adapt(spec: str) -> str:
    return f"`rnn-parity adapt {spec} -o adapter.py`"


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("Stepping", "the gate calls forward and backward, and it has step, bptt"),
        ("BySizes", "it is made from sizes, n_in and n_hidden, and where its weights are is not known"),
        ("WithOutput", "besides input_size and hidden_size it needs output_size"),
        ("WithRate", "besides its weights it needs learning_rate and name"),
        ("FromNothing", "it is made from nothing, so its weights and sizes are its own"),
        ("rnn_forward", "an adapter is a function of one argument, the problem"),
        (
            "NoGates",
            "its constructor or its forward takes other arguments than those of the gate's interfaces",
        ),
    ],
)
def test_what_is_no_interface_is_told_why_and_the_next_command(name: str, reading: str) -> None:
    told = refusal(f"mine.py:{name}")
    assert f": {reading}. {adapt(f'mine.py:{name}')} looks for an adapter; if" in told


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ForwardOfSequence", "--as layer --without dx,dh_0,dWx,dWh,db,h_n,initial-state,state"),
        ("ForwardWithState", "--as layer --without dx,dh_0,dWx,dWh,db"),
        ("ForwardOfStep", "--as cell --without dx,dh_0,dWx,dWh,db"),
    ],
)
def test_a_forward_alone_is_told_how_to_have_it_judged(name: str, options: str) -> None:
    told = refusal(f"mine.py:{name}")
    assert f"it is a forward alone. `rnn-parity mine.py:{name} {options}` judges its forward; " in told
    assert adapt(f"mine.py:{name}") in told


class ForwardAlone:
    """Made of its weights, without a backward."""

    def __init__(self, Wx: Any, Wh: Any, b: Any) -> None:
        self.weights = Wx, Wh, b

    def forward(self, xs: Any) -> Any:
        layer = rnn_np.TimeRNN(*self.weights)
        return layer.forward(xs)


def test_the_options_that_a_forward_alone_is_told_judge_it() -> None:
    with pytest.raises(TargetError, match=r"--as layer --without [a-zA-Z_0,-]*`") as refused:
        recognise(ForwardAlone, "it")
    without = str(refused.value).partition("--without ")[2].partition("`")[0]
    assert parity_tests.check(ForwardAlone, kind="layer", without=without.split(","), cases=3).ok


@pytest.mark.parametrize(
    ("name", "unit", "evidence"),
    [
        ("Recurrent", "an LSTM", "its forward takes c_prev, a cell state"),
        ("Kept", "an LSTM", "its set_state takes c, a cell state"),
        ("lstm_step", "an LSTM", "it takes prev_c, a cell state"),
        ("LSTMLayer", "an LSTM", "its name is LSTMLayer"),
        ("MyGRU", "a GRU", "its name is MyGRU"),
        ("Wide", "an LSTM", "its code has weights for four gates, 4 H"),
        ("Sliced", "an LSTM", "its code has weights for four gates, 4 H"),
        ("Parts", "an LSTM", "its code has weights for four gates, 4 H"),
        ("ThreeGates", "a GRU", "its code has weights for three gates, 3 H"),
        ("Letters", "an LSTM", "it has weights for an input, a forget and an output gate"),
        ("Keys", "a GRU", "it has weights for an update and a reset gate"),
    ],
)
def test_an_lstm_or_gru_is_told_that_it_cannot_be_judged_yet(name: str, unit: str, evidence: str) -> None:
    told = refusal(f"mine.py:{name}")
    article, _, kind = unit.partition(" ")
    assert told.startswith(
        f"mine.py:{name} looks like {unit}: {evidence}. {article.capitalize()} {kind} cannot be judged yet: "
        "the gate knows h_t = tanh("
    )


@pytest.mark.parametrize(
    "cls", [rnn_np.RNN, rnn_np.TimeRNN, rnn_np.nn.RNN, rnn_np.nn.RNNCell], ids=lambda c: c.__name__
)
def test_a_plain_layer_is_no_lstm(cls: type) -> None:
    assert recognise(cls, "it")


class FourGates:
    """Recognised by its signatures, and it slices columns that are not there."""

    def __init__(self, Wx: Any, Wh: Any, b: Any) -> None:
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(param) for param in self.params]

    def forward(self, x: Any, h_prev: Any) -> Any:
        z, H = x @ self.params[0] + h_prev @ self.params[1] + self.params[2], h_prev.shape[1]
        return np.tanh(z[:, :H]) * z[:, 3 * H :]

    def backward(self, dh_next: Any) -> Any:
        return dh_next, dh_next


def test_a_layer_with_gates_whose_first_call_fails_is_told_what_it_looks_like() -> None:
    why = parity_tests.check(FourGates, cases=3).not_judged[0]
    assert ".FourGates looks like an LSTM: its code has weights for four gates, 4 H. An LSTM cannot" in why
    assert "Here the first ordinary call raises ValueError: operands could not be broadcast" in why


@pytest.mark.parametrize("interface", [None, "module", "cell", "layer"])
@pytest.mark.parametrize(("name", "what"), [("Net", "torch.nn.Module"), ("Scan", "torch.autograd.Function")])
def test_a_class_of_torch_s_is_refused_in_a_sentence(name: str, what: str, interface: str | None) -> None:
    pytest.importorskip("torch")
    assert refusal(f"theirs.py:{name}", interface) == (
        f"theirs.py:{name} is a {what}: it takes torch tensors, and the gate gives NumPy arrays. "
        f"{adapt(f'theirs.py:{name}')} writes an adapter that stands between them"
    )


def test_a_torch_module_with_gates_is_told_of_the_gates() -> None:
    pytest.importorskip("torch")
    assert refusal("theirs.py:LSTMNet").startswith("theirs.py:LSTMNet looks like an LSTM")


def test_the_nn_that_a_file_imports_from_torch_is_not_judged() -> None:
    pytest.importorskip("torch")
    assert refusal("theirs.py") == (
        "theirs.py: a module without RNN, TimeRNN or nn of its own: "
        "name what to judge in it, theirs.py:Net (or Scan, Own, LSTMNet)"
    )
    assert "theirs.py: a package needs one of RNN, TimeRNN, nn, and it has none" in refusal(
        "theirs.py", "package"
    )
    with Path("theirs.py").open("a") as file:
        file.write("\nclass RNN:\n    pass\n")
    loaded = load(Target("theirs.py"))
    assert vars(subject_of(loaded.obj, loaded.interface)).keys() == {"RNN"}


def test_an_object_at_hand_is_named_by_its_file() -> None:
    with pytest.raises(ValueError, match=r"rnn-parity adapt \S*test_readings.py:ForwardAlone -o adapter.py"):
        parity_tests.check(ForwardAlone)
