"""The backward: how it is called, and where each gradient is. Both follow from names and shapes, never from numbers."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.adapt.calling.gradients import Gradients, results_of, slot_texts
from parity_tests.adapt.calling.losses import TARGETS, is_linear, scaled, scaled_squares
from parity_tests.adapt.calling.reading import Reading
from parity_tests.adapt.calling.step_backward import StepBackward
from parity_tests.adapt.language.calls import Callee
from parity_tests.adapt.language.layouts import arranged, axes_of
from parity_tests.adapt.language.names import LOSSES, WEIGHTS, matches, roles
from parity_tests.adapt.language.objects import held, is_numbers
from parity_tests.adapt.language.said import lists_for
from parity_tests.adapt.program import GRADIENTS, Program, Trials, evaluated
from parity_tests.adapt.weights.making import RATE, SIZES
from parity_tests.subjects.user_frames import format_error

UNPROVEN = (
    "its gradients are not those of its loss whatever the targets are, so it is not certain how it is called: "
    "that may be a fault"
)
HasOwnHead = Callable[[Reading, Program], bool]
MOST_PROGRAMS = 6
"""Programs of one forward that are compared."""


class Backward:
    """The search for the backward of a forward that was read.

    Args:
        trials: runs programs.
        callees: what may be called.
        has_own_head: whether a program can be given its own head.
    """

    def __init__(self, trials: Trials, callees: Sequence[Callee], has_own_head: HasOwnHead) -> None:
        self.trials, self.callees, self.has_own_head = trials, callees, has_own_head
        self.unproven: list[Program] = []
        self.found = Gradients(trials)
        self.failed: list[tuple[str, str]] = []

    def best(self, reading: Reading) -> list[Program]:
        """Return the programs of the first way to call a backward that gives gradients, the fullest first."""
        way, found = None, list[Program]()
        self.unproven = []
        for program in itertools.islice(self.programs(reading), MOST_PROGRAMS):
            own = program.last, program.backward[-1:] if not reading.is_step else ()
            way = own if way is None else way
            if {"dWx", "dWh"} <= {*program.gradients} and "db" in program.gradients:
                return [program]
            if (program.last,) == way[:1]:
                found.append(program)
        found += [] if found else self._with_own_head(reading)
        return sorted(found, key=lambda program: -len({"dWx", "dWh", "db"} & {*program.gradients}))

    def _with_own_head(self, reading: Reading) -> list[Program]:
        """The first program whose head cannot be taken away, as its gradients are of no loss, and need not be."""
        for program in self.unproven[:MOST_PROGRAMS]:
            if self.has_own_head(reading, program):
                return [program.adding(told=(UNPROVEN,))]
        return []

    def failure(self) -> tuple[str, ...]:
        """Say why no gradient was found."""
        if self.failed:
            return (f"no gradient was found: `{self.failed[0][0]}` raises {self.failed[0][1]}",)
        names = ", ".join(callee.text.removeprefix("net.") for callee in self.callees)
        return (f"no gradient was found: no call of {names} gives arrays of the shapes of the weights",)

    def programs(self, reading: Reading) -> Iterator[Program]:
        """Yield the programs with a backward whose gradients have the shapes of the weights."""
        if reading.program.head == "forged" and "y" in reading.arguments.given:
            yield from self._of_one_call(reading)
        for callee in self.callees:
            if reading.program.head == "forged":
                yield from self._through_loss(reading, callee)
                continue
            is_method, of_object = callee.text.startswith("net."), reading.callee.text.startswith("net")
            if is_method != of_object or callee.text == reading.callee.text:
                continue
            if reading.program.head == "eye" and not reading.is_step and takes_targets_alone(callee):
                yield from self._through_squares(reading, callee)
                continue
            if reading.is_step:
                yield from StepBackward(self.trials, self.found).programs(reading, callee)
                continue
            ways = list(self.upstreams(reading))
            said = next((each.text for each in callee.said or () if each.role == "d"), "")
            if said and said not in [upstream for _, upstream in ways]:
                ways = [(said.endswith("-1]"), said)]
            for last, upstream in ways:
                yield from self._called(reading, callee, upstream, last=last)

    def _through_loss(self, reading: Reading, callee: Callee) -> Iterator[Program]:
        """The programs in which a loss inside gives the upstream gradient."""
        options = self.options(reading, "")
        options["y"], options["d"] = TARGETS, ()
        for arguments in lists_for(
            callee, options, self.named(reading), ("x", "y", "cache", "h"), ("x", "y", "rate", "h")
        ):
            if "y" in arguments.given or "y" in reading.arguments.given:
                program = reading.program.adding(backward=(f"back = {callee.text}({arguments.text})",))
                found = self.with_gradients(program, reading, callee)
                if found is not None:
                    yield found

    def _through_squares(self, reading: Reading, callee: Callee) -> Iterator[Program]:
        """The programs in which a loss of squares inside gives it: the targets are the outputs minus dhs."""
        env = self.trials.run(reading.program) or {}
        sizes = reading.program.sizes(self.trials.given)
        frame = reading.program.frame
        for text, array in held("out", env.get("out")):
            axes = axes_of(array.shape, sizes) or ""
            if "V" not in axes or "T" not in axes or {*axes} - {*frame, "V", "1"}:
                continue
            targets = f"{text} - {arranged('dy', frame.replace('D', 'V'), axes)}"
            options = self.options(reading, "")
            options["y"], options["d"] = (targets, f"list({targets})"), ()
            for arguments in lists_for(
                callee, options, self.named(reading), ("x", "y", "cache"), ("x", "y", "rate")
            ):
                if "y" not in arguments.given:
                    continue
                program = reading.program.adding(backward=(f"back = {callee.text}({arguments.text})",))
                found = self.with_gradients(program, reading, callee)
                if found is not None and is_linear(found, self.trials):
                    yield scaled_squares(found, self.trials, self._losses(text, targets))

    def _losses(self, output: str, targets: str) -> Iterator[str]:
        """The calls that may give the value of a loss of squares."""
        options = {"y": (targets,), "out": (output,)}
        for callee in self.callees:
            if matches(callee.text.removeprefix("net."), LOSSES):
                lists = lists_for(callee, options, None, ("out", "y"))
                yield from (f"{callee.text}({arguments.text})" for arguments in itertools.islice(lists, 2))

    def _of_one_call(self, reading: Reading) -> Iterator[Program]:
        """The program of a call that does forward, loss and backward."""
        program = replace(reading.program, backward=("back = out",))
        found = self.with_gradients(program, reading, reading.callee)
        if found is not None:
            yield found

    def upstreams(self, reading: Reading) -> Iterator[tuple[bool, str]]:
        """Yield what may be the upstream gradient, with whether it is of the last step alone."""
        frame = reading.program.frame.replace("D", "H")
        if reading.program.head == "scalar":
            yield True, "1.0"
            return
        output = self.output_axes(reading)
        dense = "T" in output or "S" in output
        plain = reading.layout.strip("[]").replace("D", "H")
        state = frame.replace("T", "")
        whole = [output.replace("S", "T").replace("V", "H")] if dense else []
        whole += [plain] if plain not in whole else []
        ends = [output.replace("V", "H")] if output and not dense else []
        ends += [axes for axes in (state, state[::-1], f"1{state}", f"{state}1") if axes not in ends]
        listed = reading.layout.startswith("[")
        variables = ("dy", "d") if reading.program.head == "eye" else ("d",)
        if reading.program.head == "eye" and "V" not in output:
            variables = ("d", "dy")
        sequences = [(False, name, axes) for axes in whole for name in variables]
        lasts = [(True, name, axes) for axes in ends for name in variables]
        for last, name, axes in [*sequences, *lasts] if dense or not output else [*lasts, *sequences]:
            text = f"{name}[:, -1]" if len(frame) == 3 else f"{name}[-1]"
            want = f"[{axes}]" if listed and not last and axes[0] == "T" else axes
            try:
                yield last, arranged(text if last else name, state if last else frame, want)
            except ValueError:
                continue

    def output_axes(self, reading: Reading) -> str:
        """The axes of what the forward returns first that has those of states or outputs."""
        env = self.trials.run(reading.program)
        if env is None or "out" not in env:
            return ""
        sizes = reading.program.sizes(self.trials.given)
        sizes["S"] = sizes["T"] + 1
        found = [axes_of(array.shape, sizes) or "" for _, array in held("out", env["out"])]
        if reading.program.padded:
            found = [axes.replace("D", "V") for axes in found]
        if reading.program.head == "eye":
            found = [axes for axes in found if "V" in axes] or found
        return next((axes for axes in found if "H" in axes or "V" in axes), "")

    def options(self, reading: Reading, upstream: str) -> dict[str, Sequence[str]]:
        """By role, what the backward of a sequence may be given."""
        given = reading.arguments.given
        options: dict[str, Sequence[str]] = {**SIZES, "rate": (RATE,), "d": (upstream,)}
        options |= {role: (text,) for role, text in given.items() if role not in options}
        options |= reading.callee.options or {}
        env = self.trials.run(reading.program) or {}
        out = env.get("out")
        whole = [f"out[{number}]" for number in range(len(out))] if isinstance(out, tuple) else []
        options["cache"] = (
            [text for text in whole if not is_numbers(evaluated(text, env))] or whole[::-1] or ["out"]
        )
        options["h"] = [*given_state(reading), *whole, "out"]
        return options

    def named(self, reading: Reading) -> dict[str, str]:
        """What the forward returned, and was given, by the names that its source uses."""
        found = {name: f"out[{number}]" for number, name in enumerate(reading.callee.returned)}
        if len(reading.callee.returned) == 1:
            found = {reading.callee.returned[0]: "out"}
        for role, name in reading.arguments.names.items():
            if not set(roles(name)) & {"h"}:
                found.setdefault(name, reading.arguments.given[role])
        return {name: text for name, text in found.items() if "d" not in roles(name)}

    def _called(self, reading: Reading, callee: Callee, upstream: str, *, last: bool) -> Iterator[Program]:
        options = self.options(reading, upstream)
        unknown = ("d", "x", "cache", "h")
        for arguments in lists_for(callee, options, self.named(reading), unknown, ("x", "y", "rate")):
            if "d" not in arguments.given:
                continue
            program = reading.program.adding(backward=(f"back = {callee.text}({arguments.text})",))
            found = self.with_gradients(replace(program, last=last), reading, callee)
            if found is not None:
                yield found

    def _before_and_after(self, program: Program) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        after = self.trials.run(program, backward=True)
        if after is None:
            return None, None
        if program.backward[-1:] == ("back = out",):
            return self.trials.run(replace(program, forward=(), backward=()), backward=False), after
        return self.trials.run(program, backward=False), after

    def with_gradients(self, program: Program, reading: Reading, callee: Callee) -> Program | None:
        """Return a program with the expressions of gradients, None if that of no weight is found."""
        before, after = self._before_and_after(program)
        if after is not None and are_written(after, self.trials):
            program = program.copied(slot.value for slot in reading.maker.slots if slot.kind in WEIGHTS)
            before, after = self._before_and_after(program)
        if before is None or after is None:
            error = self.trials.last_error
            self.failed.append((program.backward[-1].removeprefix("back = "), format_error(error)))
            return None
        found = self.found.gradients(
            results_of(before, after, callee, slot_texts(reading)), reading, after, program
        )
        if not {"dWx", "dWh"} & {*found}:
            return None
        gradients = {name: found[name] for name in GRADIENTS if name in found}
        done = replace(program, gradients=gradients, returned=callee.returned)
        done = done.adding(told=tuple(uneven(after["back"])))
        if program.head != "forged":
            return done
        if is_linear(done, self.trials):
            return scaled(done, self.trials, reading.states.hs)
        self.unproven.append(done)
        return None


def uneven(back: Any) -> Iterator[str]:
    """Yield what is wrong with a list that a backward returned, if steps are missing in it."""
    for number, item in enumerate(back if isinstance(back, tuple | list) else ()):
        if isinstance(item, list) and any(each is None for each in item):
            yield f"what the backward returns at place {number} has None for some steps, and is left out"


def takes_targets_alone(callee: Callee) -> bool:
    """Whether it takes targets, and no upstream gradient."""
    named = [roles(p.name) for p in callee.parameters if p.default is p.empty]
    return any(each[:1] == ["y"] for each in named) and not any(each[:1] == ["d"] for each in named)


def are_written(env: dict[str, Any], trials: Trials) -> bool:
    """Whether the code has written into the weights that it was given."""
    return env["case"].Wx is trials.given.Wx and any(
        env[f"given_{name}"].tobytes() != getattr(trials.given, name).tobytes() for name in ("Wx", "Wh", "b")
    )


def given_state(reading: Reading) -> list[str]:
    """The initial state as the forward was given it."""
    return [reading.arguments.given["h"]] if "h" in reading.arguments.given else []
