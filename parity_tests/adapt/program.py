"""A program: the parts of an adapter, written out for a trial or for a file."""

import importlib
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Self

from parity_tests.adapt.helpers import SUMMED, TorchCode
from parity_tests.bound_numpy import np
from parity_tests.subjects.adapters.problem import Problem

HELPERS = ("TorchCode", "each_row", "each_row_shared")
"""What adapters import of the gate."""
FOREIGN = (".", *HELPERS, "SimpleNamespace")
"""Imports that are no names of the user's module: a dot is the module itself."""
WIDER = 2
"""Outputs of a head on the probe beyond H, so that its shape differs from that of Wh."""
FORGED = 11
"""Outputs of a forged head on the probe beyond T, so that its size is none of the others."""
MOST_LINES = 30
"""Lines of an adapter without the comment at its head; what is longer imports ``each_row``."""
GRADIENTS = ("dx", "dh_0", "dWx", "dWh", "db")
WIDE_READ = "[..., :H]"
"""How the states are read from outputs that are wider; a finished adapter has no wider ones."""


@dataclass(frozen=True)
class Program:
    """An adapter in parts; each line is a statement of the body.

    Attributes:
        frame: the axes of the input that the body is given: BTD, or TD for a row at a time.
        imports: the names of the user's module that it uses; a dot stands for the module itself.
        tops: lines in front of the function.
        make: what makes the object and puts the weights in.
        forward: the calls of the forward.
        results: the expressions of states, by the names of tensors.
        backward: the calls of the backward.
        gradients: their expressions, by the names of tensors.
        head: how a head around the states is taken away: eye, forged, or nothing.
        weights: a statement of the user's about the weights.
        ones: whether the bias is one more input that is 1.
        unit: whether a bias of the output is one more hidden unit that is 1.
        symbols: whether inputs are indices, one symbol a step.
        padded: whether the input is wider by H zeros, so that a head as wide as the input can be the identity.
        starts: whether it has a place for the initial state.
        last: whether only the last state has a gradient.
        notes: what was read, for the head of the adapter.
        told: what the user has to be told.
        returned: the names of what the backward returns, from its source.
        declares: what the adapter declares, such as ``nonlinearity="relu"``.
    """

    frame: str
    imports: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    backward: tuple[str, ...] = ()
    gradients: Mapping[str, str] = field(default_factory=dict)
    head: str = ""
    weights: str = ""
    ones: bool = False
    unit: bool = False
    symbols: bool = False
    padded: bool = False
    starts: bool = True
    last: bool = False
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    declares: tuple[str, ...] = ()

    def adding(self, **parts: tuple[str, ...]) -> Self:
        """Return it with lines added to some of its parts."""
        longer: dict[str, Any] = {name: (*getattr(self, name), *lines) for name, lines in parts.items()}
        return replace(self, **longer)

    def body(self, *, wide: bool, backward: bool = True) -> list[str]:
        """Return the statements of the body.

        Args:
            wide: whether a head is wider than the states, as on the probe.
            backward: whether the backward is among them.
        """
        calls = [*self.make, *self.forward, *(self.backward if backward else ())]
        used = [*calls, *self.results.values(), *(self.gradients.values() if backward else ())]
        lines = [*self._given(used, wide=wide), *calls]
        return lines if wide or not self.narrows else [_narrow(line) for line in lines]

    @property
    def narrows(self) -> bool:
        """Whether a finished adapter has a narrower head than its trials: as wide as the states."""
        return self.head == "eye" and not self.padded

    def sizes(self, given: Problem) -> dict[str, int]:
        """The sizes of a problem by letter, as its programs see them on the probe."""
        B, T, D = given.xs.shape
        H = len(given.b) + self.unit
        width = T + FORGED if self.head == "forged" or self.symbols else H + WIDER
        sizes = {"B": B, "T": T, "D": width if self.symbols else D + H * self.padded, "H": H}
        if not self.symbols and not self.padded:
            sizes["V"] = width
        if self.frame == "TD":
            del sizes["B"]
        return sizes

    def copied(self, values: Iterable[str]) -> Self:
        """Return it with copies of these expressions, which the code writes into."""
        make, longest_first = [], sorted({*values}, key=len, reverse=True)
        for line in self.make:
            for value in longest_first:
                line = re.sub(rf"(?<=[(, =]){re.escape(value)}(?=[,)}}]|$)", f"{value}.copy()", line)
            make.append(line)
        return replace(self, make=tuple(make))

    def forged(self) -> "Program":
        """Return it with a head that makes the gradient of the loss dhs."""
        new = {
            name: tuple(_forged(line) for line in getattr(self, name))
            for name in ("make", "forward", "backward")
        }
        return replace(
            self, head="forged", make=new["make"], forward=new["forward"], backward=new["backward"]
        )

    def _given(self, used: list[str], *, wide: bool) -> list[str]:
        lines = self._tricks()
        if self.narrows and not wide:
            used = [_narrow(line) for line in used]
        words = {*re.findall(r"\b[A-Za-z_]\w*\b", " ".join([*used, *lines]))}
        if self.padded:
            lines += ["dy = d @ np.eye(H, V, dtype=d.dtype)"] * ("dy" in words)
        elif self.head == "eye" and words & {"V", "dy"} and wide:
            words.add("H")
            lines += ["V = H + 2", "dy = d @ np.eye(H, V, dtype=d.dtype)"]
        lines = [line.replace("V = T + 1", f"V = T + {FORGED}") if wide else line for line in lines]
        return sizes_used(self.frame, [" ".join(words)], "len(b)") + lines

    def _tricks(self) -> list[str]:
        """The lines that put what is missing into the weights."""
        lines = [self.weights] if self.weights else []
        if self.unit:
            lines += [
                "Wx, Wh = np.pad(Wx, ((0, 0), (0, 1))), np.pad(Wh, ((0, 1), (0, 1)))",
                "b, h, d = np.append(b, b.dtype.type(20)), np.append(h, h.dtype.type(0)), np.pad(d, ((0, 0), (0, 1)))",
                "H = len(b)  # one more unit, which is always 1: tanh(20)",
            ]
        if self.head == "forged" or self.symbols:
            lines.append("V = T + 1")
        if self.symbols:
            sums = "x @ Wx + b" if self.ones else "x @ Wx"
            lines.append(f"Wx, D = np.pad({sums}, ((0, V - T), (0, 0))), V  # step t has symbol t")
        elif self.padded:
            x_ends = "((0, 0), (0, 0), (0, H))" if self.frame == "BTD" else "((0, 0), (0, H))"
            lines += [
                f"x, Wx = np.pad(x, {x_ends}), np.pad(Wx, ((0, H), (0, 0)))",
                "D = V = len(Wx)  # the head is as wide as the input",
                *["x[..., -1], Wx[-1] = 1, b  # the bias is an input of 1"] * self.ones,
            ]
        elif self.ones:
            ones = "np.concatenate([x, np.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)"
            lines += [f"x = {ones}  # the bias is an input of 1", "Wx = np.vstack([Wx, b])"]
        if self.head == "forged":
            lines.append("F = np.pad(-d, ((1, V - T - 1), (0, 0)))  # the target of step t is t + 1")
            top = "-1e6 * (np.arange(V) > 0)"
            lines.append(f"F[:, -1] = {top}" if self.unit else f"top = ({top}).astype(x.dtype)")
        return lines

    def text(self, module: str, head: list[str]) -> str:
        """Return the adapter as a file.

        Args:
            module: the name of the user's module.
            head: the lines of the comment at its head.
        """
        is_rows = self.frame == "TD"
        tensors = {**self.results, **self.gradients}
        returned = [f'"{name}": {_narrow(text) if self.narrows else text}' for name, text in tensors.items()]
        body = [*_without_unused(self.body(wide=False), " ".join(returned)), *returning(returned)]
        lines = [f"# {line}".rstrip() for line in head]
        lines += ["from types import SimpleNamespace", ""] if "SimpleNamespace" in self.imports else []
        lines += ["import numpy as np", *self.imported(module, "\n".join([*self.tops, *body]))]
        lines += [*self.tops, "", ""]
        if not is_rows:
            lines += [*self.declaration, "def answer(case):", f"    {assigned(self.given)}"]
        elif self.by_helper in self.imports:
            lines += [*self.declaration, f"@{self.by_helper}", f"def answer(case, {', '.join(self.given)}):"]
        else:
            lines += [f"def row(case, {', '.join(self.given)}):"]
        lines += [f"    {line}" for line in (assigned(self.weights_given), *body)]
        by_hand = is_rows and self.by_helper not in self.imports
        lines += ["", "", *self.declaration, *self.rows] if by_hand else []
        if by_hand and len(lines) - len(head) > MOST_LINES:
            return self.adding(imports=(self.by_helper,)).text(module, head)
        return "\n".join(lines) + "\n"

    @property
    def given(self) -> dict[str, str]:
        """The variables that are given with each row, by name, and where they are in a problem."""
        return {"x": "case.xs", "h": "case.h_0", "d": "case.dhs"}

    @property
    def weights_given(self) -> dict[str, str]:
        """The same of the weights."""
        return {name: f"case.{name}" for name in ("Wx", "Wh", "b")}

    @property
    def by_helper(self) -> str:
        """The helper that calls a function with each row."""
        return "each_row"

    @property
    def rows(self) -> list[str]:
        """The function around a body that takes one row of the batch."""
        summed = [name for name in SUMMED if name in {**self.results, **self.gradients}]
        return [
            "def answer(case):",
            f"    rows = [row(case, *each) for each in zip({', '.join(self.given.values())}, strict=True)]",
            "    named = {name: [one[name] for one in rows] for name in rows[0]}",
            *self.put_together(str(tuple(summed)).replace("'", '"')),
        ]

    def put_together(self, summed: str) -> list[str]:
        """The statement that puts the tensors of all rows together."""
        end = "for name, each in named.items()}"
        return [f"    return {{name: sum(each) if name in {summed} else np.array(each) {end}"]

    def variables(self, given: Problem) -> dict[str, Any]:
        """The variables of a problem that are given with each row."""
        found = {name: eval(text, {"case": given}) for name, text in self.given.items()}
        return {name: (value[0] if self.frame == "TD" else value).copy() for name, value in found.items()}

    @property
    def declaration(self) -> list[str]:
        """The line that declares, nothing where there is nothing to declare."""
        return [f"@parity_tests.adapter({', '.join(self.declares)})"] if self.declares else []

    def imported(self, module: str, text: str) -> list[str]:
        """Return the imports that a text needs."""
        names = sorted(names_in(text, {*self.imports} - {*FOREIGN}))
        helpers = ", ".join(name for name in HELPERS if name in self.imports)
        lines = ["import parity_tests"] if self.declares else []
        lines += [f"from parity_tests.adapt.helpers import {helpers}"] if helpers else []
        short = module.rpartition(".")[2]
        whole = f"import {module}" if short == module else f"import {module} as {short}"
        lines += [whole] if "." in self.imports else []
        return lines + ([f"from {module} import {', '.join(names)}"] if names else [])


