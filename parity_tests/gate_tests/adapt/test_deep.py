"""Stacks and two directions: they are read as a whole, and no fault is read around."""

from pathlib import Path

import pytest

from parity_tests.adapt.search import Hints
from parity_tests.gate_tests.adapt.reading import code_of, read

CELL = """import numpy as np

class Run:
    def __init__(self, n_in, n_out):
        self.w_in, self.w_rec, self.bias = np.ones((n_in, n_out)), np.ones((n_out, n_out)), np.zeros(n_out)

    def over(self, x, h):
        self.x, self.hs = x, [h]
        for t in range(x.shape[1]):
            self.hs.append(np.tanh(x[:, t] @ self.w_in + self.hs[-1] @ self.w_rec + self.bias))
        return np.stack(self.hs[1:], axis=1)

    def back(self, d):
        self.dw_in, self.dw_rec, self.dbias = 0 * self.w_in, 0 * self.w_rec, 0 * self.bias
        dx, carry = np.zeros_like(self.x), 0
        for t in reversed(range(d.shape[1])):
            dz = (d[:, t] + carry) * (1 - self.hs[t + 1] ** 2)
            self.dw_in += self.x[:, t].T @ dz
            self.dw_rec += self.hs[t].T @ dz
            self.dbias += dz.sum(axis=0)
            dx[:, t], carry = dz @ self.w_in.T, dz @ self.w_rec.T
        return dx, carry

"""

BOTH = """class Both:
    def __init__(self, n_in, n_out):
        self.back_run, self.fore_run = Run(n_in, n_out), Run(n_in, n_out)

    def forward(self, x, h_fore, h_back):
        return self.fore_run.over(x, h_fore), self.back_run.over(x[:, ::-1], h_back)[:, ::-1]

    def backward(self, d_fore, d_back):
        dx, dh_fore = self.fore_run.back(d_fore)
        dx_back, dh_back = self.back_run.back(d_back[:, ::-1])
        return dx + dx_back[:, ::-1], dh_fore, dh_back
"""
"""Each direction has its own output; the object has the way back first."""

THREE = """class Three:
    def __init__(self, n_in, n_out):
        self.first, self.second, self.third = Run(n_in, n_out), Run(n_out, n_out), Run(n_out, n_out)

    def forward(self, x, h0):
        x = self.first.over(x, h0[0])
        x = self.second.over(x, h0[1])
        return self.third.over(x, h0[2])

    def backward(self, d):
        d, dh2 = self.third.back(d)
        d, dh1 = self.second.back(d)
        d, dh0 = self.first.back(d)
        return d, [dh0, dh1, dh2]
"""
"""A number of layers of its own."""

GIVEN = BOTH.replace("n_in, n_out):\n", "plan):\n        n_in, n_out = plan\n", 1)
WEIGHTS = ("dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh")
TWO = "@parity_tests.adapter(bidirectional=True)"


def test_each_direction_may_have_its_own_output(tmp_path: Path) -> None:
    outcome = read(CELL + BOTH, "Both", tmp_path)
    assert outcome.equal == ("hs", "h_n", "dx", "dh_0", *WEIGHTS)
    assert outcome.assumed == ()
    assert "in order: net.fore_run, net.back_run" in outcome.reading
    assert TWO in outcome.text


def test_layers_may_have_names(tmp_path: Path) -> None:
    outcome = read(CELL + THREE, "Three", tmp_path)
    assert outcome.equal == ("hs", "dx", "dh_0", *WEIGHTS)
    assert "@parity_tests.adapter(num_layers=3)" in outcome.text
    assert "initial-state" not in outcome.without


def test_the_whole_is_found_in_a_file_with_its_cell(tmp_path: Path) -> None:
    source = (CELL + BOTH).replace("over", "forward")
    assert TWO in read(source, "", tmp_path).text


def test_make_says_how_the_whole_is_made(tmp_path: Path) -> None:
    assert read(CELL + GIVEN, "Both", tmp_path).text == ""
    hints = Hints(make="net = Both([D, H])")
    assert {"hs", "dx", *WEIGHTS} <= {*read(CELL + GIVEN, "Both", tmp_path, hints).equal}


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("h_back)[:, ::-1]", "h_back)"),
        ("over(x[:, ::-1], h_back)", "over(x, h_back)"),
        ("fore_run.over(x, h_fore)", "back_run.over(x, h_fore)"),
        ("return dx + dx_back[:, ::-1]", "return dx_back[:, ::-1]"),
        ("over(x, h_fore)", "over(x, h_back)"),
        ("+ self.bias", ""),
        ("self.dw_rec += self.hs[t]", "self.dw_rec += self.hs[t + 1]"),
    ],
)
def test_no_fault_is_read_around(place: str, fault: str, tmp_path: Path) -> None:
    right = code_of(read(CELL + BOTH, "Both", tmp_path))
    assert right
    source = (CELL + BOTH).replace(place, fault)
    assert source != CELL + BOTH
    outcome = read(source, "Both", tmp_path)
    assert outcome.unequal or outcome.text == ""
    assert outcome.text == "" or outcome.assumed or code_of(outcome) == right


def test_one_layer_of_a_stack_is_assumed_if_the_stack_is_not_read(tmp_path: Path) -> None:
    """The states of the whole are wrong in a way that is not known; those of one layer are right."""
    source = (
        CELL
        + """class Deep:
    def __init__(self, n_in, n_out, layers):
        self.runs = [Run(n_in if k == 0 else n_out, n_out) for k in range(layers)]

    def forward(self, x):
        for run in self.runs:
            x = run.over(x, np.zeros((len(x), len(run.bias))))
        return x if len(self.runs) == 1 else x[:, :0]

    def backward(self, d):
        for run in self.runs[::-1]:
            d, _ = run.back(d)
        return d
"""
    )
    outcome = read(source, "Deep", tmp_path)
    assert {"hs", "dWx", "dWh", "db"} <= {*outcome.equal}
    assert any("one is judged" in line for line in outcome.assumed)
