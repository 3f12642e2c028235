"""The four layers that the gate judges, by the names that ``Case.kind`` has for them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """What the gate knows of a layer.

    Attributes:
        class_name: of the class in a package such as ``rnn_np``, with its module.
        token: how the tokens of its cases begin; empty for the layer without a prefix.
        is_cell: whether it runs one time step.
        has_torch_interface: whether its options, parameters and shapes are those of ``torch.nn``;
            else it is made from its arrays ``Wx``, ``Wh`` and ``b`` and keeps them in a list.
    """

    class_name: str
    token: str
    is_cell: bool
    has_torch_interface: bool


LAYERS = {
    "time": LayerSpec("TimeRNN", "", is_cell=False, has_torch_interface=False),
    "cell": LayerSpec("RNN", "cell", is_cell=True, has_torch_interface=False),
    "nn": LayerSpec("nn.RNN", "nn", is_cell=False, has_torch_interface=True),
    "nncell": LayerSpec("nn.RNNCell", "nncell", is_cell=True, has_torch_interface=True),
}
KINDS = tuple(LAYERS)
CLASSES = {kind: layer.class_name for kind, layer in LAYERS.items()}
"""The class of each kind of layer."""
