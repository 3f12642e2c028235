"""A problem of two layers, or two directions: what is right for it, and what known faults give."""

from collections.abc import Iterator
from dataclasses import dataclass

from parity_tests.adapt.probe import OTHER_NONLINEARITIES, SIZES, States
from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.case import Case
from parity_tests.references.float64_loop import Loop
from parity_tests.references.nonlinearities import FUNCTIONS
from parity_tests.references.rounding import NoNoise
from parity_tests.subjects.adapters.problem import Cell, halves, own

BIASES = {
    "": 1.0,
    "the bias is lost": 0.0,
    "one of two biases is lost": 0.5,
    "the bias is added twice": 2.0,
}
RECURRENCES = ("", "Wh is transposed", "nothing recurs", "the initial state alone recurs")
TURNS = ("", "the outputs of the way back are not turned", "both directions go forth")
"""What may be wrong in two directions."""


@dataclass(frozen=True)
class DeepProblem:
    """What an adapter of a stack or of two directions is given.

    Attributes:
        groups: Wx, Wh and b of each layer, or of each direction.
        xs: [B, T, D].
        h_0: [layers or directions, B, H].
        dhs: [B, T, H], or [B, T, 2 H] of two directions.
        directions: 1 or 2.
    """

    groups: tuple[tuple[Array, Array, Array], ...]
    xs: Array
    h_0: Array
    dhs: Array
    directions: int

    @property
    def num_layers(self) -> int:
        """How many layers there are."""
        return len(self.groups) // self.directions

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The weights, in arrays of their own."""
        found = []
        for Wx, Wh, b in self.groups:
            b_ih, b_hh = halves(b)
            found.append(Cell(own(Wx), own(Wh), own(b), b_ih, b_hh))
        return tuple(found)

    @property
    def Wx(self) -> Array:
        """The first input weights."""
        return self.groups[0][0]

    @property
    def Wh(self) -> Array:
        """The first recurrent weights."""
        return self.groups[0][1]

    @property
    def b(self) -> Array:
        """The first bias."""
        return self.groups[0][2]


def probe(*, directions: int, layers: int) -> "DeepProblem":
    """Return the probe, whose sizes differ from the number of layers too."""
    B, T, D, H = (13 if size == layers else size for size in SIZES)
    return deep_problem(B, T, D, H, directions=directions, layers=layers)


def deep_problem(B: int, T: int, D: int, H: int, *, directions: int, layers: int = 1) -> DeepProblem:
    """Return a problem of ordinary numbers."""
    bits = np.random.PCG64(1)

    def draw(*shape: int, scale: float = 1.0) -> Array:
        raw = bits.random_raw(int(np.prod(shape))).reshape(shape) >> np.uint64(40)
        return np.asarray((raw.astype(np.float64) * 2.0**-23 - 1) * scale)

    count = directions * layers
    widths = [D if directions == 2 or number == 0 else H for number in range(count)]
    groups = tuple((draw(width, H, scale=0.5), draw(H, H, scale=0.4), draw(H, scale=0.5)) for width in widths)
    xs, h_0 = draw(B, T, D), draw(count, B, H, scale=0.7)
    return DeepProblem(groups, xs, h_0, draw(B, T, directions * H), directions)


def deep_truth(given: DeepProblem, *, starts: bool, nonlinearity: str) -> dict[str, Array]:
    """Return the right tensors of a problem by name; gradients of weights by torch's."""
    B, T, D = given.xs.shape
    H, count = given.h_0.shape[2], len(given.groups)
    is_stack = given.directions == 1
    case = Case(
        B=B,
        T=T,
        D=D,
        H=H,
        h0=starts,
        nonlinearity=nonlinearity,
        layer="nn.RNN",
        layers=count if is_stack else 1,
        bidirectional=not is_stack,
    )
    weights = tuple(CellWeights(Wx, Wh, b) for Wx, Wh, b in given.groups)
    call = Call(weights, given.xs, given.h_0 if starts else None, given.dhs)
    (found,) = Loop(case, NoNoise(case)).answers([call])
    return found


def family(given: DeepProblem, *, starts: bool) -> Iterator[States]:
    """Yield the states of the right loop first, then of loops with a fault in every layer or direction."""
    for turn in TURNS if given.directions == 2 else TURNS[:1]:
        for recurrence in RECURRENCES:
            for bias in BIASES:
                for kind in FUNCTIONS:
                    hs = _states(given, kind, bias, recurrence, turn, starts=starts)
                    what = [OTHER_NONLINEARITIES.get(kind, ""), bias, recurrence, turn]
                    yield States(", ".join(filter(None, what)), hs, kind=kind)


def _states(given: DeepProblem, kind: str, bias: str, recurrence: str, turn: str, *, starts: bool) -> Array:
    x, parts = given.xs, []
    for number, (Wx, Wh, b) in enumerate(given.groups):
        is_back = given.directions == 2 and number == 1
        inputs = x[:, ::-1] if is_back and turn != TURNS[2] else x
        first = h = given.h_0[number] if starts else np.zeros_like(given.h_0[number])
        states = []
        for t in range(x.shape[1]):
            known = {
                "": h @ Wh,
                "Wh is transposed": h @ Wh.T,
                "nothing recurs": np.zeros_like(h),
                "the initial state alone recurs": first @ Wh,
            }
            h = FUNCTIONS[kind](inputs[:, t] @ Wx + known[recurrence] + BIASES[bias] * b)
            states.append(h)
        hs = np.stack(states, axis=1)
        parts.append(hs[:, ::-1] if is_back and turn == "" else hs)
        x = hs if given.directions == 1 else x
    return parts[-1] if given.directions == 1 else np.concatenate(parts, axis=-1)
