"""The two layers: ``RNN``, one time step, and ``TimeRNN``, a sequence of them."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array, Tape
from rnn_np._validation import (
    check_array,
    check_dtype,
    check_floating,
    check_parameters,
    is_like,
    numpy_from_torch,
)


class _Layer:
    """Parameters, their gradients, and the tape of the last forward."""

    params: list[Array]
    """``[Wx, Wh, b]``, held by reference: an in-place update is seen by the next forward."""
    grads: list[Array]
    """Their gradients, in the same order and shapes: the same arrays for the layer's life,
    overwritten by each backward."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        self.params = list(check_parameters(Wx, Wh, b))
        # In C order whatever the parameter's, because the kernel's products write straight into them.
        self.grads = [np.zeros(param.shape, param.dtype) for param in self.params]
        self._grad_buffers = tuple(self.grads)
        self._tape: Tape | None = None

    def _weights(self) -> tuple[Array, Array, Array]:
        """The parameters, checked anew because the list is the caller's to change."""
        if len(self.params) != 3:
            raise ValueError(f"params: expected [Wx, Wh, b], got {len(self.params)} of them")
        Wx, Wh, b = self.params
        if all(map(is_like, self.params, self._grad_buffers)):
            return Wx, Wh, b
        check_parameters(Wx, Wh, b)
        for name, param, grad in zip(("Wx", "Wh", "b"), self.params, self._grad_buffers, strict=True):
            if param.shape != grad.shape or param.dtype != grad.dtype:
                raise ValueError(
                    f"{name}: expected shape {list(grad.shape)} and dtype {grad.dtype} as when the "
                    f"layer was made, got {list(param.shape)} and {param.dtype}; make a new layer"
                )
        return Wx, Wh, b

    def _last_tape(self) -> Tape:
        if self._tape is None:
            raise RuntimeError("backward: there is no forward to go back through; call forward first")
        return self._tape

    def _backward(self, tape: Tape, dhs: Array) -> tuple[Array, Array]:
        if len(self.grads) != 3 or any(
            a is not b for a, b in zip(self.grads, self._grad_buffers, strict=True)
        ):
            raise ValueError(
                "grads: expected the arrays that the layer was made with, got others; "
                "write into them, as in layer.grads[0][...] = value"
            )
        dWx, dWh, db = self._grad_buffers
        return _kernel.backward(tape, dhs, dWx, dWh, db.reshape(-1))


class RNN(_Layer):
    """One time step: h_t = tanh(h_{t-1} Wh + x_t Wx + b), as in ``torch.nn.RNNCell``.

    In torch's names ``Wx = weight_ih.T``, ``Wh = weight_hh.T`` and ``b = bias_ih + bias_hh``.

    Args:
        Wx: [D, H], float32 or float64.
        Wh: [H, H], of the same dtype.
        b: [H] or [1, H], of the same dtype.

    Attributes:
        params: ``[Wx, Wh, b]``, held by reference.
        grads: their gradients, the same arrays for the layer's life, overwritten by ``backward``.

    Raises:
        TypeError: a parameter is no ``numpy.ndarray``.
        ValueError: shapes do not fit, or dtypes differ or are neither float32 nor float64.
    """

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Return ``h_next`` [B, H] from ``x`` [B, D] and ``h_prev`` [B, H].

        Raises:
            TypeError: an argument is no ``numpy.ndarray``.
            ValueError: a shape does not fit, or a dtype is not the parameters'.
        """
        Wx, Wh, b = self._weights()
        D, H = Wx.shape
        x = check_array("x", x, "B D", {"D": D})
        h_prev = check_array("h_prev", h_prev, "B H", {"B": len(x), "H": H})
        check_dtype("x", x, Wx.dtype)
        check_dtype("h_prev", h_prev, Wx.dtype)
        self._tape = _kernel.forward(np.array(x, order="C"), (len(x),), h_prev, Wx, Wh, b)
        return self._tape.states.copy()

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Return ``dx`` [B, D] and ``dh_prev`` [B, H] from ``dh_next`` [B, H]; fill ``grads``.

        It belongs to the last ``forward``, with the weights as they were then.

        Raises:
            RuntimeError: there was no ``forward``.
            TypeError: ``dh_next`` is no ``numpy.ndarray``.
            ValueError: its shape or dtype is not that of ``h_next``.
        """
        tape = self._last_tape()
        B, H = tape.states.shape
        dh_next = check_array("dh_next", dh_next, "B H", {"B": B, "H": H})
        check_dtype("dh_next", dh_next, tape.h.dtype)
        return self._backward(tape, dh_next[None])


