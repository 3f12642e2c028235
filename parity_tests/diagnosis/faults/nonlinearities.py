"""How nonlinearities and their derivatives are written in the text of a fault."""

SLOPES = {"tanh": "1 - h**2", "relu": "h > 0", "sigmoid": "h * (1 - h)", "identity": "1"}
"""How the derivative is written, from the state."""


def written(text: str, nonlinearity: str, **constants: object) -> str:
    """Return the text of a fault with its constants, and in terms of a nonlinearity."""
    return text.format(**constants, function=nonlinearity, slope=SLOPES[nonlinearity])
