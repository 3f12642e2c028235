"""Makers: how an object is made, and how the weights are put into it."""

import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from parity_tests.adapt.language.calls import Arguments, argument_lists, parameters_of
from parity_tests.adapt.language.layouts import STATE_OF, arranged, axes_of
from parity_tests.adapt.language.names import KINDS, SETUP, WEIGHTS, matches, roles
from parity_tests.adapt.language.objects import held, is_numbers, is_plain, last_name
from parity_tests.adapt.program import Program, Trials, evaluated
from parity_tests.adapt.weights.configs import config_options, imported_in
from parity_tests.adapt.weights.flat import Flat, flat_said, is_flat
from parity_tests.adapt.weights.slots import Slot, assignments, is_whole, slots_in
from parity_tests.cases.arrays import Array
from parity_tests.subjects.adapters.problem import Problem

RATE = "2.0**40"
"""A learning rate: old weights minus new, over it, is the gradient to the last digit."""
KEEP = (
    "",
    "",
    "class Keep:",
    '    """In the optimizer\'s place: a step of 2**40 gradients."""',
    "",
    "    def update(self, w, grad):",
    "        return w - 2.0**40 * grad",
)
BIASES = {"H": "b", "1H": "b[None]", "H1": "b[:, None]"}
SIZES = {**{name: (name,) for name in "DHVTB"}, "L": ("1",)}
SHAPES = ("(B, T, D)", "(T, D)", "(D, H, V)", "(D, H)", "[D, H, V]", "[D, H]")
MOST_MAKERS = 24


@dataclass(frozen=True)
class Maker:
    """One way to make an object with the weights.

    Attributes:
        program: what makes it, as ``net``.
        slots: where the weights are.
        states: what looks like a bias and is taken for a state.
        initial: what the states hold before a forward.
    """

    program: Program
    slots: tuple[Slot, ...] = ()
    states: tuple[Slot, ...] = ()
    initial: tuple[Array, ...] = ()


def weight_options(turned: bool, bias: str) -> dict[str, tuple[str, ...]]:
    """Return the expressions of weights that are given as arguments."""
    end = ".T" if turned else ""
    head = "np.eye(V, H, dtype=x.dtype)" if turned else "np.eye(H, V, dtype=x.dtype)"
    top = {"H": "V", "1H": "(1, V)", "H1": "(V, 1)"}[bias]
    return {
        "Wx": (f"Wx{end}",),
        "Wh": (f"Wh{end}",),
        "Wxh": (f"np.vstack([Wx, Wh]){end}",),
        "Whx": (f"np.vstack([Wh, Wx]){end}",),
        "b": (BIASES[bias],),
        "Wy": (head,),
        "by": (f"np.zeros({top}, x.dtype)",),
    }


def makers(name: str, cls: type, trials: Trials, base: Program, make: str = "") -> Iterator[Maker]:
    """Yield the ways to make an object of a class with the weights of a problem.

    Args:
        name: of the class.
        cls: the class.
        trials: runs them.
        base: the program that it is put into.
        make: the statements of a user's hint; they name the object ``net``.
    """
    parameters = parameters_of(cls)
    count = 0
    configs = dict(config_options(cls, parameters or []))
    flat = flat_said(base.weights)
    configs |= {flat.name: flat.name} if flat else {}
    for text, given in constructions(name, parameters or [], make, configs):
        program = replace(base, imports=(name, *imported_in(text, trials)), make=tuple(text.split("; ")))
        if not program.head and re.search(r"\bV\b", text):
            program = replace(program, head="eye")
        if "Keep" in text:
            program = replace(program, tops=KEEP)
        env = trials.run(program)
        if env is None or "net" not in env:
            continue
        found = _with_flat(program, env, flat) if flat else _with_weights(program, env, trials, given)
        for maker in found:
            yield maker
            count += 1
            if count >= MOST_MAKERS:
                return


def made_objects(name: str, cls: type, trials: Trials) -> Iterator[Any]:
    """Yield some objects of a class, made from weights or sizes."""
    parameters = parameters_of(cls) or []
    for text, _ in itertools.islice(constructions(name, parameters, "", config_options(cls, parameters)), 24):
        imports = (name, *imported_in(text, trials))
        env = trials.run(Program("BTD", imports=imports, make=(text,), head="eye"))
        if env is not None:
            yield env["net"]
            return


