"""Functions: their weights are arguments, in a dict or a tuple, or globals of the module."""

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.adapt.language.calls import Callee, parameters_of
from parity_tests.adapt.language.names import BACKWARD, FORWARD, LOSSES, WEIGHTS, matches, roles
from parity_tests.adapt.language.said import arguments_said, name_said
from parity_tests.adapt.language.source import attributes_of, keys_of, returned_names, unpacked
from parity_tests.adapt.program import Program, Trials
from parity_tests.adapt.weights.flat import Flat
from parity_tests.adapt.weights.making import BIASES, Maker, headed, weight_options
from parity_tests.adapt.weights.module_weights import module_makers
from parity_tests.adapt.weights.slots import Slot

MOST_CONTAINERS = 12


def function_pairs(
    functions: Mapping[str, Callable[..., Any]],
    trials: Trials,
    bases: Sequence[Program],
    *,
    named: bool,
    strict: bool,
    call: str = "",
    back: str = "",
    flat: Flat | None = None,
) -> tuple[list[tuple[Maker, Callee]], list[Callee]]:
    """Return the ways to call the forwards among functions, and the backwards.

    Args:
        functions: by name.
        trials: runs programs.
        bases: the programs to start from.
        named: whether the user named them.
        strict: whether weights go where the names say.
        call: the call of the forward as the user says it.
        back: that of the backward.
        flat: the vector of all weights, if there is one.
    """
    backs = {name: f for name, f in functions.items() if matches(name, BACKWARD)}
    if back:
        backs = {name: f for name, f in functions.items() if name == name_said(back)}
    forwards = {
        name: f
        for name, f in functions.items()
        if name not in backs and (named or matches(name, (*FORWARD, *LOSSES)))
    }
    if call:
        forwards = {name: f for name, f in functions.items() if name == name_said(call)}
    said, back_said = arguments_said(call), arguments_said(back)
    exact = {flat.name: flat.name} if flat else {}
    imports = (*forwards, *backs)
    everything = [value for value in vars(trials.module).values() if inspect.isfunction(value)]
    order = sorted(forwards, key=lambda name: ("step" in name or "cell" in name, name))
    pairs = [
        (maker, Callee(name, forwards[name], 0, returned_names(forwards[name]), options, said, exact))
        for name in order
        for base in bases
        for maker, options in _makers(forwards[name], base, imports, everything, flat, strict=strict)
    ]
    pairs += [
        (maker, Callee(name, forwards[name], 0, returned_names(forwards[name]), said=said))
        for name in order
        for base in bases
        for maker in module_makers(list(functions.values()), base, trials, imports)
    ]
    found = [Callee(name, f, 0, returned_names(f), said=back_said, named=exact) for name, f in backs.items()]
    found.sort(key=lambda callee: "step" in callee.text or "cell" in callee.text)
    return pairs, found


def _makers(
    function: Callable[..., Any],
    base: Program,
    imports: Sequence[str],
    everything: Sequence[Callable[..., Any]],
    flat: Flat | None,
    *,
    strict: bool,
) -> Iterator[tuple[Maker, Mapping[str, Sequence[str]]]]:
    """The ways to give a function its weights."""
    if flat:
        program = replace(base, imports=tuple(imports))
        yield Maker(program, (flat.slot,)), {"params": (flat.name,)}
        return
    for turned, bias in itertools.product((False, True), BIASES):
        options = weight_options(turned, bias)
        containers = _containers(function, options, everything)
        if containers:
            for name, lines, slots in itertools.islice(containers, 1 if strict else MOST_CONTAINERS):
                made = lines[0].partition(" = ")[2].partition("(")[0]
                own = (*imports, made) if made.isidentifier() else imports
                program = replace(base, imports=tuple(own), make=lines)
                yield Maker(headed(program, slots), slots), {"params": (name,)}
        else:
            yield Maker(replace(base, imports=tuple(imports))), options


def _containers(
    function: Callable[..., Any],
    options: Mapping[str, Sequence[str]],
    everything: Sequence[Callable[..., Any]],
) -> list[tuple[str, tuple[str, ...], tuple[Slot, ...]]]:
    """A dict or a tuple of weights that a function takes: its name, what makes it, and its slots."""
    for parameter in parameters_of(function) or []:
        name = parameter.name
        sharing = [each for each in everything if name in [p.name for p in parameters_of(each) or []]]
        keys = list(dict.fromkeys(key for each in [function, *sharing] for key in keys_of(each, name)))
        parts = unpacked(function, name)
        attributes = dict.fromkeys(
            each for other in [function, *sharing] for each in attributes_of(other, name)
        )
        members = keys or parts or list(attributes)
        kind = None if keys or parts else class_with_fields(members, everything)
        members = [each.name for each in parameters_of(kind) or []] if kind else members
        if sum(bool({*roles(member)} & {*WEIGHTS}) for member in members) < 2:
            continue
        found: list[tuple[str, tuple[str, ...], tuple[Slot, ...]]] = []
        for kinds in _kinds(members):
            values = [options[kind][0] for kind in kinds]
            if keys:
                inner = ", ".join(f'"{key}": {value}' for key, value in zip(keys, values, strict=True))
                line = f"{name} = {{{inner}}}"
                texts = [f"{name}[{key!r}]" for key in keys]
            elif not parts:
                inner = ", ".join(f"{each}={value}" for each, value in zip(members, values, strict=True))
                made = kind.__name__ if kind else "SimpleNamespace"
                line, texts = f"{name} = {made}({inner})", [f"{name}.{each}" for each in members]
            else:
                line = f"{name} = ({', '.join(values)})"
                texts = list(parts)
            slots = tuple(
                Slot((text,), "", kind, value) for text, kind, value in zip(texts, kinds, values, strict=True)
            )
            found.append((name, (line,), slots))
        return found
    return []


def class_with_fields(members: Sequence[str], everything: Sequence[Any]) -> type | None:
    """Return the NamedTuple or dataclass beside some functions that has these members and no more weights."""
    modules = {sys.modules.get(each.__module__) for each in everything}
    for value in [value for module in modules for value in vars(module).values() if isinstance(value, type)]:
        fields = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", ())
        if fields and {*members} <= {*fields} and len(fields) <= len(WEIGHTS):
            return value
    return None


def _kinds(members: Sequence[str]) -> list[tuple[str, ...]]:
    """What members of a container may be, each weight once, the likeliest by the names first."""
    choices = []
    for member in members:
        named = [role for role in roles(member) if role in WEIGHTS]
        choices.append([*named, *(kind for kind in WEIGHTS if kind not in named)])
    numbered = [list(enumerate(each)) for each in choices]
    products = [each for each in itertools.product(*numbered) if len({kind for _, kind in each}) == len(each)]
    products.sort(key=lambda each: sum(rank for rank, _ in each))
    return [tuple(kind for _, kind in each) for each in products]
