"""The right values of a case: every intermediate that a recurrent layer and its backward may have."""

from collections.abc import Iterator
from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, calls_of
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer
from parity_tests.diagnosis.lines.head_values import head_rows
from parity_tests.diagnosis.lines.nonlinearities import IDENTITY, NONLINEARITIES, TANH, Nonlinearity
from parity_tests.references.float64_cell import CellTrace, Gradients
from parity_tests.references.float64_head import HeadTrace
from parity_tests.references.float64_loop import Loop, Spread
from parity_tests.references.rounding import NoNoise

TURNED = " in the order of the sequence"
"""The end of the name of what the reverse direction has in its own order, and here in the other one."""


@dataclass(frozen=True, slots=True, eq=False)
class RightValue:
    """One intermediate, in every call and every cell of a stack.

    Attributes:
        name: what it is, in formulas.
        axes: of each array, a letter an axis: ``"TBH"``. T counts the steps of the cell's own direction.
        arrays: by call and cell.
        is_forward: whether the forward has it.
        is_of_layers: whether it is one of a layer, and not of a cell.
    """

    name: str
    axes: str
    arrays: tuple[tuple[Array, ...], ...]
    is_forward: bool
    is_of_layers: bool = False

    @property
    def is_sum(self) -> bool:
        """Whether it is a sum over some of the steps."""
        return any(words in self.name for words in ("summed from", "summed up", "summed after"))

    @property
    def is_turned(self) -> bool:
        """Whether it has the steps of a reverse direction in the order of the sequence."""
        return self.name.endswith(TURNED)


class _Tracing(Loop):
    """The plain loop, which keeps what it computed."""

    keep_preactivations = True

    def __init__(self, case: Case, nonlinearity: Nonlinearity) -> None:
        super().__init__(case, NoNoise(case))
        self.nonlinearity = nonlinearity
        self.kept: list[tuple[Call, list[CellTrace], list[Gradients]]] = []
        self.heads: list[HeadTrace] = []

    def activate(self, trace: CellTrace, t: int) -> None:
        trace.h[t + 1] = self.nonlinearity.function(trace.z[t])

    def slope(self, trace: CellTrace) -> Array:
        return self.nonlinearity.slope(trace.h[1:])

    def spread(
        self,
        call: Call,
        kept: Spread | None,
        traces: list[CellTrace],
        gradients: list[Gradients],
        hs: Array,
        dx: Array,
        head: HeadTrace | None,
    ) -> Spread:
        self.kept.append((call, traces, gradients))
        self.heads += [] if head is None else [head]
        return super().spread(call, kept, traces, gradients, hs, dx, head)


@dataclass(slots=True)
class RightValues:
    """All right values of a case.

    Attributes:
        case: the case.
        calls: its calls.
        answers: the right answer to each.
        values: the intermediates, the most natural first.
    """

    case: Case
    calls: tuple[Call, ...]
    answers: list[Answer]
    values: list[RightValue]

    @classmethod
    def of(cls, case: Case, nonlinearity: Nonlinearity | None = None) -> "RightValues":
        """Compute a case as it should be; with another nonlinearity than the case's, if one is given."""
        nonlinearity = nonlinearity or next(each for each in NONLINEARITIES if each.name == case.nonlinearity)
        loop, calls = _Tracing(case, nonlinearity), calls_of(case)
        answers = loop.answers(calls)
        by_cell = [
            [
                _of_cell(loop, call, trace, gradients, dh_n)
                for trace, gradients, dh_n in zip(
                    traces, found, [None] * len(traces) if call.dh_n is None else call.dh_n, strict=True
                )
            ]
            for call, traces, found in loop.kept
        ]
        named = [[{row[0]: row[2] for row in cell} for cell in cells] for cells in by_cell]
        values = [
            RightValue(name, axes, tuple(tuple(cell[name] for cell in cells) for cells in named), is_forward)
            for name, axes, _, is_forward in by_cell[0][0]
            if all(name in cell for cells in named for cell in cells)
        ]
        if loop.heads:
            rows = head_rows(case, loop.heads)
            values += [
                RightValue(name, axes, tuple((a,) for a in each), first) for name, axes, each, first in rows
            ]
        return cls(case, calls, answers, values + _of_stack(case, loop))


_Row = tuple[str, str, Array, bool]


def _of_cell(
    loop: _Tracing, call: Call, trace: CellTrace, found: Gradients, dh_n: Array | None
) -> list[_Row]:
    return [*_forward_of(loop.nonlinearity, trace), *_backward_of(loop.case, call, trace, found, dh_n)]


