"""The backward of code that is called step by step."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parity_tests.adapt.calling.gradients import Gradients, is_named_gradient, results_of, slot_texts
from parity_tests.adapt.calling.reading import Reading
from parity_tests.adapt.language.calls import Arguments, Callee
from parity_tests.adapt.language.layouts import arranged, axes_of, read
from parity_tests.adapt.language.objects import held, is_numbers
from parity_tests.adapt.language.said import lists_for
from parity_tests.adapt.program import GRADIENTS, Program, Trials, evaluated
from parity_tests.adapt.weights.making import RATE, SIZES
from parity_tests.bound_numpy import np


@dataclass(frozen=True)
class StepBackward:
    """The search for the backward of a step.

    Attributes:
        trials: runs programs.
        found: finds gradients.
    """

    trials: Trials
    found: Gradients

    def programs(self, reading: Reading, callee: Callee) -> Iterator[Program]:
        """Yield the programs that call a backward step by step."""
        yield from _step_programs(self, reading, callee)


def _step_programs(search: StepBackward, reading: Reading, callee: Callee) -> Iterator[Program]:
    """Yield the programs that call a backward step by step."""
    for fresh in (False, True) if "net." in callee.text else (False,):
        forward = _forward(reading, fresh=fresh)
        if forward is None:
            continue
        if fresh != _needs_fresh(search, reading, callee):
            continue
        said = [each.text for each in callee.said or () if each.role == "d" and each.text]
        for upstream in said or _upstreams(reading):
            options = _options(search, reading, upstream, forward)
            named = {name: f"outs[t][{n}]" for n, name in enumerate(reading.callee.returned)}
            if len(reading.callee.returned) == 1:
                named = {}
            for arguments in lists_for(callee, options, named, ("d", "cache", "x", "h"), ("x",)):
                if "d" in arguments.given:
                    found = _program(search, reading, callee, forward, arguments, fresh=fresh)
                    if found is not None:
                        yield found


def _needs_fresh(search: StepBackward, reading: Reading, callee: Callee) -> bool:
    """Whether an object keeps one step only, so that each step needs one of its own.

    An object that keeps all steps has something that grows with them.
    """
    if "net." not in callee.text:
        return False
    if "TorchCode" in reading.program.imports:
        return True
    sizes = []
    for T in (2, 3):
        given = search.trials.given
        env = search.trials.run(
            reading.program, given=replace(given, xs=given.xs[:, :T], dhs=given.dhs[:, :T])
        )
        if env is None:
            return False
        sizes.append(_lengths(env["net"]))
    if sizes[0] != sizes[1]:
        return False
    env = search.trials.run(reading.program) or {}
    return _keeps(env.get("net"), reading)


def _keeps(net: Any, reading: Reading) -> bool:
    """Whether an object has anything besides its weights."""
    own = {text for slot in reading.maker.slots for text in slot.texts}
    return any(text not in own for text, _ in held("net", net))


def _lengths(value: Any, depth: int = 3) -> list[int]:
    found = []
    items = list(vars(value).values()) if hasattr(value, "__dict__") else []
    for item in items:
        if isinstance(item, list | dict | tuple):
            found.append(len(item))
        elif depth and hasattr(item, "__dict__") and not isinstance(item, type):
            found += _lengths(item, depth - 1)
    return found


def _forward(reading: Reading, *, fresh: bool) -> tuple[str, ...] | None:
    """The lines of the forward that keep what the backward of a step may need."""
    lines = list(reading.program.forward)
    start = lines.index("for t in range(T):")
    body = [line for line in lines[start + 1 :] if line.startswith("    ")]
    before, after = lines[:start], lines[start + 1 + len(body) :]
    if reading.arguments.given.get("h"):
        before.append("before = []")
        body.insert(0, "    before.append(h)")
    if fresh:
        before.append("nets = []")
        body[:0] = [f"    {line}" for line in reading.program.make]
        body.append("    nets.append(net)")
    return (*before, "for t in range(T):", *body, *after)


def _upstreams(reading: Reading) -> Iterator[str]:
    """What a step's gradient may be: its own and the carry."""
    is_batch = reading.program.frame == "BTD"
    have = "BH" if is_batch else "H"
    yield f"{arranged('d[:, t]' if is_batch else 'd[t]', have, reading.axes)} + carry"


def _options(
    search: StepBackward, reading: Reading, upstream: str, forward: Sequence[str]
) -> dict[str, Sequence[str]]:
    given = reading.arguments.given
    options: dict[str, Sequence[str]] = {**SIZES, "rate": (RATE,), "d": (upstream,)}
    options |= {role: (text,) for role, text in given.items() if role not in options and role != "h"}
    options |= dict(reading.callee.options or {})
    env = search.trials.run(reading.program) or {}
    outs = env.get("outs")
    out = outs[0] if isinstance(outs, list) and outs else None
    whole = [f"outs[t][{number}]" for number in range(len(out))] if isinstance(out, tuple) else []
    at_first = dict(env, t=0)
    options["cache"] = [text for text in whole if not is_numbers(evaluated(text, at_first))] or ["outs[t]"]
    if "before = []" in forward:
        options["h"] = ("before[t]", "states[t]")
    return options


