"""The child process: nothing that a target does in it breaks the gate, and nothing passes for an answer."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.case import Case
from parity_tests.gate_tests.subjects.calling import answer
from parity_tests.report import Finding
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.sandbox import process
from parity_tests.subjects.sandbox.framing import NotPlain, read_plain
from parity_tests.subjects.sandbox.parent import Child, ChildDied, ChildRaised, ChildTimeout

SHORT = 0.3

Make = Callable[..., Child]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes children of ``answer`` in the source given; they are killed at the end."""
    children: list[Child] = []

    def make_one(source: str, timeout: float = 20, load_timeout: float = 20) -> Child:
        file = tmp_path / "mine.py"
        file.write_text(source, "utf-8")
        children.append(Child(Target(f"{file}:answer"), timeout, load_timeout, (answer,)))
        return children[-1]

    yield make_one
    for child in children:
        child.close()


def _doing(statement: str, header: str = "") -> str:
    """A target that does something when it is asked 1, and answers 2 * case otherwise."""
    lines = statement.replace("\n", "\n        ")
    return f"import os, sys, time\n{header}\ndef answer(case):\n    if case == 1:\n        {lines}\n    return case * 2\n"


def _is_alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has fetched does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def _wait_for_end(pid: int, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _is_alive(pid)


# Answers.


def test_requests_are_answered_one_after_the_other(make: Make) -> None:
    child = make("import os\ndef answer(case): return os.getpid(), case\n")
    loaded = child.start()
    assert (loaded.interface, loaded.obj, loaded.notices) == ("adapter", None, [])
    (first, one), (second, two) = child.call(answer, {"a": 1}), child.call(answer, ("b", None))
    assert first == second != os.getpid()
    assert (one, two) == ({"a": 1}, ("b", None))


def test_arrays_and_the_gates_own_classes_come_back_as_they_were(make: Make) -> None:
    arrays = [
        np.arange(6.0).reshape(2, 3).T,
        np.arange(4, dtype=np.float32)[::-2],
        np.array(3.0),
        np.empty((0, 2)),
        np.array(["a", None], dtype=object),
    ]
    values = [
        np.float32(0.5),
        1j,
        {1, 2},
        b"\0",
        Finding("values", "hs", Case.parse("B1T1D1H1-f64-s0"), "off"),
    ]
    back = make("def answer(case): return case\n").call(answer, (arrays, values))
    for sent, got in zip(arrays, back[0], strict=True):
        assert type(got) is np.ndarray
        assert got.dtype == sent.dtype
        np.testing.assert_array_equal(got, sent)
    assert back[1] == values


def test_large_messages_pass_while_the_target_floods_its_output(make: Make) -> None:
    big = np.random.default_rng(0).normal(size=2**20)
    child = make("def answer(case):\n    print('x' * 2**20 + 'end')\n    return case\n")
    np.testing.assert_array_equal(child.call(answer, big), big)
    assert child.printed.endswith("xend\n")
    assert len(child.printed) == process.OUTPUT_BYTES_KEPT


def test_what_is_printed_is_known_of_each_request(make: Make) -> None:
    child = make(
        _doing("print('hé'); print('!', file=sys.stderr); os.system('echo sub')", "print('loading')")
    )
    child.start()
    assert child.printed == "loading\n"
    assert child.call(answer, 1) == 2
    assert child.printed == "hé\n!\nsub\n"
    assert child.call(answer, 2) == 4
    assert child.printed == ""


def test_output_between_requests_belongs_to_none(make: Make, tmp_path: Path) -> None:
    child = make(
        "import threading\nfrom pathlib import Path\n"
        "def later():\n    print('late', flush=True)\n    Path(__file__).with_name('done').touch()\n"
        "def answer(case):\n    if case == 1: threading.Timer(0.1, later).start()\n    return case\n"
    )
    child.call(answer, 1)
    deadline = time.monotonic() + 5
    while not (tmp_path / "done").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.call(answer, 2)
    assert child.printed == ""


def test_an_answer_that_is_no_plain_data_is_reported_and_the_child_goes_on(make: Make) -> None:
    child = make(
        "import numpy as np, os\nclass Sub(np.ndarray): pass\n"
        "class Evil:\n    def __reduce__(self): return os._exit, (7,)\n"
        "class Broken:\n    def __reduce__(self): raise OSError('lazy')\n"
        "kinds = {'sub': np.ones(2).view(Sub), 'evil': Evil(), 'broken': Broken(), 'lambda': lambda: 0}\n"
        "def answer(case): return kinds.get(case, case)\n"
    )
    for case, message in [
        ("sub", r"the answer cannot be taken: expected arrays and plain values, got mine\.Sub"),
        ("evil", r"expected arrays and plain values, got posix\._exit"),
        ("broken", r"OSError: lazy \(.*mine\.py:6 in __reduce__\)"),
        ("lambda", r"PicklingError"),
    ]:
        with pytest.raises(ChildRaised, match=message):
            child.call(answer, case)
    assert child.call(answer, 5) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        pickle.dumps(1)[:-1],
        b"cparity_tests.run.cli\nmain\n.",
        b"cparity_tests.subjects.sandbox.process\nsubprocess\n.",
        b"\x80\x04\x8c\x25parity_tests.subjects.sandbox.process\x8c\x10subprocess.Popen\x93.",
        b"cparity_tests.subjects.sandbox.process\nPath\n.",
        b"cbuiltins\neval\n.",
    ],
)
def test_only_plain_data_is_read(data: bytes) -> None:
    with pytest.raises(NotPlain):
        read_plain(data)


