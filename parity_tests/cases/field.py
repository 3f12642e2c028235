"""A field of a case: its values, how it is written in a token, and which layers have it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.layers import KINDS
from parity_tests.words import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a case.

    In a token a field is a word (the value itself), a flag (``flag``, for True) or a number after
    ``prefix``. A field that has its default is left out, unless ``always`` says otherwise.

    Attributes:
        name: the attribute of ``Case``.
        help: what it means, with values and code between backquotes.
        values: what it may be, the default first; empty for a whole number.
        least, below: the bounds of a whole number.
        kinds: the layers that have the field.
        elsewhere: its value for the other layers; None for the default.
        only: for the values that some of these layers do not have, the layers that do.
        why: the reason for ``kinds`` and ``only``.
        declared: for the values that some layers have only if a target declares them, these layers; no
            random case has such a value of itself.
        flag, prefix, always: how it is written.
        size: whether it belongs to the sizes at the start of a token, as in ``B4T12D8H16``.
    """

    name: str
    help: str
    values: tuple[Any, ...] = ()
    least: int = 0
    below: int = 2**63
    kinds: tuple[str, ...] = KINDS
    elsewhere: Any = None
    only: Mapping[Any, tuple[str, ...]] = field(default_factory=dict)
    why: str = ""
    declared: Mapping[Any, tuple[str, ...]] = field(default_factory=dict)
    flag: str = ""
    prefix: str = ""
    always: bool = False
    size: bool = False

    @property
    def default(self) -> Any:
        """The value of a field that is not given: the first of ``values``, or 0 for a whole number."""
        return self.values[0] if self.values else 0

    def allowed(self, kind: str) -> tuple[Any, ...]:
        """The values for a layer, the usual one first; empty if it may be any whole number."""
        if kind not in self.kinds:
            return (self.default if self.elsewhere is None else self.elsewhere,)
        return tuple(value for value in self.values if kind in self.only.get(value, self.kinds))

    def drawn(self, kind: str) -> tuple[Any, ...]:
        """The values that random cases of a layer have, the usual one first."""
        return tuple(value for value in self.allowed(kind) if kind not in self.declared.get(value, ()))

    def fitted(self, value: Any, kind: str) -> Any:
        """The value if random cases of a layer have it, else the usual one for the layer."""
        allowed = self.drawn(kind)
        return value if not allowed or value in allowed else allowed[0]

    def check(self, value: Any, kind: str) -> None:
        """Refuse a value that the field does not have, or does not have for a layer.

        Raises:
            TypeError: it is no whole number, and has to be one.
            ValueError: it is another value.
        """
        if self.values and not among(value, self.values):
            raise ValueError(f"{self.name}: expected one of {self.values}, got {shown(value)}")
        allowed = self.allowed(kind)
        if allowed and not among(value, allowed):
            usual = repr(allowed[0]) if len(allowed) == 1 else f"one of {allowed}"
            raise ValueError(f"{self.name}: expected {usual} for {kind}, got {shown(value)}: {self.reason}")
        if allowed:
            return
        if not isinstance(value, int | np.integer) or isinstance(value, bool | np.timedelta64):
            raise TypeError(f"{self.name}: expected a whole number, got {shown(value)}")
        if value < self.least:
            raise ValueError(f"{self.name}: expected at least {self.least}, got {shown(value)}")
        if value >= self.below:
            raise ValueError(f"{self.name}: expected less than {self.below}, got {shown(value)}")

    @property
    def reason(self) -> str:
        """Why the other layers do not have the field or a value."""
        return (
            self.why or f"only {classes_in_words(self.kinds)} {'has' if len(self.kinds) == 1 else 'have'} it"
        )

    def text(self, value: Any) -> str:
        """A value as it is written in a token."""
        if self.prefix:
            return f"{self.prefix}{value:g}" if isinstance(value, float) else f"{self.prefix}{value}"
        return self.flag or str(value)

    def written(self, value: Any, kind: str) -> str:
        """The part of a token for a value; empty if the field is left out."""
        if kind not in self.kinds or (value == self.default and not self.always):
            return ""
        return self.text(value)

    def read(self, part: str) -> Any:
        """The value of a part of a token; None if the part is not of this field."""
        if self.flag:
            return True if part == self.flag else None
        if not self.prefix:
            return part if part in self.values else None
        number = r"[0-9]+(\.[0-9]+)?" if isinstance(self.default, float) else "[0-9]+"
        found = re.fullmatch(f"{self.prefix}({number})", part)
        return type(self.default)(found[1]) if found else None


def among(value: Any, values: tuple[Any, ...]) -> bool:
    """Whether a value is one of several; one that cannot be compared, such as an array, is not."""
    try:
        return value in values
    except Exception:
        return False


def classes_in_words(kinds: tuple[str, ...]) -> str:
    """The layers, by the names of their classes."""
    return " and ".join(kinds)
