"""The arrays of a case: they follow from its token alone, bit for bit on every platform.

NumPy guarantees the raw bits of PCG64 for a seed, but not the numbers of its distributions. So this
module draws bits and scales them, with operations that IEEE 754 rounds correctly.
"""

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from parity_tests.bound_numpy import np
from parity_tests.cases.case import Case
from parity_tests.cases.extreme_values import change_inputs, change_weights, make_constant

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
else:
    # Signatures in help() then say ``numpy.ndarray``, without its type parameters.
    Array = np.ndarray
SHIFT = {"f32": 150.0, "f64": 1000.0}
"""By how much logits are shifted, so that their exponentials overflow or vanish."""
DTYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}


@dataclass(frozen=True, slots=True)
class CellWeights:
    """The weights of one layer in one direction. The bias is ``b``, the sum of both, or none."""

    Wx: Array
    """[D, H]; in the layers above the first [directions * H, H]"""
    Wh: Array
    """[H, H]"""
    b: Array | None
    """[H], torch's bias_ih"""
    b_hh: Array | None = None
    """[H], torch's bias_hh"""

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without those that are None."""
        named = {"Wx": self.Wx, "Wh": self.Wh, "b": self.b, "b_hh": self.b_hh}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class HeadArrays:
    """A linear layer behind the states, and what goes on behind it."""

    Wy: Array
    """[H, V]"""
    by: Array
    """[V]"""
    targets: Array | None = None
    """[B, T], whole numbers below V, for cross entropy; [B, T, V] for squared errors; T is 1 for many to one"""
    dlogits: Array | None = None
    """[B, T, V], the upstream gradient of the logits, without a loss"""

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without those that are None."""
        named = {name: getattr(self, name) for name in ("Wy", "by", "targets", "dlogits")}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Call:
    """The weights and the inputs of one forward and backward.

    If ``h_0`` is None, the state starts at zero, or with ``carries`` at the state that the previous
    call left. ``xs`` and ``dhs`` have values after the end of a sequence, too: padding, which must
    have no effect.
    """

    weights: tuple[CellWeights, ...]
    """Layer by layer; in each layer the forward direction comes first."""
    xs: Array
    """[B, T, D]"""
    h_0: Array | None
    """[cells, B, H]"""
    dhs: Array | None
    """[B, T, directions * H], the upstream gradient of the outputs"""
    dh_n: Array | None = None
    """[cells, B, H], the upstream gradient of the final states"""
    lengths: Array | None = None
    """[B], the lengths of the sequences; None: all have length T"""
    masks: tuple[Array, ...] = ()
    """[B, T, directions * H], True where dropout keeps a value; one mask between two layers"""
    carries: bool = False
    """Whether the state of the previous call is the initial state"""
    head: "HeadArrays | None" = None
    """What is behind the states, if anything is"""
    indices: Array | None = None
    """[B, T], the place of the 1 in every one-hot input"""

    @property
    def Wx(self) -> Array:
        """The input weights of the first cell."""
        return self.weights[0].Wx

    @property
    def Wh(self) -> Array:
        """The recurrent weights of the first cell."""
        return self.weights[0].Wh

    @property
    def b(self) -> Array:
        """The bias of the first cell, which must have one."""
        assert self.weights[0].b is not None
        return self.weights[0].b

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without those that are None."""
        named = {name: getattr(self, name) for name in ("xs", "h_0", "dhs", "dh_n", "lengths", "indices")}
        named |= {} if self.head is None else self.head.arrays()
        for number, cell in enumerate(self.weights):
            named |= {f"{name}{number}": value for name, value in cell.arrays().items()}
        named |= {f"mask{number}": mask for number, mask in enumerate(self.masks)}
        return {name: value for name, value in named.items() if value is not None}


@lru_cache(maxsize=4)
def calls_of(case: Case) -> tuple[Call, ...]:
    """Return the calls of a case, with C-contiguous arrays of its dtype that cannot be written to.

    The reference, the loop and the subject ask for the same case one after another, so the last few
    are kept.
    """
    calls = (_IntegerMaker if case.integer else _Maker)(case).calls()
    for call in calls:
        for array in call.arrays().values():
            array.setflags(write=False)
    return calls


class _Maker:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.dtype = DTYPES[case.dtype]
        self.bits = np.random.PCG64(case.seed)

    def uniform(self, *shape: int, scale: float = 1.0) -> Array:
        """Numbers of mean 0 and standard deviation ``scale``, from 24 bits each."""
        return self._scaled(self._raw(*shape), scale)

    def uneven(self, *shape: int, scale: float = 1.0) -> Array:
        """The same with some zeros and some large values, which masks and clips would change."""
        raw = self._raw(*shape)
        factors = np.array([0.0, 0.0, 4.0, 16.0] + [1.0] * 28)[raw & np.uint64(31)]
        return self._scaled(raw, scale) * factors.astype(self.dtype)

    def _raw(self, *shape: int) -> Array:
        return self.bits.random_raw(int(np.prod(shape))).reshape(shape)

    def _scaled(self, raw: Array, scale: float) -> Array:
        centred = (raw >> np.uint64(40)).astype(np.int64) - (2**23 - 0.5)
        return np.asarray(centred * (scale * np.sqrt(3.0) / 2**23), self.dtype)

    def integers(self, *shape: int, most: int) -> Array:
        """Whole numbers from 0 to ``most``."""
        return np.asarray((self._raw(*shape) >> np.uint64(32)) % np.uint64(most + 1), np.int64)

    def input_weights(self, D: int, layer: int) -> Array:
        # A chaotic recurrence does not enlarge the input.
        return self.uniform(D, self.case.H, scale=min(self.case.gain, 1.0) / np.sqrt(D))

    def recurrent_weights(self) -> Array:
        H = self.case.H
        return self.uniform(H, H, scale=self.case.gain / np.sqrt(H))

    def biases(self) -> tuple[Array | None, Array | None]:
        H, case = self.case.H, self.case
        if case.bias == "nobias":
            return None, None
        b = self.uneven(H, scale=0.3)
        return b, self.uneven(H, scale=0.3) if case.has_torch_interface else None

    def state(self, B: int) -> Array:
        return self.uneven(self.case.num_cells, B, self.case.H, scale=0.5)

    def values(self, *shape: int) -> Array:
        """Inputs and upstream gradients."""
        return self.uneven(*shape)

    def weights(self) -> tuple[CellWeights, ...]:
        case = self.case
        wide = case.directions * case.H
        weights = tuple(
            CellWeights(
                self.input_weights(wide if layer else case.D, layer), self.recurrent_weights(), *self.biases()
            )
            for layer in range(case.layers)
            for _ in range(case.directions)
        )
        for cell in weights:
            biases = [b for b in (cell.b, cell.b_hh) if b is not None]
            change_weights(case, self.integers, cell.Wx, cell.Wh, biases)
        return weights

    def call(self, weights: tuple[CellWeights, ...], B: int, T: int, kind: str = "") -> Call:
        """A call with these weights and sizes.

        Args:
            weights: of every cell.
            B: batch size.
            T: number of time steps.
            kind: of the lengths, one of ``LENGTHS``; empty for the case's.
        """
        case = self.case
        wide = case.directions * case.H
        h_0 = self.state(B) if case.h0 else None
        xs = self.values(B, T, case.D)
        dhs = None if case.grad_outputs == "final" or case.has_head else self.upstream(B, T, wide)
        dh_n = None if case.grad_outputs == "output" else self.values(case.num_cells, B, case.H)
        masks = tuple(
            self.integers(B, T, wide, most=255) >= round(256 * case.dropout)
            for _ in range(case.layers - 1 if case.masked else 0)
        )
        lengths = self.lengths(B, T, kind or case.lengths)
        indices = self.integers(B, T, most=case.D - 1) if case.indices else None
        if indices is not None:
            xs = np.eye(case.D, dtype=self.dtype)[indices]
        change_inputs(case, self.integers, xs, h_0, (dhs, dh_n))
        if case.layout == "broadcast":
            make_constant((xs, h_0, dhs, dh_n))
        head = self.head(B, 1 if case.many_to_one else T) if case.has_head else None
        return Call(weights, xs, h_0, dhs, dh_n, lengths, masks, head=head, indices=indices)

    def head(self, B: int, T: int) -> HeadArrays:
        case, V = self.case, self.case.V
        Wy, by = self.uniform(case.H, V, scale=1 / np.sqrt(case.H)), self.uneven(V, scale=0.3)
        by += self.dtype.type({"none": 0, "high": 1, "low": -1}[case.shift] * SHIFT[case.dtype])
        by *= case.head_bias == "by"
        if not case.has_loss:
            return HeadArrays(Wy, by, dlogits=self.upstream(B, T, V))
        if case.loss == "cross_entropy":
            return HeadArrays(Wy, by, self.integers(B, T, most=V - 1))
        return HeadArrays(Wy, by, self.values(B, T, V))

    def lengths(self, B: int, T: int, kind: str) -> Array | None:
        if kind == "full":
            return None
        if kind == "equal":
            return np.full(B, 1 + self.integers(1, most=T - 1)[0])
        lengths = 1 + self.integers(B, most=T - 1)
        if kind == "ones":
            lengths[self.integers(B, most=3) > 0] = 1
        return np.sort(lengths)[::-1].copy() if kind == "sorted" else lengths

    def upstream(self, B: int, T: int, H: int) -> Array:
        dhs = self.values(B, T, H)
        if self.case.upstream == "last":
            dhs[:, :-1] = 0
        elif self.case.upstream == "gaps":
            silent = self.bits.random_raw(T) & np.uint64(1)
            dhs[:, silent == 1] = 0
        return dhs

    def calls(self) -> tuple[Call, ...]:
        case = self.case
        weights = self.weights()
        if case.calls in ("again", "reset"):
            # Half of these cases keep the batch size, a quarter T as well: then what a layer keeps of
            # the first call has the shape of the second.
            same, B, T = (int(bits) for bits in self.bits.random_raw(3) % np.array([4, 3, 16], np.uint64))
            # A case of one sequence has one in both calls: some layers do not support batches.
            B = case.B if same % 2 or case.B == 1 else 1 + B
            T = case.T if case.is_cell or same == 3 else min(1 + T, case.T) if case.integer else 1 + T
            other = "full"
            if case.layer == "nn.RNN" and case.form != "unbatched":
                other = ("full", "unsorted")[self.integers(1, most=1)[0]]
            first, second = self.call(weights, B, T, other), self.call(self.weights(), case.B, case.T)
            # reset_state makes the second call start from zeros.
            return first, replace(second, h_0=None) if case.calls == "reset" else second
        sequence = self.call(weights, case.B, case.T)
        self.put_nonfinite(sequence)
        if case.chunks == 1:
            return (sequence,)
        assert sequence.dhs is not None  # only TimeRNN carries a state; it has no dh_n
        cuts = [case.T * part // case.chunks for part in range(case.chunks + 1)]
        return tuple(
            Call(
                weights,
                np.ascontiguousarray(sequence.xs[:, start:end]),
                sequence.h_0 if start == 0 else None,
                np.ascontiguousarray(sequence.dhs[:, start:end]),
                carries=start > 0,
            )
            for start, end in itertools.pairwise(cuts)
        )

    def put_nonfinite(self, call: Call) -> None:
        if self.case.nonfinite == "none":
            return
        text, name = self.case.nonfinite.split("@")
        place, negative = (int(bits) for bits in self.bits.random_raw(2))
        value = float("inf" if text == "both" else text) * (-1 if negative % 2 else 1)
        if name == "pad":
            assert call.lengths is not None  # Case refuses a value in the padding without lengths
            padding = np.arange(self.case.T) >= call.lengths[:, None]
            for array in (call.xs, call.dhs):
                if array is not None:
                    array[padding] = value
            return
        if text == "both":
            flat = call.xs.reshape(-1)
            flat[place % flat.size] = value
            flat[(place + 1 + place // flat.size % (flat.size - 1)) % flat.size] = np.nan
            return
        target = {"xs": call.xs, "dhs": call.dhs, "h0": call.h_0}[name]
        assert target is not None  # Case refuses a value in an array that is None
        target.reshape(-1)[place % target.size] = value


class _IntegerMaker(_Maker):
    """Small integers, so small that float32 computes every sum and product exactly.

    Biases are an integer plus 1/2 and are added to integers, so that no pre-activation is 0, where
    relu's derivative is a convention. States are multiples of 1/2, so recurrent weights are even.
    """

    def _centred(self, *shape: int, most: int) -> Array:
        return (self.integers(*shape, most=2 * most) - most).astype(self.dtype)

    def input_weights(self, D: int, layer: int) -> Array:
        Wx = self._centred(D, self.case.H, most=1 if layer else 2)
        return 2 * Wx * self._sparse(*Wx.shape) if layer else Wx

    def recurrent_weights(self) -> Array:
        H = self.case.H
        return 2 * self._centred(H, H, most=1) * self._sparse(H, H)

    def _sparse(self, *shape: int) -> Array:
        """About two ones in a column."""
        return (self.integers(*shape, most=shape[0]) <= 1).astype(self.dtype)

    def biases(self) -> tuple[Array | None, Array | None]:
        H = self.case.H
        return self._centred(H, most=1) + self.dtype.type(0.5), self._centred(H, most=1)

    def state(self, B: int) -> Array:
        return 2 * self._centred(self.case.num_cells, B, self.case.H, most=1)

    def values(self, *shape: int) -> Array:
        return self._centred(*shape, most=2)
