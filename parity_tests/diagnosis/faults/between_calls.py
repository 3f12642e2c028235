"""Faults between calls: the state that is kept, and what is remembered of earlier calls."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.diagnosis.faults.faulty_loop import Twin, fault
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_loop import Gradients, Spread, Tape


@fault(
    "initial state ignored",
    sentence="The initial state that is given has no effect:",
    look="look for a state made of zeros whatever is given (`set_state`, `hx`, `h_prev`).",
    variants=(
        {},
        {"carries": False},
        {"goes_on": True},
        {"in_weights": True},
        {"in_weights": True, "carries": False},
    ),
)
class _StartIgnored(Twin):
    """h_0 is not used; the state goes on from call to call, or does not, or only if nobody resets it."""

    carries = True
    goes_on = False
    in_weights = False

    def starts(self, call: Call, before: Spread | None) -> Array:
        self.given_start = super().starts(call, before)
        if call.carries and self.carries:
            return self.given_start
        zeros = np.zeros((len(call.cells), 1, len(call.xs), self.case.H))
        if self.goes_on and before is not None and call.h_0 is not None:
            kept = before.runs["h_n"].swapaxes(0, 1)
            return kept if kept.shape[2] == len(call.xs) else zeros
        return zeros

    def befores(self, tape: Tape) -> Array:
        states = super().befores(tape).copy()
        if self.in_weights and self.case.cells == 1:
            states[0] = self.given_start[0]
        return states


@fault(
    "given state applied again at every call",
    sentence="A state that was given once starts the later calls, too, instead of the one left by the call before:",
    look="look for a given state that is kept and never dropped.",
    kinds=("time",),
)
class _StartAgain(Twin):
    """The state given once starts every later call, too."""

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
    kinds=("time",),
)
class _Forgets(Twin):
    def starts(self, call: Call, before: Spread | None) -> Array:
        return np.zeros((len(call.cells), 1, 1, 1)) if call.carries else super().starts(call, before)


@fault(
    "reset_state without effect",
    sentence="The call after `reset_state` goes on from the state before it:",
    look="look for a reset that does nothing, or comes a call too late.",
    kinds=("time",),
    variants=(
        {},
        {"given_first": True},
    ),
)
@fault(
    "state kept though not stateful",
    sentence="A call goes on from the state of the call before although the layer is not stateful:",
    look="look for `stateful` that is not asked for.",
    kinds=("time", "nn"),
    variants=({"after": "again"},),
)
class _GoesOn(Twin):
    """A call without a state goes on from the last: after a reset, or where no state is to be kept."""

    after: ClassVar[str] = "reset"
    given_first = False
    """Whether only a state that was given is gone on from: the first reset has come to pass"""

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
class _OldWeights(Twin):
    """Weights are those of the first call: in forward and backward, or in one of them."""

    forward_old = True
    backward_old = True
    packed: Sequence[Weights] | None = None

    def cells(self, call: Call) -> Sequence[Weights]:
        self.new = super().cells(call)
        self.packed = self.packed or self.new
        return self.packed if self.forward_old else self.new

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        assert self.packed is not None  # the forward has been
        for tape, weights in zip(tapes, self.packed if self.backward_old else self.new, strict=True):
            tape.weights = weights
        return tapes


@fault(
    "backward reads an earlier call",
    sentence="The backward uses what an earlier call's forward has left:",
    look="look for a list of caches that grows and is read from its front.",
    kinds=("time", "cell"),
)
class _FirstTape(Twin):
    """The backward of a later call reads what the first calls have left."""

    first: Tape | None = None
    second: Tape | None = None

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        if self.case.cells > 1:
            return tapes
        old, new = self.first, tapes[0]
        self.first, self.second = old or new, None
        if old is None or old.h.shape[2] != new.h.shape[2]:
            return tapes
        T, self.second = len(new.z), new
        x, z, h = (
            np.concatenate([getattr(old, name)[start:], getattr(new, name)[start:]])[:T]
            for name, start in (("x", 0), ("z", 0), ("h", 1))
        )
        return [Tape(old.weights, x, z, np.concatenate([old.h[:1], h]), new.running)]

    def befores(self, tape: Tape) -> Array:
        if self.first is None or self.second is None:
            return super().befores(tape)
        return np.concatenate([self.first.h[:-1], self.second.h[:-1]])[: len(tape.z)]

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        late = self.first is not None and self.second is not None and t >= len(self.first.z)
        return super().carry(self.second if late and self.second else tape, t, dz)

    def input_gradient(self, tape: Tape, dz: Array) -> Array:
        if self.first is None or self.second is None:
            return super().input_gradient(tape, dz)
        border = len(self.first.z)
        early, late = super().input_gradient(tape, dz[:border]), dz[border:]
        return np.concatenate([early, super().input_gradient(self.second, late)]) if len(late) else early


@fault(
    "parameters updated by the backward",
    sentence="The parameters change in a backward, by {rate:g} times their gradients:",
    look="look for a step of descent in the layer: it belongs to the optimizer.",
    kinds=("time",),
)
class _Updates(Twin):
    """A backward takes a step of descent on the parameters."""

    rate: ClassVar[float] = 0.1
    moved: list[Weights] | None = None

    def cells(self, call: Call) -> Sequence[Weights]:
        return self.moved if call.carries and self.moved else super().cells(call)

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        self.moved = [
            replace(
                cell,
                Wx=cell.Wx - self.rate * found.dWx[0],
                Wh=cell.Wh - self.rate * found.dWh[0],
                b=None if cell.b is None else cell.b - self.rate * found.db[0],
            )
            for cell, found in zip(self.used, gradients, strict=True)
        ]
        return gradients

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        self.used = [tape.weights for tape in tapes]
        return tapes

    @classmethod
    def infer(cls, samples: Sequence[Sample]) -> Iterator[type[Twin]]:
        for rate in (1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0001):
            yield cls.having(rate=rate)


@fault(
    "lengths of an earlier call",
    sentence="A call without lengths uses those of the call before:",
    look="look for lengths kept in the object.",
    kinds=("nn",),
)
class _StickyLengths(Twin):
    """Lengths of an earlier call serve where none are given."""

    kept: tuple[int, int, Array] | None = None

    def call(self, call: Call, before: Spread | None) -> Spread:
        B, T, _ = call.xs.shape
        if call.lengths is not None:
            self.kept = B, T, call.lengths
        elif self.kept is not None and self.kept[:2] == (B, T):
            call = replace(call, lengths=self.kept[2])
        return super().call(call, before)