def _program(
    search: StepBackward,
    reading: Reading,
    callee: Callee,
    forward: tuple[str, ...],
    arguments: Arguments,
    *,
    fresh: bool,
) -> Program | None:
    """The program of one call, with the gradients that are found in it."""
    call = f"back = {callee.text}({arguments.text})"
    net = ["net = nets[t]"] if fresh else []
    make = () if fresh else reading.program.make
    zero = "carry = np.zeros_like(states[0])"
    one = replace(reading.program, make=make, forward=forward, backward=("t = T - 1", zero, *net, call))
    before, after = (
        search.trials.run(replace(one, backward=("t = T - 1", zero, *net)), backward=True),
        search.trials.run(one, backward=True),
    )
    if before is None or after is None:
        return None
    results = results_of(before, after, callee, slot_texts(reading))
    found = _of_step(search, reading, results, after, one)
    if not {"dWx", "dWh"} & {*found}:
        return None
    return _loop(search, reading, replace(one, backward=()), call, found, net, zero)


def _of_step(
    search: StepBackward, reading: Reading, results: Sequence[Any], env: dict[str, Any], program: Program
) -> dict[str, str]:
    """The gradients of one step by the names of tensors; dh_0 is what goes to the step before."""
    row = replace(reading, program=replace(reading.program, starts=True))
    found = {
        name: text
        for name, text in search.found.gradients(results, row, env, program).items()
        if name not in ("dx", "dh_0")
    }
    have = reading.program.frame.replace("T", "")
    sizes = {k: v for k, v in reading.program.sizes(search.trials.given).items() if k in have or k == "H"}
    if reading.program.ones:
        sizes["D"] += 1
    taken = list(found.values())
    state = have.replace("D", "H")
    for name, want in (("dx", have), ("dh_0", state)):
        for each in results:
            axes = axes_of(each.array.shape, sizes)
            is_free = not any(text.startswith(each.text) for text in taken)
            text = read(each.text, axes, want) if axes else None
            if text is not None and is_free and (each.returned or is_named_gradient(each.name, name)):
                found[name] = each.text
                taken.append(each.text)
                break
    return found


def _loop(
    search: StepBackward,
    reading: Reading,
    program: Program,
    call: str,
    found: Mapping[str, str],
    net: list[str],
    zero: str,
) -> Program | None:
    """The loop over the steps, from the last to the first."""
    have = reading.program.frame.replace("T", "")
    kept = [name for name in GRADIENTS if name in found and name != "dh_0"]
    grows = {
        name: _accumulates(search, program, call, found[name], net, zero) for name in kept if name != "dx"
    }
    # What one gradient does, all should: a single one that is overwritten is a fault.
    grows = dict.fromkeys(grows, True) if any(grows.values()) else grows
    inside = "dh_0" not in found
    if inside:
        call = call.replace(" + carry", "")
    copies = ", ".join(
        found[name] if found[name].startswith("back") else f"1 * {found[name]}" for name in kept
    )
    lines = (
        *([] if inside else [zero]),
        "backs = []",
        "for t in reversed(range(T)):",
        *(f"    {line}" for line in net),
        f"    {call}",
        *([] if inside else [f"    carry = {found['dh_0']}"]),
        f"    backs.append(({copies},))",
    )
    gradients = {}
    for number, name in enumerate(kept):
        if name == "dx":
            env = search.trials.run(replace(program, backward=lines), backward=True)
            value = env["backs"][0][number] if env else None
            sizes = {k: v for k, v in reading.program.sizes(search.trials.given).items() if k in have}
            if reading.program.ones:
                sizes["D"] += 1
            axes = axes_of(np.asarray(value).shape, sizes)
            text = read(
                f"np.array([each[{number}] for each in backs[::-1]])", f"T{axes}", reading.program.frame
            )
            end = "[..., :-1]" if reading.program.ones else ""
            if text:
                gradients[name] = f"{text}{end}"
        elif grows[name]:
            gradients[name] = f"backs[-1][{number}]"
        else:
            gradients[name] = f"sum(each[{number}] for each in backs)"
    if not inside and reading.program.starts:
        text = read("carry", reading.axes, have.replace("D", "H"))
        if text:
            gradients["dh_0"] = text
    done = replace(
        program, backward=lines, gradients={name: gradients[name] for name in GRADIENTS if name in gradients}
    )
    env = search.trials.run(done, backward=True)
    return done if env is not None else None


def _accumulates(
    search: StepBackward, program: Program, call: str, text: str, net: list[str], zero: str
) -> bool:
    """Whether a gradient is added to what is there; seen by calling twice with what was planted between."""
    first = ("t = T - 1", zero, *net, call, f"once = 1 * ({text})")
    env = search.trials.run(replace(program, backward=first), backward=True)
    if env is None or text.startswith("back"):
        again = (*first, call, f"twice = 1 * ({text})")
    else:
        places = re.findall(r"net(?:\.\w+|\['[^']*'\]|\[\d+\])+", text.replace(".T", ""))
        plant = [f"{place}[...] = 1000.0" for place in places]
        again = (*first, *plant, call, f"twice = 1 * ({text})")
    env = search.trials.run(replace(program, backward=again), backward=True)
    if env is None or not is_numbers(np.asarray(env.get("twice"))):
        return False
    return bool(np.median(np.abs(env["twice"])) > 500)
