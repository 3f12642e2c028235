"""The weights of an object in groups, one for each layer or direction: found by what differs in their expressions."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from parity_tests.adapt.weights.slots import Slot, assignments

_PART = re.compile(r"\.\w+|\[[^\]]+\]")
BACK = r"\w*(back|bw|bkw|rev|left|r2l|rl)\w*"
"""Names of the direction that goes back."""


@dataclass(frozen=True)
class Groups:
    """The groups of weights of an object.

    Attributes:
        keys: the part of an expression that differs, one for each group: ``[0]`` or ``.fw``.
        start: the expression in front of it.
        slots: those of the first group.
        directions: how many there are.
    """

    keys: tuple[str, ...]
    start: str
    slots: tuple[Slot, ...]
    directions: int

    @property
    def is_list(self) -> bool:
        """Whether the groups are numbered."""
        return self.keys[0] == "[0]"

    @property
    def cells(self) -> list[str]:
        """The expressions of what holds each group."""
        return [f"{self.start}{key}" for key in self.keys]

    def filled(self) -> list[str]:
        """The statements that put the weights into all groups."""
        if self.is_list:
            head = "for k, (Wx, Wh, b) in enumerate(weights):"
            place = f"{self.start}[k]"
        else:
            head = f"for cell, (Wx, Wh, b) in zip([{', '.join(self.cells)}], weights, strict=True):"
            place = "cell"
        first = self.cells[0]
        lines = [
            "    " + " = ".join([*(place + text.removeprefix(first) for text in slot.texts), slot.value])
            for slot in self.slots
            if slot.kind != "state"
        ]
        return [head, *lines]

    def others(self, text: str, known: set[str] | None = None) -> list[str] | None:
        """Return the expressions of the same thing in every group, for that of the first one; None for none.

        Args:
            text: the expression.
            known: all expressions that there are; None: any.
        """
        for key_of in (lambda key: key, _as_item):
            own = key_of(self.keys[0])
            for place in re.finditer(re.escape(own) + r"(?!\w)", text):
                found = [text[: place.start()] + key_of(key) + text[place.end() :] for key in self.keys]
                if (known is None or {*found} <= known) and len({*found}) == len(found):
                    return found
        return None

    def each(self, texts: Sequence[str]) -> str:
        """The expression of a list of the same thing of every group."""
        first, second = texts[:2]
        if not self.is_list:
            return f"[{', '.join(texts)}]"
        pieces = re.split(r"(\[\d+\])", first)
        others = re.split(r"(\[\d+\])", second)
        text = "".join("[k]" if one != two else one for one, two in zip(pieces, others, strict=True))
        return f"[{text} for k in range(len(weights))]"


def _as_item(key: str) -> str:
    """The key of a dict, for the name of an attribute; an index stays."""
    return f"[{key[1:]!r}]" if key.startswith(".") else key


def groups_in(slots: Sequence[Slot]) -> Iterator[Groups]:
    """Yield the groups that all slots fall into, each time with other places for the weights."""
    parts = [_PART.findall(slot.texts[0]) for slot in slots]
    if not slots:
        return
    for depth in range(max(map(len, parts))):
        by_key: dict[str, list[Slot]] = {}
        starts, is_whole = set(), True
        for slot, each in zip(slots, parts, strict=True):
            if len(each) <= depth:
                is_whole = False
                break
            starts.add("".join(each[:depth]))
            by_key.setdefault(each[depth], []).append(slot)
        if is_whole and len(starts) == 1 and len(by_key) > 1:
            yield from _grouped(by_key, f"net{starts.pop()}")
            return


def _grouped(by_key: dict[str, list[Slot]], start: str) -> Iterator[Groups]:
    keys = sorted(by_key, key=lambda key: re.fullmatch(BACK, key.strip(".[']"), re.IGNORECASE) is not None)
    members = [{slot.texts[0].removeprefix(f"{start}{key}"): slot for slot in by_key[key]} for key in keys]
    if any({*each} != {*members[0]} for each in members[1:]):
        return
    shapes = [{rest: slot.axes for rest, slot in each.items()} for each in members]
    directions = 2 if shapes[0] == shapes[1] and len(keys) == 2 else 1
    as_above = [
        {rest: axes.replace("D", "H") for rest, axes in shapes[0].items()} == each for each in shapes[1:]
    ]
    if (directions == 1 and not all(as_above)) or not any("D" in axes for axes in shapes[0].values()):
        return
    for filled in assignments(list(members[0].values())):
        if {slot.kind for slot in filled} <= {"Wx", "Wh", "b", "state"} and any(
            slot.kind == "b" for slot in filled
        ):
            plain = tuple(replace(slot, texts=_own(slot.texts, f"{start}{keys[0]}")) for slot in filled)
            yield Groups(tuple(keys), start, plain, directions)


def _own(texts: Sequence[str], cell: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text.startswith(cell))
