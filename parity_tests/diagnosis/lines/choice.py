"""Which of several equally good repairs is told: the one at which the mistake is."""

from collections.abc import Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.tensors import TENSORS, family
from parity_tests.diagnosis.lines.nonlinearities import RELU
from parity_tests.diagnosis.lines.recognition import same
from parity_tests.diagnosis.lines.search import Attempt, Search
from parity_tests.diagnosis.lines.trial import Tensor

PARTIAL = ("x_t Wx + b", "h_{t-1} Wh + b", "h_t^2")
"""Right values that are told only where no other one will do: they are a part of what is wanted."""

CHANGES = ("pop", "loop", "window", "condition", "copy", "index", "precision", "add", "set", "leave")
"""Kinds of repairs that change what the code does, and put no right value in; the most telling first."""

PARTS_OF_SUMS = {
    "dWx": ("x_t^T dz_t",),
    "dWh": ("h_{t-1}^T dz_t",),
    "db": ("dz_t", "dz_t summed over the batch"),
}
"""What is summed over the steps, by its sum."""

BIASES = ("b", "b_ih", "b_hh")


def chosen(attempts: Sequence[Attempt], search: Search) -> Attempt:
    """Return the repair to keep and to tell; ``attempts`` is not empty."""
    most = max(len(attempt.cured) for attempt in attempts)
    best = sorted((a for a in attempts if len(a.cured) == most), key=lambda a: a.time)
    if any(a.repair.kind in CHANGES for a in best):
        best = _least_spoilt(best, search)
    changes = [a for a in best if a.repair.kind in CHANGES]
    if changes:
        change = min(changes, key=lambda a: (CHANGES.index(a.repair.kind), not a.site.is_loop))
        handed = change.repair.kind == "condition" and change.site.has_default
        calls = [a for a in best if handed and _is_call_of(a, [change])]
        return max(calls, key=lambda a: len(a.repair.key[1])) if calls else change
    first = min(
        {attempt.cured for attempt in best},
        key=lambda cured: (not any(_level(a)[0] for a in best if a.cured == cured), _rank(cured)),
    )
    ties = [a for a in best if a.cured == first]
    values = [a for a in ties if a.repair.kind in ("value", "operand")]
    return _of_values(values, search) if values else ties[0]


def _least_spoilt(attempts: Sequence[Attempt], search: Search) -> list[Attempt]:
    spoilt = [search.spoilt(attempt) for attempt in attempts]
    return [attempt for attempt, number in zip(attempts, spoilt, strict=True) if number == min(spoilt)]


def _rank(cured: frozenset[Tensor]) -> tuple[int, int]:
    names = list(TENSORS)
    return min((names.index(family(name)), call) for call, name in cured)


def _of_values(ties: Sequence[Attempt], search: Search) -> Attempt:
    ties = _least_spoilt(ties, search)
    ties = [a for a in ties if not a.site.makes_a_buffer] or ties
    inside = [a for a in ties if not _is_call_of(a, ties)] or ties
    inside = [a for a in inside if not _is_to_be_masked(a, inside, search)] or inside
    unknown = [a for a in inside if a.match is None]
    misplaced = [a for a in inside if _is_misplaced(a)]
    natural = [a for a in misplaced if a.repair.kind != "value" or a.repair.value.name not in PARTIAL]
    misplaced = natural if natural or unknown else misplaced
    if not unknown:
        return _told(_first_of_its_function(misplaced or inside, search), ties, search)
    first = unknown[0]
    if all(a.repair.kind == "operand" for a in inside):
        return inside[-1]  # what is done to finished gradients last
    if any(a.repair.kind == "operand" and a.repair.key == first.repair.key for a in inside):
        return first
    if first.site.is_plain:
        if first.site.is_argument and _level(first)[0] and not _is_at_hand(first, search):
            handed = [
                a for a in misplaced if a.repair.key[1] == first.repair.key[1][1:] and a.time < first.time
            ]
            if handed:
                return handed[-1]
        # What it reads was computed wrongly before.
        computed = [
            a
            for a in misplaced
            if a.time < first.time
            and (not a.site.is_plain or a.site.is_element)
            and a.site.function == first.site.function
        ]
        return _told(computed[-1] if computed else first, ties, search)
    before = [a for a in misplaced if a.time < first.time and _level(a) == _level(first)]
    return _told(_first_of_its_function(before, search) if before else first, ties, search)


def _told(attempt: Attempt, ties: Sequence[Attempt], search: Search) -> Attempt:
    """The same; or the call of its function, if the function gives a right value, here or elsewhere."""
    number, context = attempt.repair.key
    calls = [a for a in ties if _is_call_of(a, [attempt])] if context else []
    if not calls:
        return attempt
    others = [
        key
        for key in search.known.matches
        if key[0] == number and key[1] != context and np.any(search.seen[key].values)
    ]
    if any(match.is_whole for key in others for match in search.known.matches[key]):
        return calls[-1]
    match = attempt.match
    is_right = match is not None and match.is_whole and match.name not in PARTIAL
    is_right &= not attempt.site.has_unused_argument
    if is_right and not attempt.site.is_plain and _is_returned(attempt, search):
        return max(calls, key=lambda a: len(a.repair.key[1]))
    return attempt


def _is_returned(attempt: Attempt, search: Search) -> bool:
    """Whether it is a part of an expression that its function returns."""
    *_, whole = attempt.site, *search.around(attempt.site)
    return whole.is_returned


def _is_call_of(attempt: Attempt, others: Sequence[Attempt]) -> bool:
    """Whether it is a call of a function in which others are."""
    depth = len(attempt.repair.key[1])
    return attempt.site.is_call and any(
        len(other.repair.key[1]) > depth
        and other.repair.key[1][len(other.repair.key[1]) - depth :] == attempt.repair.key[1]
        and other.time < attempt.time
        for other in others
    )


