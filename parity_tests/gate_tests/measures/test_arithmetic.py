"""``tools.arithmetic``: a setting counts only where a process computes so."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("rich", reason="it prints the table")

from parity_tests.selftest.measures import arithmetic
from parity_tests.selftest.measures.arithmetic import Setting, in_effect, measured, row, settings

PLAIN = {"blas": "Haswell", "threads": 1, "torch": "AVX2", "onednn": True, "numpy": ["X86_V3", "X86_V4"]}
EQUAL = {
    "verdict": "EQUAL",
    "ok": True,
    "cases": 9,
    "headline": "",
    "worst": 0.1,
    "where": "dx, B1",
    "versions": "",
}


def result(**effect: Any) -> dict[str, Any]:
    return {**EQUAL, "effect": {**PLAIN, **effect}}


def setting(name: str) -> Setting:
    return next(each for each in settings(PLAIN, ["python9"]) if each.name == name)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("OPENBLAS_CORETYPE=Nehalem", {"blas": "Nehalem"}),
        ("ATEN_CPU_CAPABILITY=default", {"torch": "DEFAULT"}),
        ("oneDNN off", {"onednn": False}),
        ("NPY_DISABLE_CPU_FEATURES=X86_V4", {"numpy": ["X86_V3"]}),
        ("NPY_DISABLE_CPU_FEATURES=X86_V3 X86_V4", {"numpy": []}),
        ("2 threads", {"threads": 2}),
    ],
)
def test_a_setting_without_effect_is_no_verdict(name: str, other: dict[str, Any]) -> None:
    cells, right = row(setting(name), result())
    assert cells[1] == "NOT IN EFFECT"
    assert "EQUAL" not in " ".join(cells)
    assert right
    cells, right = row(setting(name), result(**other))
    assert cells[1:4:2] == ("yes", "EQUAL (9)")
    assert right


def test_a_difference_fails_and_so_does_what_was_asked_for_and_cannot_run() -> None:
    wrong = {**result(), "ok": False, "headline": "DIFFERENT: values of dx"}
    assert row(setting("as installed"), wrong)[1] is False
    refused = measured(setting("python9"), 1, 0)
    assert refused == {"error": "it cannot be started: No such file or directory"}
    assert row(setting("python9"), refused)[1] is False
    assert row(setting("OPENBLAS_CORETYPE=Nehalem"), {"error": "it died"})[1]  # the processor may not have it


WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
from parity_tests.selftest.measures.arithmetic import in_effect
print(json.dumps(in_effect()))
"""


def test_a_process_says_what_is_in_effect() -> None:
    here = in_effect()["numpy"]
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(here[-1:])}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env=environment, capture_output=True, text=True, check=True
    )
    effect = json.loads(done.stdout)
    assert (effect["numpy"], effect["torch"], effect["threads"]) == (here[:-1], "", 1)


def test_the_table_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(arithmetic, "measured", lambda setting, *_: result())
    assert arithmetic.main(["--only", "oneDNN", "--python", "python9"]) == 0
    assert "NOT IN EFFECT" in capsys.readouterr().out
