"""Faults of the nonlinearity: a constant inside of it."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, CellWeights
from parity_tests.diagnosis.faults.faulty_loop import FaultyLoop, Variant, fault, register
from parity_tests.diagnosis.faults.functions import first_states, first_steps
from parity_tests.diagnosis.faults.infer import constant_tolerance, round_constant, single_step_dz
from parity_tests.diagnosis.samples import Sample, prefer_float64
from parity_tests.references.float64_cell import CellTrace


def few_digits(value: float, within: float) -> float:
    """Return a small constant, rounded; ``within`` is the relative error that a large one may have."""
    return round_constant(value, 1e-3 if within < 1e-6 else 1e-2)


class ConstantInside(FaultyLoop):
    """tanh(z + constant)."""

    constant: float = 1e-5

    def activate(self, trace: CellTrace, t: int) -> None:
        if not self.case.relu:
            trace.sums[t] += self.constant
        super().activate(trace, t)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        z, h, within = first_states(samples, relu=False)
        sure = np.abs(h) < 0.9
        if sure.any():
            each = np.arctanh(h[sure]) - z[sure]
            value = few_digits(float(np.median(each)), within)
            noise = 1e-15 if within < 1e-6 else 1e-6
            if value and np.allclose(each, value, rtol=1e-2, atol=4 * noise):
                yield variant.with_constants(constant=value)


class ConstantInSlope(FaultyLoop):
    """The slope is 1 - tanh(z + constant)^2, or with ``of_state`` 1 - (h + constant)^2."""

    constant: float = 1e-5
    of_state = False

    def slope(self, trace: CellTrace) -> Array:
        if self.case.relu:
            return super().slope(trace)
        states = self.moved(trace.h[1:], self.constant, self.of_state)
        slope = 1 - states * states
        self.noise.relative(slope[:, 1:])
        return slope

    @staticmethod
    def moved(h: Array, constant: float, of_state: bool) -> Array:
        """Return the states after the constant has been added to them or to their pre-activations."""
        if of_state:
            return h + constant
        # tanh(z + c) from h = tanh(z).
        return (h + np.tanh(constant)) / (1 + h * np.tanh(constant))

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        for sample in prefer_float64(samples):
            case, call = sample.case, sample.calls[0]
            if (
                case.T > 1
                or case.num_cells > 1
                or case.relu
                or case.D < case.H
                or call.dhs is None
                or not np.isfinite(sample.got[0].get("dx", np.nan)).all()
            ):
                continue
            d = call.dhs[:, 0] + (0 if call.dh_n is None else call.dh_n[0])
            h, dz = sample.truths[0]["h_n"][0], single_step_dz(sample)
            value = cls.fitted(h, d, dz, variant.value("of_state"))
            if value and abs(value) < 0.1:
                yield variant.with_constants(constant=few_digits(value, constant_tolerance([sample])))
            return

    @classmethod
    def fitted(cls, h: Array, d: Array, dz: Array, of_state: bool) -> float:
        """Return the constant that explains ``dz``, by Newton's method; 0 if there is none."""
        excess = dz - d * (1 - h * h)
        # To first order: -2 h c for the state, and -2 h (1 - h^2) c for the pre-activation.
        rate = -2 * d * h * (1 if of_state else 1 - h * h)
        value, left = 0.0, excess
        for _ in range(20):
            value += float((left * rate).sum() / (rate * rate).sum())
            left = excess - d * (h * h - cls.moved(h, value, of_state) ** 2)
        explained: bool = np.abs(left).max() <= 1e-2 * np.abs(excess).max()
        return value if explained else 0.0


register(
    "constant inside the nonlinearity",
    sentence="The states (or the derivative alone) are those of tanh(z + {constant:g}):",
    look="look for a constant such as `1e-8` in the argument of tanh, or in `1 - h**2`.",
    nonlinearities=("tanh",),
    loops=(ConstantInside, ConstantInSlope, ConstantInSlope.with_params(of_state=True)),
)


