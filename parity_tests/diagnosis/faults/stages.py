"""The stages of a layer's computation, and the methods of the plain loop that belong to each."""

from enum import IntEnum


class Stage(IntEnum):
    """Where in a layer's computation a fault is: a later stage works on what the earlier ones have computed."""

    STATES = 0
    """The states."""
    LOGITS = 1
    """The logits of a head."""
    LOSS = 2
    """The loss, and what it is made of: probabilities, targets, errors."""
    LOGITS_GRADIENT = 3
    """The gradient of the logits."""
    STATES_GRADIENT = 4
    """The gradient that the states get from a head."""
    PREACTIVATION = 5
    """The gradient of the pre-activation: upstream gradient, carry, slope."""
    GRADIENTS = 6
    """The gradients of the input, the initial state and the parameters, each by itself."""
    FINISHED = 7
    """What is done to finished gradients."""
    LIMITED = 8
    """Finished gradients that are clipped, or scaled down to a norm."""


OF_STATES = frozenset(
    (
        *(
            "cells",
            "masks",
            "valid",
            "inputs",
            "layer_input",
            "starts",
            "flips",
            "joined",
            "dropped",
            "forward",
        ),
        *("matrices", "biases", "step", "previous", "activate", "outputs", "final"),
    )
)
"""The methods that compute the states."""
OF_BOTH = frozenset(("call", "flipped", "as_returned"))
"""Those that handle states and gradients."""
OF_LOGITS = frozenset(("head_states", "logits"))
"""Those that compute the logits of a head."""
OF_LOSS = frozenset(("softmax", "targets", "losses", "errors", "reduced"))
"""Those that compute the loss, and what its gradient is made of too."""
OF_LOGITS_GRADIENT = frozenset(("logits_gradient",))
"""The one that computes the gradient of the logits."""
OF_STATES_GRADIENT = frozenset(("states_gradient",))
"""The one that computes the gradient of the states from it."""
OF_HEAD_GRADIENTS = frozenset(("head_gradients",))
"""The one that computes the gradients of the head's parameters."""
OF_HEAD = OF_LOGITS | OF_LOSS | OF_LOGITS_GRADIENT | OF_STATES_GRADIENT | OF_HEAD_GRADIENTS
OF_PREACTIVATION = frozenset(
    (
        *("backward_traces", "upstream", "final_gradient", "part", "summed", "undropped", "slope", "delta"),
        *("carry", "step_gradients", "first_carry", "order", "carry_in_padding"),
    )
)
"""Those that compute the gradients of the pre-activations."""
OF_GRADIENTS = frozenset(
    ("backward", "start_gradient", "input_gradient", "parameter_gradients", "previous_states")
)
"""Those that compute the gradients from them."""
OF_FINISHED = frozenset(("by_parameter_name",))
"""Those that get finished gradients."""
METHODS = (*sorted(OF_STATES | OF_BOTH | OF_HEAD | OF_PREACTIVATION | OF_GRADIENTS | OF_FINISHED),)
"""The methods of the plain loop that a fault may replace."""
STAGE_OF_METHODS = (
    (Stage.STATES, OF_STATES),
    (Stage.LOGITS, OF_LOGITS),
    (Stage.LOSS, OF_LOSS),
    (Stage.LOGITS_GRADIENT, OF_LOGITS_GRADIENT),
    (Stage.STATES_GRADIENT, OF_STATES_GRADIENT),
    (Stage.PREACTIVATION, OF_PREACTIVATION),
    (Stage.GRADIENTS, OF_GRADIENTS | OF_HEAD_GRADIENTS),
)
"""What a fault is about that replaces one of these methods; the first that fits."""
