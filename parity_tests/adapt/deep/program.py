"""The adapter of a stack or of two directions in parts."""

from collections.abc import Iterable
from dataclasses import dataclass

from parity_tests.adapt.program import Program, returning, sizes_used
from parity_tests.subjects.adapters.problem import Problem

WEIGHTS = "weights = [cell[:3] for cell in case.cells]"
"""The statement that gives Wx, Wh and b of each layer or direction, in the order of ``ends``."""
ENDS = {1: 'ends = [f"l{k}" for k in range(case.num_layers)]', 2: 'ends = ["l0", "l0_reverse"]'}
"""By the number of directions, what the names of their weights end with."""
OF_TORCH = {"dWx": ("dweight_ih",), "dWh": ("dweight_hh",), "db": ("dbias_ih", "dbias_hh")}
"""The gradients of weights by torch's names."""


@dataclass(frozen=True)
class DeepProgram(Program):
    """A program whose problem has the weights of several layers or directions.

    Attributes:
        directions: 1 or 2.
        layers: 0 if the code takes any number of layers, else their number.
    """

    directions: int = 1
    layers: int = 1

    def body(self, *, wide: bool, backward: bool = True) -> list[str]:
        """Return the statements of the body; it has no head, so that ``wide`` says nothing."""
        calls = [*self.make, *self.forward, *(self.backward if backward else ())]
        used = [*calls, *self.results.values(), *(self.gradients.values() if backward else ())]
        return [*sizes_used("BTD", used, "h.shape[2]"), ENDS[self.directions], WEIGHTS, *calls]

    def sizes(self, given: Problem) -> dict[str, int]:
        """The sizes by letter: G is the number of layers or directions, W the width of two directions."""
        B, T, D = given.xs.shape
        H = len(given.b)
        return {"B": B, "T": T, "D": D, "H": H, "G": given.h_0.shape[0], "W": 2 * H}

    @property
    def declares_whole(self) -> tuple[str, ...]:
        """What the adapter declares of its layers and directions."""
        if self.directions == 2:
            return ("bidirectional=True",)
        return (f"num_layers={self.layers or True}",)

    def text(self, module: str, head: list[str]) -> str:
        """Return the adapter as a file."""
        tensors = {**self.results, **self.gradients}
        plain = [f'"{name}": {text}' for name, text in tensors.items() if name not in OF_TORCH]
        lists = {name: text for name, text in tensors.items() if name in OF_TORCH}
        body = self.body(wide=False)
        if lists:
            returned = returning(plain)
            body += [returned[0].replace("return ", "answer = ", 1), *returned[1:]]
            body += [f"{name} = {text}" for name, text in lists.items()]
            body += ["for k, end in enumerate(ends):", *_named(lists), "return answer"]
        else:
            body += returning(plain)
        lines = [f"# {line}".rstrip() for line in head]
        lines += ["from types import SimpleNamespace", ""] if "SimpleNamespace" in self.imports else []
        lines += ["import numpy as np", *self.imported(module, "\n".join(body))]
        lines += ["", "", *self.declaration, "def answer(case):", "    x, h, d = case.xs, case.h_0, case.dhs"]
        return "\n".join([*lines, *(f"    {line}" for line in body)]) + "\n"


def _named(lists: Iterable[str]) -> list[str]:
    """The statements that add the gradients of one layer or direction by torch's names."""
    items = {
        name: [f'f"{each}_{{end}}": {name}[k]{"" if name == "db" else ".T"}' for each in OF_TORCH[name]]
        for name in lists
    }
    weights = [each for name in items if name != "db" for each in items[name]]
    return [f"    answer |= {{{', '.join(each)}}}" for each in (weights, items.get("db", [])) if each]
