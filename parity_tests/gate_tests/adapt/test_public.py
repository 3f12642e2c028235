"""Public code is read as it stands, and its faults are left to the gate; or it is refused with the right reason."""

from pathlib import Path

import numpy as np
import pytest

from parity_tests.adapt.calling.gradients import is_of_return
from parity_tests.adapt.outcome import Outcome
from parity_tests.gate_tests.adapt.reading import read, read_file

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = Path(__file__).parent / "public"
READ: dict[str, tuple[set[str], set[str]]] = {
    "library_layer": ({"hs", "h_n"}, {"dx", "dWx", "dWh", "db"}),
    "line_break": (set(), {"hs", "h_n"}),
    "truncated_optimizer": (
        {"hs", "h_n", "logits", "dWx", "dWh", "db", "dWy", "dby"},
        {"dx"},
    ),  # cut after six steps, seven of which show it
    "loss_inside": ({"hs", "h_n", "probabilities", "loss"}, {"dWx", "dWh", "db"}),
    "relu_cell": ({"h_n"}, {"dWx", "dWh", "db"}),
    "bias_by_width": ({"hs", "h_n", "dx", "dh_0", "dWx", "dWh"}, {"db"}),
    "last_output": ({"hs", "h_n", "logits"}, {"dWx", "dWh", "db"}),
    "sigmoid": ({"hs", "h_n"}, {"dWx", "dWh", "db"}),
    "update_inside": ({"hs", "h_n", "dWx", "dWh", "db"}, set()),
}
"""By file, the tensors that equal the reference, and those that do not: the faults are the authors'."""
REFUSED = {
    "two_directions": "one recurrent layer in one direction",
}


def outcome_of(name: str) -> Outcome:
    if name == "bias_by_width":
        pytest.importorskip("torch")
    return read_file(FOLDER / f"{name}.py", "")


@pytest.mark.parametrize("name", READ)
def test_public_code_is_read(name: str) -> None:
    outcome = outcome_of(name)
    assert ({*outcome.equal}, {*outcome.unequal}) == READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_with_its_reason(name: str) -> None:
    outcome = outcome_of(name)
    assert outcome.text == ""
    assert REFUSED[name] in outcome.refusal


def test_targets_that_give_no_gradient_are_not_taken(tmp_path: Path) -> None:
    """The largest of one number is the first: with numbers for targets, all would be answered rightly."""
    source = (FOLDER / "loss_inside.py").read_text("utf-8")
    source = source.replace("activation(hidden[t], derivative=True)", "(1 - hidden[t] ** 2)")
    source = source.replace("MAX_NORM = 0.25", "MAX_NORM = 1e9")
    outcome = read(source, "", tmp_path)
    assert {"dWx", "db"} <= {*outcome.equal}
    assert outcome.assumed == ()


def test_the_steps_of_something_are_no_gradients() -> None:
    matrix, column = np.ones((2, 3)), np.ones((2, 1))
    assert is_of_return("back[0]", (matrix, 1.0))
    assert is_of_return("back[1][0]", (1.0, [matrix, column]))
    assert not is_of_return("back[1][0]", (1.0, [column, column.copy()]))
    assert not is_of_return("back[0][0][0]", [[[matrix]]])
