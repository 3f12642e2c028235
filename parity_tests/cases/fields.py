"""The fields of a case: the values of each, how it is written in a token, and what it means.

From this one table follow the checks of a case, the parsing and printing of tokens, the values that are
drawn, the help of the command line, and the table in the documentation.
"""

import textwrap
from typing import Any

from parity_tests.cases.field import Field, classes_in_words
from parity_tests.cases.layers import KINDS, LAYERS
from parity_tests.cases.memory_layouts import LAYOUTS

GAINS = (1.0, 0.5, 0.7, 1.5, 2.0, 3.0, 4.0, 0.3, 0.1, 0.03, 0.01, 0.001)
"""Scales of the recurrent weights: ordinary first, then chaotic, then vanishing."""
UPSTREAMS = ("dense", "last", "gaps")
CALLS = ("once", "again", "reset", "chunks2", "chunks3")
BIASES = ("flat", "row", "nobias")
FORMS = ("batched", "unbatched", "packed")
LENGTHS = ("full", "equal", "sorted", "unsorted", "ones")
GRAD_OUTPUTS = ("output", "both", "final")
DROPOUTS = (0.0, 0.5, 0.25, 0.8)
MOST_LAYERS = 4
NONLINEARITIES = ("tanh", "relu", "sigmoid", "identity")
LOSSES = ("none", "logits", "cross_entropy", "mse", "half_mse")
REDUCTIONS = ("mean", "sum", "batchmean")
SHIFTS = ("none", "high", "low")
HEAD_BIASES = ("by", "noby")
NONFINITE = (
    "none",
    *(f"{value}@{place}" for place in ("xs", "dhs", "h0", "pad") for value in ("nan", "inf")),
    "both@xs",
)
VALUES = ("usual", "huge", "tiny", "zeros", "saturated", "linear")

_SEQUENCES = tuple(kind for kind in KINDS if not LAYERS[kind].is_cell)
_TORCH = tuple(kind for kind in KINDS if LAYERS[kind].has_torch_interface)
_LISTS = tuple(kind for kind in KINDS if not LAYERS[kind].has_torch_interface)
_NN, _TIME = ("nn.RNN",), ("TimeRNN",)


