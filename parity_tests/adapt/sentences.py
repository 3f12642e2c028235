"""A reading in sentences, for the head of an adapter and for the screen."""

from typing import Any

from parity_tests.adapt.probe import RELU
from parity_tests.adapt.program import names_in

NOT_JUDGED = "cases that the code is not for are answered by rnn_np, and say nothing of the code"
"""Said of a class with torch's interface, which other cases too are put to."""


def sentences(found: Any) -> tuple[str, ...]:
    """Return how code was read, a sentence each."""
    reading, program = found.reading, found.program
    lines = [f"made: {program.make[0]}" if program.make else f"called: {named(found)}"]
    unit = "one time step a call" if reading.is_step else "a whole sequence a call"
    rows = "" if program.frame == "BTD" else ", one row of the batch at a time"
    lines.append(f"unit: {unit}{rows}, the input as {shown(reading.layout)}")
    for slot in reading.maker.slots:
        if slot.kind not in (("Wy", "Wy1", "by", "byD", "by1") if program.head else ("by1",)):
            lines.append(f"weights: {slot.texts[0]} is {slot.value}")
    if program.ones:
        lines.append("there is no bias: it is one more input that is 1")
    if program.head == "eye":
        lines.append("the output layer is the identity, so that outputs are states")
    if program.head == "forged":
        lines.append("the output layer is made so that the gradient of the loss is dhs")
    if not program.starts:
        lines.append("there is no place for h_0: it starts at zero")
    if program.last:
        lines.append("only the last state has a gradient")
    if is_relu(reading):
        lines += ["its nonlinearity is relu", NOT_JUDGED]
    elif reading.states.name:
        lines.append(f"its states are those of a loop with a fault: {reading.states.name}")
    return tuple(lines)


def named(found: Any) -> str:
    """Return the name of a class, or those of the functions that its adapter calls."""
    program, names = found.program, found.name.split(", ")
    used = names_in("\n".join([*program.make, *program.forward, *program.backward]), names)
    return ", ".join(used) or str(found.name)


def is_relu(reading: Any) -> bool:
    """Whether relu in place of tanh is all that tells its states from the right ones: that is no fault."""
    return bool(reading.states.kind == "relu" and reading.states.name == RELU)


def in_one(found: Any) -> str:
    """Return the reading in one sentence."""
    reading, program = found.reading, found.program
    unit = "a step a call" if reading.is_step else "a whole sequence a call"
    parts = [
        f"{reading.callee.text.removeprefix('net.')}({reading.arguments.text}), {unit}, input {shown(reading.layout)}"
    ]
    parts += ["no bias"] * program.ones
    parts += ["no h_0"] * (not program.starts)
    parts += ["the last state's gradient alone"] * program.last
    if is_relu(reading):
        parts.append("relu")
    elif reading.states.name:
        parts.append(f"states of a faulty loop ({reading.states.name})")
    parts += ["ASSUMED: " + "; ".join(assumptions(found))] * bool(assumptions(found))
    return "; ".join(parts)


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
    lines = list(found.program.told)
    if found.reading.assumed:
        lines.append(
            "the states equal no known loop, right or faulty; they were found by what they depend on: "
            "each on its own and earlier inputs and on each weight, and on nothing else"
        )
    return tuple(lines)
