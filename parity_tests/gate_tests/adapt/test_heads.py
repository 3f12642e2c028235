"""An output layer as wide as the input, in code that keeps arrays of that width."""

from pathlib import Path

import pytest

from parity_tests.gate_tests.adapt.reading import code_of, read

WIDE = """import numpy as np

class Wide:
    def __init__(self, n_units):
        self.n_units = n_units

    def initialize(self, input_dim):
        n = self.n_units
        self.U, self.V, self.W = np.ones((n, input_dim)), np.ones((input_dim, n)), np.ones((n, n))

    def forward(self, x):
        B, T, D = x.shape
        self.x, self.states, self.outputs = x, np.zeros((B, T + 1, self.n_units)), np.zeros((B, T, D))
        for t in range(T):
            self.states[:, t] = np.tanh(x[:, t] @ self.U.T + self.states[:, t - 1] @ self.W.T)
            self.outputs[:, t] = self.states[:, t] @ self.V.T
        return self.outputs

    def backward(self, dy):
        self.dU, self.dV, self.dW = 0 * self.U, 0 * self.V, 0 * self.W
        dx, carry = np.zeros_like(dy), 0
        for t in reversed(range(dy.shape[1])):
            self.dV += dy[:, t].T @ self.states[:, t]
            dz = (dy[:, t] @ self.V + carry) * (1 - self.states[:, t] ** 2)
            self.dU += dz.T @ self.x[:, t]
            self.dW += dz.T @ self.states[:, t - 1]
            dx[:, t], carry = dz @ self.U, dz @ self.W
        return dx
"""
BIASED = WIDE.replace("self.W = np.ones((n, input_dim))", "self.W = np.ones((n, input_dim))").replace(
    "        self.U, self.V,",
    "        self.b, self.c = np.zeros(n), np.zeros(input_dim)\n        self.U, self.V,",
)
BIASED = BIASED.replace("self.W.T)", "self.W.T + self.b)").replace("self.V.T\n", "self.V.T + self.c\n")
BIASED = BIASED.replace(
    "            self.dW +=", "            self.db = self.db + dz.sum(axis=0)\n            self.dW +="
)
BIASED = BIASED.replace(
    "        dx, carry", "        self.db, self.dc = 0, dy.sum(axis=(0, 1))\n        dx, carry"
)
EVERY = ("hs", "h_n", "dx", "dWx", "dWh", "db")


@pytest.mark.parametrize("source", [WIDE, BIASED])
def test_a_head_as_wide_as_the_input_is_read(source: str, tmp_path: Path) -> None:
    outcome = read(source, "Wide", tmp_path)
    assert (outcome.equal, outcome.assumed) == (EVERY, ())
    assert len([line for line in outcome.text.splitlines() if not line.startswith("#")]) <= 30


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("self.W.T)", "self.W)"),
        ("(dy[:, t] @ self.V + carry)", "(dy[:, t] @ self.V)"),
        ("self.states[:, t - 1] @", "self.states[:, -1] @"),
        ("dz.T @ self.states[:, t - 1]", "dz.T @ self.states[:, t]"),
        ("dz @ self.U, dz", "2 * dz @ self.U, dz"),
        (" * (1 - self.states[:, t] ** 2)", ""),
    ],
)
def test_no_fault_beside_it_changes_the_adapter_silently(place: str, fault: str, tmp_path: Path) -> None:
    right = code_of(read(WIDE, "Wide", tmp_path))
    outcome = read(WIDE.replace(place, fault), "Wide", tmp_path)
    assert right
    assert outcome.unequal
    assert code_of(outcome) == right or outcome.assumed
