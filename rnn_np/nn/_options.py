"""Refusals of ``rnn_np.nn``: one table of options, and the checks of lengths and checkpoints."""

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from rnn_np._checks import DTYPES, array_from_torch, check_array, check_dtype, check_like
from rnn_np._kernel import Array


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

RULES = {
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
    """Raise TypeError or ValueError for the first of ``values`` that breaks its rule in ``RULES``."""
    for name, value in values.items():
        rule = RULES[name]
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
