"""What an adapter declares of the code that it calls, beyond one tanh layer in one direction."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from parity_tests.cases.features import declared
from parity_tests.cases.fields import LOSSES, MOST_LAYERS, NONLINEARITIES, REDUCTIONS
from parity_tests.subjects.signatures import origin

MOST_OUTPUTS = 1024
"""Of a head that has a fixed number of them."""
HELD_IN = "parity_declared"
"""The attribute of an adapter that holds its declarations."""
Adapter = TypeVar("Adapter", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Declared:
    """The declarations of one adapter; see ``adapter`` for what they mean."""

    nonlinearity: str = "tanh"
    loss: str = "none"
    reduction: str = "mean"
    many_to_one: bool = False
    indices: bool = False
    num_layers: bool | int = False
    bidirectional: bool = False
    lengths: bool = False
    final_gradient: bool = False
    without: tuple[str, ...] = ()
    outputs: int = 0

    @property
    def is_stack(self) -> bool:
        """Whether the cases are those of ``nn.RNN``."""
        return bool(self.num_layers or self.bidirectional or self.lengths or self.final_gradient)

    @property
    def kind(self) -> str:
        """The layer whose cases are asked."""
        return "nn.RNN" if self.is_stack else "TimeRNN"

    @property
    def implied(self) -> tuple[str, ...]:
        """The features that the cases do not have, and the fields that all have."""
        lacked = ["layouts", "row-bias", "second-call", "state"]
        fields: dict[str, Any] = {
            "nonlinearity": self.nonlinearity,
            "loss": self.loss,
            "reduction": self.reduction,
        }
        fields |= {"many_to_one": self.many_to_one, "indices": self.indices}
        named = [
            declared(name, value) for name, value in fields.items() if value != getattr(Declared(), name)
        ]
        named += [declared("V", self.outputs)] if self.outputs else []
        if self.is_stack:
            lacked += ["dropout", "no-bias", "packed", "unbatched"]
            there = {
                "layers": self.num_layers,
                "bidirectional": self.bidirectional,
                "lengths": self.lengths,
                "final-gradient": self.final_gradient,
                "relu": self.nonlinearity == "relu",
            }
            lacked += [name for name, is_there in there.items() if not is_there]
            named.append(declared("batch_first", True))
            named += [] if isinstance(self.num_layers, bool) else [declared("layers", self.num_layers)]
            named += [declared("bidirectional", True)] if self.bidirectional else []
        return (*lacked, *named)


def adapter(
    *,
    nonlinearity: str = "tanh",
    loss: str | None = None,
    reduction: str = "mean",
    head: bool = False,
    outputs: int | None = None,
    many_to_one: bool = False,
    indices: bool = False,
    num_layers: bool | int = False,
    bidirectional: bool = False,
    lengths: bool = False,
    final_gradient: bool = False,
    without: str | Iterable[str] = (),
) -> Callable[[Adapter], Adapter]:
    """Declare what the code behind an adapter has; the cases then have it too.

    Args:
        nonlinearity: ``"tanh"``, ``"relu"``, ``"sigmoid"`` or ``"identity"``.
        loss: ``"cross_entropy"``, ``"mse"`` or ``"half_mse"`` (half of the squared errors) behind a linear
            layer: the adapter is given ``Wy``, ``by`` and ``targets``, and returns ``loss``, ``logits`` (or
            ``probabilities``), ``dWy`` and ``dby`` beside the rest. The reference is ``torch.nn.Linear`` with
            ``torch.nn.functional.cross_entropy`` or ``mse_loss``.
        reduction: ``"mean"`` as in torch, of all steps and rows, and of all outputs for squared errors;
            ``"sum"``; or ``"batchmean"``, the sum over the batch size.
        head: a linear layer without a loss: the adapter is given ``Wy``, ``by`` and ``dlogits``.
        outputs: how many outputs the head has, if the code has a fixed number; None: any.
        many_to_one: the head reads the last state alone; logits are [B, V].
        indices: the inputs are one-hot, and given as ``indices`` [B, T] too.
        num_layers: a stack of any number of layers, or their number where the code has no other. This and the
            next three ask for the cases of ``torch.nn.RNN``: ``weights`` by torch's names, ``h_0`` and ``h_n``
            [layers * directions, B, H], and gradients by torch's names, such as ``dweight_ih_l0`` [H, D].
        bidirectional: both directions, in every case; ``hs`` is [B, T, 2 * H].
        lengths: sequences of unequal lengths; ``hs`` is 0 after the end of each.
        final_gradient: ``dh_n`` is given, the upstream gradient of ``h_n``; in some cases zeros.
        without: what else the code lacks, the names that ``--without`` takes, so that they need not be typed.

    Returns:
        A decorator that returns the adapter itself.

    Raises:
        TypeError: a flag is no bool, or ``num_layers`` neither that nor a whole number.
        ValueError: a value is not one of those above, or two of them do not fit together.

    Example:
        >>> import numpy as np, parity_tests
        >>> @parity_tests.adapter(nonlinearity="relu")
        ... def answer(problem):
        ...     h, states = problem.h_0, []
        ...     for t in range(problem.xs.shape[1]):
        ...         h = np.maximum(problem.xs[:, t] @ problem.Wx + h @ problem.Wh + problem.b, 0)
        ...         states.append(h)
        ...     return {"hs": np.stack(states, axis=1), "h_n": h}
        >>> gradients = ["dx", "dh_0", "dWx", "dWh", "db"]
        >>> parity_tests.check(answer, without=gradients, case="B2T3D4H5-relu-f64-s0").ok
        True
    """
    flags = {"head": head, "many_to_one": many_to_one, "indices": indices}
    flags |= {"bidirectional": bidirectional, "lengths": lengths, "final_gradient": final_gradient}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name}: expected True or False, got {flag!r}")
    _check_layers(num_layers)
    check_nonlinearity(nonlinearity)
    losses = LOSSES[2:]
    if loss is not None and loss not in losses:
        raise ValueError(f"loss: expected one of {', '.join(losses)} or None, got {loss!r}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: expected one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if reduction != "mean" and loss is None:
        raise ValueError(f"reduction: {reduction} needs a loss, got none")
    if many_to_one and loss is None and not head:
        raise ValueError(
            "many_to_one: needs a loss or head=True, got neither; of states alone "
            "`--without dense-gradient` says that only the last one has a gradient"
        )
    declarations = Declared(
        nonlinearity,
        loss or ("logits" if head else "none"),
        reduction,
        many_to_one,
        indices,
        num_layers,
        bidirectional,
        lengths,
        final_gradient,
        names_of(without),
        outputs or 0,
    )
    if outputs is not None:
        _check_outputs(outputs, has_head=head or loss is not None, least=2 if loss == "cross_entropy" else 1)
    if declarations.is_stack and (loss is not None or head or indices):
        raise ValueError(
            "num_layers, bidirectional, lengths, final_gradient: expected none of them beside a head, a loss "
            "or indices, which are judged behind one layer in one direction"
        )

    def declare(function: Adapter) -> Adapter:
        setattr(function, HELD_IN, declarations)
        return function

    return declare


def _check_layers(num_layers: object) -> None:
    if not isinstance(num_layers, int):
        raise TypeError(f"num_layers: expected True, False or a number of layers, got {num_layers!r}")
    if not isinstance(num_layers, bool) and not 2 <= num_layers <= MOST_LAYERS:
        raise ValueError(f"num_layers: expected True, False or 2 to {MOST_LAYERS}, got {num_layers}")


def _check_outputs(outputs: object, *, has_head: bool, least: int) -> None:
    if not isinstance(outputs, int) or isinstance(outputs, bool):
        raise TypeError(f"outputs: expected a whole number or None, got {outputs!r}")
    if not has_head:
        raise ValueError(f"outputs: {outputs} outputs need a loss or head=True, got neither")
    if not least <= outputs <= MOST_OUTPUTS:
        raise ValueError(f"outputs: expected {least} to {MOST_OUTPUTS}, got {outputs}")


def names_of(without: str | Iterable[str]) -> tuple[str, ...]:
    """Return names as they are given to ``without``, with commas or in a list.

    Raises:
        TypeError: they are something else.
    """
    given = without.split(",") if isinstance(without, str) else without
    names = [*given] if isinstance(given, Iterable) else [None]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"without: expected names, as a str with commas or a list, got {without!r}")
    return tuple(sorted({name.strip() for name in names if name and name.strip()}))


def check_nonlinearity(value: object) -> None:
    """Refuse what is no nonlinearity.

    Raises:
        ValueError: it is none.
    """
    if value not in NONLINEARITIES:
        raise ValueError(f"nonlinearity: expected one of {', '.join(NONLINEARITIES)}, got {value!r}")


def declared_by(function: Any) -> Declared:
    """Return what an adapter declares, by the decorator or by a line ``nonlinearity = "relu"`` in its file."""
    found = getattr(function, HELD_IN, None)
    if isinstance(found, Declared):
        return found
    line = getattr(origin(function), "__globals__", {}).get("nonlinearity")
    if isinstance(line, str):
        check_nonlinearity(line)
        return Declared(nonlinearity=line)
    return Declared()