def _forward_of(nonlinearity: Nonlinearity, trace: CellTrace) -> Iterator[_Row]:
    x, h = trace.x[:, 0], trace.h[1:, 0]
    before, z = trace.h[:-1, 0], trace.z[:, 0]
    Wx, Wh = (np.asarray(w, np.float64) for w in (trace.weights.Wx, trace.weights.Wh))
    biases = [np.asarray(b, np.float64) for b in (trace.weights.b, trace.weights.b_hh) if b is not None]
    b = sum(biases, np.zeros(len(Wh)))
    rows: list[tuple[str, str, Array]] = [
        ("h_t", "TBH", h),
        ("h_{t-1}", "TBH", before),
        ("x_t", "TBI", x),
        ("z_t", "TBH", z),
        ("x_t Wx", "TBH", x @ Wx),
        ("h_{t-1} Wh", "TBH", before @ Wh),
        ("x_t Wx + b", "TBH", x @ Wx + b),
        ("h_{t-1} Wh + b", "TBH", before @ Wh + b),
        ("x_t Wx + h_{t-1} Wh", "TBH", x @ Wx + before @ Wh),
        ("[x_t, h_{t-1}]", "TBJ", np.concatenate([x, before], axis=-1)),
        ("[h_{t-1}, x_t]", "TBJ", np.concatenate([before, x], axis=-1)),
        ("[x_t, h_{t-1}, 1]", "TBK", np.concatenate([x, before, np.ones((*x.shape[:2], 1))], axis=-1)),
        ("h_0 and all states", "SBH", trace.h[:, 0]),
        ("the final state", "BH", trace.h[-1, 0]),
        ("h_0", "BH", trace.h[0, 0]),
        ("Wx", "IH", Wx),
        ("Wh", "HH", Wh),
        ("b", "H", b),
        ("[Wx; Wh]", "JH", np.concatenate([Wx, Wh])),
        ("[Wh; Wx]", "JH", np.concatenate([Wh, Wx])),
    ]
    if len(biases) == 2:
        rows += [
            ("x_t Wx + b_ih", "TBH", x @ Wx + biases[0]),
            ("h_{t-1} Wh + b_hh", "TBH", before @ Wh + biases[1]),
            ("b_ih", "H", biases[0]),
            ("b_hh", "H", biases[1]),
        ]
    if nonlinearity is not IDENTITY:
        rows.append((nonlinearity.slope_name, "TBH", nonlinearity.slope(h)))
    if nonlinearity is TANH:
        rows.append(("h_t^2", "TBH", h * h))
    return ((name, axes, array, True) for name, axes, array in rows)