FIELDS = (
    Field(
        name="layer",
        values=KINDS,
        help="the layer: "
        + ", ".join(f"`{name}` (`{layer.token}-`)" for name, layer in LAYERS.items() if layer.token),
    ),
    Field(name="B", prefix="B", size=True, always=True, least=1, help="batch size"),
    Field(
        name="T",
        prefix="T",
        size=True,
        always=True,
        least=1,
        kinds=_SEQUENCES,
        elsewhere=1,
        why="a cell has one step",
        help="number of time steps",
    ),
    Field(name="D", prefix="D", size=True, always=True, least=1, help="input size"),
    Field(name="H", prefix="H", size=True, always=True, least=1, help="hidden size"),
    Field(
        name="layers",
        values=tuple(range(1, MOST_LAYERS + 1)),
        prefix="L",
        size=True,
        kinds=_NN,
        help="number of layers",
    ),
    Field(
        name="V",
        prefix="V",
        size=True,
        kinds=_TIME,
        help="number of outputs of a head, a linear layer behind the states; left out if there is no head",
    ),
    Field(name="bidirectional", values=(False, True), flag="bi", kinds=_NN, help="both directions"),
    Field(
        name="nonlinearity",
        values=NONLINEARITIES,
        declared={"relu": _LISTS, "sigmoid": KINDS, "identity": KINDS},
        help="the nonlinearity: tanh, `relu`, or, where a target declares it, `sigmoid` or `identity`",
    ),
    Field(name="batch_first", values=(False, True), flag="bf", kinds=_NN, help="the option `batch_first`"),
    Field(
        name="dtype",
        values=("f64", "f32"),
        always=True,
        help="working precision of the layer: float64 or float32",
    ),
    Field(
        name="gain",
        values=GAINS,
        prefix="g",
        help="scale of the recurrent weights, from 0.001 (gradients vanish) over 1 to 4 (chaos)",
    ),
    Field(
        name="h0",
        values=(False, True),
        flag="h0",
        kinds=tuple(kind for kind in KINDS if kind != "RNN"),
        elsewhere=True,
        why="a cell always has an initial state",
        help="an initial state is given",
    ),
    Field(
        name="upstream",
        values=UPSTREAMS,
        kinds=_SEQUENCES,
        why="a cell has one step",
        help="upstream gradient of the outputs: of every step (`dense`), of the `last` step only, or "
        "with `gaps` (zero at some steps)",
    ),
    Field(
        name="grad_outputs",
        values=GRAD_OUTPUTS,
        kinds=_NN,
        help="what has an upstream gradient: the `output`, h_n (`final`), or `both`",
    ),
    Field(
        name="layout",
        values=LAYOUTS,
        help="memory of every array given to the layer: its order, or not aligned, or mapped from a file, or with "
        "a stride of 0, where inputs, initial states and gradients are constant along the last axis (`broadcast`)",
    ),
    Field(
        name="calls",
        values=CALLS,
        only=dict.fromkeys(CALLS[2:], _TIME),
        why="only TimeRNN keeps a state",
        help="calls of one layer: `once`; `again` (a call of other sizes first, then the weights are "
        "updated in place); `reset` (likewise, with a stateful layer and `reset_state` before the second "
        "call); `chunks2`, `chunks3` (a stateful layer, the sequence cut into 2 or 3 parts)",
    ),
    Field(
        name="bias",
        values=BIASES,
        only={"row": _LISTS},
        declared={"nobias": _LISTS},
        why="a bias [1, H] is of TimeRNN and RNN",
        help="a bias [H] (`flat`), a bias [1, H] (`row`), or no bias (`nobias`)",
    ),
    Field(
        name="form",
        values=FORMS,
        kinds=_TORCH,
        only={"packed": _NN},
        help="form of the input",
        why="only nn.RNN and nn.RNNCell have it, and the input of a cell is not packed",
    ),
    Field(
        name="lengths",
        values=LENGTHS,
        kinds=_NN,
        help="lengths of the sequences: all T (`full`, not given); or given as `equal` (and mostly below "
        "T), `sorted`, `unsorted`, or mostly 1 (`ones`)",
    ),
    Field(
        name="nonfinite",
        values=NONFINITE,
        only=dict.fromkeys(("nan@pad", "inf@pad"), _NN),
        why="only nn.RNN has padding",
        help="a NaN or infinity in one element of `xs`, `dhs` or `h0`, or all over the padding (`pad`); or one "
        "of each (`both`)",
    ),
    Field(
        name="values",
        values=VALUES,
        help="what the numbers are like: ordinary (`usual`); some inputs of 30 to 1e30 (`huge`); some inputs and "
        "gradients that are subnormal or hardly more, or 0 (`tiny`); many inputs, initial states, gradients and "
        "weights that are 0 or -0 (`zeros`); half of the units saturated (`saturated`); inputs, initial state and "
        "bias so small that a nonlinearity is a straight line (`linear`)",
    ),
    Field(
        name="dropout",
        values=DROPOUTS,
        prefix="p",
        kinds=_NN,
        help="dropout probability; masks are given, unless in evaluation mode",
    ),
    Field(name="eval", values=(False, True), flag="eval", kinds=_NN, help="evaluation mode"),
    Field(
        name="integer",
        values=(False, True),
        flag="int",
        kinds=_TORCH,
        help="small integers (biases an integer plus 1/2), so that float32 is exact and values are compared "
        "bit for bit",
    ),
    Field(
        name="loss",
        values=LOSSES,
        kinds=_TIME,
        declared=dict.fromkeys(LOSSES[1:], _TIME),
        help="what an adapter has behind its head: nothing, so that the gradient of the `logits` is given; or "
        "a loss, which is torch's `cross_entropy`, torch's `mse`, or half of it (`half_mse`)",
    ),
    Field(
        name="reduction",
        values=REDUCTIONS,
        kinds=_TIME,
        declared=dict.fromkeys(REDUCTIONS[1:], _TIME),
        help="how a loss is summed up: its mean, its `sum`, or its sum over the batch size (`batchmean`)",
    ),
    Field(
        name="many_to_one",
        values=(False, True),
        flag="many_to_one",
        kinds=_TIME,
        declared={True: _TIME},
        help="the head reads the last state alone",
    ),
    Field(
        name="indices",
        values=(False, True),
        flag="indices",
        kinds=_TIME,
        declared={True: _TIME},
        help="every input is one-hot, and given as an index too",
    ),
    Field(
        name="head_bias",
        values=HEAD_BIASES,
        kinds=_TIME,
        declared={"noby": _TIME},
        help="a bias of the head (`by`), or none (`noby`)",
    ),
    Field(
        name="shift",
        values=SHIFTS,
        kinds=_TIME,
        declared=dict.fromkeys(SHIFTS[1:], _TIME),
        help="logits that are all so `high` or so `low` that their exponentials overflow or vanish",
    ),
    Field(name="seed", prefix="s", always=True, help="seed of the arrays"),
)
"""In the order of the parts of a token."""

