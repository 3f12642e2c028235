"""What a target looks like that has none of the interfaces, in the words of a colleague, and the next command."""

import ast
import inspect
import re
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from parity_tests.subjects import signatures
from parity_tests.subjects.signatures import (
    BIAS,
    WEIGHT,
    has,
    made_by,
    origin,
    parameters_of_method,
    required,
)
from parity_tests.words import in_words

FORCE = "--as layer|cell|module|adapter"
MAX_METHODS_LISTED = 6
GRADIENTS = "dx,dh_0,dWx,dWh,db"

_CELL_STATE = re.compile(
    r"c_?(prev|0|t|old|last|init)|(prev|last|old)_?c|cell_?states?|cell_prev|memory_cell"
)
_HIDDEN = re.compile(r"h\w{0,5}|hidden\w*|state|(prev|last|old)_?h")
_NAMES = {"LSTM": re.compile(r"lstm", re.IGNORECASE), "GRU": re.compile(r"GRU|Gru(?![a-z])|(^|_)gru(_|$)")}
_SIZE = re.compile(
    r"(n|num|dim|size|len)_?\w+|\w*(size|dim|dims|dimension|width|features|units|neurons|nodes|hidden|len)"
    r"|hidden|inputs?|outputs?|vocab|[DHION]"
)
_TORCH = {
    ("torch.nn.modules.module", "Module"): "a torch.nn.Module",
    ("torch.autograd.function", "Function"): "a torch.autograd.Function",
}


def adapt_command(spec: str, obj: Any = None) -> str:
    """Return the command that looks for an adapter.

    Args:
        spec: what the target is called.
        obj: the target, if it was given as an object; the command needs its file.
    """
    if obj is not None and ":" not in spec:
        spec = _with_file(obj)
    return f"rnn-parity adapt {shlex.quote(spec)} -o adapter.py"


def _with_file(obj: Any) -> str:
    inner = origin(obj)
    name = getattr(inner, "__qualname__", "NAME")
    try:
        file = Path(inspect.getsourcefile(inner) or "FILE")
    except (TypeError, OSError):
        return "FILE:NAME"
    here = Path.cwd()
    return (
        f"{file.relative_to(here) if file.is_relative_to(here) else file}:{name.rpartition('<locals>.')[2]}"
    )


def torch_class(obj: Any) -> str:
    """Which class of torch a class is derived from, with its article; ``""`` if from none."""
    inner = origin(obj)
    bases = inner.__mro__ if isinstance(inner, type) else ()
    return next((words for base in bases if (words := _TORCH.get((base.__module__, base.__qualname__)))), "")


def is_of_torch(found: Any) -> bool:
    """Whether it is a module or a class of torch's, or derived from one."""
    if isinstance(found, ModuleType):
        return f"{found.__name__}.".startswith("torch.")
    return bool(torch_class(found))


def refusal_of_torch(obj: Any, spec: str) -> str:
    """Why a class of torch's cannot be judged as it is, and the next command; ``""`` for other classes."""
    what = torch_class(obj)
    if not what:
        return ""
    return (
        f"{spec} is {what}: it takes torch tensors, and the gate gives NumPy arrays. "
        f"`{adapt_command(spec, obj)}` writes an adapter that stands between them"
    )


def gates_in_signature(obj: Any) -> tuple[str, str]:
    """Whether a class or function says that it is an LSTM or a GRU: which one, and what says so; or ``""``."""
    inner = origin(obj)
    if not isinstance(inner, type):
        takers = [("it", signatures.parameters(obj))]
    else:
        takers = [
            (f"its {method}", parameters_of_method(inner, method))
            for method in ("forward", "set_state", "step", "__call__")
            if has(inner, method) and (method != "__call__" or "__call__" in vars(inner))
        ]
    for who, given in takers:
        names = [parameter.name for parameter in given]
        # The first is the input, or torch's ctx.
        states = [n for n in names[1:] if _CELL_STATE.fullmatch(n)]
        # A c behind h is one; behind b it is a second bias.
        states += [now for before, now in pairwise(names) if now == "c" and _HIDDEN.fullmatch(before)]
        if states:
            return "LSTM", f"{who} takes {states[0]}, a cell state"
    name = getattr(inner, "__name__", "")
    return next(
        ((unit, f"its name is {name}") for unit, named in _NAMES.items() if named.search(name)), ("", "")
    )


