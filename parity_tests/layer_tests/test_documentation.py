"""What ``help`` shows of ``rnn_np`` is readable, has an example for each name, and the examples run."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rnn_np
from rnn_np.nn.utils import rnn as packing


def public_names() -> dict[str, object]:
    """The public classes and functions, by the names that a user imports."""
    modules: list[ModuleType] = [rnn_np, rnn_np.nn, packing]
    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
        if not isinstance(getattr(module, name), ModuleType)
    }


def examples_of(module: ModuleType) -> doctest.TestResults:
    return doctest.testmod(module, verbose=False)


MODULES = sorted(["rnn_np", *(found.name for found in pkgutil.walk_packages(rnn_np.__path__, "rnn_np."))])


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name: str) -> None:
    assert examples_of(importlib.import_module(name)).failed == 0


def test_an_example_that_is_wrong_is_found() -> None:
    module = ModuleType("wrong", ">>> 1 + 1\n3\n")
    assert examples_of(module).failed == 1


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_has_an_example(name: str) -> None:
    documented = inspect.getdoc(public_names()[name]) or ""
    assert ">>>" in documented
    for section in ("Args:", "Raises:", "Example:"):
        assert f"\n{section}\n" in documented


def test_the_examples_in_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(rnn_np.__file__).parent / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    trained: dict[str, Any] = rnn_np.nn.RNN(8, 16, 2, bidirectional=True).state_dict("rnn.")
    head: dict[str, Any] = {"head.weight": np.ones((7, 32), np.float32), "head.bias": np.ones(7, np.float32)}
    np.savez("model.npz", **trained, **head)
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
    assert names["scores"].shape == (5, 3, 7)
    assert np.load("back.npz").files == list(trained)


def test_every_module_is_found() -> None:
    assert {"rnn_np._kernel", "rnn_np._layers", "rnn_np.nn._rnn", "rnn_np.nn.utils.rnn"} <= set(MODULES)
    assert len(public_names()) == 11


def test_signatures_are_readable() -> None:
    array, forward = "numpy.ndarray", rnn_np.TimeRNN.forward
    assert str(inspect.signature(forward)) == f"(self, xs: {array}) -> {array}"
    for value in public_names().values():
        members = inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else [("", value)]
        for _, function in members:
            assert f"{array}[" not in str(inspect.signature(function))  # type: ignore[arg-type]
    assert rnn_np._kernel.Array is np.ndarray
