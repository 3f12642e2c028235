"""The table of fields: complete, and what the grammar of tokens is documented from."""

import dataclasses
import re
from typing import Any

import pytest

from parity_tests.cases.case import Case
from parity_tests.cases.fields import EXAMPLES, FIELD, FIELDS, token_help, token_parts, token_table
from parity_tests.cases.layers import KINDS

SIZES = {"B": 2, "T": 3, "D": 4, "H": 5}


def test_every_field_has_a_row_and_the_same_default() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Case)}
    assert {*fields} == {*FIELD}
    for name, default in fields.items():
        if default is not dataclasses.MISSING:
            assert FIELD[name].default == default, name


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_tokens(example: str) -> None:
    assert str(Case.parse(example)) == example


def test_the_documentation_has_every_part_of_a_token() -> None:
    text, table = token_help(), token_table()
    rows = table.splitlines()[2:]
    assert len(rows) == len(FIELDS)
    for field, row in zip(FIELDS, rows, strict=True):
        assert row.count("|") == 6
        assert f"| `{field.name}` |" in row
        for part in token_parts(field):
            assert f"`{part}`" in row
            assert part in text
    for example in EXAMPLES:
        sizes, *parts = example.removeprefix("nn-").split("-")
        words = [*re.findall("[A-Z][0-9]+", sizes), *parts]
        known = {part.replace("N", "") for field in FIELDS for part in token_parts(field)}
        assert {word for word in words if re.sub("^([BTDHs])[0-9]+$", r"\1", word) not in known} == set()
    assert "`" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.values and field.name != "layer"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_a_layer_does_not_have_is_refused_by_name(kind: str, name: str) -> None:
    case = Case(layer=kind, **{**SIZES, "T": FIELD["T"].fitted(3, kind)}, h0=FIELD["h0"].fitted(False, kind))
    allowed = FIELD[name].allowed(kind)
    for value in FIELD[name].values:
        if value not in allowed:
            with pytest.raises(ValueError, match=rf"^{name}: expected .* for .*, got {value!r}: \w+"):
                _with(case, name, value)
    with pytest.raises(ValueError, match=rf"^{name}: expected one of .*, got 'other'"):
        _with(case, name, "other")


def _with(case: Case, name: str, value: Any) -> Case:
    return dataclasses.replace(case, **{name: value})
