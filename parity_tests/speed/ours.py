"""The layers of ``rnn_np`` as contenders."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import rnn_np
from parity_tests.speed.problem import STEPS, Answer, Array, Problem


class Contender(NamedTuple):
    """Something that computes a problem."""

    name: str
    passes: dict[str, Callable[[], Any]]
    """By the names of ``PASSES``; some can do a forward only."""
    read: Callable[[Any], Answer]
    """Reads the answer off what a call returned."""


def of_rnn_np(problem: Problem) -> Contender:
    """The layer of ``rnn_np`` that the problem names."""
    if problem.layer in STEPS:
        return _step(problem)
    return _time_rnn(problem) if problem.layer == "TimeRNN" else _nn_rnn(problem)


def _time_rnn(problem: Problem) -> Contender:
    layer = rnn_np.TimeRNN.from_torch(problem.weights)
    xs, dhs = batch_first(problem.xs), batch_first(problem.upstream)

    def read(found: tuple[Array, ...]) -> Answer:
        return named(found, layer.grads, swapped=True)

    passes = {
        "training": lambda: (layer.forward(xs), layer.backward(dhs)),
        "forward": lambda: (layer.forward_only(xs),),
    }
    return Contender("rnn_np", passes, read)


def _nn_rnn(problem: Problem) -> Contender:
    D, H = problem.shape.D, problem.shape.H
    layer = rnn_np.nn.RNN(D, H, **problem.options, dtype=problem.dtype)  # type: ignore[arg-type]
    layer.load_state_dict(problem.weights)

    def training() -> tuple[Array, Array]:
        output, _ = layer(problem.xs, lengths=problem.lengths)
        return output, layer.backward(problem.upstream)[0]

    def forward() -> tuple[Array]:
        return (layer.forward_only(problem.xs, lengths=problem.lengths)[0],)

    def read(found: tuple[Array, ...]) -> Answer:
        return dict(zip(("output", "d_input"), found, strict=False)) | layer.grads

    return Contender("rnn_np", {"training": training, "forward": forward}, read)


def _step(problem: Problem) -> Contender:
    D, H = problem.shape.D, problem.shape.H
    x, h, dh = problem.xs[0], problem.h_0, problem.upstream[0]
    layer: Any
    if problem.layer == "RNN":
        layer = rnn_np.RNN(*problem.row_weights)
    else:
        layer = rnn_np.nn.RNNCell(D, H, dtype=problem.dtype)
        layer.load_state_dict(problem.cell_weights)

    def read(found: tuple[Array, ...]) -> Answer:
        if problem.layer == "RNN":
            return named(found, layer.grads)
        return named(found, []) | {f"{name}_l0": value for name, value in layer.grads.items()}

    passes = {
        "training": lambda: (layer.forward(x, h), *layer.backward(dh)),
        "forward": lambda: (layer.forward_only(x, h),),
    }
    return Contender("rnn_np", passes, read)


def batch_first(array: Array) -> Array:
    """Return a copy [B, T, ...] of [T, B, ...]."""
    return np.ascontiguousarray(array.swapaxes(0, 1))


def named(found: tuple[Array, ...], grads: list[Array], swapped: bool = False) -> Answer:
    """Name tensors.

    Args:
        found: the output, and after a backward the gradients of the input and, of a single step, the state.
        grads: of ``Wx``, ``Wh`` and ``b``, or none.
        swapped: the first axes are B, T; otherwise T, B, or B alone.
    """
    output, *gradients = (a.swapaxes(0, 1) if swapped else a if a.ndim == 3 else a[None] for a in found)
    answer = {"output": output}
    if gradients:
        answer["d_input"] = gradients[0]
    if len(gradients) == 2:
        answer["d_hx"] = gradients[1][0]
    if gradients and grads:
        answer |= {"weight_ih_l0": grads[0].T, "weight_hh_l0": grads[1].T, "bias_ih_l0": grads[2]}
    return answer
