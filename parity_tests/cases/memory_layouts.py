"""Memory layouts: the same values in arrays of other strides."""

from typing import Any

from numpy.typing import NDArray

from parity_tests.bound_numpy import np

LAYOUTS = ("contiguous", "readonly", "fortran", "transposed", "strided", "negative")


def laid_out(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return a new array of the same values in a memory layout of ``LAYOUTS``."""
    if layout == "fortran":
        return np.array(array, order="F")
    if layout == "transposed" and array.ndim > 1:
        return np.array(array.swapaxes(0, 1), order="C").swapaxes(0, 1)
    if layout == "strided":
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "negative":
        backwards = (slice(None, None, -1),) * array.ndim
        return np.array(array[backwards], order="C")[backwards]
    fresh = np.array(array, order="C")
    fresh.flags.writeable = layout != "readonly"
    return fresh
