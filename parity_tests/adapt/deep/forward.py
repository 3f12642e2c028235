"""The forward of a stack or of two directions: how it is called, and where its states are."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from parity_tests.adapt.deep.groups import Groups
from parity_tests.adapt.deep.program import DeepProgram
from parity_tests.adapt.deep.truth import DeepProblem, family
from parity_tests.adapt.language.calls import Arguments, Callee, argument_lists
from parity_tests.adapt.language.layouts import SEQUENCES, STATE_OF, arranged, axes_of, read
from parity_tests.adapt.language.names import roles
from parity_tests.adapt.language.objects import held, last_name
from parity_tests.adapt.language.said import lists_for
from parity_tests.adapt.probe import States, close
from parity_tests.adapt.program import Trials, evaluated
from parity_tests.adapt.weights.making import SIZES
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

LAST = r"\w*(last|final|end)\w*|h_?n"
"""Names of final states."""
OF_ONE = r"_?(fw|bw|fwd|bwd|forward|backward|fore|forth|back|left|right|f|b|\d)$"
"""What the name of a state of one direction or layer ends with."""
UNCERTAIN = "the states equal those of a loop with a fault ({}), so it is not certain how it is called"
MOST_ATTEMPTS = 300


@dataclass(frozen=True)
class DeepReading:
    """A forward that ran, with the states in it.

    Attributes:
        program: what runs it.
        groups: the weights.
        callee: what is called.
        arguments: with what.
        layout: of the input.
        axes: of the output that has the states, in brackets if it is a list.
        parts: the expressions of two outputs, if each direction has its own.
        hs: the states.
        states: the loop whose states it has.
        assumed: whether it was accepted by what depends on what.
    """

    program: DeepProgram
    groups: Groups
    callee: Callee
    arguments: Arguments
    layout: str
    axes: str
    parts: tuple[str, ...]
    hs: Array
    states: States | None = None
    assumed: bool = False


class DeepForward:
    """The search for the forward.

    Args:
        trials: runs programs.
        given: the problem.
    """

    def __init__(self, trials: Trials, given: DeepProblem) -> None:
        self.trials, self.given = trials, given
        self.attempts: list[DeepReading] = []
        self.loops = {starts: list(family(given, starts=starts)) for starts in (True, False)}

    def readings(self, base: DeepProgram, groups: Groups, callees: list[Callee]) -> Iterator[DeepReading]:
        """Yield the readings with the right states; others are kept."""
        for callee, layout in itertools.product(callees, SEQUENCES["BTD"]):
            for arguments in self._argument_lists(callee, layout):
                starts = re.search(r"\bh\b", arguments.text) is not None
                program = replace(base, forward=(f"out = {callee.text}({arguments.text})",), starts=starts)
                for reading in self._with_states(program, groups, callee, arguments, layout):
                    right = self.loops[starts][0]
                    if close(reading.hs, right.hs):
                        yield replace(reading, states=right)
                    elif len(self.attempts) < MOST_ATTEMPTS:
                        self.attempts.append(reading)

    def faulty(self) -> Iterator[DeepReading]:
        """Yield the readings with the states of a faulty loop, then those with states that depend as they should."""
        for reading in self.attempts:
            for loop in self.loops[reading.program.starts]:
                if close(reading.hs, loop.hs):
                    # Where nothing recurs, steps and rows of the batch can be taken for each other.
                    told = (UNCERTAIN.format(loop.name),) if "recurs" in loop.name else ()
                    program = replace(reading.program, told=told)
                    yield replace(reading, states=loop, program=program)
        for reading in self.attempts:
            if self._depends(reading):
                yield replace(reading, states=States("no loop that is known", reading.hs), assumed=True)

    def _argument_lists(self, callee: Callee, layout: str) -> Iterator[Arguments]:
        options: dict[str, Any] = {**SIZES, "x": (arranged("x", "BTD", layout),), "none": ("None",)}
        options["L"] = ("case.num_layers",)
        found = []
        for axes in STATE_OF[layout.strip("[]")]:
            if "1" not in axes:
                text = arranged("h", "GBH", f"G{axes}")
                found += [text, f"list({text})"]
        options["h"] = found
        if callee.said is not None:
            forms = [arranged("x", "BTD", each) for each in SEQUENCES["BTD"]]
            yield from lists_for(callee, options, layout=layout, forms=forms)
            return
        states = [p.name for p in callee.parameters if "h" in roles(re.sub(OF_ONE, "", p.name))]
        named = {}
        if len(states) == len(self.given.groups):
            named = {name: f"h[{number}]" for number, name in enumerate(states)}
            parameters = [p.replace(default=p.empty) if p.name in named else p for p in callee.parameters]
        else:
            parameters = callee.parameters
        for arguments in argument_lists(parameters, options, named, ("x", "h"), ("h",), strict=True):
            if "x" in arguments.given:
                yield arguments

    def _with_states(
        self, program: DeepProgram, groups: Groups, callee: Callee, arguments: Arguments, layout: str
    ) -> Iterator[DeepReading]:
        env = self.trials.run(program)
        if env is None:
            return
        sizes = program.sizes(self.trials.given)
        width = "W" if program.directions == 2 else "H"
        results = [(text, axes_of(array.shape, sizes)) for text, array in held("out", env["out"])]
        results += [(text, axes_of(array.shape, sizes)) for text, array in held("net", env["net"])]
        chosen = list[tuple[str, str, tuple[str, ...]]]()
        for text, axes in results:
            if axes and (wide := read(text, axes, f"BT{width}")):
                chosen.append((wide, (f"[{axes}]" if text.startswith("np.array(") else axes), ()))
        if program.directions == 2:
            chosen += list(_pairs(results))
        for text, axes, parts in chosen:
            hs = evaluated(text, env)
            more = replace(program, results={"hs": text, **self._finals(text, results, env, program)})
            yield DeepReading(more, groups, callee, arguments, layout, axes, parts, hs.copy())

    def _finals(
        self, hs: str, results: list[tuple[str, str | None]], env: dict[str, Any], program: DeepProgram
    ) -> dict[str, str]:
        """Where the final states are: what is returned of their shape, or what is kept under their name."""
        candidates = []
        for text, axes in results:
            found = read(text, axes, "GBH") if axes else None
            name = last_name(text.removeprefix("np.array(").rstrip(")"))
            is_known = re.fullmatch(LAST, name) or "h" in roles(name)
            if found and (re.match(r"(np\.array\()?out", text) or is_known):
                candidates.append(found)
        # Where a fault leaves the initial states there, they are the final ones still.
        started = [found for found in candidates if is_other(evaluated(found, env), env["h"])]
        for found in [*started, *candidates]:
            return {"h_n": found}
        if program.directions == 2:
            return {"h_n": f"np.stack([{hs}[:, -1, :H], {hs}[:, 0, H:]])"}
        return {}

    def _depends(self, reading: DeepReading) -> bool:
        """Whether each state moves with its own and earlier inputs (in two directions all) and each weight."""
        given, text = self.given, reading.program.results["hs"]
        T = given.xs.shape[1]

        def moved(other: DeepProblem) -> Array | None:
            env = self.trials.run(reading.program, given=other)  # type: ignore[arg-type]
            after = None if env is None else evaluated(text, env)
            if not isinstance(after, np.ndarray) or after.shape != reading.hs.shape:
                return None
            return np.asarray(np.abs(after - reading.hs) > 1e-12)

        for t in range(T):
            xs = given.xs.copy()
            xs[0, t] += 0.1
            found = moved(replace(given, xs=xs))
            if found is None or found[1:].any() or not found[0, t:].any(axis=-1).all():
                return False
            if given.directions == 1 and found[0, :t].any():
                return False
        for number, place in itertools.product(range(len(given.groups)), range(3)):
            groups = [list(group) for group in given.groups]
            groups[number][place] = groups[number][place] + 0.1
            found = moved(replace(given, groups=tuple(tuple(group) for group in groups)))  # type: ignore[misc]
            if found is None or not found.any():
                return False
        return True


def is_other(value: Array, initial: Array) -> bool:
    """Whether states are neither zero nor the initial ones."""
    return bool(value.any()) and not np.array_equal(value, initial)


def _pairs(results: list[tuple[str, str | None]]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Two outputs side by side, one of each direction."""
    plain = [(text, axes) for text, axes in results if axes and re.fullmatch(r"out\[\d\]", text)]
    for (first, axes), (second, other) in itertools.pairwise(plain):
        one, two = read(first, axes, "BTH"), read(second, other, "BTH")
        if axes == other and one and two:
            yield f"np.concatenate([{one}, {two}], axis=-1)", axes, (first, second)
