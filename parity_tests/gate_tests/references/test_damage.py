"""Recorded answers whose hashes are right and whose contents are not: an error in one line, at once."""

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.references import recorded
from parity_tests.references.recorded import MANIFEST, RecordedError, read

TOKEN = "B1T1D1H1-f64-s0"
RECORDED = recorded.default_recorded()


def _npz(**arrays: Any) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def _zip(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as file:
        file.writestr(name, content)
    return data.getvalue()


def _npy(header: str) -> bytes:
    text = f"{header:<117}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(8)


def _changed(data: bytes, at: int, by: bytes) -> bytes:
    return data[:at] + by + data[at + len(by) :]


GOOD = _npz(a=np.arange(999.0))
KEY = f"{TOKEN}/0/in/xs.npy"
FILES = {
    "empty": b"",
    "no zip": b"PK\3\4",
    "half a zip": GOOD[: len(GOOD) // 2],
    "garbage in the data": _changed(GOOD, 60, bytes(99)),
    "an unknown compression": _changed(_changed(GOOD, 8, b"\x63"), GOOD.rindex(b"PK\1\2") + 10, b"\x63"),
    "an encrypted member": _changed(GOOD, GOOD.rindex(b"PK\1\2") + 8, b"\1"),
    "an empty member": _zip(KEY, b""),
    "a member that is no array": _zip(KEY, b"text"),
    "a member without .npy": _zip(f"{TOKEN}/0/in/xs", b"text"),
    "an array without data": _zip(KEY, _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }")),
    "an array of 2**60 numbers": _zip(
        KEY, _npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**60},), }}")
    ),
    "a header that is no literal": _zip(KEY, _npy("(" * 90)),
    "an odd dtype": _zip(KEY, _npy("{'descr': '1,,', 'fortran_order': False, 'shape': (1,), }")),
    "objects": _npz(**{f"{TOKEN}/0/in/xs": np.array([None])}),
    "strings": _npz(**{f"{TOKEN}/0/in/xs": np.array(["a"])}),
    "records": _npz(**{f"{TOKEN}/0/in/xs": np.zeros(1, "i4,f8")}),
}


def _folder(folder: Path, data: bytes, name: str = "cases-0.npz", cases: Any = (TOKEN,)) -> Path:
    if name == "cases-0.npz":
        (folder / name).write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "cases": list(cases)}
    manifest = {"format": recorded.FORMAT, "versions": {}, "files": {name: entry}}
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    return folder


def _refused(folder: Path) -> str:
    with pytest.raises(RecordedError) as refusal:
        read(folder)
    message = str(refusal.value)
    assert "\n" not in message
    assert 20 < len(message) < 600
    return message


@pytest.mark.parametrize("what", FILES)
def test_a_damaged_file_under_a_right_hash_is_refused(what: str, tmp_path: Path) -> None:
    assert "cases-0.npz" in _refused(_folder(tmp_path, FILES[what]))


def test_a_file_that_unpacks_to_257_mib_is_refused(tmp_path: Path) -> None:
    assert "expected at most 268,435,456 bytes" in _refused(_folder(tmp_path, _zip(KEY, bytes(257 * 2**20))))


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "9" * 5000, "\0", "null", '"', "NaN"])
def test_a_manifest_that_is_none_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MANIFEST).write_text(text, "utf-8")
    _refused(tmp_path)
    monkeypatch.setattr(recorded, "default_folder", lambda: tmp_path)
    assert recorded.recorded_versions() == {}
    (tmp_path / MANIFEST).write_bytes(text.encode("utf-16"))
    _refused(tmp_path)


def _as_folder(folder: Path) -> None:
    (folder / MANIFEST).mkdir()


def _of_another_folder(folder: Path) -> None:
    _folder(folder, b"", "../cases-0.npz")


def _of_a_device(folder: Path) -> None:
    _folder(folder, b"", "/dev/zero")


def _too_large(folder: Path) -> None:
    with (folder / MANIFEST).open("wb") as file:
        file.truncate(2**28 + 1)


@pytest.mark.parametrize("make", [_as_folder, _of_another_folder, _of_a_device, _too_large])
def test_only_files_of_the_folder_are_read(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)
    _refused(tmp_path)


@pytest.mark.parametrize("change", ["missing", "added", "shape", "dtype"])
def test_answers_of_another_form_than_the_cases_are_refused(change: str, tmp_path: Path) -> None:
    case = Case.parse(TOKEN)
    arrays = {f"{TOKEN}/{key}": value for key, value in RECORDED.arrays[case].items()}
    key = f"{TOKEN}/0/out/dx"
    value = arrays.pop(key)
    if change != "missing":
        changed = {"shape": value[0], "dtype": value.astype("f4")}
        arrays |= {key: changed.get(change, value), **({f"{key}2": value} if change == "added" else {})}
    own = read(_folder(tmp_path, _npz(**arrays)))
    with pytest.raises(RecordedError, match=f"{TOKEN}: the recorded answer has other tensors"):
        own(case, calls_of(case))


def test_a_case_that_is_too_large_is_refused(tmp_path: Path) -> None:
    assert "time steps" in _refused(
        _folder(
            tmp_path, _npz(**{f"B1T{10**9}D1H1-f64-s0/0/a": np.ones(1)}), cases=[f"B1T{10**9}D1H1-f64-s0"]
        )
    )
