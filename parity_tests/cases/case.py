"""A case: one small value that says all of one comparison, and the token that is its name.

``B4T12D8H16-f32-g2-h0-last-again-s17`` is a sequence of 12 steps, batch 4, 8 inputs, 16 hidden
units, float32, recurrent gain 2, an initial state, a gradient at the last step only, two calls of
one layer, arrays drawn from seed 17. ``nn-B4T12D8H16L2-bi-relu-f32-unsorted-both-s17`` is a stack of
2 layers in both directions with sequences of unequal lengths. What is left out has its default.
"""

import re
from dataclasses import dataclass, fields
from typing import Any, Self

from parity_tests.cases.memory_layouts import LAYOUTS

GAINS = (1.0, 0.5, 0.7, 1.5, 2.0, 3.0, 4.0, 0.3, 0.1, 0.03, 0.01, 0.001)
"""Spectral scales of the recurrent weights: ordinary first, then chaotic, then vanishing."""

KINDS = ("time", "cell", "nn", "nncell")
UPSTREAMS = ("dense", "last", "gaps")
CALLS = ("once", "again", "reset", "chunks2", "chunks3")
BIASES = ("flat", "row", "nobias")
FORMS = ("batched", "unbatched", "packed")
LENGTHS = ("full", "equal", "sorted", "unsorted", "ones")
GIVEN = ("output", "both", "final")
DROPOUTS = (0.0, 0.5, 0.25, 0.8)
MOST_LAYERS = 4
PLANTS = (
    "none",
    *(f"{value}@{place}" for place in ("xs", "dhs", "h0", "pad") for value in ("nan", "inf")),
)

