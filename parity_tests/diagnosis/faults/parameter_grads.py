"""Faults of dWx, dWh and db."""

from collections.abc import Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    SEQUENCES,
    FaultyLoop,
    Variant,
    fault,
    register,
)
from parity_tests.diagnosis.faults.shared import Changed, of_roles
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import CellTrace, Gradients


@fault(
    "gradient of one step only",
    sentence="The gradients of the parameters are one time step's instead of the sum over all:",
    look="look for `=` where `+=` is due in the backward's loop.",
    layers=SEQUENCES,
    variants=(
        {},
        {"step_kept": -1},
    ),
)
class OneStepOnly(Changed):
    """The parameter gradients contain one step only."""

    step_kept: int = 0

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        t = self.step_kept
        rest = trace.dz.copy()
        rest[t] = 0
        one = trace.dz - rest
        return self.parameter_gradients(trace, one)[PARAMETERS.index(name)]

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        # If db alone is wrong, that is the fault "db of one step only".
        return [
            roles
            for roles in super().choices(variant, samples)
            if roles != {"db"} or variant.value("allowed_roles") == ("db",)
        ]


@fault(
    "gradient of one batch row only",
    sentence="The gradients of the parameters are one batch row's instead of the sum over the batch:",
    look="look for `=` where `+=` is due in a loop over rows, or for `dz[-1]` where `dz.sum(axis=0)` is due.",
    variants=(
        {},
        {"row": 0},
    ),
)
class OneRowOnly(Changed):
    row: int = -1

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        one = np.zeros_like(trace.dz)
        one[:, :, self.row] = trace.dz[:, :, self.row]
        return self.parameter_gradients(trace, one)[PARAMETERS.index(name)]


class OtherPreviousStates(FaultyLoop):
    """dWh pairs dz with other states than those before the steps."""

    def previous_states(self, trace: CellTrace) -> Array:
        states = trace.h[:-1].copy()
        self.replace_states(states, trace)
        return states

    def replace_states(self, states: Array, trace: CellTrace) -> None:
        """Overwrite ``states`` [T, runs, B, H], which hold the states before the steps."""
        raise NotImplementedError


