"""Options of the command, of pytest and of Python: taken, or refused in one line that names the option."""

import re
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws the examples")

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import parity_tests
import rnn_np
from parity_tests.gate_tests.fuzz import changed
from parity_tests.gate_tests.fuzz.examples import fuzzed
from parity_tests.gate_tests.fuzz.odd import ODD, picked
from parity_tests.run.cli import main
from parity_tests.run.engine import GATE, PACKAGE
from parity_tests.run.options import OPTIONS, OptionError, Options, checked_options

TOKEN = "cell-B1D2H2-f64-s0"
VALUES = {
    "target": ("rnn_np:RNN", "my_rnn.py:RNN", "notebook.ipynb:RNN", "rnn_np"),
    "kind": ("cell", "package"),
    "without": ("dx,dh_0", "backward", "non-finite", "inputs-copied"),
    "nonlinearity": ("tanh", "sigmoid"),
    "known": ("known.txt", "none.txt"),
    "timeout": ("10", "0.5"),
    "cases": ("1", "0010"),
    "seed": ("0", "fresh"),
    "reference": ("torch", "recorded"),
    "case": (TOKEN,),
    "lines": ("no", "yes"),
    "accuracy": ("1e-3", "0.1"),
    "shard": ("1/2", "auto"),
    "resume": ("record.txt",),
}
"""Values of every option; not all go together."""
NAMES = sorted(VALUES)
MOST_CHARACTERS = 1000


def test_every_option_has_values() -> None:
    assert {*VALUES} == {option.name for option in OPTIONS}


def values_of(name: str) -> Any:
    return changed.text(st.sampled_from(VALUES[name]))


def check_line(message: str) -> None:
    assert "\n" not in message
    assert 10 < len(message) < MOST_CHARACTERS


@fuzzed(0.06, name=st.sampled_from(NAMES), data=st.data())
def test_python(name: str, data: Any) -> None:
    value = data.draw(values_of(name) | picked(ODD))
    try:
        options = checked_options({name: value})
    except OptionError as error:
        message = str(error)
    else:
        assert isinstance(options, Options)
        return
    check_line(message)
    assert name in ("target", "kind") or message.startswith(f"{name}: ")


@st.composite
def some_options(draw: DrawFn) -> dict[str, str]:
    """Up to three options but ``case`` and the file that ``resume`` writes; one or none has been changed."""
    names = draw(
        st.lists(
            st.sampled_from([name for name in NAMES if name not in ("case", "resume")]),
            max_size=3,
            unique=True,
        )
    )
    given = {name: draw(st.sampled_from(VALUES[name])) for name in names}
    is_changed = draw(st.booleans())
    if names and is_changed:
        given[names[0]] = draw(values_of(names[0]))
    return given


@fuzzed(0.003, given=some_options())
def test_a_call(given: dict[str, Any]) -> None:
    target = given.pop("target", rnn_np.RNN)
    if "lines" in given:
        given["lines"] = {"no": False, "yes": True}.get(given["lines"], given["lines"])
    try:
        report = parity_tests.check(target, case=TOKEN, **given)
    except ValueError as error:
        message = str(error)
    else:
        assert report.ok == (report.exit_code == 0)
        assert not report.ok or (report.cases, report.planned) == (1, 1)
        return
    check_line(message)


@fuzzed(
    0.004,
    given=some_options(),
    word=st.none() | changed.text(st.sampled_from(["--quiet", "--json=a", "--as"])),
)
def test_the_command(
    given: dict[str, str],
    word: str | None,
    run_here: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    flags = {option.name: option.of_command for option in OPTIONS}
    target = given.pop("target", "rnn_np:RNN")
    words = [target, "--case", TOKEN, *["--no-lines"] * ("lines" in given)]
    words += [f"{flags[name]}={value}" for name, value in given.items() if name != "lines"]
    words += [] if word is None or word == "--" else [word]
    if target in ("--", "faults", "adapt", "judge"):
        return
    status, output = run_here(*words, folder=tmp_path)
    assert status in (0, 1, 2)
    assert "Traceback" not in output
    asks = {"-h", "--help", "--version"} & {*words}
    assert status or asks or "EQUAL" in output or "known" in given, output
    if status == 2:
        assert re.search(r"^(parity|rnn-parity[a-z ]*): |^NOT JUDGED", output, re.MULTILINE), output


@fuzzed(0.003, given=some_options())
def test_pytest(given: dict[str, str], capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = {"target": "rnn_np:RNN", **given, "case": TOKEN}
    engine = ("-c", str(PACKAGE / "run" / "gate.ini"), "--rootdir", str(PACKAGE), "-p", "no:cacheprovider")
    words = [f"--parity-{name}={value}" for name, value in given.items()]
    capfd.readouterr()
    with chdir(tmp_path):
        status = pytest.main([*engine, "-p", "no:xdist", "-p", "parity_tests.run.plugin", *words, str(GATE)])
    output = "".join(capfd.readouterr())
    assert status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    if status == pytest.ExitCode.OK:
        assert "EQUAL" in output
    if status == pytest.ExitCode.USAGE_ERROR:
        assert re.search("^ERROR: parity: ", output, re.MULTILINE), output


def test_no_word_at_all_is_refused_in_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--workers"]) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith("rnn-parity: error: argument --workers")
