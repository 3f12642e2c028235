"""The forward: calls are tried until the states are those of the plain loop, or of a known faulty one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.adapt.calling.losses import SYMBOLS, TARGETS
from parity_tests.adapt.calling.one_row import with_state_axis
from parity_tests.adapt.calling.reading import (
    Attempt,
    Reading,
    are_told_apart,
    are_whole,
    axes_of_given,
    canonical,
    judging,
    state_given,
    with_arguments,
    with_result,
)
from parity_tests.adapt.language.calls import Arguments, Callee
from parity_tests.adapt.language.layouts import SEQUENCES, STATE_OF, STEPS, arranged, axes_of, read
from parity_tests.adapt.language.objects import held
from parity_tests.adapt.language.said import lists_for
from parity_tests.adapt.language.source import has_loop
from parity_tests.adapt.probe import Expected, States, close
from parity_tests.adapt.program import Program, Trials, evaluated
from parity_tests.adapt.weights.making import (
    RATE,
    SIZES,
    Maker,
    starting_lines,
)
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

NEAR = 1e-8
"""Of the first numbers of two arrays that may be equal."""
MOST_OF_ONE = 8000
"""Calls of one function: names that say nothing let arguments go anywhere."""
MOST_KEPT = 600
"""Readings without the right states that are compared with the faulty loops."""

OF_ONE_ROW = (
    "it is called with one row at a time, as the states of a whole batch are not right: that may be a fault"
)
KEPT_ONLY = "the states are those that it keeps, {}, as what it returns has their shape and is not right: that may be a fault"


class Forward:
    """The search for the forward.

    Args:
        trials: runs programs.
        expected: what the states may be.

    Attributes:
        strict: whether arguments go where the names say, and nowhere else.
        tried: how many calls of each function were tried.
        capped: whether there are more of one than are tried.
    """

    def __init__(self, trials: Trials, expected: Expected) -> None:
        self.trials, self.expected = trials, expected
        self.attempts: list[Attempt] = []
        self.strict = True
        self.tried: Counter[str] = Counter()
        self.capped = False

    def sequences(self, pairs: Iterable[tuple[Maker, Callee]]) -> Iterator[Reading]:
        """Yield the readings of a whole sequence a call, the nearest to the right states first."""
        self.attempts, last, doubted = [], list[Reading](), list[Reading]()
        for maker, callee in pairs:
            for attempt in self._sequence_attempts(maker, callee):
                found = self._matched(attempt, [self.expected.right(starts=attempt.reading.program.starts)])
                if found and "hs" in found.program.results:
                    yield with_state_axis(self._doubted(found, attempt), self.trials)
                elif found and not attempt.gives_all(self.expected.given):
                    last.append(found)
                else:
                    doubted += [found] if found else []
                    self.attempts += [attempt] if len(self.attempts) < MOST_KEPT else []
        yield from last
        yield from self._faulty(recurs=True)
        yield from doubted

    def _doubted(self, found: Reading, attempt: Attempt) -> Reading:
        """A reading with the right states, told if they are not where the call should give them."""
        told = [OF_ONE_ROW] * self._mixes_rows(found)
        if attempt.gives_all(self.expected.given) and "out" not in found.program.results["hs"]:
            told.append(KEPT_ONLY.format(found.program.results["hs"]))
        return replace(found, program=found.program.adding(told=tuple(told)))

    def _mixes_rows(self, one: Reading) -> bool:
        """Whether a reading of one row is right and the same call of the whole batch gave other states."""
        whole = one.layout.replace("1", "B")
        return (
            "1" in one.layout
            and one.program.frame == "TD"
            and any(
                each.reading.layout == whole
                and each.reading.callee.text == one.callee.text
                and each.gives_all(self.expected.given)
                for each in self.attempts
            )
        )

    def not_recurring(self) -> Iterator[Reading]:
        """Yield the readings of the last attempts whose states do not depend on states before."""
        yield from self._faulty(recurs=False)

    def _faulty(self, *, recurs: bool) -> Iterator[Reading]:
        """The readings whose states are those of a faulty loop; without recurrence those with a start first."""
        attempts = (
            self.attempts
            if recurs
            else sorted(self.attempts, key=lambda each: not each.reading.program.starts)
        )
        for loops in (self.expected.family, self.expected.catalogue) if attempts else ():
            known = {starts: list(loops(starts=starts)) for starts in (True, False)}
            for attempt in attempts:
                # A loop in it shows that it takes a whole sequence, even where nothing recurs.
                loops_itself = (
                    recurs and not attempt.reading.is_step and has_loop(attempt.reading.callee.function)
                )
                chosen = [
                    each
                    for each in known[attempt.reading.program.starts]
                    if each.recurs_in(attempt.reading.program.frame) == recurs or loops_itself
                ]
                found = self._matched(attempt, chosen)
                if found:
                    is_plain = attempt is attempts[0] and (found.states.recurs or found.is_step)
                    is_plain = is_plain or not found.states.fault
                    yield with_state_axis(found if is_plain else _told(found), self.trials)

    def _matched(self, attempt: Attempt, loops: Sequence[States]) -> Reading | None:
        """The reading of an attempt as the first of some loops whose states it has."""
        is_row = attempt.reading.program.frame == "TD"
        expected = [loop.hs[0] if is_row else loop.hs for loop in loops]
        if not expected:
            return None
        shape = expected[0].shape
        for name, first in (
            ("hs", [hs.flat[0] for hs in expected]),
            ("h_n", [hs[..., -1, :].flat[0] for hs in expected]),
        ):
            for text, axes, array in attempt.found:
                if array.shape != (shape if name == "hs" else (*shape[:-2], shape[-1])):
                    continue
                if name == "h_n" and loops[0].name and attempt.gives_all(self.expected.given):
                    continue
                for number in np.flatnonzero(np.abs(np.asarray(first) - array.flat[0]) < NEAR):
                    hs = expected[int(number)]
                    if close(array, hs if name == "hs" else hs[..., -1, :]):
                        return with_result(attempt.reading, name, text, axes, loops[int(number)])
        return None

    def depending(self) -> Iterator[Reading]:
        """Yield readings in which every state depends on what it should depend on, and on nothing else."""
        for attempt in self.attempts:
            is_row = attempt.reading.program.frame == "TD"
            shape = self.expected.given.dhs.shape[is_row:]
            for text, axes, array in attempt.found:
                if array.shape == shape and self._depends(attempt.reading.program, text, array):
                    loop = States("no loop that is known", array)
                    reading = with_result(attempt.reading, "hs", text, axes, loop)
                    yield with_state_axis(replace(reading, assumed=True), self.trials)

    def _depends(self, program: Program, text: str, before: Array) -> bool:
        given = self.expected.given
        T = given.xs.shape[1]
        for t in range(T):
            xs = given.xs.copy()
            xs[0, t] += 0.1
            moved = self._moved(program, text, before, replace(given, xs=xs))
            if moved is None or moved.ndim not in (2, 3):
                return False
            of_row = moved if program.frame == "TD" else moved[0]
            if of_row[:t].any() or not of_row[t:].any(axis=-1).all():
                return False
            if program.frame != "TD" and moved[1:].any():
                return False
        others = (replace(given, Wx=given.Wx + 0.1), replace(given, Wh=given.Wh + 0.1))
        return all(
            (moved := self._moved(program, text, before, other)) is not None and moved.any()
            for other in others
        )

    def _moved(self, program: Program, text: str, before: Array, given: Any) -> Array | None:
        env = self.trials.run(program, given=given)
        after = None if env is None else evaluated(text, env)
        if not isinstance(after, np.ndarray) or after.shape != before.shape:
            return None
        return np.asarray(np.abs(after - before) > 1e-12)

    # Whole sequences.

    def _sequence_attempts(self, maker: Maker, callee: Callee) -> Iterator[Attempt]:
        frame = maker.program.frame
        for layout in SEQUENCES[frame] if not maker.program.symbols else ("TD", "DT", "T1D"):
            for arguments, starting in self._calls(maker, callee, layout, frame, "x"):
                own = with_arguments(maker, callee, arguments)
                program = own.program.adding(forward=(*starting, f"out = {callee.text}({arguments.text})"))
                program = program.forged() if program.head == "forged" else program
                program = replace(program, starts="h" in arguments.given or bool(starting))
                attempt = self._attempt(
                    Reading(own, program, callee, arguments, layout, States("", np.empty(0)), "")
                )
                if attempt:
                    yield attempt

    def _calls(
        self, maker: Maker, callee: Callee, layout: str, have: str, name: str
    ) -> Iterator[tuple[Arguments, tuple[str, ...]]]:
        """The arguments of a call, and the statements that give the initial state before."""
        if self.tried[callee.text] > MOST_OF_ONE:
            return
        plain = layout.strip("[]")
        if maker.program.symbols:
            xs = SYMBOLS if "T" in have else ("t",)
        else:
            xs = (arranged(name, have, layout),)
        state = have.replace("T", "").replace("D", "H")
        options: dict[str, Sequence[str]] = {
            **SIZES,
            **(callee.options or {}),
            "x": xs,
            "y": TARGETS if maker.program.head == "forged" else (),
            "rate": (RATE,),
            "none": ("None",),
        }
        options["h"] = [arranged("h", state, axes) for axes in STATE_OF[plain]]
        optional = ("h", *(("rate",) if options["y"] else ()), *(callee.options or {}))
        unknown = ("x", "h", *(("y",) if options["y"] else ()), *(callee.options or {}))
        # What was said in the form of another layout is left to it.
        forms = [arranged(name, have, each) for each in (SEQUENCES if "T" in have else STEPS)[have]]
        lists = lists_for(
            callee, options, None, unknown, optional, layout=layout, forms=forms, strict=self.strict
        )
        for arguments in lists:
            self.tried[callee.text] += 1
            if self.tried[callee.text] > MOST_OF_ONE:
                self.capped = True
                return
            if "x" not in arguments.given or not are_whole(callee, arguments):
                continue
            if "h" in arguments.given:
                yield arguments, ()
                continue
            env = self.trials.run(maker.program) if "net" in callee.text else None
            if env is not None:
                starting = starting_lines(
                    env["net"], plain, state, maker.program, self.trials.given, maker.slots
                )
                for line in starting:
                    yield arguments, (line,)
            yield arguments, ()

    def _attempt(self, reading: Reading) -> Attempt | None:
        env = self.trials.run(reading.program)
        if env is None or not are_told_apart(env, reading.maker, reading.program.forward):
            return None
        found = list(self._candidates(env, reading))
        return Attempt(reading, tuple(found)) if found else None

    def _candidates(self, env: dict[str, Any], reading: Reading) -> Iterator[tuple[str, str, Array]]:
        """The results that have the shape of states, in the canonical order: expression, axes, array."""
        own = {text for slot in reading.maker.slots for text in slot.texts}
        frame = reading.program.frame
        sizes = reading.program.sizes(self.trials.given)
        sizes["S"] = sizes["T"] + 1
        end = "[..., :-1]" if reading.program.unit else ""
        sources = [("out", env.get("out"))] + ([("net", env["net"])] if "net" in env else [])
        for root, value in sources:
            for text, array in held(root, value):
                axes = axes_of(array.shape, sizes)
                if axes is not None and reading.program.padded:
                    axes = axes.replace("D", "V")
                if axes is None or text in own or ("V" in axes and reading.program.head != "eye"):
                    continue
                for expression in canonical(text, axes, frame.replace("D", "H")):
                    result = evaluated(f"{expression}{end}", env)
                    if isinstance(result, np.ndarray):
                        yield f"{expression}{end}", axes, result.copy()

    # Step by step.

    def steps(self, pairs: Iterable[tuple[Maker, Callee]]) -> Iterator[Reading]:
        """Yield the readings of a step a call."""
        self.attempts = []
        for maker, callee in pairs:
            for reading, states in self._first_steps(maker, callee):
                for text, axes in states:
                    attempt = self._attempt_of_loop(reading, text, axes)
                    if attempt is None:
                        continue
                    found = self._matched(
                        attempt, [self.expected.right(starts=attempt.reading.program.starts)]
                    )
                    if found and "hs" in found.program.results:
                        yield found
                    elif len(self.attempts) < MOST_KEPT:
                        self.attempts.append(attempt)
        yield from self._faulty(recurs=True)
        yield from self._faulty(recurs=False)

    def _first_steps(self, maker: Maker, callee: Callee) -> Iterator[tuple[Reading, list[tuple[str, str]]]]:
        frame = maker.program.frame
        have = frame.replace("T", "")
        x_t = "x[:, t]" if frame == "BTD" else "x[t]"
        for layout in STEPS[have] if not maker.program.symbols else ("D", "D1"):
            for arguments, starting in self._calls(maker, callee, layout, have, x_t):
                own = with_arguments(maker, callee, arguments)
                program = own.program.adding(
                    forward=("t = 0", *starting, f"out = {callee.text}({arguments.text})")
                )
                program = replace(program, starts="h" in arguments.given or bool(starting))
                env = self.trials.run(program)
                if env is None:
                    continue
                reading = Reading(
                    own, program, callee, arguments, layout, States("", np.empty(0)), "", is_step=True
                )
                found = self._states_of_step(env, reading)
                if found:
                    yield reading, found

    def _states_of_step(self, env: dict[str, Any], reading: Reading) -> list[tuple[str, str]]:
        own = {text for slot in reading.maker.slots for text in slot.texts}
        frame = reading.program.frame
        sizes = reading.program.sizes(self.trials.given)
        found = []
        for root in ("out", "net"):
            if root not in env:
                continue
            for text, array in held(root, env[root]):
                axes = axes_of(array.shape, sizes)
                if axes is None or text in own or text.startswith("np.array(") or "V" in axes:
                    continue
                if read(text, axes, frame.replace("T", "").replace("D", "H")) is not None:
                    found.append((text, axes))
        right = self.expected.right(starts=reading.program.starts).hs[:, 0]
        right = right[0] if frame == "TD" else right

        def is_right(each: tuple[str, str]) -> bool:
            text = read(*each, frame.replace("T", "").replace("D", "H"))
            value = evaluated(text or "", env)
            return isinstance(value, np.ndarray) and close(value, right)

        return sorted(found, key=lambda each: not is_right(each))[:8]

    def _attempt_of_loop(self, reading: Reading, state: str, axes: str) -> Attempt | None:
        """The loop over the steps, with the state of a step read from an expression."""
        *before, first, call = reading.program.forward
        have = reading.program.frame.replace("T", "").replace("D", "H")
        given = reading.arguments.given.get("h", "")
        start = [line for line in (*before, first) if line != "t = 0"]
        if given:
            call = state_given(call, given)
        keeps = bool(given)
        lines = [
            *start,
            *([f"h = {given}"] if given and given != "h" else []),
            "states, outs = [], []",
            "for t in range(T):",
            f"    {call}",
            "    outs.append(out)",
            *(
                [f"    h = {state}", "    states.append(h)"]
                if keeps
                else [f"    states.append(np.array({state}))"]
            ),
        ]
        program = judging(replace(reading.program, forward=tuple(lines)), state)
        if keeps and axes != axes_of_given(given, have) and axes != have:
            return None
        env = self.trials.run(program)
        if env is None or "states" not in env or not are_told_apart(env, reading.maker, lines):
            return None
        text = read("np.array(states)", f"T{axes}", reading.program.frame.replace("D", "H"))
        value = evaluated(text or "", env)
        if text is None or not isinstance(value, np.ndarray):
            return None
        reading = replace(reading, program=program, axes=axes)
        return Attempt(reading, ((text, f"T{axes}", value),))


def _told(reading: Reading) -> Reading:
    """A reading with a fault which is not the likeliest of those that run."""
    told = (
        f"the states equal those of a loop with a fault ({reading.states.name}), so it is not certain how it is called",
    )
    return replace(reading, program=reading.program.adding(told=told))
