"""What the layers of ``rnn_np.nn`` share: named parameters, their gradients, and state dicts."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from rnn_np import _kernel
from rnn_np._gradients import GradientBuffers
from rnn_np._kernel import Array, Tape
from rnn_np._validation import (
    OPTION_RULES,
    check_arguments,
    check_arrays,
    check_is_array,
    check_like,
    check_state_dict,
    shown,
)

CHANGEABLE = ("batch_first", "dropout", "training", "rng")
"""The options that may be set after the layer is made. Parameters or passes depend on the others."""


def kernel_weights(weight_ih: Array, weight_hh: Array, *biases: Array) -> tuple[Array, Array, Array | None]:
    """Return the kernel's ``Wx``, ``Wh`` and ``b`` of torch's parameters; ``biases`` are both or none."""
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
    """Run the kernel's backward, and return its ``dx`` and ``dh_0``.

    The last arguments are the gradients of torch's parameters, to be filled; ``biases`` are both or none.
    """
    db = biases[0] if biases else None
    # The transposes are views, so the kernel writes through them into torch's layout. The forward adds
    # the two biases, so they have the same gradient.
    dx, dh_0 = _kernel.backward(tape, dhs, weight_ih.T, weight_hh.T, db, dh_n)
    if biases:
        biases[1][...] = biases[0]
    return dx, dh_0


def option_defaults(init: Callable[..., None]) -> dict[str, Any]:
    """Return the options of a constructor that have a default, and the default; ``rng`` is left out."""
    parameters = inspect.signature(init).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name != "rng"}


class RecurrentLayer:
    """Parameters under torch's names, their gradients, and the mode. It is no ``torch.nn.Module``."""

    input_size: int
    hidden_size: int
    bias: bool
    nonlinearity: str
    dtype: np.dtype[Any]
    rng: "np.random.Generator"  # quoted, so that numpy.random is imported only when it is used
    grads: dict[str, Array]
    """The gradients by name. Every backward overwrites these same arrays."""
    training: bool
    """Whether dropout is applied; ``train`` and ``eval`` set it."""

    _defaults: ClassVar[dict[str, Any]]
    """The options that ``repr`` leaves out if they have these values."""

    def __init__(self, *, rng: "np.random.Generator | None", **options: Any) -> None:
        options |= {"rng": np.random.default_rng() if rng is None else rng, "training": True}
        check_arguments(**options)
        # Past __setattr__, which would compare each option with the one before.
        self.__dict__.update(options, dtype=np.dtype(options["dtype"]))

    def __setattr__(self, name: str, value: Any) -> None:
        """Check an option as the constructor does, and refuse to change one that the layer was made for."""
        if name in OPTION_RULES and name in self.__dict__:
            check_arguments(**{name: value})
            if name not in CHANGEABLE:
                if value != getattr(self, name):
                    raise AttributeError(
                        f"{name}: expected {getattr(self, name)!r}, as when the layer was made, "
                        f"got {shown(value)}; make a new layer"
                    )
                return  # An equal value may be of another type, such as "float32": keep the one there.
        if name == "grads":
            check_arrays(name, value, "dict")
        elif "_grad_buffers" in self.__dict__ and name in self._grad_buffers.by_name:
            check_is_array(name, value)
        super().__setattr__(name, value)

    def _make_parameters(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Draw the parameters from U(-1 / sqrt(H), 1 / sqrt(H)), as torch does; set ``grads`` to zeros."""
        try:
            bound = 1 / np.sqrt(float(self.hidden_size))
            params = {
                name: self.rng.uniform(-bound, bound, shape).astype(self.dtype)
                for name, shape in shapes.items()
            }
            self._grad_buffers = GradientBuffers(shapes, self.dtype)
        except (ValueError, OverflowError, MemoryError) as error:
            raise ValueError(
                "input_size, hidden_size: expected sizes whose weights fit into memory, "
                f"got {shown(self.input_size)} and {shown(self.hidden_size)}"
            ) from error
        for name, param in params.items():
            setattr(self, name, param)
        self.grads = self._grad_buffers.by_name.copy()

    def _parameters(self) -> dict[str, Array]:
        """Return the parameters, checked in every call, because the attributes are the caller's to change."""
        params = {}
        for name, grad in self._grad_buffers.by_name.items():
            params[name] = getattr(self, name)
            check_like(name, params[name], grad)
        return params

    def _gradients(self, **upstream: Array | None) -> tuple[Array, ...]:
        """Return the arrays that a backward pass writes into, if ``grads`` still holds them.

        Raises ValueError also where an ``upstream`` gradient is memory of theirs.
        """
        self._grad_buffers.check_dict(self.grads)
        for name, array in upstream.items():
            if array is not None:
                self._grad_buffers.check_apart(name, array)
        return self._grad_buffers.arrays

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """Iterate over the names of the parameters and the parameters themselves, in torch's order."""
        return iter(self._parameters().items())

    def state_dict(self, prefix: str = "") -> dict[str, Array]:
        """Return copies of the parameters under torch's names, with ``prefix`` before each name.

        Raises:
            TypeError: ``prefix`` is not a str.
        """
        check_arguments(prefix=prefix)
        return {prefix + name: np.array(param, order="C") for name, param in self.named_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, Any], prefix: str = "") -> None:
        """Write the entries of a state dict, NumPy arrays or torch tensors, into the parameters.

        Args:
            state_dict: torch's names, shapes and layout, such as ``weight_ih_l0`` [H, D]. Entries whose
                names do not begin with ``prefix`` are ignored: they belong to other layers.
            prefix: such as "rnn.", where the state dict is of a larger module and names
                ``rnn.weight_ih_l0``.

        Raises:
            TypeError: ``state_dict`` is not a mapping, or ``prefix`` is not a str.
            ValueError: entries are missing or unexpected, or have another shape or dtype than the
                layer's. The message names all of them; nothing is changed.
        """
        check_arguments(prefix=prefix)
        entries = check_state_dict(state_dict, prefix, self._grad_buffers.by_name)
        params = self._parameters()
        if readonly := [name for name, param in params.items() if not param.flags.writeable]:
            raise ValueError(
                f"{', '.join(readonly)}: expected a parameter that can be written, got a read-only one"
            )
        for name, param in params.items():
            param[...] = entries[name]

    def train(self, mode: bool = True) -> Self:
        """Apply dropout in the next calls, or not, and return the layer.

        Raises:
            TypeError: ``mode`` is not a bool.
        """
        check_arguments(mode=mode)
        self.training = mode
        return self

    def eval(self) -> Self:
        """Apply no dropout in the next calls, and return the layer."""
        return self.train(False)

    def __repr__(self) -> str:
        shown = [str(self.input_size), str(self.hidden_size)]
        for name, default in self._defaults.items():
            if (value := getattr(self, name)) != default:
                shown.append(f"{name}={value if name == 'dtype' else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"
