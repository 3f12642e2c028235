"""Answers recorded from torch, so that the gate also runs where torch is not installed.

``manifest.json`` names the versions they came from, and for every file its SHA-256 and the tokens
of its cases. A file is an ``.npz`` without pickled objects; its keys are
``<token>/<call>/in/<array>`` and ``<token>/<call>/out/<tensor>``. The SHA-256 of the manifest itself is part
of the package (``recorded.sha256``), so that a manifest with fewer cases is not taken for the recorded one.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import SECOND_BIAS, Answer, canonical, native_shape, tensor_names

FORMAT = 1
CASES_A_FILE = 20
MANIFEST = "manifest.json"
_PACKAGE = Path(__file__).parents[1]
SEAL = Path(__file__).with_name("recorded.sha256")
"""The SHA-256 of the project's own manifest, written when the answers are recorded."""
MAX_BYTES = 2**28
"""Of a file, and of the arrays in it; those of the project have 4 MB in all."""
MAX_REASON = 300
"""Characters shown of an error's message."""


class RecordedError(Exception):
    """The recorded answers are missing, altered, or not those of the cases as made here."""


def default_folder() -> Path:
    """The folder of the recorded answers: in the installed package, or next to it in a checkout."""
    inside = _PACKAGE / "fixtures"
    return inside if inside.is_dir() else _PACKAGE.parent / "fixtures"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Recorded answers, read and verified; called like any reference."""

    versions: Mapping[str, str]
    arrays: Mapping[Case, Mapping[str, Array]]

    @property
    def cases(self) -> list[Case]:
        """The recorded cases, in the manifest's order."""
        return list(self.arrays)

    def __call__(self, case: Case, calls: Sequence[Call]) -> list[Answer]:
        """Return the recorded answers to the calls of a case.

        Raises:
            RecordedError: the case is not recorded, or was recorded of other inputs.
        """
        if case not in self.arrays:
            raise RecordedError(f"{case}: not among the {len(self.arrays)} recorded cases")
        arrays, answers = self.arrays[case], []
        for number, call in enumerate(calls):
            made = call.arrays()
            kept = _part(arrays, f"{number}/in/")
            if made.keys() != kept.keys() or any(
                made[name].dtype != kept[name].dtype
                or not np.array_equal(made[name], kept[name], equal_nan=True)
                for name in made
            ):
                raise RecordedError(f"{case}: the inputs made here are not those recorded")
            answers.append(_checked(case, call, _part(arrays, f"{number}/out/")))
        return answers


def read(folder: Path, sha256: str | None = None) -> Recorded:
    """Read and verify all recorded answers of a folder.

    Args:
        folder: which holds the manifest and the files that it names.
        sha256: what the manifest's SHA-256 must be; None: anything.

    Raises:
        RecordedError: the manifest or a file is missing, truncated, altered, or no such file.
    """
    try:
        manifest = _manifest(folder, sha256)
        versions, files = dict(manifest["versions"]), dict(manifest["files"])
        if manifest["format"] != FORMAT or not files:
            raise RecordedError(f"{MANIFEST}: expected format {FORMAT} and files, got {manifest['format']}")
        arrays = {
            case: data for name, entry in files.items() for case, data in _read_file(folder, name, entry)
        }
    except RecordedError:
        raise
    except Exception as error:  # of json, zipfile, zlib or NumPy: whatever a damaged file makes them raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RecordedError(f"recorded answers: cannot read {folder}: {reason[:MAX_REASON]}") from error
    return Recorded(versions, arrays)


@cache
def default_recorded() -> Recorded:
    """The answers that come with the project, read and verified once.

    Raises:
        RecordedError: they cannot be read.
    """
    try:
        sha256 = SEAL.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise RecordedError(f"recorded answers: cannot read {SEAL}: {error}") from error
    return read(default_folder(), sha256)


