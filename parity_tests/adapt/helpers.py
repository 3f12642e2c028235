"""What generated adapters import: torch's code called with arrays, and a function of one row called with each."""

import importlib
from collections.abc import Callable
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array

SUMMED = ("loss", "dWx", "dWh", "db", "dWy", "dby")
"""The tensors that are sums over the batch."""


class TorchCode:
    """A module of torch's, or the ``apply`` of an autograd function, called with arrays.

    Torch's autograd calls the backward: that of the function, where its author wrote one.

    Args:
        code: the module or function.
        judged: which of its results has the states.

    Attributes:
        weights: the parameters of a module by name, as arrays; what is put here is used by ``forward``.
        grads: their gradients after ``backward``.

    Example:
        >>> import numpy as np, torch
        >>> net = TorchCode(torch.nn.Linear(2, 1))
        >>> net.weights["weight"], net.weights["bias"] = np.array([[2.0, 3.0]]), np.array([1.0])
        >>> net.forward(np.ones((1, 2)))
        [array([[6.]])]
        >>> net.backward(np.ones((1, 1))), net.grads["bias"]
        ([array([[2., 3.]])], array([1.]))
    """

    def __init__(self, code: Any, judged: int = 0) -> None:
        self.code, self.judged = code, judged
        self._named = dict(code.named_parameters()) if hasattr(code, "named_parameters") else {}
        self.weights: dict[str, Array] = {name: p.detach().numpy() for name, p in self._named.items()}
        self.grads: dict[str, Array] = {}

    def forward(self, *arrays: Array) -> list[Array]:
        """Return what the code returns for some arrays; new tensors in it have their precision."""
        torch: Any = importlib.import_module("torch")
        for name, parameter in self._named.items():
            parameter.data = torch.tensor(np.array(self.weights[name]))
        self._given = [torch.tensor(np.array(array), requires_grad=True) for array in arrays]
        default = torch.get_default_dtype()
        torch.set_default_dtype(self._given[0].dtype)
        try:
            out = self.code(*self._given)
        finally:
            torch.set_default_dtype(default)
        self._out = out if isinstance(out, tuple | list) else (out,)
        return [each.detach().numpy() for each in self._out]

    def backward(self, d: Array) -> list[Array]:
        """Return the gradients of what ``forward`` was given, for the gradient of the judged result."""
        torch: Any = importlib.import_module("torch")
        wanted = [*self._given, *self._named.values()]
        upstream = torch.tensor(np.array(d))
        found = torch.autograd.grad(self._out[self.judged], wanted, upstream, allow_unused=True)
        arrays = [
            np.zeros(tuple(tensor.shape)) if grad is None else grad.numpy()
            for grad, tensor in zip(found, wanted, strict=True)
        ]
        self.grads = dict(zip(self._named, arrays[len(self._given) :], strict=True))
        return arrays[: len(self._given)]


def each_row(row: Callable[..., dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """Return the function of a problem that calls another with each row of the batch.

    Args:
        row: takes the problem, and of one row the inputs (indices, if they are declared), the initial state,
            and the targets, or else the upstream gradient; returns tensors by name.
    """
    return _of_rows(row, np.sum)


def each_row_shared(row: Callable[..., dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """Return the same for code whose loss is the mean: the mean of those of all rows."""
    return _of_rows(row, np.mean)


def _of_rows(
    row: Callable[..., dict[str, Any]], combine: Callable[..., Any]
) -> Callable[[Any], dict[str, Any]]:
    def answer(case: Any) -> dict[str, Any]:
        more = case.further
        ends = more.get("targets", more.get("dlogits", case.dhs))
        given = zip(more.get("indices", case.xs), case.h_0, ends, strict=True)
        rows = [row(case, *each) for each in given]
        named = {name: np.array([one[name] for one in rows]) for name in rows[0]}
        shares = len(rows) if combine is np.mean else 1
        return {
            name: combine(each, axis=0)
            if name in SUMMED
            else each / shares
            if name in ("dx", "dh_0")
            else each
            for name, each in named.items()
        }

    answer.__qualname__ = row.__qualname__
    return answer
