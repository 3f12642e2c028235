"""Faults of the logits: which states a head reads, and what it makes of them."""

from typing import ClassVar

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, HeadArrays
from parity_tests.diagnosis.faults.faulty_loop import HEADS, FaultyLoop, fault, known
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_head import HeadTrace
from parity_tests.references.float64_loop import Spread


class KnowsStart(FaultyLoop):
    """Remembers the initial state."""

    tracks_only: ClassVar[tuple[str, ...]] = ("starts",)
    start: Array | None = None

    def starts(self, call: Call, before: Spread | None) -> Array:
        found = super().starts(call, before)
        self.start = found[0]
        return found

    def entering(self, hs: Array) -> Array:
        """Return the states that enter the steps."""
        return np.concatenate([np.broadcast_to(known(self.start), hs.shape[1:])[None], hs[:-1]])


@fault(
    "logits from the state before",
    sentence="The logits of a step are those of the state that enters it, h_{{t-1}}:",
    look="look for `h_prev`, or an index off by one, in `h @ Wy + by`.",
    losses=HEADS,
    variants=({"reaches_start": True}, {}, {"own_backward": False}, {"from_zeros": True}),
)
class LogitsFromStateBefore(KnowsStart):
    """With ``own_backward`` the gradient goes to the state before; with ``reaches_start`` to h_0 too."""

    own_backward = True
    reaches_start = False
    from_zeros = False
    to_start: Array | float = 0.0

    def head_states(self, hs: Array) -> Array:
        entering = self.entering(hs)
        if self.from_zeros:
            entering[0] = 0
        return super().head_states(entering)

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        self.to_start = gradient[0] if self.reaches_start else 0.0
        if not self.own_backward:
            return gradient
        return np.concatenate([gradient[1:], np.zeros_like(gradient[:1])])

    def start_gradient(self, trace: CellTrace, carry: Array) -> Array:
        return super().start_gradient(trace, carry) + self.to_start


@fault(
    "head reads another state than the last",
    sentence="The logits are not those of the last state (but of the first, of the mean, or of the sum of all):",
    look="look for which state is given to the head: it is `hs[:, -1]`.",
    losses=HEADS,
    many_to_one=True,
    variants=tuple(
        {"reads": reads, "own_backward": own} for reads in ("first", "mean", "sum") for own in (True, False)
    ),
)
class HeadReadsAnother(FaultyLoop):
    reads = "first"
    own_backward = True

    def head_states(self, hs: Array) -> Array:
        return hs[:1] if self.reads == "first" else hs.sum(axis=0, keepdims=True) / self.divided(len(hs))

    def divided(self, steps: int) -> int:
        """Return what the sum of the states is divided by."""
        return steps if self.reads == "mean" else 1

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        gradient = super().states_gradient(trace, steps)
        if not self.own_backward:
            return gradient
        if self.reads == "first":
            return np.concatenate([gradient[-1:], np.zeros_like(gradient[1:])])
        return np.broadcast_to(gradient[-1:] / self.divided(steps), gradient.shape).copy()


@fault(
    "logits bias left out",
    sentence="The logits are hs Wy, without the bias of the head:",
    look="look for `+ by`.",
    losses=HEADS,
    variants=({}, {"times": 2.0}, {"times": -1.0}),
)
class HeadWithoutBias(FaultyLoop):
    times = 0.0

    def logits(self, arrays: HeadArrays, states: Array) -> Array:
        return super().logits(arrays, states) + (self.times - 1) * np.asarray(arrays.by, np.float64)


@fault(
    "bias of the head summed over the hidden units",
    sentence="The bias of the head counts once for each hidden unit:",
    look="look for `by` added in a loop over the hidden units, or inside the product with Wy.",
    losses=HEADS,
)
class HeadBiasTimesUnits(FaultyLoop):
    def logits(self, arrays: HeadArrays, states: Array) -> Array:
        return super().logits(arrays, states) + (self.case.H - 1) * np.asarray(arrays.by, np.float64)


@fault(
    "Wy transposed where it is square",
    sentence="The logits are hs Wy^T where V = H:",
    look="look for `Wy.T`, or a reshape of Wy, in the logits.",
    losses=HEADS,
)
class HeadTransposed(FaultyLoop):
    def logits(self, arrays: HeadArrays, states: Array) -> Array:
        if arrays.Wy.shape[0] != arrays.Wy.shape[1]:
            return super().logits(arrays, states)
        return states @ np.asarray(arrays.Wy, np.float64).T + np.asarray(arrays.by, np.float64)


@fault(
    "nonlinearity on the logits",
    sentence="The logits have gone through a nonlinearity (tanh, relu or the logistic function):",
    look="look for `np.tanh(h @ Wy + by)`: the head is linear.",
    losses=HEADS,
    variants=tuple(
        {"function": function, "own_backward": own}
        for function in ("tanh", "relu", "sigmoid")
        for own in (True, False)
    ),
)
class NonlinearityOnLogits(FaultyLoop):
    function = "tanh"
    own_backward = True

    def logits(self, arrays: HeadArrays, states: Array) -> Array:
        logits = super().logits(arrays, states)
        if self.function == "tanh":
            return np.tanh(logits)
        return np.maximum(logits, 0) if self.function == "relu" else 1 / (1 + np.exp(-logits))

    def logits_gradient(self, trace: HeadTrace) -> Array:
        gradient, y = super().logits_gradient(trace), trace.logits
        if not self.own_backward:
            return gradient
        if self.function == "tanh":
            return gradient * (1 - y * y)
        return gradient * (y > 0) if self.function == "relu" else gradient * y * (1 - y)
