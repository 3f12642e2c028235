"""Layers as people write them, apart from the gate: other code, other style, mostly one fault each.

Each list holds tuples of a tag, a sentence and a class. A tag is an identifier that tests look names up
by; layers with the same fault share it. ``SEVERAL`` are layers with two to four faults each, and have the
names of these for a tag; ``STRANGERS`` are of other conventions.
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
    several_habits,
    several_loops,
    several_styles,
    strangers,
    through_time,
)

LAYERS = [*nonlinearity.LAYERS, *through_time.LAYERS, *gradients.LAYERS, *forward.LAYERS, *call_order.LAYERS]
CELLS = [*cells.CELLS]
RIGHT_LAYERS = [*right_layers.RIGHT_LAYERS]
RIGHT_MODULES = [*modules.RIGHT_MODULES]
MODULES = [*module_cells.MODULES, *module_dropout.MODULES, *module_states.MODULES, *module_directions.MODULES]
SEVERAL = [*several_loops.SEVERAL, *several_habits.SEVERAL, *several_styles.SEVERAL]
STRANGERS = [*strangers.STRANGERS]
