"""The proof: a finished adapter is run again on problems of other sizes, and compared with the reference."""

import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from parity_tests.adapt.outcome import Outcome
from parity_tests.adapt.probe import OTHERS, SIZES, close, problem, truth
from parity_tests.adapt.program import GRADIENTS, Program
from parity_tests.adapt.relu import RELU_CLASS, RELU_LACKS, by_torch
from parity_tests.adapt.sentences import assumptions, in_one, named, sentences
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.subjects.adapters.problem import Problem

TENSORS = ("hs", "h_n", *GRADIENTS)
WITHIN = 1e-7


def proven(module: ModuleType, file: str, found: Any, notices: tuple[str, ...]) -> Outcome:
    """Return the outcome of a search: the adapter's text, and what is equal in it and what is not."""
    program, reading = found.program, found.reading
    reads, assumed = sentences(found), assumptions(found)
    kind = reading.states.kind
    if kind == "sigmoid":
        return Outcome(
            refusal="its nonlinearity is the logistic function (sigmoid), and the gate judges tanh and relu: "
            "torch.nn.RNN has no other",
            reading=reads,
            trials=found.trials,
        )
    if kind == "relu":
        program = program.adding(imports=("Module",))
    text = program.text(module.__name__, _head(file, found, reads, assumed))
    text += RELU_CLASS if kind == "relu" else ""
    answers = _Answers(text, program, relu=kind == "relu")
    equal, unequal, present = set(), set(), set()
    for B, T, D, H in (SIZES, *OTHERS):
        tried = answers.compared(problem(B, T, D, H))
        present |= {*tried}
        unequal |= {name for name, is_equal in tried.items() if not is_equal}
    equal = present - unequal
    missing = [name for name in TENSORS if name not in present]
    without = _without(program, missing)
    without = (*by_torch(without), *RELU_LACKS) if kind == "relu" else without
    return Outcome(
        text=text,
        reading=reads,
        assumed=assumed,
        equal=tuple(name for name in TENSORS if name in equal),
        unequal=tuple(name for name in TENSORS if name in unequal),
        missing=tuple(missing),
        without=without,
        trials=found.trials,
        gave_up=found.gave_up,
        notices=notices,
    )


def _head(file: str, found: Any, reads: Iterable[str], assumed: Iterable[str]) -> list[str]:
    name = Path(file).name
    spec = name if found.name in ("", Path(file).stem) else f"{name}:{named(found).replace(' ', '')}"
    lines = [f"Adapter of {spec}, written by rnn-parity adapt.", f"Read as: {in_one(found)}"]
    lines += [f"- {line}" for line in reads]
    lines += [f"- ASSUMED: {line}" for line in assumed]
    return lines


class _Answers:
    """A finished adapter, called."""

    def __init__(self, text: str, program: Program, *, relu: bool) -> None:
        self.program, self.relu = program, relu
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

    def compared(self, given: Problem) -> dict[str, bool]:
        """Which tensors of the answer to a problem are right."""
        if self.program.last:
            dhs = given.dhs.copy()
            dhs[:, :-1] = 0
            given = replace(given, dhs=dhs)
        right = truth(given, starts=self.program.starts, relu=self.relu)
        answer = self.called(given)
        tensors = {**self.program.results, **self.program.gradients}
        return {name: name in answer and _is_right(answer[name], right[name]) for name in tensors}


def _is_right(value: Any, right: Array) -> bool:
    return isinstance(value, np.ndarray) and close(value, right, WITHIN)


def _without(program: Program, missing: Iterable[str]) -> tuple[str, ...]:
    """What the adapter lacks."""
    names = list(missing)
    if not program.starts:
        names.append("initial-state")
        names += ["dh_0"] if "dh_0" not in names else []
    if program.last:
        names.append("dense-gradient")
    if program.head:
        names.append("non-finite")
    return tuple(names)