def constructions(
    name: str, parameters: list[inspect.Parameter], make: str, configs: Mapping[str, str], layers: str = "1"
) -> Iterator[tuple[str, Arguments]]:
    """Yield the statements that make an object, with the arguments, the likeliest first.

    Args:
        name: of the class.
        parameters: of its constructor.
        make: the statements of a user's hint, nothing for none.
        configs: the expressions of configurations by the names of parameters.
        layers: the expression of the number of layers.
    """
    if make:
        yield make, Arguments(make, {}, {})
        return
    sizes = {**SIZES, "L": (layers,), "rate": (RATE,), "shape": SHAPES, "optimizer": ("Keep()", "Keep")}
    seen = set()
    has_weights = any(set(roles(p.name)) & {*WEIGHTS} for p in parameters)
    for bias in BIASES if has_weights else ("H",):
        for turned in (False, True) if has_weights else (False,):
            options = {**sizes, **(weight_options(turned, bias) if has_weights else {})}
            unknown = (*(WEIGHTS if has_weights else ()), "D", "H", "V")
            lists = argument_lists(
                parameters, options, configs, unknown, optional=("rate", "D", "H", "V", "L", *WEIGHTS)
            )
            whole = (each for each in lists if are_of_one_layer(each))
            for arguments in itertools.islice(whole, 24):
                if arguments.text not in seen:
                    seen.add(arguments.text)
                    yield f"net = {name}({arguments.text})", arguments


def _with_weights(program: Program, env: dict[str, Any], trials: Trials, given: Arguments) -> Iterator[Maker]:
    net, sizes = env["net"], program.sizes(trials.given)
    slots = slots_in("net", net, sizes)
    by_argument = [role for role in given.given if role in (*WEIGHTS, "Wxh", "Whx")]
    found = False
    for filled in assignments(slots):
        chosen = [slot for slot in filled if slot.kind != "state"]
        if program.padded and not any(slot.kind == "Wy" and "D" in slot.axes for slot in chosen):
            continue
        lines = []
        for slot in chosen:
            wanted, there = evaluated(slot.value, env), evaluated(slot.texts[0], env)
            if not (
                by_argument
                and is_numbers(there)
                and is_numbers(wanted)
                and there.shape == wanted.shape
                and (there == wanted).all()
            ):
                lines.append(slot.line)
        if by_argument and any(slot.kind in by_argument and slot.line in lines for slot in chosen):
            continue  # it holds the weights that it was given elsewhere
        found = True
        states = tuple(slot for slot in filled if slot.kind == "state")
        lines += rate_lines(net, program)
        initial = tuple(evaluated(slot.texts[0], env).copy() for slot in states)
        yield Maker(headed(program.adding(make=tuple(lines)), chosen), tuple(chosen), states, initial)
    if by_argument and not slots:
        found = True
        kinds = argument_slots(given)
        yield Maker(headed(program, kinds), kinds)
    if not found and not by_argument and not parameters_of(type(net)):
        yield from _of_fixed_sizes(program, env, trials)
        return
    if not found and not any(slot.axes in ("HH", "KH", "HK") for slot in slots):
        yield from _made_later(program, env, trials, given)


def _with_flat(program: Program, env: dict[str, Any], flat: Flat) -> Iterator[Maker]:
    """An object that is given all weights in one vector, or keeps them in one of that name."""
    if any(re.search(rf"\b{flat.name}\b", line) for line in program.make):
        yield Maker(program, (flat.slot,))
    elif is_flat(getattr(env["net"], flat.name, None), len(env[flat.name])):
        text = f"net.{flat.name}"
        yield Maker(program.adding(make=(f"{text} = {flat.name}",)), (replace(flat.slot, texts=(text,)),))


def _of_fixed_sizes(program: Program, env: dict[str, Any], trials: Trials) -> Iterator[Maker]:
    """An object whose sizes are constants of the module, which are set before it is made."""
    arrays = {last_name(text): value for text, value in held("net", env["net"], 2) if is_numbers(value)}
    for sizes in sizes_by_names(arrays):
        letters = {size: letter for letter, size in sizes.items()}
        named = {
            name: letters[value]
            for name, value in trials.globals.items()
            if isinstance(value, int) and not isinstance(value, bool) and value in letters
        }
        module = trials.name
        lines = tuple(f"{module}.{name} = {letter}" for name, letter in named.items())
        more = replace(program, imports=(".", *program.imports), make=(*lines, *program.make))
        more = replace(more, head=more.head or "eye") if "V" in named.values() else more
        made = trials.run(more)
        if made is None:
            continue
        for filled in assignments(slots_in("net", made["net"], more.sizes(trials.given))):
            chosen = tuple(slot for slot in filled if slot.kind != "state")
            states = tuple(slot for slot in filled if slot.kind == "state")
            filling = tuple(slot.line for slot in chosen)
            initial = tuple(evaluated(slot.texts[0], made).copy() for slot in states)
            yield Maker(headed(more.adding(make=filling), chosen), chosen, states, initial)


def sizes_by_names(arrays: Mapping[str, Array]) -> Iterator[dict[str, int]]:
    """Yield the sizes that arrays may have by letter, as their names say."""
    squares = [
        value.shape[0] for value in arrays.values() if value.ndim == 2 and value.shape[0] == value.shape[1]
    ]
    for H in dict.fromkeys(squares):
        others: dict[str, int] = {}
        for name, value in arrays.items():
            for size in value.shape:
                if value.ndim == 2 and size not in (1, H):
                    role = next((role for role in roles(name) if role in WEIGHTS), "Wx")
                    others.setdefault("V" if role == "Wy" else "D", size)
        if others.get("V") == others.get("D"):
            others.pop("V", None)
        if "D" in others:
            yield {"H": H, **others}