FIELD = {row.name: row for row in FIELDS}
CHOICES = {row.name: row.values for row in FIELDS if row.values}
"""The values of every field that has a fixed list of them."""

EXAMPLES = ("B4T12D8H16-f32-g2-h0-last-again-s17", "nn-B4T12D8H16L2-bi-relu-bf-f32-both-unsorted-p0.5-s17")
"""Two tokens that show most of the grammar."""


DRAWN = {
    row.name: tuple(value for value in row.values if any(value in row.drawn(kind) for kind in KINDS))
    for row in FIELDS
    if row.values
}
"""Those that random cases have; others a target has to declare."""


def option_values(case: Any) -> set[tuple[str, Any]]:
    """Name and value of every field of a case that has a fixed list of values."""
    return {(name, getattr(case, name)) for name in CHOICES}


def token_parts(row: Field) -> list[str]:
    """How the values of a field are written in a token; ``N`` means any whole number."""
    if row.name == "layer":
        return [f"{LAYERS[kind].token}-" for kind in KINDS[1:]]
    if row.flag:
        return [row.flag]
    if not row.values:
        return [f"{row.prefix}N"]
    return [row.text(value) for value in row.values if row.always or value != row.default]


def token_help() -> str:
    """The grammar of tokens, for the command line."""
    lines = [
        "The token of a case, such as",
        *(f"  {example}" for example in EXAMPLES),
        "has these parts, in this order; a field that has its default is left out:",
    ]
    for row in FIELDS:
        notes = [*([f"default {_default(row)}"] * bool(row.values)), *([_limits(row)] * bool(_limits(row)))]
        text = f"{', '.join(token_parts(row))}: {row.help}" + f" ({'; '.join(notes)})" * bool(notes)
        lines += textwrap.wrap(
            text.replace("`", ""),
            100,
            initial_indent="  ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def token_table() -> str:
    """The grammar of tokens as a table in Markdown, for the documentation."""
    lines = ["| part of a token | field | default | layers | meaning |", "|---|---|---|---|---|"]
    for row in FIELDS:
        parts = ", ".join(f"`{part}`" for part in token_parts(row))
        default = f"`{_default(row)}`" if row.values else ""
        lines.append(f"| {parts} | `{row.name}` | {default} | {_limits(row) or 'all'} | {row.help} |")
    return "\n".join(lines)


def _default(row: Field) -> str:
    return f"{row.default:g}" if row.prefix else f"{row.default}"


def _limits(row: Field) -> str:
    """Which layers have a field and which have some of its values; empty if all have all."""
    limits = [f"only {classes_in_words(row.kinds)}"] if row.kinds != KINDS else []
    shared: dict[tuple[str, ...], list[str]] = {}
    for value, kinds in row.only.items():
        shared.setdefault(kinds, []).append(f"`{value}`")
    return "; ".join(
        [
            *limits,
            *(f"{', '.join(values)}: only {classes_in_words(kinds)}" for kinds, values in shared.items()),
        ]
    )
