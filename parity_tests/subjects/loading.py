"""A target: the user's own code that is judged, pointed at by name, and loaded."""

import ast
import importlib
import importlib.util
import keyword
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from parity_tests.subjects import notebooks
from parity_tests.subjects.compiling import CompileSource, import_through, loader_of
from parity_tests.subjects.interfaces import (
    INTERFACES,
    MAX_NAMES_LISTED,
    PARTS,
    TargetError,
    check_callable,
    check_not_of_torch,
    own_parts,
    recognise,
)
from parity_tests.subjects.user_frames import format_error, user_frame
from parity_tests.words import an, did_you_mean

FORMS = "package.module:Name, path/to/file.py:Name or path/to/notebook.ipynb:Name"
SUFFIXES = (".py", ".ipynb")
"""Of files that can be a target."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is judged: code that is named, and loaded later, or an object at hand.

    Attributes:
        spec: ``package.module:Name``, ``path/to/file.py:Name`` or ``path/to/notebook.ipynb:Name``;
            without ``:Name`` the module itself, which holds ``RNN``, ``TimeRNN`` or ``nn``. Of an
            object at hand, what it is called.
        interface: one of ``INTERFACES`` to force it, None to recognise it.
        obj: the object at hand, or None.

    Raises:
        TargetError: the spec has none of these forms, or there is no such interface.
    """

    spec: str
    interface: str | None = None
    obj: Any = None

    def __post_init__(self) -> None:
        if self.interface is not None and self.interface not in INTERFACES:
            near = did_you_mean(str(self.interface), INTERFACES)
            raise TargetError(f"as: expected one of {', '.join(INTERFACES)}, got {self.interface!r}{near}")
        if self.obj is not None:
            return
        module_or_file, colon, name = self._parts
        dotted = [name] if colon else []
        dotted += [] if self.is_file else [module_or_file]
        if not module_or_file or not all(part.isidentifier() for path in dotted for part in path.split(".")):
            raise TargetError(f"target: expected {FORMS}, got {self.spec!r}")
        if not colon and self.interface not in (None, "package"):
            raise TargetError(f"{self.spec}: {an(self.interface)} needs its name, {self.spec}:Name")

    @classmethod
    def at_hand(cls, obj: Any, interface: str | None = None) -> Self:
        """The target that is an object of this process.

        Raises:
            TargetError: its interface is not recognised, or there is no such interface.
        """
        name = getattr(obj, "__qualname__", type(obj).__qualname__)
        spec = f"{getattr(obj, '__module__', '?')}.{name}"
        target = cls(spec, interface or recognise(obj, spec), obj)
        _check_forced(obj, target)
        return target

    @property
    def _parts(self) -> tuple[str, str, str]:
        module_or_file, colon, name = self.spec.rpartition(":")
        return (module_or_file, colon, name) if colon else (self.spec, "", "")

    @property
    def module_or_file(self) -> str:
        """The module or the file, without the name."""
        return self._parts[0]

    @property
    def name(self) -> str:
        """Its name there, or ``""``."""
        return self._parts[2]

    @property
    def is_file(self) -> bool:
        """Whether it is a file and not a module that Python finds by itself."""
        return self.module_or_file.endswith(SUFFIXES)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A target after loading.

    Attributes:
        interface: one of ``INTERFACES``.
        obj: the object, or None where it stays in a child process.
        notices: what was out of order but did not keep it from loading.
    """

    interface: str
    obj: Any
    notices: list[str]


def load(target: Target, compile_source: CompileSource | None = None) -> Loaded:
    """Import or run what a target names, in this process; ``sys.path`` and ``sys.modules`` grow by it.

    Args:
        target: what to load.
        compile_source: compiles the user's files instead of Python; None: Python does.

    Raises:
        TargetError: it cannot be found or loaded, or its interface is not recognised.
    """
    spec, notices = target.spec, list[str]()
    if compile_source is not None:
        import_through(compile_source)
    try:
        if target.is_file:
            module, notices = _from_path(target.module_or_file, compile_source)
        else:
            module = _from_module(target.module_or_file)
        obj = _named(module, target, notices)
    except TargetError:
        raise
    except (Exception, SystemExit) as error:
        raise TargetError(f"{spec}: loading it failed: {format_error(error)}") from error
    _check_forced(obj, target)
    return Loaded(target.interface or recognise(obj, spec), obj, notices)


def module_of(file: str) -> tuple[ModuleType, list[str]]:
    """Run a file or notebook, and return its module and what was out of order.

    Args:
        file: the path.

    Raises:
        TargetError: it cannot be found or loaded.
    """
    try:
        return _from_path(file, None)
    except TargetError:
        raise
    except (Exception, SystemExit) as error:
        raise TargetError(f"{file}: loading it failed: {format_error(error)}") from error


def _from_path(path: str, compile_source: CompileSource | None) -> tuple[ModuleType, list[str]]:
    # Not resolved itself: a link has a name of its own.
    file = Path(path)
    return _from_file(file.parent.resolve() / file.name, compile_source)


def _check_forced(obj: Any, target: Target) -> None:
    if target.interface == "package":
        if not own_parts(obj):
            raise TargetError(f"{target.spec}: a package needs one of {', '.join(PARTS)}, and it has none")
    elif target.interface is not None:
        check_callable(obj, target.spec)
        if target.interface != "adapter":
            check_not_of_torch(obj, target.spec)


def _from_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if user_frame(error) or not f"{name}.".startswith(f"{missing}."):
            raise
        raise TargetError(f"{name}: there is no module {missing}, in {here} or where Python looks") from error


def _from_file(file: Path, compile_source: CompileSource | None) -> tuple[ModuleType, list[str]]:
    if file.is_dir():
        raise TargetError(f"{file}: expected a file, got a folder")
    if not file.is_file() and os.path.lexists(file):
        raise TargetError(f"{file}: expected a file, got a pipe, a device or a link that leads nowhere")
    if not file.is_file():
        beside = (
            [other.name for other in file.parent.iterdir() if other.suffix in SUFFIXES]
            if file.parent.is_dir()
            else []
        )
        raise TargetError(f"{file}: there is no such file{_near(file.name, beside)}")
    if file.suffix == ".ipynb":
        sys.path.insert(0, str(file.parent))
        return notebooks.run(file, _free(file.stem), compile_source)
    root, names = _package(file)
    sys.path.insert(0, str(root))
    if len(names) == 1:
        names = [_free(names[0])]
    else:
        # Siblings can be imported without the package too; last, where they hide nobody else's.
        sys.path.append(str(file.parent))
        parent = importlib.import_module(".".join(names[:-1]))
        if str(root.joinpath(*names[:-1])) not in parent.__path__:
            raise TargetError(f"{file}: Python has another package of the name {parent.__name__} already")
    name = ".".join(names)
    if name in sys.modules:  # its package has imported it
        return sys.modules[name], []
    loader = None if compile_source is None else loader_of(name, file, compile_source)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module, []


def _package(file: Path) -> tuple[Path, list[str]]:
    """The folder to import a file from, and its names from there, those of its packages first."""
    own = file.parent if file.stem == "__init__" else file.with_suffix("")
    folder, names = own.parent, [own.name.replace(".", "_")]
    needed = _relative_levels(file) + (own != file.parent)
    while folder.name.isidentifier() and ((folder / "__init__.py").is_file() or len(names) < needed):
        folder, names = folder.parent, [folder.name, *names]
    return folder, names


def _relative_levels(file: Path) -> int:
    """How many folders up its relative imports reach; these folders are treated as packages."""
    try:
        nodes = ast.walk(ast.parse(file.read_bytes()))
    except (SyntaxError, ValueError):
        return 0  # reported when the file is run
    return max((node.level for node in nodes if isinstance(node, ast.ImportFrom)), default=0)


def as_name(stem: str) -> str:
    """Return a name of Python's for a file.

    Example:
        >>> as_name("my-rnn.v2"), as_name("2_layers")
        ('my_rnn_v2', '_2_layers')
    """
    name = re.sub(r"\W", "_", stem)
    return f"_{name}" if name[:1].isdigit() or keyword.iskeyword(name) else name


def _free(stem: str) -> str:
    """The file's own name, or one like it where that is another module's, or no name at all."""
    name = as_name(stem)
    while name in sys.modules or name in sys.stdlib_module_names:
        name += "_"
    return name


def _named(module: ModuleType, target: Target, notices: Iterable[str]) -> Any:
    found: Any = module
    for part in target.name.split(".") if target.name else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            near = _near(
                part, [name for name, value in getattr(found, "__dict__", {}).items() if callable(value)]
            )
            why = "".join(f"; {notice}" for notice in notices)
            raise TargetError(f"{target.spec}: {target.module_or_file} has no {part}{near}{why}") from None
    return found


def _near(name: str, names: Iterable[str]) -> str:
    public = [other for other in names if not other.startswith("_")]
    has = f"; it has {', '.join(sorted(public)[:MAX_NAMES_LISTED])}" if public else ""
    return did_you_mean(name, public) or has
