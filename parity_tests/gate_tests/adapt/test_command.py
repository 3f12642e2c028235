"""``rnn-parity adapt`` and ``--adapt``: what they print, write and refuse, and what they never do."""

import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from parity_tests.adapt import search
from parity_tests.adapt.find import parsed
from parity_tests.adapt.probe import close, problem, truth
from parity_tests.adapt.search import Hints
from parity_tests.gate_tests.adapt.convention import FOLDER
from parity_tests.gate_tests.adapt.reading import read
from parity_tests.gate_tests.adapt.test_public import FOLDER as PUBLIC
from parity_tests.run.adapting import adapted
from parity_tests.subjects.generated import generated
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import module_of

Command = Callable[..., tuple[int, str]]

LAYER = """import numpy as np

class Ticker:
    def __init__(self, n_in, n_hidden):
        self.w = {"in": np.ones((n_hidden, n_in)), "rec": np.ones((n_hidden, n_hidden))}
        self.shift = np.zeros((n_hidden, 1))

    def save(self):
        with open(SAVED, "w") as file: file.write("saved")

    train = save

    def forward(self, xs, h):
        with open("notes.txt", "w") as file: file.write("a forward")
        self.xs, self.hs = xs, [h]
        for x in xs:
            self.hs.append(np.tanh(self.w["in"] @ x + self.w["rec"] @ self.hs[-1] + self.shift))
        return self.hs[1:]

    def backward(self, dhs):
        grads = {"in": 0, "rec": 0, "shift": 0}
        carry = 0
        for t in reversed(range(len(dhs))):
            dz = (dhs[t] + carry) * (1 - self.hs[t + 1] ** 2)
            grads["in"] = grads["in"] + dz @ self.xs[t].T
            grads["rec"] = grads["rec"] + dz @ self.hs[t].T
            grads["shift"] = grads["shift"] + dz.sum(axis=1, keepdims=True)
            carry = self.w["rec"].T @ dz
        return grads, carry
"""


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    file = tmp_path / "ticker.py"
    file.write_text(LAYER.replace("SAVED", repr(str(tmp_path / "saved"))), "utf-8")
    return file


def test_an_adapter_is_written_and_judged(layer: Path, run_here: Command) -> None:
    status, printed = run_here("adapt", "ticker.py:Ticker", "-o", "adapter.py", folder=layer.parent)
    assert status == 0
    assert "equal to the reference in 4 sizes: hs, h_n, dh_0, dWx, dWh, db" in printed
    assert "not found: dx" in printed
    command = "rnn-parity adapter.py:answer --without dx"
    assert f"judge it: {command}" in printed
    written = (layer.parent / "adapter.py").read_text("utf-8")
    assert len([line for line in written.splitlines() if not line.startswith("#")]) <= 30
    status, printed = run_here(*command.split()[1:], "--case", "B2T3D4H5-f64-s0", folder=layer.parent)
    assert status == 0, printed
    assert "; read as: forward(" in printed
    found = generated(str(layer.parent / "adapter.py"))
    assert found is not None
    assert (found.of, found.is_temporary) == ("ticker.py:Ticker", False)
    assert generated(str(layer)) is None


def test_without_a_file_the_adapter_is_printed_and_nothing_is_written(layer: Path, run_here: Command) -> None:
    """Code runs in an empty folder, and only names that are known for a forward or a backward are called."""
    before = {path.name for path in layer.parent.iterdir()}
    status, printed = run_here("adapt", "ticker.py:Ticker", folder=layer.parent)
    assert status == 0
    assert "def answer(case):" in printed
    assert "net.w['in'] = Wx.T" in printed
    assert {path.name for path in layer.parent.iterdir()} - {"__pycache__"} == before


