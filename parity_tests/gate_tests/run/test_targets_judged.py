"""Targets that are judged: files, notebooks, adapters, and code that misbehaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity_tests.gate_tests.run.test_run import run_json
from parity_tests.report.wrong_line import JSON_KEYS

pytest.importorskip("torch", reason="fresh cases need torch")

RIGHT = """
import numpy as np

class MyRNN:
    def __init__(self, Wx, Wh, b, stateful=False):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]
        self.h, self.dh, self.stateful = None, None, stateful

    def set_state(self, h):
        self.h = h.copy()

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        if not self.stateful or self.h is None:
            self.h = np.zeros((len(xs), len(Wh)), xs.dtype)
        self.xs, self.hs = xs, [self.h]
        for t in range(xs.shape[1]):
            self.hs.append(np.tanh(xs[:, t] @ Wx + self.hs[-1] @ Wh + b))
        self.h = self.hs[-1]
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dhs):
        Wx, Wh, b = self.params
        dxs, dh = np.zeros_like(self.xs), np.zeros_like(self.h)
        for grad in self.grads:
            grad[...] = 0
        for t in reversed(range(dhs.shape[1])):
            dz = {dz}
            self.grads[0] += self.xs[:, t].T @ dz
            self.grads[1] += self.hs[t].T @ dz
            self.grads[2] += dz.sum(axis=0)
            dxs[:, t], dh = dz @ Wx.T, dz @ Wh.T
        self.dh = dh
        return dxs
