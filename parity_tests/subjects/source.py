"""A digest of the target's source: whether two runs judged the same code."""

import inspect
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

GATE = "parity_tests"
GATE_S_OWN = (GATE, "rnn_np")
"""Packages whose version stands for their source, unless they are the target."""
INSTALLED = ("site-packages", "dist-packages")
"""Folders of packages that nobody edits."""


def digest_of_modules(subject: object, module_or_file: str) -> str:
    """Return the digest of all modules of this process that are neither Python's nor installed.

    These are those that a target in a child process has loaded, its own among them.

    Args:
        subject: the loaded target; it is not looked at.
        module_or_file: where the target is.
    """
    own = module_or_file.partition(".")[0]
    texts: dict[str, bytes] = {}
    file = Path(module_or_file)
    with suppress(OSError, ValueError):
        texts[file.name] = file.read_bytes()
    for name, module in list(sys.modules.items()):
        package, path = name.partition(".")[0], _path_of(module)
        if package == own:  # of the gate itself, which has hundreds, the one that is judged
            counts = package != GATE or name == module_or_file
        else:
            counts = package not in GATE_S_OWN and path is not None and not _is_installed(path)
        if counts and path is not None:
            with suppress(OSError):
                texts[name] = path.read_bytes()
    return _digest(texts)


def digest_of_object(obj: Any) -> str:
    """Return the digest of the source of an object of this process, or ``""`` where it has none.

    Of a module this is all of its package, of a class the files of all its own bases, of a function its file.
    """
    if isinstance(obj, ModuleType):
        folders = [Path(folder) for folder in getattr(obj, "__path__", ())]
        files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
        own = _path_of(obj)
        return _digest_of_files([*files, *([own] if own and not files else [])])
    of = obj if inspect.isclass(obj) or inspect.isroutine(obj) else type(obj)
    modules = [sys.modules.get(str(each.__module__)) for each in getattr(of, "__mro__", (of,))]
    paths = [_path_of(module) for module in modules]
    if digest := _digest_of_files(path for path in paths if path and not _is_installed(path)):
        return digest
    with suppress(OSError, TypeError):  # typed at a prompt, in a notebook, or written in C
        return _digest({"": inspect.getsource(of).encode()})
    return _digest_of_files(path for path in paths[:1] if path)


def _path_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) else None


def _is_installed(path: Path) -> bool:
    if any(part in INSTALLED for part in path.parts):
        return True
    python = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")}
    return any(path.is_relative_to(folder) for folder in python)


def _digest_of_files(files: Iterable[Path]) -> str:
    texts: dict[str, bytes] = {}
    for file in dict.fromkeys(files):
        with suppress(OSError):
            texts["/".join(file.parts[-2:])] = texts.get("/".join(file.parts[-2:]), b"") + file.read_bytes()
    return _digest(texts)


def _digest(texts: Mapping[str, bytes]) -> str:
    parts = [f"{name}\0{sha256(text).hexdigest()}\n" for name, text in sorted(texts.items())]
    return sha256("".join(parts).encode()).hexdigest() if parts else ""
