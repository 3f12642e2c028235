"""The nonlinearities that code may have in place of the one that was asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array


@dataclass(frozen=True, slots=True)
class Nonlinearity:
    """A function of the pre-activation.

    Attributes:
        name: its own.
        function: gives the state for the pre-activation z.
        slope: gives its derivative for the state h and the pre-activation z.
        slope_name: what the derivative is in formulas.
    """

    name: str
    function: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    slope_name: str


TANH = Nonlinearity("tanh", np.tanh, lambda h, z: 1 - h * h, "1 - h_t^2")
RELU = Nonlinearity(
    "relu", lambda z: np.maximum(z, 0), lambda h, z: (z > 0).astype(np.float64), "the mask of relu"
)
SIGMOID = Nonlinearity("sigmoid", lambda z: 1 / (1 + np.exp(-z)), lambda h, z: h * (1 - h), "h_t (1 - h_t)")
IDENTITY = Nonlinearity("identity", np.array, lambda h, z: np.ones_like(h), "1")
NONLINEARITIES = (TANH, RELU, SIGMOID, IDENTITY)
