"""The doors in everybody's environment: without torch, without an extra, with another torch, on Windows."""

import importlib.metadata
import importlib.util
import inspect
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import parity_tests
import rnn_np
from parity_tests import api
from parity_tests.cases.features import undeclared
from parity_tests.gate_tests.run.test_run import NO_TORCH, run
from parity_tests.references import recorded
from parity_tests.run.options import REFERENCES, checked_options
from parity_tests.run.runner import Run
from parity_tests.run.show.render import header
from parity_tests.subjects.interfaces import INTERFACES
from parity_tests.subjects.sandbox.framing import read_plain

CASE = "B2T3D4H5-f64-s0"
Hide = Callable[..., None]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Makes packages look as if they were not installed."""
    find = importlib.util.find_spec

    def without(*names: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name, *rest)
        )

    return without


class Doubled(rnn_np.TimeRNN):
    """Faulty in dx alone."""

    def backward(self, dhs: Any) -> Any:
        return 2 * super().backward(dhs)


def named_tests(mark: pytest.MarkDecorator) -> Mapping[str, Callable[[], None]]:
    return dict(zip(mark.kwargs["ids"], mark.args[1], strict=True))


def test_without_torch_the_recorded_cases_are_used_unless_a_number_is_given(hide: Hide) -> None:
    hide("torch", "hypothesis")
    expected = sum(
        case.layer == "RNN" and not undeclared(case, ()) for case in recorded.default_recorded().cases
    )
    assert parity_tests.check(rnn_np.RNN).cases == expected
    parity_tests.assert_parity(rnn_np.RNN)
    own = named_tests(parity_tests.parametrize(rnn_np.RNN))
    assert [name for name in own if name.startswith("batch")] == ["batch 0"]
    own["batch 0"]()
    for door in (parity_tests.check, parity_tests.parametrize):
        with pytest.raises(
            ValueError,
            match=r"cannot be set to 5 here: fresh cases need torch: pip install torch hypothesis; the recorded",
        ):
            door(rnn_np.RNN, cases=5)
        with pytest.raises(ValueError, match="reference: torch is not installed: pip install torch"):
            door(rnn_np.RNN, reference="torch")


def test_tests_of_ones_own_take_the_recorded_cases_if_told_to() -> None:
    own = named_tests(parity_tests.parametrize(rnn_np.RNN, reference="recorded"))
    assert "batch 0" in own
    assert "batch 1" not in own


def test_torch_without_hypothesis_names_what_is_missing(hide: Hide) -> None:
    pytest.importorskip("torch")
    message = (
        "reference: hypothesis is not installed, and it draws the cases that torch answers; "
        "pip install hypothesis, or use --reference recorded"
    )
    status, output = run("--workers", "0", code=NO_TORCH.format(hidden={"hypothesis"}))
    assert (status, output.strip()) == (2, f"rnn-parity: NOT JUDGED: {message}")
    hide("hypothesis")
    for door in (parity_tests.check, parity_tests.parametrize):
        with pytest.raises(ValueError, match="hypothesis is not installed"):
            door(rnn_np.TimeRNN)
    # One case needs no draw, and recorded ones do not either.
    assert parity_tests.check(rnn_np.TimeRNN, case=CASE).ok
    assert parity_tests.check(rnn_np.RNN, reference="recorded").ok


@pytest.mark.parametrize("module", ["threadpoolctl", "pytest"])
def test_python_s_doors_name_what_to_install(module: str, hide: Hide) -> None:
    hide(module)
    message = f"^{module} is not installed: pip install {module}$"
    with pytest.raises(ModuleNotFoundError, match=message):
        parity_tests.parametrize(rnn_np.TimeRNN)
    if module == "pytest":  # which only tests need
        assert parity_tests.check(rnn_np.TimeRNN, case=CASE, reference=None).cases == 1
    else:
        with pytest.raises(ModuleNotFoundError, match=message):
            parity_tests.check(rnn_np.TimeRNN)


@pytest.mark.parametrize(
    ("modules", "line"),
    [
        (["xdist"], "xdist is not installed: pip install pytest-xdist"),
        (["threadpoolctl"], "threadpoolctl is not installed: pip install threadpoolctl"),
        (
            ["pytest", "xdist", "torch", "hypothesis"],
            "pytest is not installed: pip install pytest pytest-xdist; for random cases also torch hypothesis",
        ),
    ],
)
def test_the_command_names_what_to_install(
    modules: list[str], line: str, hide: Hide, capsys: pytest.CaptureFixture[str]
) -> None:
    from parity_tests.__main__ import main

    hide(*modules)
    assert main() == 2
    assert capsys.readouterr().err == f"rnn-parity: {line}\n"


def test_another_torch_than_the_recorded_one_gets_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    options = checked_options({"cases": 1, "reference": "torch"})
    with Run.open(options) as usual:
        assert "notice" not in "".join(header(usual))
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.6.0+cu124" if name == "torch" else installed(name)
    )
    with Run.open(options) as other:
        lines = [line for line in header(other) if "notice" in line]
        assert len(lines) == 1
        assert (
            "torch 2.6.0+cu124 is the reference; the recorded answers are those of torch 2.13.0" in lines[0]
        )
        assert other.to_json()["notices"] == [lines[0].partition("notice: ")[2]]
    with Run.open(replace(options, reference="recorded", cases=None)) as without:
        assert "notice" not in "".join(header(without))


def test_where_no_child_process_can_start_a_class_is_judged_and_a_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("from rnn_np import RNN\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(os, "killpg")
    monkeypatch.delattr(os, "set_blocking")
    monkeypatch.delattr(signal, "SIGKILL")
    assert parity_tests.check(rnn_np.TimeRNN, case=CASE).ok
    for target in ("mine.py:RNN", "mine.ipynb:RNN", "mine:RNN"):
        with pytest.raises(ValueError, match=rf"^{target}: .* needs Linux or macOS; .*parity_tests\.check$"):
            parity_tests.check(target)
        with pytest.raises(ValueError, match="needs Linux or macOS"):
            parity_tests.parametrize(target)


PICKLED_BY_NUMPY_1 = [
    (
        (
            b"\x80\x05\x95\x83\x00\x00\x00\x00\x00\x00\x00\x8c\x12numpy.core.nume"
            b"ric\x94\x8c\x0b_frombuffer\x94\x93\x94(\x96\x10\x00\x00\x00\x00\x00"
            b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x94\x8c\x05numpy\x94\x8c"
            b"\x05dtype\x94\x93\x94\x8c\x02f8\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94N"
            b"NNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x02\x85\x94\x8c\x01C\x94t\x94R"
            b"\x94."
        ),
        [0, 1],
    ),
    (
        (
            b"\x80\x05\x95e\x00\x00\x00\x00\x00\x00\x00\x8c\x15numpy.core.mult"
            b"iarray\x94\x8c\x06scalar\x94\x93\x94\x8c\x05numpy\x94\x8c\x05"
            b"dtype\x94\x93\x94\x8c\x02f4\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NN"
            b"NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bC\x04\x00\x00\x00@\x94\x86\x94R\x94."
        ),
        2,
    ),
    (
        (
            b"\x80\x05\x95\x9a\x00\x00\x00\x00\x00\x00\x00\x8c\x15numpy.core.mult"
            b"iarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05nu"
            b"mpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94"
            b"(K\x01K\x02K\x02\x86\x94h\x03\x8c\x05dtype\x94\x93\x94\x8c\x02f4\x94\x89\x88"
            b"\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94"
            b"b\x89C\x10\x00\x00\x80?\x00\x00\x80?\x00\x00\x80?\x00\x00\x80?\x94t\x94b."
        ),
        [[1, 1], [1, 1]],
    ),
]
"""What NumPy 1.26.0 writes of arange(2.0), float32(2) and a strided array, and their values."""


@pytest.mark.filterwarnings(
    "ignore:numpy.core.numeric is deprecated"
)  # by NumPy 2, which reads it all the same
@pytest.mark.parametrize(("data", "value"), PICKLED_BY_NUMPY_1)
def test_arrays_pickled_by_numpy_1_are_read(data: bytes, value: Any) -> None:
    assert np.array_equal(read_plain(data), value)


def known(folder: Path, *lines: str) -> Path:
    file = folder / "known.txt"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def test_a_known_failure_that_passes_fails_one_test_of_ones_own(tmp_path: Path) -> None:
    file = known(
        tmp_path, "values of dx: doubled for our optimizer", "inputs copied of dWx: old", "state kept: old"
    )
    own = named_tests(parity_tests.parametrize(Doubled, known=file, reference="recorded"))
    named = [name for name in own if name.startswith("known failure")]
    assert named == [
        "known failure values of dx",
        "known failure inputs copied of dWx",
        "known failure state kept",
    ]
    own["batch 0"]()  # it is excused
    own["known failure values of dx"]()
    for name, reason in (("inputs copied of dWx", "old"), ("state kept", "old")):
        with pytest.raises(AssertionError, match=rf"'{name}' passes now: .*\({reason}\)"):
            own[f"known failure {name}"]()


def test_a_known_failure_needs_no_other_test_in_the_same_process(tmp_path: Path) -> None:
    file = known(tmp_path, "values of dx: doubled for our optimizer")
    own = named_tests(parity_tests.parametrize(Doubled, known=file, reference="recorded"))
    own["known failure values of dx"]()
    own = named_tests(parity_tests.parametrize(rnn_np.RNN, known=file, reference="recorded"))
    with pytest.raises(AssertionError, match="'values of dx' passes now"):
        own["known failure values of dx"]()


def test_the_package_shows_its_public_names_alone() -> None:
    assert dir(parity_tests) == sorted([*parity_tests.__all__, "__version__"])
    assert {"check", "assert_parity", "parametrize"} < {*parity_tests.__all__}
    assert parity_tests.__version__ == rnn_np.__version__


def test_the_options_are_typed() -> None:
    options = api.CheckOptions.__annotations__
    assert [*inspect.signature(parity_tests.check).parameters] == ["target", *options]
    parameters = inspect.signature(parity_tests.parametrize).parameters
    assert [*parameters] == ["target", *(name for name in options if name not in ("case", "shard", "resume"))]
    assert get_args(api.Interface) == INTERFACES
    assert get_args(api.Reference) == REFERENCES
