"""``RNNCell``: one time step."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from rnn_np import _kernel
from rnn_np._gradients import NOTHING_KEPT
from rnn_np._kernel import Array, Tape
from rnn_np._validation import WITH_DTYPE, check_input, rank
from rnn_np.nn._recurrent_layer import RecurrentLayer, kernel_weights, option_defaults


class RNNCell(RecurrentLayer):
    """One time step, as ``torch.nn.RNNCell``: h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh), or relu.

    Names, arguments, shapes and state dicts are torch's; the backward pass is a method, ``backward``. It
    is no ``torch.nn.Module``.

    A step takes O(B H (D + H)) time. A call keeps copies of its inputs, its result and the weights for
    ``backward``. Use a layer in one thread at a time; several layers can run in several threads.

    Args:
        input_size: D.
        hidden_size: H.
        bias: whether there are ``bias_ih`` and ``bias_hh``.
        nonlinearity: "tanh" or "relu".
        dtype: ``numpy.float32`` or ``numpy.float64``: that of parameters, inputs and results.
        rng: what the first parameters are drawn from; None: a fresh ``numpy.random.default_rng()``. A
            generator of the same seed draws the same numbers on every platform, but NumPy may change
            them in a later version; ``state_dict`` keeps them.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: [H, D], [H, H], [H] and [H], the parameters, held by
            reference: the next call sees an update in place.
        grads: their gradients by name, zeros at first. Every ``backward`` overwrites these same arrays.
        training: has no effect on a cell; ``train()`` and ``eval()`` set it, as in torch.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from rnn_np import nn
        >>> cell = nn.RNNCell(3, 4, dtype=np.float64)
        >>> cell
        RNNCell(3, 4, dtype=float64)
        >>> h_next = cell(np.ones((2, 3)))
        >>> h_next.shape
        (2, 4)
        >>> d_input, d_hx = cell.backward(np.ones((2, 4)))
        >>> d_input.shape, d_hx.shape, cell.grads["weight_ih"].shape
        ((2, 3), (2, 4), (4, 3))
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = np.float32,
        rng: "np.random.Generator | None" = None,
    ) -> None:
        super().__init__(
            input_size=input_size,
            hidden_size=hidden_size,
            bias=bias,
            nonlinearity=nonlinearity,
            dtype=dtype,
            rng=rng,
        )
        D, H = input_size, hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (H, D), "weight_hh": (H, H)}
        self._make_parameters(shapes | ({"bias_ih": (H,), "bias_hh": (H,)} if bias else {}))
        self._saved: tuple[Tape | None, bool] | None = None

    _defaults: ClassVar = option_defaults(__init__)

    def forward(self, input: Array, hx: Array | None = None) -> Array:  # noqa: A002, torch's name
        """Compute one time step.

        Args:
            input: [B, D], or unbatched [D].
            hx: [B, H], or unbatched [H], the state before the step. None: zeros.

        Returns:
            ``h_next``, [B, H] or [H], the state after the step.

        Raises:
            TypeError: an argument is not a ``numpy.ndarray``.
            ValueError: a shape does not fit, or a dtype is not the layer's.
        """
        return self._step(input, hx, np.array)

    def forward_only(self, input: Array, hx: Array | None = None) -> Array:  # noqa: A002, torch's name
        """Return what ``forward`` returns, and keep nothing; a ``backward`` after it is a RuntimeError."""
        h_next = self._step(input, hx, np.asarray)
        self._saved = None, True
        return h_next

    def _step(self, x: Array, hx: Array | None, own: Callable[..., Array]) -> Array:
        """``own`` copies what the tape keeps, or does not where the tape is to be dropped."""
        weight_ih, weight_hh, *biases = self._parameters().values()
        D, H = self.input_size, self.hidden_size
        batched = rank(x, 2) != 1
        x = check_input("input", x, "B D" if batched else "D", {"D": D}, self.dtype, WITH_DTYPE)
        if hx is not None:
            hx = check_input("hx", hx, "B H" if batched else "H", {"B": len(x), "H": H}, self.dtype)
        x = own(x, order="C").reshape(-1, D)
        Wx, Wh, b = kernel_weights(own(weight_ih, order="C"), own(weight_hh, order="C"), *biases)
        tape = _kernel.step(x, hx, Wx, Wh, b, self.nonlinearity == "relu")
        self._saved = tape, batched
        return tape.states.copy() if batched else tape.states[0].copy()

    def __call__(self, input: Array, hx: Array | None = None) -> Array:  # noqa: A002, torch's name
        """Return ``forward(input, hx)``."""
        return self.forward(input, hx)

    def backward(self, d_h_next: Array) -> tuple[Array, Array]:
        """Backpropagate through the last call, with the weights as they were then; fill ``grads``.

        Args:
            d_h_next: [B, H] or [H], the gradient of the loss with respect to ``h_next``.

        Returns:
            ``d_input`` [B, D] or [D] and ``d_hx`` [B, H] or [H], its gradients with respect to ``input``
            and ``hx``.

        Raises:
            RuntimeError: there was no call, or the last was ``forward_only``.
            TypeError: ``d_h_next`` is not a ``numpy.ndarray``.
            ValueError: its shape or dtype is not that of ``h_next``, it is one of ``grads``, or these have
                been replaced.
        """
        if self._saved is None:
            raise RuntimeError("backward: there is no forward to go back through; call the layer first")
        tape, batched = self._saved
        if tape is None:
            raise RuntimeError(NOTHING_KEPT)
        B, H = tape.states.shape
        axes = "B H" if batched else "H"
        d_h_next = check_input("d_h_next", d_h_next, axes, {"B": B, "H": H}, tape.h.dtype)
        grads = self._gradients(d_h_next=d_h_next)
        dweight_ih, dweight_hh, *biases = grads
        d_input, d_hx = _kernel.step_backward(
            tape, d_h_next.reshape(B, H), dweight_ih.T, dweight_hh.T, biases[0] if biases else None
        )
        if biases:
            biases[1][...] = biases[0]
        return (d_input, d_hx) if batched else (d_input[0], d_hx[0])
