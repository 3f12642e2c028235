"""A case fully specifies one comparison; its token is its unique name.

``B4T12D8H16-f32-g2-h0-last-again-s17`` is a sequence of 12 steps, batch 4, 8 inputs, 16 hidden
units, float32, recurrent gain 2, an initial state, a gradient at the last step only, two calls of
one layer, arrays drawn from seed 17. ``nn-B4T12D8H16L2-bi-relu-f32-both-unsorted-s17`` is a stack of
2 layers in both directions with sequences of unequal lengths. What is left out has its default.
"""

import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any, Self

from parity_tests.cases.field import among
from parity_tests.cases.fields import FIELD, FIELDS, token_help
from parity_tests.cases.layers import LAYERS

MAX_ELEMENTS = 2**23
"""Of all inputs, states and weights of a case together: judging it takes about 500 bytes for each."""
MAX_STEPS = 100_000
"""Time steps of all layers and directions together: judging them takes about 30 seconds."""
MAX_CHARACTERS = 200
"""Of a token; none is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison, immutable and hashable; ``str(case)`` is its token.

    Its fields, their values and their meanings are the rows of ``fields.FIELDS``, listed below.

    Raises:
        TypeError: a size or the seed is no whole number.
        ValueError: a value or a combination of values is not allowed; the message names the field, the
            value and the reason.

    Example:
        >>> from parity_tests import Case
        >>> case = Case.parse("B2T3D4H5-f32-h0-s7")
        >>> case.T, case.dtype, case.h0
        (3, 'f32', True)
        >>> str(Case(B=1, T=2, D=3, H=4, layer="nn.RNN", bidirectional=True))
        'nn-B1T2D3H4-bi-f64-s0'
    """

    B: int
    T: int
    D: int
    H: int
    layer: str = "TimeRNN"
    layers: int = 1
    V: int = 0
    bidirectional: bool = False
    nonlinearity: str = "tanh"
    dtype: str = "f64"
    gain: float = 1.0
    h0: bool = False
    upstream: str = "dense"
    grad_outputs: str = "output"
    layout: str = "contiguous"
    calls: str = "once"
    bias: str = "flat"
    batch_first: bool = False
    form: str = "batched"
    lengths: str = "full"
    dropout: float = 0.0
    eval: bool = False
    integer: bool = False
    nonfinite: str = "none"
    values: str = "usual"
    loss: str = "none"
    reduction: str = "mean"
    many_to_one: bool = False
    indices: bool = False
    head_bias: str = "by"
    shift: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        FIELD["layer"].check(self.layer, self.layer)
        for row, allowed in _ALLOWED[self.layer]:
            value = getattr(self, row.name)
            if not among(value, allowed):
                row.check(value, self.layer)
            # The table's own value: another may be equal to it, and NumPy's whole numbers overflow in products.
            object.__setattr__(self, row.name, allowed[allowed.index(value)] if allowed else int(value))
        if self.T * self.num_cells > MAX_STEPS:
            raise ValueError(
                f"T: expected at most {MAX_STEPS:,} time steps in all layers and directions together, "
                f"got {self.T * self.num_cells:,}"
            )
        widest = max(self.D, self.H * self.directions)
        elements = self.B * self.T * (self.D + self.num_cells * self.H)
        elements += self.num_cells * self.H * (self.H + widest) + self.V * (self.B * self.T + self.H)
        if elements > MAX_ELEMENTS:
            raise ValueError(
                f"B, T, D, H: expected arrays of at most {MAX_ELEMENTS:,} elements together, got {elements:,}"
            )
        for name, contradicted, why in self._contradictions():
            if contradicted:
                raise ValueError(f"{name}: {why}")

    def _contradictions(self) -> list[tuple[str, bool, str]]:
        """The relations between fields: the field to blame, whether a relation is broken, and which."""
        return [
            ("calls", self.chunks > self.T, f"{self.calls} needs T >= {self.chunks}, got T = {self.T}"),
            (
                "form",
                self.form == "unbatched" and (self.B != 1 or self.lengths != "full"),
                "unbatched needs B = 1 and full lengths, got "
                f"B = {self.B} and {self.lengths}: an unbatched input is one sequence",
            ),
            (
                "upstream",
                self.grad_outputs == "final" and self.upstream != "dense",
                f"{self.upstream} needs a gradient of the output, got the gradient of h_n alone",
            ),
            (
                "dropout",
                self.dropout > 0 and self.layers == 1,
                f"{self.dropout:g} needs two layers or more, got 1: dropout is applied between layers",
            ),
            (
                "integer",
                self.integer
                and (
                    not self.relu or self.bias == "nobias" or self.gain != 1 or self.dropout not in (0, 0.5)
                ),
                "integers need relu, biases, gain 1, and dropout 0 or 0.5, got "
                f"{self.nonlinearity}, {self.bias}, gain {self.gain:g}, dropout {self.dropout:g}",
            ),
            (
                "values",
                self.values != "usual" and (self.integer or self.indices or self.nonfinite != "none"),
                f"{self.values} needs inputs that are neither integers nor one-hot nor NaN or infinite",
            ),
            *self._head_contradictions(),
            *(
                ("nonfinite", broken, f"{self.nonfinite} {why}")
                for broken, why in self._nonfinite_contradictions()
            ),
        ]

    def _head_contradictions(self) -> list[tuple[str, bool, str]]:
        has_head, has_loss = self.has_head, self.has_loss
        return [
            ("V", has_head and self.V < 1, f"a head needs at least 1 output, got V = {self.V}"),
            (
                "V",
                self.loss == "cross_entropy" and self.V == 1,
                "cross_entropy needs at least 2 outputs, got V = 1",
            ),
            ("V", self.V > 0 and not has_head, f"{self.V} outputs need a loss or `logits`, got none"),
            ("loss", has_head and self.calls != "once", f"{self.loss} needs calls once, got {self.calls}"),
            (
                "upstream",
                has_loss and self.upstream != "dense",
                f"{self.upstream} needs a gradient that is given, got the loss {self.loss}",
            ),
            (
                "reduction",
                self.reduction != "mean" and not has_loss,
                f"{self.reduction} needs a loss, got {self.loss}",
            ),
            ("many_to_one", self.many_to_one and not has_head, "needs a head, got none"),
            ("head_bias", self.head_bias == "noby" and not has_head, "noby needs a head, got none"),
            (
                "shift",
                self.shift != "none" and self.loss != "cross_entropy",
                f"{self.shift} needs cross_entropy, got {self.loss}",
            ),
            ("shift", self.shift != "none" and self.head_bias == "noby", f"{self.shift} needs a bias, by"),
            ("nonfinite", has_head and self.nonfinite != "none", f"{self.nonfinite} needs no head"),
            (
                "nonfinite",
                self.indices and self.nonfinite.endswith("xs"),
                f"{self.nonfinite} needs inputs that are not one-hot",
            ),
        ]

    def _nonfinite_contradictions(self) -> list[tuple[bool, str]]:
        if self.nonfinite == "none":
            return []
        place = self.nonfinite.partition("@")[2]
        in_padding = place == "pad"
        return [
            (place == "h0" and not self.h0, "needs an initial state"),
            (place == "dhs" and self.grad_outputs == "final", "needs a gradient of the output"),
            (
                in_padding and (self.lengths == "full" or self.form != "batched"),
                f"needs padding, got {self.form} input and {self.lengths} lengths",
            ),
            # With one number for an operand, BLAS may skip a factor of 0, and 0 * inf with it.
            (
                not in_padding and min(self.D, self.H) == 1,
                f"needs D and H of at least 2, got D = {self.D} and H = {self.H}",
            ),
            # Whether a factor of 0 stops a value there is a layer's choice.
            (
                not in_padding and (self.nonlinearity != "tanh" or self.masked),
                "needs tanh and no dropout",
            ),
            (self.calls != "once", f"needs calls once, got {self.calls}"),
            (self.integer, "is not an integer"),
        ]

    @property
    def is_cell(self) -> bool:
        """Whether one time step is judged."""
        return LAYERS[self.layer].is_cell

    @property
    def has_torch_interface(self) -> bool:
        """Whether the layer has the options, parameters and shapes of ``torch.nn``."""
        return LAYERS[self.layer].has_torch_interface

    @property
    def relu(self) -> bool:
        """Whether the nonlinearity is relu."""
        return self.nonlinearity == "relu"

    @property
    def is_unbounded(self) -> bool:
        """Whether states may grow without a bound."""
        return self.nonlinearity in ("relu", "identity")

    @property
    def has_head(self) -> bool:
        """Whether there is a linear layer behind the states."""
        return self.loss != "none"

    @property
    def has_loss(self) -> bool:
        """Whether a loss gives the gradients."""
        return self.loss not in ("none", "logits")

    @property
    def directions(self) -> int:
        """1 or 2."""
        return 1 + self.bidirectional

    @property
    def num_cells(self) -> int:
        """The number of cells that run over a sequence: layers times directions."""
        return self.layers * self.directions

    @property
    def masked(self) -> bool:
        """Whether dropout is applied: its probability is above 0, and the mode is training."""
        return self.dropout > 0 and not self.eval

    @property
    def chunks(self) -> int:
        """The number of calls that share the sequence."""
        return int(self.calls[-1]) if self.calls.startswith("chunks") else 1

    @property
    def stateful(self) -> bool:
        """Whether the layer is created as stateful: it keeps a state or is given one."""
        return self.h0 or self.calls == "reset" or self.chunks > 1

    @property
    def size(self) -> tuple[int, int, str]:
        """A sort key: the cases that are easiest to read come first."""
        token = str(self)
        before = 16 if self.calls in ("again", "reset") else 0  # the first call has about 16 steps
        return (self.B * self.T + before) * (self.D + self.H) * self.num_cells, token.count("-"), token

    def __str__(self) -> str:
        sizes, parts = "", []
        for row in FIELDS[1:]:
            text = row.written(getattr(self, row.name), self.layer)
            if row.size:
                sizes += text
            elif text:
                parts.append(text)
        return "-".join([*filter(None, [LAYERS[self.layer].token]), sizes, *parts])

    @classmethod
    def parse(cls, token: str) -> Self:
        """Return the case of a token.

        Raises:
            TypeError: it is no str.
            ValueError: it is not a token; the message names the part that is wrong.
        """
        if not isinstance(token, str):
            raise TypeError(f"expected a token such as B2T3D4H5-f64-s0, got {type(token).__qualname__}")
        if len(token) > MAX_CHARACTERS:
            raise ValueError(f"expected a token of at most {MAX_CHARACTERS} characters, got {len(token):,}")
        first, _, rest = token.partition("-")
        kinds = {layer.token: kind for kind, layer in LAYERS.items() if layer.token}
        kind, text = (kinds[first], rest) if first in kinds else (FIELD["layer"].default, token)
        # A token does not have the fields that the layer does not have.
        values = {row.name: row.allowed(kind)[0] for row in FIELDS if kind not in row.kinds}
        values["layer"] = kind
        sizes, *parts = text.split("-")
        values |= _parse_sizes(sizes, kind, token)
        for part in parts:
            values |= _parse_part(part, token)
        case = cls(**values)
        if str(case) != token:
            raise ValueError(f"expected the token {case}, got {token}")
        return case


_ALLOWED = {kind: [(row, row.allowed(kind)) for row in FIELDS] for kind in LAYERS}
Case.__doc__ = (
    f"{inspect.cleandoc(str(Case.__doc__))}\n\nTokens::\n\n{textwrap.indent(token_help(), 4 * ' ')}"
)


def _parse_sizes(text: str, kind: str, token: str) -> dict[str, Any]:
    # Sizes are always written, the number of layers only if there are several.
    rows = [row for row in FIELDS if row.size and (kind in row.kinds or not row.always)]
    pattern = "".join(
        f"{row.prefix}(?P<{row.name}>[0-9]+)" if row.always else f"(?:{row.prefix}(?P<{row.name}>[0-9]+))?"
        for row in rows
    )
    sizes = re.fullmatch(pattern, text)
    if not sizes:
        raise ValueError(f"expected a token such as B2T3D4H5-f64-s0, got {token!r}")
    return {name: int(size) for name, size in sizes.groupdict().items() if size}


def _parse_part(part: str, token: str) -> dict[str, Any]:
    for row in FIELDS[1:]:
        value = None if row.size else row.read(part)
        if value is not None:
            return {row.name: value}
    raise ValueError(f"{part!r} in {token!r} is not understood")
