"""What an adapter returned, as arrays where there is but one way to take it."""

from collections.abc import Iterator, Mapping
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.tensors import family
from parity_tests.subjects.adapters.updates import UpdateGradient

FINE = 2.0**40
"""A learning rate from which on the rounding of weights does not show in the gradients."""
COARSE = 2.0**-46
"""An error of a gradient, as a part of it, that is larger than the rounding of nearly all code."""


def plain_array(value: Any) -> Any:
    """Return a result as an array of numbers where it is one in another form, else unchanged.

    A torch tensor loses its autograd history. A tuple or list of numbers, arrays or tensors of one shape gets
    a first axis, a scalar has none. What has another shape than it should is found behind this.
    """
    if isinstance(value, UpdateGradient):
        return np.array(value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return value.detach().cpu().resolve_conj().resolve_neg().numpy()
    if isinstance(value, bool | str | bytes) or value is None:
        return value
    if isinstance(value, int | float | np.number):
        return np.asarray(value)
    if isinstance(value, tuple | list) and value:
        parts = [plain_array(part) for part in value]
        if all(type(part) is np.ndarray and part.dtype.kind in "biuf" for part in parts):
            return np.stack(parts) if len({part.shape for part in parts}) == 1 else value
    return value


def errors_of(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return the error of every gradient that was found from an update."""
    return {name: value.error for name, value in answer.items() if isinstance(value, UpdateGradient)}


def coarse_updates(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the gradients whose error hides more than rounding does, and what to do."""
    for name, error in errors_of(answer).items():
        if answer[name].learning_rate >= FINE:
            continue
        largest = float(np.abs(np.asarray(answer[name], np.float64)).max(initial=0.0))
        roundoff = float(np.finfo(answer[name].dtype).eps)
        if np.isfinite(largest) and error > COARSE / 2.0**-53 * roundoff / 2 * largest:
            yield (
                family(name),
                f"{name} was found from an update of the weights, whose rounding hides errors up to {error:.1g}",
            )
