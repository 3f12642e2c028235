"""Options: a bad value is refused at once, in one line that states what is allowed."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity_tests
import rnn_np
from parity_tests.cases.case import Case
from parity_tests.checks.known_failures import read_known
from parity_tests.run.cli import main
from parity_tests.run.options import MAX_WORKERS, OptionError, checked_options, whole_number

LONG = "9" * 1_000_000
DAY = "0.001 to 86400 seconds, which is a day"


class Rude:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(name)


class _Meta(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Closed(metaclass=_Meta):
    """A class of which nothing can be asked."""


BAD: list[tuple[str, str, list[Any]]] = [
    ("timeout", DAY, ["1e308", "1e-320", "inf", LONG, 10**400, 1e5]),
    ("timeout", "above 0", ["nan", "0", "-1", "", "1_0", "\u0663", "0x1", True, [], Rude()]),
    ("cases", "10,000,000", [10**23, str(10**23), LONG, 10**5000, "0" * 9 + str(10**9)]),
    ("cases", "at least", ["0", -1, "1_000", "\u0661\u0662", "", " 5", "+5", "5.0", 5.0, True, Rude()]),
    ("seed", "9,223,372,036,854,775,807", [2**63, LONG]),
    ("seed", "at least", ["1_0", "-1", "Fresh", np.array([1, 2]), Rude()]),
    (
        "case",
        "100,000",
        ["B1T67108864D1H1-f64-s0", "B1T999999999D99H1-f64-s0", "nn-B1T16000D1H1L4-bi-f64-s0"],
    ),
    ("case", "8,388,608", ["B1T1D20000H20000-f64-s0", "B99999T9999D1H1-f64-s0"]),
    ("case", "200 characters", [LONG, f"B{LONG}T1D1H1-f64-s0", f"B1T1D1H1-f64-s{LONG}"]),
    ("case", "B2T3D4H5-f64-s0", ["", 5, b"B1", Rude(), "B\u0661T1D1H1-f64-s0"]),
    ("case", "9223372036854775808", [f"B1T1D1H1-f64-s{2**63}"]),
    ("target", "4096 characters", ["a\0.py:RNN", f"{LONG}.py:RNN"]),
    ("target", "it cannot be looked at: RuntimeError: __wrapped__", [Closed]),
    ("known", "a file", [5, [], Rude()]),
    ("without", "names", [5, [5], Rude()]),
    ("reference", "torch or recorded", [5, [], Rude()]),
    ("lines", "yes or no", [5, [], np.array([1, 2]), np.zeros(1, "i4,f8"), Rude()]),
    ("kind", "layer, cell, module, adapter, package", [5, [], LONG, Rude()]),
]


@pytest.mark.parametrize(
    ("name", "allowed", "values"), BAD, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_value_out_of_bounds_is_refused(name: str, allowed: str, values: list[Any]) -> None:
    for value in values:
        started = time.monotonic()
        with pytest.raises(OptionError) as refusal:
            checked_options({name: value})
        message = str(refusal.value)
        assert allowed in message
        assert message.startswith("as: " if name == "kind" else f"{name}: ")
        assert "\n" not in message
        assert len(message) < 400
        assert time.monotonic() - started < 1


def test_values_at_the_bounds_are_taken() -> None:
    for timeout in ("86400", 0.001, np.float32(1)):
        assert checked_options({"timeout": timeout}).timeout == pytest.approx(float(timeout))
    assert checked_options({"cases": "0010000000"}).cases == 10_000_000
    assert checked_options({"seed": 2**63 - 1}).seed == 2**63 - 1
    assert Case.parse("B1T100000D1H1-f64-s0").T == 100_000
    assert whole_number("workers", "256", "", 0, MAX_WORKERS) == 256


def test_the_command_and_python_refuse_alike(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--workers", str(10**9)]) == 2
    assert "argument --workers: expected at most 256, got '1000000000'" in capfd.readouterr().err
    assert main(["--cases", str(10**23), "--workers", "0"]) == 2
    assert "cases: expected at most 10,000,000, got '100000000000000000000000'" in capfd.readouterr().err
    with pytest.raises(
        ValueError, match=r"^cases: expected at most 10,000,000, got 100000000000000000000000$"
    ):
        parity_tests.check(rnn_np.TimeRNN, cases=10**23)
    with pytest.raises(TypeError, match="B: expected a whole number, got 'x'"):
        Case(B="x", T=1, D=1, H=1)  # type: ignore[arg-type]


def test_a_file_of_known_failures_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\xff")
    large.write_bytes(b"#" * (2**20 + 1))
    for file, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file or directory"),
        (binary, "'utf-8' codec"),
        (large, "expected at most 1,048,576 bytes"),
        (Path("/dev/zero"), "expected at most 1,048,576 bytes"),
        (tmp_path / "a\0", "null"),
        (tmp_path / "a\nb", "No such file or directory"),
    ):
        with pytest.raises(ValueError, match=f"^known: cannot read .*{reason}") as refusal:
            read_known(file)
        assert "\n" not in str(refusal.value)
    (tmp_path / "empty").touch()
    assert read_known(tmp_path / "empty") == {}
