"""A reading: how a forward is made and called, and where its states are."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from parity_tests.adapt.language.calls import Arguments, Callee
from parity_tests.adapt.language.layouts import read
from parity_tests.adapt.language.names import roles
from parity_tests.adapt.probe import States
from parity_tests.adapt.program import WIDE_READ, Program, evaluated
from parity_tests.adapt.weights.making import Maker, argument_slots, headed
from parity_tests.adapt.weights.slots import is_whole
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.subjects.adapters.problem import Problem


@dataclass(frozen=True)
class Reading:
    """A forward that was understood.

    Attributes:
        maker: how the object is made.
        program: what runs it.
        callee: what is called.
        arguments: with what.
        layout: of the input.
        states: the loop whose states it has.
        axes: of what is returned or kept as the state of a step, or of the whole output.
        is_step: whether it is called step by step.
        dense: whether it gives an output at every step.
        assumed: whether it was accepted by who depends on what, not by its numbers.
    """

    maker: Maker
    program: Program
    callee: Callee
    arguments: Arguments
    layout: str
    states: States
    axes: str
    is_step: bool = False
    dense: bool = True
    assumed: bool = False


@dataclass(frozen=True)
class Attempt:
    """A call that ran, with the results that may be states."""

    reading: Reading
    found: tuple[tuple[str, str, Array], ...]

    def gives_all(self, given: Problem) -> bool:
        """Whether the call returns something of the shape of all states."""
        shape = given.dhs.shape[self.reading.program.frame == "TD" :]
        return any(array.shape == shape and "out" in text for text, _, array in self.found)


def with_arguments(maker: Maker, callee: Callee, arguments: Arguments) -> Maker:
    """The maker of a function that is given its weights as arguments: they are its slots."""
    if not callee.options or "params" in callee.options:
        return maker
    slots = argument_slots(arguments)
    return replace(maker, program=headed(maker.program, slots), slots=slots)


def are_whole(callee: Callee, arguments: Arguments) -> bool:
    """Whether the weights among the arguments are those of one layer."""
    if not callee.options or "params" in callee.options:
        return True
    slots = argument_slots(arguments)
    biases = [slot for slot in slots if slot.kind == "b"]
    is_shared = any(slot.value.endswith("/ 2") for slot in biases)
    return is_whole([slot.kind for slot in slots]) and len(biases) == (
        2 if is_shared else min(len(biases), 1)
    )


def are_told_apart(env: dict[str, Any], maker: Maker, lines: Iterable[str]) -> bool:
    """Whether the forward changes no bias, and what is taken for a state but for its shape."""
    for line in lines:
        place, _, value = line.partition(" = ")
        if place.startswith("net.") and value.startswith("h"):
            before, after = evaluated(value, env), evaluated(place, env)
            if np.shape(before) != np.shape(after) and isinstance(after, np.ndarray):
                return False
    for slot in maker.slots:
        if slot.kind == "b" and slot.axes:
            there, wanted = evaluated(slot.texts[0], env), evaluated(slot.value, env)
            if not isinstance(there, np.ndarray) or there.shape != wanted.shape or (there != wanted).any():
                return False
    for slot, before in zip(maker.states, maker.initial, strict=True):
        there = evaluated(slot.texts[0], env)
        named = bool({"h", "d"} & {*roles(slot.name)})
        if not named and isinstance(there, np.ndarray) and np.array_equal(there, before):
            return False
    return True


def canonical(text: str, axes: str, want: str) -> Iterator[str]:
    """Yield the expressions that bring a result with states into the canonical order."""
    plain = axes.replace("V", "H")
    ending = WIDE_READ if "V" in axes else ""
    for wanted in (want, want.replace("T", "")):
        for start in ("1:", ":-1") if "S" in axes else ("1:",):
            found = read(text, plain, wanted, start=start)
            if found is not None:
                yield f"{found}{ending}"


def state_given(call: str, given: str) -> str:
    """The call with the state of the step before in the place of the initial one."""
    name, _, arguments = call.partition("(")
    return f"{name}({arguments.replace(given, 'h', 1) if given != 'h' else arguments}"


def axes_of_given(given: str, have: str) -> str:
    """The axes of an initial state as it is given."""
    known = {
        "h": have,
        "h.T": have[::-1],
        "h[None]": f"1{have}",
        "h[:, None]": f"{have}1",
        "h[None, None]": f"11{have}",
    }
    return known.get(given, "")


def with_result(reading: Reading, name: str, text: str, axes: str, loop: States) -> Reading:
    """Return a reading whose states are read from an expression, and equal those of a loop."""
    results = {name: text} if name == "h_n" else {"hs": text, "h_n": last_of(text, reading.program.frame)}
    program = judging(replace(reading.program, results=results), text)
    return replace(reading, program=program, states=loop, axes=reading.axes or axes)


def judging(program: Program, state: str) -> Program:
    """Return a program of torch's in which autograd starts at the result that has the states."""
    number = re.match(r"out\[([1-9])\]", state)
    if not number or not any(line.startswith("net = TorchCode(") for line in program.make):
        return program
    make = [re.sub(r"^(net = TorchCode\(.*)\)$", rf"\1, {number[1]})", line) for line in program.make]
    return replace(program, make=tuple(make))


def last_of(text: str, frame: str) -> str:
    """The expression of the last state of all states."""
    return f"{text}[:, -1]" if frame == "BTD" else f"{text}[-1]"
