"""Faults of db that leave the other gradients right."""

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.faults.faulty_loop import SEQUENCES, FaultyLoop, fault, register
from parity_tests.diagnosis.faults.shared import Changed
from parity_tests.diagnosis.faults.stages import Stage
from parity_tests.references.float64_cell import CellTrace, Gradients


class OtherBiasGradient(Changed):
    """Changes db."""

    allowed_roles = ("db",)
    roles = frozenset(("db",))


@fault(
    "db from the upstream gradient",
    sentence="db sums the upstream gradients, without the derivative of the nonlinearity and without the carry:",
    look="look for `dhs.sum(axis=(0, 1))` where the sum of `dz` is due.",
    layers=SEQUENCES,
    variants=(
        {},
        {"sloped": True},
    ),
)
class BiasFromUpstream(OtherBiasGradient):
    """db is the sum of the upstream gradients; with ``sloped`` the slope is multiplied in."""

    sloped = False
    upstream_of_bias: Array

    def backward(self, trace: CellTrace, dhs: Array, dh_n: Array | None) -> Gradients:
        self.upstream_of_bias = dhs
        return super().backward(trace, dhs, dh_n)

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        terms = self.upstream_of_bias
        if self.sloped:
            terms = terms * self.slope(trace)
        return np.broadcast_to(terms.sum(axis=(0, 2)), value.shape).copy()


class BiasTimesSize(OtherBiasGradient):
    """db is multiplied by D, H or B, or divided by D or H."""

    size: str = "D"
    divides = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        _, _, B, H = trace.dz.shape
        size = {"D": trace.x.shape[-1], "H": H, "B": B}[self.size]
        return value / size if self.divides else value * size


class EachBiasTimesItsWidth(FaultyLoop):
    """The gradient of bias_ih is multiplied by D, that of bias_hh by H."""

    stage = Stage.GRADIENTS

    def as_returned(self, call: Call, runs: Answer) -> Answer:
        runs = dict(super().as_returned(call, runs))
        for name, value in runs.items():
            if name.startswith("dbias_ih"):
                runs[name] = value * runs[name.replace("bias_ih", "weight_ih")].shape[-1]
            elif name.startswith("dbias_hh"):
                runs[name] = value * value.shape[-1]
        return runs


register(
    "db times a size",
    sentence="db is off by a factor of D, H or B:",
    look="look for a sum over one axis too many, a bias broadcast to a matrix, or `np.mean` in the line of db.",
    loops=(
        *(BiasTimesSize.with_params(size=size) for size in ("D", "H", "B")),
        *(BiasTimesSize.with_params(size=size, divides=True) for size in ("D", "H")),
        EachBiasTimesItsWidth,
    ),
)


@fault(
    "db summed over the hidden units",
    sentence="db is one number for all hidden units, the sum (or mean) over them:",
    look="look for `np.sum(dz)` without `axis=0`.",
    variants=(
        {},
        {"mean": True},
    ),
)
class BiasOneNumber(OtherBiasGradient):
    mean = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        one = (np.mean if self.mean else np.sum)(value, axis=-1, keepdims=True)
        return np.broadcast_to(one, value.shape).copy()
