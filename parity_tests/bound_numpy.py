"""NumPy as it was when the gate was imported, whatever a target replaces in it later.

A target that is judged in the gate's own process shares NumPy with it. What makes the inputs, the truth,
the tolerances and the comparison reads its functions here, so that a target that puts another function
into ``numpy`` changes its own results and nothing else. It is no wall against malice: code in this process can
change anything.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
else:
    import numpy

    np = SimpleNamespace(**{**vars(numpy), "random": SimpleNamespace(PCG64=numpy.random.PCG64)})

__all__ = ["np"]
