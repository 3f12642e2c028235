"""The truth about the faulty layers in ``people``: which lines hold the faults.

It was read off the code before anything pointed at a line, so that this can be measured. More than one
line is given where the fault is as well told at each: a statement and the one that lacks its result, a
condition and what it guards, an array that is filled and the line that hands it on.
"""

import sys
from collections import Counter
from types import ModuleType
from typing import Any

from parity_tests.gate_tests.lines import (
    truth_cells,
    truth_forward,
    truth_gradients,
    truth_layers,
    truth_module_cells,
    truth_modules,
    truth_several,
    truth_strangers,
    truth_styles,
)
from parity_tests.gate_tests.lines.places import Fault, line_of
from parity_tests.gate_tests.people import CELLS, LAYERS, MODULES, SEVERAL, STRANGERS

LINES: dict[str, tuple[Fault, ...]] = {
    **truth_layers.LINES,
    **truth_forward.LINES,
    **truth_gradients.LINES,
    **truth_cells.LINES,
    **truth_module_cells.LINES,
    **truth_modules.LINES,
    **truth_several.LINES,
    **truth_styles.LINES,
    **truth_strangers.LINES,
}
"""The faults of each layer, in the order of ``people``, by the name that ``targets`` gives it."""

CONSISTENT: dict[str, Fault] = {
    **truth_layers.CONSISTENT,
    **truth_forward.CONSISTENT,
    **truth_gradients.CONSISTENT,
    **truth_cells.CONSISTENT,
    **truth_module_cells.CONSISTENT,
    **truth_modules.CONSISTENT,
    **truth_several.CONSISTENT,
    **truth_styles.CONSISTENT,
}
"""Lines that fit the faulty one, and that a cure has to change with it. They are not the fault."""

SKIPPED = {
    **truth_layers.SKIPPED,
    **truth_forward.SKIPPED,
    **truth_cells.SKIPPED,
    **truth_module_cells.SKIPPED,
    **truth_modules.SKIPPED,
}
"""Layers without a wrong value in float64, each with the reason."""

LATER_CALLS = {
    "CacheNeverCleared": (0,),
    "CellAccumulates": (0,),
    "CopiedAtBirth": (0,),
    "FlatGradients": (2,),
    "GivenStateAgain": (0,),
    "GradientsPileUp": (0,),
    "KeepsStateUnasked": (0,),
    "LeftoverCarry": (0,),
    "LengthsSticky": (0,),
    "NeverZeroed": (0,),
    "NeverZeroedBias": (0,),
    "PackedOnce": (0,),
    "ResetEveryCall": (0,),
    "ResetIgnored": (0,),
    "ResetOneCallLate": (0,),
    "StartsFromOwnDh": (0,),
    "WeightsOfFirstCall": (0,),
    "gradients.MomentumInside": (0,),
    "several_habits.MomentumInside": (2,),
}
"""The faults, by their numbers from 0, that no value of an object's first call shows."""


def targets() -> dict[str, tuple[Any, int]]:
    """Return each faulty layer and how many faults it has.

    The name is that of the class, or the stranger's; of two classes with one name, the module's before it.
    """
    classes = [(row[-1], 1) for row in (*LAYERS, *CELLS, *MODULES)]
    classes += [(row[-1], len(row[0])) for row in SEVERAL]
    often = Counter(cls.__name__ for cls, _ in classes)
    named = {
        cls.__name__ if often[cls.__name__] == 1 else f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}": (
            cls,
            faults,
        )
        for cls, faults in classes
    }
    return named | {s.name: (s.target, len(s.faults)) for s in STRANGERS if s.faults}


def lines_of(name: str) -> list[set[tuple[str, int]]]:
    """Return, of each fault, the files and numbers of the lines at which it may rightly be told."""
    return [_found(fault, name) for fault in LINES[name]]


def consistent_lines_of(name: str) -> set[tuple[str, int]]:
    """Return the files and numbers of the lines that a cure has to change, too."""
    return _found(CONSISTENT.get(name, ()), name)


def _found(fault: Fault, name: str) -> set[tuple[str, int]]:
    module: ModuleType = sys.modules[targets()[name][0].__module__]
    return {line_of(at, module) for at in fault}
