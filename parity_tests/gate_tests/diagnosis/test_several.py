"""Layers with several faults at once, and code of strangers: they are caught, and their entries are sound."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="fresh cases need torch")

from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.cases.features import restricted
from parity_tests.checks.values import judge
from parity_tests.diagnosis.diagnose import Diagnosis, diagnose
from parity_tests.diagnosis.explanation import Explanation, Suspect
from parity_tests.diagnosis.faults.catalogue import CATALOGUE
from parity_tests.diagnosis.places import CELLS, Place
from parity_tests.gate_tests.people import STRANGERS, several_habits, several_loops, several_styles
from parity_tests.references.live_torch import torch_answers
from parity_tests.selftest.catalogue_run import answering
from parity_tests.subjects.drivers import implied_by, kinds_of, run_case
from parity_tests.subjects.interfaces import subject_of

UNNAMED = {"HalfOfTheSum": "the first fault leaves too little that one further fault explains"}
"""Layers whose faults are not all named, each with the reason."""
LISTS = {module.__name__: module.SEVERAL for module in (several_loops, several_habits, several_styles)}
MOST = 60
"""Cases tried; a default run has 2000."""
SOME = 10
"""Cases of a stranger."""


def cases(kind: str, without: tuple[str, ...] = ()) -> Iterator[Case]:
    """The first drawn cases of a kind, without what a target lacks."""
    drawn = (draw_case(0, number, (kind,)) for number in range(MOST))
    return (restricted(case, without) for case in drawn)


@pytest.mark.parametrize("rows", [pytest.param(rows, id=name.split(".")[-1]) for name, rows in LISTS.items()])
def test_layers_with_several_faults_are_different(rows: list[tuple[tuple[str, ...], str, Any]]) -> None:
    equal = []
    for names, sentence, cls in rows:
        assert sentence
        assert 2 <= len(names) <= 4
        assert len(names) == len({*names})
        assert all(isinstance(name, str) and name for name in names)
        run = partial(run_case, SimpleNamespace(TimeRNN=cls))
        if not any(judge(case, torch_answers, run).faults for case in cases("TimeRNN")):
            equal.append(cls.__name__)
    assert equal == []


def test_no_layer_and_no_set_of_faults_is_there_twice() -> None:
    rows = [row for several in LISTS.values() for row in several]
    assert len({cls.__name__ for *_, cls in rows}) == len(rows) == len({names for names, *_ in rows})


def test_strangers_are_different_unless_they_are_right() -> None:
    assert len({stranger.name for stranger in STRANGERS}) == len(STRANGERS)
    for stranger in STRANGERS:
        subject = subject_of(stranger.target, stranger.interface)
        run = partial(run_case, subject, without=stranger.without)
        (kind,) = kinds_of(subject)
        judged = (
            judge(case, torch_answers, run, stranger.without)
            for case in islice(cases(kind, (*stranger.without, *implied_by(subject))), SOME)
        )
        assert any(report.faults for report in judged) == bool(stranger.faults), stranger.name


SOME_LAYERS = 8
"""Every how many-th layer is named in every run; all are in the longer proof."""
QUICK = ("library layer", "last output", "two directions", "notebook, cell", "notebook, layer")
"""Strangers whose faults are named in every run."""


def in_turn() -> list[Any]:
    rows = [row for several in LISTS.values() for row in several]
    return [
        pytest.param(names, cls, id=cls.__name__, marks=[pytest.mark.proof] if n % SOME_LAYERS else [])
        for n, (names, _, cls) in enumerate(rows)
    ]


def names_of(found: list[Diagnosis]) -> list[set[str]]:
    return [{*name.split(", or ")} for each in found if each.fault for name in each.fault.split(", and ")]


@pytest.mark.parametrize(("names", "cls"), in_turn())
def test_every_fault_of_a_layer_is_named_and_no_other(names: tuple[str, ...], cls: Any) -> None:
    if cls.__name__ in UNNAMED:
        pytest.xfail(UNNAMED[cls.__name__])
    found = diagnose("TimeRNN", partial(run_case, SimpleNamespace(TimeRNN=cls)), [])
    named = names_of(found)
    assert all(diagnosis.fault for diagnosis in found), found
    assert all(any(name in each for each in named) for name in names), named
    assert all(each & {*names} for each in named), named


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(row, id=row.name, marks=[] if row.name in QUICK else [pytest.mark.proof])
        for row in STRANGERS
    ],
)
def test_the_faults_of_strangers_are_named(stranger: Any) -> None:
    subject = subject_of(stranger.target, stranger.interface)
    (kind,) = kinds_of(subject)
    lacking = (*stranger.without, *implied_by(subject))
    found = diagnose(
        kind,
        partial(run_case, subject, without=stranger.without),
        [],
        lambda case: restricted(case, lacking),
    )
    named = [each for each in names_of(found) if not each & {*stranger.meant, "float32 in, float64 out"}]
    same = {"relu mask true everywhere": "slope missing"}
    truth = {name for fault in stranger.faults for name in (fault, same.get(fault, fault))}
    assert all(diagnosis.fault for diagnosis in found), found
    assert len(named) == len(stranger.faults), named
    assert all(each & truth for each in named), named


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        ("TimeRNN", "slope h^2", Place("in rows 8 and later only", axis="rows", index=lambda i: i >= 8)),
        (
            "TimeRNN",
            "bias left out",
            Place("in steps 3 and later only", axis="steps", index=lambda i: i >= 3),
        ),
        ("TimeRNN", "slope missing", Place("from the second call on only", call=lambda n: n > 0)),
        ("nn.RNN", "dWh with the state after the step", CELLS[0]),
        ("nn.RNN", "carry doubled", CELLS[3]),
    ],
)
def test_a_fault_in_one_place_is_named_with_the_place(kind: str, name: str, place: Place) -> None:
    (fault,) = (fault for fault in CATALOGUE if fault.name == name)
    explanation = Explanation((Suspect(fault, fault.loops[0], place),))
    (found,) = diagnose(kind, answering(explanation), [])
    assert found.fault is not None
    assert found.fault.split(", or ")[0] == f"{name}, {place.words}"