# Ends of a request that are no answers.


def test_what_the_target_raises_is_reported_with_its_line_and_the_child_goes_on(make: Make) -> None:
    child = make(_doing("raise case_error", "case_error = ZeroDivisionError('no')"))
    with pytest.raises(ChildRaised, match=r"^ZeroDivisionError: no \(.*mine\.py:5 in answer\)$"):
        child.call(answer, 1)
    assert child.call(answer, 2) == 4


@pytest.mark.parametrize("statement", ["sys.exit(0)", "raise KeyboardInterrupt", "raise GeneratorExit"])
def test_exceptions_that_end_a_program_do_not_pass(statement: str, make: Make) -> None:
    child = make(_doing(statement))
    with pytest.raises(ChildRaised, match=r"(SystemExit: 0|KeyboardInterrupt|GeneratorExit) \(.*mine\.py:5"):
        child.call(answer, 1)
    assert child.call(answer, 2) == 4


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("os._exit(0)", "^its process ended, exit status 0$"),
        ("print('a\\nb'); os._exit(3)", r"^its process ended, exit status 3; it printed last: a \| b$"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("__import__('signal').raise_signal(40)", "killed by signal 40"),
        ("__import__('ctypes').string_at(0)", r"killed by SIGSEGV, at .*mine\.py:5 in answer$"),
        ("os.closerange(3, 1000); time.sleep(9)", "it closed the gate's private socket"),
        (
            "[os.write(fd, b'forged' * 9) for fd in range(3, 30) if is_socket(fd)]",
            "it wrote to the gate's private socket",
        ),
        ("if not os.fork():\n    time.sleep(99)\nos._exit(0)", "exit status 0"),
    ],
)
def test_a_process_that_ends_itself_is_reported_and_started_anew(
    statement: str, message: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "darwin" and "signal 40" in message:
        pytest.skip("macOS has no unnamed signals")
    monkeypatch.setattr(process, "GRACE_SECONDS", SHORT)
    header = "import stat\ndef is_socket(fd):\n    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)\n    except OSError: return False"
    child = make(_doing(statement, "" if "forged" not in statement else header))
    with pytest.raises(ChildDied, match=message):
        child.call(answer, 1)
    assert child.call(answer, 2) == 4


@pytest.mark.parametrize(
    "statement",
    [
        "while True: pass",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(99)",
        "__import__('re').match('(a|a)*b', 'a' * 60)",  # never lets another thread run
    ],
)
def test_a_target_that_never_returns_is_stopped_where_it_is(statement: str, make: Make) -> None:
    child = make(_doing(statement), timeout=SHORT)
    child.start()
    started = time.monotonic()
    with pytest.raises(
        ChildTimeout, match=rf"timed out after {SHORT} s; it was at .*mine\.py:\d+ in answer$"
    ):
        child.call(answer, 1)
    assert time.monotonic() - started < SHORT + 2
    assert child.call(answer, 2) == 4


@pytest.mark.parametrize(
    "statement",
    [
        "os.kill(os.getpid(), 19)",
        "import faulthandler\nfaulthandler.cancel_dump_traceback_later()\ntime.sleep(99)",
    ],
)
def test_a_child_that_cannot_stop_itself_is_killed(
    statement: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", SHORT)
    child = make(_doing(statement.replace("19", str(int(signal.SIGSTOP)))), timeout=SHORT)
    with pytest.raises(ChildTimeout, match="timed out after"):
        child.call(answer, 1)
    assert child.call(answer, 2) == 4


def test_printing_forges_no_answer(make: Make) -> None:
    forged = "frame = b'\\0' * 16 + (64).to_bytes(8, 'big') + pickle.dumps(('answer', 2))"
    header = f"import pickle\n{forged}"
    child = make(_doing("os.write(1, frame); os.write(2, frame); os._exit(0)", header))
    with pytest.raises(ChildDied, match="exit status 0"):
        child.call(answer, 1)


# What a target does to its process is its own affair.


@pytest.mark.parametrize(
    "statement",
    [
        "os.closerange(0, 3)",
        "sys.stdout = sys.stderr = None",
        "os.chdir('/')",
        "sys.setrecursionlimit(sys.getrecursionlimit() // 20)",
        "__import__('numpy').seterr(all='raise')",
        "__import__('warnings').simplefilter('error')",
        "import threading\nthreading.Thread(target=time.sleep, args=(99,)).start()",
        "import threading\nthreading.Thread(target=sys.exit).start()",
        "import signal\n[signal.signal(s, signal.SIG_IGN) for s in (2, 13, 15)]",
        "os.fork()",
        "time.sleep = len = None",
    ],
)
def test_a_rude_target_is_still_answered_and_ended(statement: str, make: Make) -> None:
    child = make(_doing(statement, statement))  # at loading, and at a request
    for case in (1, 2, 3):
        assert child.call(answer, case) == 2 * case
    started = time.monotonic()
    child.close()
    assert time.monotonic() - started < 1


def test_nothing_waits_for_input_or_a_screen(make: Make) -> None:
    child = make("import os\ndef answer(case): return os.environ['MPLBACKEND'] if case else input()\n")
    assert child.call(answer, 1) == "Agg"
    with pytest.raises(ChildRaised, match="EOFError"):
        child.call(answer, 0)


def test_what_the_target_has_started_ends_with_it(make: Make) -> None:
    start = "import subprocess\ngrand = subprocess.Popen(['sleep', '99']).pid"
    child = make(f"{start}\ndef answer(case): return grand\n")
    grandchild = child.call(answer, 0)
    assert _is_alive(grandchild)
    child.close()
    assert _wait_for_end(grandchild)


def test_a_forked_target_ends_without_an_answer(make: Make) -> None:
    child = make("import os\ndef answer(case): return os.fork()\n")
    assert _wait_for_end(child.call(answer, 0))
    assert _wait_for_end(child.call(answer, 0))


def test_pauses_between_requests_are_under_no_limit(make: Make) -> None:
    child = make("import os\ndef answer(case): return os.getpid()\n", timeout=SHORT)
    first = child.call(answer, 0)
    time.sleep(2 * SHORT)
    assert child.call(answer, 0) == first


def test_a_started_program_does_not_inherit_the_connection(make: Make) -> None:
    script = "import os, stat; print(sum(stat.S_ISSOCK(os.stat(f).st_mode) for f in range(3, 64) if ok(f)))"
    script = script.replace("ok(f)", "os.path.exists(f'/dev/fd/{f}')")
    source = (
        "import subprocess, sys\n"
        f"def answer(case):\n    return subprocess.check_output([sys.executable, '-c', {script!r}], close_fds=False)\n"
    )
    assert int(make(source).call(answer, 0)) == 0


# Loading.


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("while True: pass", rf"timed out after {SHORT} s; it was at .*mine\.py:1$"),
        ("import os\nos._exit(0)", "loading it failed: its process ended, exit status 0$"),
        ("1 / 0", r"loading it failed: ZeroDivisionError: division by zero \(.*mine\.py:1\)$"),
        ("import sys\nsys.exit('bye')", r"loading it failed: SystemExit: bye \(.*mine\.py:2\)$"),
        ("x = input()", "loading it failed: EOFError"),
        ("answers = 1", "has no answer"),
    ],
)
def test_a_target_that_cannot_be_loaded_is_reported(source: str, message: str, make: Make) -> None:
    child = make(source, load_timeout=SHORT if "while" in source else 20)
    for _ in range(2):
        with pytest.raises(TargetError, match=message):
            child.start()


