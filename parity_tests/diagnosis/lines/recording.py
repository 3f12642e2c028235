"""The values of a user's expressions while the code runs: seen, or replaced."""

import builtins
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.lines.sites import LOOP, VALUE

Context = tuple[tuple[int, int], ...]
"""The calls of the user's functions under which an expression is evaluated."""
Key = tuple[int, Context]
"""An expression in one context; a helper may serve the forward and the backward."""
Replace = Callable[[Any, int, Any], Any]
"""Returns what stands in the place of a value: ``replace(value, number of the evaluation, before)``.

Where the value is set or added to something, ``before`` gives what was there; it is None elsewhere."""
ITERABLES: tuple[type, ...] = (
    range,
    list,
    tuple,
    zip,
    enumerate,
    reversed,
    type(reversed([])),
    type(reversed(range(0))),
)
"""What a loop goes over, and can be gone over in another order."""
MOST_EVALUATIONS = 20_000
"""Of one expression; more are not kept."""

MOST_PASSED = 10_000_000
"""Values that pass in a run; a repair may make a loop endless."""


@dataclass(slots=True)
class Seen:
    """What one expression was, each time that it was evaluated.

    Attributes:
        values: copies of the values; None where one is no number and no array of them.
        times: when each was evaluated, counted over all expressions.
        is_single: whether a value is in float32.
        is_list: whether a value is a list or a tuple of something that may be one a step.
    """

    values: list[Any] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    is_single: bool = False
    is_list: bool = False

    @property
    def number(self) -> int:
        """How often it was evaluated."""
        return len(self.values)

    @property
    def is_array(self) -> bool:
        """Whether it was an array of numbers each time."""
        return all(isinstance(value, np.ndarray) and value.size > 0 for value in self.values)


