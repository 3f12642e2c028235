"""Faults of the sums in dWx and dWh: what is paired with what, and how often."""

from dataclasses import replace

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import PARAMETERS, SEQUENCES, FaultyLoop, fault
from parity_tests.diagnosis.faults.shared import Changed
from parity_tests.references.float64_cell import CellTrace


@fault(
    "dWx with another step's input",
    sentence="dWx pairs the steps with the input of another step:",
    look="look for an `x` left over from the forward loop, or `xs[:, t - 1]` or `xs[:, t + 1]`, where `xs[:, t]` is due.",
    layers=SEQUENCES,
    variants=tuple({"from_step": step} for step in ("last", "first", "before", "after")),
)
class OtherStepsInput(Changed):
    """dWx pairs every step with the first or last input, or with that of the step before or after.

    Where there is no such step, the index wraps around.
    """

    allowed_roles = ("dWx",)
    roles = frozenset(("dWx",))
    from_step: str = "last"

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        x = trace.x
        moved = {
            "last": np.broadcast_to(x[-1:], x.shape),
            "first": np.broadcast_to(x[:1], x.shape),
            "before": np.roll(x, 1, axis=0),
            "after": np.roll(x, -1, axis=0),
        }[self.from_step]
        return self.parameter_gradients(replace(trace, x=moved), trace.dz)[0]


@fault(
    "gradients cumulated over the steps",
    sentence="In the gradients of the parameters, steps count several times:",
    look="look for a running sum that is added to the gradients at every step.",
    layers=SEQUENCES,
    variants=(
        {},
        {"first_most": False},
    ),
)
class Cumulated(Changed):
    """Step t counts T - t times; without ``first_most`` t + 1 times, as in a backward from the end."""

    first_most = True

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        times = np.arange(1.0, trace.steps + 1)
        times = times[::-1] if self.first_most else times
        return self.parameter_gradients(trace, trace.dz * times[:, None, None, None])[PARAMETERS.index(name)]


@fault(
    "rows summed before the product",
    sentence="dWx and dWh are products of sums (or means) over the batch, or over time, instead of sums of products:",
    look="look for `x.sum(axis=0)` or `x.mean(axis=0)`, and the same of `dz`, in an outer product: it is `x.T @ dz`.",
    variants=tuple({"axis": axis, "mean": mean} for axis in (2, 0) for mean in (False, True)),
)
class SummedBeforeProduct(Changed):
    """The inputs and the states are summed over the batch, or with ``axis`` 0 over time."""

    allowed_roles = ("dWx", "dWh")
    roles = frozenset(("dWx", "dWh"))
    axis: int = 2
    mean = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        # The sum in every row: its products with the rows of dz add up to that with their sum.
        x, h = trace.x, np.array(trace.h)
        x = np.broadcast_to(self.summed_up(x), x.shape)
        h[:-1] = self.summed_up(h[:-1])
        return self.parameter_gradients(replace(trace, x=x, h=h), trace.dz)[PARAMETERS.index(name)]

    def summed_up(self, values: Array) -> Array:
        """Return the sum or mean over the axis, which is kept."""
        total: Array = (np.mean if self.mean else np.sum)(values, axis=self.axis, keepdims=True)
        return total


@fault(
    "states read one step off in the backward",
    sentence="The backward reads the states one step too early, for the derivative and for dWh:",
    look="look for a list of states that begins with h_0: the state after step t is `states[t + 1]`, that before it `states[t]`.",
    layers=SEQUENCES,
    variants=(
        {},
        {"wraps": False},
    ),
)
class StatesOneStepOff(FaultyLoop):
    """At step t the backward takes h_(t-1) for h_t, and h_(t-2) for h_(t-1).

    At the first step dWh takes the last state, or without ``wraps`` zeros.
    """

    wraps = True

    def slope(self, trace: CellTrace) -> Array:
        h = trace.h[:-1]
        slope = self.slope_at(h)
        self.noise.relative(slope[:, 1:])
        return slope

    def previous_states(self, trace: CellTrace) -> Array:
        states = np.roll(trace.h[:-1], 1, axis=0)
        states[0] = trace.h[-1] if self.wraps else 0
        return states
