"""Refusals: every argument is checked here, before anything is changed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_np._kernel import Array

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def is_like(value: object, model: Array) -> bool:
    """Whether ``value`` is a plain array of ``model``'s shape and dtype, so that no check is due."""
    return type(value) is np.ndarray and value.shape == model.shape and value.dtype == model.dtype


def check_array(name: str, value: object, axes: str, sizes: Mapping[str, int]) -> Array:
    """Return ``value`` if it is a plain array of these axes ("B T D"), some of a known size; a last
    "..." stands for any further axes.

    Raises TypeError for what is no ``numpy.ndarray`` and ValueError for a wrong shape.
    """
    if type(value) is not np.ndarray and not isinstance(value, np.memmap):
        convert = (
            f"{name}.detach().cpu().numpy()"
            if hasattr(value, "detach")
            else f"numpy.asarray({name}, dtype=...)"
        )
        raise TypeError(
            f"{name}: expected a numpy.ndarray, got {type(value).__qualname__}"
            + (f"; convert with {convert}" if value is not None else "")
        )
    names = axes.split()
    rank = len(value.shape)
    if rank == len(names) or (names[-1] == "..." and rank >= len(names) - 1):
        for axis, size in zip(names, value.shape, strict=False):
            if sizes.get(axis, size) != size:
                break
        else:
            return value
    known = ", ".join(
        f"{axis} = {size}" for axis, size in sizes.items() if axis in names and not axis.isdigit()
    )
    raise ValueError(
        f"{name}: expected shape [{', '.join(names)}]{' with ' * bool(known)}{known}, "
        f"got shape {list(value.shape)}"
    )


def check_dtype(name: str, value: Array, dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless ``value`` has the parameters' ``dtype``."""
    if value.dtype != dtype:
        raise ValueError(
            f"{name}: expected {dtype}, the dtype of the parameters, got {value.dtype}; "
            f"convert with {name}.astype(numpy.{dtype})"
        )


def check_like(name: str, value: object, model: Array) -> None:
    """Raise TypeError or ValueError unless ``value`` is a plain array of ``model``'s shape and dtype."""
    if not is_like(value, model):
        sizes = {str(size): size for size in model.shape}
        check_dtype(name, check_array(name, value, " ".join(map(str, model.shape)), sizes), model.dtype)


def check_floating(name: str, value: Array) -> None:
    """Raise ValueError unless ``value`` is float32 or float64."""
    if value.dtype not in DTYPES:
        raise ValueError(
            f"{name}: expected dtype float32 or float64, got {value.dtype}; "
            f"convert with {name}.astype(numpy.float32) or {name}.astype(numpy.float64)"
        )


def check_parameters(Wx: object, Wh: object, b: object) -> tuple[Array, Array, Array]:
    """Return the three parameters if their shapes and dtypes fit one another.

    Raises TypeError or ValueError, naming the parameter, what was given and what was expected.
    """
    Wx = check_array("Wx", Wx, "D H", {})
    D, H = Wx.shape
    if D == 0 or H == 0:
        raise ValueError(f"Wx: expected shape [D, H] with D and H at least 1, got {[D, H]}")
    Wh = check_array("Wh", Wh, "H H", {"H": H})
    b = check_array("b", b, "1 H" if getattr(b, "ndim", 1) == 2 else "H", {"1": 1, "H": H})
    check_floating("Wx", Wx)
    for name, value in (("Wh", Wh), ("b", b)):
        if value.dtype != Wx.dtype:
            raise ValueError(
                f"{name}: expected {Wx.dtype}, the dtype of Wx, got {value.dtype}; "
                f"convert with {name}.astype(numpy.{Wx.dtype})"
            )
    return Wx, Wh, b


def array_from_torch(name: str, value: Any) -> Any:
    """Return ``value`` as it is, or the array of a tensor; torch itself is not imported.

    Raises ValueError for a tensor that NumPy cannot hold.
    """
    if not hasattr(value, "detach"):
        return value
    try:
        return value.detach().cpu().numpy()
    except (TypeError, RuntimeError) as error:  # bfloat16, sparse, meta, ...
        raise ValueError(
            f"{name}: expected a dense float32 or float64 tensor, got {value.dtype}: {error}"
        ) from error


def numpy_from_torch(state_dict: object, names: tuple[str, ...]) -> dict[str, Array]:
    """Return the entries ``names`` of a state dict as arrays; torch itself is not imported.

    Raises TypeError for no mapping or an entry that is neither array nor tensor, and ValueError
    that names every missing and every unexpected entry.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            "state_dict: expected a mapping of names to arrays or tensors, "
            f"got {type(state_dict).__qualname__}"
        )
    missing = [name for name in names if name not in state_dict]
    unexpected = [str(name) for name in state_dict if name not in names]
    if missing or unexpected:
        raise ValueError(
            f"state_dict: expected the entries {', '.join(names)}; "
            f"missing: {', '.join(missing) or 'none'}; "
            f"unexpected: {', '.join(unexpected) or 'none'}"
        )
    return {name: array_from_torch(name, state_dict[name]) for name in names}
