"""What a user would pick instead of ``rnn_np``, each imported only when it is measured."""

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from parity_tests.speed.ours import Contender, batch_first, named
from parity_tests.speed.problem import PLAIN, STEPS, Answer, Array, LoopArrays, Problem, plain_loop


class Peer(NamedTuple):
    """A library, and how it is used."""

    name: str
    packages: tuple[str, ...]
    """What must be installed."""
    layers: tuple[str, ...] | None
    """The layers that it is measured beside; None: all."""
    make: Callable[[Problem, int], Contender]
    """Makes the contender that computes a problem with so many threads."""

    def missing(self) -> str:
        """Return what keeps it from being measured, or ``""``."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed"
        if self.name == "compiled" and shutil.which(os.environ.get("CXX", "g++")) is None:
            return "torch.compile needs a C++ compiler, g++ or the one named by CXX"
        return ""

    def version(self) -> str:
        """Return the name with the versions of its packages."""
        versions = [f"{package} {importlib.metadata.version(package)}" for package in self.packages]
        return f"{self.name}: {', '.join(versions)}" if versions else self.name


def of_torch(problem: Problem, threads: int, compiled: bool = False) -> Contender:
    """``torch.nn.RNN`` or ``torch.nn.RNNCell`` with autograd."""
    import torch

    torch.set_num_threads(threads)
    module, step = torch_module(problem)
    call: Any = torch.compile(module) if compiled else module
    inputs, upstream = torch_inputs(problem)

    def training() -> Any:
        module.zero_grad(set_to_none=True)
        for tensor in inputs:
            tensor.grad = None
        output = step(call, *inputs)
        output.backward(upstream)
        return output, inputs

    def forward() -> Any:
        with torch.no_grad():
            return step(call, *inputs), ()

    def read(found: Any) -> Answer:
        output, differentiated = found
        gradients = [tensor.grad.numpy() for tensor in differentiated]
        answer = named((output.detach().numpy(), *gradients), [], swapped=problem.layer == "TimeRNN")
        if gradients:
            suffix = "_l0" if problem.layer in STEPS else ""
            answer |= {
                name + suffix: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None
            }
        return answer

    return Contender("compiled" if compiled else "torch", {"training": training, "forward": forward}, read)


def torch_module(problem: Problem) -> tuple[Any, Callable[..., Any]]:
    """The module with the problem's weights, and a function that calls it and returns the output."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    D, H, dtype = problem.shape.D, problem.shape.H, getattr(torch, problem.dtype)
    if problem.layer in STEPS:
        cell = torch.nn.RNNCell(D, H, dtype=dtype)
        cell.load_state_dict({name: torch.tensor(value) for name, value in problem.cell_weights.items()})
        return cell, lambda cell, x, h: cell(x, h)
    batch_first = problem.layer == "TimeRNN"
    rnn = torch.nn.RNN(D, H, batch_first=batch_first, dtype=dtype, **problem.options)
    rnn.load_state_dict({name: torch.tensor(value) for name, value in problem.weights.items()})
    lengths = problem.lengths
    if lengths is None:
        return rnn, lambda rnn, xs: rnn(xs)[0]

    def packed(rnn: Any, xs: Any) -> Any:
        output, _ = rnn(pack_padded_sequence(xs, lengths, enforce_sorted=False))
        return pad_packed_sequence(output, total_length=len(xs))[0]

    return rnn, packed


def torch_inputs(problem: Problem) -> tuple[list[Any], Any]:
    """The tensors that a call takes, and the gradient of its output."""
    import torch

    given, upstream = [problem.xs], problem.upstream
    if problem.layer in STEPS:
        given, upstream = [problem.xs[0], problem.h_0], upstream[0]
    elif problem.layer == "TimeRNN":
        given, upstream = [batch_first(problem.xs)], batch_first(upstream)
    return [torch.tensor(array, requires_grad=True) for array in given], torch.tensor(upstream)


def of_compiled(problem: Problem, threads: int) -> Contender:
    """The same module in ``torch.compile``."""
    return of_torch(problem, threads, compiled=True)


