"""The adapter of a file, found in a child process with a time limit."""

import tempfile
from contextlib import chdir
from pathlib import Path

from parity_tests.adapt.child import adapt, nothing
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.search import Hints
from parity_tests.subjects.interfaces import TargetError
from parity_tests.subjects.loading import Target
from parity_tests.subjects.sandbox.parent import Child, ChildError, ChildTimeout
from parity_tests.subjects.sandbox.process import can_start

SECONDS = 20.0
"""Loading the file and the whole search."""


def find_adapter(spec: str, hints: Hints | None = None) -> Outcome:
    r"""Return the adapter of somebody's code, with what was proven of it.

    The file is imported in a child process, in an empty folder, and only names that are known for a forward
    or a backward are called there.

    Args:
        spec: ``path/to/file.py``, ``path/to/file.py:Name`` or ``path/to/file.py:forward,backward``.
        hints: what the user says of the code.

    Raises:
        TargetError: there is no such file, or this system cannot run the child process.

    Example:
        >>> import pathlib, tempfile
        >>> source = '''
        ... import numpy as np
        ...
        ... def rnn_forward(x, h0, Wx, Wh, b):
        ...     hs = [h0]
        ...     for t in range(x.shape[1]):
        ...         hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
        ...     return np.stack(hs[1:], axis=1)
        ... '''
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "mine.py")
        ...     _ = file.write_text(source)
        ...     found = find_adapter(f"{file}:rnn_forward")
        >>> found.equal, found.assumed
        (('hs', 'h_n'), ())
        >>> print(*found.text.splitlines()[-3:], sep="\n")
            Wx, Wh, b = case.Wx, case.Wh, case.b
            out = rnn_forward(x, h, Wx, Wh, b)
            return {"hs": out, "h_n": out[:, -1]}
    """
    file, names = parsed(spec)
    if not can_start():
        raise TargetError(f"{spec}: reading code needs a child process, and with it Linux or macOS")
    target = Target(f"{nothing.__module__}:{nothing.__name__}", "adapter")
    with tempfile.TemporaryDirectory() as empty:
        with chdir(empty):
            child = Child(target, SECONDS, functions=(adapt,))
            child.start()
        with child:
            try:
                found: Outcome = child.call(adapt, str(file), names, hints or Hints())
            except ChildTimeout:
                return Outcome(
                    refusal=f"{file.name} did not load, or did not return from a call, in {SECONDS:g} s"
                )
            except ChildError as error:
                return Outcome(refusal=f"{file.name}: reading it failed: {error}")
    return found


def parsed(spec: str) -> tuple[Path, tuple[str, ...]]:
    """Return the file and the names of a spec.

    Raises:
        TargetError: there is no such file.
    """
    path, _, names = spec.rpartition(":") if ":" in spec else (spec, "", "")
    file = Path(path)
    if file.suffix not in (".py", ".ipynb") or not file.is_file():
        raise TargetError(
            f"{spec}: expected a file of Python or a notebook, such as my_rnn.py:RNN, got {path!r}"
        )
    listed = tuple(name.strip() for name in names.split(",") if name.strip())
    if not all(name.isidentifier() for name in listed):
        raise TargetError(
            f"{spec}: expected names such as RNN or forward,backward after the colon, got {names!r}"
        )
    return file.resolve(), listed
