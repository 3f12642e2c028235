"""The plain loop: a case in float64, by the book, independent of ``rnn_np``'s kernel and of torch.

Every piece of the mathematics is a method of its own, so that a faulty twin is this loop with one of
them written again. Several runs go side by side: run 0 as exact as float64 goes, in the others a
``Noise`` perturbs every stored value. Arrays are [T, runs, B, ...] in here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer, is_parameter_gradient, suffixes
from parity_tests.references.rounding import Noise

LOST = 1e-3
"""A state that has moved by this much has left the range in which errors grow in proportion: from
then on, and in the gradients that pass through it, a few runs measure nothing."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One call's tensors in every run, [runs, ...] each, run 0 unperturbed.

    ``unsure`` says for each tensor which slices the runs cannot speak for: those that a lost state
    reaches, or a value near the working precision's largest float.
    """

    runs: Answer
    unsure: Answer


@dataclass(slots=True)
class Tape:
    """One cell's forward over a sequence, in that cell's own order of time."""

    weights: Weights
    x: Array
    """[T, runs or 1, B, D]"""
    z: Array
    """[T, runs, B, H], the pre-activations"""
    h: Array
    """[T + 1, runs, B, H], h_0 first; behind a sequence's end, its last state again"""
    running: Array | None
    """[T, B], whether the sequence has not ended; None: no sequence has"""
    d: Array = field(default_factory=lambda: np.empty(0))
    """[T, runs, B, H], the gradients of the states, once they are taken back"""
    dz: Array = field(default_factory=lambda: np.empty(0))
    """[T, runs, B, H], those of the pre-activations"""


@dataclass(slots=True)
class Gradients:
    """Of one cell: [runs, ...] each, but ``dx`` [T, runs, B, D]."""

    dx: Array
    dh_0: Array
    dWx: Array
    dWh: Array
    db: Array
    large: Array
    """[T, B], whether a gradient of the state is near the largest float"""