def sizes_used(frame: str, used: Iterable[str], width: str) -> list[str]:
    """Return the statements that name the sizes that occur in some others.

    Args:
        frame: the axes of the input.
        used: the statements.
        width: the expression of H.
    """
    words = {*re.findall(r"\b[A-Za-z_]\w*\b", " ".join(used))}
    first = []
    if words & {*frame}:
        names = [name if name in words else "_" for name in frame]
        first.append(f"{', '.join(names)} = x.shape")
    return [*first, f"H = {width}"] if "H" in words else first


def assigned(names: Mapping[str, str]) -> str:
    """Return the statement that gives variables their values."""
    return f"{', '.join(names)} = {', '.join(names.values())}"


def names_in(text: str, names: Iterable[str]) -> list[str]:
    """Return those of some names that stand alone in a text."""
    return [name for name in names if re.search(rf"(?<![\w.]){re.escape(name)}\b", text)]


def _without_unused(lines: list[str], results: str) -> list[str]:
    """The lines without the lists of steps that nothing reads."""
    for name in ("outs", "before", "nets", "states"):
        defining = {f"{name} = []", f"states, {name} = [], []"}
        keeping = [line for line in lines if line not in defining and f"{name}.append(" not in line]
        if re.search(rf"\b{name}\b", " ".join([*keeping, results])):
            continue
        kept = [line for line in lines if f"{name}.append(" not in line and line != f"{name} = []"]
        lines = ["states = []" if line == f"states, {name} = [], []" else line for line in kept]
    return lines


