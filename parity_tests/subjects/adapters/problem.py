"""What an adapter is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, Call, CellWeights
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import parameters

OF_HEAD = "head: `@parity_tests.adapter(loss=...)` or `(head=True)` declares one"
DECLARED_BY = {
    "Wy": OF_HEAD,
    "by": OF_HEAD,
    "targets": "loss: `@parity_tests.adapter(loss=...)` declares one",
    "dlogits": "head without a loss: `@parity_tests.adapter(head=True)` declares one",
    "indices": "one-hot inputs: `@parity_tests.adapter(indices=True)` declares them",
    "dh_n": "gradient of h_n: `@parity_tests.adapter(final_gradient=True)` declares it",
}
"""What an array of a problem belongs to, and how an adapter asks for it."""


class Cell(NamedTuple):
    """The weights of one layer in one direction."""

    Wx: Array
    """[D, H]; above the first layer [directions * H, H]"""
    Wh: Array
    """[H, H]"""
    b: Array
    """[H], the sum of both biases"""
    b_ih: Array
    """[H]"""
    b_hh: Array
    """[H]"""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an adapter is given: one forward and backward of h_t = tanh(x_t Wx + h_{t-1} Wh + b).

    Everything is there for one layer in one direction. What ``parity_tests.adapter`` declares comes on top.
    All arrays are the adapter's own, contiguous, and of one dtype.

    Attributes:
        Wx: [D, H], the input weights.
        Wh: [H, H], the recurrent weights.
        b: [H], the bias; zeros with ``--without bias``.
        b_ih: [H], torch's first bias, and
        b_hh: [H], its second one, for code with two biases: ``b`` is their sum.
        xs: [B, T, D], the input.
        h_0: [B, H], the initial state; [layers * directions, B, H] where a stack is declared.
        dhs: [B, T, H], the upstream gradient of every state; [B, T, directions * H] of a stack's outputs;
            zeros where a head is declared.
        weights: the weights and biases by torch's names, such as ``weight_ih_l0``, in torch's shapes.
        nonlinearity: ``"tanh"``, or the one that is declared.
        num_layers: of a stack, else 1.
        bidirectional: whether there are two directions.
        lengths: [B], the length of every sequence; all T unless ``lengths`` are declared.
        token: the token of the case.
        further: the arrays that are there only if they are declared: the properties below.

    Example:
        An adapter that has the forward only, judged without its gradients:

        >>> import numpy as np, parity_tests
        >>> def answer(problem):
        ...     h, states = problem.h_0, []
        ...     for t in range(problem.xs.shape[1]):
        ...         h = np.tanh(problem.xs[:, t] @ problem.Wx + h @ problem.Wh + problem.b)
        ...         states.append(h)
        ...     return {"hs": np.stack(states, axis=1), "h_n": h}
        >>> gradients = ["dx", "dh_0", "dWx", "dWh", "db"]
        >>> parity_tests.check(answer, without=gradients, case="B2T3D4H5-f64-s0").ok
        True
    """

    Wx: Array
    Wh: Array
    b: Array
    b_ih: Array
    b_hh: Array
    xs: Array
    h_0: Array
    dhs: Array
    weights: Mapping[str, Array]
    nonlinearity: str
    num_layers: int
    bidirectional: bool
    lengths: Array
    token: str
    further: Mapping[str, Array] = field(default_factory=dict)

    @property
    def cells(self) -> tuple["Cell", ...]:
        """The weights of every cell of a stack, layer by layer, in each layer the forward direction first."""
        zeros, found = np.zeros_like(self.b), []
        for name in self.weights:
            if name.startswith("weight_ih"):
                suffix = name.removeprefix("weight_ih")
                Wx, Wh = self.weights[name].T, self.weights[f"weight_hh{suffix}"].T
                b_ih, b_hh = (self.weights.get(f"bias_{part}{suffix}", zeros) for part in ("ih", "hh"))
                found.append(Cell(own(Wx), own(Wh), b_ih + b_hh, own(b_ih), own(b_hh)))
        return tuple(found)

    @property
    def Wy(self) -> Array:
        """[H, V], the weights of the head: logits = h_t Wy + by."""
        return self._further("Wy")

    @property
    def by(self) -> Array:
        """[V], the bias of the head."""
        return self._further("by")

    @property
    def targets(self) -> Array:
        """[B, T] whole numbers below V for cross entropy, [B, T, V] for squared errors; many to one: without T."""
        return self._further("targets")

    @property
    def dlogits(self) -> Array:
        """[B, T, V], the upstream gradient of the logits of a head without a loss; many to one: [B, V]."""
        return self._further("dlogits")

    @property
    def indices(self) -> Array:
        """[B, T], the place of the 1 in every one-hot input of ``xs``."""
        return self._further("indices")

    @property
    def dh_n(self) -> Array:
        """[layers * directions, B, H], the upstream gradient of h_n; zeros in cases without one."""
        return self._further("dh_n")

    def _further(self, name: str) -> Array:
        if name not in self.further:
            raise AttributeError(f"{name}: the case has no {DECLARED_BY[name]}", name=name, obj=self)
        return self.further[name]