class Loop:
    """The loop over the calls of one case."""

    apart = False
    """Whether pre-activations are kept apart from the states with tanh, too."""

    def __init__(self, case: Case, noise: Noise) -> None:
        self.case = case
        self.noise = noise

    def spreads(self, calls: Sequence[Call]) -> list[Spread]:
        """Return every call's tensors, in every run."""
        result: list[Spread] = []
        with np.errstate(all="ignore"):
            for call in calls:
                result.append(self.call(call, result[-1] if result else None))
        return result

    def answers(self, calls: Sequence[Call]) -> list[Answer]:
        """Return every call's tensors in the first run, which nothing perturbs."""
        return [{name: runs[0] for name, runs in spread.runs.items()} for spread in self.spreads(calls)]

    # The stack of layers and directions.

    def call(self, call: Call, before: Spread | None) -> Spread:
        """One forward and backward."""
        case = self.case
        kept = before if call.carries else None
        flips = self.flips(call)
        valid = self.valid(call)
        running = None if valid is None else valid.T
        first = x = self.inputs(call, valid)
        starts, cells, masks = self.starts(call, before), self.cells(call), self.masks(call)
        tapes: list[Tape] = []
        for layer in range(case.layers):
            outputs = []
            for direction in range(case.directions):
                i = len(tapes)
                own = self.flipped(x, flips, "input") if direction else x
                tapes.append(tape := self.forward(cells[i], own, starts[i], running))
                states = self.outputs(tape)
                outputs.append(self.flipped(states, flips, "output") if direction else states)
            x = self.fed(first, self.joined(outputs), layer)
            if layer < len(masks):
                x = self.dropped(x, masks[layer])
        hs = x

        kept_tapes = self.recalled(tapes)
        dy = self.upstream(call, valid, hs.shape)
        gradients: list[Gradients] = []
        for layer in reversed(range(case.layers)):
            parts = []
            for direction in reversed(range(case.directions)):
                i = layer * case.directions + direction
                part = self.part(dy, direction)
                own = self.flipped(part, flips, "upstream") if direction else part
                gradients.append(found := self.backward(kept_tapes[i], own, self.final_gradient(call, i)))
                parts.append(self.flipped(found.dx, flips, "gradient") if direction else found.dx)
            dy = self.summed(parts, dy, layer)
            if layer and masks:
                dy = self.undropped(dy, masks[layer - 1])
        gradients.reverse()
        return self.spread(call, kept, tapes, gradients, hs, dy)

    def cells(self, call: Call) -> Sequence[Weights]:
        """The weights of every cell."""
        return call.cells

    def masks(self, call: Call) -> Sequence[Array]:
        """Of the dropouts, as many as there are."""
        return call.masks

    def valid(self, call: Call) -> Array | None:
        """[B, T], what is no padding; None: nothing is."""
        return None if call.lengths is None else np.arange(call.xs.shape[1]) < call.lengths[:, None]

    def inputs(self, call: Call, valid: Array | None) -> Array:
        """The input of the first layer, [T, 1, B, D]."""
        return time_major(call.xs, valid)[:, None]

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        """The gradient of the outputs, of their ``shape`` [T, runs, B, directions * H] or with 1 run."""
        return np.zeros(shape) if call.dhs is None else time_major(call.dhs, valid)[:, None]

    def final_gradient(self, call: Call, i: int) -> Array | None:
        """The gradient of a cell's final state, [B, H]."""
        return None if call.dh_n is None else call.dh_n[i]

    def fed(self, first: Array, outputs: Array, layer: int) -> Array:
        """What a layer hands on to the one above, which has the ``first`` input from below."""
        return outputs

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        """What the backward remembers of the forward."""
        return tapes

    def starts(self, call: Call, before: Spread | None) -> Array:
        """The initial state of every cell, [cells, runs or 1, B, H]."""
        if call.carries:
            assert before is not None  # what is carried was left by a call
            carried: Array = before.runs["h_n"].swapaxes(0, 1)
            return carried
        return np.zeros((len(call.cells), 1, 1)) if call.h_0 is None else call.h_0[:, None]

    def flips(self, call: Call) -> Array:
        """[T, B], from where each step of the reverse direction is read."""
        B, T, _ = call.xs.shape
        steps = np.arange(T)[:, None]
        lengths = np.full(B, T) if call.lengths is None else call.lengths
        return np.where(steps < lengths, lengths - 1 - steps, steps)

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        """``values`` in the order of the reverse direction (its ``input`` and ``upstream``), or from it
        (its ``output`` and ``gradient``)."""
        return values[flips, :, np.arange(flips.shape[1])].swapaxes(1, 2)

    def joined(self, outputs: list[Array]) -> Array:
        """The outputs of all directions side by side."""
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)

    def part(self, values: Array, direction: int) -> Array:
        """What of ``values`` belongs to a direction."""
        H = self.case.H
        return values[..., direction * H : (direction + 1) * H]

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        """The gradient of a layer's input from its directions' parts, the last direction's first;
        ``above`` is that of its output."""
        if len(parts) == 1:
            return parts[0]
        dy: Array = parts[0] + parts[1]
        self.noise.relative(dy[:, 1:])
        return dy

    def dropped(self, values: Array, mask: Array) -> Array:
        """``values`` under a dropout's mask [B, T, ...], what is kept scaled."""
        result = np.where(mask.swapaxes(0, 1)[:, None], values / (1 - self.case.dropout), 0.0)
        self.noise.relative(result[:, 1:])
        return result

    def undropped(self, values: Array, mask: Array) -> Array:
        """The gradient of what was dropped, from that of the rest."""
        return self.dropped(values, mask)

    # One cell.

    def forward(self, weights: Weights, x: Array, h_0: Array, running: Array | None) -> Tape:
        """Run a cell over ``x`` [T, runs or 1, B, D]."""
        noise = self.noise
        Wx, Wh = self.matrices(weights)
        T, _, B, _ = x.shape
        H, runs = len(Wh), noise.runs
        h = np.zeros((T + 1, runs, B, H))
        h[0] = h_0
        # With tanh the states take the place of the pre-activations, as nobody asks for those.
        z = np.empty((T, runs, B, H)) if self.case.relu or self.apart else h[1:]
        z[...] = x @ Wx
        noise.product(z[:, 1:], x[:, 0], Wx)
        for b in self.biases(weights):
            z += b
            noise.relative(z[:, 1:])
        tape = Tape(weights, x, z, h, running)
        recurrent = np.empty((runs, B, H))
        for t in range(T):
            np.dot(self.previous(tape, t).reshape(-1, H), Wh, out=recurrent.reshape(-1, H))
            noise.product(recurrent[1:], h[t, 0], Wh)
            self.step(tape, t, recurrent)
            if running is not None:
                np.copyto(h[t + 1], h[t], where=~running[t, :, None])
        return tape

    def matrices(self, weights: Weights) -> tuple[Array, Array]:
        """The input's and the recurrent weights of a forward."""
        return np.asarray(weights.Wx, np.float64), np.asarray(weights.Wh, np.float64)

    def biases(self, weights: Weights) -> list[Array]:
        """What is added to the products."""
        return [b for b in (weights.b, weights.b_hh) if b is not None]

    def step(self, tape: Tape, t: int, recurrent: Array) -> None:
        """The state of a step, from its pre-activation without the ``recurrent`` term, and that."""
        tape.z[t] += recurrent
        self.noise.relative(tape.z[t, 1:])
        self.activate(tape, t)

    def previous(self, tape: Tape, t: int) -> Array:
        """h_{t-1} of the recurrence."""
        return tape.h[t]

    def activate(self, tape: Tape, t: int) -> None:
        """The state of a step from its pre-activation."""
        if self.case.relu:
            np.maximum(tape.z[t], 0, out=tape.h[t + 1])
            return
        np.tanh(tape.z[t], out=tape.h[t + 1])
        self.noise.absolute(tape.h[t + 1, 1:])  # a tanh of exponentials errs by about u whatever its size

    def outputs(self, tape: Tape) -> Array:
        """[T, runs, B, H], 0 behind a sequence's end."""
        states = tape.h[1:]
        return states if tape.running is None else np.where(tape.running[:, None, :, None], states, 0.0)

    def slope(self, tape: Tape) -> Array:
        """The derivative of the activation, [T, runs, B, H]."""
        if self.case.relu:
            slope = (tape.z > 0).astype(np.float64)
            self.noise.kinks(slope, tape.z)
            return slope
        states = tape.h[1:]
        slope = 1 - states * states
        self.noise.relative(slope[:, 1:])
        return slope

    def delta(self, tape: Tape, t: int, d: Array, slope: Array, out: Array) -> None:
        """The gradient of the pre-activation of a step."""
        np.multiply(d, slope, out=out)
        if self.case.relu:
            out[slope == 0] = 0  # a unit that is off stops even infinity
        self.noise.relative(out[1:])

    def carry(self, tape: Tape, t: int, dz: Array) -> Array:
        """What goes back to the state before."""
        Wh = np.asarray(tape.weights.Wh, np.float64)
        carry: Array = (dz.reshape(-1, len(Wh)) @ Wh.T).reshape(dz.shape)
        self.noise.product(carry[1:], dz[0], Wh.T)
        return carry

    def backward(self, tape: Tape, dhs: Array, dh_n: Array | None) -> Gradients:
        """Backpropagate ``dhs`` [T, runs or 1, B, H] and ``dh_n`` [B, H] through a cell."""
        noise, running = self.noise, tape.running
        slope, dhs = self.slope(tape), self.received(tape, dhs)
        d, dz = np.zeros_like(slope), np.zeros_like(slope)
        tape.d, tape.dz = d, dz
        carry = self.first_carry(tape, dh_n)
        for t in self.order(len(slope)):
            np.add(dhs[t], carry, out=d[t])
            noise.relative(d[t, 1:])
            self.delta(tape, t, d[t], slope[t], dz[t])
            if running is None:
                carry = self.carry(tape, t, dz[t])
            else:
                dz[t][:, ~running[t]] = 0
                carry = np.where(running[t, :, None], self.carry(tape, t, dz[t]), self.held(carry, dhs[t]))
        limit = noise.limit
        large = np.any((np.abs(d) > limit) & np.isfinite(d), axis=(1, 3))
        dWx, dWh, db = self.parameter_gradients(tape, dz)
        dh_0 = self.start_gradient(tape, carry)
        return Gradients(self.input_gradient(tape, dz), dh_0, dWx, dWh, db, large)

    def received(self, tape: Tape, dhs: Array) -> Array:
        """The gradients of the outputs as the steps get them."""
        return dhs

    def first_carry(self, tape: Tape, dh_n: Array | None) -> Array:
        """What comes to the last step beside the gradient of its output."""
        carry = np.zeros(tape.h.shape[1:])
        if dh_n is not None:
            carry += dh_n
        return carry

    def order(self, T: int) -> Sequence[int]:
        """The steps as they are taken back."""
        return range(T - 1, -1, -1)

    def held(self, carry: Array, dhs: Array) -> Array:
        """What goes back from behind a sequence's end."""
        return carry

    def start_gradient(self, tape: Tape, carry: Array) -> Array:
        """Return dh_0 [runs, B, H] from what the first step hands back."""
        return carry

    def input_gradient(self, tape: Tape, dz: Array) -> Array:
        """Return dx [T, runs, B, D]."""
        Wx = np.asarray(tape.weights.Wx, np.float64)
        dx: Array = (dz.reshape(-1, dz.shape[-1]) @ Wx.T).reshape(*dz.shape[:-1], len(Wx))
        self.noise.product(dx[:, 1:], dz[:, 0], Wx.T)
        return dx

    def parameter_gradients(self, tape: Tape, dz: Array) -> tuple[Array, Array, Array]:
        """Return dWx [runs, D, H], dWh [runs, H, H] and db [runs, H]."""
        before, x = rows_of(self.befores(tape)), rows_of(tape.x)
        rows = self.noise.partial_sums(rows_of(dz), x, before)
        return x.transpose(0, 2, 1) @ rows, before.transpose(0, 2, 1) @ rows, rows.sum(axis=1)

    def befores(self, tape: Tape) -> Array:
        """The states that the recurrent weights met, [T, runs, B, H]."""
        return tape.h[:-1]

    # What it comes to.

    def spread(
        self,
        call: Call,
        kept: Spread | None,
        tapes: list[Tape],
        gradients: list[Gradients],
        hs: Array,
        dx: Array,
    ) -> Spread:
        """The tensors under their names, and what they cannot speak for."""
        case = self.case
        runs: Answer = {} if case.is_cell else {"hs": hs.transpose(1, 2, 0, 3)}
        runs["h_n"] = np.stack([self.final(tape) for tape in tapes], axis=1)
        runs["dx"] = dx.transpose(1, 2, 0, 3)
        runs["dh_0"] = np.stack([found.dh_0 for found in gradients], axis=1)
        for suffix, cell, found in zip(suffixes(case), call.cells, self.filed(gradients), strict=True):
            if case.kind in ("time", "cell"):
                runs |= {"dWx": found.dWx, "dWh": found.dWh, "db": found.db}
                continue
            runs[f"dweight_ih{suffix}"] = found.dWx.swapaxes(1, 2)
            runs[f"dweight_hh{suffix}"] = found.dWh.swapaxes(1, 2)
            if cell.b is not None:
                runs |= {f"dbias_ih{suffix}": found.db, f"dbias_hh{suffix}": found.db}
        runs = self.given(call, runs)
        return Spread(runs, self.unsure(call, kept, tapes, gradients, runs))

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        """The gradients as they come under the names of the parameters."""
        return gradients

    def given(self, call: Call, runs: Answer) -> Answer:
        """The tensors as the caller gets them."""
        return runs

    def final(self, tape: Tape) -> Array:
        """Return h_n [runs, B, H]."""
        return tape.h[-1]

    def unsure(
        self, call: Call, kept: Spread | None, tapes: list[Tape], gradients: list[Gradients], runs: Answer
    ) -> Answer:
        """Which slices a lost state or a value too large reaches."""
        lost = [self.lost(tape).T for tape in tapes]
        large = [found.large.T for found in gradients]
        if kept:
            lost[0][:, 0] |= kept.unsure["h_n"][0]
        hs = np.logical_or.accumulate(lost[0], axis=1)
        reached = np.logical_or.accumulate(large[0][:, ::-1], axis=1)[:, ::-1] | hs[:, -1:]
        finals = np.stack([cell.any(axis=1) for cell in lost])
        starts = reached[None, :, 0]
        if len(tapes) > 1:
            # Through other cells it reaches all of its sequence.
            row = np.asarray(finals.any(axis=0))
            hs = np.broadcast_to(row[:, None], hs.shape).copy()
            finals = np.broadcast_to(row, finals.shape)
            every = np.asarray(row | np.stack([cell.any(axis=1) for cell in large]).any(axis=0))
            reached = np.broadcast_to(every[:, None], hs.shape).copy()
            starts = np.broadcast_to(every, finals.shape)
        anywhere = reached.any()
        unsure = {
            name: np.full(value.shape[1:-1], anywhere) | self.noise.too_large(value, self.case.relu)
            for name, value in runs.items()
            if is_parameter_gradient(name)
        }
        if call.lengths is not None:
            # What stands in the padding is 0, whatever happened before.
            valid = np.arange(hs.shape[1]) < call.lengths[:, None]
            hs, reached = hs & valid, reached & valid
        unsure |= {"h_n": finals, "dx": reached, "dh_0": starts}
        return unsure if self.case.is_cell else {"hs": hs, **unsure}

    def lost(self, tape: Tape) -> Array:
        """[T, B], whether the runs have gone apart, or out of the working precision's range."""
        states = tape.h[1:]
        moved = np.abs(states[:, 1:] - states[:, :1]).max(axis=(1, 3), initial=0.0)
        if not self.case.relu:
            return np.asarray(moved > LOST)
        largest = np.abs(states[:, 0]).max(axis=-1)
        near = (moved <= LOST * np.maximum(largest, 1)) & (largest < self.noise.limit)
        return np.asarray(~near)


def time_major(values: Array, valid: Array | None) -> Array:
    """[B, T, ...] to [T, B, ...] in float64, with zeros for padding."""
    if valid is not None:
        values = np.where(valid[..., None], values, 0)
    return np.ascontiguousarray(values.swapaxes(0, 1), np.float64)


def rows_of(array: Array) -> Array:
    """[T, runs, B, H] to [runs, T * B, H]."""
    T, runs, B, H = array.shape
    return np.ascontiguousarray(array.transpose(1, 0, 2, 3)).reshape(runs, T * B, H)
