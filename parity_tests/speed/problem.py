"""What is measured: a layer, its sizes and its arrays, and the true answer that every contender must give."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Answer: TypeAlias = dict[str, Array]
"""``output`` and ``d_input``, [T, B, ...], and for a single step ``d_hx``; gradients by their parameters' names."""


class WrongAnswer(Exception):
    """A contender's answer is not the true one; the message says by how much."""


class Shape(NamedTuple):
    """The sizes of a problem."""

    B: int
    T: int
    D: int
    H: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))


LAYERS = ("TimeRNN", "nn.RNN", "two-layers", "bidirectional", "lengths", "RNN", "nn.RNNCell")
"""What of ``rnn_np`` can be measured; those between ``nn.RNN`` and ``RNN`` are options of ``nn.RNN``."""
STEPS = ("RNN", "nn.RNNCell")
"""Layers of one time step."""
PLAIN = ("TimeRNN", "nn.RNN", *STEPS)
"""Layers of one cell, whose sequences have equal lengths."""
PASSES = ("training", "forward")
"""A forward and a backward, and a forward alone that keeps nothing."""
MOST_ERROR = {"float32": 1e-4, "float64": 1e-10}
"""How far a tensor may be from the true one, relative to the largest true value in it."""


class Problem:
    """The arrays of one layer of one shape, time-first.

    Args:
        layer: one of ``LAYERS``.
        shape: B, T, D, H; a layer of one time step takes T as 1.
        dtype: ``"float32"`` or ``"float64"``.

    Attributes:
        xs: [T, B, D], the inputs.
        h_0: [B, H], the initial state of a single step; zeros for a sequence.
        upstream: [T, B, directions * H], the gradient of the outputs.
        lengths: of the sequences; None: all are T long.
        options: those of ``torch.nn.RNN``.
        weights: the parameters by the names of ``torch.nn.RNN``.
    """

    def __init__(self, layer: str, shape: Shape, dtype: str) -> None:
        self.layer, self.dtype = layer, dtype
        self.shape = shape._replace(T=1) if layer in STEPS else shape
        B, T, D, H = self.shape
        self.options = {
            "num_layers": 2 if layer == "two-layers" else 1,
            "bidirectional": layer == "bidirectional",
        }
        suffixes = ("", "_reverse") if layer == "bidirectional" else ("",)
        rng = np.random.default_rng(0)

        def uniform(bound: float, *shape: int) -> Array:
            return rng.uniform(-bound, bound, shape).astype(dtype)

        self.xs, self.upstream = uniform(1, T, B, D), uniform(1, T, B, H * len(suffixes))
        self.h_0 = uniform(1, B, H) if layer in STEPS else np.zeros((B, H), dtype)
        self.lengths = rng.integers(1, T + 1, B).tolist() if layer == "lengths" else None
        self.weights: dict[str, Array] = {}
        for number in range(self.options["num_layers"]):
            shapes = {
                "weight_ih": (H, H if number else D),
                "weight_hh": (H, H),
                "bias_ih": (H,),
                "bias_hh": (H,),
            }
            self.weights |= {
                f"{name}_l{number}{suffix}": uniform(H**-0.5, *sizes)
                for suffix in suffixes
                for name, sizes in shapes.items()
            }

    def widened(self) -> "Problem":
        """The same numbers in float64."""
        wide = Problem(self.layer, self.shape, "float64")
        wide.xs, wide.h_0, wide.upstream = (a.astype("float64") for a in (self.xs, self.h_0, self.upstream))
        wide.weights = {name: value.astype("float64") for name, value in self.weights.items()}
        return wide

    @property
    def row_weights(self) -> tuple[Array, Array, Array]:
        """``Wx`` [D, H], ``Wh`` [H, H] and ``b`` [H] of the first cell, for rows x Wx + h Wh + b."""
        weight_ih, weight_hh, bias_ih, bias_hh = list(self.weights.values())[:4]
        return np.ascontiguousarray(weight_ih.T), np.ascontiguousarray(weight_hh.T), bias_ih + bias_hh

    @property
    def cell_weights(self) -> dict[str, Array]:
        """The parameters of the first cell by the names of ``torch.nn.RNNCell``."""
        return {name.removesuffix("_l0"): value for name, value in self.weights.items()}

    def operations(self, training: bool) -> float:
        """The floating-point operations of all products; a backward has twice those of a forward."""
        rows = sum(self.lengths or [self.shape.T] * self.shape.B)
        products = sum(weight.size for weight in self.weights.values() if weight.ndim == 2)
        return (6.0 if training else 2.0) * rows * products


class LoopArrays(NamedTuple):
    """What the plain loop takes of a problem of one cell."""

    xs: Array
    h_0: Array
    upstream: Array
    Wx: Array
    Wh: Array
    b: Array

    @classmethod
    def of(cls, problem: Problem, dtype: str) -> "LoopArrays":
        """The problem's arrays in ``dtype``."""
        arrays = problem.xs, problem.h_0, problem.upstream, *problem.row_weights
        return cls(*(array.astype(dtype) for array in arrays))


def plain_loop(arrays: LoopArrays, training: bool) -> Answer:
    """Compute one cell step by step, as one writes it down first."""
    xs, h, upstream, Wx, Wh, b = arrays
    states = [h]
    for x in xs:
        h = np.tanh(x @ Wx + h @ Wh + b)
        states.append(h)
    output = np.stack(states[1:])
    if not training:
        return {"output": output}
    d_input, dWx, dWh, db = np.empty_like(xs), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    carry = np.zeros_like(h)
    for t in reversed(range(len(xs))):
        dz = (upstream[t] + carry) * (1 - states[t + 1] ** 2)
        dWx += xs[t].T @ dz
        dWh += states[t].T @ dz
        db += dz.sum(axis=0)
        d_input[t] = dz @ Wx.T
        carry = dz @ Wh.T
    gradients = {"weight_ih_l0": dWx.T, "weight_hh_l0": dWh.T, "bias_ih_l0": db}
    return {"output": output, "d_input": d_input, "d_hx": carry} | gradients


def check_answer(name: str, got: Answer, truth: Answer, dtype: str) -> None:
    """Raise WrongAnswer unless each tensor is the true one up to rounding; ``name`` is the contender's."""
    for tensor in truth:
        if tensor not in got or got[tensor].shape != truth[tensor].shape:
            given = f"shape {list(got[tensor].shape)}" if tensor in got else "nothing"
            raise WrongAnswer(f"{name}: {tensor}: expected shape {list(truth[tensor].shape)}, got {given}")
        largest = float(np.abs(truth[tensor]).max())
        error = float(np.abs(got[tensor] - truth[tensor]).max())
        if not error <= MOST_ERROR[dtype] * largest:
            raise WrongAnswer(
                f"{name}: {tensor} is off by {error:.3g}, its largest value is {largest:.3g}; expected at most "
                f"{MOST_ERROR[dtype]:g} of that. A wrong answer is not timed"
            )