def problem_of(case: Case, call: Call, has_dh_n: bool = False) -> Problem:
    """Return what an adapter is given for a call, in arrays of its own; ``dh_n`` if it is declared."""
    (B, T, _), H = call.xs.shape, case.H
    h_0 = np.zeros((case.num_cells, B, H), call.xs.dtype) if call.h_0 is None else call.h_0
    dhs = np.zeros((B, T, case.directions * H), call.xs.dtype) if call.dhs is None else call.dhs
    given = one_layer(call.weights[0], call.xs, h_0[0], dhs, str(case))
    further = {"indices": call.indices}
    if has_dh_n:
        further["dh_n"] = np.zeros_like(h_0) if call.dh_n is None else call.dh_n
    if call.head is not None:
        further |= {
            name: value[:, 0] if case.many_to_one and name in ("targets", "dlogits") else value
            for name, value in call.head.arrays().items()
        }
    return replace(
        given,
        h_0=own(h_0) if case.has_torch_interface else given.h_0,
        weights=_named(case, call) if case.has_torch_interface else given.weights,
        nonlinearity=case.nonlinearity,
        num_layers=case.layers,
        bidirectional=case.bidirectional,
        lengths=given.lengths if call.lengths is None else own(call.lengths),
        further={name: own(value) for name, value in further.items() if value is not None},
    )


def _named(case: Case, call: Call) -> dict[str, Array]:
    return {name: own(value) for name, value in parameters(case, call.weights).items()}


def one_layer(cell: CellWeights, xs: Array, h_0: Array, dhs: Array, token: str) -> Problem:
    """Return the problem of one tanh layer in one direction, in arrays of its own."""
    B, T, _ = xs.shape
    b = np.zeros(len(cell.Wh), xs.dtype) if cell.b is None else cell.b
    b_ih, b_hh = halves(b) if cell.b_hh is None else (b, cell.b_hh)
    named = {"weight_ih_l0": cell.Wx.T, "weight_hh_l0": cell.Wh.T}
    named |= {} if cell.b is None else {"bias_ih_l0": b_ih, "bias_hh_l0": b_hh}
    return Problem(
        Wx=own(cell.Wx),
        Wh=own(cell.Wh),
        b=own(b_ih + b_hh),
        b_ih=own(b_ih),
        b_hh=own(b_hh),
        xs=own(xs),
        h_0=own(h_0),
        dhs=own(dhs),
        weights={name: own(value) for name, value in named.items()},
        nonlinearity="tanh",
        num_layers=1,
        bidirectional=False,
        lengths=np.full(B, T),
        token=token,
    )


def own(value: Array) -> Array:
    """Return a contiguous copy that can be written to."""
    return np.array(value, order="C")


def halves(b: Array) -> tuple[Array, Array]:
    """Return two biases whose sum is ``b`` [H] without rounding, and which are unequal in most elements."""
    parts = 0.5 + 1.5 * ((np.arange(1, len(b) + 1) * 0.6180339887) % 1)
    second = b * parts.astype(b.dtype)
    # Between b / 2 and 2 b, so that the difference is exact.
    return b - second, second


def arrays_of(problem: Problem) -> dict[str, Array]:
    """Return all arrays of a problem by name."""
    names = ("Wx", "Wh", "b", "b_ih", "b_hh", "xs", "h_0", "dhs", "lengths")
    found = {name: getattr(problem, name) for name in names}
    return {
        **found,
        **{f"weights[{name!r}]": value for name, value in problem.weights.items()},
        **problem.further,
    }