def _backward_of(
    case: Case, call: Call, trace: CellTrace, found: Gradients, dh_n: Array | None
) -> Iterator[_Row]:
    x, before = trace.x[:, 0], trace.h[:-1, 0]
    Wh = np.asarray(trace.weights.Wh, np.float64)
    d, dz = trace.d[:, 0], trace.dz[:, 0]
    product = dz @ Wh.T
    passed, later = product.copy(), np.zeros_like(d)
    if dh_n is not None:
        later[-1] = dh_n
    for t in range(len(d) - 1, -1, -1):
        if trace.running is not None:  # behind the end of a sequence the gradient waits
            passed[t] = np.where(trace.running[t, :, None], product[t], later[t])
        if t:
            later[t - 1] = passed[t]
    upstream = d - later
    dWx, dWh = np.einsum("tbi,tbh->tbih", x, dz), np.einsum("tbi,tbh->tbih", before, dz)
    both = np.concatenate([dWx, dWh], axis=2)
    rows: list[tuple[str, str, Array]] = [
        ("dz_t", "TBH", dz),
        ("dh_t", "TBH", d),
        ("dhs_t", "TBH", upstream),
        ("the carry dz_{t+1} Wh^T", "TBH", later),
        ("dz_t Wh^T", "TBH", product),
        ("dx_t", "TBI", found.dx[:, 0]),
        ("[dx_t, dh_{t-1}]", "TBJ", np.concatenate([found.dx[:, 0], passed], axis=-1)),
        ("[dh_{t-1}, dx_t]", "TBJ", np.concatenate([passed, found.dx[:, 0]], axis=-1)),
        ("dh_0", "BH", found.dh_0[0]),
        ("h_{t-1}^T dz_t", "THH", dWh.sum(axis=1)),
        ("x_t^T dz_t", "TIH", dWx.sum(axis=1)),
        ("dz_t summed over the batch", "TH", dz.sum(axis=1)),
        ("h_{t-1}^T dz_t of one row", "TBHH", dWh),
        ("x_t^T dz_t of one row", "TBIH", dWx),
        ("dWh", "HH", found.dWh[0]),
        ("dWx", "IH", found.dWx[0]),
        ("db", "H", found.db[0]),
        ("[dWx; dWh]", "JH", both.sum(axis=(0, 1))),
        ("[dWh; dWx]", "JH", np.concatenate([found.dWh[0], found.dWx[0]])),
        ("[x_t, h_{t-1}]^T dz_t", "TJH", both.sum(axis=1)),
        ("dWh summed from the end to t", "THH", _from_end(dWh.sum(axis=1))),
        ("dWx summed from the end to t", "TIH", _from_end(dWx.sum(axis=1))),
        ("db summed from the end to t", "TH", _from_end(dz.sum(axis=1))),
        ("dWh summed up to t", "THH", np.cumsum(dWh.sum(axis=1), axis=0)),
        ("dWx summed up to t", "TIH", np.cumsum(dWx.sum(axis=1), axis=0)),
        ("db summed up to t", "TH", np.cumsum(dz.sum(axis=1), axis=0)),
        ("dWh summed after t", "THH", _from_end(dWh.sum(axis=1)) - dWh.sum(axis=1)),
        ("dWx summed after t", "TIH", _from_end(dWx.sum(axis=1)) - dWx.sum(axis=1)),
        ("db summed after t", "TH", _from_end(dz.sum(axis=1)) - dz.sum(axis=1)),
        ("dWh of one row", "BHH", dWh.sum(axis=0)),
        ("dWx of one row", "BIH", dWx.sum(axis=0)),
    ]
    if trace.running is not None:
        rows.append(("the carry to step t-1", "TBH", passed))
        rows.append(("dhs_t where a sequence goes on", "TBH", upstream * trace.running[..., None]))
    if dh_n is not None:
        rows.append(("the gradient of h_n", "BH", np.asarray(dh_n, np.float64)))
    if call.dhs is not None and not case.is_cell and case.num_cells == 1:
        rows.append(("all of dhs", "TBH", upstream))
    return ((name, axes, array, False) for name, axes, array in rows)


def _from_end(steps: Array) -> Array:
    return np.cumsum(steps[::-1], axis=0)[::-1]


def _of_stack(case: Case, loop: _Tracing) -> list[RightValue]:
    """What is there once a layer, or once a stack, with the time of the sequence and not of a direction."""
    if not case.bidirectional:
        return []
    turned: dict[str, list[tuple[Array, ...]]] = {name: [] for name in _TURNED}
    outputs, gradients, upstream = [], [], []
    for call, traces, found in loop.kept:
        flips = loop.flips(call)
        cells: dict[str, list[Array]] = {name: [] for name in _TURNED}
        for number, (trace, gradient) in enumerate(zip(traces, found, strict=True)):
            dh_n = None if call.dh_n is None else call.dh_n[number]
            mine = {name: array for name, _, array, _ in _of_cell(loop, call, trace, gradient, dh_n)}
            for name in _TURNED:
                value = mine[name]
                if number % 2:
                    value = loop.flipped(value[:, None], flips, "output")[:, 0]
                cells[name].append(value)
        for name in _TURNED:
            turned[name].append(tuple(cells[name]))
        outputs.append(_side_by_side(cells["h_t"]))
        upstream.append(_side_by_side(cells["dhs_t"]))
        pairs = zip(cells["dx_t"][::2], cells["dx_t"][1::2], strict=True)
        gradients.append(tuple(one + other for one, other in pairs))
    return [
        *(
            RightValue(f"{name}{TURNED}", axes, tuple(turned[name]), is_forward)
            for name, (axes, is_forward) in _TURNED.items()
        ),
        RightValue("the outputs of both directions", "TBO", tuple(outputs), True, True),
        RightValue("the sum of both directions' dx", "TBI", tuple(gradients), False, True),
        RightValue("the gradient of both directions' outputs", "TBO", tuple(upstream), False, True),
    ]


_TURNED = {
    "h_t": ("TBH", True),
    "x_t": ("TBI", True),
    "dz_t": ("TBH", False),
    "dx_t": ("TBI", False),
    "dhs_t": ("TBH", False),
}
"""What the reverse direction has in its own time, with its axes and whether the forward has it."""


def _side_by_side(cells: list[Array]) -> tuple[Array, ...]:
    return tuple(
        np.concatenate([one, other], axis=-1) for one, other in zip(cells[::2], cells[1::2], strict=True)
    )
