"""The four layers that the gate judges, by the names of their classes in a package such as ``rnn_np``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """What the gate knows of a layer.

    Attributes:
        token: how the tokens of its cases begin; empty for the layer without a prefix.
        is_cell: whether it runs one time step.
        has_torch_interface: whether its options, parameters and shapes are those of ``torch.nn``;
            else it is made from its arrays ``Wx``, ``Wh`` and ``b`` and keeps them in a list.
    """

    token: str
    is_cell: bool
    has_torch_interface: bool


LAYERS = {
    "TimeRNN": LayerSpec("", is_cell=False, has_torch_interface=False),
    "RNN": LayerSpec("cell", is_cell=True, has_torch_interface=False),
    "nn.RNN": LayerSpec("nn", is_cell=False, has_torch_interface=True),
    "nn.RNNCell": LayerSpec("nncell", is_cell=True, has_torch_interface=True),
}
KINDS = tuple(LAYERS)
"""The names of all layers."""
