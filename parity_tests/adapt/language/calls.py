"""Calls: which argument goes where, by the names of parameters first, then in any order."""

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parity_tests.adapt.language.names import KINDS, WEIGHTS, roles

MOST_CALLS = 400
"""Ways to call one function that are tried."""
MOST_COMPARED = 2000
"""Ways of which the likeliest are taken."""
REPEATED = ("none", "zero", "rate", "cache", "state")
"""Roles that several parameters may have."""


@dataclass(frozen=True)
class Callee:
    """What may be called.

    Attributes:
        text: the expression.
        function: the function or unbound method.
        skips: how many of its parameters are not given: 1 for ``self``.
        returned: the names of what it returns, from its source.
        options: by role, the expressions of weights that it is given.
        said: the arguments that the user said (``said.py``), None if none were.
        named: expressions by the exact name of a parameter.
    """

    text: str
    function: Callable[..., Any]
    skips: int = 0
    returned: tuple[str, ...] = ()
    options: Mapping[str, Sequence[str]] | None = None
    said: tuple[Any, ...] | None = None
    named: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> list[Any]:
        """Its parameters."""
        return (parameters_of(self.function) or [])[self.skips :]


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call.

    Attributes:
        text: all of them.
        given: the expression of each by its role.
        names: the name of the parameter by role.
    """

    text: str
    given: Mapping[str, str]
    names: Mapping[str, str]


def parameters_of(function: Any) -> list[inspect.Parameter] | None:
    """The parameters of a function or bound method, None where they cannot be known."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def argument_lists(
    parameters: Sequence[inspect.Parameter],
    options: Mapping[str, Sequence[str]],
    named: Mapping[str, str] | None = None,
    unknown: Sequence[str] = (),
    optional: Sequence[str] = (),
    *,
    strict: bool = False,
) -> Iterator["Arguments"]:
    """Yield argument lists, the likeliest first.

    Args:
        parameters: of the function.
        options: by role, the expressions that may be given.
        named: expressions by the exact name of a parameter.
        unknown: the roles that a parameter may have whose name says nothing.
        optional: the roles for which an optional parameter is given a value.
        strict: whether only the likeliest are wanted, those that the names say.
    """
    choices: list[list[tuple[int, str, str]]] = []
    words: list[str] = []
    names: list[str] = []
    for parameter in parameters:
        needed = parameter.default is parameter.empty
        found = _choices(parameter.name, options, named or {}, unknown)
        if not needed:
            found = [each for each in found if each[1] in optional and each[1] in roles(parameter.name)[:2]]
            if not found:
                continue
        if not found:
            return
        words.append("" if needed and parameter.kind != parameter.KEYWORD_ONLY else f"{parameter.name}=")
        names.append(parameter.name)
        choices.append(found)
    least: int | None = None
    for total, chosen in _likeliest_first(choices)[:MOST_CALLS]:
        least = total if least is None else least
        if strict and total > least + 1:
            return
        text = ", ".join(f"{word}{argument}" for word, (_, _, argument) in zip(words, chosen, strict=True))
        given = {role: argument for _, role, argument in chosen}
        yield Arguments(text, given, {role: name for (_, role, _), name in zip(chosen, names, strict=True)})


def _choices(
    name: str, options: Mapping[str, Sequence[str]], named: Mapping[str, str], unknown: Sequence[str]
) -> list[tuple[int, str, str]]:
    """Rank, role and expression of what a parameter may be given."""
    if name in named:
        return [(0, f"={name}", named[name])]
    by_name = roles(name)
    found: list[tuple[int, str, str]] = []
    if options.get("x") and {*by_name} & {"x", "h"}:
        by_name = [role for role in by_name if role not in KINDS]
    if {*by_name} & {*WEIGHTS}:
        alike = ("b", "by") if {*by_name} & {"b", "by"} else ("Wx", "Wh", "Wy", "Wxh", "Whx")
        by_name = [*by_name, *(kind for kind in alike if kind not in by_name)]
    if {*by_name} & {*KINDS} and not {*by_name} & {"x", "h", "d", "y"}:
        by_name = [*by_name, *(kind for kind in ("H", "D", "V") if kind not in by_name)]
    for rank, role in enumerate(by_name or unknown):
        found += [(rank + number, role, text) for number, text in enumerate(options.get(role, ()))]
    if not found and by_name and "y" not in by_name:
        found = [(5 + n, role, text) for n, role in enumerate(unknown) for text in options.get(role, ())]
    return found


def _likeliest_first(
    choices: Sequence[Sequence[tuple[int, str, str]]],
) -> list[tuple[int, list[tuple[int, str, str]]]]:
    """The sum of ranks and one choice for each parameter, no role twice, the lowest sum first."""
    found = [
        (sum(rank for rank, _, _ in chosen), chosen)
        for chosen in itertools.islice(_choices_once(choices, []), MOST_COMPARED)
    ]
    return sorted(found, key=lambda each: each[0])


def _choices_once(
    choices: Sequence[Sequence[tuple[int, str, str]]], before: list[tuple[int, str, str]]
) -> Iterator[list[tuple[int, str, str]]]:
    """Yield one choice for each parameter, no role twice, after those that are made."""
    if len(before) == len(choices):
        yield before
        return
    given = {role for _, role, _ in before if role not in REPEATED}
    for each in choices[len(before)]:
        if each[1] not in given:
            yield from _choices_once(choices, [*before, each])
