"""Features that a target may be declared to lack, and the same case without them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import TENSORS, family
from parity_tests.words import did_you_mean


def _plain(*places: str) -> Callable[[Case], dict[str, Any]]:
    """Without non-finite values in these places."""
    return lambda case: {"nonfinite": "none"} if case.nonfinite.endswith(places) else {}


def _without_initial_state(case: Case) -> dict[str, Any]:
    if case.layer == "RNN":
        return {}
    calls = case.calls if case.calls == "again" else "once"
    return {"h0": False, "calls": calls, **_plain("h0")(case)}


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
    "row-bias": ("a bias [1, H]", lambda case: {"bias": "flat"} if case.bias == "row" else {}),
    "flat-bias": (
        "a bias [H]",
        lambda case: {} if case.has_torch_interface else {"bias": "row"},
    ),
    "non-finite": ("NaN and infinity", lambda case: {"nonfinite": "none"}),
    "relu": ("relu", lambda case: {"relu": False, "integer": False}),
    "layers": ("several layers", lambda case: {"layers": 1, **_without_dropout(case)}),
    "bidirectional": ("two directions", lambda case: {"bidirectional": False}),
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
        lambda case: {} if case.is_cell or case.grad_outputs == "final" else {"upstream": "last"},
    ),
    "final-gradient": ("a gradient of h_n", lambda case: {"grad_outputs": "output"}),
}
"""Name of the feature, what it is, and the fields that change in a case without it."""


def restricted(case: Case, without: Collection[str]) -> Case:
    """The case without the features in ``without``; names of tensors and checks are ignored."""
    for name in without:
        if name in FEATURES:
            case = replace(case, **FEATURES[name][1](case))
    return _without_lengths(case) if "lengths" in without else case


def _without_lengths(case: Case) -> Case:
    """The case, with another seed where the first of its calls has lengths."""
    if case.layer == "nn.RNN" and case.calls != "once":
        while any(call.lengths is not None for call in calls_of(case)):
            case = replace(case, seed=case.seed + 1)
    return case


def parse(text: str, checks: Iterable[str]) -> tuple[str, ...]:
    """The names in a comma-separated list: features, tensors, and checks with hyphens for spaces.

    Raises:
        ValueError: a name is neither a feature nor a tensor nor a check, or nothing is left to judge.
    """
    hyphenated = [check.replace(" ", "-") for check in checks]
    known = [*FEATURES, *hyphenated, *TENSORS]
    names = tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))
    for name in names:
        if name not in known and family(name) not in TENSORS:
            raise ValueError(
                f"without: expected features ({', '.join(FEATURES)}), tensors ({', '.join(TENSORS)}) or "
                f"checks ({', '.join(hyphenated)}), got {name!r}{did_you_mean(name, known)}"
            )
    if {"float32", "float64"} <= {*names} or {"row-bias", "flat-bias"} <= {*names}:
        raise ValueError(f"without: nothing is left to judge without {', '.join(names)}")
    return names


def described(name: str) -> str:
    """A feature in words; other names as they are."""
    return FEATURES[name][0] if name in FEATURES else name
