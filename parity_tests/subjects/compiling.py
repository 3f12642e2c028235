"""How a user's files become code: as Python compiles them, or in another way."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from parity_tests.subjects.user_frames import is_users_file

CompileSource = Callable[[str, str], CodeType]
"""Compiles the text of a file: ``compile_source(source, file name)``."""


class LoadedFarEnough(BaseException):
    """Raised in a user's file where the rest of it need not be run."""


def compiled(source: str, file: str) -> CodeType:
    """Compile as Python does."""
    return compile(source, file, "exec", dont_inherit=True)


class _Loader(SourceFileLoader):
    """Loads a file of the user's, compiled in another way; compiled files beside it are not read."""

    def __init__(self, name: str, file: str, compile_source: CompileSource) -> None:
        super().__init__(name, file)
        self._compile = compile_source

    def get_code(self, fullname: str) -> CodeType:
        return self._compile(self.get_source(fullname) or "", self.path)

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except LoadedFarEnough:
            return


class _Finder(MetaPathFinder):
    """Finds what Python finds, and loads the user's files in another way."""

    def __init__(self, compile_source: CompileSource) -> None:
        self._compile = compile_source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        file = spec.origin if spec is not None and type(spec.loader) is SourceFileLoader else None
        if spec is None or file is None or not is_users_file(file):
            return None
        spec.loader = _Loader(fullname, file, self._compile)
        return spec


def import_through(compile_source: CompileSource) -> None:
    """Let imports of the user's files compile them in another way, from now on."""
    sys.meta_path.insert(0, _Finder(compile_source))


def loader_of(name: str, file: Path, compile_source: CompileSource) -> SourceFileLoader:
    """A loader of one file."""
    return _Loader(name, str(file), compile_source)