def can_be_told(attempt: Attempt, search: Search) -> bool:
    """Whether the mistake is at the place of a repair, and not somewhere before it."""
    if _is_left_by_a_call_before(attempt, search):
        return False
    if attempt.repair.kind == "operand" and attempt.site.is_call and search.calls_what_is_wrong(attempt):
        return False
    if attempt.should is None or attempt.repair.kind != "value":
        return True
    if attempt.match is not None:
        return _can_be_misplaced(attempt) and not search.lacks_a_state(attempt)
    if attempt.site.is_call and search.calls_what_is_wrong(attempt):
        return False
    if attempt.site.makes_an_array:
        return not search.is_for_want_of(attempt)
    if not attempt.site.is_plain:
        return search.inputs_are_right(attempt) or search.is_in_another_order(attempt)
    at_a_step = _level(attempt)[0] and search.is_some_right_value(attempt)
    if attempt.site.is_name:
        return attempt.site.filled_by() is not None or (at_a_step and attempt.site.is_free)
    return at_a_step or (bool(attempt.site.children) and search.inputs_are_right(attempt))


def _can_be_misplaced(attempt: Attempt) -> bool:
    """Whether a right value may be told to be the wrong one at its place."""
    order, match = attempt.repair.value.order, attempt.match
    assert match is not None
    # A sum over the rows cannot stand where the rows are added up one after another.
    if attempt.site.is_added and order.rows:
        return False
    # What is right in an order of its own is stored in the wrong one.
    if match.is_whole and match.name == attempt.repair.value.name and match.replacement.order != order:
        return False
    # Where the steps come in the wrong order the loop is to blame, and where a bias comes by name its giver.
    if order.goes_through_time and match.is_turned:
        return False
    return not (attempt.site.is_name and attempt.repair.value.name in BIASES)


def _is_left_by_a_call_before(attempt: Attempt, search: Search) -> bool:
    """Whether it is right in the first call of the layer, or is a zero that nobody has set."""
    if attempt.repair.kind != "value":
        return False
    first = search.trial.values.calls[0].xs.shape
    if attempt.at >= len(attempt.repair.value.order.places(*first[:2])):
        return True
    return attempt.site.is_plain and not np.any(attempt.actual)


def sum_is_wrong(attempt: Attempt) -> bool:
    """Whether a variable is a part of a sum over the steps, where all of the sum is due."""
    if attempt.match is None or attempt.repair.kind != "value" or not attempt.site.is_name:
        return False
    parts = PARTS_OF_SUMS.get(attempt.repair.value.name, ())
    return attempt.match.name in parts or attempt.match.name.startswith(f"{attempt.repair.value.name} summed")


def _is_misplaced(attempt: Attempt) -> bool:
    """Whether it is a right value where another one belongs, and not the same one transposed."""
    if attempt.match is None:
        return False
    if attempt.repair.kind != "value":
        return True
    value, match = attempt.repair.value, attempt.match.replacement
    return (match.name, match.order) != (value.name, value.order)


def _is_to_be_masked(attempt: Attempt, others: Sequence[Attempt], search: Search) -> bool:
    """Whether it is dh_t, of which an expression should make dz_t by the mask of relu.

    A mask does no harm to what is masked already, so that dz_t in its place cures, too.
    """
    if attempt.match is None or attempt.match.name != "dh_t" or not attempt.site.is_plain:
        return False
    has_mask = any(value.name == RELU.slope_name for value in search.trial.values.values)
    return (
        has_mask
        and any(_gives(each, "dz_t") and not each.site.is_plain for each in others)
        and _gives(attempt, "dz_t")
    )


def _gives(attempt: Attempt, name: str) -> bool:
    return attempt.repair.kind == "value" and attempt.repair.value.name == name


def _level(attempt: Attempt) -> tuple[bool, bool]:
    """Whether it is about one step, and about one row."""
    if attempt.repair.kind != "value":
        return (True, False)
    order = attempt.repair.value.order
    return order.goes_through_time, bool(order.rows)


def _first_of_its_function(attempts: Sequence[Attempt], search: Search) -> Attempt:
    """The first in the function of the last; in the caller's, if it is an argument that is wrong."""
    last = attempts[-1]
    returned = [
        a for a in attempts[:-1] if a.site.is_returned and len(a.repair.key[1]) > len(last.repair.key[1])
    ]
    if last.site.is_plain and returned:
        last = returned[-1]
    own = [
        a for a in attempts if a.repair.key[1] == last.repair.key[1] and a.site.function == last.site.function
    ]
    first = own[0]
    earlier = [a for a in attempts if a.time < first.time]
    if first.site.is_attribute and earlier:
        return _first_of_its_function(earlier, search)  # an object only hands it on
    if not first.site.is_argument or not _level(first)[0] or _is_at_hand(first, search):
        return first
    if all(site.is_plain for site in search.around(first.site)) and _is_returned(first, search):
        return first  # a function that gives its argument back
    calls = [last.repair.key[1][number:] for number in range(1, len(last.repair.key[1]) + 1)]
    outer = [a for context in calls for a in attempts if a.repair.key[1] == context and a.time < first.time]
    return _first_of_its_function(outer, search) if outer else first


def _is_at_hand(attempt: Attempt, search: Search) -> bool:
    """Whether the function was given what should stand there, under another name."""
    for (_, context), arguments in search.arguments.items():
        if context != attempt.repair.key[1]:
            continue
        for value in arguments.values():
            if same(value, attempt.should):
                return True
    return False
