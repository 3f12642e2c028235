"""The adapter of code that is given its own head, in parts."""

from collections.abc import Collection
from dataclasses import dataclass

from parity_tests.adapt.program import GRADIENTS, Program, sizes_used
from parity_tests.subjects.adapters.problem import Problem

TENSORS = (
    "hs", "h_n", "logits", "probabilities", "loss", *GRADIENTS, "dWy", "dby",
)  # fmt: skip
"""What code with a head may give."""
UNITS = {"tanh": "20", "relu": "1", "sigmoid": "40", "identity": "1"}
"""By nonlinearity, what it makes 1 of, without rounding."""
CUT = {"dWx": "[: len(case.Wx)]", "dWy": "[:, : len(case.by)]", "dby": "[: len(case.by)]"}
"""How gradients are cut where inputs and outputs have one size."""


@dataclass(frozen=True)
class HeadProgram(Program):
    """A program whose problem has a head.

    Attributes:
        loss: what the adapter declares, empty for the gradient of the logits.
        reduction: of the loss.
        many_to_one: whether the head reads the last state alone.
        indices: whether the input is given as indices.
        in_rows: whether the bias is added to each row of Wx, as every input is one symbol.
        unit_of: where there is no bias of the output, what one more hidden unit is of that is always 1.
        one_size: whether inputs and outputs have one size, so that the smaller is made wider.
        scale: a size that its loss was divided by, which the loss and its gradients are multiplied by.
    """

    loss: str = ""
    reduction: str = "sum"
    many_to_one: bool = False
    indices: bool = False
    in_rows: bool = False
    unit_of: str = ""
    one_size: bool = False
    scale: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The variables that are given with each row."""
        first = {"x": "case.indices" if self.indices else "case.xs", "h": "case.h_0"}
        return first | ({"y": "case.targets"} if self.loss else {"d": "case.dlogits"})

    @property
    def weights_given(self) -> dict[str, str]:
        """The same of the weights."""
        return {name: f"case.{name}" for name in ("Wx", "Wh", "b", "Wy", "by")}

    @property
    def shares(self) -> bool:
        """Whether each row has a share in the loss, which is the mean over them."""
        return self.frame == "TD" and self.reduction == "mean" and bool(self.loss)

    @property
    def by_helper(self) -> str:
        """The helper that calls a function with each row."""
        return "each_row_shared" if self.shares else "each_row"

    def put_together(self, summed: str) -> list[str]:
        """The statement that puts the tensors of all rows together."""
        if not self.shares:
            return super().put_together(summed)
        return [
            '    shares = dict.fromkeys(("dx", "dh_0"), len(rows))',
            f"    return {{name: np.mean(each, axis=0) if name in {summed} else "
            "np.array(each) / shares.get(name, 1)",
            "            for name, each in named.items()}",
        ]

    @property
    def whole_declaration(self) -> tuple[str, ...]:
        """What the adapter declares of its head."""
        words = [f'loss="{self.loss}"', f'reduction="{self.reduction}"'] if self.loss else ["head=True"]
        words += ["many_to_one=True"] * self.many_to_one + ["indices=True"] * self.indices
        return tuple(words)

    def tensors(self, present: Collection[str]) -> tuple[str, ...]:
        """What is asked of it, if it gives these: logits or probabilities, and no loss where it has none."""
        alike = {"logits": "probabilities", "probabilities": "logits"}
        lacks = {name for name, other in alike.items() if name not in present and other in present}
        lacks |= {"probabilities"} if self.loss in ("mse", "half_mse") else set()
        lacks |= set() if self.loss else {"loss"}
        return tuple(name for name in TENSORS if name not in lacks)

    def sizes(self, given: Problem) -> dict[str, int]:
        """The sizes of a problem by letter; inputs and outputs of one size are outputs."""
        B, T, D = given.xs.shape
        V = len(given.by)
        sizes = {"B": B, "T": T, "D": D, "H": len(given.b) + bool(self.unit_of), "V": V}
        if self.one_size:
            sizes["V"] = max(D, V)
            del sizes["D"]
        if self.frame == "TD":
            del sizes["B"]
        return sizes

    def body(self, *, wide: bool, backward: bool = True) -> list[str]:
        """Return the statements of the body; the head is as wide as the case says, so ``wide`` says nothing."""
        calls = [*self.make, *self.forward, *(self.backward if backward else ())]
        gradients = self.gradients.values() if backward else ()
        tricks = self._own_tricks()
        return [*self._own_sizes([*calls, *self.results.values(), *gradients, *tricks]), *tricks, *calls]

    def _own_sizes(self, used: list[str]) -> list[str]:
        used = [each.replace(".T", "") for each in used]
        axes = self.frame.replace("D", "") if self.indices else self.frame
        lines = sizes_used(axes, used, "len(b)")
        if axes == "T":
            lines = [line.replace("T = x.shape", "T = len(x)") for line in lines]
        text = " ".join(used)
        wanted = [] if self.one_size else [*["D"] * self.indices, "V"]
        found = {"D": "len(Wx)", "V": "len(by)"}
        lines = lines[:-1] if self.unit_of and lines[-1:] == ["H = len(b)"] else lines
        return lines + [f"{name} = {found[name]}" for name in wanted if _stands_in(name, text)]

    def _own_tricks(self) -> list[str]:
        lines = [self.weights] if self.weights else []
        if self.one_size:
            lines += [
                "D = V = max(len(Wx), len(by))  # inputs and outputs have one size",
                "Wx, Wy = np.pad(Wx, ((0, D - len(Wx)), (0, 0))), np.pad(Wy, ((0, 0), (0, V - len(by))))",
                "by = np.pad(by, (0, V - len(by)), constant_values=-1e6)  # none of those that there are not",
            ]
        if self.unit_of:
            start = "(0, 1)" if self.frame == "TD" else "((0, 0), (0, 1))"
            lines += [
                "Wx, Wh = np.pad(Wx, ((0, 0), (0, 1))), np.pad(Wh, ((0, 1), (0, 1)))",
                f"b, h = np.append(b, b.dtype.type({self.unit_of})), np.pad(h, {start})",
                "Wy, H = np.vstack([Wy, by]), len(b)  # one more unit, which is always 1",
            ]
        if self.in_rows:
            lines.append("Wx = Wx + b  # there is no bias: every input is one symbol")
        elif self.ones:
            ones = "np.concatenate([x, np.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)"
            lines += [f"x = {ones}  # the bias is an input of 1", "Wx = np.vstack([Wx, b])"]
        return lines

    def undone(self, found: dict[str, str]) -> dict[str, str]:
        """Return tensors without what was put into the weights."""
        found = dict(found)
        if self.in_rows and "dWx" in found:
            found["db"] = f"{_closed(found['dWx'])}.sum(axis=0)"
        if self.unit_of:
            ends = {"dWx": "[:, :-1]", "dWh": "[:-1, :-1]", "db": "[:-1]", "dh_0": "[..., :-1]"}
            found |= {name: f"{_closed(found[name])}{end}" for name, end in ends.items() if name in found}
            if "dWy" in found:
                top = _closed(found["dWy"])
                found |= {"dWy": f"{top}[:-1]", "dby": f"{top}[-1]"}
        if self.one_size:
            found |= {name: f"{_closed(found[name])}{end}" for name, end in CUT.items() if name in found}
        return found

    def cut(self, outputs: str) -> str:
        """The expression of outputs without those that there are not."""
        return f"{outputs}[..., : len(case.by)]" if self.one_size else outputs


def _stands_in(name: str, text: str) -> bool:
    return name in text.replace("(", " ").replace(")", " ").replace(",", " ").replace("=", " ").split()


def scaled(text: str, scale: str) -> str:
    """Return an expression multiplied by a size, if there is one."""
    return f"{scale} * {_closed(text)}" if scale else text


def _closed(text: str) -> str:
    return f"({text})" if " / " in text or " - " in text or " @ " in text else text