MAX_ELEMENTS = 2**26
"""Of the largest array of a case; a token asking for more is refused rather than run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison, immutable and hashable; ``str(case)`` is its token.

    Attributes:
        kind: what is judged: ``time`` (``TimeRNN``), ``cell`` (``RNN``; then T is 1), ``nn``
            (``nn.RNN``) or ``nncell`` (``nn.RNNCell``; T is 1), each against torch's counterpart.
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
        bias: shape of the bias, ``row`` for [1, H] or ``flat`` for [H]; ``nobias`` for none.
        plant: a non-finite value in one of the inputs, or all over the padding.
        seed: of the bits that the arrays are made from.

    And of ``nn``, some of ``nncell``:
        layers: 1 to 4, each with its directions.
        bidirectional: whether there are two.
        relu: in place of tanh.
        batch_first: the option of that name.
        form: the input: ``batched``, ``unbatched`` or ``packed``.
        lengths: of the sequences: ``full``; or given as ``equal`` (and mostly below T), ``sorted``,
            ``unsorted``, or mostly ``ones``.
        given: the upstream gradients: of the ``output``, of h_n (``final``), or ``both``.
        dropout: its probability; masks are given unless ``eval``.
        eval: evaluation mode.
        whole: inputs, weights and gradients are small whole numbers (biases half-odd), so that
            float32 is exact.

    Raises:
        ValueError: a value or a combination that no case has.
    """

    B: int
    T: int
    D: int
    H: int
    kind: str = "time"
    layers: int = 1
    bidirectional: bool = False
    relu: bool = False
    dtype: str = "f64"
    gain: float = 1.0
    h0: bool = False
    upstream: str = "dense"
    given: str = "output"
    layout: str = "contiguous"
    calls: str = "once"
    bias: str = "flat"
    batch_first: bool = False
    form: str = "batched"
    lengths: str = "full"
    dropout: float = 0.0
    eval: bool = False
    whole: bool = False
    plant: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {allowed}, got {getattr(self, name)!r}")
        for name in ("B", "T", "D", "H"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        widest = max(self.D, self.H * self.directions)
        largest = max(self.B * self.T * widest, self.H * widest)
        if largest > MAX_ELEMENTS:
            raise ValueError(f"B, T, D, H: expected arrays of at most {MAX_ELEMENTS} elements, got {largest}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected 0 <= seed < 2**63, got {self.seed}")
        for name, forbidden, why in self._contradictions():
            if forbidden:
                raise ValueError(f"{name}: {why}")

    def _contradictions(self) -> list[tuple[str, bool, str]]:
        planted, valid_plant = self.plant != "none", self.plant != "none" and not self.plant.endswith("pad")
        ours = self.kind in ("time", "cell")
        foreign = [name for name in _OF_NN if getattr(self, name) != _DEFAULTS[name]]
        return [
            ("calls", self.chunks > self.T, f"{self.calls} needs T >= {self.chunks}, got T = {self.T}"),
            (
                "kind",
                self.is_cell
                and (self.T != 1 or self.upstream != "dense" or self.calls not in ("once", "again")),
                "a cell has one step, a dense upstream, and no state of its own",
            ),
            ("h0", self.kind == "cell" and not self.h0, "a cell always has an initial state"),
            ("kind", ours and foreign != [], f"{', '.join(foreign)}: only nn has that"),
            ("bias", self.bias == ("nobias" if ours else "row"), f"{self.kind} has no {self.bias}"),
            (
                "kind",
                self.kind == "nncell" and bool({*foreign} - {"relu", "form", "whole"}),
                "an nncell has one layer, one direction, one length, no dropout",
            ),
            ("calls", not ours and self.calls not in ("once", "again"), f"nn has no {self.calls}"),
            ("form", self.form == "packed" and self.is_cell, "a cell's input is not packed"),
            (
                "form",
                self.form == "unbatched" and (self.B != 1 or self.lengths != "full"),
                "an unbatched input is one sequence without lengths",
            ),
            ("upstream", self.given == "final" and self.upstream != "dense", "no output gradient is given"),
            ("dropout", self.dropout > 0 and self.layers == 1, "one layer has none"),
            (
                "whole",
                self.whole
                and (
                    not self.relu or self.bias == "nobias" or self.gain != 1 or self.dropout not in (0, 0.5)
                ),
                "whole numbers need relu, biases, gain 1, and dropout 0 or 0.5",
            ),
            (
                "plant",
                self.plant.endswith("h0") and not self.h0,
                f"{self.plant} needs an initial state",
            ),
            (
                "plant",
                self.plant.endswith("dhs") and self.given == "final",
                f"{self.plant} needs a gradient of the output",
            ),
            (
                "plant",
                self.plant.endswith("pad") and (self.lengths == "full" or self.form != "batched"),
                f"{self.plant} needs padding",
            ),
            (
                # With one number for an operand, BLAS may skip a factor of 0, and 0 * inf with it.
                "plant",
                valid_plant and min(self.D, self.H) == 1,
                f"{self.plant} needs D and H of at least 2",
            ),
            (
                # Whether a factor of 0 stops a value there is a layer's choice.
                "plant",
                valid_plant and (self.relu or self.masked),
                f"{self.plant} needs tanh and no dropout",
            ),
            ("plant", planted and self.calls != "once", f"{self.plant} needs calls once"),
            ("plant", planted and self.whole, f"{self.plant} is no whole number"),
        ]

    @property
    def is_cell(self) -> bool:
        """Whether one time step is judged."""
        return self.kind in ("cell", "nncell")

    @property
    def directions(self) -> int:
        """1 or 2."""
        return 1 + self.bidirectional

    @property
    def cells(self) -> int:
        """Layers times directions: how many cells run over a sequence."""
        return self.layers * self.directions

    @property
    def masked(self) -> bool:
        """Whether dropout is applied."""
        return self.dropout > 0 and not self.eval

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
        return (self.B * self.T + before) * (self.D + self.H) * self.cells, token.count("-"), token

    def __str__(self) -> str:
        shape = f"B{self.B}" + f"T{self.T}" * (not self.is_cell) + f"D{self.D}H{self.H}"
        shape += f"L{self.layers}" * (self.layers > 1)
        parts = [shape] if self.kind == "time" else [self.kind, shape]
        parts += [flag for name, flag in _EARLY_FLAGS.items() if getattr(self, name)]
        parts += [self.dtype]
        parts += [f"g{self.gain:g}"] * (self.gain != 1.0)
        parts += ["h0"] * (self.h0 and self.kind != "cell")
        for name in _WORDS:
            word = getattr(self, name)
            parts += [word] * (word != _DEFAULTS[name])
        parts += [f"p{self.dropout:g}"] * (self.dropout > 0)
        parts += [flag for name, flag in _LATE_FLAGS.items() if getattr(self, name)]
        return "-".join([*parts, f"s{self.seed}"])

    @classmethod
    def parse(cls, token: str) -> Self:
        """Return the case of a token.

        Raises:
            ValueError: it is no token; the message says which part is not understood.
        """
        first, _, rest = token.partition("-")
        kind, text = (first, rest) if first in KINDS[1:] else ("time", token)
        values: dict[str, Any] = {"kind": kind}
        values |= {"T": 1} if kind.endswith("cell") else {}
        values |= {"h0": True} if kind == "cell" else {}
        shape, *parts = text.split("-")
        sizes = re.fullmatch(
            f"B([0-9]+){'' if 'T' in values else 'T([0-9]+)'}D([0-9]+)H([0-9]+)(?:L([0-9]+))?", shape
        )
        if not sizes:
            raise ValueError(f"expected a token such as B2T3D4H5-f64-s0, got {token!r}")
        names = ("B", "D", "H", "layers") if "T" in values else ("B", "T", "D", "H", "layers")
        values |= {name: int(size) for name, size in zip(names, sizes.groups(), strict=True) if size}
        for part in parts:
            values |= _parse_part(part, token)
        case = cls(**values)
        if str(case) != token:
            raise ValueError(f"expected the token {case}, got {token}")
        return case


_DEFAULTS = {field.name: field.default for field in fields(Case)}
_WORDS = {
    "upstream": UPSTREAMS,
    "given": GIVEN,
    "layout": LAYOUTS,
    "calls": CALLS,
    "bias": BIASES,
    "form": FORMS,
    "lengths": LENGTHS,
    "plant": PLANTS,
}
_EARLY_FLAGS = {"bidirectional": "bi", "relu": "relu", "batch_first": "bf"}
_LATE_FLAGS = {"eval": "eval", "whole": "int"}
_FLAGS = {**_EARLY_FLAGS, "h0": "h0", **_LATE_FLAGS}
_OF_NN = (
    "layers",
    "bidirectional",
    "relu",
    "batch_first",
    "form",
    "lengths",
    "given",
    "dropout",
    "eval",
    "whole",
)
CHOICES: dict[str, tuple[Any, ...]] = {
    **_WORDS,
    **dict.fromkeys(_FLAGS, (False, True)),
    "kind": KINDS,
    "layers": tuple(range(1, MOST_LAYERS + 1)),
    "dtype": ("f64", "f32"),
    "gain": GAINS,
    "dropout": DROPOUTS,
}


def _parse_part(part: str, token: str) -> dict[str, object]:
    if part in ("f32", "f64"):
        return {"dtype": part}
    if re.fullmatch("s[0-9]+", part):
        return {"seed": int(part[1:])}
    if re.fullmatch(r"[gp][0-9]+(\.[0-9]+)?", part):
        return {"gain" if part[0] == "g" else "dropout": float(part[1:])}
    for name, word in _FLAGS.items():
        if part == word:
            return {name: True}
    for name, words in _WORDS.items():
        if part in words:
            return {name: part}
    raise ValueError(f"{part!r} in {token!r} is not understood")
