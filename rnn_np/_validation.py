"""Every check of an argument: a bad one is refused here, before anything changes.

A message names the argument, says what was expected and what was given, and how to convert it.
"""

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from rnn_np._kernel import Array

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

FROM_PARAMETERS = "make the layer from {dtype} parameters"
"""The other way out of a wrong dtype for ``RNN`` and ``TimeRNN``; see ``check_dtype``."""
WITH_DTYPE = "make the layer with dtype=numpy.{dtype}"
"""The same for the layers of ``nn``."""


MOST_CHARACTERS = 200
"""Of a bad value in a message."""


def shown(value: object) -> str:
    """A bad value as a message shows it: cut off where it is long, and by its type where it cannot be shown."""
    try:
        text = repr(value)
    except Exception:  # Python writes no whole number of more than 4300 digits
        return f"a value of type {type(value).__qualname__}"
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}... (shortened)"


# Arrays


def is_like(value: object, model: Array) -> bool:
    """Whether ``value`` is a plain array of ``model``'s shape and dtype; the quick check of every call."""
    return type(value) is np.ndarray and value.shape == model.shape and value.dtype == model.dtype


def rank(value: object, default: int) -> int:
    """Return the number of axes of an array, and ``default`` for anything else, which a check refuses."""
    return value.ndim if isinstance(value, np.ndarray) else default


def _is_tensor(value: object) -> bool:
    try:
        return hasattr(value, "detach")
    except Exception:  # of a ``__getattr__``
        return False


def check_is_array(name: str, value: object) -> Array:
    """Return ``value`` if it is a plain ``numpy.ndarray`` or a memory-mapped one; else TypeError."""
    if type(value) is np.ndarray or isinstance(value, np.memmap):
        return value
    convert = f"{name}.detach().cpu().numpy()" if _is_tensor(value) else f"numpy.asarray({name}, dtype=...)"
    raise TypeError(
        f"{name}: expected a numpy.ndarray, got {type(value).__qualname__}"
        + (f"; convert with {convert}" if value is not None else "")
    )


def check_array(name: str, value: object, axes: str, sizes: Mapping[str, int]) -> Array:
    """Return ``value`` if it is a plain array with these axes.

    Args:
        name: of the argument, for the message.
        value: the argument.
        axes: the names of the axes, such as "B T D". A last "..." matches any further axes.
        sizes: the axes whose size is known. An axis named by its size, such as "1", needs an entry too.

    Raises:
        TypeError: it is no ``numpy.ndarray``.
        ValueError: its shape is another.
    """
    array = check_is_array(name, value)
    names = axes.split()
    rank = len(array.shape)
    if rank == len(names) or (names[-1] == "..." and rank >= len(names) - 1):
        for axis, size in zip(names, array.shape, strict=False):
            if sizes.get(axis, size) != size:
                break
        else:
            return array
    known = ", ".join(
        f"{axis} = {size}" for axis, size in sizes.items() if axis in names and axis != str(size)
    )
    raise ValueError(
        f"{name}: expected shape [{', '.join(names)}]{' with ' * bool(known)}{known}, "
        f"got shape {list(array.shape)}"
    )


def check_dtype(name: str, value: Array, dtype: np.dtype[Any], other_way: str = "") -> None:
    """Raise ValueError unless ``value`` has ``dtype``, that of the parameters.

    The message says how to convert the array. ``other_way`` is the other way out, to be named if a layer
    can have the array's dtype: ``FROM_PARAMETERS`` or ``WITH_DTYPE``.
    """
    if value.dtype != dtype:
        other = f", or {other_way.format(dtype=value.dtype)}" if other_way and value.dtype in DTYPES else ""
        raise ValueError(
            f"{name}: expected {dtype}, the dtype of the parameters, got {value.dtype}; "
            f"convert with {name}.astype(numpy.{dtype}){other}"
        )


def check_arrays(name: str, value: object, kind: str) -> None:
    """Raise TypeError unless ``value`` is a list, or a dict by names, of arrays.

    Args:
        name: of the attribute, for the message.
        value: what it is to be set to.
        kind: "list", for which a tuple will do, or "dict".
    """
    if not isinstance(value, dict if kind == "dict" else list | tuple):
        raise TypeError(f"{name}: expected a {kind} of arrays, got {type(value).__qualname__}")
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, array in items:
        check_is_array(f"{name}[{shown(key)}]", array)


