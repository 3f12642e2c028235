"""Faults of dWx, dWh and db."""

from collections.abc import Sequence

import numpy as np

from parity_tests.cases.arrays import Array
from parity_tests.diagnosis.faults.faulty_loop import (
    PARAMETERS,
    SEQUENCES,
    Changed,
    Twin,
    Variant,
    _KeepsUpstream,
    fault,
    of_roles,
    register,
)
from parity_tests.diagnosis.samples import Sample
from parity_tests.references.float64_cell import Gradients, Tape


@fault(
    "gradient of one step only",
    sentence="The gradients of the parameters are one time step's instead of the sum over all:",
    look="look for `=` where `+=` is due in the backward's loop.",
    kinds=SEQUENCES,
    variants=(
        {},
        {"step_kept": -1},
    ),
)
class _OneStep(Changed):
    """Of the parameter gradients one step's part survives."""

    step_kept: int = 0

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        t = self.step_kept
        rest = tape.dz.copy()
        rest[t] = 0
        one = tape.dz - rest
        return self.parameter_gradients(tape, one)[PARAMETERS.index(name)]

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        # db alone is a fault of its own.
        return [
            roles
            for roles in super().choices(variant, samples)
            if roles != {"db"} or variant.value("among") == ("db",)
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
class _OneRow(Changed):
    row: int = -1

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        one = np.zeros_like(tape.dz)
        one[:, :, self.row] = tape.dz[:, :, self.row]
        return self.parameter_gradients(tape, one)[PARAMETERS.index(name)]


class _Befores(Twin):
    """Other states for dWh."""

    def befores(self, tape: Tape) -> Array:
        states = tape.h[:-1].copy()
        self.rewrite(states, tape)
        return states

    def rewrite(self, states: Array, tape: Tape) -> None:
        """Change what stands for the states before the steps."""
        raise NotImplementedError


@fault(
    "dWh with the last state at the first step",
    sentence="dWh pairs the first step with the last state:",
    look="look for `h[t - 1]` at t = 0, an index of -1 that wraps around.",
    kinds=SEQUENCES,
)
class _Wraps(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[0] = tape.h[-1]


@fault(
    "dWh transposed",
    sentence="dWh comes transposed:",
    look="look for `dz.T @ h_prev` where `h_prev.T @ dz` is due.",
)
class _Transposed(Changed):
    among = ("dWx", "dWh")
    roles = frozenset(("dWh",))

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return value.swapaxes(1, 2) if value.shape[1] == value.shape[2] else value

    @classmethod
    def choices(cls, variant: Variant, samples: Sequence[Sample]) -> list[frozenset[str]]:
        return [frozenset(variant.value("roles"))]


register(
    "dWx transposed where it is square",
    sentence="dWx comes transposed where D = H:",
    look="look for `dz.T @ x` where `x.T @ dz` is due.",
    loops=(_Transposed.with_params(**of_roles("dWx")), _Transposed.with_params(**of_roles("dWx", "dWh"))),
)


class _FromD(Changed):
    """What sums dz sums d."""

    among = ("dx", *PARAMETERS)
    roles = frozenset(PARAMETERS)

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        d = tape.d if tape.running is None else tape.d * tape.running[:, None, :, None]
        if name == "dx":
            return self.input_gradient(tape, d)
        return self.parameter_gradients(tape, d)[PARAMETERS.index(name)]


@fault(
    "db takes the carry for dz",
    sentence="db sums what the steps hand back instead of dz:",
    look="look for `dh_next.sum(axis=0)` where `dz.sum(axis=0)` is due.",
)
class _FromCarry(Changed):
    """A sum over what the steps hand back."""

    among = ("db",)
    roles = frozenset(("db",))

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        total = np.zeros_like(value)
        for t in range(len(tape.dz)):
            total += self.carry(tape, t, tape.dz[t]).sum(axis=1)
        return total


class _FromUpstream(_FromCarry, _KeepsUpstream):
    """A sum over the upstream gradients alone."""

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        return np.broadcast_to(self.upstream_alone.sum(axis=(0, 2)), value.shape).copy()


register(
    "d taken for dz",
    sentence="The tensors that are wrong take the gradient of the state where that of the pre-activation is due:",
    look="look for `dh` where `dz = dh * (1 - h**2)` is due.",
    loops=(_FromD, _FromUpstream, _FromD.with_params(**of_roles("dx"))),
)


@fault(
    "dWh with the dz of another step",
    sentence="dWh pairs the states with the dz of the neighbouring step:",
    look="look for a `dz` assigned after, or kept from before, the line of dWh.",
    kinds=SEQUENCES,
    variants=(
        {},
        {"by": -1},
    ),
)
class _Neighbour(Changed):
    """dWh with the dz of the step after, or before."""

    among = ("dWh",)
    roles = frozenset(("dWh",))
    by: int = 1

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        moved = np.roll(tape.dz, -self.by, axis=0)
        moved[-1 if self.by > 0 else 0] = 0
        return self.parameter_gradients(tape, moved)[1]


@fault(
    "db multiplied by the input",
    sentence="db is multiplied by the input before it is summed:",
    look="look for `x` in the line of db, or for db taken from dWx.",
    variants=(
        {},
        {"mean": True},
    ),
)
class _BiasTimesInput(Changed):
    among = ("db",)
    roles = frozenset(("db",))
    mean = False

    def changed(self, name: str, value: Array, tape: Tape) -> Array:
        x = tape.x.mean(axis=-1, keepdims=True) if self.mean else tape.x.sum(axis=-1, keepdims=True)
        return self.parameter_gradients(tape, tape.dz * x)[2]


register(
    "db of one step only",
    sentence="db is one time step's instead of the sum over all:",
    look="look for `db = dz.sum(axis=0)` where `+=` is due.",
    kinds=SEQUENCES,
    loops=(_OneStep.with_params(**of_roles("db")), _OneStep.with_params(**of_roles("db"), step_kept=-1)),
)


class _LostCells(Twin):
    """Gradients of some cells' parameters stay zero, or the reverse part of dx is lost."""

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
        for i, found in enumerate(gradients):
            for name in PARAMETERS:
                if self.loses(i, name):
                    setattr(found, name, 0 * getattr(found, name))
        return gradients

    def loses(self, i: int, name: str) -> bool:
        """Whether a cell's gradient is lost."""
        raise NotImplementedError


@fault(
    "bias gradients of upper layers zero",
    sentence="The gradients of the biases of all layers above the first are zero:",
    look="look for the offset of the bias block in a flat buffer of gradients.",
    kinds=("nn",),
)
class _UpperBiases(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return name == "db" and i >= self.case.directions


class _Upper(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return i >= self.case.directions


class _Lower(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return i < self.case.cells - self.case.directions


register(
    "gradients of some layers zero",
    sentence="The gradients of the parameters of some layers are zero:",
    look="look for a loop over the layers that ends too early.",
    kinds=("nn",),
    loops=(_Upper, _Lower),
)


class _Reverse(_LostCells):
    def loses(self, i: int, name: str) -> bool:
        return self.case.bidirectional and i % 2 == 1


class _ReverseFromForward(Twin):
    """Both directions' gradients are filed under the forward one."""

    def filed(self, gradients: list[Gradients]) -> list[Gradients]:
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
    kinds=("nn",),
    loops=(_Reverse, _ReverseFromForward),
)


@fault(
    "dWh with the state after the step",
    sentence="dWh pairs each step with its own new state instead of the one before:",
    look="look for `h_next.T @ dz` where `h_prev.T @ dz` is due.",
)
class _After(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[...] = tape.h[1:]


@fault(
    "dWh without the initial state",
    sentence="dWh leaves out the first step's part, that of h_0:",
    look="look for `if t > 0`, or for zeros where h_0 is due.",
    kinds=SEQUENCES,
)
class _NoStart(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[0] = 0


class _StartOnly(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[...] = tape.h[0]


class _TwoBefore(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[1:] = tape.h[:-2]


class _LastState(_Befores):
    def rewrite(self, states: Array, tape: Tape) -> None:
        states[...] = tape.h[-1]


register(
    "dWh with another step's state",
    sentence="dWh pairs the steps with a state that is not the one before them:",
    look="look for an `h_prev` that stays at h_0, at the last state, or is a step late.",
    kinds=SEQUENCES,
    loops=(_StartOnly, _TwoBefore, _LastState),
)


@fault(
    "middle layers take their output for their input",
    sentence="With more than two layers, the weight_ih gradients of the middle ones are taken with the layer's output for its input:",
    look="look for the buffer that holds a layer's input in the backward.",
    kinds=("nn",),
)
class _MiddleOutput(Twin):
    """Middle layers' weight_ih gradients use the layer's output for its input."""

    def recalled(self, tapes: list[Tape]) -> list[Tape]:
        case = self.case
        for layer in range(1, case.layers - 1):
            own = tapes[layer * case.directions : (layer + 1) * case.directions]
            for direction, tape in enumerate(own):
                others = own[::-1] if direction else own
                tape.x = np.concatenate([np.asarray(other.h[1:]) for other in others], axis=-1)
        return tapes