def test_a_cell_that_never_ends_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.ipynb"
    cells: list[Any] = [
        {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for source in ("x = 1", "while x:\n    pass")
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    file.write_text(json.dumps(notebook), "utf-8")
    child = Child(Target(f"{file}:answer"), 20, 1.0, (answer,))
    with child, pytest.raises(TargetError, match=r"timed out after 1 s; it was at notes\.ipynb\[2\]:[12]"):
        child.start()


def test_a_script_sees_no_arguments_and_one_thread(make: Make) -> None:
    source = (
        "import argparse, os\nargparse.ArgumentParser().parse_args()\n"
        "def answer(case): return [os.environ[f'{name}_NUM_THREADS'] for name in case]\n"
    )
    assert make(source).call(answer, ["OMP", "OPENBLAS", "MKL"]) == ["1", "1", "1"]


def test_the_child_starts_light_and_with_the_gates_own_path(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "more")])
    child = make(
        "import sys\ndef answer(case): return list(sys.modules), sys.path, sys.modules['parity_tests'].__file__\n"
    )
    modules, path, gate = child.call(answer, 0)
    assert not {"torch", "hypothesis", "pytest", "nbformat"} & set(modules)
    assert str(tmp_path / "more") in path
    assert gate == sys.modules["parity_tests"].__file__


