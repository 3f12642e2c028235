"""Features that a target may be declared to lack, and the same case without them.

Among their names may be what a target is declared to have in every case, as ``field=value``.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.fields import FIELD, FIELDS
from parity_tests.cases.tensors import ALTERNATIVES, OUTPUTS, TENSORS, family
from parity_tests.words import did_you_mean


def _plain(*places: str) -> Callable[[Case], dict[str, Any]]:
    """Without non-finite values in these places."""
    return lambda case: {"nonfinite": "none"} if case.nonfinite.endswith(places) else {}


def _without_initial_state(case: Case) -> dict[str, Any]:
    if case.layer == "RNN":
        return {}
    calls = case.calls if case.calls == "again" else "once"
    # Code that always starts from zeros may leave the first step out of dWh, and NaN times 0 with it.
    return {"h0": False, "calls": calls, **_plain("h0", "xs", "dhs")(case)}


def _without_dropout(case: Case) -> dict[str, Any]:
    return {"dropout": 0.0, "eval": False}


FEATURES: dict[str, tuple[str, Callable[[Case], dict[str, Any]]]] = {
    "float32": ("float32", lambda case: {"dtype": "f64"}),
    "float64": ("float64", lambda case: {"dtype": "f32"}),
    "batch": ("more than one sequence at a time", lambda case: {"B": 1}),
    "initial-state": ("an initial state", _without_initial_state),
    "state": (
        "a state kept from call to call",
        lambda case: {"calls": case.calls if case.calls == "again" else "once"},
    ),
    "second-call": (
        "a second call of other sizes with other weights",
        lambda case: {"calls": "once"} if case.calls in ("again", "reset") else {},
    ),
    "layouts": (
        "arrays that are not contiguous or cannot be written to",
        lambda case: {"layout": "contiguous"},
    ),
    "extreme-values": (
        "inputs that are huge, tiny or 0, and saturated units",
        lambda case: {"values": "usual"},
    ),
    "row-bias": ("a bias [1, H]", lambda case: {"bias": "flat"} if case.bias == "row" else {}),
    "flat-bias": (
        "a bias [H]",
        lambda case: {"bias": "row"} if case.bias == "flat" and not case.has_torch_interface else {},
    ),
    "non-finite": ("NaN and infinity", lambda case: {"nonfinite": "none"}),
    "relu": ("relu", lambda case: {"nonlinearity": "tanh", "integer": False} if case.relu else {}),
    "layers": ("several layers", lambda case: {"layers": 1, **_without_dropout(case)}),
    "bidirectional": ("two directions", lambda case: {"bidirectional": False}),
    "bias": ("a bias", lambda case: {"bias": "nobias", "integer": False}),
    "no-bias": ("bias=False", lambda case: {"bias": "flat"} if case.bias == "nobias" else {}),
    "batch-first": ("batch_first", lambda case: {"batch_first": False}),
    "unbatched": (
        "an unbatched input",
        lambda case: {"form": "batched"} if case.form == "unbatched" else {},
    ),
    "packed": ("a packed input", lambda case: {"form": "batched"} if case.form == "packed" else {}),
    "lengths": (
        "sequences of unequal lengths",
        lambda case: {
            "lengths": "full",
            "form": "batched" if case.form == "packed" else case.form,
            **_plain("pad")(case),
        },
    ),
    "dropout": ("dropout", _without_dropout),
    "dense-gradient": (
        "a gradient of every output: of the last step's alone",
        lambda case: (
            {} if case.is_cell or case.has_loss or case.grad_outputs == "final" else {"upstream": "last"}
        ),
    ),
    "final-gradient": ("a gradient of h_n", lambda case: {"grad_outputs": "output"}),
    "head-bias": (
        "a bias of the head",
        lambda case: {"head_bias": "noby", "shift": "none"} if case.has_head else {},
    ),
}
"""Name of the feature, what it is, and the fields that change in a case without it."""


MAX_GAIN_UNBOUNDED = 1.5
"""States of relu grow without bound; outside the range of float32 nothing can be judged."""
NUMBERS_OF_OUTPUTS = 8
"""How many sizes a head may have, from the least one on."""
SHIFT_OF_SEED = {6: "high", 7: "low"}
"""Of the last octal digit of a seed."""


def declared(field: str, value: Any) -> str:
    """How a field that a target is declared to have in every case is written among the names of features."""
    return f"{field}={FIELD[field].text(value)}"


def declared_nonlinearity(name: str) -> str | None:
    """The nonlinearity if a name among those of features sets it, else None."""
    return name.removeprefix("nonlinearity=") if name.startswith("nonlinearity=") else None


def is_declared(name: str) -> bool:
    """Whether a name among those of features is a field that the target has."""
    return "=" in name


def declared_in_words(name: str) -> str:
    """A field that a target has in every case, as a message has it.

    Example:
        >>> declared_in_words("loss=logits"), declared_in_words("many_to_one=many_to_one")
        ('a head', 'many to one')
        >>> declared_in_words("nonlinearity=relu")
        'nonlinearity relu'
    """
    field, _, value = name.partition("=")
    words = {"loss=logits": "a head", "indices": "one-hot inputs", "bidirectional": "two directions"}
    words |= {"V": f"outputs {value.removeprefix('V')}", "batch_first": "the batch first"}
    usual = field.replace("_", " ") + ("" if FIELD[field].flag else f" {value}")
    return words.get(name) or words.get(field) or usual


def restricted(case: Case, without: Collection[str]) -> Case:
    """The case without the features in ``without``, and with the fields declared there.

    Names of tensors and checks are ignored.
    """
    for name in without:
        if name in FEATURES:
            case = replace(case, **FEATURES[name][1](case))
    if fixed := dict(name.split("=") for name in without if is_declared(name)):
        case = _with_fields(case, {name: FIELD[name].read(text) for name, text in fixed.items()})
        if "head-bias" in without:
            case = replace(case, **FEATURES["head-bias"][1](case))  # only now there is a head
    return _without_lengths(case) if "lengths" in without else case


def undeclared(case: Case, without: Collection[str]) -> list[str]:
    """The fields of a case with a value that only a declaration gives, and none in ``without`` does."""
    given = {name.partition("=")[0] for name in without if is_declared(name)}
    given |= {"shift"} if "loss" in given else set()
    given |= {"bias"} if "bias" in without else set()
    given |= {"head_bias"} if "head-bias" in without else set()
    return [
        row.name
        for row in FIELDS
        if row.name not in given and case.layer in row.declared.get(getattr(case, row.name), ())
    ]


def _with_fields(case: Case, fields: dict[str, Any]) -> Case:
    """The case with these fields, and others that fit them."""
    changes = dict(fields)
    nonlinearity = fields.get("nonlinearity", case.nonlinearity)
    if nonlinearity != "tanh":
        changes |= {} if case.nonfinite.endswith("pad") else {"nonfinite": "none"}
        changes |= {} if nonlinearity == "relu" else {"integer": False}
    if nonlinearity in ("relu", "identity"):
        changes["gain"] = min(case.gain, MAX_GAIN_UNBOUNDED)
    if fields.get("loss", "none") != "none":
        # Nothing else of a drawn case decides on the outputs, so they follow from its seed.
        least = 2 if fields["loss"] == "cross_entropy" else 1
        drawn: dict[str, Any] = {"V": least + case.seed % NUMBERS_OF_OUTPUTS}
        drawn["shift"] = SHIFT_OF_SEED.get(case.seed % 8, "none")
        own: dict[str, Any] = {"V": case.V, "shift": case.shift} if case.has_head else drawn
        own |= {} if fields["loss"] == "cross_entropy" else {"shift": "none"}
        absent = {"reduction": "mean", "many_to_one": False, "indices": False, "head_bias": "by"}
        changes = {**absent, **own, **changes, "calls": "once", "nonfinite": "none"}
        changes |= {} if fields["loss"] == "logits" else {"upstream": "dense"}
    if fields.get("indices"):
        changes |= {"values": "usual"} | ({"nonfinite": "none"} if case.nonfinite.endswith("xs") else {})
    return replace(case, **changes)


def _without_lengths(case: Case) -> Case:
    """The case, with another seed where the first of its calls has lengths."""
    if case.layer == "nn.RNN" and case.calls != "once":
        while any(call.lengths is not None for call in calls_of(case)):
            case = replace(case, seed=case.seed + 1)
    return case


BACKWARD = "backward"
"""Stands for all gradients."""
GRADIENTS = tuple(name for name in TENSORS if name not in OUTPUTS)
OPPOSITES = (("float32", "float64"), ("row-bias", "flat-bias"), ("bias", "no-bias"))
"""One of them must be there."""


def parse(text: str, checks: Iterable[str]) -> tuple[str, ...]:
    """The names in a comma-separated list: features, tensors, and checks with hyphens for spaces.

    Raises:
        ValueError: a name is neither a feature nor a tensor nor a check, or nothing is left to judge.
    """
    hyphenated = [check.replace(" ", "-") for check in checks]
    known = [*FEATURES, BACKWARD, *hyphenated, *TENSORS]
    given = {name.strip() for name in text.split(",") if name.strip()}
    names = tuple(sorted(given - {BACKWARD} | {*(GRADIENTS if BACKWARD in given else ())}))
    for name in names:
        if name not in known and family(name) not in TENSORS:
            raise ValueError(
                f"without: expected features ({', '.join(FEATURES)}), {BACKWARD} for all gradients, tensors ({', '.join(TENSORS)}) or "
                f"checks ({', '.join(hyphenated)}), got {name!r}{did_you_mean(name, known)}"
            )
    if any({*pair} <= {*names} for pair in OPPOSITES):
        raise ValueError(f"without: nothing is left to judge without {', '.join(names)}")
    # What stands for a tensor is not missed either.
    others = {other for name in names for other in ALTERNATIVES.get(name, ()) if name == "logits"}
    return tuple(sorted({*names, *others}))


def in_short(names: Iterable[str]) -> list[str]:
    """The names, with ``backward`` in place of all gradients."""
    listed = list(names)
    if not {*GRADIENTS} <= {*listed}:
        return listed
    return [BACKWARD, *(name for name in listed if name not in GRADIENTS)]


def described(name: str) -> str:
    """A feature in words; other names as they are."""
    return "a backward" if name == BACKWARD else FEATURES[name][0] if name in FEATURES else name
