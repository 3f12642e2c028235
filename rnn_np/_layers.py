"""The two layers with a list of parameters: ``RNN``, one time step, and ``TimeRNN``, a sequence.

Their interface is that of the notebook that this project started from: the class names, ``params`` and
``grads``, ``forward`` and ``backward``, ``set_state`` and ``reset_state``, and the names ``xs``, ``hs``,
``dhs``, ``dxs``, ``h_prev``, ``h_next``, ``dh_next``, ``dh_prev``, ``h`` and ``dh``. The layers with
torch's interface are in ``rnn_np.nn``; there, ``RNN`` is a sequence and ``RNNCell`` one time step.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array, Tape
from rnn_np._layer import Layer
from rnn_np._validation import (
    FROM_PARAMETERS,
    check_array,
    check_dtype,
    check_floating,
    check_input,
    numpy_from_torch,
    shown,
)
from rnn_np._workspace import Workspace, is_small


class RNN(Layer[Tape]):
    """One time step: h_t = tanh(h_{t-1} Wh + x_t Wx + b), as in ``torch.nn.RNNCell``.

    In torch's names ``Wx = weight_ih.T``, ``Wh = weight_hh.T`` and ``b = bias_ih + bias_hh``. The
    interface is that of the notebook that this project started from; ``rnn_np.nn.RNNCell`` is the same
    step with torch's interface. (``rnn_np.nn.RNN`` and ``torch.nn.RNN`` are whole sequences.)

    A step takes O(B H (D + H)) time. ``forward`` keeps copies of its inputs, its result and the weights
    for ``backward``. Use a layer in one thread at a time; several layers can run in several threads.

    Args:
        Wx: [D, H], float32 or float64.
        Wh: [H, H], of the same dtype.
        b: [H] or [1, H], of the same dtype.

    Attributes:
        params: ``[Wx, Wh, b]``, held by reference: the next ``forward`` sees an update in place.
        grads: their gradients in the same order, zeros at first. Every ``backward`` overwrites these
            same arrays.

    Raises:
        TypeError: a parameter is not a ``numpy.ndarray``.
        ValueError: the shapes do not fit, or the dtypes differ or are neither float32 nor float64.

    Example:
        >>> import numpy as np
        >>> from rnn_np import RNN
        >>> rnn = RNN(np.zeros((3, 4)), np.zeros((4, 4)), np.zeros(4))
        >>> rnn
        RNN(D=3, H=4, dtype=float64)
        >>> h_next = rnn.forward(np.ones((2, 3)), np.zeros((2, 4)))
        >>> h_next.shape
        (2, 4)
        >>> dx, dh_prev = rnn.backward(np.ones((2, 4)))
        >>> dx.shape, dh_prev.shape
        ((2, 3), (2, 4))
        >>> rnn.grads[2]  # db: the sum over the batch, as tanh has slope 1 at 0
        array([2., 2., 2., 2.])
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sizes()})"

    def __call__(self, x: Array, h_prev: Array) -> Array:
        """Return ``forward(x, h_prev)``."""
        return self.forward(x, h_prev)

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Compute one time step.

        Args:
            x: [B, D], the input.
            h_prev: [B, H], the state before the step.

        Returns:
            ``h_next`` [B, H], the state after the step.

        Raises:
            TypeError: an argument is not a ``numpy.ndarray``.
            ValueError: a shape does not fit, or a dtype is not that of the parameters.
        """
        x, h_prev, Wx, Wh, b = self._checked(x, h_prev)
        x, Wx, Wh = (np.array(array, order="C") for array in (x, Wx, Wh))
        tape = _kernel.step(x, h_prev, Wx, Wh, b)
        self._keep(tape)
        return tape.states.copy()

    def forward_only(self, x: Array, h_prev: Array) -> Array:
        """Return what ``forward`` returns, and keep nothing; a ``backward`` after it is a RuntimeError."""
        x, h_prev, Wx, Wh, b = self._checked(x, h_prev)
        x, Wx, Wh = (np.asarray(array, order="C") for array in (x, Wx, Wh))
        self._keep(None)
        return _kernel.step(x, h_prev, Wx, Wh, b).states.copy()

    def _checked(self, x: Array, h_prev: Array) -> tuple[Array, Array, Array, Array, Array]:
        Wx, Wh, b = self._weights()
        D, H = Wx.shape
        x = check_array("x", x, "B D", {"D": D})
        h_prev = check_array("h_prev", h_prev, "B H", {"B": len(x), "H": H})
        check_dtype("x", x, Wx.dtype, FROM_PARAMETERS)
        check_dtype("h_prev", h_prev, Wx.dtype)
        return x, h_prev, Wx, Wh, b

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Backpropagate through the last ``forward``, with the weights as they were then; fill ``grads``.

        Args:
            dh_next: [B, H], the gradient of the loss with respect to ``h_next``.

        Returns:
            ``dx`` [B, D] and ``dh_prev`` [B, H], its gradients with respect to the inputs.

        Raises:
            RuntimeError: there was no ``forward``, or the last call was ``forward_only``.
            TypeError: ``dh_next`` is not a ``numpy.ndarray``.
            ValueError: its shape or dtype is not that of ``h_next``, it is one of ``grads``, or these have
                been replaced.
        """
        tape = self._last_tape()
        B, H = tape.states.shape
        dh_next = check_input("dh_next", dh_next, "B H", {"B": B, "H": H}, tape.h.dtype)
        self._check_upstream("dh_next", dh_next)
        dWx, dWh, db = self._grad_buffers.arrays
        return _kernel.step_backward(tape, dh_next, dWx, dWh, db.reshape(-1))


