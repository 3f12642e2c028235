"""Faults of the sum in the pre-activation: terms that are lost."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.tensors import Answer, family
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop, fault
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Spread


@fault(
    "sum broken over lines",
    sentence="Of the sum x Wx + h Wh + b only the first term or two enter the nonlinearity, and not x Wx with h Wh or b:",
    look="look for a second line that begins with `+`: Python ends the statement before it, unless it is in parentheses.",
    variants=tuple(
        {"kept": kept, "own_backward": own}
        for kept in (("input",), ("recurrent",), ("recurrent", "bias"))
        for own in (False, True)
    ),
)
class SumBroken(FaultyLoop):
    """The pre-activation has the terms in ``kept`` only.

    With ``own_backward`` the backward belongs to this forward.
    """

    kept: tuple[str, ...] = ("input",)
    own_backward = False

    def biases(self, weights: CellWeights) -> list[Array]:
        return super().biases(weights) if "bias" in self.kept else []

    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        if "recurrent" not in self.kept:
            recurrent = np.zeros_like(recurrent)
        if "input" not in self.kept:
            trace.sums[t] = sum(self.biases(trace.weights), np.zeros(self.case.H))
        super().step(trace, t, recurrent)

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        carry = super().carry(trace, t, dz)
        return np.zeros_like(carry) if self.loses("recurrent") else carry

    def input_gradient(self, trace: CellTrace, dz: Array) -> Array:
        dx = super().input_gradient(trace, dz)
        return np.zeros_like(dx) if self.loses("input") else dx

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        found = super().parameter_gradients(trace, dz)
        dWx, dWh, db = (
            np.zeros_like(value) if self.loses(term) else value
            for term, value in zip(("input", "recurrent", "bias"), found, strict=True)
        )
        return dWx, dWh, db

    def loses(self, term: str) -> bool:
        """Return whether the backward, too, lacks a term."""
        return self.own_backward and term not in self.kept


@fault(
    "second bias left out at the first step",
    sentence="bias_hh is not added at the first step, perhaps only if no initial state is given:",
    look="look for a first step that is written apart, without `h @ weight_hh.T + bias_hh`.",
    layers=("nn.RNN", "nn.RNNCell"),
    variants=tuple(
        {"if_no_state": absent, "own_backward": own} for absent in (True, False) for own in (False, True)
    ),
)
class SecondBiasLate(FaultyLoop):
    """bias_hh is missing at the first step; with ``if_no_state`` only where no initial state is given.

    With ``own_backward`` its gradient lacks that step, too.
    """

    if_no_state = True
    own_backward = False
    bias_is_late: bool
    first_steps: list[Array]

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.bias_is_late = call.h_0 is None or not self.if_no_state
        self.first_steps = []
        return super().call(call, before)

    def step(self, trace: CellTrace, t: int, recurrent: Array) -> None:
        if t == 0 and self.bias_is_late and trace.weights.b_hh is not None:
            recurrent = recurrent - trace.weights.b_hh
        super().step(trace, t, recurrent)

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        self.first_steps.append(dz[0].sum(axis=1))
        return super().parameter_gradients(trace, dz)

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        names = [name for name in runs if family(name) == "dbias_hh"]
        if self.own_backward and self.bias_is_late:
            # The backward comes to the last cell first.
            for name, first in zip(reversed(names), self.first_steps, strict=False):
                runs[name] = runs[name] - first
        return runs