@fault(
    "epsilon in the denominator of tanh",
    sentence="The states are those of tanh made of exponentials, with {epsilon:g} added to the denominator:",
    look="look for `exp(z) + exp(-z) + eps`: it is `np.tanh(z)`, which never divides by zero.",
    nonlinearities=("tanh",),
    variants=(
        {},
        {"one_exponential": True},
    ),
)
class EpsilonBelow(FaultyLoop):
    """(e^z - e^-z) / (e^z + e^-z + epsilon), or (e^2z - 1) / (e^2z + 1 + epsilon)."""

    epsilon: float = 1e-6
    one_exponential = False
    keep_preactivations = True

    def activate(self, trace: CellTrace, t: int) -> None:
        super().activate(trace, t)
        if not self.case.relu:
            # Both are tanh(z) times d / (d + epsilon), where d is the denominator.
            below = self.denominator(trace.z[t], self.one_exponential)
            trace.h[t + 1] *= below / (below + self.epsilon)

    @staticmethod
    def denominator(z: Array, one_exponential: bool) -> Array:
        """Return the denominator without the epsilon."""
        return np.exp(2 * z) + 1 if one_exponential else np.exp(z) + np.exp(-z)

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        z, h, within = first_states(samples, relu=False)
        sure = (np.abs(z) > 0.05) & (np.abs(z) < 1.5)
        if sure.any():
            below = cls.denominator(z[sure], variant.value("one_exponential"))
            each = below * (np.tanh(z[sure]) / h[sure] - 1)
            value = few_digits(float(np.median(each)), within)
            noise = 1e-14 if within < 1e-6 else 1e-5
            if 0 < abs(value) < 0.1 and np.allclose(each, value, rtol=1e-2, atol=noise):
                yield variant.with_constants(epsilon=value)


@fault(
    "summand times a constant",
    sentence="One summand of the pre-activation, x Wx or h Wh, is multiplied by {factor:g}:",
    look="look for a factor at `x`, at `h_prev` or at a weight in the forward.",
    variants=tuple(
        {"term": term, "own_backward": own} for term in ("recurrent", "input") for own in (True, False)
    ),
)
class ScaledSummand(FaultyLoop):
    """h Wh, or x Wx, is multiplied by a factor; with ``own_backward`` the backward belongs to that."""

    term: str = "recurrent"
    factor: float = 0.5
    own_backward = False

    def factors(self, backward: bool) -> tuple[float, float]:
        """Return the factors of x Wx and h Wh in the forward, or in the backward."""
        factor = self.factor if self.own_backward or not backward else 1.0
        return (factor, 1.0) if self.term == "input" else (1.0, factor)

    def matrices(self, weights: CellWeights) -> tuple[Array, Array]:
        matrices = super().matrices(weights)
        return matrices[0] * self.factors(False)[0], matrices[1] * self.factors(False)[1]

    def carry(self, trace: CellTrace, t: int, dz: Array) -> Array:
        return super().carry(trace, t, dz) * self.factors(True)[1]

    def input_gradient(self, trace: CellTrace, dz: Array) -> Array:
        return super().input_gradient(trace, dz) * self.factors(True)[0]

    def parameter_gradients(self, trace: CellTrace, dz: Array) -> tuple[Array, Array, Array]:
        dWx, dWh, db = super().parameter_gradients(trace, dz)
        return dWx * self.factors(True)[0], dWh * self.factors(True)[1], db

    @classmethod
    def infer(cls, variant: Variant, samples: Sequence[Sample]) -> Iterator[Variant]:
        found = first_steps(samples, relu=False)
        term, rest = found.recurrent, found.inputs
        if variant.value("term") == "input":
            term, rest = rest, term
        sure = (np.abs(found.h) < 0.9) & (np.abs(term) > 1e-2)
        if sure.any():
            each = (np.arctanh(found.h[sure]) - rest[sure] - found.biases[sure]) / term[sure]
            factor = round_constant(float(np.median(each)), found.within)
            if factor not in (0, 1) and np.allclose(each, factor, rtol=1e-3):
                yield variant.with_constants(factor=factor)
