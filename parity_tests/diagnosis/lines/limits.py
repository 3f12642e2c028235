"""Limits: what scales or cuts gradients, and hides other faults until it is undone."""

from collections.abc import Iterator

from parity_tests.diagnosis.lines.recognition import same
from parity_tests.diagnosis.lines.recording import Key
from parity_tests.diagnosis.lines.repairs import Repair
from parity_tests.diagnosis.lines.search import Search

MOST_LIMITS = 4
"""Of a search: with each the whole search is made again."""
_CUTS = ("clip", "clamp", "minimum", "maximum")
"""Calls that cut values."""


def limits(search: Search) -> Iterator[Repair]:
    """The repairs that undo a limit, the last in the code first; ``search`` has been made, and found nothing."""
    found = 0
    for key in sorted(search.seen, key=lambda key: -search.seen[key].times[-1]):
        for repair in _undoing(key, search):
            if found < MOST_LIMITS and _changes_what_is_wrong(repair, search):
                found += 1
                yield repair


def _undoing(key: Key, search: Search) -> Iterator[Repair]:
    site, seen = search.sites[key[0]], search.seen[key]
    if site.function == search.not_blamed:
        return
    if site.is_condition and not site.asks_for_an_option:
        yield from (Repair(key, "condition", answer) for answer in (False, True))
    elif site.is_factor and all(isinstance(value, int | float) for value in seen.values):
        yield Repair(key, "number", 1.0)
    elif site.called in _CUTS and site.children:
        part = site.children[0], key[1]
        other = search.seen.get(part)
        if other is not None and other.is_array and other.number == seen.number:
            yield Repair(key, "operand", part)


def _changes_what_is_wrong(repair: Repair, search: Search) -> bool:
    """Whether it changes a wrong tensor and no right one."""
    replacements = search.replacements(repair)
    assert replacements is not None
    outcome = search.trial.run(replacements)
    if outcome.raised or outcome.wrong - search.base.wrong:
        return False
    pairs = [
        (search.base.got[tensor], outcome.got[tensor])
        for tensor in search.base.wrong
        if tensor in search.base.got and tensor in outcome.got
    ]
    return any(one.shape == other.shape and not same(one, other) for one, other in pairs)
