"""Refusals: every argument is checked here, before anything is changed."""

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

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


class _Rule(NamedTuple):
    is_kind: Callable[[Any], bool]
    """Else TypeError."""
    fits: Callable[[Any], bool]
    """Else ValueError."""
    expected: str


def _is_dtype(value: object) -> bool:
    try:
        return value is not None and isinstance(np.dtype(value), np.dtype)  # type: ignore[call-overload]
    except TypeError:
        return False


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_SIZE = _Rule(_is_int, lambda value: value >= 1, "an int of at least 1")
_FLAG = _Rule(lambda value: isinstance(value, bool), lambda _: True, "True or False")

OPTION_RULES = {
    "input_size": _SIZE,
    "hidden_size": _SIZE,
    "num_layers": _SIZE,
    "nonlinearity": _Rule(
        lambda value: isinstance(value, str), lambda value: value in ("tanh", "relu"), "'tanh' or 'relu'"
    ),
    "bias": _FLAG,
    "batch_first": _FLAG,
    "dropout": _Rule(
        lambda value: isinstance(value, Real) and not isinstance(value, bool),
        lambda value: 0 <= value <= 1,
        "a number from 0 to 1",
    ),
    "bidirectional": _FLAG,
    "dtype": _Rule(_is_dtype, lambda value: np.dtype(value) in DTYPES, "numpy.float32 or numpy.float64"),
    "rng": _Rule(
        lambda value: isinstance(value, np.random.Generator), lambda _: True, "a numpy.random.Generator"
    ),
    "training": _FLAG,
    "mode": _FLAG,
    "prefix": _Rule(lambda value: isinstance(value, str), lambda _: True, "a str"),
    "enforce_sorted": _FLAG,
    "padding_value": _Rule(lambda value: isinstance(value, Real | np.bool_), lambda _: True, "a number"),
    "padding_side": _Rule(
        lambda value: isinstance(value, str), lambda value: value in ("left", "right"), "'left' or 'right'"
    ),
    "total_length": _Rule(
        lambda value: value is None or (isinstance(value, Integral) and not isinstance(value, bool)),
        lambda value: value is None or value >= 1,
        "a whole number of at least 1, or None",
    ),
}


def check_options(**values: object) -> None:
    """Raise TypeError or ValueError for the first of ``values`` that breaks its rule in ``OPTION_RULES``."""
    for name, value in values.items():
        rule = OPTION_RULES[name]
        if not rule.is_kind(value):
            raise TypeError(f"{name}: expected {rule.expected}, got {value!r} ({type(value).__qualname__})")
        if not rule.fits(value):
            raise ValueError(f"{name}: expected {rule.expected}, got {value!r}")


def check_lengths(lengths: object, T: int, B: int, least: int = 1) -> Array:
    """Return ``lengths`` as an array [B] of its own, if they are whole numbers in ``least`` to T.

    Raises TypeError for another kind of value, and ValueError for another count or size.
    """
    whole = f"whole numbers in {least} to T = {T}, one for each of B = {B} rows"
    if not isinstance(lengths, list | tuple | np.ndarray):
        raise TypeError(f"lengths: expected {whole}, got {type(lengths).__qualname__}")
    try:
        given = np.array(lengths)
    except ValueError:  # ragged
        given = np.array(None)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected {whole}, got {lengths!r}")
    if given.shape != (B,):
        raise ValueError(f"lengths: expected {whole}, got shape {list(given.shape)}")
    if B == 0 and least:
        raise ValueError("lengths: expected at least one row, got an empty batch")
    if ((given < least) | (given > T)).any():
        raise ValueError(f"lengths: expected {whole}, got {lengths!r}")
    return given.astype(np.int64)


def check_input(name: str, value: object, axes: str, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Array:
    """Return ``value`` if it is a plain array of these axes and of the parameters' dtype."""
    array = check_array(name, value, axes, sizes)
    check_dtype(name, array, dtype)
    return array


def check_state_dict(given: object, prefix: str, models: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies of the entries ``prefix + name``, if there is one like ``models[name]`` for every
    name in ``models``, and no other of that prefix.

    Raises TypeError for no mapping, and ValueError that names everything that is wrong.
    """
    if not isinstance(given, Mapping):
        raise TypeError(
            f"state_dict: expected a mapping of names to arrays or tensors, got {type(given).__qualname__}"
        )
    wanted = {prefix + name: model for name, model in models.items()}
    wrong = [f"missing: {name}" for name in wanted if name not in given]
    wrong += [f"unexpected: {name}" for name in given if str(name).startswith(prefix) and name not in wanted]
    arrays = {}
    for name, model in wanted.items():
        if name not in given:
            continue
        try:
            value = array_from_torch(name, given[name])
            check_like(name, value, model)
            arrays[name[len(prefix) :]] = np.array(value)
        except (TypeError, ValueError) as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("state_dict: " + "; ".join(wrong))
    return arrays
