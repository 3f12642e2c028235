"""Memory layouts: the same values in arrays of other strides, or in other memory."""

import tempfile
from typing import Any

from numpy.typing import NDArray

from parity_tests.bound_numpy import np

LAYOUTS = (
    "contiguous",
    "readonly",
    "fortran",
    "transposed",
    "strided",
    "negative",
    "unaligned",
    "mapped",
    "broadcast",
)


READ_ONLY = ("readonly", "mapped", "broadcast")


def writable(layout: str) -> str:
    """The layout, or the usual one in place of one whose arrays cannot be written to."""
    return "contiguous" if layout in READ_ONLY else layout


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
    if layout == "unaligned":
        after_a_byte = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        after_a_byte[...] = array
        return after_a_byte
    if layout == "mapped" and array.size:
        with tempfile.TemporaryFile() as file:
            array.tofile(file)
            return np.asarray(np.memmap(file, array.dtype, "r", shape=array.shape))
    if layout == "broadcast" and array.ndim:
        first = np.array(array[..., :1])
        if array.tobytes() == np.broadcast_to(first, array.shape).tobytes():
            return np.broadcast_to(first, array.shape)
    fresh = np.array(array, order="C")
    fresh.flags.writeable = layout != "readonly"
    return fresh
