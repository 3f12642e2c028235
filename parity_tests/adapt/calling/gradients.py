"""Where each gradient is: it follows from names and shapes, never from numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity_tests.adapt.calling.reading import Reading
from parity_tests.adapt.language.calls import Callee
from parity_tests.adapt.language.layouts import axes_of, read
from parity_tests.adapt.language.names import gradient_of, is_gradient_name, is_running_mean, roles
from parity_tests.adapt.language.objects import alike, held, is_numbers, last_name
from parity_tests.adapt.probe import close
from parity_tests.adapt.program import Program, Trials, evaluated
from parity_tests.adapt.weights.flat import parts_of_flat
from parity_tests.adapt.weights.slots import Slot, is_of_gradients, is_of_optimizer
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

OF_HEAD = ("Wy", "Wy1", "by", "byD", "by1")
"""Kinds of slots that belong to a head."""


@dataclass(frozen=True)
class Result:
    """An array that a backward gave or changed.

    Attributes:
        text: the expression that reads it.
        name: the name that says most.
        array: its values.
        returned: whether the call returned it.
    """

    text: str
    name: str
    array: Array
    returned: bool


class Gradients:
    """Finds gradients among the results of a backward.

    Args:
        trials: has the probe.
    """

    def __init__(self, trials: Trials) -> None:
        self.trials = trials

    def gradients(
        self, results: Sequence[Result], reading: Reading, env: dict[str, Any], program: Program
    ) -> dict[str, str]:
        """Return the expressions of gradients by the names of tensors."""
        taken: set[str] = set()
        found: dict[str, str] = {}
        biases: list[str] = []
        slots = list(reading.maker.slots)
        by_slot = self.by_slot(results, slots, env, program, taken)
        for slot, text in by_slot.items():
            if text is None or slot.kind in OF_HEAD:
                continue
            for name, part in parts_of_gradient(slot, text, np.shape(evaluated(text, env))).items():
                if name == "db":
                    biases.append(part)
                else:
                    found[name] = part
        own = [
            slot
            for slot in slots
            if slot.kind == "b"
            or slot.kind.startswith("flat")
            or (slot.kind.startswith("W") and "b" in slot.kind)
        ]
        if biases and len(biases) == len(own):
            found["db"] = biases[0] if len(biases) == 1 else f"({' + '.join(biases)}) / 2"
        found = with_tricks_undone(found, reading.program)
        said = reading.program.weights.replace(" ", "").split(";")
        for name in ("Wx", "Wh"):
            if f"{name}={name}.T" in said and f"d{name}" in found:
                found[f"d{name}"] = f"{_closed(found[f'd{name}'])}.T"
        found |= self._of_inputs(results, taken, reading)
        return found

    def by_slot(
        self,
        results: Sequence[Result],
        slots: Sequence[Slot],
        env: dict[str, Any],
        program: Program,
        taken: set[str],
    ) -> dict[Slot, str | None]:
        """The expression of the gradient of each slot; what was chosen is added to ``taken``."""
        has_rate = "2.0**40" in "".join([*program.tops, *program.make, *program.forward, *program.backward])
        has_rate = has_rate and any(self._is_updated(slot, env) for slot in slots)
        return {slot: self.of_slot(slot, slots, results, env, taken, has_rate=has_rate) for slot in slots}

    def of_slot(
        self,
        slot: Slot,
        slots: Sequence[Slot],
        results: Sequence[Result],
        env: dict[str, Any],
        taken: set[str],
        *,
        has_rate: bool,
    ) -> str | None:
        """The expression of the gradient of a slot: by its name, then by its shape."""
        wanted = evaluated(slot.value, env)
        if not is_numbers(wanted):
            return None
        names = {each.name for each in slots}
        forms = [wanted.shape]
        if slot.kind in ("b", "by", "byD"):
            H = (wanted.size,)
            forms += [H, (1, *H), (*H, 1)]
        elif slot.kind == "Wy":
            forms.append(wanted.shape[::-1])  # one that is transposed is wrong, and no other's
        same = [each for each in results if each.array.shape in forms and each.text not in taken]
        same.sort(key=lambda each: (not each.returned, each.text.count(".")))
        key = re.search(r"\[[^\]]+\]$", slot.texts[0])
        named = [each for each in same if key and each.text.endswith(key[0]) and not each.returned]
        named += [each for each in same if gradient_of(each.name, names) == slot.name]
        named += [each for each in same if each.name == slot.name and each not in named]
        named += [each for each in same if is_gradient_of_kind(each.name, slot.kind) and each not in named]
        named += [each for each in same if each.returned and ends_with(each.name, names) == slot.name]
        is_flat = slot.kind.startswith("flat")
        plain = [
            each
            for each in same
            if not each.name and (is_of_return(each.text, env["back"]) or (is_flat and each.text == "back"))
        ]
        plain += [
            each
            for each in same
            if each.name
            and slot.kind.startswith(_WEIGHT_KINDS)
            and each not in plain
            and says_nothing(each.name, names)
        ]
        for each in [*named, *plain]:
            taken.add(each.text)
            return each.text
        place = slot.texts[0]
        if not has_rate or not slot.axes:
            return None
        old = f"({slot.value})" if " " in slot.value and not slot.value.startswith("np.") else slot.value
        return f"({old} - {place}) / 2.0**40"

    @staticmethod
    def _is_updated(slot: Slot, env: dict[str, Any]) -> bool:
        """Whether the backward has changed a weight."""
        wanted, there = evaluated(slot.value, env), evaluated(slot.texts[0], env) if slot.axes else None
        return (
            isinstance(there, np.ndarray)
            and isinstance(wanted, np.ndarray)
            and there.shape == wanted.shape
            and not close(there, wanted, 1e-12)
        )

    def _of_inputs(self, results: Sequence[Result], taken: set[str], reading: Reading) -> dict[str, str]:
        """Where dx and dh_0 are."""
        frame = reading.program.frame
        if reading.program.symbols:
            return {}
        sizes = reading.program.sizes(self.trials.given)
        is_padded = reading.program.padded
        if reading.program.ones and not is_padded:
            sizes["D"] += 1
        found: dict[str, str] = {}
        end = "[..., :-H]" if is_padded else "[..., :-1]" if reading.program.ones else ""
        for name, want, starts in (
            ("dx", frame, True),
            ("dh_0", frame.replace("T", "").replace("D", "H"), reading.program.starts),
        ):
            for each in results:
                if each.text in taken or not starts:
                    continue
                if not each.returned and not is_named_gradient(each.name, name):
                    continue
                axes = axes_of(each.array.shape, sizes)
                text = read(each.text, axes, want) if axes else None
                if text is not None:
                    taken.add(each.text)
                    found[name] = (
                        f"{text}{end if name == 'dx' else '[..., :-1]' if reading.program.unit else ''}"
                    )
                    break
        return found


def with_tricks_undone(found: dict[str, str], program: Program) -> dict[str, str]:
    """Return gradients without what was put into the weights: symbols, ones, and a unit that is always 1."""
    if program.unit:
        ends = {"dWx": "[:, :-1]", "dWh": "[:-1, :-1]", "db": "[:-1]"}
        found = {name: f"{_closed(text)}{ends[name]}" for name, text in found.items()}
    if program.symbols and "dWx" in found:
        of_steps = f"{_closed(found['dWx'])}[:T]"
        found["dWx"] = f"x.T @ {of_steps}"
        if program.ones:
            found["db"] = f"{of_steps}.sum(axis=0)"
    elif program.padded and "dWx" in found:
        whole = _closed(found["dWx"])
        found["dWx"] = f"{whole}[:-H]"
        found |= {"db": f"{whole}[-1]"} if program.ones else {}
    elif program.ones and "dWx" in found:
        found["db"], found["dWx"] = f"{found['dWx']}[-1]", f"{found['dWx']}[:-1]"
    return found


_WEIGHT_KINDS = ("Wx", "Wh", "Wy", "Wxh", "Whx", "Wxb", "Wxhb", "Whxb", "Wbxh", "Wbhx", "flat")


def is_gradient_of_kind(name: str, kind: str) -> bool:
    """Whether a name is that of a gradient of what a slot holds, under another name."""
    found = re.fullmatch(r"(?:d|g|grad|grad_|d_|g_|delta_|dL_d)(\w+)|(\w+?)_?grad", name)
    return found is not None and kind in roles(found[1] or found[2])[:1]


def is_of_return(text: str, back: Any) -> bool:
    """Whether an expression is of a part of what was returned, or of a part of such a part.

    Arrays of one shape are the steps of something, and none of them is a gradient of a weight.
    """
    found = re.fullmatch(r"back(?:\[(\d+)\])?\[\d+\]", text)
    return found is not None and not (found[1] and alike(list(back[int(found[1])])))


def ends_with(name: str, names: set[str]) -> str:
    """Return the weight whose name another ends with, as ``nabla_b`` does; ``""`` for none.

    Example:
        >>> ends_with("nabla_bo", {"b", "bo", "o"}), ends_with("carry", {"y"})
        ('bo', '')
    """
    return max((each for each in names if name.endswith(f"_{each}")), key=len, default="")


def says_nothing(name: str, names: set[str]) -> bool:
    """Whether a name is not that of another weight, nor of its gradient."""
    return not gradient_of(name, names) and name not in names


def is_named_gradient(name: str, tensor: str) -> bool:
    """Whether a name is that of the gradient of the input, or of the initial state."""
    plain = name.lstrip("_").lower()
    if tensor == "dx":
        return (
            re.fullmatch(r"(d|g|grad_?|d_|delta_)(x|xs|x_?t|in|inputs?|x_?in|X)", plain, re.IGNORECASE)
            is not None
        )
    return (
        re.fullmatch(
            r"(d|g|grad_?|d_|delta_)(h|h_?0|h_?prev|hidden|state|a_?0|a_?prev|h_?init|s_?0|s_?prev|h_?in)",
            plain,
        )
        is not None
    )


def slot_texts(reading: Reading) -> set[str]:
    """The expressions of all slots."""
    return {text for slot in reading.maker.slots for text in slot.texts}


def results_of(
    before: Mapping[str, Any], after: Mapping[str, Any], callee: Callee, own: set[str]
) -> list[Result]:
    """Return the arrays that a call returned, and those that it changed in the object."""
    results = []
    for text, array in held("back", after.get("back")):
        results.append(Result(text, _returned_name(text, callee), array, returned=True))
    old = {text: array.copy() for text, array in held("net", before.get("net"))}
    names = {last_name(text) for text in own}
    for text, array in held("net", after.get("net")):
        if text in own or is_of_optimizer(text) or is_running_mean(last_name(text), names):
            continue
        is_new = text not in old or old[text].shape != array.shape or (old[text] != array).any()
        if is_new or is_gradient_name(last_name(text), names) or is_of_gradients(text):
            results.append(Result(text, last_name(text), array, returned=False))
    return results


def _returned_name(text: str, callee: Callee) -> str:
    found = re.fullmatch(r"back\[(\d+)\]", text)
    if found and int(found[1]) < len(callee.returned):
        return callee.returned[int(found[1])]
    name = last_name(text)
    return "" if name == "back" else name


def parts_of_gradient(slot: Slot, text: str, shape: Sequence[int]) -> dict[str, str]:
    """Return the tensors that a gradient of a slot holds, in the canonical orientation."""
    if slot.kind.startswith("flat"):
        return parts_of_flat(slot.kind, _closed(text))
    turned = ".T" in slot.value
    if slot.kind in ("Wx", "Wh"):
        return {f"d{slot.kind}": f"{_closed(text)}.T" if turned else text}
    if slot.kind in ("b", "by", "byD"):
        form = (
            "H"
            if len(shape) < 2
            else "H1"
            if ("[:, None]" in slot.value and shape[0] > 1) or shape[1] == 1
            else "1H"
        )
        return {
            "db"
            if slot.kind == "b"
            else "dby": f"{_closed(text)}{ {'H': '', '1H': '[0]', 'H1': '[:, 0]'}[form] }"
        }
    if slot.kind == "Wy":
        return {"dWy": f"{_closed(text)}.T" if turned else text}
    if not slot.kind.startswith("W") or slot.kind == "Wy1":
        return {}
    base = f"{_closed(text)}.T" if turned else _closed(text)
    found, start = {}, "0"
    for letter in slot.kind[1:]:
        size = {"x": "D", "h": "H", "b": "1"}[letter]
        end = size if start == "0" else f"{start} + {size}"
        if letter == "b":
            found["db"] = f"{base}[{start}]" if start == "0" or not slot.kind.endswith("b") else f"{base}[-1]"
        else:
            left = "" if start == "0" else start
            right = "" if letter == slot.kind[-1] else end
            found[f"dW{letter}"] = f"{base}[{left}:{right}]"
        start = end
    return found


def _closed(text: str) -> str:
    return f"({text})" if " / " in text or " - " in text else text
