"""Faults between calls: the state that is kept, and what is left over from earlier calls."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop, Variant, fault
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_loop import Spread


@fault(
    "initial state ignored",
    sentence="The initial state that is given has no effect:",
    look="look for a state that is always made of zeros (`set_state`, `hx`, `h_prev`).",
    variants=(
        {},
        {"carries": False},
        {"goes_on": True},
        {"in_weights": True},
        {"in_weights": True, "carries": False},
    ),
)
class InitialStateIgnored(FaultyLoop):
    """The initial state given is ignored.

    With ``carries`` a stateful layer still keeps its state from call to call; with ``goes_on`` a given
    state does not end that; with ``in_weights`` dWh uses the given state all the same.
    """

    carries = True
    goes_on = False
    in_weights = False
    ignored_start: Array

    def starts(self, call: Call, before: Spread | None) -> Array:
        self.ignored_start = super().starts(call, before)
        if call.carries and self.carries:
            return self.ignored_start
        zeros = np.zeros((len(call.weights), 1, len(call.xs), self.case.H))
        if self.goes_on and before is not None and call.h_0 is not None:
            kept = before.runs["h_n"].swapaxes(0, 1)
            return kept if kept.shape[2] == len(call.xs) else zeros
        return zeros

    def previous_states(self, trace: CellTrace) -> Array:
        states = super().previous_states(trace).copy()
        if self.in_weights and self.case.num_cells == 1:
            states[0] = self.ignored_start[0]
        return states


@fault(
    "given state applied again at every call",
    sentence="A state that was given once starts the later calls, too, instead of the one left by the call before:",
    look="look for a given state that is kept and never dropped.",
    layers=("TimeRNN",),
)
class InitialStateAgain(FaultyLoop):
    """A state that was given once is the initial state of every later call too."""

    given_once: Array | None = None

    def starts(self, call: Call, before: Spread | None) -> Array:
        if call.h_0 is not None:
            self.given_once = call.h_0[:, None]
        if call.carries and self.given_once is not None:
            return self.given_once
        return super().starts(call, before)


@fault(
    "state forgotten between calls",
    sentence="A stateful layer starts from zeros at every call:",
    look="look for a reset at the start of the forward.",
    layers=("TimeRNN",),
)
class StateForgotten(FaultyLoop):
    def starts(self, call: Call, before: Spread | None) -> Array:
        return np.zeros((len(call.weights), 1, 1, 1)) if call.carries else super().starts(call, before)


@fault(
    "reset_state without effect",
    sentence="The call after `reset_state` goes on from the state before it:",
    look="look for a reset that does nothing, or comes a call too late.",
    layers=("TimeRNN",),
    variants=(
        {},
        {"given_first": True},
    ),
)
@fault(
    "state kept though not stateful",
    sentence="A call goes on from the state of the call before although the layer is not stateful:",
    look="look for an option `stateful` that is never read.",
    layers=("TimeRNN", "nn.RNN"),
    variants=({"after": "again"},),
)
class StateGoesOn(FaultyLoop):
    """A call continues from the state of the call before: after a reset, or though not stateful."""

    after: str = "reset"
    given_first = False
    """Whether this happens only if an initial state was given."""

    def starts(self, call: Call, before: Spread | None) -> Array:
        concerned = self.case.calls == self.after and (self.case.h0 or not self.given_first)
        if before is not None and call.h_0 is None and not call.carries and concerned:
            kept = before.runs["h_n"].swapaxes(0, 1)
            if kept.shape[2] == len(call.xs):
                return kept
        return super().starts(call, before)


@fault(
    "weights of the first call",
    sentence="The weights are those of the first call; what changes in them later is not seen:",
    look="look for weights copied or packed once.",
    variants=(
        {},
        {"backward_old": False},
        {"forward_old": False},
    ),
)
class FirstWeights(FaultyLoop):
    """The weights are those of the first call, in both passes or in one of them."""

    forward_old = True
    backward_old = True
    first_weights: Sequence[CellWeights] | None = None
    current_weights: Sequence[CellWeights]

    def cells(self, call: Call) -> Sequence[CellWeights]:
        self.current_weights = super().cells(call)
        self.first_weights = self.first_weights or self.current_weights
        return self.first_weights if self.forward_old else self.current_weights

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        assert self.first_weights is not None  # the forward has been
        for trace, weights in zip(
            traces, self.first_weights if self.backward_old else self.current_weights, strict=True
        ):
            trace.weights = weights
        return traces


@fault(
    "backward reads an earlier call",
    sentence="The backward uses what an earlier call's forward has left:",
    look="look for a list of caches that grows and is read from its front.",
    layers=("TimeRNN", "RNN"),
)
class FirstTrace(FaultyLoop):
    """The backward of a later call uses what the forward of the first call left."""

    first_trace: CellTrace | None = None
    current_trace: CellTrace | None = None

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        if self.case.num_cells > 1:
            return traces
        old, new = self.first_trace, traces[0]
        self.first_trace, self.current_trace = old or new, None
        if old is None or old.h.shape[2] != new.h.shape[2]:
            return traces
        T, self.current_trace = new.steps, new
        x, sums, h = (
            np.concatenate([getattr(old, name)[start:], getattr(new, name)[start:]])[:T]
            for name, start in (("x", 0), ("sums", 0), ("h", 1))
        )
        return [
            CellTrace(
                old.weights, x, sums, np.concatenate([old.h[:1], h]), new.running, new.preactivations_kept
            )
        ]

    def previous_states(self, trace: CellTrace) -> Array:
        if self.first_trace is None or self.current_trace is None:
            return super().previous_states(trace)
        return np.concatenate([self.first_trace.h[:-1], self.current_trace.h[:-1]])[: trace.steps]

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        late = self.first_trace is not None and self.current_trace is not None and t >= self.first_trace.steps
        return super().carry(self.current_trace if late and self.current_trace else trace, t, dz)

    def input_gradient(self, trace: CellTrace, dz: Array) -> Array:
        if self.first_trace is None or self.current_trace is None:
            return super().input_gradient(trace, dz)
        border = self.first_trace.steps
        early, late = super().input_gradient(trace, dz[:border]), dz[border:]
        return (
            np.concatenate([early, super().input_gradient(self.current_trace, late)]) if len(late) else early
        )


@fault(
    "parameters updated by the backward",
    sentence="The parameters change in a backward, by {rate:g} times their gradients:",
    look="look for a step of descent in the layer: it belongs to the optimizer.",
    layers=("TimeRNN",),
)
class ParametersUpdated(FaultyLoop):
    """The backward updates the parameters by gradient descent."""

    rate: float = 0.1
    updated_weights: list[CellWeights] | None = None
    used_weights: Sequence[CellWeights]

    def cells(self, call: Call) -> Sequence[CellWeights]:
        known = super().cells(call)
        self.used_weights = self.updated_weights if call.carries and self.updated_weights else known
        return self.used_weights

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        self.updated_weights = [
            replace(
                cell,
                Wx=cell.Wx - self.rate * found.dWx[0],
                Wh=cell.Wh - self.rate * found.dWh[0],
                b=None if cell.b is None else cell.b - self.rate * found.db[0],
            )
            for cell, found in zip(self.used_weights, gradients, strict=True)
        ]
        return gradients

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for rate in (1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0001):
            yield variant.with_constants(rate=rate)


@fault(
    "lengths of an earlier call",
    sentence="A call without lengths uses those of the call before:",
    look="look for lengths kept in the object.",
    layers=("nn.RNN",),
)
class LengthsKept(FaultyLoop):
    """A call without lengths uses those of an earlier call of the same shape."""

    kept_lengths: tuple[int, int, Array] | None = None

    def call(self, call: Call, before: Spread | None) -> Spread:
        B, T, _ = call.xs.shape
        if call.lengths is not None:
            self.kept_lengths = B, T, call.lengths
        elif self.kept_lengths is not None and self.kept_lengths[:2] == (B, T):
            call = replace(call, lengths=self.kept_lengths[2])
        return super().call(call, before)