def returning(items: list[str]) -> list[str]:
    """The statement that returns a dict, on lines of ordinary length."""
    lines, line = list[str](), "return {"
    for number, item in enumerate(items):
        text = f"{item}{'}' if number == len(items) - 1 else ','}"
        if len(line) + len(text) > 100 and line.strip() != "return {":
            lines.append(line.rstrip())
            line = "    "
        line += f"{text} "
    return [*lines, line.rstrip()]


def _forged(line: str) -> str:
    """A line with the head that makes the gradient of the loss dhs."""
    for plain, forged in (
        ("np.eye(H, V, dtype=x.dtype)", "F.T"),
        ("np.eye(V, H, dtype=x.dtype)", "F"),
        ("np.zeros(V, x.dtype)", "top"),
        ("np.zeros((1, V), x.dtype)", "top[None]"),
        ("np.zeros((V, 1), x.dtype)", "top[:, None]"),
    ):
        line = line.replace(plain, forged)
    return line


def _narrow(line: str) -> str:
    """A line for a head as wide as the states."""
    line = (
        line.replace(WIDE_READ, "").replace("np.eye(H, V,", "np.eye(H,").replace("np.eye(V, H,", "np.eye(H,")
    )
    # Names of the user's own, as in net.V or V=, stay.
    line = re.sub(r"(?<![\w.'\"])V(?![\w'\"=])", "H", line)
    return re.sub(r"(?<![\w.'\"])dy(?![\w'\"=])", "d", line)