""".replace("{dz}", "(dhs[:, t] + dh) * (1 - self.hs[t + 1] ** 2)")
WRONG = RIGHT.replace("(dhs[:, t] + dh) * (1 - self.hs[t + 1] ** 2)", "(1 - self.hs[t + 1] ** 2) + 0 * dh")
ADAPTER = '''
import numpy as np

def answer(case):
    """Column vectors, forward only."""
    columns = []
    for x, h in zip(case.xs, case.h_0):
        states = [h[:, None]]
        for t in range(len(x)):
            states.append(np.tanh(case.Wx.T @ x[t][:, None] + case.Wh.T @ states[-1] + case.b[:, None]))
        columns.append(np.hstack(states[1:]).T)
    return {"hs": np.stack(columns), "h_n": np.stack(columns)[:, -1]}
'''
GRADIENTS = "dx,dh_0,dWx,dWh,db"
Command = Callable[..., tuple[int, str]]


def written(folder: Path, code: str, name: str = "mine.py") -> str:
    (folder / name).write_text(code, "utf-8")
    return str(folder / name)


def said(output: str) -> str:
    """What was printed, as one line."""
    return " ".join(output.split())


def found(report: dict[str, Any], severity: str = "fault") -> set[tuple[str, str]]:
    return {(f["check"], f["tensor"]) for f in report["findings"] if f["severity"] == severity}


def faults(report: dict[str, Any]) -> set[str | None]:
    return {f["fault"] for f in report["findings"] if f["severity"] == "fault"}


def test_a_right_layer_of_a_file_passes(tmp_path: Path, run_here: Command) -> None:
    target = written(tmp_path, RIGHT) + ":MyRNN"
    status, output, report = run_json(
        tmp_path, target, "--cases", "60", "--without", "row-bias", run=run_here
    )
    assert status == 0, output
    assert (report["kind"], report["cases"], report["without"]) == ("layer", 60, ["row-bias"])
    assert report["checks"] > 10
    # It keeps its caller's arrays, which is reported and is no fault.
    assert ("inputs copied", "dWx") in found(report, "unusual")
    assert "skipped (declared missing): a bias [1, H]" in said(output)


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.proof)])
def test_a_wrong_layer_stops_the_run(workers: str, tmp_path: Path, run_here: Command) -> None:
    target = written(tmp_path, WRONG) + ":MyRNN"
    options = ("--workers", workers, "--without", "row-bias")
    status, output, report = run_json(tmp_path, target, *options, run=run_here)
    assert status == 1, output
    assert report["cases"] < 500
    assert report["cases"] + report["stopped"] == report["planned"] >= 2000
    assert {("values", tensor) for tensor in GRADIENTS.split(",")} <= found(report)
    assert "other cases were left out once a fault was found" in said(output)
    assert faults(report) == {"upstream gradient dropped"}
    assert output.index("UPSTREAM GRADIENT DROPPED") < output.index("advice (")


def test_a_notebook_is_judged_like_a_file(tmp_path: Path, run_here: Command) -> None:
    nbformat = pytest.importorskip("nbformat")
    v4 = nbformat.v4
    cells = [v4.new_code_cell("%matplotlib inline\n" + WRONG), v4.new_code_cell("1 / 0")]
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "rnn.ipynb")
    target = str(tmp_path / "rnn.ipynb") + ":MyRNN"
    status, output, report = run_json(
        tmp_path, target, "--cases", "10", "--without", "row-bias", run=run_here
    )
    assert status == 1
    assert ("values", "dWh") in found(report)
    assert faults(report) == {"upstream gradient dropped"}
    assert "look for `1 - h**2` not multiplied by `dh_next`" in said(output)
    assert "ZeroDivisionError" in "".join(report["notices"])
    assert "%matplotlib" in said(output)


def test_an_adapter_answers_what_it_can(tmp_path: Path, run_here: Command) -> None:
    target = written(tmp_path, ADAPTER) + ":answer"
    status, output, report = run_json(tmp_path, target, "--cases", "30", "--without", GRADIENTS, run=run_here)
    assert status == 0, output
    assert set(report["tensors"]) == {"hs", "h_n"}
    assert report["kind"] == "adapter"
    status, output = run_here(target, folder=tmp_path)
    assert status == 2
    assert said(output).endswith(
        f"it returns hs and h_n, but not dx, dh_0, dWx, dWh and db. Return them too, or add --without {GRADIENTS}"
    )


def test_what_is_known_to_fail_is_excused_until_it_passes(tmp_path: Path, run_here: Command) -> None:
    target = written(tmp_path, RIGHT.replace("self.dh = dh", "self.dh = 2 * dh")) + ":MyRNN"
    known = written(tmp_path, "# of old\nvalues of dh_0: doubled for our optimizer\n", "known.txt")
    options = (target, "--cases", "10", "--without", "row-bias", "--no-lines")
    assert run_here(*options)[0] == 1
    status, output, report = run_json(tmp_path, *options, "--known", known, run=run_here)
    assert status == 0, output
    assert found(report) == set()
    assert [(f["tensor"], f["reason"]) for f in report["known"]] == [("dh_0", "doubled for our optimizer")]
    target = written(tmp_path, RIGHT) + ":MyRNN"
    status, output, report = run_json(tmp_path, target, *options[1:], "--known", known, run=run_here)
    assert status == 1
    assert found(report) == {("known failure of values of dh_0", "")}
    assert "'values of dh_0' passes now" in said(output)


@pytest.mark.parametrize(
    ("line", "check", "message"),
    [
        ("import os; os._exit(0)", "process goes on", "its process ended"),
        ("if len(dhs) > 3: raise SystemExit(0)", "raises", "SystemExit"),
        ("while True: pass", "returns in time", "timed out after 0."),
        ("if len(dhs) > 3: raise ZeroDivisionError('no')", "raises", "ZeroDivisionError: no"),
        ("return None", "type", "NoneType, not a numpy.ndarray"),
        ("dhs[...] = 0", "inputs untouched", "dhs was changed by the layer"),
    ],
)
def test_misbehaviour_is_a_plain_finding(
    tmp_path: Path, run_here: Command, line: str, check: str, message: str
) -> None:
    body = "    def backward(self, dhs):\n"
    target = written(tmp_path, RIGHT.replace(body, f"{body}        {line}\n")) + ":MyRNN"
    options = ("--without", "row-bias", "--timeout", "0.5", "--cases", "10")
    status, output, report = run_json(tmp_path, target, *options, run=run_here)
    assert status == 1, output
    assert check in {check for check, _ in found(report)}
    assert message in said(output)
    assert "Traceback" not in output


def test_printing_is_unusual_and_no_fault(tmp_path: Path, run_here: Command) -> None:
    target = (
        written(tmp_path, RIGHT.replace("        Wx, Wh, b =", "        print('here')\n        Wx, Wh, b ="))
        + ":MyRNN"
    )
    status, output, report = run_json(
        tmp_path, target, "--cases", "10", "--without", "row-bias", run=run_here
    )
    assert status == 0, output
    assert ("prints", "") in found(report, "unusual")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere.py:MyRNN"], "nowhere.py"),
        (["{mine}:MyRMM"], "MyRNN"),
        (["{mine}:MyRNN", "--without", "float16"], "without: expected features (float32, "),
        (["{mine}:MyRNN", "--without", "float32,float64"], "nothing is left to judge"),
        (["{mine}:MyRNN", "--known", "none.txt"], "known: cannot read none.txt"),
        (["{mine}:MyRNN", "--known", "{mine}"], "has no reason"),
        (["{mine}:MyRNN", "--timeout", "0"], "timeout: expected a number of seconds above 0, got '0'"),
        (["{mine}:MyRNN", "--as", "gru"], "invalid choice: 'gru'"),
        (["{mine}:MyRNN", "--case", "nn-B1T1D1H1-f64-s0"], "is not for "),
    ],
)
def test_what_cannot_be_judged_is_said(
    tmp_path: Path, run_here: Command, options: list[str], message: str
) -> None:
    mine = written(tmp_path, RIGHT)
    status, output = run_here(*(option.replace("{mine}", mine) for option in options), folder=tmp_path)
    assert status == 2, output
    assert message in said(output)
    assert "Traceback" not in output


def test_the_json_report_is_complete(tmp_path: Path, run_here: Command) -> None:
    target = written(tmp_path, WRONG) + ":MyRNN"
    run_here(target, "--cases", "5", "--json", str(tmp_path / "out.json"), "--without", "row-bias")
    report = json.loads((tmp_path / "out.json").read_text("utf-8"))
    for finding in report["findings"]:
        assert finding.keys() == {
            "check",
            "tensor",
            "case",
            "severity",
            "fault",
            "clue",
            "message",
            "telling",
            *JSON_KEYS.values(),
        }
        assert finding["severity"] in ("fault", "unusual")
