"""Extreme values: what the inputs, states, gradients and weights of a case are changed to in place."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from numpy.typing import NDArray

from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case

Array: TypeAlias = NDArray[Any]

Draw = Callable[..., Any]
"""Draws whole numbers of a shape from 0 to ``most``."""
LEAST_HUGE = 30.0
MOST_DOUBLED = {True: 95, False: 40}
"""How often 30 is doubled at most, if states are bounded and if they are not: to 1e30 and 3e13."""
LINEAR = 2.0**-13
SATURATING = 5.0
SMALLEST = {"f32": 2.0**-149, "f64": 2.0**-1074}
"""Subnormal numbers."""


def change_inputs(
    case: Case, draw: Draw, xs: Array, h_0: Array | None, gradients: Iterable[Array | None]
) -> None:
    """Change the inputs of a call to the case's values.

    Args:
        case: the case.
        draw: of whole numbers.
        xs: the inputs, [B, T, D].
        h_0: the initial states, [cells, B, H].
        gradients: the upstream gradients.
    """
    given = [array for array in (h_0, *gradients) if array is not None]
    if case.values == "huge":
        at = draw(*xs.shape[:2], most=3) == 0
        doubled = draw(*xs.shape, most=MOST_DOUBLED[not case.is_unbounded])
        xs[at] = np.sign(xs[at]) * np.ldexp(LEAST_HUGE, doubled[at])
    elif case.values == "tiny":
        for array in (xs, *given):
            number = draw(*array.shape, most=2**24)
            small = np.ldexp(number * SMALLEST[case.dtype], draw(*array.shape, most=24) - 12)
            kind = draw(*array.shape[:2], most=3)
            array[kind == 0] = np.copysign(small, array)[kind == 0]
            array[kind == 1] = np.copysign(0.0, array)[kind == 1]
    elif case.values == "zeros":
        for array in (xs, *given):
            array[draw(*array.shape, most=3) > 0] = 0
            array[draw(*array.shape, most=3) == 0] *= -1
    elif case.values == "linear":
        for array in [xs] if h_0 is None else [xs, h_0]:
            array *= array.dtype.type(LINEAR)


def change_weights(case: Case, draw: Draw, Wx: Array, Wh: Array, biases: Iterable[Array]) -> None:
    """Change the weights of a cell to the case's values; of ``biases``, the first is bias_ih."""
    if case.values == "zeros":
        whole = draw(2, most=3) == 0
        for number, array in enumerate((Wx, Wh)):
            array[(draw(*array.shape, most=1) == 0) | whole[number]] = 0
    elif case.values == "saturated":
        away = draw(case.H, most=3)
        shift = np.where(away == 0, SATURATING, np.where(away == 1, -SATURATING, 0.0))
        for b in [*biases][:1]:
            b += shift.astype(b.dtype)
    elif case.values == "linear":
        for b in biases:
            b *= b.dtype.type(LINEAR)


def make_constant(arrays: Iterable[Array | None]) -> None:
    """Make arrays constant along their last axis.

    Not along the batch: rows that are the same have the same rounding errors, which do not cancel in a sum.
    """
    for array in arrays:
        if array is not None:
            array[...] = array[..., :1]