def check_input(
    name: str,
    value: object,
    axes: str,
    sizes: Mapping[str, int],
    dtype: np.dtype[Any],
    other_way: str = "",
) -> Array:
    """Return ``value`` if it passes ``check_array`` and ``check_dtype``."""
    array = check_array(name, value, axes, sizes)
    check_dtype(name, array, dtype, other_way)
    return array


def check_like(name: str, value: object, model: Array) -> None:
    """Raise TypeError or ValueError unless ``value`` is a plain array of ``model``'s shape and dtype."""
    if is_like(value, model):
        return
    array = check_is_array(name, value)
    if array.shape != model.shape:
        raise ValueError(f"{name}: expected shape {list(model.shape)}, got shape {list(array.shape)}")
    check_dtype(name, array, model.dtype)


def check_floating(name: str, value: Array) -> None:
    """Raise ValueError unless ``value`` is float32 or float64."""
    if value.dtype not in DTYPES:
        raise ValueError(
            f"{name}: expected dtype float32 or float64, got {value.dtype}; "
            f"convert with {name}.astype(numpy.float32) or {name}.astype(numpy.float64)"
        )


def check_parameters(Wx: object, Wh: object, b: object) -> tuple[Array, Array, Array]:
    """Return the three parameters if their shapes and dtypes fit one another.

    Raises TypeError or ValueError, naming the parameter, what was expected and what was given.
    """
    Wx = check_array("Wx", Wx, "D H", {})
    D, H = Wx.shape
    if D == 0 or H == 0:
        raise ValueError(f"Wx: expected shape [D, H] with D and H at least 1, got {[D, H]}")
    Wh = check_array("Wh", Wh, "H H", {"H": H})
    b = check_array("b", b, "1 H" if rank(b, 1) == 2 else "H", {"1": 1, "H": H})
    check_floating("Wx", Wx)
    for name, value in (("Wh", Wh), ("b", b)):
        if value.dtype != Wx.dtype:
            raise ValueError(
                f"{name}: expected {Wx.dtype}, the dtype of Wx, got {value.dtype}; "
                f"convert with {name}.astype(numpy.{Wx.dtype})"
            )
    return Wx, Wh, b


def check_lengths(lengths: object, T: int, B: int, least: int = 1) -> Array:
    """Return a copy of ``lengths`` as an array [B], if they are whole numbers from ``least`` to T.

    Raises TypeError if they are of another kind, and ValueError for another count or size.
    """
    expected = f"whole numbers in {least} to T = {T}, one for each of B = {B} rows"
    if not isinstance(lengths, list | tuple | np.ndarray):
        raise TypeError(f"lengths: expected {expected}, got {type(lengths).__qualname__}")
    try:
        array = np.array(lengths)
    except ValueError:  # nested lists of unequal lengths
        array = np.array(None)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected {expected}, got {shown(lengths)}")
    if array.shape != (B,):
        raise ValueError(f"lengths: expected {expected}, got shape {list(array.shape)}")
    if B == 0 and least:
        raise ValueError("lengths: expected at least one row, got an empty batch")
    if ((array < least) | (array > T)).any():
        raise ValueError(f"lengths: expected {expected}, got {shown(lengths)}")
    return array.astype(np.int64)


# Options


class _Rule(NamedTuple):
    has_type: Callable[[Any], bool]
    """If not: TypeError."""
    in_range: Callable[[Any], bool]
    """If not: ValueError."""
    expected: str


def _any_value(_: object) -> bool:
    return True


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_str(value: object) -> bool:
    return isinstance(value, str)


def _is_dtype(value: object) -> bool:
    if value is None or isinstance(value, np.generic | np.ndarray):  # of which NumPy takes the dtype
        return False
    try:
        return isinstance(np.dtype(value), np.dtype)  # type: ignore[call-overload]
    except Exception:  # also SyntaxError, ValueError and what an attribute ``dtype`` raises
        return False


_SIZE = _Rule(_is_int, lambda value: value >= 1, "an int of at least 1")
_FLAG = _Rule(lambda value: isinstance(value, bool), _any_value, "True or False")

