"""The nonlinearities that code may have in place of the one that was asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from parity_tests.cases.arrays import Array
from parity_tests.references.nonlinearities import DERIVATIVES, FUNCTIONS


@dataclass(frozen=True, slots=True)
class Nonlinearity:
    """A function of the pre-activation.

    Attributes:
        name: its own.
        function: gives the state for the pre-activation z.
        slope: gives its derivative for the state.
        slope_name: what the derivative is in formulas.
    """

    name: str
    function: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    slope_name: str


TANH, RELU, SIGMOID, IDENTITY = NONLINEARITIES = tuple(
    Nonlinearity(name, FUNCTIONS[name], DERIVATIVES[name], slope_name)
    for name, slope_name in (
        ("tanh", "1 - h_t^2"),
        ("relu", "the mask of relu"),
        ("sigmoid", "h_t (1 - h_t)"),
        ("identity", "1"),
    )
)