def are_of_one_layer(given: Arguments) -> bool:
    """Whether the weights among some arguments are those of one layer, or there are none."""
    kinds = [slot.kind for slot in argument_slots(given)]
    return not kinds or is_whole(kinds)


def argument_slots(given: Arguments) -> tuple[Slot, ...]:
    """The weights among the arguments of a call, as slots that keep nothing."""
    return tuple(
        Slot((given.names[role],), "", "b" if text.startswith("b") else role, text)
        for role, text in given.given.items()
        if role in (*WEIGHTS, "Wxh", "Whx")
    )


def rate_lines(net: Any, program: Program) -> list[str]:
    """The statements that set a learning rate which no argument sets."""
    if any(RATE in line for line in program.make) or not hasattr(net, "__dict__"):
        return []
    named = {name: value for name, value in vars(net).items() if isinstance(value, float)}
    return [f"net.{name} = {RATE}" for name in named if "rate" in roles(name)]


def headed(program: Program, slots: Iterable[Slot]) -> Program:
    """Return a program with the tricks that its slots need: for a head, and for a missing bias."""
    kinds = {slot.kind for slot in slots}
    is_forged = program.head == "forged"
    program = replace(program, head="eye" if "Wy" in kinds else "scalar" if "Wy1" in kinds else "")
    if not any(kind == "b" or (kind.startswith("W") and "b" in kind) for kind in kinds):
        program = replace(program, ones=True)
    if is_forged and program.head == "eye":
        has_top = bool({"by", "byD"} & kinds)
        program = replace(program.forged(), unit=not has_top)
    return program


def _made_later(
    program: Program, env: dict[str, Any], trials: Trials, given: Arguments, depth: int = 2
) -> Iterator[Maker]:
    """Weights that another method makes, of the object or of one in it."""
    net = env["net"]
    inner = [(f"net.{name}", value) for name, value in vars(net).items()] if hasattr(net, "__dict__") else []
    roots = [
        ("net", net),
        *((text, value) for text, value in inner if hasattr(value, "__dict__") and not is_plain(value)),
    ]
    for root, value in roots if depth else ():
        empty = [name for name, held_there in vars(value).items() if held_there is None]
        lines = tuple(f"{root}.{name} = {size}" for name in empty if (size := _size_of(name)))
        for name in dir(type(value)):
            if matches(name, SETUP) and not name.startswith("__"):
                yield from _set_up(program, trials, given, depth, root, name, getattr(value, name), lines)


def _size_of(name: str) -> str:
    """What an attribute without a value is given before weights are made, by its name; none if it is a weight."""
    if {*roles(name)} & {*WEIGHTS}:
        return ""
    return next(
        ("(T, D)" if role == "shape" else role for role in roles(name) if role in (*KINDS, "shape")), ""
    )


def _set_up(
    program: Program,
    trials: Trials,
    given: Arguments,
    depth: int,
    root: str,
    name: str,
    method: Any,
    lines: tuple[str, ...],
) -> Iterator[Maker]:
    options = {
        **SIZES,
        "rate": (RATE,),
        "shape": ("(B, T, D)", "(T, D)", "(D,)"),
        "optimizer": ("Keep()", "Keep"),
    }
    lists = argument_lists(
        parameters_of(method) or [], options, unknown=("D", "H", "V", "shape", "optimizer")
    )
    for arguments in itertools.islice(lists, 12):
        call = f"{root}.{name}({arguments.text})"
        if call in program.make:
            return
        more = program.adding(make=(*lines, call))
        if "Keep" in arguments.text:
            more = replace(more, tops=KEEP)
        made = trials.run(more) or {}
        if "net" in made:
            if slots_in("net", made["net"], more.sizes(trials.given)):
                yield from _with_weights(more, made, trials, given)
            elif depth > 1:
                yield from _made_later(more, made, trials, given, depth - 1)


def starting_lines(
    net: Any, layout: str, have: str, program: Program, given: Problem, slots: tuple[Slot, ...]
) -> list[str]:
    """Return the statements that may give an object its initial state, the likeliest first."""
    own = {text for slot in slots for text in slot.texts}
    found = []
    for name in dir(type(net)):
        if name in ("set_state", "set_hidden", "set_h", "init_state", "set_initial_state") and callable(
            getattr(net, name)
        ):
            found += [f"net.{name}({arranged('h', have, axes)})" for axes in STATE_OF[layout]]
    for name, value in vars(net).items() if hasattr(net, "__dict__") else ():
        text = f"net.{name}"
        if text in own or name.startswith("__"):
            continue
        named = roles(name)
        axes = axes_of(value.shape, program.sizes(given)) if is_numbers(value) else None
        if axes in ("BH", "HB", "1H", "H1", "H", "1BH") and ("h" in named or not value.any()):
            if {*axes} - {*have, "1"} <= set():
                found.append(f"{text} = {arranged('h', have, axes)}")
        elif value is None and "h" in named:
            found += [f"{text} = {arranged('h', have, axes)}" for axes in STATE_OF[layout]]
    return found
