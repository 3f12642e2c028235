"""The doors for Python: a call, an assertion, and tests of one's own."""

import subprocess
import sys
from pathlib import Path

import pytest

import parity_tests
import rnn_np
from parity_tests.gate_tests.people import LAYERS

pytest.importorskip("torch", reason="fresh cases need torch")

WRONG = {cls.__name__: cls for _, _, cls in LAYERS}["NotebookRNN"]


def test_a_call_judges_a_local_class() -> None:
    class Mine(rnn_np.TimeRNN):
        pass

    report = parity_tests.check(Mine, cases=40, seed=3)
    assert report.ok
    assert report.cases == 40
    assert report.checks > 10
    assert str(report).startswith("EQUAL: ")


def test_a_call_tells_what_is_wrong() -> None:
    report = parity_tests.check(WRONG, cases=40)
    assert not report.ok
    assert {"dx", "dh_0", "dWx", "dWh", "db"} <= {finding.tensor for finding in report.faults}
    assert 'run it alone: parity_tests.check(NotebookRNN, case="B1T1D1H1-f64-s0")' in str(report)
    assert not parity_tests.check(WRONG, case="B1T1D1H1-f64-s0", lines=False).ok
    assert parity_tests.check(WRONG, cases=20, without=["dx", "dh_0", "dWx", "dWh", "db"]).ok


def test_an_assertion_says_it_in_words() -> None:
    parity_tests.assert_parity(rnn_np.RNN, cases=10)
    parity_tests.assert_parity(rnn_np.nn.RNN, cases=10)
    parity_tests.assert_parity("rnn_np:TimeRNN", cases=10)
    with pytest.raises(AssertionError, match=r"values of .*dWh"):
        parity_tests.assert_parity(WRONG, cases=10, lines=False)


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="cases: expected a whole number of at least 1, got 0"):
        parity_tests.check(WRONG, cases=0)
    with pytest.raises(ValueError, match="cannot tell what it is"):
        parity_tests.check(dict)
    with pytest.raises(ValueError, match=r"nowhere\.py"):
        parity_tests.check("nowhere.py:RNN")


def test_tests_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import parity_tests, rnn_np\n"
        "from parity_tests.gate_tests.run.test_doors import WRONG\n"
        "@parity_tests.parametrize(rnn_np.TimeRNN, cases=60)\n"
        "def test_right(check): check()\n"
        "@parity_tests.parametrize(WRONG, cases=60, lines=False)\n"
        "def test_wrong(check): check()\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "1",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    for batch in (0, 1):
        assert f"PASSED test_mine.py::test_right[batch {batch}]" in done.stdout
        assert f"FAILED test_mine.py::test_wrong[batch {batch}]" in done.stdout
    assert "PASSED test_mine.py::test_wrong[TimeRNN repeatable backward]" in done.stdout
    assert "2 failed" in done.stdout
    # The line of a failed test has verdict and fault, and no frame of ours is shown.
    assert "- AssertionError: DIFFERENT: " in done.stdout
    assert "api.py" not in done.stdout
