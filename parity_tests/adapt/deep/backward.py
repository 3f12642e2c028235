"""The backward of a stack or of two directions, and where its gradients are: by names and shapes, never by numbers."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from parity_tests.adapt.calling.gradients import (
    Gradients,
    Result,
    is_named_gradient,
    parts_of_gradient,
    results_of,
)
from parity_tests.adapt.deep.forward import DeepReading
from parity_tests.adapt.deep.program import DeepProgram
from parity_tests.adapt.language.calls import Callee
from parity_tests.adapt.language.layouts import arranged, axes_of, read
from parity_tests.adapt.language.names import roles
from parity_tests.adapt.language.objects import is_numbers
from parity_tests.adapt.language.said import lists_for
from parity_tests.adapt.program import GRADIENTS, Trials, evaluated
from parity_tests.adapt.weights.making import SIZES
from parity_tests.bound_numpy import np


class DeepBackward:
    """The search for the backward of a forward that was read.

    Args:
        trials: runs programs.
        callees: what may be called.
    """

    def __init__(self, trials: Trials, callees: list[Callee]) -> None:
        self.trials, self.callees = trials, callees
        self.found = Gradients(trials)

    def best(self, reading: DeepReading) -> DeepProgram | None:
        """Return the program of the first call that gives all gradients of weights, else of the first with some."""
        first = None
        for program in itertools.islice(self._programs(reading), 12):
            if {"dWx", "dWh", "db"} <= {*program.gradients}:
                return program
            first = first or program
        return first

    def _programs(self, reading: DeepReading) -> Iterator[DeepProgram]:
        for callee in self.callees:
            if callee.text == reading.callee.text:
                continue
            options = self._options(reading)
            options["d"] += [each.text for each in callee.said or () if each.role == "d" and each.text]
            named = self._named(reading, callee)
            for arguments in lists_for(callee, options, named, ("d", "x", "cache"), ("x",), strict=True):
                if "d" not in arguments.given and not named:
                    continue
                program = replace(reading.program, backward=(f"back = {callee.text}({arguments.text})",))
                found = self._with_gradients(program, reading, callee)
                if found is not None:
                    yield found

    def _options(self, reading: DeepReading) -> dict[str, Any]:
        given = reading.arguments.given
        options: dict[str, Any] = {**SIZES, "d": [self._upstream(reading)], "x": (given["x"],)}
        env = self.trials.run(reading.program) or {}
        out = env.get("out")
        whole = [f"out[{number}]" for number in range(len(out))] if isinstance(out, tuple) else []
        options["cache"] = [text for text in whole if not is_numbers(evaluated(text, env))] or ["out"]
        return options

    @staticmethod
    def _upstream(reading: DeepReading, part: str = "d") -> str:
        """The gradient in the layout of the output."""
        axes = reading.axes
        if not reading.parts:
            return arranged("d", "BTW" if "W" in axes else "BTH", axes)
        if part != "d":
            return arranged(part, "BTH", axes)
        return f"({arranged('d[..., :H]', 'BTH', axes)}, {arranged('d[..., H:]', 'BTH', axes)})"

    def _named(self, reading: DeepReading, callee: Callee) -> dict[str, str]:
        """Two upstream gradients by the names of parameters, one of each direction."""
        needed = [p.name for p in callee.parameters if p.default is p.empty and "d" in roles(p.name)]
        if not reading.parts or len(needed) != 2:
            return {}
        parts = ("d[..., :H]", "d[..., H:]")
        return {name: self._upstream(reading, part) for name, part in zip(needed, parts, strict=True)}

    def _with_gradients(
        self, program: DeepProgram, reading: DeepReading, callee: Callee
    ) -> DeepProgram | None:
        before, after = self.trials.run(program), self.trials.run(program, backward=True)
        if before is None or after is None:
            return None
        own = {text for slot in reading.groups.slots for text in slot.texts}
        own |= {text for each in own for text in reading.groups.others(each) or ()}
        results = results_of(before, after, callee, own)
        found = self._of_weights(results, reading, after)
        if not {"dWx", "dWh"} & {*found}:
            return None
        found |= self._of_inputs(results, reading, program)
        return replace(program, gradients={name: found[name] for name in GRADIENTS if name in found})

    def _of_weights(
        self, results: list[Result], reading: DeepReading, env: Mapping[str, Any]
    ) -> dict[str, str]:
        groups = reading.groups
        first = dict(zip(("Wx", "Wh", "b"), env["weights"][0], strict=True))
        at_first = {**env, **first}
        known = {each.text for each in results}
        of_first = [each for each in results if groups.others(each.text, known)]
        slots = [slot for slot in groups.slots if slot.kind != "state"]
        found: dict[str, str] = {}
        biases, taken = [], set[str]()
        for slot in slots:
            text = self.found.of_slot(slot, slots, of_first, at_first, taken, has_rate=False)
            if text is None:
                continue
            others = groups.others(text, known) or []
            shape = np.shape(evaluated(text, at_first))
            for name, part in parts_of_gradient(slot, text, shape).items():
                listed = [part.replace(text, each) for each in others]
                if name == "db":
                    biases.append(listed)
                else:
                    found[name] = groups.each(listed)
        if biases and len(biases) == sum(slot.kind == "b" for slot in slots):
            both = (
                biases[0]
                if len(biases) == 1
                else [f"({' + '.join(each)}) / 2" for each in zip(*biases, strict=True)]
            )
            found["db"] = groups.each(both)
        self._taken = {text for each in taken for text in groups.others(each, known) or ()}
        return found

    def _of_inputs(self, results: list[Result], reading: DeepReading, program: DeepProgram) -> dict[str, str]:
        sizes = program.sizes(self.trials.given)
        found: dict[str, str] = {}
        free = [each for each in results if each.text not in self._taken]
        for name, want in (("dx", "BTD"), ("dh_0", "GBH")):
            for each in free:
                if name == "dh_0" and not program.starts:
                    continue
                axes = axes_of(each.array.shape, sizes)
                text = read(each.text, axes, want) if axes else None
                is_named = is_named_gradient(each.name, name) or (
                    name == "dx" and "x" in roles(each.name)[:1]
                )
                if text and (each.returned or is_named):
                    found[name] = text
                    break
        states = [each for each in free if each.returned and axes_of(each.array.shape, sizes) in ("BH", "HB")]
        if "dh_0" not in found and program.starts and len(states) == len(reading.groups.keys):
            listed = [read(each.text, axes_of(each.array.shape, sizes) or "", "BH") for each in states]
            found["dh_0"] = f"np.stack([{', '.join(map(str, listed))}])"
        return found
