"""``RNN``: layers and directions of a whole sequence."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array, Tape
from rnn_np._validation import check_array, check_lengths
from rnn_np.nn._batch_layout import BatchLayout
from rnn_np.nn._recurrent_layer import RecurrentLayer, kernel_backward, kernel_weights
from rnn_np.nn._sequence_format import SequenceFormat
from rnn_np.nn.utils.rnn import PackedSequence, check_packed


class _Saved(NamedTuple):
    """What a backward pass needs of its forward pass; nothing in it belongs to the caller."""

    form: SequenceFormat
    tapes: list[Tape]
    """Layer-major, as everything of layers and directions."""
    masks: list[Array]
    """[num_layers - 1], [T, B, directions * H], or none."""
    scale: float
    """Of what the masks keep."""
    directions: int


class RNN(RecurrentLayer):
    """Layers of recurrence in one direction or both, as ``torch.nn.RNN``.

    In each, h_t = tanh(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh), or relu.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: how many layers, each with the outputs of the one before as its input.
        nonlinearity: "tanh" or "relu".
        bias: with ``bias_ih_l*`` and ``bias_hh_l*``.
        batch_first: sequences are [B, T, ...] instead of [T, B, ...]; states are not.
        dropout: the probability, in training mode, that an output of a layer but the last is zeroed.
        bidirectional: in each layer a second direction that begins at each sequence's end.
        dtype: ``numpy.float32`` or ``numpy.float64``, of everything.
        rng: what the parameters, then the masks of dropout, are drawn from; None: a fresh
            ``numpy.random.default_rng()``.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ...: parameters
            in torch's shapes, held by reference.
        grads: their gradients by name, the same arrays for life, overwritten by ``backward``.
        training: whether dropout is applied; ``train()`` and ``eval()`` set it.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: an argument is out of its range.
    """

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool
    rng: "np.random.Generator"

    _defaults = {  # noqa: RUF012, typed in RecurrentLayer
        "num_layers": 1,
        "nonlinearity": "tanh",
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
        "dtype": np.float32,
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float32,
        rng: "np.random.Generator | None" = None,
    ) -> None:
        super().__init__(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dtype=dtype,
            rng=rng,
        )
        self.dropout = float(dropout)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout is applied after all layers but the last, so it has no effect with one: "
                f"got dropout={dropout} and num_layers={num_layers}",
                stacklevel=2,
            )
        H, suffixes = hidden_size, ("", "_reverse") if bidirectional else ("",)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(num_layers):
            D = len(suffixes) * H if layer else input_size
            for suffix in suffixes:
                shapes |= {f"weight_ih_l{layer}{suffix}": (H, D), f"weight_hh_l{layer}{suffix}": (H, H)}
                if bias:
                    shapes |= {f"bias_{kind}_l{layer}{suffix}": (H,) for kind in ("ih", "hh")}
        self._make_parameters(shapes)
        self._saved: _Saved | None = None

    def _form(self, given: object, lengths: object) -> SequenceFormat:
        """How ``given`` and ``lengths`` say where the rows stand."""
        if isinstance(given, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths: expected None, for a PackedSequence has its own, got others")
            packed = check_packed("input", given)
            return SequenceFormat(
                packed.rows(), "", tuple(None if a is None else a.copy() for a in packed[1:])
            )
        axes = "T" if getattr(given, "ndim", 3) == 2 else "B T" if self.batch_first else "T B"
        padded = check_array("input", given, f"{axes} D", {"D": self.input_size})
        sizes = dict(zip(axes.split(), padded.shape, strict=False))
        T, B = sizes["T"], sizes.get("B", 1)
        if T == 0:
            raise ValueError(f"input: expected at least one time step, got shape {list(padded.shape)}")
        if lengths is None:
            return SequenceFormat(BatchLayout(T, (B,) * T, None), axes)
        if axes == "T":
            raise ValueError("lengths: expected None for an unbatched input, got lengths")
        whole = check_lengths(lengths, T, B)
        return SequenceFormat(
            BatchLayout(T, (B,) * T, None) if (whole == T).all() else BatchLayout.of(T, whole), axes
        )

    def _masks(self, given: object, shape: tuple[int, ...]) -> list[Array]:
        """The masks of a call: copies of those ``given``, or new ones."""
        count = self.num_layers - 1 if self.training and self.dropout > 0 else 0
        if given is None:
            # A float32 is enough to choose by.
            return [self.rng.random(shape, np.float32) >= self.dropout for _ in range(count)]
        if not isinstance(given, list | tuple):
            raise TypeError(f"dropout_masks: expected a list of arrays, got {type(given).__qualname__}")
        if len(given) != count:
            raise ValueError(f"dropout_masks: expected {count}, one for each dropout, got {len(given)}")
        sizes = dict(zip(("T", "B", "directions*H"), shape, strict=True))
        for i, mask in enumerate(given):
            check_array(f"dropout_masks[{i}]", mask, " ".join(sizes), sizes)
            if mask.dtype != np.bool_:
                raise ValueError(f"dropout_masks[{i}]: expected bool, got {mask.dtype}")
        return [mask.copy() for mask in given]

    @property
    def dropout_masks(self) -> list[Array]:
        """Copies of the masks [T, B, directions * H] of the last call, True where kept: one for each
        layer but the last, or none where no dropout was applied."""
        return [] if self._saved is None else [mask.copy() for mask in self._saved.masks]

    def forward(
        self,
        input: Array | PackedSequence,  # noqa: A002, torch's name
        hx: Array | None = None,
        *,
        lengths: Array | list[int] | None = None,
        dropout_masks: list[Array] | None = None,
    ) -> tuple[Any, Array]:
        """Return ``output`` and ``h_n``.

        Args:
            input: [T, B, D], [B, T, D] if ``batch_first``, [T, D] unbatched, or a PackedSequence.
            hx: [num_layers * directions, B, H], or unbatched [num_layers * directions, H], the
                initial states; None: zeros.
            lengths: [B], whole numbers in 1 to T, in any order: where each row ends. What stands
                behind it has no effect, and the outputs there are 0. None: all are T long.
            dropout_masks: the ``dropout_masks`` of another call, to be used instead of new ones.

        Returns:
            ``output``, [T, B, directions * H] or as ``input``, the states of the last layer, and
            ``h_n``, in the shape of ``hx``, the last state of each row, layer and direction; that
            of the reverse direction is at t = 0.

        Raises:
            TypeError: an argument is of another kind.
            ValueError: a shape or a length does not fit, T is 0, or a dtype is not the layer's.
        """
        params = list(self._parameters().values())
        D, H, directions = self.input_size, self.hidden_size, 2 if self.bidirectional else 1
        S = self.num_layers * directions
        form = self._form(input, lengths)
        rows = form.rows
        x = form.check("input", input, "D", D, self.dtype)
        if hx is not None:
            hx = form.check_states("hx", hx, S, H, self.dtype)
        masks = self._masks(dropout_masks, (rows.T, rows.B, directions * H))
        scale = 1 / (1 - float(self.dropout)) if self.dropout < 1 else 0.0

        each = len(params) // S
        given = input.data if isinstance(input, PackedSequence) else input
        h_n = np.empty((S, rows.B, H), self.dtype)
        tapes: list[Tape] = []
        with np.errstate(all="ignore"):
            x = np.array(x, order="C") if np.may_share_memory(x, given) else np.ascontiguousarray(x)
            for layer in range(self.num_layers):
                outputs = []
                for direction in range(directions):
                    i = len(tapes)
                    own = np.ascontiguousarray(rows.reverse(x)) if direction else x
                    tape = _kernel.forward(
                        own.reshape(rows.N, own.shape[-1]),
                        rows.sizes,
                        None if hx is None else rows.sort(hx[i]),
                        *kernel_weights(*params[i * each : (i + 1) * each]),
                        self.nonlinearity == "relu",
                    )
                    states = tape.states.reshape(*rows.shape, H)
                    h_n[i] = rows.last(states)
                    outputs.append(rows.reverse(states) if direction else states)
                    tapes.append(tape)
                x = outputs[0] if directions == 1 else np.concatenate(outputs, axis=-1)
                if layer < len(masks):
                    x = x * rows.pack(masks[layer])
                    x *= scale
        self._saved = _Saved(form, tapes, masks, scale, directions)
        return form.to_caller(x), h_n[:, 0] if form.axes == "T" else h_n

    __call__ = forward

    def backward(
        self, d_output: Array | PackedSequence | None, d_h_n: Array | None = None
    ) -> tuple[Any, Array]:
        """Return ``d_input`` and ``d_hx`` from the gradients of ``output`` and of ``h_n``, in their
        forms; fill ``grads``.

        It belongs to the last call, with the weights and masks as they were then. Either gradient
        may be None, which stands for zeros, but not both.

        Raises:
            RuntimeError: there was no call.
            TypeError: an argument is of another kind.
            ValueError: a shape or dtype is not that of ``output`` or ``h_n``, or both are None.
        """
        if self._saved is None:
            raise RuntimeError("backward: there is no forward to go back through; call the layer first")
        form, tapes, masks, scale, directions = self._saved
        rows, dtype, S = form.rows, tapes[0].h.dtype, len(tapes)
        B, H = rows.B, len(tapes[0].Wh)
        if d_output is None and d_h_n is None:
            raise ValueError("d_output, d_h_n: expected at least one gradient, got None for both")
        if d_output is None:
            dy = np.broadcast_to(np.zeros((), dtype), (*rows.shape, directions * H))
        else:
            dy = form.check("d_output", d_output, "directions*H", directions * H, dtype)
        if d_h_n is not None:
            d_h_n = form.check_states("d_h_n", d_h_n, S, H, dtype)
        grads = self._gradients()

        each = len(grads) // S
        d_hx = np.empty((S, B, H), dtype)
        with np.errstate(all="ignore"):
            for layer in reversed(range(S // directions)):
                parts = []
                for direction in range(directions):
                    i = layer * directions + direction
                    part = dy[..., direction * H : (direction + 1) * H]
                    dx, dh_0 = kernel_backward(
                        tapes[i],
                        rows.steps(rows.reverse(part) if direction else part),
                        None if d_h_n is None else rows.sort(d_h_n[i]),
                        *grads[i * each : (i + 1) * each],
                    )
                    dx = dx.reshape(*rows.shape, dx.shape[-1])
                    d_hx[i] = rows.restore(dh_0)
                    parts.append(rows.reverse(dx) if direction else dx)
                dy = parts[0] if directions == 1 else parts[0] + parts[1]
                if layer and masks:
                    dy *= rows.pack(masks[layer - 1])
                    dy *= scale
        return form.to_caller(dy), d_hx[:, 0] if form.axes == "T" else d_hx
