"""All weights in one flat vector, as its user says: ``theta = concatenate([Wx.ravel(), Wh.ravel(), b])``."""

import re
from dataclasses import dataclass
from typing import Any

from parity_tests.adapt.weights.slots import Slot

_STATEMENT = re.compile(r"(\w+)\s*=\s*(?:np\.)?(?:concatenate|hstack)\(\s*[\[(](.*)[\])]\s*\)")
_PIECE = re.compile(r"(Wx|Wh|b)(\.T)?(?:\.(?:ravel|flatten|reshape)\((?:-1)?\))?")
_SHAPES = {"Wx": ("D", "H"), "Wh": ("H", "H"), "b": ("H",)}


@dataclass(frozen=True)
class Flat:
    """A flat vector of weights.

    Attributes:
        name: of the vector.
        pieces: in order, ``Wx``, ``Wh`` and ``b``, each with ``.T`` if it is stored transposed.
    """

    name: str
    pieces: tuple[str, ...]

    @property
    def slot(self) -> Slot:
        """The vector as a slot."""
        return Slot((self.name,), "", f"flat {' '.join(self.pieces)}", self.name)

    @property
    def line(self) -> str:
        """The statement that makes it."""
        parts = [piece if piece == "b" else f"{piece}.ravel()" for piece in self.pieces]
        return f"{self.name} = np.concatenate([{', '.join(parts)}])"


def flat_said(statement: str) -> Flat | None:
    """Return the flat vector that a statement makes, None if it makes none.

    Raises:
        ValueError: it makes one, and not of Wx, Wh and b once each.

    Example:
        >>> flat_said("theta = concatenate([Wx.ravel(), Wh.T.ravel(), b])")
        Flat(name='theta', pieces=('Wx', 'Wh.T', 'b'))
    """
    found = _STATEMENT.fullmatch(statement.strip())
    if not found:
        return None
    pieces = [_PIECE.fullmatch(part.strip()) for part in found[2].split(",") if part.strip()]
    names = [piece[1] if piece else "" for piece in pieces]
    if sorted(names) != ["Wh", "Wx", "b"]:
        raise ValueError(
            f"expected Wx.ravel(), Wh.ravel() and b once each, in the order of the vector, got {statement!r}"
        )
    return Flat(found[1], tuple(f"{piece[1]}{piece[2] or ''}" for piece in pieces if piece))


def parts_of_flat(kind: str, text: str) -> dict[str, str]:
    """Return the expressions of the gradients in a flat one.

    Args:
        kind: of the slot, ``flat`` and the pieces.
        text: the expression of the whole.

    Example:
        >>> parts_of_flat("flat Wx Wh b", "g")["dWh"]
        'g[D * H:D * H + H * H].reshape(H, H)'
    """
    found, start = dict[str, str](), list[str]()
    for piece in kind.split()[1:]:
        name, _, turned = piece.partition(".")
        size = " * ".join(_SHAPES[name])
        shape = _SHAPES[name][::-1] if turned else _SHAPES[name]
        end = [*start, size]
        taken = f"{text}[{' + '.join(start)}:{' + '.join(end)}]"
        if len(shape) == 2:
            taken += f".reshape({', '.join(shape)})" + (".T" if turned else "")
        found[f"d{name}"], start = taken, end
    return found


def is_flat(value: Any, size: int) -> bool:
    """Whether a value is a vector of so many numbers."""
    return getattr(value, "shape", None) == (size,)