def _check_sha256(name: str, data: bytes, expected: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise RecordedError(f"{name}: expected SHA-256 {expected}, got {digest}; it was altered")


def recorded_versions() -> Mapping[str, str]:
    """The versions that the answers that come with the project are of; empty if they cannot be read.

    Only the manifest is read, and nothing verified: a run against live torch does not use the answers.
    """
    try:
        return dict(_manifest(default_folder(), None)["versions"])
    except Exception:  # whatever a damaged file makes json raise
        return {}


def _manifest(folder: Path, sha256: str | None) -> Any:
    data = _bytes(folder / MANIFEST)
    if sha256 is not None:
        _check_sha256(MANIFEST, data, sha256)
    return json.loads(data)


def _read_file(folder: Path, name: str, entry: Mapping[str, Any]) -> list[tuple[Case, dict[str, Array]]]:
    if Path(name).name != name:
        raise RecordedError(f"{MANIFEST}: expected the name of a file, got {name[:MAX_REASON]!r}")
    data = _bytes(folder / name)
    _check_sha256(name, data, entry["sha256"])
    arrays = _arrays(name, data)
    cases = []
    for token in entry["cases"]:
        part = _part(arrays, f"{token}/")
        if not part:
            raise RecordedError(f"{name}: no arrays of case {token}")
        cases.append((Case.parse(token), part))
    return cases


def _bytes(file: Path) -> bytes:
    """The contents of a regular file: a pipe may never end."""
    if file.exists() and not file.is_file():
        raise RecordedError(f"recorded answers: expected a file, got {file}")
    if file.exists() and file.stat().st_size > MAX_BYTES:
        raise RecordedError(f"recorded answers: {file} has more than {MAX_BYTES:,} bytes")
    return file.read_bytes()


def _arrays(name: str, data: bytes) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unpacked = sum(member.file_size for member in packed.infolist())
        if unpacked > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES:,} bytes of arrays, got {unpacked:,}")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)
    except Exception as error:
        raise ValueError(f"{name}: {type(error).__name__}: {error}") from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise RecordedError(f"{name}: {key}: expected an array of numbers, got {type(array).__name__}")
    return arrays


def _checked(case: Case, call: Call, answer: dict[str, Array]) -> dict[str, Array]:
    """The answer to a call, if it has all tensors, in their shapes and in float64."""
    has_one_bias = not case.has_torch_interface and case.bias != "nobias"
    names = [*tensor_names(case), *([SECOND_BIAS] if has_one_bias else [])]
    shapes = {name: canonical(case, name, np.empty(native_shape(case, call, name))).shape for name in names}
    if {name: array.shape for name, array in answer.items()} != shapes or any(
        array.dtype != np.float64 for array in answer.values()
    ):
        raise RecordedError(f"{case}: the recorded answer has other tensors, shapes or dtypes than the case")
    return answer


def write(folder: Path, cases: Iterable[Case], reference: Any, versions: Mapping[str, str]) -> str:
    """Record a reference's answers to some cases, replacing the files that the folder's manifest names.

    Returns:
        The SHA-256 of the manifest.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.npz"):
        old.unlink()
    files: dict[str, Any] = {}
    everything = list(cases)
    for start in range(0, len(everything), CASES_A_FILE):
        some = everything[start : start + CASES_A_FILE]
        data = io.BytesIO()
        arrays = {key: array for case in some for key, array in _recording(case, reference).items()}
        np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
        name = f"cases-{start // CASES_A_FILE}.npz"
        (folder / name).write_bytes(data.getvalue())
        files[name] = {
            "sha256": hashlib.sha256(data.getvalue()).hexdigest(),
            "cases": [str(case) for case in some],
        }
    manifest = {"format": FORMAT, "versions": dict(versions), "files": files}
    text = (json.dumps(manifest, indent=1) + "\n").encode()
    (folder / MANIFEST).write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def _recording(case: Case, reference: Any) -> dict[str, Array]:
    calls = calls_of(case)
    arrays: dict[str, Array] = {}
    for number, (call, answer) in enumerate(zip(calls, reference(case, calls), strict=True)):
        arrays |= {f"{case}/{number}/in/{name}": value for name, value in call.arrays().items()}
        arrays |= {f"{case}/{number}/out/{name}": value for name, value in answer.items()}
    return arrays


def _part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
