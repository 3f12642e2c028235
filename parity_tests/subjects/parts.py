"""The methods and attributes of a layer; what is not there, or cannot be called so, is said in the user's terms."""

import inspect
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from parity_tests.subjects.adapters.problem import Problem
from parity_tests.subjects.results import described, is_array
from parity_tests.subjects.user_frames import error_line

LACKED = {
    "num_layers": "layers",
    "nonlinearity": "relu",
    "bias": "no-bias",
    "batch_first": "batch-first",
    "dropout": "dropout",
    "bidirectional": "bidirectional",
    "dtype": "float64",
    "lengths": "lengths",
    "dropout_masks": "dropout",
    "hx": "initial-state",
    "d_h_n": "final-gradient",
    "stateful": "initial-state,state",
    "set_state": "initial-state",
    "reset_state": "state",
    "eval": "dropout",
}
"""What a target without this argument or method declares to lack."""


class PartMissing(Exception):
    """A layer lacks something that its interface has, or cannot be called so; the message says what."""


def method(layer: Any, name: str) -> Callable[..., Any]:
    """Return a method of a layer.

    Raises:
        PartMissing: there is none of this name.
    """
    found = attribute(layer, name)
    if not callable(found):
        what = "it has none" if found is None else f"it is {described(found)}"
        raise PartMissing(f"the layer needs a method `{name}`, and {what}{_declared(name)}")
    return found


def attribute(layer: Any, name: str) -> Any:
    """Return an attribute of a layer, None if there is none."""
    try:
        return getattr(layer, name)
    except AttributeError as error:
        if error.name != name:  # of something else, in the code of a property
            raise
        return None


def called(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return ``function(*arguments, **options)``.

    Raises:
        PartMissing: it does not take these arguments.
    """
    try:
        return function(*arguments, **options)
    except TypeError as error:
        trace = error.__traceback__
        if (trace is not None and trace.tb_next is not None) or _fits(function, arguments, options):
            raise
        unknown = re.search("unexpected keyword argument '(.*)'", str(error))
        hint = _declared(unknown[1]) if unknown else ""
        raise PartMissing(f"it cannot be called as its interface says: {error_line(error)}{hint}") from error


def called_with(function: Callable[..., Any], first: Any, given: Mapping[str, Any], **options: Any) -> Any:
    """Return ``function(first, **given, **options)``; what is given goes by position where its name differs.

    Raises:
        PartMissing: it does not take these arguments.
    """
    try:
        return called(function, first, **given, **options)
    except PartMissing as missing:
        if not given:
            raise
        try:
            return called(function, first, *given.values(), **options)
        except PartMissing:
            raise missing from None


def call_made(error: BaseException) -> str:
    """Return the call of the user's code that an error came out of, such as ``forward(x [3, 2])``; or ``""``."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code is called.__code__]
    if not frames:
        return ""
    given = frames[-1].f_locals
    function, arguments, options = given["function"], given["arguments"], given["options"]
    try:
        named = inspect.signature(function).bind(*arguments, **options).arguments
    except (TypeError, ValueError):
        named = options
    shown = ", ".join(f"{name} {_shown(value)}" for name, value in named.items())
    return f"{getattr(function, '__name__', 'the layer itself')}({shown})"


def _shown(value: object) -> str:
    """A value by its shape or its type."""
    if is_array(value):
        return str(list(value.shape))
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    return f"of case {value.token}" if isinstance(value, Problem) else described(value)


def _fits(function: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    """Whether a function takes these arguments, so that the error is of its own."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _declared(name: str) -> str:
    return f"; `--without {LACKED[name]}` says that it is not there" if name in LACKED else ""