def gates_in_source(obj: Any) -> tuple[str, str]:
    """The same from its source: weights for three or four gates."""
    tree = _tree(origin(obj))
    sizes = [size for node in ast.walk(tree) for size in _sizes(node)]
    gates = {_gates(size) for size in sizes} | {_parts(node) for node in ast.walk(tree)}
    last = any(_gates(node.lower) == 3 for node in ast.walk(tree) if isinstance(node, ast.Slice))
    if 4 in gates or last:
        return "LSTM", "its code has weights for four gates, 4 H"
    if 3 in gates:
        return "GRU", "its code has weights for three gates, 3 H"
    letters = {letter for name in _attributes(tree) if (letter := _letter(name))}
    if {"f", "i", "o"} <= letters:
        return "LSTM", "it has weights for an input, a forget and an output gate"
    if {"z", "r"} <= letters:
        return "GRU", "it has weights for an update and a reset gate"
    return "", ""


def gates_of(subject: Any) -> tuple[str, str]:
    """The same of the first class that a subject has."""
    holder = getattr(subject, "nn", subject)
    found = [getattr(holder, name) for name in ("TimeRNN", "RNN", "RNNCell") if hasattr(holder, name)]
    return gates_in_source(found[0]) if found else ("", "")


_MAKERS = ("zeros", "empty", "ones", "randn", "normal", "uniform", "standard_normal", "reshape", "rand")
"""Functions that are given a shape."""
_SPLITTERS = ("split", "hsplit", "vsplit", "array_split")
"""Functions that are given a number of parts."""


def _sizes(node: ast.AST) -> list[ast.AST | None]:
    """The sizes in a node of the source: bounds of a slice, or a shape."""
    if isinstance(node, ast.Slice):
        return [node.lower, node.upper]
    if not isinstance(node, ast.Call):
        return []
    if _name(node) not in _MAKERS:
        return []
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return [size for one in given for size in (one.elts if isinstance(one, ast.Tuple | ast.List) else [one])]


def _gates(size: ast.AST | None) -> int:
    """The number of gates in ``3 * H`` or ``4 * H``, else 0."""
    if isinstance(size, ast.BinOp) and isinstance(size.op, ast.Mult):
        for number, other in ((size.left, size.right), (size.right, size.left)):
            if isinstance(other, ast.Name | ast.Attribute):
                return _number(number)
    return 0


def _parts(node: ast.AST) -> int:
    """The number of gates in ``split(a, 4, axis=1)``, else 0."""
    if not isinstance(node, ast.Call) or _name(node) not in _SPLITTERS or len(node.args) < 2:
        return 0
    return _number(node.args[1])


def _number(node: ast.AST) -> int:
    value = node.value if isinstance(node, ast.Constant) else 0
    return value if isinstance(value, int) and value in (3, 4) else 0


