"""The arrays that a layer's gradients are written into."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_np._kernel import Array

NOTHING_KEPT = (
    "backward: the last call was forward_only, which keeps nothing to go back through; call forward"
)
"""For a RuntimeError."""


class GradientBuffers:
    """One array for each parameter, the same ones as long as the layer exists.

    ``layer.grads`` hands these arrays to the user, and an optimizer may keep them. So every backward pass
    writes into them, and refuses if the user has put other arrays into ``layer.grads``.

    Args:
        shapes: the shape of each parameter by name.
        dtype: that of all parameters.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any]) -> None:
        # In C order, whatever the order of a parameter: the kernel's products write straight into them.
        self.by_name = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
        self.arrays = tuple(self.by_name.values())
        self._forms = tuple((array, array.shape, array.dtype) for array in self.arrays)

    def check_list(self, grads: list[Array]) -> None:
        """Raise ValueError unless ``grads`` holds exactly these arrays, in their order, as they were made."""
        if len(grads) != len(self.arrays) or any(
            grad is not buffer for grad, buffer in zip(grads, self.arrays, strict=True)
        ):
            raise self._replaced("layer.grads[0]")
        self._check_forms()

    def check_dict(self, grads: dict[str, Array]) -> None:
        """Raise ValueError unless ``grads`` holds exactly these arrays by their names, as they were made."""
        if grads.keys() != self.by_name.keys() or any(
            grads[name] is not buffer for name, buffer in self.by_name.items()
        ):
            raise self._replaced("layer.grads[name]")
        self._check_forms()

    def check_apart(self, name: str, upstream: Array) -> None:
        """Raise ValueError if an upstream gradient is memory that the backward pass writes into."""
        for array in self.arrays:
            # An array that owns its memory shares none with another that does. Of others the bounds are
            # enough to know: all memory between those of ``array`` is its own.
            if array is upstream or (upstream.base is not None and np.may_share_memory(array, upstream)):
                raise ValueError(
                    f"{name}: expected an array of its own, got one of the layer's grads, which backward "
                    f"overwrites; pass {name}.copy()"
                )

    def _check_forms(self) -> None:
        for array, shape, dtype in self._forms:
            if not array.flags.writeable or array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"grads: expected an array of shape {list(shape)} and dtype {dtype} that can be written, "
                    f"as when the layer was made, got shape {list(array.shape)} and dtype {array.dtype}"
                    + ("" if array.flags.writeable else ", read-only")
                )

    def _replaced(self, target: str) -> ValueError:
        return ValueError(
            "grads: expected the arrays that the layer was made with, got others; "
            f"write into them, as in {target}[...] = value"
        )
