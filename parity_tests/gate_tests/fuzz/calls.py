"""A call with odd arguments: it gives what it should, or the stated error, and nothing else has changed."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

MOST_CHARACTERS = 1000
"""Of a message."""


def bits(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """All that a value holds, to be compared by ``==``; of what cannot be looked into, which object it is."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return type(value), value.dtype, value.shape, value.flags.writeable, np.asarray(value).tobytes()
    if id(value) in seen:
        return "..."
    inside = (*seen, id(value))
    if isinstance(value, np.ndarray | list | tuple):
        items = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else value
        return type(value), [bits(item, inside) for item in items]
    if isinstance(value, dict):
        return type(value), [(bits(key, inside), bits(part, inside)) for key, part in value.items()]
    return (type(value), value.hex()) if isinstance(value, float) else id(value)


def check_refusal(error: Exception, names: Iterable[str], allowed: tuple[type[Exception], ...]) -> None:
    """A stated error: of one of these types, and its message begins with one of the arguments' names."""
    assert isinstance(error, allowed), f"{type(error).__name__}: {error}"
    message = str(error)
    assert any(name in message.partition(":")[0] for name in names), message
    assert len(message) <= MOST_CHARACTERS, len(message)


def attempt(
    call: Callable[..., Any],
    given: Mapping[str, Any],
    right: bool | None,
    names: Sequence[str] = (),
    errors: tuple[type[Exception], ...] = (TypeError, ValueError),
) -> tuple[bool, Any]:
    """Call with the arguments, and return whether they were taken and what came.

    Args:
        call: what to call.
        given: the arguments by name.
        right: whether the call should take them; None: either will do.
        names: what a message may name beside them.
        errors: the types of a stated error.
    """
    before, result, refusal = bits(given), None, None
    try:
        result = call(**given)
    except Exception as error:
        refusal = error
    assert bits(given) == before, "an argument was changed"
    if refusal is not None:
        check_refusal(refusal, (*given, *names), errors)
    assert right in (None, refusal is None), f"refused: {refusal}" if refusal else f"taken: {given}"
    return refusal is None, result


def ordinary(value: Any) -> Any:
    """The same value in new memory, an array in C order."""
    return np.array(value, order="C") if isinstance(value, np.ndarray) else copy.deepcopy(value)


def assert_same(got: Any, want: Any, close: float = 0.0) -> None:
    """Two results are equal in type, shape and dtype, and in their numbers but for ``close`` of the largest."""
    assert type(got) is type(want)
    if isinstance(want, tuple | list):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert_same(one, other, close)
    elif isinstance(want, np.ndarray):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        if want.dtype.kind not in "fc" or not close:
            assert bits(got)[-1] == bits(want)[-1]
            return
        finite = np.isfinite(want)
        assert np.array_equal(finite, np.isfinite(got))
        scale = np.abs(want[finite]).max(initial=1.0)
        assert (np.abs(got[finite] - want[finite]) <= close * scale).all()
    else:
        assert bits(got) == bits(want)


def assert_apart(result: Any, arguments: Iterable[Any]) -> None:
    """No array of a result is memory of an argument."""
    arrays = [value for value in _leaves(arguments) if isinstance(value, np.ndarray)]
    for value in _leaves(result):
        if isinstance(value, np.ndarray):
            assert not any(np.may_share_memory(value, other) for other in arrays)


def _leaves(value: Any, depth: int = 3) -> Iterable[Any]:
    if isinstance(value, tuple | list | dict) and depth:
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part, depth - 1)
    else:
        yield value