# Ends of the gate itself.


def _gate(file: Path, then: str) -> "subprocess.Popen[str]":
    """A gate in a process of its own, which prints the child's process number."""
    script = (
        "import sys\nfrom parity_tests.gate_tests.subjects.calling import answer\n"
        "from parity_tests.subjects.sandbox.parent import Child\nfrom parity_tests.subjects.loading import Target\n"
        f"with Child(Target({str(file) + ':answer'!r}), 0.8, 20, (answer,)) as child:\n"
        f"    print(child.call(answer, 0), flush=True)\n    {then}\n"
    )
    paths = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("child.call(answer, 1)", signal.SIGINT),
        ("child.call(answer, 1)", signal.SIGKILL),
        ("sys.stdin.read(1)", signal.SIGKILL),
    ],
)
def test_the_child_ends_with_the_gate(then: str, number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    lasting = "import os, threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n"
    file.write_text(f"{lasting}def answer(case):\n    while case: pass\n    return os.getpid()\n", "utf-8")
    then = then.replace("sys.stdin.read(1)", "__import__('time').sleep(99)")
    with _gate(file, then) as gate:
        assert gate.stdout is not None
        child = int(gate.stdout.readline())
        time.sleep(0.2)
        assert _is_alive(child)
        gate.send_signal(number)
        gate.wait(5)
        assert _wait_for_end(child)


def test_a_closed_child_starts_again(make: Make) -> None:
    child = make("import os\ndef answer(case): return os.getpid()\n")
    first: Any = child.call(answer, 0)
    child.close()
    child.close()
    assert child.call(answer, 0) != first
    assert _wait_for_end(first)
