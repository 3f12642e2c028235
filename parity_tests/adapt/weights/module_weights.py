"""Functions whose weights are globals of their module."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.adapt.language.layouts import axes_of
from parity_tests.adapt.language.names import KINDS, is_gradient_name, roles
from parity_tests.adapt.language.objects import is_numbers
from parity_tests.adapt.language.source import global_names
from parity_tests.adapt.program import Program, Trials
from parity_tests.adapt.weights.making import RATE, Maker, headed, sizes_by_names
from parity_tests.adapt.weights.slots import Slot, all_sizes, assignments

MOST = 8


def module_makers(
    functions: Sequence[Callable[..., Any]], base: Program, trials: Trials, imports: Sequence[str]
) -> Iterator[Maker]:
    """Yield the ways to put weights into the globals that functions read.

    Args:
        functions: those that read them.
        base: the program to start from.
        trials: has the module, and its globals as they were.
        imports: the names of functions that are called.
    """
    used = set().union(*map(global_names, functions))
    arrays = {
        name: value
        for name, value in trials.globals.items()
        if name in used and is_numbers(value) and value.ndim in (1, 2)
    }
    arrays = {name: value for name, value in arrays.items() if not is_gradient_name(name, {*arrays} - {name})}
    module = trials.name
    for sizes in sizes_by_names(arrays):
        slots = [
            Slot((f"{module}.{name}",), axes)
            for name, value in arrays.items()
            if (axes := axes_of(value.shape, all_sizes(sizes))) is not None
        ]
        for filled in itertools.islice(assignments(slots), MOST):
            chosen = tuple(slot for slot in filled if slot.kind != "state")
            lines = [*_size_lines(module, trials, used), *(slot.line for slot in chosen)]
            program = replace(base, imports=(".", *imports), make=tuple(lines))
            yield Maker(headed(program, chosen), chosen)


def _size_lines(module: str, trials: Trials, used: set[str]) -> list[str]:
    """The statements that set sizes and a learning rate among the globals."""
    lines = []
    for name, value in trials.globals.items():
        named = roles(name)
        if name not in used or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        role = next((role for role in named if role in KINDS), None)
        if role and isinstance(value, int):
            lines.append(f"{module}.{name} = {role}")
        elif "rate" in named:
            lines.append(f"{module}.{name} = {RATE}")
    return lines
