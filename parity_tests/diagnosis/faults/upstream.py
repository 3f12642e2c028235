"""Faults of the upstream gradients: how the backward reads them."""

from collections.abc import Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.diagnosis.faults.faulty_loop import (
    HEADLESS,
    SEQUENCES,
    STACKS,
    FaultyLoop,
    fault,
    register,
)
from parity_tests.references.float64_cell import CellTrace


@fault(
    "upstream gradients read one step off",
    sentence="Each step is given the upstream gradient of its neighbour:",
    look="look for `dhs[:, t - 1]` or `dhs[:, t + 1]` where `dhs[:, t]` is due.",
    losses=HEADLESS,
    layers=SEQUENCES,
    variants=tuple({"shift": by, "wraps": wraps} for by in (-1, 1) for wraps in (True, False)),
)
class UpstreamOneOff(FaultyLoop):
    """Step t uses the upstream gradient of step t + shift."""

    shift: int = -1
    wraps = True

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        moved = np.roll(dhs, -self.shift, axis=0)
        if not self.wraps:
            moved[0 if self.shift < 0 else -1] = 0
        return moved


@fault(
    "only the last upstream gradient used",
    sentence="Only the upstream gradient of the last step is used:",
    look="look for a backward written for one output at the end: `dhs[:, t]` is due at every step.",
    losses=HEADLESS,
    layers=SEQUENCES,
)
class OnlyLastUpstream(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        kept = np.zeros_like(dhs)
        kept[-1] = dhs[-1]
        return kept


@fault(
    "last upstream gradient at every step",
    sentence="Every step gets the upstream gradient of the last (or first) step:",
    look="look for `dhs[:, -1]`, or a `dh` set before the loop, where `dhs[:, t]` is due.",
    losses=HEADLESS,
    layers=SEQUENCES,
    variants=(
        {},
        {"step_repeated": 0},
    ),
)
class OneUpstreamEverywhere(FaultyLoop):
    """Every step gets the last step's upstream gradient, or that of ``step_repeated``."""

    step_repeated: int = -1

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return np.broadcast_to(dhs[self.step_repeated], dhs.shape)


@fault(
    "only the first upstream gradient used",
    sentence="Only the upstream gradient of the first step is used:",
    look="look for `dhs[:, 0]` where `dhs[:, t]` is due.",
    losses=HEADLESS,
    layers=SEQUENCES,
)
class OnlyFirstUpstream(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        kept = np.zeros_like(dhs)
        kept[0] = dhs[0]
        return kept


@fault(
    "last upstream gradient not used",
    sentence="The upstream gradient of the last step is not used:",
    look="look for a backward that starts from a carry of zeros and adds `dhs[:, t - 1]`, or starts at T - 2.",
    losses=HEADLESS,
    layers=SEQUENCES,
)
class LastUpstreamLost(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        kept = dhs.copy()
        kept[-1] = 0
        return kept


@fault(
    "upstream gradients not used",
    sentence="The upstream gradients of the outputs have no effect:",
    look="look for `dhs` that is never added.",
    losses=HEADLESS,
    layers=("nn.RNN",),
)
class UpstreamIgnored(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return np.zeros_like(dhs)


@fault(
    "upstream gradients summed into the last step",
    sentence="The upstream gradients enter together at the last step:",
    look="look for `dhs.sum(axis=1)`.",
    losses=HEADLESS,
    layers=SEQUENCES,
    variants=(
        {},
        {"mean": True},
    ),
)
class UpstreamSummed(FaultyLoop):
    mean = False

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        late = np.zeros_like(dhs)
        late[-1] = dhs.mean(axis=0) if self.mean else dhs.sum(axis=0)
        return late


@fault(
    "upstream gradients cumulated",
    sentence="Each step also gets the upstream gradients of all later steps, unchanged:",
    look="look for `dhs` that is added up over the steps, in addition to the carry.",
    losses=HEADLESS,
    layers=SEQUENCES,
)
class UpstreamCumulated(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return np.cumsum(dhs[::-1], axis=0)[::-1]


@fault(
    "upstream gradients reversed in time",
    sentence="The upstream gradients are read in reversed order of time:",
    look="look for steps walked from the end and `dhs` from the front.",
    losses=HEADLESS,
    layers=SEQUENCES,
)
class UpstreamReversed(FaultyLoop):
    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return dhs[::-1]


@fault(
    "upstream gradient divided by the batch size",
    sentence="All gradients are those of an upstream gradient divided by the batch size:",
    look="look for a mean over the batch: it belongs to the loss.",
    losses=HEADLESS,
)
class UpstreamOverBatch(FaultyLoop):
    """All upstream gradients are scaled before they are used."""

    def upstream_scale(self, dhs: Array) -> float:
        """Return the factor."""
        return 1 / dhs.shape[2]

    def step_gradients(self, trace: CellTrace, dhs: Array) -> Array:
        return dhs * self.upstream_scale(dhs)


class UpstreamOverTime(UpstreamOverBatch):
    def upstream_scale(self, dhs: Array) -> float:
        return 1 / len(dhs)


class UpstreamOverTokens(UpstreamOverBatch):
    def upstream_scale(self, dhs: Array) -> float:
        return 1 / (len(dhs) * dhs.shape[2])


register(
    "upstream gradient divided by the number of steps",
    sentence="All gradients are those of an upstream gradient divided by the number of steps (or of tokens):",
    look="look for a mean over time: it belongs to the loss.",
    losses=HEADLESS,
    layers=SEQUENCES,
    loops=(UpstreamOverTime, UpstreamOverTokens),
)


@fault(
    "absent output gradient is garbage",
    sentence="Without a gradient of the output all gradients are NaN:",
    look="look for `np.empty` where `np.zeros` is due.",
    losses=HEADLESS,
    layers=STACKS,
)
class AbsentGradientIsNaN(FaultyLoop):
    """An output gradient that is not given is read from uninitialised memory."""

    def upstream(self, call: Call, valid: Array | None, shape: Sequence[int]) -> Array:
        return np.full(shape, np.nan) if call.dhs is None else super().upstream(call, valid, shape)
