"""``python -m parity_tests.references.record``: record the answers of the installed torch into ``fixtures/``.

First small cases of every kind, then random ones, then those of many-to-one code, then those that an adapter
has to declare. They are so small that all files together stay under 3 MB.
"""

import importlib.metadata
from itertools import product
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case
from parity_tests.cases.draw import draw_case
from parity_tests.cases.features import declared, restricted
from parity_tests.cases.fields import (
    BIASES,
    CALLS,
    DROPOUTS,
    FORMS,
    GAINS,
    GRAD_OUTPUTS,
    LENGTHS,
    LOSSES,
    MOST_LAYERS,
    NONFINITE,
    NONLINEARITIES,
    REDUCTIONS,
    UPSTREAMS,
    VALUES,
)
from parity_tests.cases.memory_layouts import LAYOUTS
from parity_tests.references.live_torch import torch_answers
from parity_tests.references.recorded import SEAL, default_folder, write

NUMBER = 172
"""Of the cases of every kind and the random ones together."""
MAX_ELEMENTS = 3000
"""The limit for a random case, over all of its arrays."""
SEED = 2


def recorded_cases() -> list[Case]:
    """The cases to record, the same ones every time."""
    usual: dict[str, Any] = {"B": 3, "T": 4, "D": 2, "H": 5}
    cases = [
        Case(B=1, T=1, D=1, H=1),
        Case(B=1, T=1, D=1, H=1, dtype="f32", layer="RNN", h0=True),
        Case(B=1, T=300, D=1, H=4),
        Case(B=1, T=200, D=2, H=2, dtype="f32", h0=True, upstream="last"),
        Case(B=3, T=5, D=7, H=7, h0=True),
        Case(B=4, T=4, D=3, H=6, dtype="f32"),
        Case(B=2, T=12, D=3, H=32, gain=4.0, h0=True),
        Case(B=2, T=60, D=3, H=16, gain=3.0, dtype="f32"),
        Case(B=1, T=2, D=64, H=3, bias="row"),
        Case(B=32, T=2, D=1, H=2, dtype="f32"),
    ]
    cases += [Case(**usual, gain=gain, dtype=dtype) for gain in GAINS for dtype in ("f64", "f32")]
    cases += [Case(**usual, h0=True, upstream=upstream, seed=1) for upstream in UPSTREAMS]
    cases += [Case(**usual, h0=True, layout=layout, seed=2) for layout in LAYOUTS[1:]]
    cases += [Case(**usual, calls=calls, dtype="f32", seed=3) for calls in CALLS[1:]]
    cases += [Case(**usual, calls="again", seed=seed) for seed in range(10, 13)]
    cases += [
        Case(**usual, h0=True, nonfinite=value, seed=4)
        for value in NONFINITE[1:]
        if not value.endswith("pad")
    ]
    cases += [
        Case(layer="RNN", B=3, T=1, D=2, H=5, h0=True, calls=calls, bias=bias, dtype=dtype, seed=5)
        for calls, bias, dtype in (("once", "flat", "f64"), ("again", "row", "f64"), ("again", "flat", "f32"))
    ]
    cases += _stacks(usual)
    cases += [
        Case(layer=layer, B=3, T=6, D=4, H=5, values=values, layout=layout, dtype=dtype, h0=True, seed=14)
        for layer in ("TimeRNN", "nn.RNN")
        for values, layout in zip(
            VALUES[1:], ("mapped", "unaligned", "broadcast", "fortran", "readonly"), strict=True
        )
        for dtype in ("f64", "f32")
    ]
    number = 0
    while len(cases) < NUMBER:
        case = draw_case(SEED, number)
        number += 1
        if elements(case) <= MAX_ELEMENTS:
            cases.append(case)
    return [*cases, *_many_to_one(), *_declared()]


def _many_to_one() -> list[Case]:
    """Cases without a start state and with a gradient of the last step alone, or of h_n alone.

    The first ones need no other feature, so that something is left to judge whatever else a layer lacks.
    """
    usual: dict[str, Any] = {"T": 6, "D": 3, "H": 4, "upstream": "last"}
    stack: dict[str, Any] = {"layer": "nn.RNN", **usual}
    cell: dict[str, Any] = {"T": 1, "D": 3, "H": 4}
    plain = [(dtype, B) for dtype in ("f64", "f32") for B in (1, 3)]
    cases = []
    for seed, (dtype, B) in enumerate(plain, 20):
        both: dict[str, Any] = {"B": B, "dtype": dtype, "seed": seed}
        calls = CALLS[: min(B, 2)]
        cases += [
            Case(**usual, **both, bias=bias, calls=value)
            for bias in ("flat", "row", "nobias")
            for value in calls
        ]
        cases += [
            Case(**stack, **both, nonlinearity=nonlinearity, bias=bias)
            for nonlinearity in NONLINEARITIES[:2]
            for bias in ("flat", "nobias")
        ]
        cases += [
            Case(layer="RNN", **cell, **both, bias=bias, h0=True)
            for bias in (BIASES if B == 1 else BIASES[2:])
        ]
        if B == 1:
            cases += [
                Case(layer="nn.RNNCell", **cell, **both, nonlinearity=nonlinearity, bias=bias)
                for nonlinearity in NONLINEARITIES[:2]
                for bias in ("flat", "nobias")
            ]
        cases.append(Case(**{**stack, "upstream": "dense"}, **both, grad_outputs="final"))
        cases += [Case(**stack, **both, calls=value) for value in calls[1:]]
    cases += [Case(**usual, B=2, layout=layout, seed=24) for layout in ("readonly", "strided")]
    options: list[dict[str, Any]] = [
        {"layers": 2},
        {"bidirectional": True},
        {"bias": "nobias"},
        {"batch_first": True},
        {"lengths": "unsorted"},
        {"lengths": "ones", "form": "packed", "layers": 2},
    ]
    for seed, option in enumerate(options, 30):
        cases.append(Case(**{**stack, **option}, B=2, dtype=("f64", "f32")[seed % 2], seed=seed))
    return cases


