"""What generated adapters import: torch's code called with arrays, and torch's interface around a function."""

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array


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
        row: takes the problem, and x, h and d of one row; returns tensors by name.
    """

    def answer(case: Any) -> dict[str, Any]:
        rows = [row(case, *each) for each in zip(case.xs, case.h_0, case.dhs, strict=True)]
        named = {name: [one[name] for one in rows] for name in rows[0]}
        return {
            name: sum(each) if name in ("dWx", "dWh", "db") else np.array(each)
            for name, each in named.items()
        }

    answer.__qualname__ = row.__qualname__
    return answer


class Module:
    """torch.nn.RNN's interface around a function that answers one call.

    relu, several layers and two directions have a place in it, and none in an adapter. A case that the
    function is not for (``tanh`` where it has relu, one layer where it has two directions) is answered by
    ``rnn_np.nn.RNN``, so that it says nothing about the function.

    A subclass has:

    Attributes:
        answer: the function of a problem: its ``weights`` (a list of Wx, Wh and b), ``xs`` [B, T, D], ``h_0``
            and ``dhs``. It returns tensors by name; gradients of weights in lists, one for each layer or
            direction. What it has one of alone has no axis for it.
        relu: whether it has relu in place of tanh.
        directions: how many it has.
        layers: how many it has; 0 for any number.
    """

    answer: Callable[[Any], dict[str, Any]]
    relu = False
    directions = 1
    layers = 1

    def __new__(cls, *sizes: int, **options: Any) -> Any:
        """Return a layer, that of ``rnn_np`` for what the function is not for."""
        own: dict[str, Any] = {
            "nonlinearity": "relu" if cls.relu else "tanh",
            "bidirectional": cls.directions == 2,
        }
        own |= {"num_layers": cls.layers or options.get("num_layers", 1)}
        given = {"nonlinearity": "tanh", "bidirectional": False, "num_layers": 1, **options}
        if all(given[name] == value for name, value in own.items()):
            return super().__new__(cls)
        return importlib.import_module("rnn_np").nn.RNN(*sizes, **options)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bidirectional: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        self.num_layers, self.dtype = num_layers, dtype

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Take the weights by torch's names."""
        self.__dict__.update({name: np.array(value, self.dtype) for name, value in state.items()})
        self._ends = [name.removeprefix("weight_ih") for name in state if name.startswith("weight_ih")]
        self.grads = {name: np.zeros_like(getattr(self, name)) for name in state}

    def _answered(self, xs: Array, h_0: Array, dhs: Array) -> dict[str, Any]:
        cells = [
            [getattr(self, f"{name}{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            for end in self._ends
        ]
        weights = [(Wx.T.copy(), Wh.T.copy(), b + b_hh) for Wx, Wh, b, b_hh in cells]
        first = weights[0]
        is_plain = self.directions == self.layers == 1
        given = SimpleNamespace(weights=weights, Wx=first[0], Wh=first[1], b=first[2], xs=xs.copy())
        given.h_0, given.dhs = (h_0[0] if is_plain else h_0).copy(), dhs.copy()
        found = dict(type(self).answer(given))
        if is_plain:
            found |= {name: found[name][None] for name in ("h_n", "dh_0") if name in found}
            found |= {name: [found[name]] for name in ("dWx", "dWh", "db") if name in found}
        return found

    def forward(self, x: Array, hx: Array | None = None) -> tuple[Any, Any]:
        """Take x [T, B, D] and the initial states; return the outputs and the final states."""
        H = self.weight_hh_l0.shape[0]  # type: ignore[attr-defined]
        xs = x.swapaxes(0, 1)
        h_0 = np.zeros((len(self._ends), len(xs), H), x.dtype) if hx is None else hx
        self._given = xs.copy(), h_0.copy()
        found = self._answered(*self._given, np.zeros((*xs.shape[:2], H * self.directions), x.dtype))
        return _time_first(found.get("hs")), _copied(found.get("h_n"))

    __call__ = forward

    def backward(self, d_output: Array | None, d_h_n: Array | None = None) -> tuple[Any, Any]:
        """Take the gradients of both results of ``forward``; return those of the input and the states.

        That of the final states can be given to one layer in one direction alone.
        """
        xs, h_0 = self._given
        d = np.zeros((*xs.shape[:2], h_0.shape[2] * self.directions), h_0.dtype)
        d += 0 if d_output is None else d_output.swapaxes(0, 1)
        d[:, -1] += 0 if d_h_n is None else d_h_n[0]
        found = self._answered(xs, h_0, d)
        for number, end in enumerate(self._ends):
            for name, tensor in (
                ("weight_ih", "dWx"),
                ("weight_hh", "dWh"),
                ("bias_ih", "db"),
                ("bias_hh", "db"),
            ):
                if tensor in found:
                    self.grads[f"{name}{end}"][...] = np.asarray(found[tensor][number]).T
        return _time_first(found.get("dx")), _copied(found.get("dh_0"))


def _time_first(value: Any) -> Any:
    return None if value is None else value.swapaxes(0, 1).copy()


def _copied(value: Any) -> Any:
    return None if value is None else np.array(value)
