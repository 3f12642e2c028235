"""Repairs: what may stand in the place of a user's value."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.lines.orders import Order, Replacement
from parity_tests.diagnosis.lines.recognition import Known, Recogniser, same
from parity_tests.diagnosis.lines.recording import Key, Replace, Seen, instead_of, kept
from parity_tests.diagnosis.lines.right_values import RightValues
from parity_tests.diagnosis.lines.sites import Site

STARTS = ("h_0", "h_{t-1}", "the final state", "the gradient of h_n", "the carry dz_{t+1} Wh^T")
"""Right values with which a variable may begin."""
NUMBERS = (1.0, 0.0, 2.0, -1.0, math.inf, -math.inf)
"""What is tried in place of a number in the code."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A value of the user's that is replaced.

    Attributes:
        key: where.
        kind: ``"value"``, ``"operand"``, ``"number"``, ``"loop"``, ``"pop"``, ``"index"``,
            ``"copy"``, ``"set"`` (``=`` in place of ``+=``), ``"add"`` (the reverse), ``"leave"`` (the
            statement is left out), ``"condition"``, ``"window"`` (a range from or to the first step) or
            ``"precision"``.
        value: what stands there: a ``Replacement``, the key of a part of the expression, a number, the order
            of a loop and how often a call gets to it, or what is added to an index.
    """

    key: Key
    kind: str
    value: Any = None

    def replacements(self, values: RightValues, sites: Sequence[Site]) -> dict[Key, Replace] | None:
        """The functions that put it there in a case; None if the case has no such value."""
        in_place = sites[self.key[0]].in_place
        if self.kind == "value":
            arrays = self.value.arrays(values)
            return None if arrays is None else {self.key: _put(arrays, in_place)}
        if self.kind == "operand":
            return _part_alone(self.key, self.value, kept, lambda old, part: instead_of(old, part, in_place))
        if self.kind == "precision" and self.value is not None:
            return _part_alone(self.key, self.value, lambda part: part, lambda old, part: part.copy())
        return {self.key: self._function(values, sites[self.key[0]].is_set_in_part)}

    def _function(self, values: RightValues, in_part: bool) -> Replace:
        T = values.case.T
        if self.kind == "pop":
            return _from_the_other_end(np.cumsum([0, *(call.xs.shape[1] for call in values.calls)]))
        if self.kind == "loop":
            order, per_call = self.value
            steps = [call.xs.shape[1] for call in values.calls for _ in range(per_call)]
            return lambda old, count, _: _ordered(old, order, steps[count])
        if self.kind == "number":
            return lambda old, count, _: type(old)(self.value) if isinstance(old, float) else self.value
        if self.kind == "index":
            return lambda old, count, _: _index(T - 1 - old if self.value == "mirrored" else old + self.value)
        if self.kind == "leave":
            return lambda old, count, before: np.array(before(), copy=True) if in_part else old * 0
        simple: dict[str, Replace] = {
            "condition": lambda old, count, _: self.value,
            "window": lambda old, count, _: _whole(old, self.value),
            "copy": lambda old, count, _: old.copy() if isinstance(old, np.ndarray) else old.clone(),
            "set": lambda old, count, before: old - before(),
            "add": _added,
            "precision": lambda old, count, _: _double(old),
        }
        return simple[self.kind]


def _put(arrays: Sequence[Any], in_place: bool) -> Replace:
    def put(old: Any, count: int, before: Any) -> Any:
        if count >= len(arrays) or not (hasattr(old, "shape") or isinstance(old, list | tuple)):
            raise IndexError(count)  # it is evaluated more often than it should be
        return instead_of(old, arrays[count], in_place)

    return put


def _part_alone(
    key: Key, part: Key, keep: Callable[[Any], Any], put: Callable[[Any, Any], Any]
) -> dict[Key, Replace]:
    """Put ``put(value, kept part)`` in the place of an expression, with a part of it kept by ``keep``."""
    last: list[Any] = [None]

    def seen(old: Any, count: int, before: Any) -> Any:
        last[0] = keep(old)
        return old

    return {part: seen, key: lambda old, count, _: put(old, last[0])}


def _ordered(old: Any, order: str, T: int) -> Any:
    if order == "up":
        return range(T)
    if order == "down":
        return range(T - 1, -1, -1)
    if isinstance(old, range) and abs(len(old) - T) > 1:
        raise ValueError(old)  # it goes over no steps
    return type(old)(list(old)[::-1]) if isinstance(old, list | tuple) else list(old)[::-1]


def _index(new: int) -> int:
    if new < 0:
        raise IndexError(new)  # from the other end, it would stand for another step
    return new


def _whole(old: Any, end: str) -> Any:
    """A range that begins with the first step, or ends with it."""
    if not isinstance(old, range) or abs(old.step) != 1:
        raise TypeError(old)
    if (old.step == 1) != (end == "start"):
        raise ValueError(old)
    return range(0, old.stop) if end == "start" else range(old.start, -1, -1)


def _added(old: Any, count: int, before: Any) -> Any:
    try:
        there = before()
    except (NameError, AttributeError, LookupError):
        return old  # it is set for the first time
    return old if there is None else there + old


def _from_the_other_end(starts: Array) -> Replace:
    def turned(old: Any, count: int, before: Any) -> Any:
        if count in starts:
            old.reverse()  # in place: the code goes on with the same list
        return old

    return turned


def _double(old: Any) -> Any:
    return old.astype(np.float64) if isinstance(old, np.ndarray) else old.double()


_RAMP = np.arange(1.0, 4097.0) ** 0.5


def _print_of(arrays: Sequence[Any]) -> tuple[float, ...]:
    """Numbers that are equal for equal arrays, but for rounding."""
    flat = [np.ravel(array) for array in arrays]
    return tuple(float(f"{float(each @ np.resize(_RAMP, each.size)):.9e}") for each in flat)


@dataclass(slots=True)
class Candidates:
    """Offers the repairs of an expression.

    Attributes:
        sites: all expressions.
        seen: what they were.
        recogniser: of the case.
        known: what is recognised.
        place: gives what shares an order.
        precise: whether precision is looked at.
        forward_only: whether the gradients' values are left out.
    """

    sites: Sequence[Site]
    seen: Mapping[Key, Seen]
    recogniser: Recogniser
    known: Known
    place: Any
    precise: bool = False
    forward_only: bool = False

    def of(self, key: Key) -> Iterator[Repair]:
        """What may stand in the place of an expression."""
        site, seen = self.sites[key[0]], self.seen[key]
        if self.precise:
            yield Repair(key, "precision")
            for repair in self._operands(key, seen):
                yield Repair(key, "precision", repair.value)
        elif site.is_loop:
            yield from self._loops(key, seen)
        elif site.is_condition:
            if not site.asks_for_an_option:
                yield from (Repair(key, "condition", answer) for answer in (False, True))
        elif site.is_index:
            if all(isinstance(value, int) for value in seen.values):
                yield from (Repair(key, "index", change) for change in (1, -1, "mirrored"))
        else:
            yield from self._changes(key, site, seen)
            yield from self._values(key, site, seen)

    def _values(self, key: Key, site: Site, seen: Seen) -> Iterator[Repair]:
        if site.is_constant:
            now = seen.values[0]
            yield from (Repair(key, "number", number) for number in (*NUMBERS, -now) if number != now)
        elif seen.is_array and not site.is_popped:
            yield from self._right_values(key, seen)
            yield from self._operands(key, seen)
        elif site.is_factor and all(isinstance(value, int | float) for value in seen.values):
            yield Repair(key, "number", 1.0)

    def _changes(self, key: Key, site: Site, seen: Seen) -> Iterator[Repair]:
        """What changes what a statement does with a value, and not the value."""
        if seen.is_list:
            number = sum(call.xs.shape[1] for call in self.recogniser.values.calls)
            if not site.is_popped:
                yield Repair(key, "loop", ("reversed", 1))
            elif seen.number == number:
                yield Repair(key, "pop")
        elif seen.is_array and site.is_stored and site.is_read:
            yield Repair(key, "copy")
        if site.is_added:
            yield Repair(key, "set")
        if site.is_set and site.is_repeated and seen.is_array:
            yield Repair(key, "add")
        if site.is_set_in_part or (site.is_added and seen.is_array):
            yield Repair(key, "leave")

    def _loops(self, key: Key, seen: Seen) -> Iterator[Repair]:
        per_call, rest = divmod(seen.number, len(self.recogniser.values.calls))
        if not rest and all(isinstance(value, str) for value in seen.values):
            yield from (Repair(key, "loop", (order, per_call)) for order in ("down", "up", "reversed"))
        yield from (Repair(key, "window", end) for end in ("start", "end"))

    def _right_values(self, key: Key, seen: Seen) -> Iterator[Repair]:
        orders = self.orders_of(key)
        # A variable that holds a right value holds it the right way round.
        site = self.sites[key[0]]
        is_right = (
            site.is_plain and not site.is_turned and {m.name for m in self.known.matches[key] if m.is_whole}
        )
        may_add_up = site.is_repeated
        tried = {_print_of(seen.values)}
        for parts, form in self.recogniser.fitting(seen):
            if self.forward_only and not parts.value.is_forward:
                continue
            if orders is not None and parts.order not in orders and parts.order.goes_through_time:
                continue
            if is_right and parts.value.name in is_right:
                continue
            if parts.value.is_sum and not may_add_up:
                continue
            if parts.value.is_turned and parts.order.goes_through_time:
                continue
            if site.makes_an_array and parts.value.name not in STARTS:
                continue
            found = _print_of([array.transpose(form) for array in parts.arrays])
            if found not in tried:
                tried.add(found)
                yield Repair(key, "value", Replacement(parts.value.name, parts.order, form))

    def _operands(self, key: Key, seen: Seen) -> Iterator[Repair]:
        site = self.sites[key[0]]
        if site.is_plain and not self.precise:
            return
        for number in self._parts_of(site):
            part = number, key[1]
            other = self.seen.get(part)
            if other is None or not other.is_array or other.number != seen.number:
                continue
            pairs = list(zip(other.values, seen.values, strict=True))
            if all(one.shape == two.shape for one, two in pairs) and (
                self.precise or not all(same(*pair) for pair in pairs)
            ):
                yield Repair(key, "operand", part)

    def _parts_of(self, site: Site) -> Iterator[int]:
        for number in site.children:
            yield number
            yield from self._parts_of(self.sites[number])

    def orders_of(self, key: Key) -> frozenset[Order] | None:
        """The orders in which an expression is evaluated, as far as recognised values tell."""
        counts = self.known.orders.get(self.place(key), {})
        most = max(counts.values(), default=0)
        return frozenset(order for order, count in counts.items() if count == most) if counts else None
