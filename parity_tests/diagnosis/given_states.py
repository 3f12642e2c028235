"""The plain loop from the subject's own states, where nothing explains these."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop
from parity_tests.references.float64_cell import CellTrace
from parity_tests.references.float64_loop import Spread


class GivenStates(FaultyLoop):
    """Takes the states that the subject returned for those of the forward, in a single cell."""

    calls_begun = -1

    def call(self, call: Call, before: Spread | None) -> Spread:
        self.calls_begun += 1
        return super().call(call, before)

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        trace = super().forward(weights, x, h_0, running)
        if self.case.num_cells > 1 or running is not None or self.calls_begun >= len(self.subject_answers):
            return trace
        got = self.subject_answers[self.calls_begun]
        if "hs" in got:
            trace.h[1:] = got["hs"].swapaxes(0, 1)[:, None]
        elif self.case.is_cell and "h_n" in got:
            trace.h[1:] = got["h_n"][:, None]
        if trace.preactivations_kept:
            Wx, Wh = self.matrices(weights)
            trace.sums[...] = x @ Wx + trace.h[:-1] @ Wh + sum(self.biases(weights), np.zeros(len(Wh)))
        return trace


class OneStepAhead(GivenStates):
    """Computes each state from the subject's own state before it, so that a wrong step spoils no other."""

    def forward(self, weights: CellWeights, x: Array, h_0: Array, running: Array | None) -> CellTrace:
        return super(GivenStates, self).forward(weights, x, h_0, running)

    def previous(self, trace: CellTrace, t: int) -> Array:
        got = self.subject_answers[self.calls_begun] if self.calls_begun < len(self.subject_answers) else {}
        if t == 0 or "hs" not in got or self.case.num_cells > 1:
            return super().previous(trace, t)
        return np.asarray(got["hs"][None, :, t - 1])
