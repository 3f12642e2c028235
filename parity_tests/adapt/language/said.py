"""A call as its user says it: ``consume(x)``, ``forward(list of columns)`` or ``step(x[:, t], h[None])``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parity_tests.adapt.language.calls import Arguments, Callee, argument_lists

ALIASES = {
    "x": ("x", "xs", "x_t", "inputs"),
    "h": ("h", "h0", "h_0", "hx", "h_prev", "hprev", "state"),
    "d": ("d", "dh", "dhs", "dout", "dy"),
    "y": ("y", "ys", "targets"),
    "cache": ("cache", "caches"),
}
"""Names that stand for an argument in any form: the search finds which."""
LISTS = {
    "list of columns": ("[TDB]", "[TD1]"),
    "list of rows": ("[TBD]", "[T1D]", "[TD]"),
}
"""Words for the form of the input, with its layouts."""
VARIABLES = ("x", "h", "d", "Wx", "Wh", "b")
"""What expressions are made of."""


@dataclass(frozen=True)
class Said:
    """One argument of a call that was said.

    Attributes:
        role: what it is.
        text: its expression; empty if the search is to find it.
        keyword: the name of the parameter, if it is given by name.
        layouts: those that it may have; none for all.
    """

    role: str
    text: str = ""
    keyword: str = ""
    layouts: tuple[str, ...] = ()


def name_said(call: str) -> str:
    """Return the name of what is to be called.

    Example:
        >>> name_said("forward(list of columns)"), name_said("produce")
        ('forward', 'produce')
    """
    return call.partition("(")[0].strip().removeprefix("net.").removeprefix("self.")


def arguments_said(call: str) -> tuple[Said, ...] | None:
    """Return the arguments of a call that was said, None if only the name was.

    Example:
        >>> [(said.role, said.text) for said in arguments_said("step(x[:, t], h=h[None], rate=0.1)")]
        [('x', 'x[:, t]'), ('h', 'h[None]'), ('=rate', '0.1')]

    Raises:
        ValueError: the call has no closing parenthesis, or an argument is no expression.
    """
    name, parenthesis, rest = call.strip().partition("(")
    if not parenthesis:
        return None
    if not name.strip() or not rest.endswith(")"):
        raise ValueError(f"expected a name, or a call such as forward(x, h), got {call!r}")
    return tuple(_said(part, call) for part in _parts(rest[:-1]))


def _said(part: str, call: str) -> Said:
    found = re.fullmatch(r"(\w+)\s*=(?!=)\s*(.*)", part, re.DOTALL)
    keyword, text = (found[1], found[2]) if found else ("", part)
    if text in LISTS:
        return Said("x", "", keyword, LISTS[text])
    for role, names in ALIASES.items():
        if text in names:
            return Said(role, "", keyword)
    try:
        compile(text, "<call>", "eval")
    except SyntaxError as error:
        raise ValueError(
            f"expected expressions of x, h and d, or {' or '.join(map(repr, LISTS))}, got {text!r} in {call!r}"
        ) from error
    words = re.findall(r"(?<![\w.])[A-Za-z_]\w*", text)
    role = next((word for word in words if word in VARIABLES), f"={keyword or text}")
    return Said(role, text, keyword)


def _parts(text: str) -> list[str]:
    """The parts between commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def lists_for(
    callee: Callee,
    options: Mapping[str, Sequence[str]],
    named: Mapping[str, str] | None = None,
    unknown: Sequence[str] = (),
    optional: Sequence[str] = (),
    *,
    layout: str = "",
    forms: Sequence[str] = (),
    strict: bool = False,
) -> Iterator[Arguments]:
    """Yield the arguments that a call may have: those that the user said, else those that are tried.

    Args:
        callee: what is called.
        options: by role, the expressions that may be given.
        named: expressions by the exact name of a parameter.
        unknown: the roles that a parameter may have whose name says nothing.
        optional: the roles for which an optional parameter is given a value.
        layout: of the input.
        forms: the expressions of the input in all layouts; what was said in the form of another is left out.
        strict: whether only the likeliest are wanted.
    """
    if callee.said is None:
        named = {**(named or {}), **callee.named}
        yield from argument_lists(callee.parameters, options, named, unknown, optional, strict=strict)
        return
    chosen: list[tuple[str, ...]] = [()]
    for each in callee.said:
        if each.layouts and layout and layout not in each.layouts:
            return
        of_other = each.role == "x" and each.text in forms and each.text not in options["x"]
        if of_other or (each.role == "d" and each.text and each.text not in options["d"]):
            return
        texts = (each.text,) if each.text else tuple(options.get(each.role, ()))
        chosen = [(*before, text) for before in chosen for text in texts]
    positions = [p.name for p in callee.parameters]
    names = {
        each.role: each.keyword or (positions[number] if number < len(positions) else "")
        for number, each in enumerate(callee.said)
    }
    for one in chosen:
        words = [f"{each.keyword}=" if each.keyword else "" for each in callee.said]
        text = ", ".join(f"{word}{argument}" for word, argument in zip(words, one, strict=True))
        given = {each.role: argument for each, argument in zip(callee.said, one, strict=True)}
        yield Arguments(text, given, names)
