"""What the layers of ``rnn_np.nn`` share: named parameters, their gradients, and checkpoints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from rnn_np import _kernel
from rnn_np._kernel import Array, Tape
from rnn_np._validation import OPTION_RULES, check_like, check_options, check_state_dict


def kernel_weights(weight_ih: Array, weight_hh: Array, *biases: Array) -> tuple[Array, Array, Array | None]:
    """The kernel's ``Wx``, ``Wh`` and ``b`` of torch's parameters, ``biases`` both or none."""
    with np.errstate(all="ignore"):
        b = biases[0] + biases[1] if biases else None
    return weight_ih.T, weight_hh.T, b


def kernel_backward(
    tape: Tape,
    dhs: Sequence[Array] | Array,
    dh_n: Array | None,
    weight_ih: Array,
    weight_hh: Array,
    *biases: Array,
) -> tuple[Array, Array]:
    """The kernel's backward into the gradients of torch's parameters, ``biases`` both or none."""
    db = biases[0] if biases else None
    results = _kernel.backward(tape, dhs, weight_ih.T, weight_hh.T, db, dh_n)
    if biases:
        biases[1][...] = biases[0]
    return results


class RecurrentLayer:
    """Parameters under torch's names, their gradients, and the mode."""

    input_size: int
    hidden_size: int
    bias: bool
    nonlinearity: str
    dtype: np.dtype[Any]
    rng: "np.random.Generator"  # quoted, so that numpy.random is imported only when it is used
    grads: dict[str, Array]
    """The gradients by name: the same arrays for the layer's life, overwritten by each backward."""
    training: bool
    """Whether dropout is applied; ``train`` and ``eval`` set it."""

    _defaults: ClassVar[dict[str, Any]]
    """The options that ``repr`` shows if they are others."""

    if TYPE_CHECKING:
        # A parameter, held by reference: an in-place update is seen by the next forward.
        def __getattr__(self, name: str) -> Array: ...

    def __init__(self, *, rng: "np.random.Generator | None", **options: Any) -> None:
        options |= {"rng": np.random.default_rng() if rng is None else rng, "training": True}
        check_options(**options)
        self.__dict__.update(options, dtype=np.dtype(options["dtype"]))

    def __setattr__(self, name: str, value: Any) -> None:
        """An option keeps its rule and, if the parameters or the passes are made for it, its value."""
        if name in OPTION_RULES and name in self.__dict__:
            check_options(**{name: value})
            if name not in ("batch_first", "dropout", "training", "rng"):
                if value != getattr(self, name):
                    raise AttributeError(
                        f"{name}: expected {getattr(self, name)!r}, as when the layer was made, "
                        f"got {value!r}; make a new layer"
                    )
                return  # What is equal may be of another kind, such as "float32".
        super().__setattr__(name, value)

    def _make_parameters(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Draw them from U(-1 / sqrt(H), 1 / sqrt(H)), as torch does."""
        bound = 1 / np.sqrt(self.hidden_size)
        for name, shape in shapes.items():
            setattr(self, name, self.rng.uniform(-bound, bound, shape).astype(self.dtype))
        self.grads = {name: np.zeros(shape, self.dtype) for name, shape in shapes.items()}
        self._grad_buffers = self.grads.copy()

    def _parameters(self) -> dict[str, Array]:
        """The parameters, checked anew because the attributes are the caller's to change."""
        params = {name: getattr(self, name) for name in self._grad_buffers}
        for name, grad in self._grad_buffers.items():
            check_like(name, params[name], grad)
        return params

    def _gradients(self) -> list[Array]:
        """Where a backward pass writes: the arrays that ``grads`` was made with."""
        if self.grads.keys() != self._grad_buffers.keys() or any(
            self.grads[name] is not grad for name, grad in self._grad_buffers.items()
        ):
            raise ValueError(
                "grads: expected the arrays that the layer was made with, got others; "
                "write into them, as in layer.grads[name][...] = value"
            )
        return list(self._grad_buffers.values())

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """Each parameter's name and the parameter itself, in torch's order."""
        return iter(self._parameters().items())

    def state_dict(self, prefix: str = "") -> dict[str, Array]:
        """Copies of the parameters by torch's names, each after ``prefix``.

        Raises:
            TypeError: ``prefix`` is no str.
        """
        check_options(prefix=prefix)
        return {prefix + name: np.array(param, order="C") for name, param in self.named_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, Any], prefix: str = "") -> None:
        """Write the entries of a checkpoint, NumPy arrays or torch tensors, into the parameters.

        Args:
            state_dict: torch's names, shapes and layout, such as ``weight_ih_l0`` [H, D]. Entries
                whose names do not begin with ``prefix`` are others' and left alone.
            prefix: as in ``rnn.weight_ih_l0``, where the layer is a part of a larger module.

        Raises:
            TypeError: ``state_dict`` is no mapping or ``prefix`` no str.
            ValueError: it names all entries that are missing, unexpected, misshapen or of another
                dtype than the layer's; nothing is changed.
        """
        check_options(prefix=prefix)
        entries = check_state_dict(state_dict, prefix, self._grad_buffers)
        params = self._parameters()
        if fixed := [name for name, param in params.items() if not param.flags.writeable]:
            raise ValueError(
                f"{', '.join(fixed)}: expected a parameter that can be written, got a read-only one"
            )
        for name, param in params.items():
            param[...] = entries[name]

    def train(self, mode: bool = True) -> Self:
        """Apply dropout from now on, or not; returns the layer."""
        check_options(mode=mode)
        self.training = mode
        return self

    def eval(self) -> Self:
        """Apply no dropout from now on; returns the layer."""
        return self.train(False)

    def __repr__(self) -> str:
        shown = [str(self.input_size), str(self.hidden_size)]
        for name, default in self._defaults.items():
            if (value := getattr(self, name)) != default:
                shown.append(f"{name}={value if name == 'dtype' else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"
