"""Models with a head and a loss, written by hand as people write them; each has its adapter below it."""

from parity_tests.gate_tests.diagnosis.heads import columns, flat, layers, many_to_one, squared, time_major
from parity_tests.gate_tests.diagnosis.heads.model import MODELS

__all__ = ["MODELS", "columns", "flat", "layers", "many_to_one", "squared", "time_major"]
