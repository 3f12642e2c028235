"""Slots: where code keeps its weights, found by their shapes, and what is to be put there."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from parity_tests.adapt.language.layouts import axes_of
from parity_tests.adapt.language.names import is_gradient_name, roles
from parity_tests.adapt.language.objects import held, last_name

MOST_ASSIGNMENTS = 40


@dataclass(frozen=True)
class Slot:
    """A place of a weight.

    Attributes:
        texts: the expressions that read it; several where the same array is kept twice.
        axes: its axes by letters: K is D + H, L one more, E is D + 1.
        kind: what belongs there, such as ``Wx`` or ``b``; empty until it is assigned.
        value: the expression of what belongs there.
    """

    texts: tuple[str, ...]
    axes: str
    kind: str = ""
    value: str = ""

    @property
    def name(self) -> str:
        """The name that says most."""
        return last_name(self.texts[0])

    @property
    def line(self) -> str:
        """The statement that fills it."""
        return " = ".join((*self.texts, self.value))


_OPTIONS = {
    "DH": ("Wx",), "HD": ("Wx",), "HH": ("Wh",), "HV": ("Wy",), "VH": ("Wy",),
    "KH": ("Wxh", "Whx"), "HK": ("Wxh", "Whx"),
    "LH": ("Wxhb", "Whxb", "Wbxh", "Wbhx"), "HL": ("Wxhb", "Whxb", "Wbxh", "Wbhx"),
    "EH": ("Wxb",), "HE": ("Wxb",),
    "H": ("b",), "1H": ("b",), "H1": ("b",), "V": ("by",), "1V": ("by",), "V1": ("by",),
}  # fmt: skip


GRADIENTS = (
    "grads",
    "gradients",
    "dparams",
    "grad",
    "slopes",
    "derivatives",
    "dW",
    "deltas",
    "d_params",
    "g",
)
"""Names of containers of gradients."""
OPTIMIZERS = (
    "memory",
    "mem",
    "velocity",
    "velocities",
    "momentum",
    "momenta",
    "adagrad",
    "m",
    "v",
    "optimizer",
)
"""Names of containers of what an optimizer keeps of each weight."""


def all_sizes(sizes: dict[str, int]) -> dict[str, int]:
    """Add the letters of sums of sizes."""
    D, H = sizes["D"], sizes["H"]
    return {**sizes, "K": D + H, "L": D + H + 1, "E": D + 1}


def slots_in(text: str, value: Any, sizes: dict[str, int]) -> list[Slot]:
    """Return what has the shape of a weight in a value, without gradients and states."""
    by_id: dict[int, list[tuple[str, Any]]] = {}
    for path, array in held(text, value):
        if not path.startswith("np.array("):
            by_id.setdefault(id(array), []).append((path, array))
    found = [(tuple(path for path, _ in same), same[0][1]) for same in by_id.values()]
    names = {last_name(texts[0]) for texts, _ in found}
    slots = []
    for texts, array in found:
        name = last_name(texts[0])
        if is_gradient_name(name, names - {name}) or is_of_gradients(texts[0]) or is_of_optimizer(texts[0]):
            continue
        axes = axes_of(array.shape, all_sizes(sizes))
        if axes in _OPTIONS or axes in ("11", "1", "D", "1D", "D1"):
            slots.append(Slot(texts, axes))
    return slots


def is_of_gradients(text: str) -> bool:
    """Whether an expression is of something in a container of gradients."""
    return _is_in(text, GRADIENTS)


def is_of_optimizer(text: str) -> bool:
    """Whether an expression is of something in a container of what an optimizer keeps."""
    return _is_in(text, OPTIMIZERS)


def _is_in(text: str, known: tuple[str, ...]) -> bool:
    *containers, _ = text.replace("]", "").replace("[", ".").split(".")
    return any(part.strip("'\"").lstrip("_") in known for part in containers[1:])


def assignments(slots: list[Slot]) -> Iterator[list[Slot]]:
    """Yield what may belong where, the likeliest by the names first; every weight has one place."""
    bare = [slot for slot in slots if slot.axes not in ("11", "1") or "by" in roles(slot.name)]
    options = [_kinds(slot) for slot in bare]
    for number, kinds in enumerate(_ranked(options)):
        if number >= MOST_ASSIGNMENTS:
            return
        chosen = list(zip(bare, kinds, strict=True))
        if is_whole([kind for _, kind in chosen]):
            yield from _filled(chosen)


def _kinds(slot: Slot) -> list[str]:
    by_shape = list(_OPTIONS.get(slot.axes, ()))
    named = roles(slot.name)
    if slot.axes in ("DH", "HD"):
        by_shape.append("Wy")  # a head as wide as the input
    if slot.axes == "H1" and ("Wy" in named or not {"b", "h"} & {*named}):
        by_shape.append("Wy1")
    if slot.axes in ("D", "1D", "D1"):
        by_shape = ["byD"] if "by" in named or "b" in named else ["state"]
    if slot.axes in ("11", "1"):
        by_shape = ["by1"]
    if slot.axes in ("H", "1H", "H1") and "b" not in named:
        by_shape.append("state")
    if slot.axes == "HH":
        by_shape.append("Wy")

    def rank(kind: str) -> int:
        plain = {"Wy1": "Wy", "byD": "by", "by1": "by", "state": "h"}.get(kind, kind)
        return 0 if plain in named else 1

    return sorted(by_shape, key=rank)


def _ranked(options: list[list[str]]) -> Iterator[tuple[str, ...]]:
    """Products, those first whose parts are likely."""
    numbered = [list(enumerate(each)) for each in options]
    products = itertools.islice(itertools.product(*numbered), 4096)
    for product in sorted(products, key=lambda each: sum(number for number, _ in each)):
        yield tuple(kind for _, kind in product)


def is_whole(kinds: list[str]) -> bool:
    """Whether it is one recurrent layer with at most one head, and nothing twice but the bias."""
    stacked = [kind for kind in kinds if kind in ("Wxh", "Whx") or len(kind) == 4]
    inputs = [kind for kind in kinds if kind in ("Wx", "Wxb")]
    heads = [kind for kind in kinds if kind in ("Wy", "Wy1")]
    tops = [kind for kind in kinds if kind in ("by", "byD", "by1")]
    biases = kinds.count("b")
    has_row = any(kind.endswith("b") and kind != "b" and kind.startswith("W") for kind in kinds) or any(
        kind.startswith("Wb") for kind in kinds
    )
    one = (len(stacked), len(inputs), kinds.count("Wh")) in ((1, 0, 0), (0, 1, 1))
    return one and len(heads) <= 1 and len(tops) <= len(heads) and biases + has_row <= 2


def _filled(chosen: list[tuple[Slot, str]]) -> Iterator[list[Slot]]:
    """The slots with the expressions of what belongs there."""
    kinds = [kind for _, kind in chosen]
    turned = any(
        kind != "Wy" and kind.startswith("W") and slot.axes in ("HD", "HK", "HL", "HE")
        for slot, kind in chosen
    )
    biases = kinds.count("b") + any(kind.startswith("W") and "b" in kind for kind in kinds)
    filled = []
    for slot, kind in chosen:
        if kind == "state":
            filled.append(Slot(slot.texts, slot.axes, kind))
            continue
        value = value_of(kind, slot.axes, turned=turned, share=" / 2" if biases == 2 else "")
        filled.append(Slot(slot.texts, slot.axes, kind, value))
    yield filled


def value_of(kind: str, axes: str, *, turned: bool, share: str = "") -> str:
    """Return the expression of what belongs into a slot.

    Args:
        kind: what it is.
        axes: the axes of the slot.
        turned: whether weights are [H, D].
        share: what follows a bias of which there are two.
    """
    end = ".T" if turned else ""
    if kind in ("Wx", "Wh"):
        return f"{kind}{end}"
    if kind == "b":
        return {"H": "b", "1H": "b[None]", "H1": "b[:, None]"}[axes] + share
    if kind.startswith("W") and kind not in ("Wy", "Wy1"):
        rows = [{"x": "Wx", "h": "Wh", "b": f"b[None]{share}"}[letter] for letter in kind[1:]]
        return f"np.vstack([{', '.join(rows)}]){end}"
    if kind == "Wy":
        # The axes of a head tell its orientation where they differ from those of the other weights.
        first_is_state = {"HV": True, "VH": False, "HD": True, "DH": False}.get(axes, not turned)
        return "np.eye(H, V, dtype=x.dtype)" if first_is_state else "np.eye(V, H, dtype=x.dtype)"
    if kind == "Wy1":
        return "d[-1][:, None]"
    if kind == "by1":
        return f"np.zeros({(1,) * len(axes)}, x.dtype)"
    shape = {"V": "V", "1V": "(1, V)", "V1": "(V, 1)"}[axes.replace("D", "V")]
    return f"np.zeros({shape}, x.dtype)"
