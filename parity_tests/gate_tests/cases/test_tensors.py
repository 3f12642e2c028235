"""The table of tensors: names, shapes, and the two forms of a tensor."""

import numpy as np
import pytest

from parity_tests.cases.arrays import calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import (
    OF_ADAPTERS,
    SECOND_BIAS,
    TENSORS,
    canonical,
    family,
    is_parameter_gradient,
    native,
    native_shape,
    role,
    tensor_names,
    time_axis,
)
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import NoNoise

CASES = [
    Case.parse(token)
    for token in (
        "B2T3D4H5-f64-row-s0",
        "cell-B2D4H5-f64-s0",
        "nn-B2T3D4H5L2-bi-f64-both-s0",
        "nn-B2T3D4H5-bf-f64-nobias-s0",
        "nn-B1T3D4H5L2-bf-f64-unbatched-s0",
        "nn-B2T3D4H5L3-f64-packed-unsorted-s0",
        "nncell-B2D4H5-f64-s0",
        "nncell-B1D4H5-f64-unbatched-s0",
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_names_and_shapes_are_those_of_the_answer(case: Case) -> None:
    calls = calls_of(case)
    (answer,) = Loop(case, NoNoise(case)).answers(calls)
    assert tuple(answer) == tensor_names(case)
    for name, value in answer.items():
        mine = native(case, name, value)
        assert mine.shape == native_shape(case, calls[0], name)
        assert np.array_equal(canonical(case, name, mine), value)
        # Likewise an array of one value a slice.
        assert native(case, name, value[..., 0]).shape == mine.shape[:-1]


@pytest.mark.parametrize(
    ("token", "name", "shape", "time"),
    [
        ("B2T3D4H5-f64-s0", "hs", (2, 3, 5), 1),
        ("nn-B2T3D4H5-bi-f64-s0", "hs", (3, 2, 10), 0),
        ("nn-B2T3D4H5-bf-f64-s0", "dx", (2, 3, 4), 1),
        ("nn-B1T3D4H5-bf-f64-unbatched-s0", "dx", (3, 4), 0),
        ("nn-B2T3D4H5L2-bi-f64-s0", "h_n", (4, 2, 5), None),
        ("nn-B2T3D4H5L2-bi-f64-s0", "dweight_ih_l1_reverse", (5, 10), None),
        ("nn-B2T3D4H5L2-bi-f64-s0", "dweight_ih_l0_reverse", (5, 4), None),
        ("B2T3D4H5-f64-row-s0", "db", (1, 5), None),
        ("nncell-B1D4H5-f64-unbatched-s0", "h_n", (5,), None),
    ],
)
def test_the_shape_that_a_layer_must_answer_with(
    token: str, name: str, shape: tuple[int, ...], time: int | None
) -> None:
    case = Case.parse(token)
    assert native_shape(case, calls_of(case)[0], name) == shape
    assert time_axis(case, name) == time


def test_what_a_tensor_is() -> None:
    assert {family(name) for case in CASES for name in tensor_names(case)} == {*TENSORS} - {*OF_ADAPTERS}
    assert role("dweight_ih_l1_reverse") == role("dWx") == "dWx"
    assert role("dbias_ih") == role("dbias_hh_l0") == "db"
    others = {name for name in TENSORS if not is_parameter_gradient(name)}
    assert others == {"hs", "h_n", "dx", "dh_0", "logits", "probabilities", "loss"}
    assert is_parameter_gradient(SECOND_BIAS)