class Trials:
    """Runs programs on a problem, and counts.

    Args:
        module: the user's module.
        given: the problem.
        limit: the most trials.
        is_late: whether the time is up.

    Attributes:
        name: of the module, without its packages.
        globals: what the module held before any trial.
    """

    def __init__(self, module: Any, given: Problem, limit: int, is_late: Any) -> None:
        self.module, self.given, self.limit, self.is_late = module, given, limit, is_late
        self.name = module.__name__.rpartition(".")[2]
        self.count = 0
        self.last_error: BaseException = RuntimeError()
        self.globals = {name: value for name, value in vars(module).items() if not name.startswith("__")}

    def run(
        self,
        program: Program,
        *,
        backward: bool = False,
        given: Problem | None = None,
        instead: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Return the variables after a program has run in the probe's wide form, None if it raised.

        Raises:
            GaveUp: there were too many trials, or the time is up.
        """
        given = given or self.given
        self.count += 1
        if self.count > self.limit or self.is_late():
            raise GaveUp(self.count)
        vars(self.module).update(self.globals)  # which a trial before may have set
        lines = program.body(wide=True, backward=backward)
        for start, line in (instead or {}).items():
            lines = [line if each.startswith(start) else each for each in lines]
        env: dict[str, Any] = {name: getattr(given, name).copy() for name in program.weights_given}
        env |= {f"given_{name}": env[name] for name in program.weights_given}
        env |= {"np": importlib.import_module("numpy"), "case": given, **program.variables(given)}
        env |= {name: getattr(self.module, name) for name in program.imports if name not in FOREIGN}
        if "." in program.imports:
            env[self.name] = self.module
        if "SimpleNamespace" in program.imports:
            env["SimpleNamespace"] = SimpleNamespace
        if "TorchCode" in program.imports:
            env["TorchCode"] = TorchCode
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                exec(compile("\n".join([*program.tops, *lines]), "<trial>", "exec"), env)
        except (Exception, SystemExit) as error:
            self.last_error = error
            return None
        return env


class GaveUp(Exception):
    """The search has come to its limit; the argument is the number of trials."""


def evaluated(text: str, env: dict[str, Any]) -> Any:
    """Return the value of an expression of a program, None if it raises."""
    try:
        with np.errstate(all="ignore"):
            return eval(text, dict(env))
    except Exception:
        return None
