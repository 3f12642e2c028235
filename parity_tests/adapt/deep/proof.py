"""The proof of an adapter of a stack or of two directions: it is run again on problems of other sizes."""

import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from parity_tests.adapt.deep.program import OF_TORCH, DeepProgram
from parity_tests.adapt.deep.search import Deep
from parity_tests.adapt.deep.truth import DeepProblem, deep_problem, deep_truth
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.probe import OTHERS, SIZES, close
from parity_tests.adapt.proof import nonlinearity_declared
from parity_tests.adapt.sentences import in_one_of_states, of_no_nonlinearity, of_states, shown
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.tensors import family

TENSORS = ("hs", "h_n", "dx", "dh_0", *(each for names in OF_TORCH.values() for each in names))
WITHIN = 1e-7


def deep_proven(module: ModuleType, file: str, found: Deep, notices: tuple[str, ...]) -> Outcome:
    """Return the outcome of a search: the adapter's text, and what is equal in it and what is not.

    Args:
        module: that of the user.
        file: where it was loaded from.
        found: the reading and the program.
        notices: what was out of order when the file was loaded.
    """
    assert found.program is not None
    assert found.reading is not None
    assert found.reading.states is not None
    kind = found.reading.states.kind
    declares = (*nonlinearity_declared(kind), *found.program.declares_whole)
    program = replace(found.program, declares=declares)
    reads, assumed = sentences(found), assumptions(found)
    text = program.text(module.__name__, _head(file, found, reads, assumed))
    env: dict[str, Any] = {"__name__": "adapter"}
    exec(compile(text, "adapter.py", "exec"), env)
    there = {
        each for name in {**program.results, **program.gradients} for each in OF_TORCH.get(name, (name,))
    }
    tensors = [name for name in TENSORS if name in there]

    def truth_of(given: DeepProblem) -> dict[str, Array]:
        return deep_truth(given, starts=program.starts, nonlinearity=kind)

    unequal = {
        name
        for given in _problems(program)
        for name, is_equal in _compared(env["answer"], tensors, given, truth_of(given)).items()
        if not is_equal
    }
    missing = [name for name in TENSORS if name not in tensors]
    lacks = [] if program.starts else ["initial-state", *(["dh_0"] if "dh_0" not in missing else [])]
    return Outcome(
        text=text,
        reading=reads,
        assumed=assumed,
        equal=tuple(name for name in tensors if name not in unequal),
        unequal=tuple(name for name in tensors if name in unequal),
        missing=tuple(missing),
        without=(*missing, *lacks),
        trials=found.trials,
        notices=notices,
    )


def _problems(program: DeepProgram) -> list[DeepProblem]:
    """Problems of all sizes; of code for any number of layers, also with one and three."""
    numbers = [program.layers or 2, *([1, 3] if program.layers == 0 else [])]
    return [
        deep_problem(*sizes, directions=program.directions, layers=number)
        for number in numbers
        for sizes in (SIZES, *OTHERS)
    ]


def _compared(
    answer: Any, tensors: list[str], given: DeepProblem, right: dict[str, Array]
) -> dict[str, bool]:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = dict(
                answer(replace(given, xs=given.xs.copy(), h_0=given.h_0.copy(), dhs=given.dhs.copy()))
            )
    except (Exception, SystemExit):
        found = {}
    return {
        name: all(
            isinstance(found.get(each), np.ndarray) and close(found[each], value, WITHIN)
            for each, value in right.items()
            if family(each) == name
        )
        for name in tensors
    }


def sentences(found: Deep) -> tuple[str, ...]:
    """Return how code was read, a sentence each."""
    reading, program = found.reading, found.program
    assert reading is not None
    assert reading.states is not None
    assert program is not None
    groups = reading.groups
    what = "two directions" if program.directions == 2 else "a stack of layers"
    number = "" if program.directions == 2 else f", {program.layers or 'any number'} of them"
    lines = [
        f"made: {program.make[0]}",
        f"unit: {what}{number}, a whole sequence a call, the input as {shown(reading.layout)}",
        f"in order: {', '.join(groups.cells)}",
    ]
    for slot in groups.slots:
        if slot.kind != "state":
            lines.append(f"weights: {slot.texts[0]} is {slot.value}, and so on")
    if not program.starts:
        lines.append("there is no place for h_0: it starts at zero")
    return (*lines, *of_states(reading.states))


def assumptions(found: Deep) -> tuple[str, ...]:
    """Return what is assumed in a reading."""
    assert found.reading is not None
    assert found.program is not None
    assert found.reading.states is not None
    lines = [*found.program.told, *of_no_nonlinearity(found.reading.states)]
    if found.reading.assumed:
        lines.append(
            "the states equal no known loop, right or faulty; they were found by what they depend on"
        )
    return tuple(lines)


def _head(file: str, found: Deep, reads: tuple[str, ...], assumed: tuple[str, ...]) -> list[str]:
    reading, program = found.reading, found.program
    assert reading is not None
    assert reading.states is not None
    assert program is not None
    what = "two directions" if program.directions == 2 else "a stack"
    called = f"{reading.callee.text.removeprefix('net.')}({reading.arguments.text})"
    parts = [f"{called}, {what}, a whole sequence a call, input {shown(reading.layout)}"]
    parts += ["no h_0"] * (not program.starts)
    parts += in_one_of_states(reading.states)
    parts += ["ASSUMED: " + "; ".join(assumed)] * bool(assumed)
    return [
        f"Adapter of {Path(file).name}:{found.name}, written by rnn-parity adapt.",
        f"Read as: {'; '.join(parts)}",
        *(f"- {line}" for line in reads),
        *(f"- ASSUMED: {line}" for line in assumed),
    ]
