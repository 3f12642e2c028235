"""What the two layers with a list of parameters share."""

from typing import Generic, TypeVar

from rnn_np._gradients import NOTHING_KEPT, GradientBuffers
from rnn_np._kernel import Array
from rnn_np._validation import check_arrays, check_parameters, is_like

TapeT = TypeVar("TapeT")


class Layer(Generic[TapeT]):
    """Parameters, their gradients, and the tape of the last forward."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        self.params = list(check_parameters(Wx, Wh, b))
        shapes = {"Wx": Wx.shape, "Wh": Wh.shape, "b": b.shape}
        self._grad_buffers = GradientBuffers(shapes, Wx.dtype)
        self.grads = list(self._grad_buffers.arrays)
        self._tape: TapeT | None = None
        self._nothing_kept = False

    # Each call checks the arrays in the lists, which may be changed in place.

    @property
    def params(self) -> list[Array]:
        """``[Wx, Wh, b]``, held by reference: the next forward sees an update in place."""
        return self._params

    @params.setter
    def params(self, value: list[Array]) -> None:
        check_arrays("params", value, "list")
        self._params = value

    @property
    def grads(self) -> list[Array]:
        """Their gradients, in the same order and shapes. Every backward overwrites these same arrays."""
        return self._grads

    @grads.setter
    def grads(self, value: list[Array]) -> None:
        check_arrays("grads", value, "list")
        self._grads = value

    def _weights(self) -> tuple[Array, Array, Array]:
        """Return the parameters, checked in every call, because the list is the caller's to change."""
        if len(self.params) != 3:
            raise ValueError(f"params: expected [Wx, Wh, b], got {len(self.params)} of them")
        Wx, Wh, b = self.params
        if all(map(is_like, self.params, self._grad_buffers.arrays)):
            return Wx, Wh, b
        check_parameters(Wx, Wh, b)
        for param, (name, grad) in zip(self.params, self._grad_buffers.by_name.items(), strict=True):
            if param.shape != grad.shape or param.dtype != grad.dtype:
                raise ValueError(
                    f"{name}: expected shape {list(grad.shape)} and dtype {grad.dtype} as when the "
                    f"layer was made, got {list(param.shape)} and {param.dtype}; make a new layer"
                )
        return Wx, Wh, b

    def _last_tape(self) -> TapeT:
        if self._tape is None:
            if self._nothing_kept:
                raise RuntimeError(NOTHING_KEPT)
            raise RuntimeError("backward: there is no forward to go back through; call forward first")
        return self._tape

    def _keep(self, tape: TapeT | None) -> None:
        """Keep the tape of ``forward``, or None after ``forward_only``."""
        self._tape, self._nothing_kept = tape, tape is None

    def _check_upstream(self, name: str, upstream: Array) -> None:
        self._grad_buffers.check_list(self.grads)
        self._grad_buffers.check_apart(name, upstream)

    def _sizes(self) -> str:
        """D, H and dtype, as ``repr`` shows them."""
        dWx = self._grad_buffers.by_name["Wx"]
        D, H = dWx.shape
        return f"D={D}, H={H}, dtype={dWx.dtype}"
