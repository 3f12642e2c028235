"""``RNNCell``: one time step."""

from typing import Any

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array, Tape
from rnn_np._validation import check_input
from rnn_np.nn._recurrent_layer import RecurrentLayer, kernel_backward, kernel_weights


class RNNCell(RecurrentLayer):
    """One time step, as ``torch.nn.RNNCell``: h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh), or relu.

    Args:
        input_size: D.
        hidden_size: H.
        bias: with ``bias_ih`` and ``bias_hh``.
        nonlinearity: "tanh" or "relu".
        dtype: ``numpy.float32`` or ``numpy.float64``, of everything.
        rng: what the parameters are drawn from; None: a fresh ``numpy.random.default_rng()``.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: [H, D], [H, H], [H] and [H], held by reference.
        grads: their gradients by name, the same arrays for life, overwritten by ``backward``.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: an argument is out of its range.
    """

    _defaults = {"bias": True, "nonlinearity": "tanh", "dtype": np.float32}  # noqa: RUF012, typed in RecurrentLayer

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
        self._saved: tuple[Tape, bool] | None = None

    def forward(self, input: Array, hx: Array | None = None) -> Array:  # noqa: A002, torch's name
        """Return ``h_next`` [B, H] from ``input`` [B, D] and ``hx`` [B, H] (None: zeros), or [H] from
        [D] and [H].

        Raises:
            TypeError: an argument is no ``numpy.ndarray``.
            ValueError: a shape does not fit, or a dtype is not the layer's.
        """
        weights = kernel_weights(*self._parameters().values())
        D, H = self.input_size, self.hidden_size
        batched = getattr(input, "ndim", 2) != 1
        x = check_input("input", input, "B D" if batched else "D", {"D": D}, self.dtype)
        if hx is not None:
            hx = check_input("hx", hx, "B H" if batched else "H", {"B": len(x), "H": H}, self.dtype)
        x = np.array(x, order="C").reshape(-1, D)
        tape = _kernel.forward(x, (len(x),), hx, *weights, self.nonlinearity == "relu")
        self._saved = tape, batched
        return tape.states.copy() if batched else tape.states[0].copy()

    __call__ = forward

    def backward(self, d_h_next: Array) -> tuple[Array, Array]:
        """Return ``d_input`` [B, D] and ``d_hx`` [B, H] from ``d_h_next`` [B, H], or [D] and [H] from
        [H]; fill ``grads``.

        It belongs to the last call, with the weights as they were then.

        Raises:
            RuntimeError: there was no call.
            TypeError: ``d_h_next`` is no ``numpy.ndarray``.
            ValueError: its shape or dtype is not that of ``h_next``.
        """
        if self._saved is None:
            raise RuntimeError("backward: there is no forward to go back through; call the layer first")
        tape, batched = self._saved
        B, H = tape.states.shape
        axes = "B H" if batched else "H"
        d_h_next = check_input("d_h_next", d_h_next, axes, {"B": B, "H": H}, tape.h.dtype)
        d_input, d_hx = kernel_backward(tape, [d_h_next.reshape(B, H)], None, *self._gradients())
        return (d_input, d_hx) if batched else (d_input[0], d_hx[0])
