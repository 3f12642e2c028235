"""Tokens and cases: a case that has the token, or an error that says what is wrong."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="Hypothesis draws the examples")

from hypothesis import strategies as st

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.cases.fields import CHOICES, FIELDS
from parity_tests.gate_tests.fuzz import changed
from parity_tests.gate_tests.fuzz.calls import attempt
from parity_tests.gate_tests.fuzz.examples import fuzzed
from parity_tests.gate_tests.fuzz.odd import ODD, picked

MOST_CHARACTERS = 700
SMALL = 20_000
"""Elements of a case whose arrays are made."""


def tokens() -> Any:
    return st.builds(lambda seed, number: str(draw_case(seed, number)), st.integers(0, 3), st.integers(0, 99))


def check_case(case: Case) -> None:
    """A case is what its token says, and its arrays can be made."""
    assert Case.parse(str(case)) == case
    if case.B * case.T * (case.D + case.H) + case.H * (case.H + case.D + case.V) <= SMALL:
        for call in calls_of(case):
            assert all(array.size for array in call.arrays().values())


@fuzzed(0.06, token=changed.text(tokens()) | picked(ODD) | st.text())
def test_tokens(token: Any) -> None:
    try:
        case = Case.parse(token)
    except (TypeError, ValueError) as error:
        message, refusal = str(error), type(error)
    else:
        assert str(case) == token
        check_case(case)
        return
    assert (refusal is TypeError) == (not isinstance(token, str))
    assert 10 < len(message) < MOST_CHARACTERS
    assert "\n" not in message


def fields() -> Any:
    right = {row.name: picked(CHOICES.get(row.name, (1, 2, 3, np.int64(4)))) for row in FIELDS}
    sizes = {name: right[name] for name in ("B", "T", "D", "H")}
    return st.fixed_dictionaries(
        sizes, optional={name: one for name, one in right.items() if name not in sizes}
    )


@fuzzed(
    0.06, values=fields(), name=st.sampled_from([row.name for row in FIELDS]), odd=picked(ODD) | st.none()
)
def test_fields(values: dict[str, Any], name: str, odd: Any) -> None:
    given = values if odd is None else {**values, name: odd}
    names = [row.name for row in FIELDS]
    taken, case = attempt(Case, given, None, names)
    if taken:
        check_case(case)
