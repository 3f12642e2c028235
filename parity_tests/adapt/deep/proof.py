"""The proof of an adapter of a stack or of two directions: it is run again on problems of other sizes."""

import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from parity_tests.adapt.deep.program import LACKS, DeepProgram
from parity_tests.adapt.deep.search import Deep
from parity_tests.adapt.deep.truth import DeepProblem, deep_problem, deep_truth
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.probe import OTHERS, RELU, SIZES, close
from parity_tests.adapt.program import GRADIENTS
from parity_tests.adapt.relu import by_torch
from parity_tests.adapt.sentences import NOT_JUDGED, shown
from parity_tests.bound_numpy import np

TENSORS = ("hs", "h_n", *GRADIENTS)
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
    relu = found.reading.states.kind == "relu"
    program = replace(found.program, head="relu" if relu else "")
    found = replace(found, program=program)
    reads, assumed = sentences(found), assumptions(found)
    text = program.text(module.__name__, _head(file, found, reads, assumed))
    env: dict[str, Any] = {"__name__": "adapter"}
    exec(compile(text, "adapter.py", "exec"), env)
    tensors = [name for name in TENSORS if name in {**program.results, **program.gradients}]
    unequal = {
        name
        for given in _problems(program)
        for name, is_equal in _compared(env["answer"], program, given, relu=relu).items()
        if not is_equal
    }
    missing = [name for name in TENSORS if name not in tensors]
    lacks = [] if program.starts else ["initial-state", *(["dh_0"] if "dh_0" not in missing else [])]
    lacks += ["layers", "relu"] if program.directions == 2 else ["bidirectional", "relu"]
    lacks = [name for name in lacks if not (relu and name == "relu")]
    return Outcome(
        text=text,
        reading=reads,
        assumed=assumed,
        equal=tuple(name for name in tensors if name not in unequal),
        unequal=tuple(name for name in tensors if name in unequal),
        missing=tuple(missing),
        without=(*by_torch(missing), *lacks, *LACKS),
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


def _compared(answer: Any, program: DeepProgram, given: DeepProblem, *, relu: bool) -> dict[str, bool]:
    right = deep_truth(given, starts=program.starts, relu=relu)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = dict(
                answer(replace(given, xs=given.xs.copy(), h_0=given.h_0.copy(), dhs=given.dhs.copy()))
            )
    except (Exception, SystemExit):
        found = {}
    return {
        name: name in found and _is_right(found[name], right[name])
        for name in {**program.results, **program.gradients}
    }


def _is_right(value: Any, right: Any) -> bool:
    if isinstance(right, list):
        return len(value) == len(right) and all(map(_is_right, value, right))
    return isinstance(value, np.ndarray) and close(value, right, WITHIN)


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
    if reading.states.name == RELU:
        lines.append("its nonlinearity is relu")
    elif reading.states.name:
        lines.append(f"its states are those of a loop with a fault: {reading.states.name}")
    if program.layers or program.head == "relu":
        lines.append(NOT_JUDGED)
    return tuple(lines)


def assumptions(found: Deep) -> tuple[str, ...]:
    """Return what is assumed in a reading."""
    assert found.reading is not None
    assert found.program is not None
    lines = list(found.program.told)
    if found.reading.assumed:
        lines.append(
            "the states equal no known loop, right or faulty; they were found by what they depend on"
        )
    return tuple(lines)


def _head(file: str, found: Deep, reads: tuple[str, ...], assumed: tuple[str, ...]) -> list[str]:
    reading, program = found.reading, found.program
    assert reading is not None
    assert program is not None
    what = "two directions" if program.directions == 2 else "a stack"
    called = f"{reading.callee.text.removeprefix('net.')}({reading.arguments.text})"
    parts = [f"{called}, {what}, a whole sequence a call, input {shown(reading.layout)}"]
    parts += ["no h_0"] * (not program.starts)
    parts += ["ASSUMED: " + "; ".join(assumed)] * bool(assumed)
    return [
        f"Adapter of {Path(file).name}:{found.name}, written by rnn-parity adapt.",
        f"Read as: {'; '.join(parts)}",
        *(f"- {line}" for line in reads),
        *(f"- ASSUMED: {line}" for line in assumed),
    ]
