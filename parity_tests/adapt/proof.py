"""The proof: a finished adapter is run again on problems of other sizes, and compared with the reference."""

import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from parity_tests.adapt.heads.program import HeadProgram
from parity_tests.adapt.heads.truth import OUTPUTS, head_problem, head_truth
from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.probe import OTHERS, SIZES, close, problem, truth
from parity_tests.adapt.program import GRADIENTS, Program
from parity_tests.adapt.sentences import assumptions, in_one, named, sentences
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.subjects.adapters.plain_results import plain_array
from parity_tests.subjects.adapters.problem import Problem

TENSORS = ("hs", "h_n", *GRADIENTS)
WITHIN = 1e-7


def proven(module: ModuleType, file: str, found: Any, notices: tuple[str, ...]) -> Outcome:
    """Return the outcome of a search: the adapter's text, and what is equal in it and what is not."""
    program, reading = found.program, found.reading
    reads, assumed = sentences(found), assumptions(found)
    kind = reading.states.kind
    program = program.adding(declares=nonlinearity_declared(kind))
    if isinstance(program, HeadProgram):
        program = program.adding(declares=program.whole_declaration)
    text = program.text(module.__name__, _head(file, found, reads, assumed))
    answers = _Answers(text, program, kind)
    equal, unequal, present = set(), set(), set()
    for sizes, outputs in zip((SIZES, *OTHERS), (OUTPUTS, 2, 5, 3), strict=True):
        tried = answers.compared(sizes, outputs)
        present |= {*tried}
        unequal |= {name for name, is_equal in tried.items() if not is_equal}
    equal = present - unequal
    names = program.tensors(present) if isinstance(program, HeadProgram) else TENSORS
    missing = [name for name in names if name not in present]
    return Outcome(
        text=text,
        reading=reads,
        assumed=assumed,
        equal=tuple(name for name in names if name in equal),
        unequal=tuple(name for name in names if name in unequal),
        missing=tuple(missing),
        without=_without(program, missing),
        trials=found.trials,
        gave_up=found.gave_up,
        notices=notices,
    )


def nonlinearity_declared(kind: str) -> tuple[str, ...]:
    """What an adapter of code with a nonlinearity declares, nothing for tanh."""
    return () if kind == "tanh" else (f'nonlinearity="{kind}"',)


def _head(file: str, found: Any, reads: Iterable[str], assumed: Iterable[str]) -> list[str]:
    name = Path(file).name
    spec = name if found.name in ("", Path(file).stem) else f"{name}:{named(found).replace(' ', '')}"
    lines = [f"Adapter of {spec}, written by rnn-parity adapt.", f"Read as: {in_one(found)}"]
    lines += [f"- {line}" for line in reads]
    lines += [f"- ASSUMED: {line}" for line in assumed]
    return lines


class _Answers:
    """A finished adapter, called."""

    def __init__(self, text: str, program: Program, nonlinearity: str) -> None:
        self.program, self.nonlinearity = program, nonlinearity
        env: dict[str, Any] = {"__name__": "adapter"}
        exec(compile(text, "adapter.py", "exec"), env)
        self.answer = env["answer"]

    def called(self, given: Problem) -> Mapping[str, Any]:
        """The answer to a problem, nothing where it raises."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return dict(self.answer(deepcopy(given)))
        except (Exception, SystemExit):
            return {}

    def compared(self, sizes: tuple[int, int, int, int], outputs: int) -> dict[str, bool]:
        """Which tensors of the answer to a problem are right.

        Args:
            sizes: B, T, D and H of the problem.
            outputs: how many a head has.
        """
        if isinstance(self.program, HeadProgram):
            given = head_problem(self.program, *sizes, outputs)
            right = head_truth(given, self.program, self.nonlinearity)
        else:
            given, right = self._without_head(problem(*sizes))
        answer = self.called(given)
        tensors = {**self.program.results, **self.program.gradients}
        return {name: name in answer and _is_right(answer[name], right[name]) for name in tensors}

    def _without_head(self, given: Problem) -> tuple[Problem, dict[str, Array]]:
        if self.program.last:
            dhs = given.dhs.copy()
            dhs[:, :-1] = 0
            given = replace(given, dhs=dhs)
        return given, truth(given, starts=self.program.starts, nonlinearity=self.nonlinearity)


def _is_right(value: Any, right: Array) -> bool:
    array = plain_array(value)
    if isinstance(array, np.ndarray) and array.size == right.size == 1 and not right.ndim:
        array = array.reshape(())
    return isinstance(array, np.ndarray) and close(array, right, WITHIN)


def _without(program: Program, missing: Iterable[str]) -> tuple[str, ...]:
    """What the adapter lacks."""
    names = list(missing)
    if not program.starts:
        names.append("initial-state")
        names += ["dh_0"] if "dh_0" not in names else []
    if isinstance(program, HeadProgram):
        return tuple(names)
    if program.last:
        names.append("dense-gradient")
    if program.head:
        names.append("non-finite")
    return tuple(names)
