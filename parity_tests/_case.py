"""A case: one small value that says all of one comparison, and the token that is its name.

``B4T12D8H16-f32-g2-h0-last-again-s17`` is a sequence of 12 steps, batch 4, 8 inputs, 16 hidden
units, float32, recurrent gain 2, an initial state, a gradient at the last step only, two calls of
one layer, arrays drawn from seed 17. What is left out has its default.
"""

import re
from dataclasses import dataclass, fields
from typing import Self

GAINS = (1.0, 0.5, 0.7, 1.5, 2.0, 3.0, 4.0, 0.3, 0.1, 0.03, 0.01, 0.001)
"""Spectral scales of the recurrent weights: ordinary first, then chaotic, then vanishing."""

LAYERS = ("time", "cell")
UPSTREAMS = ("dense", "last", "gaps")
LAYOUTS = ("contiguous", "readonly", "fortran", "transposed", "strided", "negative")
CALLS = ("once", "again", "reset", "chunks2", "chunks3")
PLANTS = ("none", "nan@xs", "inf@xs", "nan@dhs", "inf@dhs", "nan@h0", "inf@h0")

MAX_ELEMENTS = 2**26
"""Of the largest array of a case; a token asking for more is refused rather than run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison, immutable and hashable; ``str(case)`` is its token.

    Attributes:
        layer: ``time`` (``TimeRNN`` against ``torch.nn.RNN``) or ``cell`` (``RNN`` against
            ``torch.nn.RNNCell``; then T is 1).
        B, T, D, H: batch size, time steps, input size, hidden size; each at least 1.
        dtype: ``f64`` or ``f32``, the working precision of the layer judged.
        gain: the recurrent weights' scale, one of ``GAINS``.
        h0: whether an initial state is given (a cell always has one).
        upstream: gradient of the outputs: ``dense``, at the ``last`` step only, or with ``gaps``
            (steps of zeros).
        layout: memory layout of every array handed to the layer.
        calls: ``once``; ``again`` (another shape first, then the weights are updated in place);
            ``reset`` (likewise with a stateful layer and ``reset_state`` before the second call); ``chunks2``,
            ``chunks3`` (a stateful layer, the sequence cut in so many parts).
        bias: shape of the bias, ``row`` for [1, H] or ``flat`` for [H].
        plant: a non-finite value in one of the inputs.
        seed: of the bits that the arrays are made from.

    Raises:
        ValueError: a value or a combination that no case has.
    """

    B: int
    T: int
    D: int
    H: int
    layer: str = "time"
    dtype: str = "f64"
    gain: float = 1.0
    h0: bool = False
    upstream: str = "dense"
    layout: str = "contiguous"
    calls: str = "once"
    bias: str = "flat"
    plant: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {allowed}, got {getattr(self, name)!r}")
        for name in ("B", "T", "D", "H"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        largest = max(self.B * self.T * max(self.D, self.H), self.H * max(self.D, self.H))
        if largest > MAX_ELEMENTS:
            raise ValueError(f"B, T, D, H: expected arrays of at most {MAX_ELEMENTS} elements, got {largest}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 <= seed < 2**63, got {self.seed}")
        if self.chunks > self.T:
            raise ValueError(f"calls: {self.calls} needs T >= {self.chunks}, got T = {self.T}")
        if self.layer == "cell" and (
            self.T != 1 or self.upstream != "dense" or self.calls not in ("once", "again")
        ):
            raise ValueError("layer: a cell has one step, a dense upstream, and no state of its own")
        if self.layer == "cell" and not self.h0:
            raise ValueError("h0: a cell always has an initial state")
        if self.plant.endswith("h0") and not self.h0:
            raise ValueError(f"plant: {self.plant} needs an initial state")
        if self.plant != "none" and min(self.D, self.H) == 1:
            # With one number for an operand, BLAS may skip a factor of 0, and 0 * inf with it.
            raise ValueError(f"plant: {self.plant} needs D and H of at least 2")
        if self.plant != "none" and self.calls != "once":
            raise ValueError(f"plant: {self.plant} needs calls once")

    @property
    def chunks(self) -> int:
        """Into how many calls the sequence is cut."""
        return int(self.calls[-1]) if self.calls.startswith("chunks") else 1

    @property
    def stateful(self) -> bool:
        """Whether the layer is made stateful: it keeps or is given a state."""
        return self.h0 or self.calls == "reset" or self.chunks > 1

    @property
    def size(self) -> tuple[int, int, str]:
        """Sorts cases by how much a reader has to look at."""
        token = str(self)
        before = 16 if self.calls in ("again", "reset") else 0  # about as many steps in the first call
        return (self.B * self.T + before) * (self.D + self.H), token.count("-"), token

    def __str__(self) -> str:
        shape = f"B{self.B}T{self.T}D{self.D}H{self.H}"
        parts = [shape if self.layer == "time" else f"cell-{shape.replace('T1', '', 1)}", self.dtype]
        parts += [f"g{self.gain:g}"] * (self.gain != 1.0)
        parts += ["h0"] * (self.h0 and self.layer != "cell")
        for name in _WORDS:
            word = getattr(self, name)
            parts += [word] * (word != _DEFAULTS[name])
        return "-".join([*parts, f"s{self.seed}"])

    @classmethod
    def parse(cls, token: str) -> Self:
        """Return the case of a token.

        Raises:
            ValueError: it is no token; the message says which part is not understood.
        """
        text, values = token, dict[str, object]()
        if text.startswith("cell-"):
            text, values = text.removeprefix("cell-"), {"layer": "cell", "h0": True, "T": 1}
        shape, *parts = text.split("-")
        sizes = re.fullmatch("B([0-9]+)D([0-9]+)H([0-9]+)" if values else _SHAPE, shape)
        if not sizes:
            raise ValueError(f"expected a token such as B2T3D4H5-f64-s0, got {token!r}")
        names = "BDH" if values else "BTDH"
        values |= {name: int(size) for name, size in zip(names, sizes.groups(), strict=True)}
        for part in parts:
            values |= _parse_part(part, token)
        case = cls(**values)  # type: ignore[arg-type]
        if str(case) != token:
            raise ValueError(f"expected the token {case}, got {token}")
        return case


_SHAPE = "B([0-9]+)T([0-9]+)D([0-9]+)H([0-9]+)"
_DEFAULTS = {field.name: field.default for field in fields(Case)}
_WORDS = {"upstream": UPSTREAMS, "layout": LAYOUTS, "calls": CALLS, "bias": ("flat", "row"), "plant": PLANTS}
CHOICES = {**_WORDS, "layer": LAYERS, "dtype": ("f64", "f32"), "gain": GAINS, "h0": (False, True)}


def _parse_part(part: str, token: str) -> dict[str, object]:
    if part in ("f32", "f64"):
        return {"dtype": part}
    if part == "h0":
        return {"h0": True}
    if re.fullmatch("s[0-9]+", part):
        return {"seed": int(part[1:])}
    if re.fullmatch(r"g[0-9]+(\.[0-9]+)?", part):
        return {"gain": float(part[1:])}
    for name, words in _WORDS.items():
        if part in words:
            return {name: part}
    raise ValueError(f"{part!r} in {token!r} is not understood")
