"""Layers as people write them, apart from the gate: other code, other style, one fault each.

Each list holds tuples of a tag, a sentence and a class. A tag is an identifier that tests look names up
by; layers with the same fault share it.
"""

from parity_tests.gate_tests.people import (
    call_order,
    cells,
    forward,
    gradients,
    module_cells,
    module_directions,
    module_dropout,
    module_states,
    modules,
    nonlinearity,
    right_layers,
    through_time,
)

LAYERS = [*nonlinearity.LAYERS, *through_time.LAYERS, *gradients.LAYERS, *forward.LAYERS, *call_order.LAYERS]
CELLS = [*cells.CELLS]
RIGHT_LAYERS = [*right_layers.RIGHT_LAYERS]
RIGHT_MODULES = [*modules.RIGHT_MODULES]
MODULES = [*module_cells.MODULES, *module_dropout.MODULES, *module_states.MODULES, *module_directions.MODULES]
