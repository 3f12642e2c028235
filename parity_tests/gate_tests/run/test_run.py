"""The doors: the command and pytest, from outside, on right layers and on wrong ones."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rnn_np
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import OF_ADAPTERS, TENSORS
from parity_tests.report.wrong_line import JSON_KEYS
from parity_tests.run.options import checked_options
from parity_tests.run.plan import make_plan
from parity_tests.subjects.session import InProcess

WRONG = "parity_tests.gate_tests.wrong"
Command = Callable[..., tuple[int, str]]
NO_TORCH = """
import sys
from functools import partial
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, *rest):
    return None if name.split(".")[0] in {hidden} else find(name, *rest)
PathFinder.find_spec = partial(find_others)
from parity_tests.__main__ import main
status = main()
assert "torch" not in sys.modules
sys.exit(status)
"""


def run(*arguments: str, folder: Path | None = None, code: str | None = None) -> tuple[int, str]:
    command = [sys.executable, *(("-c", code) if code else ("-m", "parity_tests")), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    return done.returncode, done.stdout + done.stderr


def run_json(
    folder: Path, *arguments: str, run: Callable[..., tuple[int, str]] = run
) -> tuple[int, str, dict[str, Any]]:
    to_pytest = list(arguments[arguments.index("--") :]) if "--" in arguments else []
    own = arguments[: len(arguments) - len(to_pytest)]
    status, output = run(*own, "--json", str(folder / "report.json"), *to_pytest)
    return status, output, json.loads((folder / "report.json").read_text("utf-8"))


BUNDLED = ("--cases", "110", "--seed")
"""Three batches of all kinds of layers."""


def test_the_bundled_layers_are_equal(tmp_path: Path, run_here: Command) -> None:
    torch = pytest.importorskip("torch")
    status, output, report = run_json(tmp_path, "-v", *BUNDLED, "7", run=run_here)
    assert status == 0, output
    assert "seed 7, 110 random cases; reference: torch.nn.RNN, live\n" in output
    assert f"torch {torch.__version__}" in output
    assert "BLAS: " in " ".join(output.split())
    assert "one thread a worker" in " ".join(output.split())
    asked = {*TENSORS} - {*OF_ADAPTERS}
    for tensor in asked:
        assert re.search(rf"^{tensor} +\d+ +\d+ +\d+ +0\.\d+ +[^ ]+-s\d+$", output, re.MULTILINE), output
    assert re.search(
        r"^EQUAL: .*; 110 of 110 cases compared, (\d+) of \1 checks run in [0-9.]+ s$", output, re.MULTILINE
    )
    assert report["ok"] is True
    assert (report["reference"], report["seed"], report["cases"]) == ("torch", 7, 110)
    assert report["versions"]["torch"] == torch.__version__
    assert set(report["tensors"]) == asked
    assert report["inconclusive"] == sum(tally["inconclusive"] for tally in report["tensors"].values()) > 0
    assert report["findings"] == report["not_judged"] == []
    for tally in report["tensors"].values():
        assert 0 < tally["worst"] < 0.4
        assert Case.parse(tally["case"])


@pytest.mark.proof
@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_cases_do_not_depend_on_the_number_of_workers(
    workers: str, tmp_path: Path, run_here: Command
) -> None:
    pytest.importorskip("torch")
    alone = run_json(tmp_path, *BUNDLED, "7", run=run_here)[2]
    assert run_json(tmp_path, *BUNDLED, "7", "--workers", workers)[2] == alone


def test_a_wrong_layer_is_reported_in_full(tmp_path: Path, run_here: Command) -> None:
    pytest.importorskip("torch")
    status, output, report = run_json(tmp_path, WRONG, "--cases", "60", run=run_here)
    assert status == 1
    # All cases ran, though nearly all of them fail.
    assert 45 < report["failed"] <= report["cases"] == 60
    assert f"DIFFERENT: {report['failed']} cases differ; 60 of 60 cases compared" in output
    assert report["ok"] is False
    assert "Traceback" not in output
    finding = report["findings"][0]
    own = {"check", "tensor", "case", "severity", "fault", "clue", "message", "telling"}
    assert finding.keys() == {*own, *JSON_KEYS.values()}
    assert (finding["check"], finding["severity"]) == ("values", "fault")
    faults = [f for f in report["findings"] if f["severity"] == "fault"]
    assert {f["tensor"] for f in faults} == {"dx", "dh_0", "dWx", "dWh", "db"}
    smallest = Case.parse(finding["case"])
    assert (smallest.B, smallest.T, smallest.D, smallest.H) == (1, 1, 1, 1)
    assert re.search(
        r"\[0.*\]: got [-0-9.e]+, expected [-0-9.e]+, error over allowed [0-9.e+]+", finding["message"]
    )
    again = re.search(r"run it alone: rnn-parity (.*)", output)
    assert again
    assert again[1].split() == [WRONG, "--case", str(smallest)]
    # The command it names runs that case alone, and fails alike.
    status, output, report = run_json(tmp_path, *again[1].split(), run=run_here)
    assert (status, report["cases"]) == (1, 1)
    assert finding["message"] in " ".join(output.split())


def test_the_catalogue_is_put_in_and_printed(run_here: Command) -> None:
    status, output = run_here("faults", "--", "-k", "dropped or overwritten")
    assert status == 0, output
    assert re.search(
        "^upstream gradient dropped +TimeRNN +1 case +yes +B[^ ]+-s[0-9]+ ", output, re.MULTILINE
    )
    assert re.search("^input overwritten +TimeRNN +1 case +yes ", output, re.MULTILINE)
    assert re.search(r"^(\d+) of \1 faults caught, \1 named by this name alone$", output, re.MULTILINE)


def test_one_case_alone(tmp_path: Path, run_here: Command) -> None:
    pytest.importorskip("torch")
    token = "B2T3D4H5-f32-h0-s1"
    status, output, report = run_json(tmp_path, "--case", token, run=run_here)
    assert status == 0
    assert f"case {token}; reference: " in output
    assert {tally["case"] for tally in report["tensors"].values()} == {token}
    # Every step of this one is lost in chaos: nothing was proved of dx, which is no pass.
    status, output, report = run_json(tmp_path, "--case", "B1T300D2H12-f32-g4-s0", run=run_here)
    assert status == 2
    assert re.search(r"not judged: [^:]*\bdx\b[^:]*:\s+every slice compared was inconclusive", output)
    assert report["ok"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cases", "0"], "cases: expected a whole number of at least 1, got '0'"),
        (["--cases", "many"], "cases: expected a whole number of at least 1, got 'many'"),
        (["--seed", "-3"], "seed: expected a whole number of at least 0 or fresh, got '-3'"),
        (["--seed", ""], "seed: expected a whole number of at least 0 or fresh, got ''"),
        (["--workers", "-1"], "workers: expected a whole number or auto, got '-1'"),
        (["--json", ""], "json: cannot write"),
        (["--case", "B1T1D1H1-f64-g.-s0"], "'g.' in 'B1T1D1H1-f64-g.-s0' is not understood"),
        (["--reference", "jax"], "invalid choice: 'jax'"),
        (["--case", "B1T1"], "case: 'B1T1' is no case: expected a token such as"),
        (
            ["--case", "B1T1D1H1-f64-s0", "--cases", "5"],
            "cases: cannot be set to 5 here: the one case given is judged",
        ),
        (
            ["--reference", "recorded", "--cases", "5"],
            "cases: cannot be set to 5 here: fresh cases need ",
        ),
        (
            ["--reference", "recorded", "--seed", "5"],
            "seed: cannot be set to 5 here: fresh cases need ",
        ),
        (["--reference", "recorded", "--case", "B9T9D9H9-f64-s9"], "case: B9T9D9H9-f64-s9 is not recorded"),
        (["--json", "/no/such/folder/report.json"], "json: cannot write /no/such/folder/report.json"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--", "--no-such-option"], "unrecognized arguments: --no-such-option"),
        (
            ["no_such_module"],
            "no_such_module",
        ),
        (["json"], "json: a module without RNN, TimeRNN or nn"),
        (["--reference", "recorded", "--", "-k", "nothing"], "nothing was selected by -k 'nothing'"),
    ],
)
def test_what_cannot_be_judged_exits_2_with_the_reason(
    arguments: list[str], message: str, run_here: Command
) -> None:
    if "recorded" not in arguments:
        pytest.importorskip("torch")
    status, output = run_here(*arguments)
    assert status == 2, output
    assert message in output
    assert "Traceback" not in output


def test_recorded_answers_judge_without_torch(tmp_path: Path, run_here: Command) -> None:
    status, output = run(code=NO_TORCH.format(hidden={"torch"}), folder=tmp_path)
    assert status == 0, output
    assert "226 recorded cases; reference: answers recorded from torch 2.13.0" in output
    assert "EQUAL to the 226 recorded cases (torch is not installed); 226 of 226 cases" in output
    status, output = run_here(WRONG, "--reference", "recorded", "--no-lines")
    assert status == 1, output
    assert f"run it alone: rnn-parity {WRONG} --case " in output
    assert " --reference recorded\n" in output
    status, output = run("--reference", "torch", code=NO_TORCH.format(hidden={"torch"}))
    assert status == 2, output
    assert "reference: torch is not installed: pip install torch" in output


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    status, output = run(code=NO_TORCH.format(hidden={"pytest"}))
    assert status == 2
    assert output == "rnn-parity: pytest is not installed: pip install pytest\n"


def test_a_fresh_seed_is_fresh_and_the_workers_have_the_one_that_is_shown(
    tmp_path: Path, run_here: Command
) -> None:
    pytest.importorskip("torch")
    reports: list[dict[str, Any]] = []
    # From outside by two workers, and in this process.
    for door, seed in ((run, ("fresh", "--workers", "2")), (run_here, ())):
        given = seed or (str(reports[0]["seed"]),)
        status, output, report = run_json(tmp_path, *BUNDLED, *given, "--without", "speed", run=door)
        assert status in (0, 2), output  # few random cases may leave a tensor inconclusive
        assert f"seed {report['seed']}, 110 random cases" in output
        assert "110 of 110 cases compared" in output
        assert (report["cases"], report["findings"]) == (110, [])
        reports.append(report)
    assert reports[0] == reports[1]
    plans = [make_plan(checked_options({"seed": "fresh"}), InProcess(rnn_np, "package")) for _ in "12"]
    assert plans[0].seed != plans[1].seed


def test_the_pytest_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    tests = ["-p", "parity_tests.run.plugin", "--pyargs", "parity_tests.run.test_gate"]
    monkeypatch.chdir(tmp_path)
    assert pytest.main([*tests, "-n", "0", "--parity-cases", "60"]) == 0
    assert "60 of 60 cases compared" in capfd.readouterr().out
    door = [sys.executable, "-m", "pytest", *tests]
    options = ["-n", "2", "--parity-reference", "recorded", "--parity-target", WRONG, "--parity-lines", "no"]
    done = subprocess.run([*door, *options], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert re.search(r"DIFFERENT: .*; (\d+) of \1 cases compared", done.stdout)
    options = ["-n", "0", "--parity-reference", "recorded", "--parity-seed", "1"]
    assert pytest.main([*tests, *options]) == pytest.ExitCode.USAGE_ERROR
    assert "parity: seed: cannot be set to 1 here: fresh cases need " in capfd.readouterr().err


def test_a_worker_that_dies_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os\nfrom rnn_np import RNN\nimport rnn_np\n"
        "class TimeRNN(rnn_np.TimeRNN):\n"
        "    def backward(self, dhs):\n        os._exit(0)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom parity_tests.__main__ import main; sys.exit(main())"
    status, output = run("deadly", "--reference", "recorded", "--workers", "2", code=code)
    assert status == 1, output
    assert "its process ended" in output
