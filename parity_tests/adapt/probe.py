"""The probe: one problem whose sizes are all distinct, what is right for it, and what known faults give."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.case import Case
from parity_tests.references.float64_loop import Loop
from parity_tests.references.nonlinearities import FUNCTIONS
from parity_tests.references.rounding import NoNoise
from parity_tests.subjects.adapters.problem import Problem, one_layer

SIZES = (5, 3, 7, 11)
"""B, T, D, H of the probe; with 1, T + 1, D + 1, H + 1, H + 2 and D + H all are distinct."""
OTHERS = ((1, 1, 1, 1), (4, 6, 3, 2), (2, 3, 5, 4))
"""B, T, D, H of the problems in which a finished adapter is run again."""
CLOSE = 1e-9


def problem(B: int, T: int, D: int, H: int, dtype: str = "f8", seed: int = 0) -> Problem:
    """Return a problem of ordinary numbers."""
    bits = np.random.PCG64(seed)

    def draw(*shape: int, scale: float = 1.0) -> Array:
        raw = bits.random_raw(int(np.prod(shape))).reshape(shape) >> np.uint64(40)
        return np.asarray((raw.astype(np.float64) * 2.0**-23 - 1) * scale, dtype)

    weights = CellWeights(draw(D, H, scale=0.5), draw(H, H, scale=0.4), draw(H, scale=0.5))
    xs = draw(B, T, D)
    return one_layer(weights, xs, draw(B, H, scale=0.7), draw(B, T, H), "probe")


def case_of(given: Problem, nonlinearity: str = "tanh") -> Case:
    """The case that has the sizes of a problem."""
    B, T, D = given.xs.shape
    return Case(B=B, T=T, D=D, H=len(given.b), h0=True, nonlinearity=nonlinearity)


def call_of(given: Problem, *, starts: bool) -> Call:
    """A problem as a call of the plain loop."""
    weights = CellWeights(given.Wx, given.Wh, given.b)
    return Call((weights,), given.xs, given.h_0[None] if starts else None, given.dhs)


def truth(given: Problem, *, starts: bool = True, nonlinearity: str = "tanh") -> dict[str, Array]:
    """Return the right tensors of a problem by name.

    Args:
        given: the problem.
        starts: whether the state starts at h_0, else at zero.
        nonlinearity: of the layer.
    """
    case = case_of(given, nonlinearity)
    (found,) = Loop(case, NoNoise(case)).answers([call_of(given, starts=starts)])
    return {name: value[0] if name in ("h_n", "dh_0") else value for name, value in found.items()}


@dataclass(frozen=True)
class States:
    """The states of one loop on the probe.

    Attributes:
        name: what is wrong in it; empty for the right one.
        hs: [B, T, H].
        recurs: whether a state depends on the state before.
        kind: the nonlinearity.
        row_recurs: whether that is so in the first row of the batch.
    """

    name: str
    hs: Array
    recurs: bool = True
    kind: str = "tanh"
    row_recurs: bool = True

    @property
    def fault(self) -> str:
        """What is wrong besides the nonlinearity."""
        return self.name.removeprefix(OTHER_NONLINEARITIES.get(self.kind, "")).removeprefix(", ")

    def recurs_in(self, frame: str) -> bool:
        """Whether it recurs in what a program of a frame is given: all rows of the batch, or the first one."""
        return self.recurs and (frame == "BTD" or self.row_recurs)


OTHER_NONLINEARITIES = {
    "relu": "relu in place of tanh",
    "sigmoid": "sigmoid in place of tanh",
    "identity": "no nonlinearity",
}
"""What a loop with another nonlinearity is called, where that is all that differs in it."""
BIASES = {"": 1.0, "the bias is lost": 0.0, "the bias is added twice": 2.0}
RECURRENCES = (
    "",
    "Wh is transposed",
    "nothing recurs",
    "the initial state alone recurs",
    "the state is added as it is",
)


@dataclass
class Expected:
    """What the states of a problem may be.

    Args:
        given: the problem.
    """

    given: Problem
    _right: dict[bool, States] = field(default_factory=dict)

    def right(self, *, starts: bool) -> States:
        """The right states."""
        if starts not in self._right:
            self._right[starts] = States("", truth(self.given, starts=starts)["hs"])
        return self._right[starts]

    def family(self, *, starts: bool) -> Iterator[States]:
        """Loops with another nonlinearity, bias or recurrence, nearest to the right one first."""
        for recurrence in RECURRENCES:
            for bias in BIASES:
                for kind in FUNCTIONS:
                    if (recurrence, bias, kind) != ("", "", "tanh"):
                        yield self._member(kind, bias, recurrence, starts=starts)

    def _member(self, kind: str, bias: str, recurrence: str, *, starts: bool) -> States:
        given, act = self.given, FUNCTIONS[kind]
        h = given.h_0 if starts else np.zeros_like(given.h_0)
        first, states = h, []
        for t in range(given.xs.shape[1]):
            known = {
                "": h @ given.Wh,
                "Wh is transposed": h @ given.Wh.T,
                "nothing recurs": 0.0,
                "the initial state alone recurs": first @ given.Wh,
                "the state is added as it is": h,
            }
            h = act(given.xs[:, t] @ given.Wx + known[recurrence] + BIASES[bias] * given.b)
            states.append(h)
        what = [OTHER_NONLINEARITIES.get(kind, ""), bias, recurrence]
        recurs = recurrence not in ("nothing recurs", "the initial state alone recurs")
        return States(", ".join(filter(None, what)), np.stack(states, axis=1), recurs, kind)

    def catalogue(self, *, starts: bool) -> list[States]:
        """The states of every faulty loop of the catalogue."""
        return _catalogue(self.given.token, starts)


@cache
def _catalogue(token: str, starts: bool) -> list[States]:
    # The import takes longer than the search in right code.
    from parity_tests.diagnosis.faults.catalogue import of_kind

    given = problem(*SIZES)
    case = case_of(given)
    moved = replace(given, xs=np.concatenate([given.xs[:, :1] + 0.1, given.xs[:, 1:]], axis=1))
    found = []
    for fault, variant in of_kind("TimeRNN", [case]):
        if variant.may_change_states:
            hs, other = (
                variant.for_case(case, NoNoise(case)).answers([call_of(each, starts=starts)])[0]["hs"]
                for each in (given, moved)
            )
            moves = [not np.array_equal(*each) for each in zip(hs[:, -1], other[:, -1], strict=True)]
            found.append(States(fault.name, hs, recurs=any(moves), row_recurs=moves[0]))
    return found


def close(left: Array, right: Array, within: float = CLOSE) -> bool:
    """Whether two arrays have one shape and, up to rounding, the same numbers."""
    if left.shape != right.shape or left.dtype.kind not in "fc":
        return False
    with np.errstate(all="ignore"):
        scale = max(1.0, float(np.max(np.abs(right), initial=0.0)))
        return bool(np.all(np.abs(left - right) <= within * scale))