def of_jax(problem: Problem, threads: int, projected_first: bool = False) -> Contender:
    """``jax.jit`` of a ``lax.scan`` and its gradient; the command has fixed the threads before JAX starts.

    ``projected_first``: x Wx of all steps is one product before the scan.
    """
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    h_0, xs, upstream, *weights = map(
        jnp.asarray, (problem.h_0, problem.xs, problem.upstream, *problem.row_weights)
    )

    def outputs(xs: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = jnp.tanh((x if projected_first else x @ Wx + b) + h @ Wh)
            return h, h

        return jax.lax.scan(step, h_0, xs @ Wx + b if projected_first else xs)[1]

    def with_gradients(upstream: Any, *arguments: Any) -> Any:
        output, backward = jax.vjp(outputs, *arguments)
        return output, *backward(upstream)

    forward, training = jax.jit(outputs), jax.jit(with_gradients)

    def read(found: tuple[Any, ...]) -> Answer:
        output, *rest = map(np.asarray, found)
        return named((output, *rest[:1]), rest[1:])

    passes: dict[str, Callable[[], Any]] = {
        "training": lambda: jax.block_until_ready(training(upstream, xs, *weights)),
        "forward": lambda: (jax.block_until_ready(forward(xs, *weights)),),
    }
    return Contender("jax-projected" if projected_first else "jax", passes, read)


def of_jax_projected(problem: Problem, threads: int) -> Contender:
    """The same with x Wx of all steps as one product before the scan."""
    return of_jax(problem, threads, projected_first=True)


def of_onnx(problem: Problem, threads: int) -> Contender:
    """A model of one ``RNN`` node in ONNX Runtime, which has a forward only."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def cell(name: str) -> Array:
        return problem.weights[f"{name}_l0"]

    weights = {
        "W": cell("weight_ih")[None],
        "R": cell("weight_hh")[None],
        "B": np.concatenate([cell("bias_ih"), cell("bias_hh")])[None],
    }
    kind = TensorProto.FLOAT if problem.dtype == "float32" else TensorProto.DOUBLE
    node = helper.make_node("RNN", ["x", *weights], ["y"], hidden_size=problem.shape.H)
    graph = helper.make_graph(
        [node],
        "rnn",
        [helper.make_tensor_value_info("x", kind, [None] * 3)],
        [helper.make_tensor_value_info("y", kind, [None] * 4)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return Contender(
        "onnxruntime",
        {"forward": lambda: session.run(None, {"x": problem.xs})},
        lambda found: {"output": found[0][:, 0]},
    )


def of_loop(problem: Problem, threads: int) -> Contender:
    """The plain loop in NumPy."""
    arrays = LoopArrays.of(problem, problem.dtype)
    passes: dict[str, Callable[[], Answer]] = {
        "training": lambda: plain_loop(arrays, training=True),
        "forward": lambda: plain_loop(arrays, training=False),
    }
    return Contender("loop", passes, lambda found: found)


SEQUENCES = ("TimeRNN", "nn.RNN")
PEERS = (
    Peer("torch", ("torch",), None, of_torch),
    Peer("compiled", ("torch",), SEQUENCES, of_compiled),
    Peer("jax", ("jax",), SEQUENCES, of_jax),
    Peer("jax-projected", ("jax",), SEQUENCES, of_jax_projected),
    Peer("onnxruntime", ("onnxruntime", "onnx"), SEQUENCES, of_onnx),
    Peer("loop", (), PLAIN, of_loop),
)


def true_answer(problem: Problem, training: bool) -> Answer:
    """The true tensors in float64: of the plain loop, or of torch where there are several cells or lengths.

    Raises:
        ModuleNotFoundError: torch is needed and not installed.
    """
    if problem.layer in PLAIN:
        answer = plain_loop(LoopArrays.of(problem, "float64"), training)
        return {name: value for name, value in answer.items() if name != "d_hx" or problem.layer in STEPS}
    torch = of_torch(problem.widened(), 1)
    return torch.read(torch.passes["training" if training else "forward"]())