OPTION_RULES = {
    "input_size": _SIZE,
    "hidden_size": _SIZE,
    "num_layers": _SIZE,
    "nonlinearity": _Rule(_is_str, lambda value: value in ("tanh", "relu"), "'tanh' or 'relu'"),
    "bias": _FLAG,
    "batch_first": _FLAG,
    "dropout": _Rule(
        lambda value: isinstance(value, Real) and not isinstance(value, bool | np.timedelta64),
        lambda value: 0 <= value <= 1,
        "a number from 0 to 1",
    ),
    "bidirectional": _FLAG,
    "dtype": _Rule(_is_dtype, lambda value: np.dtype(value) in DTYPES, "numpy.float32 or numpy.float64"),
    "rng": _Rule(
        lambda value: isinstance(value, np.random.Generator), _any_value, "a numpy.random.Generator"
    ),
    "training": _FLAG,
}
"""The options of the layers of ``nn``, which are attributes too."""

_ARGUMENT_RULES = OPTION_RULES | {
    "mode": _FLAG,
    "prefix": _Rule(_is_str, _any_value, "a str"),
    "enforce_sorted": _FLAG,
    "padding_value": _Rule(lambda value: isinstance(value, Real | np.bool_), _any_value, "a number"),
    "padding_side": _Rule(_is_str, lambda value: value in ("left", "right"), "'left' or 'right'"),
    "total_length": _Rule(
        lambda value: (
            value is None or (isinstance(value, Integral) and not isinstance(value, bool | np.timedelta64))
        ),
        lambda value: value is None or value >= 1,
        "a whole number of at least 1, or None",
    ),
}
"""The options, and the arguments of methods and functions that are no arrays."""


def check_arguments(**values: object) -> None:
    """Raise TypeError or ValueError for the first of ``values`` that breaks the rule of its name."""
    for name, value in values.items():
        rule = _ARGUMENT_RULES[name]
        if not rule.has_type(value):
            raise TypeError(
                f"{name}: expected {rule.expected}, got {shown(value)} ({type(value).__qualname__})"
            )
        if not rule.in_range(value):
            raise ValueError(f"{name}: expected {rule.expected}, got {shown(value)}")


# State dicts


def _check_mapping(state_dict: object) -> Mapping[Any, Any]:
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            "state_dict: expected a mapping of names to arrays or tensors, "
            f"got {type(state_dict).__qualname__}"
        )
    return state_dict


def _as_name(key: object) -> str:
    return key if isinstance(key, str) and len(key) <= MOST_CHARACTERS else shown(key)


def _from_torch(name: str, value: Any) -> Any:
    """Return the array of a tensor, and anything else as it is. torch itself is not imported.

    Raises ValueError for a tensor that NumPy cannot hold.
    """
    if not _is_tensor(value):
        return value
    try:
        return value.detach().cpu().numpy()
    except Exception as error:  # bfloat16, sparse, meta, or no tensor at all
        given = getattr(value, "dtype", type(value).__qualname__)
        raise ValueError(
            f"{name}: expected a dense float32 or float64 tensor, got {given}: {error}"
        ) from error


def numpy_from_torch(state_dict: object, names: tuple[str, ...]) -> dict[str, Array]:
    """Return the entries of a state dict that has exactly these ``names``, tensors as arrays.

    Raises TypeError if it is no mapping, and ValueError that names every missing and every unexpected
    entry. The entries themselves are not checked.
    """
    entries = _check_mapping(state_dict)
    missing = [name for name in names if name not in entries]
    unexpected = [_as_name(name) for name in entries if name not in names]
    if missing or unexpected:
        raise ValueError(
            f"state_dict: expected the entries {', '.join(names)}; "
            f"missing: {', '.join(missing) or 'none'}; "
            f"unexpected: {', '.join(unexpected) or 'none'}"
        )
    return {name: _from_torch(name, entries[name]) for name in names}


def check_state_dict(state_dict: object, prefix: str, models: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies of the entries ``prefix + name`` for every name in ``models``.

    Each entry must have the shape and dtype of ``models[name]``, and there must be no other entry whose
    name begins with ``prefix``.

    Raises TypeError if it is no mapping, and ValueError that names everything that is wrong.
    """
    entries = _check_mapping(state_dict)
    wanted = {prefix + name: model for name, model in models.items()}
    wrong = [f"missing: {name}" for name in wanted if name not in entries]
    wrong += [
        f"unexpected: {_as_name(name)}"
        for name in entries
        if (name.startswith(prefix) if isinstance(name, str) else not prefix) and name not in wanted
    ]
    arrays = {}
    for name, model in wanted.items():
        if name not in entries:
            continue
        try:
            value = _from_torch(name, entries[name])
            check_like(name, value, model)
            arrays[name[len(prefix) :]] = np.array(value)
        except (TypeError, ValueError) as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("state_dict: " + "; ".join(wrong))
    return arrays
