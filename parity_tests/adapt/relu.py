"""An adapter of a layer with relu: a class with torch's interface, where relu has a place."""

from collections.abc import Iterable

RELU_LACKS = (
    "layers",
    "bidirectional",
    "no-bias",
    "batch-first",
    "unbatched",
    "packed",
    "lengths",
    "dropout",
    "layouts",
)
"""What the class has no place for."""
RELU_CLASS = """

class Relu(Module):  # torch's interface around answer; what is not relu is answered by rnn_np
    answer = staticmethod(answer)
    relu = True
"""
"""The class that calls a program's function."""
OF_TORCH = {"dWx": ("dweight_ih",), "dWh": ("dweight_hh",), "db": ("dbias_ih", "dbias_hh")}
"""The gradients of weights by torch's names, by which a class is judged."""


def by_torch(names: Iterable[str]) -> tuple[str, ...]:
    """Return what a class lacks, for ``--without``, with torch's names of gradients."""
    return tuple(each for name in names for each in OF_TORCH.get(name, (name,)))
