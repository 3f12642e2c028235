"""The nonlinearities that a layer may have, and their derivatives."""

from collections.abc import Callable

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), which does not overflow."""
    return np.asarray((1 + np.tanh(z / 2)) / 2)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": sigmoid,
    "identity": np.array,
}
"""By name, the state for a pre-activation."""
DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: np.asarray(h > 0, np.float64),
    "sigmoid": lambda h: h * (1 - h),
    "identity": np.ones_like,
}
"""By name, the derivative from the state."""
