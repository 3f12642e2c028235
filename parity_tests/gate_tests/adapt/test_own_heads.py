"""Code with a head is given the head of a case: right code is equal, and a fault in the head is found."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import parity_tests
from parity_tests.adapt.heads.own import NO_VALUE, OTHER_OUTPUTS
from parity_tests.gate_tests.adapt.convention_faults.heads import HEAD_FAULTS
from parity_tests.gate_tests.adapt.convention_list import CONVENTIONS
from parity_tests.gate_tests.adapt.reading import code_of, read, read_file

WITH_HEAD = {each.path: each for each in CONVENTIONS if each.path in HEAD_FAULTS}
FAULTS = [(path, *fault) for path, faults in HEAD_FAULTS.items() for fault in faults]
QUICK = (
    ("losses/trainer.py", "gradient without the 1 at the target"),
    ("losses/last_output.py", "dWy for dby"),
    ("losses/batch_loss.py", "dWy transposed"),
)

SQUARES = """import numpy as np

class Regression:
    def __init__(self, n_in, n_hidden, n_out):
        self.Wx, self.Wh, self.b = np.ones((n_in, n_hidden)), np.ones((n_hidden, n_hidden)), np.zeros(n_hidden)
        self.Wy, self.by = np.ones((n_hidden, n_out)), np.zeros(n_out)

    def forward(self, x, h):
        self.x, self.hs = x, [h]
        for t in range(x.shape[1]):
            self.hs.append(np.tanh(x[:, t] @ self.Wx + self.hs[-1] @ self.Wh + self.b))
        self.outputs = np.stack(self.hs[1:], axis=1) @ self.Wy + self.by
        return self.outputs

    def loss(self, targets):
        return ((self.outputs - targets) ** 2).sum() * FACTOR

    def backward(self, targets):
        dy = 2 * FACTOR * (self.outputs - targets)
        dWy, dby = np.einsum("bth,btv->hv", np.stack(self.hs[1:], axis=1), dy), dy.sum((0, 1))
        dWx, dWh, db, carry = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.b), 0
        for t in reversed(range(dy.shape[1])):
            dz = (dy[:, t] @ self.Wy.T + carry) * (1 - self.hs[t + 1] ** 2)
            dWx, dWh, db = dWx + self.x[:, t].T @ dz, dWh + self.hs[t].T @ dz, db + dz.sum(0)
            carry = dz @ self.Wh.T
        return dWx, dWh, db, dWy, dby
"""


@pytest.mark.parametrize("path", WITH_HEAD)
def test_right_code_is_equal_with_its_own_head(path: str) -> None:
    outcome = read_file(WITH_HEAD[path].file, WITH_HEAD[path].name)
    assert {"dWx", "dWh", "db", "dWy", "dby"} <= {*outcome.equal}
    assert {"logits", "probabilities", "loss"} & {*outcome.equal}
    assert re.search(r"@parity_tests.adapter\(.*(loss=|head=True)", outcome.text)


@pytest.mark.parametrize(
    ("path", "fault", "old", "new"),
    [
        pytest.param(*each, marks=[] if each[:2] in QUICK else [pytest.mark.proof], id=f"{each[0]}-{each[1]}")
        for each in FAULTS
    ],
)
def test_a_fault_in_the_head_is_found_and_changes_no_adapter_silently(
    path: str, fault: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convention = replace(WITH_HEAD[path], faults=((fault, old, new),))
    ((_, source),) = convention.faulty()
    outcome = read(source, convention.name, tmp_path)
    right = read_file(convention.file, convention.name)
    assert code_of(outcome) == code_of(right) or outcome.assumed
    (tmp_path / "mine.py").write_text(source, "utf-8")
    (tmp_path / "adapter.py").write_text(re.sub(r"\bread_\d+\b", "mine", outcome.text), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = parity_tests.check(
        f"{tmp_path / 'adapter.py'}:answer", without=outcome.without, cases=16, lines=False
    )
    assert report.faults


@pytest.mark.parametrize(
    ("factor", "declared"),
    [
        ("1 / self.outputs.size", 'loss="mse", reduction="mean"'),
        ("0.5 / len(self.outputs)", 'loss="half_mse", reduction="batchmean"'),
        ("1", 'loss="mse", reduction="sum"'),
    ],
)
def test_the_kind_of_a_loss_of_squares_is_read_off_its_value(
    factor: str, declared: str, tmp_path: Path
) -> None:
    outcome = read(SQUARES.replace("FACTOR", f"({factor})"), "", tmp_path)
    assert f"@parity_tests.adapter({declared})" in outcome.text
    assert outcome.equal == ("hs", "h_n", "logits", "loss", "dWx", "dWh", "db", "dWy", "dby")
    assert outcome.assumed == ()


def test_a_loss_of_no_known_value_is_taken_away_and_told(tmp_path: Path) -> None:
    outcome = read(SQUARES.replace("FACTOR", "(0.3 / self.outputs.size)"), "", tmp_path)
    assert NO_VALUE in outcome.assumed
    assert "loss" not in outcome.text.rpartition("def answer")[2]


def test_outputs_that_are_wrong_are_told_and_judged(tmp_path: Path) -> None:
    source = SQUARES.replace("FACTOR", "(1 / self.outputs.size)").replace("@ self.Wy + self.by", "@ self.Wy")
    outcome = read(source, "", tmp_path)
    assert "logits" in outcome.unequal
    assert OTHER_OUTPUTS.format("out", "logits") in outcome.assumed
