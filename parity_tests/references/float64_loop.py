"""The plain loop: a case computed in float64, step by step, independent of ``rnn_np`` and of torch.

Every piece of the mathematics is a method, so that a faulty loop is this loop with one method replaced.
Several runs are computed side by side: run 0 as exactly as float64 allows; in the others a
``RoundingNoise`` perturbs every stored value. Arrays in this file are ``[T, runs, B, ...]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.tensors import Answer, is_parameter_gradient, suffixes
from parity_tests.references.float64_cell import Cell, CellTrace, Gradients
from parity_tests.references.float64_head import Head, HeadTrace
from parity_tests.references.tolerance import Allowance, allowance

NO_FLIPS = np.zeros((0, 0), int)
"""Where there is no reverse direction."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One call's tensors in every run, [runs, ...] each; run 0 is unperturbed.

    ``unsure`` marks the slices of each tensor whose error the runs cannot estimate: those that depend on
    a state where the runs diverge, or on a value near the largest float of the working precision.
    """

    runs: Answer
    unsure: Answer

    def allowances(self, truth: Answer, u: float, tiny: float) -> dict[str, Allowance]:
        """Return what rounding explains in each slice of every tensor.

        Args:
            truth: the true tensors.
            u: unit roundoff of the working precision.
            tiny: its smallest normal number.
        """
        return {
            name: allowance(truth[name], runs, u, tiny, self.unsure[name]) for name, runs in self.runs.items()
        }


class Loop(Head, Cell):
    """The loop over the calls of one case."""

    def spreads(self, calls: Sequence[Call]) -> list[Spread]:
        """Run the calls and return the tensors of each, in every run."""
        result: list[Spread] = []
        with np.errstate(all="ignore"):
            for call in calls:
                result.append(self.call(call, result[-1] if result else None))
        return result

    def answers(self, calls: Sequence[Call]) -> list[Answer]:
        """Run the calls and return the tensors of each, in the unperturbed run."""
        return [{name: runs[0] for name, runs in spread.runs.items()} for spread in self.spreads(calls)]

    def call(self, call: Call, before: Spread | None) -> Spread:
        """Run one forward and backward; ``before`` is the result of the call before."""
        case = self.case
        kept = before if call.carries else None
        flips = self.flips(call) if case.bidirectional else NO_FLIPS
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

        head = None if call.head is None else self.head(call.head, hs)
        backward_traces = self.backward_traces(traces)
        dy = self.upstream(call, valid, hs.shape) if head is None else head.dhs
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
        return self.spread(call, kept, traces, gradients, hs, dy, head)

    def spread(
        self,
        call: Call,
        kept: Spread | None,
        traces: list[CellTrace],
        gradients: list[Gradients],
        hs: Array,
        dx: Array,
        head: HeadTrace | None,
    ) -> Spread:
        """Collect the tensors of a call under their names."""
        case = self.case
        runs: Answer = {} if case.is_cell else {"hs": hs.transpose(1, 2, 0, 3)}
        runs["h_n"] = np.stack([self.final(trace) for trace in traces], axis=1)
        runs["dx"] = dx.transpose(1, 2, 0, 3)
        runs["dh_0"] = np.stack([found.dh_0 for found in gradients], axis=1)
        for suffix, cell, found in zip(
            suffixes(case), call.weights, self.by_parameter_name(gradients), strict=True
        ):
            if case.layer in ("TimeRNN", "RNN"):
                runs |= {"dWx": found.dWx, "dWh": found.dWh}
                runs |= {} if cell.b is None else {"db": found.db}
                continue
            runs[f"dweight_ih{suffix}"] = found.dWx.swapaxes(1, 2)
            runs[f"dweight_hh{suffix}"] = found.dWh.swapaxes(1, 2)
            if cell.b is not None:
                runs |= {f"dbias_ih{suffix}": found.db, f"dbias_hh{suffix}": found.db}
        runs |= {} if head is None else head.answer(case)
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
        """Return which slices of each tensor depend on a diverged state or a value that is too large."""
        lost = [self.diverged(trace).T for trace in traces]
        large = [found.large.T for found in gradients]
        if kept:
            lost[0][:, 0] |= kept.unsure["h_n"][0]
        hs = np.logical_or.accumulate(lost[0], axis=1)
        reached = np.logical_or.accumulate(large[0][:, ::-1], axis=1)[:, ::-1] | hs[:, -1:]
        finals = np.stack([cell.any(axis=1) for cell in lost])
        starts = reached[None, :, 0]
        if len(traces) > 1:
            # Through the other cells it affects the whole sequence.
            row = np.asarray(finals.any(axis=0))
            hs = np.broadcast_to(row[:, None], hs.shape).copy()
            finals = np.broadcast_to(row, finals.shape)
            every = np.asarray(row | np.stack([cell.any(axis=1) for cell in large]).any(axis=0))
            reached = np.broadcast_to(every[:, None], hs.shape).copy()
            starts = np.broadcast_to(every, finals.shape)
        anywhere = reached.any()
        unsure = {
            name: np.full(value.shape[1:-1], anywhere) | self.noise.too_large(value, self.case.is_unbounded)
            for name, value in runs.items()
            if is_parameter_gradient(name)
        }
        if call.lengths is not None:
            # The padding is 0 in any case.
            valid = np.arange(hs.shape[1]) < call.lengths[:, None]
            hs, reached = hs & valid, reached & valid
        unsure |= {"h_n": finals, "dx": reached, "dh_0": starts}
        if self.case.has_head:
            outputs = hs[:, -1:] if self.case.many_to_one else hs
            unsure |= {"logits": outputs, "probabilities": outputs}
        if "loss" in runs:
            unsure["loss"] = np.asarray(
                [outputs.any()] | self.noise.too_large(runs["loss"][..., None], self.case.is_unbounded)
            )
        return unsure if self.case.is_cell else {"hs": hs, **unsure}

    # Pieces that a fault may replace: each does one part of the forward or the backward.

    def cells(self, call: Call) -> Sequence[CellWeights]:
        """Return the weights of every cell."""
        return call.weights

    def masks(self, call: Call) -> Sequence[Array]:
        """Return the mask of every dropout layer, [B, T, ...] each."""
        return call.masks

    def valid(self, call: Call) -> Array | None:
        """Return which steps are not padding, [B, T]; None if there is no padding."""
        return None if call.lengths is None else np.arange(call.xs.shape[1]) < call.lengths[:, None]

    def inputs(self, call: Call, valid: Array | None) -> Array:
        """Return the input of the first layer, [T, 1, B, D]."""
        return time_major(call.xs, valid)[:, None]

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        """Return the gradient of the outputs, of ``shape`` [T, runs, B, directions * H] or with 1 run."""
        return np.zeros(shape) if call.dhs is None else time_major(call.dhs, valid)[:, None]

    def final_gradient(self, call: Call, i: int) -> Array | None:
        """Return the gradient of the final state of cell i, [B, H]."""
        return None if call.dh_n is None else call.dh_n[i]

    def layer_input(self, first: Array, outputs: Array, layer: int) -> Array:
        """Return the input of the next layer; ``first`` is the input of the stack."""
        return outputs

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        """Return the traces that the backward uses."""
        return traces

    def starts(self, call: Call, before: Spread | None) -> Array:
        """Return the initial state of every cell, [cells, runs or 1, B, H]."""
        if call.carries:
            assert before is not None  # a call carries the state of the one before
            carried: Array = before.runs["h_n"].swapaxes(0, 1)
            return carried
        return np.zeros((len(call.weights), 1, 1)) if call.h_0 is None else call.h_0[:, None]

    def flips(self, call: Call) -> Array:
        """Return which step of the sequence each step of the reverse direction reads, [T, B]."""
        B, T, _ = call.xs.shape
        steps = np.arange(T)[:, None]
        lengths = np.full(B, T) if call.lengths is None else call.lengths
        return np.where(steps < lengths, lengths - 1 - steps, steps)

    def flipped(self, values: Array, flips: Array, what: str) -> Array:
        """Reverse ``values`` in time, for the reverse direction.

        ``what``: its ``"input"`` or ``"upstream"`` gradient, or back again: its ``"output"`` or the
        ``"gradient"`` of its input.
        """
        return values[flips, :, np.arange(flips.shape[1])].swapaxes(1, 2)

    def joined(self, outputs: list[Array]) -> Array:
        """Concatenate the outputs of the directions."""
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)

    def part(self, values: Array, direction: int) -> Array:
        """Return the part of ``values`` that belongs to a direction."""
        H = self.case.H
        return values[..., direction * H : (direction + 1) * H]

    def summed(self, parts: list[Array], above: Array, layer: int) -> Array:
        """Add up the gradients of a layer's input.

        ``parts`` holds one for each direction, the last direction first; ``above`` is the gradient of
        the layer's output.
        """
        if len(parts) == 1:
            return parts[0]
        dy: Array = parts[0] + parts[1]
        self.noise.relative(dy[:, 1:])
        return dy

    def dropped(self, values: Array, mask: Array) -> Array:
        """Apply dropout: zero where ``mask`` [B, T, ...] is False, scaled where it is True."""
        result = np.where(mask.swapaxes(0, 1)[:, None], values / (1 - self.case.dropout), 0.0)
        self.noise.relative(result[:, 1:])
        return result

    def undropped(self, values: Array, mask: Array) -> Array:
        """Backpropagate ``values`` through dropout."""
        return self.dropped(values, mask)

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        """Return the gradients of the cells in the order of the parameters' names."""
        return gradients

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        """Return the tensors as the caller gets them, [runs, ...] each in the canonical layout."""
        return runs


def time_major(values: Array, valid: Array | None) -> Array:
    """Convert [B, T, ...] to [T, B, ...] in float64, with zeros in the padding."""
    if valid is not None:
        values = np.where(valid[..., None], values, 0)
    return np.ascontiguousarray(values.swapaxes(0, 1), np.float64)