class TimeRNN(Layer[Tape | Workspace]):
    """An RNN over a sequence, as ``torch.nn.RNN(D, H, batch_first=True)``.

    h_t = tanh(h_{t-1} Wh + x_t Wx + b) for t = 1 .. T. In torch's names ``Wx = weight_ih_l0.T``,
    ``Wh = weight_hh_l0.T`` and ``b = bias_ih_l0 + bias_hh_l0``; ``from_torch`` converts. The interface is
    that of the notebook that this project started from; ``rnn_np.nn.RNN`` has torch's.

    ``forward`` and ``backward`` take O(B T H (D + H)) time each. ``forward`` keeps copies of its input
    [B, T, D], of all states [B, T + 1, H] and of the weights for ``backward``, until the next ``forward``.
    Of a small problem, up to 32,768 numbers, all memory is kept for the next call, half a megabyte at most.
    The properties ``h`` and ``dh`` [B, H] give copies of the state and of its gradient. Use a layer in one
    thread at a time; several layers can run in several threads.

    Args:
        Wx: [D, H], float32 or float64.
        Wh: [H, H], of the same dtype.
        b: [H] or [1, H], of the same dtype.
        stateful: start each ``forward`` from the state after the last one. Gradients stop where a call
            starts (truncated BPTT). If False, every ``forward`` starts from zeros.

    Attributes:
        params: ``[Wx, Wh, b]``, held by reference: the next ``forward`` sees an update in place.
        grads: their gradients in the same order, zeros at first. Every ``backward`` overwrites these
            same arrays.
        stateful: as given.

    Raises:
        TypeError: a parameter is not a ``numpy.ndarray``, or ``stateful`` is not a bool.
        ValueError: the shapes do not fit, or the dtypes differ or are neither float32 nor float64.

    Example:
        >>> import numpy as np
        >>> from rnn_np import TimeRNN
        >>> rnn = TimeRNN(np.zeros((3, 4)), np.zeros((4, 4)), np.zeros(4), stateful=True)
        >>> rnn
        TimeRNN(D=3, H=4, dtype=float64, stateful=True)
        >>> hs = rnn.forward(np.ones((2, 5, 3)))
        >>> hs.shape
        (2, 5, 4)
        >>> dxs = rnn.backward(np.ones_like(hs))
        >>> dxs.shape, rnn.dh.shape
        ((2, 5, 3), (2, 4))
        >>> rnn.grads[2]  # db: the sum over batch and time, as tanh has slope 1 at 0
        array([10., 10., 10., 10.])
        >>> for param, grad in zip(rnn.params, rnn.grads):
        ...     param -= 0.1 * grad  # in place: the layer sees it
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        self.stateful = stateful
        super().__init__(Wx, Wh, b)
        self._h: Array | None = None
        self._dh: Array | None = None
        self._workspace: Workspace | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The next forward of this layer writes into its workspace, so a copy gets a tape of its own.
        tape = self._tape
        own = tape.copy() if isinstance(tape, Workspace) else tape
        return self.__dict__ | {"_workspace": None, "_tape": own}

    @property
    def stateful(self) -> bool:
        """Whether a ``forward`` starts from the state after the last one."""
        return self._stateful

    @stateful.setter
    def stateful(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"stateful: expected True or False, got {shown(value)}")
        self._stateful = value

    @classmethod
    def from_torch(cls, state_dict: Mapping[str, Any], stateful: bool = False) -> Self:
        """Make the layer from the state dict of a ``torch.nn.RNN`` of one layer and one direction.

        Args:
            state_dict: ``weight_ih_l0`` [H, D], ``weight_hh_l0`` [H, H], ``bias_ih_l0`` [H] and
                ``bias_hh_l0`` [H], as NumPy arrays or torch tensors; they are copied.
            stateful: as for the class.

        Returns:
            The layer. Its ``params`` are new arrays.

        Raises:
            TypeError: ``state_dict`` is not a mapping, or an entry is neither an array nor a tensor.
            ValueError: entries are missing or unexpected, or do not fit in shape or dtype.

        Example:
            >>> import numpy as np
            >>> from rnn_np import TimeRNN
            >>> names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
            >>> shapes = (4, 3), (4, 4), (4,), (4,)
            >>> state_dict = {name: np.ones(shape) for name, shape in zip(names, shapes)}
            >>> Wx, Wh, b = TimeRNN.from_torch(state_dict).params
            >>> Wx.shape, Wh.shape, b
            ((3, 4), (4, 4), array([2., 2., 2., 2.]))
        """
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        entries = numpy_from_torch(state_dict, names)
        first = entries["weight_ih_l0"]
        H = len(first) if isinstance(first, np.ndarray) and first.ndim else 0
        for name, axes in zip(names, ("H D", "H H", "H", "H"), strict=True):
            check_array(name, entries[name], axes, {"H": H} if H else {})
            check_floating(name, entries[name])
            check_dtype(name, entries[name], entries["weight_ih_l0"].dtype)
        weight_ih, weight_hh, bias_ih, bias_hh = entries.values()
        with np.errstate(all="ignore"):
            b = bias_ih + bias_hh
        return cls(np.array(weight_ih.T, order="C"), np.array(weight_hh.T, order="C"), b, stateful=stateful)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._sizes()}, stateful={self.stateful})"

    def __call__(self, xs: Array) -> Array:
        """Return ``forward(xs)``."""
        return self.forward(xs)

    @property
    def h(self) -> Array | None:
        """A copy of the state [B, H] of the last step, or of what ``set_state`` was given.

        It is None before the first ``forward`` and after ``reset_state``.
        """
        return None if self._h is None else self._h.copy()

    @property
    def dh(self) -> Array | None:
        """A copy of the gradient [B, H] with respect to the state that the last ``forward`` started from.

        ``backward`` computes it; it is None before the first ``backward``.
        """
        return None if self._dh is None else self._dh.copy()

    def set_state(self, h: Array | None) -> None:
        """Set the state that the next ``forward`` of a stateful layer starts from.

        A layer that is not stateful keeps the state too, readable as ``h``, but starts from zeros all the
        same. That is no error, because it is so in the notebook whose interface this is: its code may
        call ``set_state`` whatever ``stateful`` is. To use the state, make the layer with
        ``stateful=True`` or set ``layer.stateful = True``.

        Args:
            h: [B, H], of the parameters' dtype; it is copied. None: zeros.

        Raises:
            TypeError: ``h`` is not a ``numpy.ndarray``.
            ValueError: its width is not H, or its dtype is not that of the parameters.
        """
        if h is not None:
            Wx = self._weights()[0]
            h = check_input("h", h, "B H", {"H": Wx.shape[1]}, Wx.dtype, FROM_PARAMETERS)
            h = np.array(h)
        self._h = h

    def reset_state(self) -> None:
        """Forget the state: the next ``forward`` starts from zeros."""
        self._h = None

    def forward(self, xs: Array) -> Array:
        """Compute all time steps of a batch of sequences.

        Args:
            xs: [B, T, D], the inputs, T at least 1.

        Returns:
            ``hs`` [B, T, H], the states after each step.

        Raises:
            TypeError: ``xs`` is not a ``numpy.ndarray``.
            ValueError: its shape does not fit, T is 0, its dtype is not that of the parameters, or the
                layer is stateful and its state has another batch size.
        """
        xs, h_0, Wx, Wh, b = self._checked(xs)
        B, T, D = xs.shape
        if is_small(T, B, *Wx.shape):
            workspace = self._workspace_for(T, B)
            hs = workspace.forward(xs, h_0, Wx, Wh, b)
            self._keep(workspace)
            self._h = hs[:, -1].copy()
            return hs
        rows = np.array(xs.transpose(1, 0, 2), order="C").reshape(T * B, D)
        tape = _kernel.forward(rows, (B,) * T, h_0, Wx, Wh, b)
        self._keep(tape)
        hs = tape.states.reshape(T, B, len(Wh))
        self._h = hs[-1]
        return hs.transpose(1, 0, 2).copy()

    def forward_only(self, xs: Array) -> Array:
        """Return what ``forward`` returns, and keep nothing but the state.

        It takes little more memory than its result, a third to a half of what ``forward`` takes. A
        ``backward`` after it is a RuntimeError.
        """
        xs, h_0, Wx, Wh, b = self._checked(xs)
        B, T, _ = xs.shape
        self._keep(None)
        if is_small(T, B, *Wx.shape):
            hs = self._workspace_for(T, B).forward(xs, h_0, Wx, Wh, b)
        else:
            hs = np.empty((B, T, len(Wh)), xs.dtype)
            _kernel.forward_only(xs.transpose(1, 0, 2), hs.transpose(1, 0, 2), (B,) * T, h_0, Wx, Wh, b)
        self._h = hs[:, -1].copy()
        return hs

    def _workspace_for(self, T: int, B: int) -> Workspace:
        """Return the layer's workspace for these sizes; the tape that it may hold is lost."""
        self._tape = None
        workspace = self._workspace
        if workspace is None or workspace.dz.shape[:2] != (T, B):
            dWx = self._grad_buffers.arrays[0]
            D, H = dWx.shape
            self._workspace = workspace = Workspace.of_sizes(T, B, D, H, dWx.dtype)
        return workspace

    def _checked(self, xs: Array) -> tuple[Array, Array | None, Array, Array, Array]:
        """Return ``xs``, h_0 and the parameters."""
        Wx, Wh, b = self._weights()
        xs = check_input("xs", xs, "B T D", {"D": Wx.shape[0]}, Wx.dtype, FROM_PARAMETERS)
        B, T, _ = xs.shape
        if T == 0:
            raise ValueError(f"xs: expected at least one time step, got shape {list(xs.shape)}")
        h_0 = self._h if self.stateful else None
        if h_0 is not None and len(h_0) != B:
            raise ValueError(
                f"xs: expected batch size {len(h_0)}, that of the layer's state, got {B}; "
                "call reset_state() or set_state() before another batch size"
            )
        return xs, h_0, Wx, Wh, b

    def backward(self, dhs: Array) -> Array:
        """Backpropagate through the last ``forward``, with the weights as they were then.

        Fills ``grads`` and ``dh``.

        Args:
            dhs: [B, T, H], the gradient of the loss with respect to ``hs``.

        Returns:
            ``dxs`` [B, T, D], its gradient with respect to ``xs``.

        Raises:
            RuntimeError: there was no ``forward``, or the last call was ``forward_only``.
            TypeError: ``dhs`` is not a ``numpy.ndarray``.
            ValueError: its shape or dtype is not that of ``hs``, it is one of ``grads``, or these have been
                replaced.
        """
        tape = self._last_tape()
        T, B, (D, H) = len(tape.sizes), tape.sizes[0], tape.Wx.shape
        dhs = check_input("dhs", dhs, "B T H", {"B": B, "T": T, "H": H}, tape.h.dtype)
        self._check_upstream("dhs", dhs)
        dWx, dWh, db = self._grad_buffers.arrays
        if isinstance(tape, Workspace):
            dxs, self._dh = tape.backward(dhs, dWx, dWh, db.reshape(-1))
            return dxs
        dx, self._dh = _kernel.backward(tape, dhs.transpose(1, 0, 2), dWx, dWh, db.reshape(-1))
        return dx.reshape(T, B, D).transpose(1, 0, 2).copy()
