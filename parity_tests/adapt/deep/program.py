"""The adapter of a stack or of two directions in parts: a function, and the class that gives it torch's interface."""

from dataclasses import dataclass

from parity_tests.adapt.program import Program, returning, sizes_used
from parity_tests.subjects.adapters.problem import Problem

LACKS = (
    "no-bias",
    "batch-first",
    "unbatched",
    "packed",
    "lengths",
    "dropout",
    "layouts",
    "final-gradient",
)
"""What the class has no place for."""


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
        return [*sizes_used("BTD", used, "h.shape[2]"), *calls]

    def sizes(self, given: Problem) -> dict[str, int]:
        """The sizes by letter: G is the number of layers or directions, W the width of two directions."""
        B, T, D = given.xs.shape
        H = len(given.b)
        return {"B": B, "T": T, "D": D, "H": H, "G": given.h_0.shape[0], "W": 2 * H}

    def text(self, module: str, head: list[str]) -> str:
        """Return the adapter as a file."""
        returned = [f'"{name}": {text}' for name, text in {**self.results, **self.gradients}.items()]
        body = [*self.body(wide=False), *returning(returned)]
        lines = [f"# {line}".rstrip() for line in head]
        lines += ["from types import SimpleNamespace", ""] if "SimpleNamespace" in self.imports else []
        lines += ["import numpy as np", *self.imported(module, "\n".join(body))]
        lines += ["", "", "def answer(case):", "    x, h, d = case.xs, case.h_0, case.dhs"]
        lines += [f"    {line}" for line in body]
        name, what = (
            ("TwoDirections", "one direction")
            if self.directions == 2
            else ("Stack", "another number of layers")
        )
        other = "" if self.layers == 0 else f"; {what} is answered by rnn_np"
        lines += ["", "", f"class {name}(Module):  # torch's interface around answer{other}"]
        lines += ["    answer = staticmethod(answer)"]
        lines += [f"    directions = {self.directions}"] if self.directions == 2 else []
        lines += [f"    layers = {self.layers}"] if self.layers != 1 else []
        lines += ["    relu = True"] if self.head == "relu" else []
        return "\n".join(lines) + "\n"