def _name(node: ast.Call) -> str:
    """What is called, without the object that it belongs to."""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def _attributes(tree: ast.AST) -> Iterable[str]:
    """Names that may be weights: parameters, attributes and keys."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif _is_set(node):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _letter(name: str) -> str:
    """The gate that a weight such as ``Wf``, ``W_xi`` or ``U_o`` is of, or ``""``."""
    found = re.fullmatch(r"[WwUu]_?[xh]?_?([fiogczr])[xh]?", name)
    return found[1] if found else ""


def refusal_of_gates(spec: str, unit: str, evidence: str) -> str:
    """Why an LSTM or a GRU cannot be judged."""
    article = "an" if unit == "LSTM" else "a"
    return (
        f"{spec} looks like {article} {unit}: {evidence}. {article.capitalize()} {unit} cannot be judged yet: "
        "the gate knows h_t = tanh(x_t Wx + h_{t-1} Wh + b), and relu for tanh"
    )


def refusal(obj: Any, spec: str) -> str:
    """Why a class or function is not recognised, and the next command."""
    unit, evidence = gates_in_signature(obj)
    if unit:
        return refusal_of_gates(spec, unit, evidence)
    unit, evidence = gates_in_source(obj)
    if unit:
        command = adapt_command(spec, obj)
        return f"{refusal_of_gates(spec, unit, evidence)}. If it is none, `{command}` looks for an adapter"
    inner = origin(obj)
    reading, first = _reading(obj, inner) if isinstance(inner, type) else (_reading_of_call(inner), "")
    first = first and f"`rnn-parity {spec} {first}` judges its forward; "
    return (
        f"{spec}: cannot tell what it is, {signatures.described(obj)}: {reading}. "
        f"{first}`{adapt_command(spec, obj)}` looks for an adapter; if it has one of the gate's own "
        f"interfaces, say so with {FORCE}"
    )


def _reading_of_call(inner: Any) -> str:
    if not inspect.isroutine(inner):
        return "it is an object, and the gate makes its own: name the class, or a function"
    return "an adapter is a function of one argument, the problem"


def _reading(obj: Any, cls: type) -> tuple[str, str]:
    """Why a class has none of the interfaces; and the options with which it is judged at once, or ``""``."""
    made = made_by(obj)
    needed = required([p for p in made if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)])
    if not has(cls, "forward"):
        return f"the gate calls forward and backward, and it has {_methods(cls)}", ""
    if {"input_size", "hidden_size"} <= {*needed} and len(needed) > 2:
        more = [name for name in needed if name not in ("input_size", "hidden_size")]
        return f"besides input_size and hidden_size it needs {in_words(more)}", ""
    weights = len(needed) >= 3 and all(map(WEIGHT.fullmatch, needed[:2])) and BIAS.fullmatch(needed[2])
    if weights and len(needed) > 3:
        return f"besides its weights it needs {in_words(needed[3:])}", ""
    if weights and not has(cls, "backward"):
        return "it is a forward alone", _forward_alone(cls)
    if not needed:
        return "it is made from nothing, so its weights and sizes are its own", ""
    if sum(bool(_SIZE.fullmatch(name)) for name in needed) >= min(2, len(needed)):
        sizes = [name for name in needed if _SIZE.fullmatch(name)]
        return f"it is made from sizes, {in_words(sizes)}, and where its weights are is not known", ""
    if not has(cls, "backward"):
        return "it is a forward alone", ""
    return "its constructor or its forward takes other arguments than those of the gate's interfaces", ""


def _methods(cls: type) -> str:
    names = [name for name in vars(cls) if not name.startswith("_") and callable(getattr(cls, name, None))]
    more = ", ..." if len(names) > MAX_METHODS_LISTED else ""
    return f"{', '.join(names[:MAX_METHODS_LISTED])}{more}" if names else "no method"


def _forward_alone(cls: type) -> str:
    given: Sequence[str] = required(parameters_of_method(cls, "forward"))
    if len(given) == 2:
        return f"--as cell --without {GRADIENTS}"
    if len(given) != 1:
        return ""
    lacks = GRADIENTS
    if not any("h" in _stored(base) for base in cls.__mro__[:-1]):
        lacks += ",h_n"
    if not has(cls, "set_state") or "stateful" not in [parameter.name for parameter in made_by(cls)]:
        lacks += ",initial-state,state"
    return f"--as layer --without {lacks}"


def _stored(cls: type) -> set[str]:
    """The attributes that a class's own source sets."""
    return {node.attr for node in ast.walk(_tree(cls)) if _is_set(node)}


def _is_set(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)


def _tree(obj: Any) -> ast.AST:
    """The source of a class or function, parsed; an empty module where there is none."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(obj)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return ast.Module([], [])
