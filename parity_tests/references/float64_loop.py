"""The plain loop: a case in float64, by the book, independent of ``rnn_np``'s kernel and of torch.

Every piece of the mathematics is a method of its own, so that a faulty twin is this loop with one of
them written again. Several runs go side by side: run 0 as exact as float64 goes, in the others a
``RoundingNoise`` perturbs every stored value. Arrays are [T, runs, B, ...] in here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parity_tests.cases.arrays import Array, Call, Weights
from parity_tests.cases.tensors import Answer, is_parameter_gradient, suffixes
from parity_tests.references.float64_cell import Cell, CellTrace, Gradients


@dataclass(frozen=True, slots=True)
class Spread:
    """One call's tensors in every run, [runs, ...] each, run 0 unperturbed.

    ``unsure`` says for each tensor which slices the runs cannot speak for: those that a lost state
    reaches, or a value near the working precision's largest float.
    """

    runs: Answer
    unsure: Answer


class Loop(Cell):
    """The loop over the calls of one case."""

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

    def call(self, call: Call, before: Spread | None) -> Spread:
        """One forward and backward."""
        case = self.case
        kept = before if call.carries else None
        flips = self.flips(call)
        valid = self.valid(call)
        running = None if valid is None else valid.T
        first = x = self.inputs(call, valid)
        starts, cells, masks = self.starts(call, before), self.cells(call), self.masks(call)
        traces: list[CellTrace] = []
        for layer in range(case.layers):
            outputs = []
            for direction in range(case.directions):
                i = len(traces)
                own = self.flipped(x, flips, "input") if direction else x
                traces.append(trace := self.forward(cells[i], own, starts[i], running))
                states = self.outputs(trace)
                outputs.append(self.flipped(states, flips, "output") if direction else states)
            x = self.layer_input(first, self.joined(outputs), layer)
            if layer < len(masks):
                x = self.dropped(x, masks[layer])
        hs = x

        backward_traces = self.backward_traces(traces)
        dy = self.upstream(call, valid, hs.shape)
        gradients: list[Gradients] = []
        for layer in reversed(range(case.layers)):
            parts = []
            for direction in reversed(range(case.directions)):
                i = layer * case.directions + direction
                part = self.part(dy, direction)
                own = self.flipped(part, flips, "upstream") if direction else part
                gradients.append(
                    found := self.backward(backward_traces[i], own, self.final_gradient(call, i))
                )
                parts.append(self.flipped(found.dx, flips, "gradient") if direction else found.dx)
            dy = self.summed(parts, dy, layer)
            if layer and masks:
                dy = self.undropped(dy, masks[layer - 1])
        gradients.reverse()
        return self.spread(call, kept, traces, gradients, hs, dy)

    def spread(
        self,
        call: Call,
        kept: Spread | None,
        traces: list[CellTrace],
        gradients: list[Gradients],
        hs: Array,
        dx: Array,
    ) -> Spread:
        """The tensors under their names, and what they cannot speak for."""
        case = self.case
        runs: Answer = {} if case.is_cell else {"hs": hs.transpose(1, 2, 0, 3)}
        runs["h_n"] = np.stack([self.final(trace) for trace in traces], axis=1)
        runs["dx"] = dx.transpose(1, 2, 0, 3)
        runs["dh_0"] = np.stack([found.dh_0 for found in gradients], axis=1)
        for suffix, cell, found in zip(
            suffixes(case), call.cells, self.by_parameter_name(gradients), strict=True
        ):
            if case.kind in ("time", "cell"):
                runs |= {"dWx": found.dWx, "dWh": found.dWh, "db": found.db}
                continue
            runs[f"dweight_ih{suffix}"] = found.dWx.swapaxes(1, 2)
            runs[f"dweight_hh{suffix}"] = found.dWh.swapaxes(1, 2)
            if cell.b is not None:
                runs |= {f"dbias_ih{suffix}": found.db, f"dbias_hh{suffix}": found.db}
        runs = self.as_returned(call, runs)
        return Spread(runs, self.unsure(call, kept, traces, gradients, runs))

    def unsure(
        self,
        call: Call,
        kept: Spread | None,
        traces: list[CellTrace],
        gradients: list[Gradients],
        runs: Answer,
    ) -> Answer:
        """Which slices a lost state or a value too large reaches."""
        lost = [self.lost(trace).T for trace in traces]
        large = [found.large.T for found in gradients]
        if kept:
            lost[0][:, 0] |= kept.unsure["h_n"][0]
        hs = np.logical_or.accumulate(lost[0], axis=1)
        reached = np.logical_or.accumulate(large[0][:, ::-1], axis=1)[:, ::-1] | hs[:, -1:]
        finals = np.stack([cell.any(axis=1) for cell in lost])
        starts = reached[None, :, 0]
        if len(traces) > 1:
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

    # Pieces that a fault may replace.

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

    def layer_input(self, first: Array, outputs: Array, layer: int) -> Array:
        """What a layer hands on to the one above, which has the ``first`` input from below."""
        return outputs

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        """What the backward remembers of the forward."""
        return traces

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

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        """The gradients as they come under the names of the parameters."""
        return gradients

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        """The tensors as the caller gets them."""
        return runs


def time_major(values: Array, valid: Array | None) -> Array:
    """[B, T, ...] to [T, B, ...] in float64, with zeros for padding."""
    if valid is not None:
        values = np.where(valid[..., None], values, 0)
    return np.ascontiguousarray(values.swapaxes(0, 1), np.float64)
