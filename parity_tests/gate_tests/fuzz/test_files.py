"""Files that are read: targets, notebooks, known failures, recorded answers and their manifest."""

import ast
import hashlib
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws the examples")

from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

import parity_tests
import rnn_np
from parity_tests.cases.arrays import calls_of
from parity_tests.checks.known_failures import read_known
from parity_tests.checks.registry import ALL_CHECKS
from parity_tests.checks.values import ReferencesDisagree, allowances_of, judge
from parity_tests.gate_tests.fuzz import changed
from parity_tests.gate_tests.fuzz.examples import fuzzed
from parity_tests.references.recorded import MANIFEST, RecordedError, default_recorded, read
from parity_tests.subjects.drivers import run_case

MOST_CHARACTERS = 1000
TOKEN = "cell-B1D2H2-f64-s0"
LAYER = """import numpy as np


class RNN:
    def __init__(self, Wx, Wh, b):
        self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]

    def forward(self, x, h_prev):
        self.cache = x, h_prev, np.tanh(x @ self.params[0] + h_prev @ self.params[1] + self.params[2])
        return self.cache[2].copy()

    def backward(self, dh_next):
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        for grad, value in zip(self.grads, (x.T @ dt, h_prev.T @ dt, dt.sum(axis=0))):
            grad[...] = value
        return dt @ self.params[0].T, dt @ self.params[1].T
"""
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# A layer\n"]},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": LAYER,
        },
        {
            "cell_type": "code",
            "id": "c",
            "metadata": {},
            "execution_count": 1,
            "outputs": [],
            "source": ["%time 1"],
        },
    ],
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
RECORDED = default_recorded()
CASES = [case for case in RECORDED.cases if case.dtype == "f64" and case.B * case.T * case.H < 500][::3]


def check_line(message: str) -> None:
    assert "\n" not in message
    assert 10 < len(message) < MOST_CHARACTERS, len(message)


def judged(spec: str) -> bool:
    """Whether a target is equal to the reference; it is refused in a line where it cannot be judged."""
    try:
        report = parity_tests.check(spec, case=TOKEN, lines=False, timeout=2)
    except ValueError as error:
        message = str(error)
    else:
        assert report.ok == (report.exit_code == 0)
        assert not report.ok or {"dx", "dh_0", "dWx", "dWh", "db"} < {*report.tensors}
        return report.ok
    check_line(message)
    return False


