"""Is it right for a batch of one row too? An axis that is squeezed away is missed only there."""

import re
from dataclasses import replace

from parity_tests.adapt.calling.reading import Reading
from parity_tests.adapt.language.layouts import STATE_OF, arranged
from parity_tests.adapt.program import Program, Trials, evaluated
from parity_tests.bound_numpy import np


def with_state_axis(found: Reading, trials: Trials) -> Reading:
    """Return a reading with the initial state as [1, B, H], where one row of [B, H] raises and that does not.

    Args:
        found: the reading of a whole sequence.
        trials: runs programs.
    """
    given = found.arguments.given.get("h", "")
    if found.program.frame != "BTD" or found.is_step or given != "h" or _runs(found.program, trials):
        return found
    before = trials.run(found.program)
    for axes in STATE_OF[found.layout.strip("[]")]:
        if "1" not in axes or before is None:
            continue
        text = arranged("h", "BH", axes)
        arguments = replace(
            found.arguments,
            text=_replaced(found.arguments.text, text),
            given={**found.arguments.given, "h": text},
        )
        forward = tuple(_replaced(line, text) for line in found.program.forward)
        program = replace(found.program, forward=forward)
        after = trials.run(program)
        states = found.program.results.get("hs") or found.program.results["h_n"]
        if after is None or not np.array_equal(evaluated(states, before), evaluated(states, after)):
            continue
        if _runs(program, trials):
            return replace(found, program=program, arguments=arguments)
    return found


def _replaced(line: str, text: str) -> str:
    return re.sub(r"(?<![\w.])h(?![\w\[.=])", text, line)


def _runs(program: Program, trials: Trials) -> bool:
    """Whether a program gives states of the right shape for one row."""
    given = trials.given
    one = replace(given, xs=given.xs[:1], h_0=given.h_0[:1], dhs=given.dhs[:1])
    env = trials.run(program, given=one)
    if env is None:
        return False
    states = evaluated(program.results.get("hs", ""), env)
    return "hs" not in program.results or np.shape(states) == one.dhs.shape
