"""A problem with a head: what is right for it, and the values that its loss may have."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from parity_tests.adapt.heads.program import HeadProgram
from parity_tests.adapt.probe import Expected, States, problem, truth
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights, HeadArrays
from parity_tests.cases.case import Case
from parity_tests.references.float64_loop import Loop
from parity_tests.references.rounding import NoNoise
from parity_tests.subjects.adapters.problem import Problem

OUTPUTS = 14
"""Of the head on the probe: more than inputs, and none of its other sizes."""
CLOSE = 1e-6
"""Of two values of a loss that are the same."""


def head_problem(program: HeadProgram, B: int, T: int, D: int, H: int, V: int) -> Problem:
    """Return a problem of ordinary numbers that has what a program declares."""
    given = problem(B, T, D, H)
    bits = np.random.PCG64(7)

    def draw(*shape: int, scale: float = 1.0) -> Array:
        raw = bits.random_raw(int(np.prod(shape))).reshape(shape) >> np.uint64(40)
        return np.asarray((raw.astype(np.float64) * 2.0**-23 - 1) * scale)

    def whole(most: int) -> Array:
        return np.asarray(bits.random_raw(B * T).reshape(B, T) % np.uint64(most)).astype(np.int64)

    further = {"Wy": draw(H, V, scale=0.5), "by": draw(V, scale=0.5)}
    indices, symbols, ends = whole(D), whole(V), draw(B, T, V)
    further["targets" if program.loss else "dlogits"] = symbols if program.loss == "cross_entropy" else ends
    if program.many_to_one:
        further |= {name: further[name][:, -1] for name in ("targets", "dlogits") if name in further}
    if program.indices:
        further["indices"] = indices
        given = replace(given, xs=np.eye(D)[indices])
    return replace(given, dhs=np.zeros_like(given.dhs), further=further)


def first_row(given: Problem) -> Problem:
    """Return the problem of the first row of the batch alone."""
    rows = {name: value[:1] for name, value in given.further.items() if name not in ("Wy", "by")}
    return replace(
        given, xs=given.xs[:1], h_0=given.h_0[:1], dhs=given.dhs[:1], further={**given.further, **rows}
    )


def head_truth(given: Problem, program: HeadProgram, nonlinearity: str) -> dict[str, Array]:
    """Return the right tensors of a problem by name."""
    B, T, D = given.xs.shape
    case = Case(
        B=B,
        T=T,
        D=D,
        H=len(given.b),
        V=len(given.by),
        h0=program.starts,
        nonlinearity=nonlinearity,
        loss=program.loss or "logits",
        reduction=program.reduction if program.loss else "mean",
        many_to_one=program.many_to_one,
    )
    ends = {name: given.further[name] for name in ("targets", "dlogits") if name in given.further}
    ends = {name: value[:, None] if program.many_to_one else value for name, value in ends.items()}
    weights = CellWeights(given.Wx, given.Wh, given.b)
    head = HeadArrays(given.Wy, given.by, **ends)
    call = Call((weights,), given.xs, given.h_0[None] if program.starts else None, None, head=head)
    (found,) = Loop(case, NoNoise(case)).answers([call])
    found = {name: value[0] if name in ("h_n", "dh_0") else value for name, value in found.items()}
    found |= {"loss": found["loss"].reshape(())} if "loss" in found else {}
    if program.many_to_one:
        found |= {name: found[name][:, 0] for name in ("logits", "probabilities") if name in found}
    return found


def states_of(given: Problem, states: States, *, starts: bool) -> Array | None:
    """Return the states of a loop on a problem, right or with a fault of the family; None for another fault."""
    if not states.fault:
        return truth(given, starts=starts, nonlinearity=states.kind)["hs"]
    members = Expected(given).family(starts=starts)
    return next((each.hs for each in members if each.name == states.name), None)


def softmax(logits: Array) -> Array:
    """Return the probabilities of logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Known:
    """A loss that is known.

    Attributes:
        kind: as an adapter declares it.
        reduction: likewise.
        value: of some outputs.
        scale: a size by which a sum was divided that torch divides by other sizes; empty for none.
        fault: what is wrong in it; empty for nothing.
    """

    kind: str
    reduction: str
    value: float
    scale: str = ""
    fault: str = ""


def losses(outputs: Array, targets: Array, kinds: tuple[str, ...], *, are_chances: bool) -> Iterator[Known]:
    """Yield the losses that outputs may have.

    Args:
        outputs: [..., T, V], with B in front or without.
        targets: of them.
        kinds: of losses.
        are_chances: whether outputs are probabilities.
    """
    chances = outputs if are_chances or "cross_entropy" not in kinds else softmax(outputs)
    B, (T, V) = (len(outputs) if outputs.ndim == 3 else 1), outputs.shape[-2:]
    for kind in kinds:
        total, count = _total(kind, chances, targets)
        yield from _reduced(kind, total, count, B)
        for scale, size in {"T": T, "V": V}.items():
            yield Known(kind, "sum", total / size, scale)


def faulty_losses(logits: Array, by: Array, targets: Array, kinds: tuple[str, ...]) -> Iterator[Known]:
    """Yield the losses of logits [..., T, V] with a known fault in the head or the loss."""
    B = len(logits) if logits.ndim == 3 else 1
    biasless = logits - by
    for kind in kinds:
        is_entropy = kind == "cross_entropy"
        total, count = _total(kind, softmax(logits) if is_entropy else logits, targets)
        found = {
            "the bias of the output is lost": _total(
                kind, softmax(biasless) if is_entropy else biasless, targets
            )[0],
            "it has the wrong sign": -total,
        }
        if is_entropy:
            powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
            found["its softmax is not normalised"] = _total(kind, powers, targets)[0]
            found["its softmax is over the steps"] = _total(
                kind, powers / powers.sum(-2, keepdims=True), targets
            )[0]
        last = targets[..., -1:] if is_entropy else targets[..., -1:, :]
        ends = logits[..., -1:, :]
        found["the loss is that of the last step"] = _total(
            kind, softmax(ends) if is_entropy else ends, last
        )[0]
        for fault, value in found.items():
            for each in _reduced(kind, value, count, B):
                yield replace(each, fault=fault)


def _total(kind: str, outputs: Array, targets: Array) -> tuple[float, int]:
    """The sum of a loss, and of how many it is; of probabilities for cross-entropy."""
    if kind != "cross_entropy":
        return float(((outputs - targets) ** 2).sum()) * (0.5 if kind == "half_mse" else 1), outputs.size
    with np.errstate(all="ignore"):
        right = np.take_along_axis(outputs, targets[..., None], axis=-1)
        return float(-np.log(right).sum()), targets.size


def _reduced(kind: str, total: float, count: int, B: int) -> Iterator[Known]:
    for reduction, divisor in (("sum", 1), ("mean", count), ("batchmean", B)):
        yield Known(kind, reduction, total / divisor)