def test_the_report_names_the_file_of_the_user(layer: Path, run_here: Command) -> None:
    layer.write_text(layer.read_text("utf-8").replace("1 - self.hs[t + 1] ** 2", "1 + self.hs[t + 1] ** 2"))
    status, printed = run_here(
        "ticker.py:Ticker", "--adapt", "--case", "B2T3D4H5-f64-s0", folder=layer.parent
    )
    assert status == 1
    assert "judging ticker.py:Ticker through an adapter" in printed
    assert "; read as: forward(" in printed
    assert "ticker.py:24, in backward" in printed
    assert "run it alone: rnn-parity ticker.py:Ticker --adapt" in printed
    assert "adapter.py" not in printed


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "defines no class and no function"),
        ("def sort(values):\n    return sorted(values)\n", "no call of sort(values)"),
        (
            "import numpy as np\nclass LSTM:\n    def __init__(self, input_size, hidden_size):\n"
            "        self.W = np.ones((input_size, 4 * hidden_size))\n    def forward(self, x):\n        return x\n",
            "it looks like an LSTM",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(source: str, words: str, tmp_path: Path) -> None:
    outcome = read(source, "", tmp_path)
    assert outcome.text == ""
    assert words in outcome.refusal


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_like_this", "loading it failed"),
        pytest.param("while True:\n    pass\n", "did not load", marks=pytest.mark.proof),
    ],
)
def test_what_does_not_load_is_refused(
    source: str, words: str, tmp_path: Path, run_here: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parity_tests.adapt.find.SECONDS", 3.0)
    (tmp_path / "mine.py").write_text(source, "utf-8")
    for words_of_command in (("adapt", "mine.py"), ("mine.py", "--adapt")):
        status, printed = run_here(*words_of_command, folder=tmp_path)
        assert status == 2
        assert words in printed


def is_right(spec: str, folder: Path) -> bool:
    """Whether the answer of the adapter of a target is right, called from a file in a folder."""
    outcome, target = adapted(spec, folder)
    file, _, name = target.rpartition(":")
    given = problem(2, 3, 4, 5)
    with chdir(folder):
        answer = getattr(module_of(file)[0], name)(given)
    right = truth(given)
    assert {*answer} == {*outcome.equal}
    return len(answer) >= 6 and all(close(value, right[tensor]) for tensor, value in answer.items())


def test_a_file_of_a_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is known by a longer name; its weights are set through a short one."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert is_right(f"{FOLDER}/functions/globals_columns.py", tmp_path)


def test_a_notebook_is_read(layer: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    cell = nbformat.v4.new_code_cell(layer.read_text("utf-8"))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), layer.with_name("book.ipynb"))
    assert is_right(f"{layer.with_name('book.ipynb')}:Ticker", layer.parent)


def test_a_search_that_ends_at_its_limit_says_so(
    layer: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(search, "LIMIT", 3)
    outcome = read(layer.read_text("utf-8"), "Ticker", tmp_path)
    assert outcome.gave_up
    assert outcome.refusal.startswith("gave up at 4 trials")


def test_a_reason_is_told_though_the_search_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(search, "LIMIT", 3)
    outcome = read((PUBLIC / "two_directions.py").read_text("utf-8"), "", tmp_path)
    assert outcome.gave_up
    assert "one recurrent layer in one direction" in outcome.refusal


def test_a_bias_gradient_for_each_row_is_told(layer: Path, tmp_path: Path) -> None:
    """Code for one column runs on several too; whether its sum over them was forgotten, nobody can know."""
    source = layer.read_text("utf-8").replace("dz.sum(axis=1, keepdims=True)", "dz")
    outcome = read(source, "Ticker", tmp_path)
    assert outcome.unequal == ()
    assert "db" in outcome.equal
    assert any("for each row of the batch" in line for line in outcome.assumed)


def test_hints_say_what_cannot_be_found(layer: Path, tmp_path: Path) -> None:
    source = (
        layer.read_text("utf-8").replace("def forward", "def consume").replace("def backward", "def produce")
    )
    assert read(source, "Ticker", tmp_path).text == ""
    hints = Hints(call="consume(xs, h)", back="produce(dhs)")
    assert {"hs", "dWx", "dWh", "db"} <= {*read(source, "Ticker", tmp_path, hints).equal}


def test_a_weight_stored_transposed_is_not_assumed(layer: Path, tmp_path: Path) -> None:
    """A layer that multiplies with the transpose is wrong, unless its user says that it is stored so."""
    source = (
        layer.read_text("utf-8")
        .replace('self.w["rec"] @ self.hs[-1]', 'self.w["rec"].T @ self.hs[-1]')
        .replace('self.w["rec"].T @ dz', 'self.w["rec"] @ dz')
        .replace("dz @ self.hs[t].T", "self.hs[t] @ dz.T")
    )
    outcome = read(source, "Ticker", tmp_path)
    assert any("Wh is transposed" in line for line in outcome.reading)
    assert "dWh" in outcome.unequal
    said = read(source, "Ticker", tmp_path, Hints(weights="Wh = Wh.T"))
    assert said.unequal == ()
    assert "dWh" in said.equal


def test_make_says_how_an_object_is_made(tmp_path: Path) -> None:
    source = LAYER.replace("def __init__(self, n_in, n_hidden):", "def __init__(self, *, plan):").replace(
        "self.w =", "n_in, n_hidden = plan['a'], plan['b']\n        self.w ="
    )
    assert read(source, "Ticker", tmp_path).text == ""
    hints = Hints(make="net = Ticker(plan={'a': D, 'b': H})")
    assert "dWx" in read(source, "Ticker", tmp_path, hints).equal


@pytest.mark.parametrize("spec", ["missing.py:RNN", "numpy:RNN", "missing.py:a-b"])
def test_a_spec_that_is_no_file_is_refused(spec: str) -> None:
    with pytest.raises(TargetError, match="expected"):
        parsed(spec)