class Recorder:
    """Sees and replaces values of instrumented code.

    Attributes:
        files: the names of the files whose code is the user's.
        recording: whether values are kept.
        replacements: what stands in the place of the values of some expressions.
        seen: the values of the last run that was recorded.
        arguments: by function and context, the arguments of its first call that are arrays.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.recording = False
        self.replacements: Mapping[Key, Replace] = {}
        self.seen: dict[Key, Seen] = {}
        self.arguments: dict[tuple[int, Context], dict[str, Any]] = {}
        self._time = 0
        self._left = MOST_PASSED
        self._positions: dict[int, list[int]] = {}
        self._codes: dict[int, CodeType] = {}
        self._active: frozenset[int] = frozenset()
        self._counts: dict[Key, int] = {}

    def install(self) -> None:
        """Make the functions known that instrumented code calls."""
        setattr(builtins, VALUE, self.value)
        setattr(builtins, LOOP, self.loop)

    def run(self, function: Callable[[], Any], replacements: Mapping[Key, Replace], record: bool) -> Any:
        """Call a function while values are replaced and, if wanted, kept in ``seen``."""
        self.replacements = replacements
        self._left = MOST_PASSED if record else min(MOST_PASSED, 20 * self._time + 10_000)
        self._active = frozenset(site for site, _ in replacements)
        self._counts = {}
        if record:
            self.seen, self.arguments, self._time = {}, {}, 0
        self.recording = record
        try:
            return function()
        finally:
            self.recording = False
            self._active = frozenset()

    def value(self, number: int, value: Any, before: Any = None) -> Any:
        """Called by instrumented code with every value that it reads.

        ``before`` gives what it is set in the place of, or added to.
        """
        return self._passed(number, value, sys._getframe(1), kept, before)

    def loop(self, number: int, value: Any) -> Any:
        """Called by instrumented code with everything that it goes over."""
        return self._passed(number, value, sys._getframe(1), _kept_of_loop)

    def _passed(
        self, number: int, value: Any, frame: Any, keep: Callable[[Any], Any], before: Any = None
    ) -> Any:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("a loop does not end")
        if not self.recording and number not in self._active:
            return value
        key = number, self._context(frame)
        if number in self._active and (replace := self.replacements.get(key)) is not None:
            count = self._counts.get(key, 0)
            self._counts[key] = count + 1
            value = replace(value, count, before)
        if self.recording:
            self._record(key, frame, value, keep(value))
        return value

    def _record(self, key: Key, frame: Any, value: Any, copy: Any) -> None:
        self._time += 1
        seen = self.seen.get(key)
        if seen is None:
            seen = self.seen[key] = Seen()
            code = frame.f_code
            place = id(code), key[1]
            if place not in self.arguments:
                names = code.co_varnames[: code.co_argcount]
                found = {name: kept(frame.f_locals.get(name)) for name in names}
                self.arguments[place] = {
                    name: each for name, each in found.items() if isinstance(each, np.ndarray)
                }
        if seen.number < MOST_EVALUATIONS:
            seen.values.append(copy)
            seen.times.append(self._time)
            seen.is_list |= isinstance(value, list | tuple) and any(
                isinstance(each, np.ndarray | list | tuple) for each in value
            )
            seen.is_single |= str(getattr(value, "dtype", "")).endswith("float32")

    def _context(self, frame: Any) -> Context:
        chain: list[tuple[int, int]] = []
        codes = {frame.f_code}
        frame = frame.f_back
        while frame is not None and frame.f_code.co_filename in self.files:
            # A function that calls itself counts once.
            if frame.f_code not in codes:
                codes.add(frame.f_code)
                chain.append((id(frame.f_code), self._position(frame.f_code, frame.f_lasti)))
            frame = frame.f_back
        return tuple(chain)

    def _position(self, code: CodeType, at: int) -> int:
        """A number for the expression that an instruction belongs to; more than one may carry out a call."""
        numbers = self._positions.get(id(code))
        if numbers is None:
            every: dict[Any, int] = {}
            numbers = [every.setdefault(position, len(every)) for position in code.co_positions()]
            self._positions[id(code)] = numbers
            self._codes[id(code)] = code
        return numbers[at // 2]

    def place_of(self, call: tuple[int, int]) -> tuple[str, int]:
        """The file and the line of a call in a context."""
        code = self._codes[call[0]]
        at = self._positions[call[0]].index(call[1])
        return code.co_filename, list(code.co_positions())[at][0] or 0


def kept(value: Any) -> Any:
    """A copy of a value that can be compared, or None."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind in "fbiu" else None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float | np.floating | np.integer):
        return value
    if is_tensor(value):
        return np.array(value.detach().cpu().numpy(), np.float64)
    if is_list_of_arrays(value):
        return np.array(value, np.float64)
    return "iterable" if isinstance(value, ITERABLES) else None


def _kept_of_loop(value: Any) -> Any:
    return "iterable" if isinstance(value, ITERABLES) else kept(value)


def is_list_of_arrays(value: Any) -> bool:
    """Whether it is a list or a tuple of arrays of one shape, such as one array a step."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 1
        and all(isinstance(each, np.ndarray) and each.dtype.kind == "f" for each in value)
        and len({each.shape for each in value}) == 1
    )


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch, which is not imported for this."""
    # An object of the user's is not asked for attributes: that may run code of theirs.
    return type(value).__module__.startswith("torch") and hasattr(value, "detach") and hasattr(value, "numpy")


def instead_of(value: Any, values: Array, in_place: bool) -> Any:
    """New values as an object like ``value``, or in the array itself where the code goes on with that."""
    made = _like(value, values)
    if in_place:
        value[...] = made
        return value
    return made


def _like(value: Any, values: Array) -> Any:
    """New values in an object of the same type, dtype and shape."""
    if is_list_of_arrays(value):
        shape = len(value), *value[0].shape
        return type(value)(
            np.array(each, old.dtype) for each, old in zip(values.reshape(shape), value, strict=True)
        )
    if is_tensor(value):
        torch = sys.modules["torch"]
        return torch.tensor(values).to(value.dtype).reshape(value.shape)
    if isinstance(value, np.ndarray):
        # A mask of booleans may stand where numbers should.
        return np.array(values, value.dtype if value.dtype.kind == "f" else None).reshape(value.shape)
    return type(value)(values)
