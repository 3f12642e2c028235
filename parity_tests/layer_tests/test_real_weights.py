"""A network that torch trained on real text moves to ``rnn_np.nn`` and back.

Two layers in both directions guess letters that were masked in English text. The NumPy half runs in
a process of its own, in which importing torch fails.
"""

import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import Array
from parity_tests.layer_tests.training import text

torch = pytest.importorskip("torch", reason="the network is trained by torch")

LETTERS = " abcdefghijklmnopqrstuvwxyz"
V, H, T, B, MASKED = len(LETTERS) + 1, 64, 24, 64, 0.15

NUMPY_SIDE = """
import sys

sys.modules["torch"] = None  # any import of it fails from here on
import numpy as np
from rnn_np import nn

form, checkpoint, cases, answers, updated = sys.argv[1:]
if form == "npz":
    state = dict(np.load(checkpoint))
    save = lambda tensors, path: np.savez(path, **tensors)
else:
    from safetensors.numpy import load_file, save_file as save

    state = load_file(checkpoint)
case = np.load(cases)
x, targets, masked = case["x"], case["targets"], case["masked"]
(V, D), H = state["head.weight"].shape, state["rnn.weight_hh_l0"].shape[0]
rnn = nn.RNN(x.shape[-1], H, 2, dropout=0.1, bidirectional=True).eval()
rnn.load_state_dict(state, "rnn.")
weight, bias = state["head.weight"].copy(), state["head.bias"].copy()

def predict():
    output, _ = rnn(x)
    return output, output @ weight.T + bias

first, losses = predict()[1], []
for _ in range(5):
    output, logits = predict()
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    picked = np.take_along_axis(p, targets[..., None], axis=-1)
    losses.append(-np.log(picked[masked]).mean())
    np.put_along_axis(p, targets[..., None], picked - 1, axis=-1)
    d_logits = p * masked[..., None] / masked.sum(dtype=p.dtype)
    rnn.backward(d_logits @ weight)
    weight -= np.float32(0.1) * np.einsum("tbv,tbd->vd", d_logits, output)
    bias -= np.float32(0.1) * d_logits.sum(axis=(0, 1))
    for name, param in rnn.named_parameters():
        param -= np.float32(0.1) * rnn.grads[name]

np.savez(answers, first=first, last=predict()[1], losses=losses)
save(rnn.state_dict("rnn.") | {"head.weight": weight, "head.bias": bias}, updated)
"""


def drawn(rng: np.random.Generator, codes: Array) -> tuple[Array, Array, Array]:
    """Stretches of the text [T, B, V + 1], one-hot, some letters masked; the letters; which are masked."""
    targets = codes[rng.integers(0, len(codes) - T, B) + np.arange(T)[:, None]]
    masked = rng.random((T, B)) < MASKED
    return np.eye(V + 1, dtype=np.float32)[np.where(masked, V, targets)], targets, masked


def logits(model: Any, x: Array, dtype: Any) -> Array:
    """What torch's ``model`` answers in ``dtype``."""
    model = model.to(dtype).eval()
    with torch.no_grad():
        answer = model["head"](model["rnn"](torch.tensor(x, dtype=dtype))[0])
    model.to(torch.float32)
    return answer.numpy()


@cache
def trained() -> tuple[Any, Array]:
    """A network after 200 updates in torch, and text that it has not read."""
    codes = np.array([LETTERS.find(letter) % V for letter in text().lower()])
    read, unread = np.split(codes, [len(codes) * 9 // 10])
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    rnn = torch.nn.RNN(V + 1, H, 2, dropout=0.1, bidirectional=True)
    model = torch.nn.ModuleDict({"rnn": rnn, "head": torch.nn.Linear(2 * H, V)})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        x, targets, masked = drawn(rng, read)
        guesses = model["head"](rnn(torch.tensor(x))[0])[torch.tensor(masked)]
        loss = torch.nn.functional.cross_entropy(guesses, torch.tensor(targets[masked]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, unread


def check_equal(ours: Array, model: Any, x: Array) -> None:
    """Assert that ``ours`` is what ``model`` answers.

    What float32 may cost is measured: both are float32 runs of one network, so ours may be as far
    from its float64 run as torch's own is, times 4 for another order of the same sums.
    """
    theirs, exact = (logits(model, x, dtype) for dtype in (torch.float32, torch.float64))
    assert ours.dtype == np.float32
    assert abs(ours - exact).max() <= 4 * abs(theirs - exact).max() < 1e-4
    assert np.array_equal(ours.argmax(-1), theirs.argmax(-1))


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_a_trained_network_moves_to_numpy_and_back(form: str, tmp_path: Path) -> None:
    if form == "safetensors":
        safetensors = pytest.importorskip("safetensors.torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, unread = deepcopy(trained())
    finally:
        torch.set_num_threads(threads)
    x, targets, masked = drawn(np.random.default_rng(1), unread)

    checkpoint, cases, answers, updated = (
        tmp_path / name for name in (f"model.{form}", "cases.npz", "answers.npz", f"updated.{form}")
    )
    if form == "npz":
        np.savez(checkpoint, **{name: value.numpy() for name, value in model.state_dict().items()})
    else:
        safetensors.save_file(model.state_dict(), checkpoint)
    np.savez(cases, x=x, targets=targets, masked=masked)
    paths = map(str, (checkpoint, cases, answers, updated))
    subprocess.run([sys.executable, "-W", "error", "-c", NUMPY_SIDE, form, *paths], check=True)

    answer = np.load(answers)
    check_equal(answer["first"], model, x)
    right = (answer["first"].argmax(-1) == targets)[masked].mean()
    commonest = np.bincount(targets[masked]).max() / masked.sum()
    assert right > 1.5 * commonest, (right, commonest)
    assert (np.diff(answer["losses"]) < 0).all()

    with pytest.raises(AssertionError):
        check_equal(answer["last"], model, x)
    if form == "npz":
        model.load_state_dict({name: torch.tensor(value) for name, value in np.load(updated).items()})
    else:
        model.load_state_dict(safetensors.load_file(updated))
    check_equal(answer["last"], model, x)
