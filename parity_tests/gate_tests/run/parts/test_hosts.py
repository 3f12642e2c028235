"""Workers that xdist's gateways start: here, with another Python, and on another host."""

import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from parity_tests.gate_tests.run.test_run import run
from parity_tests.run.cli import main
from parity_tests.run.engine import gateways

SOURCE = "import rnn_np\nclass Mine(rnn_np.RNN):\n    pass\n"
OPTIONS = ("mine.py:Mine", "--reference", "recorded", "--without", "speed,float32")
SSH = """#!/bin/sh
# Instead of ssh: the command runs here, in a home folder of its own, and with none of this environment.
while [ "${1#-}" != "$1" ]; do shift; done
shift
cd '%s' && exec env -u PYTHONPATH -u PYTEST_DISABLE_PLUGIN_AUTOLOAD PYTEST_ADDOPTS=--no-such-option sh -c "$*"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE, "utf-8")
    return tmp_path


def test_the_gateways_of_pytest_s_arguments_are_found() -> None:
    assert gateways([]) == gateways(["-k", "tx", "--txt"]) == []
    assert gateways(["--tx", "popen", "-v", "--tx=2*ssh=me@there//chdir=x"]) == [
        "popen",
        "2*ssh=me@there//chdir=x",
    ]


def test_the_workers_are_those_of_the_gateways(folder: Path) -> None:
    python = folder / "python"
    python.write_text(f'#!/bin/sh\necho >>"{folder}/started"\nexec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    status, output = run(*OPTIONS, "--", "--tx", "popen", "--tx", f"popen//python={python}", folder=folder)
    assert status == 0, output
    assert "EQUAL to the " in output
    assert (folder / "started").read_text("utf-8") == "\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--", "--tx", "popen//python=/no/python"),
            "NOT JUDGED: no worker can start at popen//python=/no/python: FileNotFoundError: ",
        ),
        (
            ("--", "--tx", "popen", "-n", "2"),
            "--tx says where the workers run, and -n or --dist overrides it",
        ),
        (
            ("--", "--tx=popen", "--dist", "no"),
            "--tx says where the workers run, and -n or --dist overrides it",
        ),
        (("--", "--tx", "2*popen", "--dist", "each"), "--dist each would judge every case once a worker"),
        (
            ("--workers", "2", "--", "--tx", "popen"),
            "argument --workers: --tx says how many workers there are",
        ),
    ],
)
def test_a_gateway_that_does_not_open_or_is_overridden_ends_the_run(
    words: tuple[str, ...], said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with chdir(folder):
        assert main([*OPTIONS, *words]) == 2
    output = "".join(capfd.readouterr())
    assert said in output
    assert "Traceback" not in output
    assert "EQUAL" not in output


def test_a_python_without_the_gate_s_packages_ends_the_run(folder: Path) -> None:
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n', "utf-8")
    python.chmod(0o755)
    status, output = run(
        *OPTIONS, "--", "--tx", f"popen//python={python}//chdir={folder}/elsewhere", folder=folder
    )
    assert status == 2
    assert "NOT JUDGED: a worker process cannot start at popen//python=" in output
    assert "Traceback" not in output


@pytest.mark.proof
def test_another_host_judges_what_was_copied_there_and_nothing_else(folder: Path) -> None:
    """Through a stand-in for ssh: all that xdist does for a real one is done."""
    programs, home = folder / "bin", folder / "home"
    programs.mkdir()
    home.mkdir()
    (programs / "ssh").write_text(SSH % home, "utf-8")
    (programs / "ssh").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    assert shutil.which("ssh", path=environment["PATH"]) == str(programs / "ssh")
    gateway = ["--", "--tx", f"2*ssh=me@there//python={sys.executable}"]

    def command(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "parity_tests", *OPTIONS, *gateway, *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    status, output = command("--rsyncdir", "mine.py")
    assert status == 0, output
    assert "EQUAL to the " in output
    there = home / "pyexecnetcache"
    assert {"mine.py", "parity_tests", "rnn_np"} <= {path.name for path in there.iterdir()}
    (folder / "mine.py").write_text(SOURCE + "# changed\n", "utf-8")
    status, output = command()
    assert status == 2, output
    assert " judges something else: the target's source is another one" in " ".join(output.split())
    (there / "mine.py").unlink()
    status, output = command()
    assert status == 2, output
    assert "mine.py: there is no such file" in " ".join(output.split())