@fault(
    "dWh with the last state at the first step",
    sentence="dWh pairs the first step with the last state:",
    look="look for `h[t - 1]` at t = 0, an index of -1 that wraps around.",
    layers=SEQUENCES,
)
class LastStateAtFirstStep(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[0] = trace.h[-1]


@fault(
    "dWh with h_1 for h_0",
    sentence="dWh pairs the first step with the state after it, in place of h_0; the other steps are right:",
    look="look for a buffer of h_0 that the first step writes into, so that the backward finds h_1 there.",
    layers=SEQUENCES,
)
class FirstStateForInitial(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[0] = trace.h[1]


@fault(
    "dWh transposed",
    sentence="dWh is transposed:",
    look="look for `dz.T @ h_prev` where `h_prev.T @ dz` is due.",
)
class Transposed(Changed):
    allowed_roles = ("dWx", "dWh")
    roles = frozenset(("dWh",))

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        return value.swapaxes(1, 2) if value.shape[1] == value.shape[2] else value

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        return [frozenset(variant.value("roles"))]


register(
    "dWx transposed where it is square",
    sentence="dWx is transposed where D = H:",
    look="look for `dz.T @ x` where `x.T @ dz` is due.",
    loops=(Transposed.with_params(**of_roles("dWx")), Transposed.with_params(**of_roles("dWx", "dWh"))),
)


class FromStateGradient(Changed):
    """The gradients of the parameters (or dx) use d where dz is due."""

    allowed_roles = ("dx", *PARAMETERS)
    roles = frozenset(PARAMETERS)

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        d = trace.d if trace.running is None else trace.d * trace.running[:, None, :, None]
        if name == "dx":
            return self.input_gradient(trace, d)
        return self.parameter_gradients(trace, d)[PARAMETERS.index(name)]


@fault(
    "db takes the carry for dz",
    sentence="db sums the carries of the steps instead of dz:",
    look="look for `dh_next.sum(axis=0)` where `dz.sum(axis=0)` is due.",
)
class BiasFromCarry(Changed):
    """db is the sum of the carries."""

    allowed_roles = ("db",)
    roles = frozenset(("db",))

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        total = np.zeros_like(value)
        for t in range(len(trace.dz)):
            total += self.carry(trace, t, trace.dz[t]).sum(axis=1)
        return total


register(
    "d taken for dz",
    sentence="The tensors that are wrong take the gradient of the state where that of the pre-activation is due:",
    look="look for `dh` where `dz = dh * ({slope})` is due.",
    loops=(FromStateGradient, FromStateGradient.with_params(**of_roles("dx"))),
)


@fault(
    "dWh with the dz of another step",
    sentence="dWh pairs the states with the dz of the neighbouring step:",
    look="look for a `dz` assigned after, or kept from before, the line of dWh.",
    layers=SEQUENCES,
    variants=(
        {},
        {"shift": -1},
    ),
)
class DzOfAnotherStep(Changed):
    """dWh pairs the states with the dz of the step after (or before)."""

    allowed_roles = ("dWh",)
    roles = frozenset(("dWh",))
    shift: int = 1

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        moved = np.roll(trace.dz, -self.shift, axis=0)
        moved[-1 if self.shift > 0 else 0] = 0
        return self.parameter_gradients(trace, moved)[1]


@fault(
    "db multiplied by the input",
    sentence="db is multiplied by the input before it is summed:",
    look="look for `x` in the line of db, or for db taken from dWx.",
    variants=(
        {},
        {"mean": True},
    ),
)
class BiasTimesInput(Changed):
    allowed_roles = ("db",)
    roles = frozenset(("db",))
    mean = False

    def changed(self, name: str, value: Array, trace: CellTrace) -> Array:
        x = trace.x.mean(axis=-1, keepdims=True) if self.mean else trace.x.sum(axis=-1, keepdims=True)
        return self.parameter_gradients(trace, trace.dz * x)[2]


register(
    "db of one step only",
    sentence="db is one time step's instead of the sum over all:",
    look="look for `db = dz.sum(axis=0)` where `+=` is due.",
    layers=SEQUENCES,
    loops=(
        OneStepOnly.with_params(**of_roles("db")),
        OneStepOnly.with_params(**of_roles("db"), step_kept=-1),
    ),
)


class CellsLost(FaultyLoop):
    """The gradients of some cells' parameters stay zero."""

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        for i, found in enumerate(gradients):
            for name in PARAMETERS:
                if self.loses(i, name):
                    setattr(found, name, 0 * getattr(found, name))
        return gradients

    def loses(self, i: int, name: str) -> bool:
        """Return whether the gradient ``name`` of cell i is lost."""
        raise NotImplementedError


@fault(
    "bias gradients of upper layers zero",
    sentence="The gradients of the biases of all layers above the first are zero:",
    look="look for the offset of the bias block in a flat buffer of gradients.",
    layers=("nn.RNN",),
)
class UpperBiasesLost(CellsLost):
    def loses(self, i: int, name: str) -> bool:
        return name == "db" and i >= self.case.directions


class UpperLayersLost(CellsLost):
    def loses(self, i: int, name: str) -> bool:
        return i >= self.case.directions


class LowerLayersLost(CellsLost):
    def loses(self, i: int, name: str) -> bool:
        return i < self.case.num_cells - self.case.directions


register(
    "gradients of some layers zero",
    sentence="The gradients of the parameters of some layers are zero:",
    look="look for a loop over the layers that ends too early.",
    layers=("nn.RNN",),
    loops=(UpperLayersLost, LowerLayersLost),
)


class ReverseLost(CellsLost):
    def loses(self, i: int, name: str) -> bool:
        return self.case.bidirectional and i % 2 == 1


class ReverseAddedToForward(FaultyLoop):
    """The gradients of both directions are added up in the forward direction's."""

    def by_parameter_name(self, gradients: list[Gradients]) -> list[Gradients]:
        if self.case.bidirectional:
            for forward, reverse in zip(gradients[::2], gradients[1::2], strict=True):
                for name in PARAMETERS:
                    setattr(forward, name, getattr(forward, name) + getattr(reverse, name))
                    setattr(reverse, name, 0 * getattr(reverse, name))
        return gradients


register(
    "reverse direction's gradients zero",
    sentence="The gradients of the reverse direction's parameters are zero:",
    look="look for gradients of the reverse direction that are never added.",
    layers=("nn.RNN",),
    loops=(ReverseLost, ReverseAddedToForward),
)


@fault(
    "dWh with the state after the step",
    sentence="dWh pairs each step with its own new state instead of the one before:",
    look="look for `h_next.T @ dz` where `h_prev.T @ dz` is due.",
)
class StateAfterStep(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[...] = trace.h[1:]


@fault(
    "dWh without the initial state",
    sentence="dWh leaves out the first step's part, that of h_0:",
    look="look for `if t > 0`, or for zeros where h_0 is due.",
    layers=SEQUENCES,
)
class WithoutInitialState(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[0] = 0


class InitialStateOnly(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[...] = trace.h[0]


class StateTwoBefore(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[1:] = trace.h[:-2]


class LastStateOnly(OtherPreviousStates):
    def replace_states(self, states: Array, trace: CellTrace) -> None:
        states[...] = trace.h[-1]


register(
    "dWh with another step's state",
    sentence="dWh pairs the steps with a state that is not the one before them:",
    look="look for an `h_prev` that stays at h_0, at the last state, or is a step late.",
    layers=SEQUENCES,
    loops=(InitialStateOnly, StateTwoBefore, LastStateOnly),
)


@fault(
    "middle layers take their output for their input",
    sentence="With more than two layers, the weight_ih gradients of the middle ones are taken with the layer's output for its input:",
    look="look for the buffer that holds a layer's input in the backward.",
    layers=("nn.RNN",),
)
class OutputAsInput(FaultyLoop):
    """dweight_ih of middle layers uses the layer's output in place of its input."""

    def backward_traces(self, traces: list[CellTrace]) -> list[CellTrace]:
        case = self.case
        for layer in range(1, case.layers - 1):
            own = traces[layer * case.directions : (layer + 1) * case.directions]
            for direction, trace in enumerate(own):
                others = own[::-1] if direction else own
                trace.x = np.concatenate([np.asarray(other.h[1:]) for other in others], axis=-1)
        return traces
