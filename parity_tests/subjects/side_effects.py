"""What a layer must leave as it is: its inputs, the arrays it has returned, and its gradient arrays.

The drivers look in every case, the contract checks in an ordinary one; both use these comparisons. Each gives
the tensors that are not as they should be, with what was seen, from which ``Check.finding`` makes a finding.
"""

from collections.abc import Mapping

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

Violations = list[tuple[str, str]]
"""Tensor, and what was seen."""


def overwritten_inputs(now: Mapping[str, Array], before: Mapping[str, Array]) -> Violations:
    """Return the inputs or parameters whose values have changed, bit for bit."""
    return [
        (name, f"{name} was changed by the layer")
        for name, array in now.items()
        if name in before and not _identical(array, before[name])
    ]


def replaced_gradients(now: Mapping[str, object], first: Mapping[str, object]) -> Violations:
    """Return the gradients that are in other arrays than before the first backward."""
    return [
        (
            name,
            f"grads holds another array for {name.removeprefix('d')} after backward, "
            "so an optimizer that keeps the old one never sees the gradient"
            if isinstance(first.get(name), np.ndarray)
            else f"grads holds no array for {name.removeprefix('d')} before the first backward, "
            "so an optimizer that takes the arrays then never sees the gradient",
        )
        for name, array in now.items()
        if isinstance(array, np.ndarray) and not _is_same_memory(array, first.get(name))
    ]


def _is_same_memory(array: Array, other: object) -> bool:
    """Whether both are the same array, or views of the same elements."""
    if array is other or not isinstance(other, np.ndarray):
        return array is other
    same = array.__array_interface__["data"] == other.__array_interface__["data"]
    return same and (array.shape, array.strides) == (other.shape, other.strides)


class ReturnedArrays:
    """The arrays that a layer has returned, and the values that they had then."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, str, Array, Array]] = []

    def keep(self, number: int, results: Mapping[str, object]) -> None:
        """Remember the results of a call; the first call has the number 0."""
        for name, array in results.items():
            if isinstance(array, np.ndarray):
                self._kept.append((number, name, array, array.copy()))

    def changed(self) -> Violations:
        """Return the results whose values have changed since."""
        return [
            (name, f"{name} returned by call {number + 1} was changed by what the layer did later")
            for number, name, array, copy in self._kept
            if not _identical(array, copy)
        ]


def _identical(left: Array, right: Array) -> bool:
    return left.tobytes() == right.tobytes()
