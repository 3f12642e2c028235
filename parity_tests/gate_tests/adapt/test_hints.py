"""What a user says of the code: calls in expressions, and all weights in one vector."""

from collections.abc import Callable
from pathlib import Path

import pytest

from parity_tests.adapt.search import Hints
from parity_tests.gate_tests.adapt.reading import read

Command = Callable[..., tuple[int, str]]

PLAYER = """import numpy as np

class Player:
    def __init__(self, n_in, n_hidden):
        self.w_in, self.w_rec = np.ones((n_hidden, n_in)), np.ones((n_hidden, n_hidden))
        self.bias = np.zeros((n_hidden, 1))

    def play(self, q, r):
        self.xs, self.hs = q, [r]
        for x in q:
            self.hs.append(np.tanh(self.w_in @ x + self.w_rec @ self.hs[-1] + self.bias))
        return self.hs[1:]

    def rewind(self, q):
        dw_in, dw_rec, dbias = 0 * self.w_in, 0 * self.w_rec, 0 * self.bias
        carry = 0
        for t in reversed(range(len(q))):
            dz = (q[t] + carry) * (1 - self.hs[t + 1] ** 2)
            dw_in, dw_rec = dw_in + dz @ self.xs[t].T, dw_rec + dz @ self.hs[t].T
            dbias, carry = dbias + dz.sum(axis=1, keepdims=True), self.w_rec.T @ dz
        return dw_in, dw_rec, dbias, carry
"""
"""No name of a method or of an argument says anything."""

CELL = """import numpy as np

def turn(a, b, c, d, e):
    return np.tanh(a @ c + b @ d + e)
"""
FLAT = """import numpy as np

def parts(theta, n):
    h = int((-n - 1 + np.sqrt((n + 1) ** 2 + 4 * len(theta))) / 2)
    return theta[:n * h].reshape(n, h), theta[n * h:-h].reshape(h, h), theta[-h:]

def forward(theta, x, h):
    U, W, b = parts(theta, x.shape[2])
    hs = [h]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ U + hs[-1] @ W + b))
    return np.stack(hs[1:], axis=1), (x, hs)

def backward(theta, d, cache):
    x, hs = cache
    U, W, b = parts(theta, x.shape[2])
    dU, dW, db, carry = 0 * U, 0 * W, 0 * b, 0
    for t in reversed(range(x.shape[1])):
        dz = (d[:, t] + carry) * (1 - hs[t + 1] ** 2)
        dU, dW, db, carry = dU + x[:, t].T @ dz, dW + hs[t].T @ dz, db + dz.sum(axis=0), dz @ W.T
    return np.concatenate([dU.ravel(), dW.ravel(), db])
"""
ALL = ("hs", "h_n", "dh_0", "dWx", "dWh", "db")


@pytest.mark.parametrize(
    ("call", "back"),
    [
        ("play(list of columns, h)", "rewind(list(d.transpose(1, 2, 0)))"),
        ("play(list of columns, h.T)", "rewind(dhs)"),
        ("play(list(x.transpose(1, 2, 0)), r=h.T)", "rewind(q=dhs)"),
    ],
)
def test_calls_are_said_in_expressions(call: str, back: str, tmp_path: Path) -> None:
    assert read(PLAYER, "Player", tmp_path).text == ""
    outcome = read(PLAYER, "Player", tmp_path, Hints(call=call, back=back))
    assert outcome.equal == ALL
    assert "the input as a list of [D, B]" in "".join(outcome.reading)


def test_a_call_that_was_said_is_the_one_that_is_made(tmp_path: Path) -> None:
    """With an initial state of zero, if that is said, though the code has a place for one."""
    hints = Hints(call="play(list of columns, 0 * h.T)", back="rewind(dhs)")
    outcome = read(PLAYER, "Player", tmp_path, hints)
    assert ", 0 * h.T)" in outcome.text
    assert "hs" not in outcome.equal


def test_a_step_of_a_function_is_said(tmp_path: Path) -> None:
    outcome = read(CELL, "", tmp_path, Hints(call="turn(x[:, t], h, Wx, Wh, b)"))
    assert outcome.equal == ("hs", "h_n")
    assert "turn(x[:, t], h, Wx, Wh, b)" in outcome.text


def test_all_weights_are_in_one_vector(tmp_path: Path) -> None:
    assert read(FLAT, "", tmp_path).text == ""
    hints = Hints(weights="theta = concatenate([Wx.ravel(), Wh.ravel(), b])")
    outcome = read(FLAT, "forward,backward", tmp_path, hints)
    assert (outcome.equal, outcome.unequal) == (("hs", "h_n", "dWx", "dWh", "db"), ())
    assert "    theta = np.concatenate([Wx.ravel(), Wh.ravel(), b])" in outcome.text.splitlines()
    wrong = Hints(weights="theta = concatenate([Wx.ravel(), Wh.T.ravel(), b])")
    assert "hs" not in read(FLAT, "forward,backward", tmp_path, wrong).equal


@pytest.mark.parametrize("place", ["theta", "n_in, n_hidden"])
def test_an_object_holds_the_vector(place: str, tmp_path: Path) -> None:
    source = FLAT.replace("def forward(theta,", "def forward(self,").replace(
        "def backward(theta,", "def backward(self,"
    )
    source = source.replace("parts(theta, x", "parts(self.theta, x")
    before, _, methods = source.partition("def forward")
    made = "theta" if place == "theta" else "np.zeros((n_in + n_hidden + 1) * n_hidden)"
    head = f"class Net:\n    def __init__(self, {place}):\n        self.theta = {made}\n\n    def forward"
    source = before + head + methods.replace("\n", "\n    ")
    hints = Hints(weights="theta = concatenate([Wx.ravel(), Wh.ravel(), b])")
    assert {"hs", "dWx", "dWh", "db"} <= {*read(source, "Net", tmp_path, hints).equal}


@pytest.mark.parametrize(
    ("option", "said", "words"),
    [
        ("--call", "forward(x", "expected a name, or a call such as forward(x, h), got 'forward(x'"),
        ("--back", "back(list of things)", "got 'list of things'"),
        ("--weights", "w = concatenate([Wx, Wh])", "Wx.ravel(), Wh.ravel() and b once each"),
    ],
)
def test_what_is_said_wrongly_is_refused(
    option: str, said: str, words: str, tmp_path: Path, run_here: Command
) -> None:
    (tmp_path / "mine.py").write_text(PLAYER, "utf-8")
    status, printed = run_here("adapt", "mine.py:Player", option, said, folder=tmp_path)
    assert status == 2
    assert option in printed
    assert words in " ".join(printed.split())
