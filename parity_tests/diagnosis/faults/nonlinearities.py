"""The nonlinearities that a layer may have: their functions, their derivatives, and how these are written."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.references.float64_cell import sigmoid

SLOPES = {"tanh": "1 - h**2", "relu": "h > 0", "sigmoid": "h * (1 - h)", "identity": "1"}
"""How the derivative is written, from the state."""


def applied(nonlinearity: str, z: Array) -> Array:
    """Return the state for the pre-activation ``z``."""
    match nonlinearity:
        case "relu":
            return np.maximum(z, 0)
        case "sigmoid":
            return sigmoid(z)
        case "identity":
            return np.array(z)
    return np.tanh(z)


def slope_at(nonlinearity: str, h: Array) -> Array:
    """Return the derivative from the state ``h``."""
    match nonlinearity:
        case "relu":
            return np.asarray(h > 0, np.float64)
        case "sigmoid":
            return h * (1 - h)
        case "identity":
            return np.ones_like(h)
    return 1 - h * h


def written(text: str, nonlinearity: str, **constants: object) -> str:
    """Return the text of a fault with its constants, and in terms of a nonlinearity."""
    return text.format(**constants, function=nonlinearity, slope=SLOPES[nonlinearity])
