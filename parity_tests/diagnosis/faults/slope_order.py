"""Faults of the place at which the derivative of the nonlinearity is multiplied in."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, FaultyLoop, fault
from parity_tests.references.float64_cell import CellTrace, Gradients


@fault(
    "slope before the sum with the carry",
    sentence="The derivative of the nonlinearity multiplies the upstream gradient or the carry, not their sum:",
    look="look for `dhs[:, t] * ({slope}) + dh_next` where `(dhs[:, t] + dh_next) * ({slope})` is due.",
    layers=SEQUENCES,
    variants=(
        {},
        {"on_carry": True},
    ),
)
class SlopeBeforeSum(FaultyLoop):
    """dz is slope * dhs + carry, or with ``on_carry`` dhs + slope * carry."""

    on_carry = False
    summed_upstream: Array

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        self.summed_upstream = dhs
        return super().backward(trace, dhs, dh_n)

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        self.summed_upstream = super().step_gradients(trace, dhs)
        return self.summed_upstream

    def delta(self, trace: CellTrace, t: int, d: Array, slope: Array, out: Array) -> None:
        upstream = np.broadcast_to(self.summed_upstream[t], d.shape)
        sloped, plain = (d - upstream, upstream) if self.on_carry else (upstream, d - upstream)
        super().delta(trace, t, sloped, slope, out)
        out += plain
        self.noise.relative(out[1:])


@fault(
    "slope behind the weights in the carry",
    sentence="In the carry the derivative of the nonlinearity is multiplied in behind the recurrent weights:",
    look="look for `({slope}) * (d @ Wh.T)` where `(({slope}) * d) @ Wh.T` is due.",
    variants=tuple(
        {"of_state_before": before, "once_more": more} for more in (False, True) for before in (False, True)
    ),
)
class SlopeBehindWeights(FaultyLoop):
    """The carry is slope * (d Wh^T), with the slope of the step or of the state before it.

    With ``once_more`` it is slope * (dz Wh^T).
    """

    of_state_before = False
    once_more = False

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        h = trace.h[t] if self.of_state_before else trace.h[t + 1]
        slope = self.slope_at(h)
        carry = super().carry(trace, t, dz if self.once_more else trace.d[t]) * slope
        self.noise.relative(carry[1:])
        return carry