class TimeRNN(_Layer):
    """An RNN over a sequence, as ``torch.nn.RNN(D, H, batch_first=True)``.

    h_t = tanh(h_{t-1} Wh + x_t Wx + b) for t = 1 .. T. In torch's names ``Wx = weight_ih_l0.T``,
    ``Wh = weight_hh_l0.T`` and ``b = bias_ih_l0 + bias_hh_l0``; ``from_torch`` converts.

    Args:
        Wx: [D, H], float32 or float64.
        Wh: [H, H], of the same dtype.
        b: [H] or [1, H], of the same dtype.
        stateful: keep the state from one ``forward`` to the next. Gradients stop at the border of
            a call (truncated BPTT). If False, every ``forward`` starts from zeros.

    Attributes:
        params: ``[Wx, Wh, b]``, held by reference.
        grads: their gradients, the same arrays for the layer's life, overwritten by ``backward``.
        stateful: as given.

    Raises:
        TypeError: a parameter is no ``numpy.ndarray``, or ``stateful`` is no bool.
        ValueError: shapes do not fit, or dtypes differ or are neither float32 nor float64.
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        if not isinstance(stateful, bool):
            raise TypeError(f"stateful: expected True or False, got {stateful!r}")
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self._h: Array | None = None
        self._dh: Array | None = None

    @classmethod
    def from_torch(cls, state_dict: Mapping[str, Any], stateful: bool = False) -> Self:
        """Make the layer from the state dict of a one-layer, one-directional ``torch.nn.RNN``.

        Args:
            state_dict: ``weight_ih_l0`` [H, D], ``weight_hh_l0`` [H, H], ``bias_ih_l0`` [H] and
                ``bias_hh_l0`` [H], as NumPy arrays or torch tensors; they are copied.
            stateful: as for the class.

        Raises:
            TypeError: ``state_dict`` is no mapping, or an entry is neither array nor tensor.
            ValueError: entries are missing, unexpected, or do not fit in shape or dtype.
        """
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        entries = numpy_from_torch(state_dict, names)
        H = np.shape(entries["weight_ih_l0"])[0] if np.ndim(entries["weight_ih_l0"]) else 0
        for name, axes in zip(names, ("H D", "H H", "H", "H"), strict=True):
            check_array(name, entries[name], axes, {"H": H} if H else {})
            check_floating(name, entries[name])
            check_dtype(name, entries[name], entries["weight_ih_l0"].dtype)
        weight_ih, weight_hh, bias_ih, bias_hh = entries.values()
        return cls(
            np.array(weight_ih.T, order="C"),
            np.array(weight_hh.T, order="C"),
            bias_ih + bias_hh,
            stateful=stateful,
        )

    @property
    def h(self) -> Array | None:
        """A copy of the state [B, H]: the last step's, or what ``set_state`` gave; else None."""
        return None if self._h is None else self._h.copy()

    @property
    def dh(self) -> Array | None:
        """A copy of the gradient [B, H] of the initial state of the last ``backward``; else None."""
        return None if self._dh is None else self._dh.copy()

    def set_state(self, h: Array | None) -> None:
        """Set ``h`` [B, H] (None: zeros) as the initial state of the next ``forward``; it is copied.

        A layer that is not stateful starts from zeros all the same.

        Raises:
            TypeError: ``h`` is no ``numpy.ndarray``.
            ValueError: its width is not H, or its dtype not the parameters'.
        """
        if h is not None:
            Wx = self._weights()[0]
            h = check_array("h", h, "B H", {"H": Wx.shape[1]})
            check_dtype("h", h, Wx.dtype)
            h = np.array(h)
        self._h = h

    def reset_state(self) -> None:
        """Forget the state: the next ``forward`` starts from zeros."""
        self._h = None

    def forward(self, xs: Array) -> Array:
        """Return the states ``hs`` [B, T, H] of all steps of ``xs`` [B, T, D].

        Raises:
            TypeError: ``xs`` is no ``numpy.ndarray``.
            ValueError: its shape does not fit, T is 0, its dtype is not the parameters', or the
                kept state is of another batch size.
        """
        Wx, Wh, b = self._weights()
        xs = check_array("xs", xs, "B T D", {"D": Wx.shape[0]})
        check_dtype("xs", xs, Wx.dtype)
        B, T, D = xs.shape
        if T == 0:
            raise ValueError(f"xs: expected at least one time step, got shape {list(xs.shape)}")
        h_0 = self._h if self.stateful else None
        if h_0 is not None and len(h_0) != B:
            raise ValueError(
                f"xs: expected batch size {len(h_0)}, that of the layer's state, got {B}; "
                "call reset_state() or set_state() before another batch size"
            )
        x = np.array(xs.transpose(1, 0, 2), order="C").reshape(T * B, D)
        self._tape = _kernel.forward(x, (B,) * T, h_0, Wx, Wh, b)
        hs = self._tape.states.reshape(T, B, len(Wh))
        self._h = hs[-1]
        return hs.transpose(1, 0, 2).copy()

    def backward(self, dhs: Array) -> Array:
        """Return ``dxs`` [B, T, D] from ``dhs`` [B, T, H], the gradient of ``hs``; fill ``grads``
        and ``dh``.

        It belongs to the last ``forward``, with the weights as they were then.

        Raises:
            RuntimeError: there was no ``forward``.
            TypeError: ``dhs`` is no ``numpy.ndarray``.
            ValueError: its shape or dtype is not that of ``hs``.
        """
        tape = self._last_tape()
        T, B, (D, H) = len(tape.sizes), tape.sizes[0], tape.Wx.shape
        dhs = check_array("dhs", dhs, "B T H", {"B": B, "T": T, "H": H})
        check_dtype("dhs", dhs, tape.h.dtype)
        dx, self._dh = self._backward(tape, dhs.transpose(1, 0, 2))
        return dx.reshape(T, B, D).transpose(1, 0, 2).copy()
