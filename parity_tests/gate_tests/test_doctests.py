"""The examples in the docstrings of the public names run, and of what reads people's code."""

import doctest
from types import ModuleType

import pytest

pytest.importorskip("torch", reason="the examples judge against torch")

from parity_tests import api, words
from parity_tests.adapt import find, helpers, sentences
from parity_tests.adapt.heads import text
from parity_tests.adapt.language import layouts, names, objects, said
from parity_tests.adapt.weights import flat
from parity_tests.cases import case
from parity_tests.report import part, report
from parity_tests.subjects.adapters import declared, problem, updates

ADAPT = [find, flat, helpers, text, sentences, layouts, names, objects, said]


@pytest.mark.parametrize(
    "module",
    [api, report, part, case, problem, declared, updates, words, *ADAPT],
    ids=lambda module: module.__name__,
)
def test_the_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(module, verbose=False)
    assert result.attempted > 0
    assert result.failed == 0
