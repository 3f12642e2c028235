"""A reading in sentences, for the head of an adapter and for the screen."""

from typing import Any

from parity_tests.adapt.calling.gradients import OF_HEAD
from parity_tests.adapt.heads.program import HeadProgram
from parity_tests.adapt.probe import States
from parity_tests.adapt.program import names_in

NO_NONLINEARITY = "it has no nonlinearity, which is declared; code in which it was forgotten looks the same"


def sentences(found: Any) -> tuple[str, ...]:
    """Return how code was read, a sentence each."""
    reading, program = found.reading, found.program
    lines = [f"made: {program.make[0]}" if program.make else f"called: {named(found)}"]
    unit = "one time step a call" if reading.is_step else "a whole sequence a call"
    rows = "" if program.frame == "BTD" else ", one row of the batch at a time"
    lines.append(f"unit: {unit}{rows}, the input as {of_input(found)}")
    for slot in reading.maker.slots:
        if slot.kind not in (OF_HEAD if program.head not in ("", "own") else ("by1",)):
            lines.append(f"weights: {slot.texts[0]} is {slot.value}")
    if program.ones:
        lines.append("there is no bias: it is one more input that is 1")
    if program.head == "eye":
        lines.append("the output layer is the identity, so that outputs are states")
    if program.head == "forged":
        lines.append("the output layer is made so that the gradient of the loss is dhs")
    lines += of_head(program)
    if not program.starts:
        lines.append("there is no place for h_0: it starts at zero")
    if program.last:
        lines.append("only the last state has a gradient")
    return (*lines, *of_states(reading.states))


def of_states(states: States) -> list[str]:
    """Return what is said of states: their nonlinearity if it is declared, and what is wrong in them."""
    lines = [] if states.kind == "tanh" else [of_nonlinearity(states.kind)]
    if states.fault:
        lines.append(f"its states are those of a loop with a fault: {states.fault}")
    return lines


def of_nonlinearity(name: str) -> str:
    """Return what is said of a nonlinearity that an adapter declares: the runner would call it a fault."""
    return f"nonlinearity: {name}, declared; if tanh is meant, this is the fault"


def of_head(program: Any) -> list[str]:
    """Return what is said of a head that is judged."""
    if not isinstance(program, HeadProgram):
        return []
    ways = ["of the last state"] * program.many_to_one
    what = f"loss {program.loss}, {program.reduction} by its value" if program.loss else "no loss"
    what += f", times {program.scale}" if program.scale else ""
    return [", ".join([f"its own output layer, {what}", *ways])]


def of_input(found: Any) -> str:
    """Return the form of the input."""
    return "indices" if getattr(found.program, "indices", False) else shown(found.reading.layout)


def named(found: Any) -> str:
    """Return the name of a class, or those of the functions that its adapter calls."""
    program, names = found.program, found.name.split(", ")
    used = names_in("\n".join([*program.make, *program.forward, *program.backward]), names)
    return ", ".join(used) or str(found.name)


def in_one(found: Any) -> str:
    """Return the reading in one sentence."""
    reading, program = found.reading, found.program
    unit = "a step a call" if reading.is_step else "a whole sequence a call"
    parts = [
        f"{reading.callee.text.removeprefix('net.')}({reading.arguments.text}), {unit}, input {of_input(found)}"
    ]
    parts += of_head(program)
    parts += ["no bias"] * (program.ones or getattr(program, "in_rows", False))
    parts += ["no h_0"] * (not program.starts)
    parts += ["the last state's gradient alone"] * program.last
    parts += in_one_of_states(reading.states)
    parts += ["ASSUMED: " + "; ".join(assumptions(found))] * bool(assumptions(found))
    return "; ".join(parts)


def in_one_of_states(states: States) -> list[str]:
    """Return what is said of states in a reading in one sentence."""
    parts = [] if states.kind == "tanh" else [of_nonlinearity(states.kind)]
    return [*parts, f"states of a faulty loop ({states.fault})"] if states.fault else parts


def shown(layout: str) -> str:
    """A layout as people write it.

    Example:
        >>> shown("TBD"), shown("[TD1]")
        ('[T, B, D]', 'a list of [D, 1]')
    """
    plain = layout.strip("[]")
    if layout.startswith("["):
        return f"a list of [{', '.join(plain[1:])}]"
    return f"[{', '.join(plain)}]"


def assumptions(found: Any) -> tuple[str, ...]:
    """Return what is assumed in a reading."""
    lines = [*found.program.told, *of_no_nonlinearity(found.reading.states)]
    if found.reading.assumed:
        lines.append(
            "the states equal no known loop, right or faulty; they were found by what they depend on: "
            "each on its own and earlier inputs and on each weight, and on nothing else"
        )
    return tuple(lines)


def of_no_nonlinearity(states: States) -> list[str]:
    """Return what is assumed where states have no nonlinearity."""
    return [NO_NONLINEARITY] if states.kind == "identity" else []