def is_python(source: bytes) -> bool:
    """Whether a file has a class ``RNN`` with both passes."""
    try:
        names = {
            node.name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
    except (SyntaxError, ValueError):
        return False
    return {"RNN", "forward", "backward"} <= names


@fuzzed(
    0.003,
    source=changed.text(st.just(LAYER)).map(lambda text: text.encode(errors="replace"))
    | changed.data(LAYER.encode()),
)
def test_targets(source: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(source)
    assert not judged(f"{tmp_path}/mine.py:RNN") or is_python(source)


def notebooks() -> SearchStrategy[bytes]:
    whole = json.dumps(NOTEBOOK).encode()
    return changed.data(whole) | changed.tree(NOTEBOOK).map(json.dumps).map(str.encode)


@fuzzed(0.003, source=notebooks())
def test_notebooks(source: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.ipynb").write_bytes(source)
    assert not judged(f"{tmp_path}/mine.ipynb:RNN") or b"class RNN" in source


def test_the_unchanged_files_are_equal(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LAYER, "utf-8")
    (tmp_path / "note.ipynb").write_text(json.dumps(NOTEBOOK), "utf-8")
    assert judged(f"{tmp_path}/mine.py:RNN")
    assert judged(f"{tmp_path}/note.ipynb:RNN")


KNOWN = "# ours\n\nvalues of dh_0: doubled for our optimizer\nshape of dx : a column\nprints: says hello\n"


@fuzzed(
    0.06,
    source=changed.text(st.just(KNOWN)).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | changed.data(KNOWN.encode()),
)
def test_known_failures(source: bytes, tmp_path: Path) -> None:
    file = tmp_path / "known"
    file.write_bytes(source)
    try:
        known = read_known(file)
    except ValueError as error:
        message = str(error)
    else:
        names = [check.name for check in ALL_CHECKS]
        assert all(what.partition(" of ")[0] in names and reason.strip() for what, reason in known.items())
        return
    check_line(message)
    assert message.startswith("known: ")


def small() -> tuple[dict[str, Any], bytes]:
    """A manifest of one file of two cases, and the file."""
    data = io.BytesIO()
    cases = CASES[:2]
    arrays = {f"{case}/{name}": array for case in cases for name, array in RECORDED.arrays[case].items()}
    np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
    entry = {"sha256": hashlib.sha256(data.getvalue()).hexdigest(), "cases": list(map(str, cases))}
    return {"format": 1, "versions": {"torch": "2.13.0"}, "files": {"cases-0.npz": entry}}, data.getvalue()


SMALL, SMALL_FILE = small()


def check_folder(folder: Path) -> bool:
    """Whether recorded answers can be read and asked; if not, the error says in a line why."""
    try:
        recorded = read(folder)
        answers = [recorded(case, calls_of(case)) for case in recorded.cases]
    except RecordedError as error:
        message = str(error)
    else:
        assert all(answers)
        return True
    check_line(message)
    return False


def manifests() -> SearchStrategy[bytes]:
    whole = json.dumps(SMALL).encode()
    return changed.tree(SMALL).map(json.dumps).map(str.encode) | changed.data(whole)


@fuzzed(0.05, manifest=manifests())
def test_manifests(manifest: bytes, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(manifest)
    (tmp_path / "cases-0.npz").write_bytes(SMALL_FILE)
    if check_folder(tmp_path):
        hashes = [entry["sha256"] for entry in json.loads(manifest)["files"].values()]
        assert {*hashes} == {SMALL["files"]["cases-0.npz"]["sha256"]}


@fuzzed(0.03, data=changed.data(SMALL_FILE))
def test_files_of_answers(data: bytes, tmp_path: Path) -> None:
    """Under a right hash, for under a wrong one no byte is looked at."""
    entry = {**SMALL["files"]["cases-0.npz"], "sha256": hashlib.sha256(data).hexdigest()}
    (tmp_path / MANIFEST).write_text(json.dumps({**SMALL, "files": {"cases-0.npz": entry}}), "utf-8")
    (tmp_path / "cases-0.npz").write_bytes(data)
    check_folder(tmp_path)


ARRAY_CHANGES: dict[str, Any] = {
    "float32": lambda array: array.astype(np.float32),
    "whole": lambda array: array.astype(np.int64),
    "longer": lambda array: np.concatenate([array, array[:1]]),
    "flat": lambda array: array.reshape(1, -1),
    "scalar": lambda array: array.reshape(-1)[0],
    "left out": lambda array: None,
}


@fuzzed(0.02, number=st.integers(0, 99), change=st.sampled_from(sorted(ARRAY_CHANGES)), extra=st.booleans())
def test_other_arrays_than_those_of_the_case(number: int, change: str, extra: bool, tmp_path: Path) -> None:
    with np.load(io.BytesIO(SMALL_FILE)) as file:
        arrays = dict(file)
    name = sorted(arrays)[number % len(arrays)]
    own = arrays.pop(name)
    changed_array = ARRAY_CHANGES[change](own)
    if changed_array is not None:
        arrays[name] = changed_array
    if extra:
        arrays[f"{name}2"] = own
    data = io.BytesIO()
    np.savez(data, **arrays)
    entry = {**SMALL["files"]["cases-0.npz"], "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    (tmp_path / MANIFEST).write_text(json.dumps({**SMALL, "files": {"cases-0.npz": entry}}), "utf-8")
    (tmp_path / "cases-0.npz").write_bytes(data.getvalue())
    is_same = (
        not extra
        and changed_array is not None
        and (changed_array.dtype, changed_array.shape) == (own.dtype, own.shape)
    )
    assert check_folder(tmp_path) == is_same


@fuzzed(0.03, data=st.data())
def test_a_falsified_answer_is_not_believed(data: DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    calls = calls_of(case)
    answers = [dict(answer) for answer in RECORDED(case, calls)]
    number = data.draw(st.integers(0, len(answers) - 1))
    name = data.draw(st.sampled_from(sorted(answers[number])))
    truth = answers[number][name]
    at = data.draw(st.integers(0, truth.size - 1))
    value = float(truth.flat[at])
    odd = data.draw(st.sampled_from((np.nan, np.inf, -np.inf, 0.0, 1.0, -value, value * (1 + 1e-6), 1e300)))
    allowed = allowances_of(case, calls, answers)[number].get(name)
    inconclusive = allowed is not None and allowed.inconclusive.reshape(-1)[at // truth.shape[-1]]
    # A number may hide within the rounding of a slice that is not conclusive, or be the same.
    both_finite = np.isfinite(odd) == np.isfinite(value)
    slack = 0.0 if allowed is None else float(allowed.allow.reshape(-1)[at // truth.shape[-1]])
    if both_finite and (inconclusive or not np.isfinite(odd) or abs(odd - value) <= slack):
        return
    falsified = truth.copy()
    falsified.flat[at] = odd
    answers[number][name] = falsified
    with pytest.raises(ReferencesDisagree, match="two references differ"):
        judge(case, lambda *_: answers, partial(run_case, rnn_np))