def _declared() -> list[Case]:
    """Cases of heads and losses, and of relu and no bias where these have to be declared."""
    sizes: dict[str, Any] = {"T": 3, "D": 4, "H": 3}
    plain = [("f64", 3, False), ("f32", 2, True), ("f64", 1, True), ("f32", 1, False)]
    many_to_one, indices = declared("many_to_one", True), declared("indices", True)
    options = [(), (many_to_one,), (indices,), (many_to_one, indices)]
    changes: list[dict[str, Any]] = [{"nonlinearity": "relu"}, {"bias": "nobias"}]
    cases = []
    for seed, (dtype, B, h0) in enumerate(plain, 44):
        some: dict[str, Any] = {**sizes, "B": B, "dtype": dtype, "h0": h0, "seed": seed}
        cases += [
            Case(**some, **changed, upstream=upstream) for changed in changes for upstream in UPSTREAMS[:2]
        ]
        for loss, reduction, option in product(LOSSES[1:], REDUCTIONS, options):
            is_plain = loss == "cross_entropy" and reduction != "batchmean" and not option
            if (loss == "logits" and reduction != "mean") or ("mse" in loss and indices in option):
                continue
            if seed < 46 or is_plain:
                names = declared("loss", loss), declared("reduction", reduction), *option
                cases.append(restricted(Case(**some), names))
        for other in (declared("nonlinearity", "relu"), "head-bias"):
            cases.append(restricted(Case(**some), (declared("loss", "cross_entropy"), other)))
    return cases


def _stacks(usual: dict[str, Any]) -> list[Case]:
    nn: dict[str, Any] = {"layer": "nn.RNN", **usual}
    cases = [
        Case(
            **nn,
            layers=layers,
            bidirectional=bidirectional,
            nonlinearity="relu" if relu else "tanh",
            grad_outputs="both",
            h0=True,
            seed=6,
        )
        for layers in range(1, MOST_LAYERS + 1)
        for bidirectional in (False, True)
        for relu in (False, True)
    ]
    both: dict[str, Any] = {**nn, "layers": 2, "bidirectional": True}
    cases += [
        Case(**both, lengths=lengths, form=form, grad_outputs="both", seed=7)
        for lengths in LENGTHS[1:]
        for form in FORMS
        if form != "unbatched"
    ]
    cases += [
        Case(**both, grad_outputs=value, batch_first=True, dtype="f32", seed=8) for value in GRAD_OUTPUTS
    ]
    cases += [
        Case(**both, dropout=dropout, nonlinearity="relu", grad_outputs="both", seed=9)
        for dropout in DROPOUTS[1:]
    ]
    cases += [
        Case(**both, dropout=0.5, eval=True, seed=10),
        Case(**both, lengths="unsorted", nonfinite="nan@pad", seed=15),
        Case(**both, bias="nobias", calls="again", seed=11),
        Case(
            **both, nonlinearity="relu", integer=True, grad_outputs="both", dtype="f32", dropout=0.5, seed=12
        ),
        Case(
            **both,
            nonlinearity="relu",
            integer=True,
            grad_outputs="both",
            dtype="f32",
            lengths="unsorted",
            h0=True,
            seed=13,
        ),
        Case(**{**both, "B": 1}, form="unbatched", grad_outputs="both", h0=True, seed=14),
        *(
            Case(**both, lengths="unsorted", grad_outputs="both", nonfinite=value, seed=15)
            for value in NONFINITE[-2:]
        ),
        Case(**nn, calls="again", layout="strided", seed=16),
    ]
    cell: dict[str, Any] = {"layer": "nn.RNNCell", "B": 1, "T": 1, "D": 2, "H": 5}
    return [*cases, Case(**cell), Case(**cell, form="unbatched", nonlinearity="relu", h0=True, dtype="f32")]


def elements(case: Case) -> int:
    """About how many numbers are recorded for a case."""
    D, H = case.D, case.H
    calls = max(case.chunks, 1 + (case.calls in ("again", "reset")))
    of_layers = case.layers + 2
    rows = case.B * case.T * (2 * D + of_layers * case.directions * H)
    return rows + calls * case.num_cells * 2 * (max(D, case.directions * H) + H + 2) * H


def main() -> None:
    """Record the cases and print a summary."""
    folder = default_folder()
    versions = {"torch": importlib.metadata.version("torch"), "numpy": np.__version__}
    cases = recorded_cases()
    SEAL.write_text(write(folder, cases, torch_answers, versions) + "\n", "ascii")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"recorded {len(cases)} cases of torch {versions['torch']} in {folder}: {size} bytes")


if __name__ == "__main__":
    main()
