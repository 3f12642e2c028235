"""The examples in the docstrings of the public names run, and of what reads people's code."""

import doctest
from types import ModuleType

import pytest

pytest.importorskip("torch", reason="the examples judge against torch")

from parity_tests import api, report, words
from parity_tests.adapt import find, sentences
from parity_tests.adapt.language import layouts, names, objects
from parity_tests.cases import case
from parity_tests.subjects import problem

ADAPT = [find, sentences, layouts, names, objects]


@pytest.mark.parametrize(
    "module", [api, report, case, problem, words, *ADAPT], ids=lambda module: module.__name__
)
def test_the_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(module, verbose=False)
    assert result.attempted > 0
    assert result.failed == 0
