"""Gradients of code that updates its own weights: they follow from the weights before and after."""

from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array


class UpdateGradient(np.ndarray[Any, np.dtype[Any]]):
    """A gradient that was found from an update, and how far rounding may have moved it.

    Attributes:
        error: the largest error of an element.
        learning_rate: of the update.
    """

    error: float
    learning_rate: float

    def __array_finalize__(self, made_from: Any) -> None:
        self.error = getattr(made_from, "error", 0.0)
        self.learning_rate = getattr(made_from, "learning_rate", 1.0)


def gradients_from_update(before: Array, after: Array, learning_rate: float) -> Array:
    """Return the gradient of a weight that gradient descent has changed: (before - after) / learning_rate.

    The weights are rounded when they are updated. An error of that size is allowed in the comparison, so that
    right code is not accused; but smaller faults do not show. With ``learning_rate = 2**40``, where the code
    takes one, the error vanishes.

    Args:
        before: the weight before the update, a copy: most code changes the array itself.
        after: the weight after it, of the same shape and dtype.
        learning_rate: of the one update, above 0.

    Returns:
        The gradient, in the shape of the weight. It may be transposed or reshaped, but not scaled.

    Raises:
        TypeError: a weight is no array of floats, or they have two dtypes.
        ValueError: the shapes differ, both are the same array, or the rate is not above 0.

    Example:
        >>> import numpy as np, parity_tests
        >>> W = np.array([[1.0, 2.0]])
        >>> before = W.copy()
        >>> W -= 0.5 * np.array([[4.0, 8.0]])
        >>> print(parity_tests.gradients_from_update(before, W, 0.5))
        [[4. 8.]]
    """
    for name, value in (("before", before), ("after", after)):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            raise TypeError(f"{name}: expected an array of floats, got {type(value).__name__}")
    if before.dtype != after.dtype:
        raise TypeError(f"after: expected {before.dtype} as before, got {after.dtype}")
    if before.shape != after.shape:
        raise ValueError(f"after: expected shape {list(before.shape)} as before, got {list(after.shape)}")
    if np.shares_memory(before, after):
        raise ValueError("before: expected a copy made before the update, got the updated array itself")
    if not 0 < learning_rate < np.inf:
        raise ValueError(f"learning_rate: expected a number above 0, got {learning_rate!r}")
    wide = np.float64 if before.dtype.itemsize < 8 else before.dtype
    gradient = (before.astype(wide) - after.astype(wide)) / learning_rate
    result = gradient.astype(before.dtype).view(UpdateGradient)
    largest = max(float(np.abs(value).max(initial=0.0)) for value in (before, after))
    result.learning_rate = float(learning_rate)
    result.error = float(np.finfo(before.dtype).eps) * largest / learning_rate
    return result
