"""``RNN``: layers and directions over a whole sequence."""

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, overload

import numpy as np

from rnn_np import _kernel
from rnn_np._gradients import NOTHING_KEPT
from rnn_np._kernel import Array, Tape
from rnn_np._validation import WITH_DTYPE, check_array, shown
from rnn_np.nn._forward_only import forward_only
from rnn_np.nn._recurrent_layer import RecurrentLayer, kernel_backward, kernel_weights, option_defaults
from rnn_np.nn._sequence_format import SequenceFormat
from rnn_np.nn.utils.rnn import PackedSequence

MAX_LAYERS = 10_000


class _Saved(NamedTuple):
    """What a backward pass needs from its forward pass. None of it is the caller's memory."""

    format: SequenceFormat
    tapes: list[Tape]
    """[num_layers * directions], a layer's directions next to each other; none after ``forward_only``."""
    masks: list[Array]
    """[num_layers - 1] masks [T, B, directions * H], or none if no dropout was applied."""
    scale: float
    """The factor of the outputs that dropout keeps."""
    directions: int


class RNN(RecurrentLayer):
    """Layers of recurrence in one direction or both, as ``torch.nn.RNN``.

    In each, h_t = tanh(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh), or relu. Names, arguments, shapes and
    state dicts are torch's; the backward pass is a method, ``backward``. It is no ``torch.nn.Module``.

    One layer and direction takes O(B T H (D + H)) time in each pass, where D is 2 H after a bidirectional
    layer. A call keeps copies of the inputs, states and weights of every layer for ``backward``, until
    the next call. Use a layer in one thread at a time; several layers can run in several threads.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: how many layers; each takes the outputs of the one before as its input.
        nonlinearity: "tanh" or "relu".
        bias: whether there are ``bias_ih_l*`` and ``bias_hh_l*``.
        batch_first: padded sequences are [B, T, ...] in place of [T, B, ...]; states are not affected.
        dropout: the probability, in training mode, that an output of a layer is zeroed; the last layer
            has no dropout.
        bidirectional: give each layer a second direction, which starts at the end of each sequence.
        dtype: ``numpy.float32`` or ``numpy.float64``: that of parameters, inputs and results.
        rng: what the first parameters and then the dropout masks are drawn from; None: a fresh
            ``numpy.random.default_rng()``. A generator of the same seed draws the same numbers on every
            platform, but NumPy may change them in a later version; ``state_dict`` keeps them.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l0_reverse, ...: the parameters in
            torch's shapes, held by reference: the next call sees an update in place.
        grads: their gradients by name, zeros at first. Every ``backward`` overwrites these same arrays.
        training: whether dropout is applied; ``train()`` and ``eval()`` set it.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from rnn_np import nn
        >>> rnn = nn.RNN(3, 4, num_layers=2, bidirectional=True)
        >>> rnn
        RNN(3, 4, num_layers=2, bidirectional=True)
        >>> output, h_n = rnn(np.ones((5, 2, 3), np.float32))
        >>> output.shape, h_n.shape
        ((5, 2, 8), (4, 2, 4))
        >>> d_input, d_hx = rnn.backward(np.ones_like(output), np.ones_like(h_n))
        >>> d_input.shape, d_hx.shape, rnn.grads["weight_ih_l1_reverse"].shape
        ((5, 2, 3), (4, 2, 4), (4, 8))
        >>> output, h_n = rnn(np.ones((5, 2, 3), np.float32), lengths=[5, 2])
        >>> bool(output[2:, 1].any())  # the outputs after the end of a sequence are 0
        False
    """

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Array:
            """Any other attribute is a parameter, such as ``weight_ih_l0``."""
            ...

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
        if num_layers > MAX_LAYERS:
            raise ValueError(f"num_layers: expected at most {MAX_LAYERS}, got {shown(num_layers)}")
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

    _defaults: ClassVar = option_defaults(__init__)

    def _masks(self, given: object, shape: tuple[int, ...]) -> list[Array]:
        """Return the dropout masks of a call: copies of those ``given``, or new ones."""
        count = self.num_layers - 1 if self.training and self.dropout > 0 else 0
        if given is None:
            # float32 numbers take half the time and memory, and are fine enough to compare with.
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
        """Copies of the masks [T, B, directions * H] of the last call, True where an output was kept.

        There is one for each layer but the last, or none if no dropout was applied.
        """
        return [] if self._saved is None else [mask.copy() for mask in self._saved.masks]

    @overload
    def forward(
        self,
        input: Array,
        hx: Array | None = None,
        *,
        lengths: Array | list[int] | None = None,
        dropout_masks: list[Array] | None = None,
    ) -> tuple[Array, Array]: ...

    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: Array | None = None,
        *,
        lengths: None = None,
        dropout_masks: list[Array] | None = None,
    ) -> tuple[PackedSequence, Array]: ...

    def forward(
        self,
        input: Array | PackedSequence,  # noqa: A002, torch's name
        hx: Array | None = None,
        *,
        lengths: Array | list[int] | None = None,
        dropout_masks: list[Array] | None = None,
    ) -> tuple[Array | PackedSequence, Array]:
        """Run all layers and directions over a batch of sequences.

        Args:
            input: [T, B, D], [B, T, D] if ``batch_first``, [T, D] unbatched, or a PackedSequence.
            hx: [num_layers * directions, B, H], or unbatched [num_layers * directions, H], the initial
                states. None: zeros.
            lengths: [B], whole numbers from 1 to T in any order: the length of each sequence. The input
                after the end has no effect, and the output there is 0. None: all are T long.
            dropout_masks: the ``dropout_masks`` of another call, to use in place of new ones.

        Returns:
            ``output``, [T, B, directions * H] or in the format of ``input``: the states of the last
            layer after each step. And ``h_n``, in the shape of ``hx``: the last state of each sequence,
            layer and direction; that of the reverse direction is at t = 0.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: a shape or a length does not fit, T is 0, or a dtype is not the layer's.
        """
        return self._call(input, hx, lengths, dropout_masks, keep=True)

    def forward_only(
        self,
        input: Array | PackedSequence,  # noqa: A002, torch's name
        hx: Array | None = None,
        *,
        lengths: Array | list[int] | None = None,
        dropout_masks: list[Array] | None = None,
    ) -> tuple[Any, Array]:
        """Return what a call returns, and keep nothing but the dropout masks.

        It takes little more memory than ``output``, or than twice that with several layers in both
        directions or with lengths. A ``backward`` after it is a RuntimeError.
        """
        return self._call(input, hx, lengths, dropout_masks, keep=False)

    def _call(
        self,
        input: Array | PackedSequence,  # noqa: A002, torch's name
        hx: Array | None,
        lengths: Array | list[int] | None,
        dropout_masks: list[Array] | None,
        keep: bool,
    ) -> tuple[Array | PackedSequence, Array]:
        params = list(self._parameters().values())
        H, directions = self.hidden_size, 2 if self.bidirectional else 1
        S = self.num_layers * directions
        fmt = SequenceFormat.of(input, lengths, self.batch_first, self.input_size)
        layout = fmt.layout
        x = fmt.to_kernel("input", input, "D", self.input_size, self.dtype, WITH_DTYPE)
        if hx is not None:
            hx = fmt.states_to_kernel("hx", hx, S, H, self.dtype)
        masks = self._masks(dropout_masks, (layout.T, layout.B, directions * H))
        scale = 1 / (1 - float(self.dropout)) if self.dropout < 1 else 0.0

        per_cell = len(params) // S  # a cell is one direction of one layer: 2 or 4 parameters
        h_n = np.empty((S, layout.B, H), self.dtype)
        tapes: list[Tape] = []
        with np.errstate(all="ignore"):
            cells = [
                (
                    None if hx is None else layout.sort(hx[cell]),
                    *kernel_weights(*params[cell * per_cell : (cell + 1) * per_cell]),
                    self.nonlinearity == "relu",
                )
                for cell in range(S)
            ]
            if not keep:
                self._saved = _Saved(fmt, tapes, masks, scale, directions)
                x = forward_only(fmt, x, cells, directions, masks, scale, h_n)
                return fmt.to_caller(x, own=True), fmt.states_to_caller(h_n)
            # The tape keeps x, so it must not be the caller's memory. Packing may have copied it already.
            callers = input.data if isinstance(input, PackedSequence) else input
            x = np.array(x, order="C") if np.may_share_memory(x, callers) else np.ascontiguousarray(x)
            for layer in range(self.num_layers):
                outputs = []
                for direction in range(directions):
                    cell_input = np.ascontiguousarray(layout.reverse(x)) if direction else x
                    rows = cell_input.reshape(layout.N, cell_input.shape[-1])
                    tape = _kernel.forward(rows, layout.sizes, *cells[len(tapes)])
                    states = tape.states.reshape(*layout.shape, H)
                    h_n[len(tapes)] = layout.last(states)
                    outputs.append(layout.reverse(states) if direction else states)
                    tapes.append(tape)
                x = outputs[0] if directions == 1 else np.concatenate(outputs, axis=-1)
                if layer < len(masks):
                    x = x * layout.pack(masks[layer])
                    x *= scale
        self._saved = _Saved(fmt, tapes, masks, scale, directions)
        return fmt.to_caller(x), fmt.states_to_caller(h_n)

    if TYPE_CHECKING:
        __call__ = forward
    else:

        def __call__(self, *args, **options):
            """Return ``forward(...)``."""
            return self.forward(*args, **options)

    @overload
    def backward(self, d_output: Array, d_h_n: Array | None = None) -> tuple[Array, Array]: ...

    @overload
    def backward(
        self, d_output: PackedSequence, d_h_n: Array | None = None
    ) -> tuple[PackedSequence, Array]: ...

    @overload
    def backward(self, d_output: None, d_h_n: Array | None = None) -> tuple[Any, Array]: ...

    def backward(
        self, d_output: Array | PackedSequence | None, d_h_n: Array | None = None
    ) -> tuple[Array | PackedSequence, Array]:
        """Backpropagate through the last call, with the weights and masks as they were; fill ``grads``.

        Args:
            d_output: the gradient of the loss with respect to ``output``, in its format. None: zeros.
            d_h_n: the gradient of the loss with respect to ``h_n``, in its shape. None: zeros. One of the
                two must be given.

        Returns:
            ``d_input`` and ``d_hx``, the gradients with respect to ``input`` and ``hx``, in their formats.

        Raises:
            RuntimeError: there was no call, or the last was ``forward_only``.
            TypeError: an argument has the wrong type.
            ValueError: a shape or dtype is not that of ``output`` or ``h_n``, both are None, one of them is
                one of ``grads``, or these have been replaced.
        """
        if self._saved is None:
            raise RuntimeError("backward: there is no forward to go back through; call the layer first")
        fmt, tapes, masks, scale, directions = self._saved
        if not tapes:
            raise RuntimeError(NOTHING_KEPT)
        layout, dtype, S, H = fmt.layout, tapes[0].h.dtype, len(tapes), len(tapes[0].WhT)
        if d_output is None and d_h_n is None:
            raise ValueError("d_output, d_h_n: expected at least one gradient, got None for both")
        if d_output is None:
            dy = np.broadcast_to(np.zeros((), dtype), (*layout.shape, directions * H))
        else:
            dy = fmt.to_kernel("d_output", d_output, "directions*H", directions * H, dtype)
        if d_h_n is not None:
            d_h_n = fmt.states_to_kernel("d_h_n", d_h_n, S, H, dtype)
        given = d_output.data if isinstance(d_output, PackedSequence) else d_output
        grads = self._gradients(d_output=given, d_h_n=d_h_n)

        per_cell = len(grads) // S
        d_hx = np.empty((S, layout.B, H), dtype)
        with np.errstate(all="ignore"):
            for layer in reversed(range(S // directions)):
                d_inputs = []
                for direction in range(directions):
                    cell = layer * directions + direction
                    d_states = dy[..., direction * H : (direction + 1) * H]
                    dx, dh_0 = kernel_backward(
                        tapes[cell],
                        layout.steps(layout.reverse(d_states) if direction else d_states),
                        None if d_h_n is None else layout.sort(d_h_n[cell]),
                        *grads[cell * per_cell : (cell + 1) * per_cell],
                    )
                    dx = dx.reshape(*layout.shape, dx.shape[-1])
                    d_hx[cell] = layout.restore(dh_0)
                    d_inputs.append(layout.reverse(dx) if direction else dx)
                dy = d_inputs[0] if directions == 1 else d_inputs[0] + d_inputs[1]
                if layer and masks:
                    dy *= layout.pack(masks[layer - 1])
                    dy *= scale
        return fmt.to_caller(dy), fmt.states_to_caller(d_hx)
