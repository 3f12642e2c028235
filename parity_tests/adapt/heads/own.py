"""From a reading whose head is taken away to one that has its own: judged by the loss value and the outputs."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from parity_tests.adapt.calling.gradients import Gradients, parts_of_gradient, results_of
from parity_tests.adapt.calling.losses import NO_VALUE as NOT_READ
from parity_tests.adapt.calling.reading import Reading, last_of
from parity_tests.adapt.heads.loss_calls import loss_calls, numbers_in
from parity_tests.adapt.heads.program import TENSORS, UNITS, HeadProgram, scaled
from parity_tests.adapt.heads.text import has_gradient, has_squares, lifted, with_own_head
from parity_tests.adapt.heads.truth import (
    CLOSE,
    OUTPUTS,
    faulty_losses,
    first_row,
    head_problem,
    head_truth,
    losses,
    softmax,
    states_of,
)
from parity_tests.adapt.language.layouts import axes_of, read
from parity_tests.adapt.language.objects import held
from parity_tests.adapt.probe import SIZES, close
from parity_tests.adapt.program import WIDE_READ, Program, Trials, evaluated
from parity_tests.adapt.weights.making import RATE
from parity_tests.adapt.weights.slots import Slot
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.fields import REDUCTIONS

LIMIT = 600
"""Trials."""
NO_VALUE = (
    "the value of its loss is not that of a known loss, so its output layer is taken away and not judged"
)
NOT_CALLED = "with weights of its own its output layer {}, so it is taken away and not judged"
OTHER_OUTPUTS = "its outputs, {}, are neither the logits nor their softmax; they are taken for {}"
OTHER_REDUCTION = "by its value the loss is the {}, by its gradients the {}: one of both is a fault"
FAULTY_VALUE = "the value of its loss is that of a faulty one ({}), so it is not certain how it is called"
ONE_ROW = "the value of its loss is known for one row at a time and not for a batch: that may be a fault"


@dataclass(frozen=True)
class Own:
    """What came of the search.

    Attributes:
        reading: the reading with its own head.
        program: the adapter, None if there is none.
        told: what the user has to be told where there is none.
    """

    reading: Reading
    program: HeadProgram | None = None
    told: tuple[str, ...] = ()


def own_head(
    module: ModuleType, name: str, reading: Reading, program: Program, is_late: Callable[[], bool]
) -> Own:
    """Return a reading with its own head, if it has one that an adapter can be asked for.

    Args:
        module: that of the user.
        name: of the class or the functions.
        reading: the reading without the head.
        program: its adapter.
        is_late: whether the time is up.

    Raises:
        GaveUp: the time is up.
    """
    base = _based(reading, program)
    if base is None:
        return Own(reading)
    search = _Search(module, name, reading, program, is_late)
    with np.errstate(all="ignore"):  # what is tried may give any numbers
        return search.found(base)


def _based(reading: Reading, program: Program) -> HeadProgram | None:
    """The program with the head of a case, None where the code has none that a case can have."""
    kinds = {slot.kind for slot in reading.maker.slots}
    backward = "\n".join(program.backward)
    is_plain = not reading.is_step and not program.padded and "TorchCode" not in program.imports
    if not is_plain or "Wy" not in kinds or not program.gradients or reading.assumed:
        return None
    loss, many_to_one = "", False
    if program.head == "forged":
        loss = "cross_entropy"
    elif program.head == "eye" and has_squares(backward):
        loss = "mse"
    elif program.head == "eye" and has_gradient(backward):
        many_to_one = program.last
    else:
        return None
    results = {name: text for name, text in program.results.items() if WIDE_READ not in text}
    has_unit = not {"by", "byD"} & kinds
    if has_unit and not program.unit and "hs" in results:
        results["hs"] += "[..., :-1]"
        results["h_n"] = last_of(results["hs"], program.frame)
    elif has_unit and not program.unit and "h_n" in results:
        results["h_n"] += "[..., :-1]"
    return HeadProgram(
        program.frame,
        imports=tuple(each for each in program.imports if not each.startswith("each_row")),
        tops=program.tops,
        make=tuple(map(with_own_head, program.make)),
        forward=tuple(map(with_own_head, program.forward)),
        results=results,
        backward=tuple(map(with_own_head, program.backward)),
        head="own",
        weights=program.weights,
        ones=program.ones and not program.symbols,
        starts=program.starts,
        told=tuple(each for each in program.told if each not in NOT_READ),
        loss=loss,
        many_to_one=many_to_one,
        returned=program.returned,
        indices=program.symbols,
        in_rows=program.ones and program.symbols,
        unit_of=UNITS[reading.states.kind] if has_unit else "",
    )


@dataclass
class _Search:
    module: ModuleType
    name: str
    reading: Reading
    plain: Program
    is_late: Callable[[], bool]

    def found(self, base: HeadProgram) -> Own:
        own, why = self._tried(base)
        batch = self._of_batch(base)
        if batch is not None:
            of_batch, _ = self._tried(batch)
            if of_batch.program is not None:
                return of_batch
            if own.program is not None and base.loss:
                return replace(own, program=own.program.adding(told=(ONE_ROW,)))
        return own if own.program is not None else replace(own, told=(why,))

    def _tried(self, base: HeadProgram) -> tuple[Own, str]:
        """What comes of a program as it is, or with one size for inputs and outputs."""
        why = NOT_CALLED.format("cannot be called")
        for one_size in (False, True):
            program = replace(base, one_size=one_size)
            trials = Trials(self.module, head_problem(program, *SIZES, OUTPUTS), LIMIT, self.is_late)
            own, why = self._of(program, trials)
            if own is not None or why == NO_VALUE:
                break
        return own or Own(self.reading), why

    def _of_batch(self, base: HeadProgram) -> HeadProgram | None:
        """The program with a whole batch where a row has an axis of one."""
        state = self.reading.arguments.given.get("h", "")
        if base.frame != "TD" or base.indices:
            return None
        lines = {
            part: [lifted(line, self.reading.layout, state) for line in getattr(base, part)]
            for part in ("forward", "backward")
        }
        if any(line is None for part in lines.values() for line in part):
            return None
        whole: dict[str, Any] = {part: tuple(map(str, each)) for part, each in lines.items()}
        return replace(base, frame="BTD", results={}, **whole)

    def _of(self, program: HeadProgram, trials: Trials) -> tuple[Own | None, str]:
        """A program with its results, or why there is none."""
        program = self._copying(program, trials)
        env, after = trials.run(program), trials.run(program, backward=True)
        if env is None or after is None:
            return None, NOT_CALLED.format(f"raises {type(trials.last_error).__name__}")
        program, hs = self._with_states(program, env, trials)
        if hs is None and not self.reading.states.fault:
            return None, NOT_CALLED.format("has other states")
        program, logits, outputs = self._with_outputs(program, env, trials, hs)
        if program.loss:
            valued = self._with_loss(program, trials, logits, outputs)
            if valued is None:
                return None, NO_VALUE
            program = valued
        slots = [replace(slot, value=with_own_head(slot.value)) for slot in self.reading.maker.slots]
        reading = self._reading(slots, program.frame)
        found = self._gradients(program, trials, slots, reading)
        if not {"dWx", "dWh", "db"} & {*self.plain.gradients} <= {*found}:
            return None, NOT_CALLED.format("has no gradients")
        program = replace(program, gradients=found)
        return Own(reading, program.adding(told=self._of_other_reduction(program, trials))), ""

    def _of_other_reduction(self, program: HeadProgram, trials: Trials) -> tuple[str, ...]:
        """What is told where the gradients are of another reduction than the value of the loss."""
        name = next((each for each in ("dby", "dWy", "dWx") if each in program.gradients), "")
        env = trials.run(program, backward=True)
        value = evaluated(program.gradients.get(name, ""), env or {})
        if not program.loss or not isinstance(value, np.ndarray):
            return ()
        given = first_row(trials.given) if program.frame == "TD" else trials.given
        of = [
            reduction
            for reduction in REDUCTIONS
            if close(
                value,
                head_truth(given, replace(program, reduction=reduction), self.reading.states.kind)[name],
                CLOSE,
            )
        ]
        if not of or program.reduction in of:
            return ()
        return (OTHER_REDUCTION.format(program.reduction, of[0]),)

    def _reading(self, slots: list[Slot], frame: str) -> Reading:
        arguments, layout = self.reading.arguments, self.reading.layout
        text = with_own_head(arguments.text)
        if frame == "BTD" and self.plain.frame == "TD":
            text = lifted(text, layout, arguments.given.get("h", "")) or text
            layout = layout.replace("1", "B")
        maker = replace(self.reading.maker, slots=tuple(slots))
        return replace(self.reading, arguments=replace(arguments, text=text), maker=maker, layout=layout)

    def _copying(self, program: HeadProgram, trials: Trials) -> HeadProgram:
        """The program with copies of the weights, if the code writes into them."""
        env = trials.run(program, backward=True)
        if env is None or all(
            env[f"given_{name}"].tobytes() == getattr(trials.given, name).tobytes()
            for name in program.weights_given
        ):
            return program
        values = [with_own_head(slot.value) for slot in self.reading.maker.slots if slot.kind != "state"]
        made = "\n".join(program.make)
        copied = program.copied(value for value in values if f"{value}.copy()" not in made)
        return replace(program, make=copied.make)

    def _with_states(
        self, program: HeadProgram, env: dict[str, Any], trials: Trials
    ) -> tuple[HeadProgram, Array | None]:
        """The program with its states, and what they are: its own, else those that they should be."""
        is_row = program.frame == "TD"
        right = states_of(trials.given, self.reading.states, starts=program.starts)
        right = right[0] if right is not None and is_row else right
        if "hs" in program.results:
            hs = evaluated(program.results["hs"], env)
            if isinstance(hs, np.ndarray) and hs.shape == trials.given.dhs.shape[is_row:]:
                return program, hs
            return program, None
        if "h_n" in program.results and right is not None:
            h_n = evaluated(program.results["h_n"], env)
            return program, right if isinstance(h_n, np.ndarray) and close(h_n, right[..., -1, :]) else None
        for text, array in _arranged(env, program, trials, "H"):
            if right is not None and close(array, right):
                results = {"hs": text, "h_n": last_of(text, program.frame)}
                return replace(program, results=results), right
        is_visible = program.frame == "BTD" and self.plain.frame == "TD"
        return program, None if is_visible else right

    def _with_outputs(
        self, program: HeadProgram, env: dict[str, Any], trials: Trials, hs: Array | None
    ) -> tuple[HeadProgram, Array | None, list[Array]]:
        """The program with its outputs, the logits as they should be, and what it has for outputs."""
        given = trials.given
        candidates = [
            (program.cut(text), array[..., : len(given.by)])
            for text, array in _arranged(env, program, trials, "V")
        ]
        logits = None if hs is None else hs @ given.Wy + given.by
        logits = logits[..., -1, :] if logits is not None and program.many_to_one else logits
        named: dict[str, str] = {}
        if logits is not None:
            for name, right in (("logits", logits), ("probabilities", softmax(logits))):
                same = [text for text, array in candidates if close(array, right, CLOSE)]
                named |= {name: same[0]} if same and (name == "logits" or program.loss != "mse") else {}
        if candidates and not named:
            text, array = candidates[0]
            is_logit = program.loss != "cross_entropy" or bool((array < 0).any())
            named = {"logits" if is_logit else "probabilities": text}
            program = program.adding(told=(OTHER_OUTPUTS.format(text, *named),))
        own = replace(program, results={**program.results, **named})
        return own, logits, [array for _, array in candidates]

    def _with_loss(
        self, program: HeadProgram, trials: Trials, logits: Array | None, outputs: list[Array]
    ) -> HeadProgram | None:
        """The program with the value of its loss, and what kind that is; None where it is of no kind."""
        targets = trials.given.targets[0] if program.frame == "TD" else trials.given.targets
        kinds = ("cross_entropy",) if program.loss == "cross_entropy" else ("mse", "half_mse")
        forms = [False, True] if program.loss == "cross_entropy" else [False]
        sources = outputs if logits is None else [logits, *outputs]
        known = [
            each
            for array, are_chances in itertools.product(sources, forms)
            for each in losses(array, targets, kinds, are_chances=are_chances)
        ]
        if logits is not None:
            known += faulty_losses(logits, trials.given.by, targets, kinds)
        values = list(self._values(program, trials))
        for each, (with_value, text, value) in itertools.product(known, values):
            if abs(value - each.value) <= CLOSE * abs(each.value):
                results = {**with_value.results, "loss": scaled(text, each.scale)}
                found = replace(with_value, loss=each.kind, reduction=each.reduction, results=results)
                told = (FAULTY_VALUE.format(each.fault),) if each.fault else ()
                return replace(found, scale=each.scale).adding(told=told)
        return None

    def _values(self, program: HeadProgram, trials: Trials) -> Iterator[tuple[HeadProgram, str, float]]:
        """The numbers that may be the loss: what was returned, or kept, or what a function of its name gives."""
        env = trials.run(program, backward=True) or {}
        for root in ("out", "back", "net"):
            for text, value in numbers_in(root, env.get(root)):
                yield program, text, value
        updates = RATE in "\n".join([*program.tops, *program.make, *program.forward, *program.backward])
        for call, imported in loss_calls(
            self.module, self.name, program, self._reading([], program.frame), env
        ):
            line = f"loss = {call}"
            more = program.adding(imports=imported)
            more = replace(more, forward=(line, *more.forward)) if updates else more.adding(backward=(line,))
            after = trials.run(more, backward=True)
            for text, value in numbers_in("loss", None if after is None else after["loss"]):
                yield more, text, value

    def _gradients(
        self, program: HeadProgram, trials: Trials, slots: list[Slot], reading: Reading
    ) -> dict[str, str]:
        is_one_call = "back = out" in program.backward
        before = trials.run(replace(program, forward=(), backward=()) if is_one_call else program)
        after = trials.run(program, backward=True)
        if before is None or after is None:
            return {}
        own = {text for slot in slots for text in slot.texts}
        callee = replace(reading.callee, returned=program.returned)
        results = results_of(before, after, callee, own)
        search = Gradients(trials)
        found = search.gradients(results, replace(reading, program=program), after, program)
        by_slot = search.by_slot(results, slots, after, program, set())
        for slot, text in by_slot.items():
            if text is not None and slot.kind in ("Wy", "by", "byD"):
                found |= parts_of_gradient(slot, text, np.shape(evaluated(text, after)))
        found = {name: scaled(text, program.scale) for name, text in program.undone(found).items()}
        # Where it takes symbols, what has the shape of a state may be the last one.
        inputs = {name for name in ("dx", "dh_0") if name not in self.plain.gradients}
        return {name: found[name] for name in TENSORS if name in found and name not in inputs}


def _arranged(
    env: dict[str, Any], program: HeadProgram, trials: Trials, last: str
) -> Iterator[tuple[str, Array]]:
    """What was returned or kept that has the axes of states (H) or outputs (V), in the canonical order."""
    sizes = program.sizes(trials.given)
    sizes["S"] = sizes["T"] + 1
    want = program.frame.replace("D", last)
    want = want.replace("T", "") if last == "V" and program.many_to_one else want
    end = "[..., :-1]" if last == "H" and program.unit_of else ""
    for root in ("out", "net"):
        for text, array in held(root, env.get(root)):
            axes = axes_of(array.shape, sizes)
            found = read(text, axes, want) if axes else None
            value = evaluated(f"{found}{end}", env) if found else None
            if isinstance(value, np.ndarray):
                yield f"{found}{end}", value
