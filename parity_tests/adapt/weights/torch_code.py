"""Torch's modules and autograd functions: ``helpers.TorchCode`` calls them with arrays."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from parity_tests.adapt.language.calls import Callee, argument_lists, parameters_of
from parity_tests.adapt.language.names import roles
from parity_tests.adapt.program import Program, Trials
from parity_tests.adapt.weights.making import BIASES, SIZES, Maker, headed, weight_options
from parity_tests.adapt.weights.slots import assignments, slots_in


def is_torch(cls: type) -> str:
    """Return what of torch a class is: module, function, or nothing."""
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    if issubclass(cls, torch.autograd.Function):
        return "function"
    return "module" if issubclass(cls, torch.nn.Module) else ""


def torch_pairs(
    name: str, cls: Any, trials: Trials, bases: Sequence[Program]
) -> tuple[list[tuple[Maker, Callee]], list[Callee]]:
    """Return the ways to make and call a class of torch, and its backward."""
    parameters = (parameters_of(cls.forward) or [])[1:]
    needed = [p for p in parameters if p.default is p.empty]
    states = [p for p in parameters if p not in needed and "h" in roles(p.name)]
    given = [p.name for p in [*needed, *states]]
    plain = [
        [p.replace(kind=p.POSITIONAL_OR_KEYWORD, default=p.empty) for p in each]
        for each in ([*needed, *states], needed)
    ]
    functions = [_with_signature(inspect.Signature(each)) for each in (plain if states else plain[:1])]
    back = Callee(
        "net.backward",
        _with_signature(inspect.Signature([_PARAMETER])),
        0,
        tuple(f"d{each}" for each in given),
    )
    pairs: list[tuple[Maker, Callee]] = []
    for base in bases:
        if base.symbols or base.head:
            continue
        base = replace(base, imports=("TorchCode", name))
        if is_torch(cls) == "function":
            program = replace(base, make=(f"net = TorchCode({name}.apply)",))
            callees = [Callee("net.forward", functions[0], 0, (), options) for options in _options()]
            pairs += [(Maker(program), callee) for callee in callees]
        else:
            callees = [Callee("net.forward", function) for function in functions]
            pairs += [(maker, callee) for maker in _modules(name, cls, trials, base) for callee in callees]
    return pairs, [back]


_PARAMETER = inspect.Parameter("d", inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _with_signature(signature: inspect.Signature) -> Any:
    def function(*_: Any) -> None:
        """Stands for code of torch's."""

    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _options() -> Iterator[dict[str, Sequence[str]]]:
    """The ways to give a function its weights, torch's own orientation first; one bias, or two."""
    for turned in (True, False):
        for bias in BIASES:
            plain = weight_options(turned, bias)
            half = f"{plain['b'][0]} / 2"
            yield {"Wx": plain["Wx"], "Wh": plain["Wh"], "b": (half,), "by": (half,)}
            yield {"Wx": plain["Wx"], "Wh": plain["Wh"], "b": plain["b"]}


def _modules(name: str, cls: Any, trials: Trials, base: Program) -> Iterator[Maker]:
    """The ways to make a module with the weights."""
    unknown = ("D", "H", "V")
    seen: set[str] = set()
    for arguments in argument_lists(parameters_of(cls) or [], SIZES, unknown=unknown, optional=unknown):
        line = f"net = TorchCode({name}({arguments.text}))"
        if line in seen or len(seen) > 12:
            continue
        seen.add(line)
        program = replace(base, make=(line,), head="eye")
        env = trials.run(program)
        if env is None:
            continue
        slots = slots_in("net.weights", env["net"].weights, program.sizes(trials.given))
        for filled in assignments(slots):
            chosen = tuple(slot for slot in filled if slot.kind != "state")
            yield Maker(headed(program.adding(make=tuple(slot.line for slot in chosen)), chosen), chosen)
