"""Code of strangers: other conventions than the gate's, and what somebody writes so that it can be judged.

Each is code as its author has it, with the function or class under it that the gate is given. ``STRANGERS``
lists them. Most keep float64 whatever comes in, and lack a part of what a layer can do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_tests.gate_tests.people.strangers_modules import ReluManyToOne, ReluOfTorch, TwoWays


class LibraryLayer:
    """A layer of a small library: sizes come with the first batch, parameters are found by name."""

    def __init__(self, units):
        self.units = units
        self.param, self.grad = {}, {}

    def build(self, batch_shape):
        batch, _, features = batch_shape
        scale = np.random.default_rng(1)
        self.param["input"] = scale.standard_normal((features, self.units))
        self.param["state"] = scale.standard_normal((self.units, self.units))
        self.param["bias"] = np.zeros(self.units)
        self.memory = np.zeros((batch, self.units))

    def forward_pass(self, batch):
        rows, steps, _ = batch.shape
        self.batch = batch
        self.history = np.zeros((rows, steps + 1, self.units))
        self.history[:, -1] = self.memory
        for step in range(steps):
            summed = np.dot(batch[:, step], self.param["input"]) + self.param["bias"]
            summed += np.dot(self.history[:, step - 1], self.param["state"])
            self.history[:, step] = np.tanh(summed)
        self.memory = np.copy(self.history[:, -2])
        return self.history[:, :steps]

    def backward_pass(self, error):
        self.grad = {name: 0 * value for name, value in self.param.items()}
        to_input, to_state = self.param["input"].T, self.param["state"].T
        later, downward = 0, np.zeros(self.batch.shape)
        for step in range(error.shape[1] - 1, -1, -1):
            squared = np.tanh(self.history[:, step]) ** 2
            local = (error[:, step] + later) * (1 - squared)
            self.grad["input"] += np.dot(self.batch[:, step].T, local)
            self.grad["state"] += np.dot(self.history[:, step - 1].T, local)
            self.grad["bias"] += np.sum(error[:, step], axis=0)
            downward[:, step] = np.dot(np.dot(error[:, step], to_state), to_input)
            later = np.dot(local, to_state)
        return downward


def library_layer(problem):
    """The weights go in by name, and h_0 as what the batch before has left."""
    layer = LibraryLayer(len(problem.Wh))
    layer.build(problem.xs.shape)
    layer.param = {"input": problem.Wx, "state": problem.Wh, "bias": problem.b}
    layer.memory = problem.h_0
    hs = layer.forward_pass(problem.xs)
    dx = layer.backward_pass(problem.dhs)
    gradients = {"dWx": layer.grad["input"], "dWh": layer.grad["state"], "db": layer.grad["bias"]}
    return {"hs": hs, "h_n": layer.memory, "dx": dx, **gradients}


class Neurons:
    """One vector at a time, forward only; the activation is a part of its own."""

    def __init__(self, from_input, from_state, offset):
        self.from_input, self.from_state, self.offset = from_input, from_state, offset
        self.state = np.zeros(len(offset))

    def feed(self, vector):
        excitation = self.from_input.dot(vector)
        +self.from_state.dot(self.state)
        +self.offset  # noqa: B018
        self.state = excitation
        return excitation


def broken_lines(problem, activation=None):
    """The neurons alone."""
    outputs = []
    for row, first in zip(problem.xs, problem.h_0, strict=True):
        neurons = Neurons(problem.Wx.T, problem.Wh.T, problem.b)
        neurons.state = first
        for vector in row:
            outputs.append(neurons.feed(vector))
            if activation:
                outputs[-1] = neurons.state = activation(outputs[-1])
    hs = np.reshape(outputs, (*problem.xs.shape[:2], -1))
    return {"hs": hs, "h_n": hs[:, -1]}


def broken_lines_with_tanh(problem):
    """The neurons with the activation behind each step."""
    return broken_lines(problem, np.tanh)


class TruncatedLayer:
    """No bias, a matrix for the outputs, and optimizers that get the gradients in the backward pass."""

    def __init__(self, hidden, most_steps=5):
        self.hidden, self.most_steps = hidden, most_steps
        self.rng = np.random.default_rng()

    def set_up(self, features, new_optimizer):
        sizes = {
            "in": (self.hidden, features),
            "rec": (self.hidden, self.hidden),
            "out": (features, self.hidden),
        }
        self.matrix = {name: self.rng.normal(size=size) for name, size in sizes.items()}
        self.optimizer = {name: new_optimizer() for name in sizes}

    def forward_pass(self, X):
        count, length, _ = X.shape
        self.X = X
        self.pre = np.zeros((count, length, self.hidden))
        self.state = np.zeros((count, length + 1, self.hidden))
        for t in range(length):
            self.pre[:, t] = X[:, t].dot(self.matrix["in"].T) + self.state[:, t - 1].dot(self.matrix["rec"].T)
            self.state[:, t] = np.tanh(self.pre[:, t])
        return self.state[:, :length].dot(self.matrix["out"].T)

    def derivative(self, t):
        return 1 - np.tanh(self.pre[:, t]) ** 2

    def backward_pass(self, error):
        total = {name: np.zeros_like(matrix) for name, matrix in self.matrix.items()}
        downward = np.zeros_like(self.X)
        for t in range(self.X.shape[1] - 1, -1, -1):
            total["out"] += error[:, t].T.dot(self.state[:, t])
            delta = self.derivative(t) * error[:, t].dot(self.matrix["out"])
            downward[:, t] = delta.dot(self.matrix["in"])
            for back in range(t, max(0, t - self.most_steps) - 1, -1):
                total["in"] += delta.T.dot(self.X[:, back])
                total["rec"] += delta.T.dot(self.state[:, back - 1])
                delta = delta.dot(self.matrix["rec"]) * self.derivative(back - 1)
        for name, optimizer in self.optimizer.items():
            self.matrix[name] = optimizer.update(self.matrix[name], total[name])
        return downward


class GradientKept:
    """In an optimizer's place: it keeps the gradient, and changes nothing."""

    def update(self, weight, gradient):
        self.gradient = gradient
        return weight


def truncated_with_ones(problem):
    """The bias is the weight of one more input, which is 1."""
    H = len(problem.b)
    layer = TruncatedLayer(H)
    layer.set_up(1, GradientKept)
    weights = np.column_stack([problem.Wx.T, problem.b]), problem.Wh.T, np.identity(H, problem.Wh.dtype)
    layer.matrix = dict(zip(("in", "rec", "out"), weights, strict=True))
    hs = layer.forward_pass(np.pad(problem.xs, ((0, 0), (0, 0), (0, 1)), constant_values=1))
    dx = layer.backward_pass(problem.dhs)[..., :-1]
    dW, dWh = layer.optimizer["in"].gradient.T, layer.optimizer["rec"].gradient.T
    return {"hs": hs, "h_n": hs[:, -1], "dx": dx, "dWx": dW[:-1], "dWh": dWh, "db": dW[-1]}


def truncated_weights_only(problem):
    """The same without dx, which that code has no use for."""
    answer = truncated_with_ones(problem)
    del answer["dx"]
    return answer


def hyperbolic(z, derivative=False):
    """Tanh made of exponentials, or its derivative."""
    z = z + 1e-12
    up, down = np.exp(z), np.exp(-z)
    value = (up - down) / (up + down)
    return 1 - value * value if derivative else value


def states_and_outputs(sequence, state, weights):
    """The forward of one sequence of column vectors, softmax included."""
    Wxh, Whh, Why, bh, by = weights
    states, outputs = [], []
    for x in sequence:
        state = hyperbolic(np.dot(Wxh, x) + np.dot(Whh, state) + bh)
        scores = np.exp(np.dot(Why, state) + by)
        states.append(state.copy())
        outputs.append(scores / np.sum(scores))
    return states, outputs


def behind_the_loss(sequence, states, errors, weights, limit=0.25):
    """The backward, split off behind the loss: ``errors`` are the gradients of the scores."""
    Wxh, Whh, Why, _, _ = weights
    gradients = [np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(states[0])]
    later = np.zeros_like(states[0])
    for t in range(len(states) - 1, -1, -1):
        error = np.dot(Why.T, errors[t]) + later
        inside = error * hyperbolic(states[t], derivative=True)
        gradients[0] += np.dot(inside, sequence[t].T)
        gradients[1] += np.dot(inside, states[t - 1].T)
        gradients[2] += inside
        later = np.dot(Whh.T, inside)
    length = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients))
    if length > limit:
        gradients = [gradient * (limit / (length + 1e-6)) for gradient in gradients]
    return gradients


def loss_split_off(problem):
    """Each row is a sequence of columns; the outputs are the states."""
    eye, zeros = np.identity(len(problem.b), problem.b.dtype), np.zeros_like(problem.b)
    weights = problem.Wx.T, problem.Wh.T, eye, problem.b[:, None], zeros[:, None]
    hs, totals = [], [0, 0, 0]
    columns = (array[..., None] for array in (problem.xs, problem.h_0, problem.dhs))
    for sequence, first, errors in zip(*columns, strict=True):
        states, _ = states_and_outputs(sequence, first, weights)
        hs.append(np.concatenate(states, axis=1).T)
        found = behind_the_loss(sequence, states, errors, weights)
        totals = [total + gradient for total, gradient in zip(totals, found, strict=True)]
    dWx, dWh, db = totals
    return {"hs": np.array(hs), "h_n": np.array(hs)[:, -1], "dWx": dWx.T, "dWh": dWh.T, "db": db[:, 0]}


class LastOutputNet:
    """Rows [1, n], and a loss of the last output alone."""

    def __init__(self, w_x, w_h, w_y, bias):
        self.w_x, self.w_h, self.w_y, self.bias = w_x, w_h, w_y, bias

    def forward(self, sequence):
        state = np.zeros((1, self.w_h.shape[0]))
        self.states = []
        for x in sequence:
            state = np.tanh(np.dot(x, self.w_x) + np.dot(state, self.w_h) + self.bias)
            self.states.append(state)
        return np.dot(state, self.w_y)

    def backward(self, sequence, error):
        d_x, d_h, d_bias = np.zeros(self.w_x.shape), np.zeros(self.w_h.shape), np.zeros(self.bias.shape)
        from_output = np.dot(error, self.w_y.T)
        gradient = np.zeros_like(from_output)
        for t in range(len(sequence) - 1, -1, -1):
            gradient = from_output + np.dot(gradient, self.w_h.T)
            inside = gradient * (1 - self.states[t] ** 2)
            d_x += np.outer(sequence[t], inside)
            d_h += np.outer(self.states[t - 1], inside)
            d_bias += inside
        return d_x, d_h, d_bias


def last_output(problem):
    """The outputs are the states, and one row comes after another."""
    h_n, totals = [], (0, 0, 0)
    for sequence, errors in zip(problem.xs, problem.dhs, strict=True):
        net = LastOutputNet(problem.Wx, problem.Wh, np.identity(len(problem.b)), problem.b[None])
        h_n.append(net.forward(sequence)[0])
        found = net.backward(sequence, errors[-1:])
        totals = tuple(total + part for total, part in zip(totals, found, strict=True))
    return {"h_n": np.array(h_n), "dWx": totals[0], "dWh": totals[1], "db": totals[2][0]}


class UpdatesItself:
    """Column vectors, one output at the end, and descent in the backward."""

    def __init__(self, inputs, units, rate):
        self.w_in, self.w_rec = np.ones((inputs, units)), np.ones((units, units))
        self.bias, self.w_out, self.rate = np.zeros((units, 1)), np.ones((units, 1)), rate

    def feed(self, sequence):
        self.columns = [np.reshape(x, (-1, 1)) for x in sequence]
        self.states = [np.zeros_like(self.bias)]
        for x in self.columns:
            total = np.dot(self.w_in.T, x) + np.dot(self.w_rec.T, self.states[-1]) + self.bias
            self.states.append(np.tanh(total))
        return np.dot(self.w_out.T, self.states[-1])

    def learn(self, error):
        d_in, d_rec, d_bias = np.zeros_like(self.w_in), np.zeros_like(self.w_rec), np.zeros_like(self.bias)
        chain = error * self.w_out
        for x, before, after in zip(self.columns[::-1], self.states[-2::-1], self.states[:0:-1], strict=True):
            chain = chain * (1 - after**2)
            d_in += np.dot(x, chain.T)
            d_rec += np.dot(before, chain.T)
            d_bias += chain
            chain = np.dot(self.w_rec, chain)
        self.w_in = self.w_in - self.rate * d_in
        self.w_rec = self.w_rec - self.rate * d_rec
        self.bias = self.bias - self.rate * d_bias


RATE = 2.0**40
"""So large that the weights themselves round nothing away of what is taken from them."""


def update_inside(problem):
    """Gradients are what a step of descent took away, over the rate."""
    h_n, totals = [], [0, 0, 0]
    given = problem.Wx, problem.Wh, problem.b[:, None]
    for sequence, errors in zip(problem.xs, problem.dhs, strict=True):
        net = UpdatesItself(*problem.Wx.shape, RATE)
        net.w_in, net.w_rec, net.bias = given
        net.w_out = errors[-1][:, None]
        net.feed(sequence)
        h_n.append(net.states[-1][:, 0])
        net.learn(1.0)
        left = net.w_in, net.w_rec, net.bias
        taken = [(old - new) / RATE for old, new in zip(given, left, strict=True)]
        totals = [total + part for total, part in zip(totals, taken, strict=True)]
    return {"h_n": np.array(h_n), "dWx": totals[0], "dWh": totals[1], "db": totals[2][:, 0]}


class NotebookCell:
    """The cell of the notebook: one step, whose derivative forgets what comes in."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(param) for param in self.params]
        self.memo = None

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(h_prev @ Wh + x @ Wx + b)
        self.memo = x, h_prev, h_next
        return h_next

    def backward(self, dh_next):
        Wx, Wh, _ = self.params
        x, h_prev, h_next = self.memo
        dz = 1 - h_next * h_next
        for grad, value in zip(self.grads, (x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)), strict=True):
            grad[...] = value
        return dz @ Wx.T, dz @ Wh.T


class NotebookLayer:
    """The layer of the notebook: its cells, buffers by dtype='f', the state as it is given."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(param) for param in self.params]
        self.cells = []
        self.h = self.dh = None
        self.stateful = stateful

    def set_state(self, h):
        self.h = h

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        batch, steps, _ = xs.shape
        hidden = self.params[1].shape[0]
        hs = np.empty((batch, steps, hidden), dtype="f")
        if self.h is None or not self.stateful:
            self.h = np.zeros((batch, hidden), dtype="f")
        self.cells = [NotebookCell(*self.params) for _ in range(steps)]
        for t, cell in enumerate(self.cells):
            self.h = cell.forward(xs[:, t], self.h)
            hs[:, t] = self.h
        return hs

    def backward(self, dhs):
        batch, steps, _ = dhs.shape
        dxs = np.empty((batch, steps, self.params[0].shape[0]), dtype="f")
        sums = [0 * grad for grad in self.grads]
        dh = 0
        for t in range(steps - 1, -1, -1):
            dxs[:, t], dh = self.cells[t].backward(dhs[:, t] + dh)
            for total, grad in zip(sums, self.cells[t].grads, strict=True):
                total += grad
        for grad, total in zip(self.grads, sums, strict=True):
            grad[...] = total
        self.dh = dh
        return dxs


@dataclass(frozen=True, slots=True)
class Stranger:
    """Code of a stranger, and what is true of it.

    Attributes:
        name: what it is called in tests.
        target: the function or class that the gate is given.
        interface: the value of ``--as``.
        without: the names for ``--without``: what it lacks.
        faults: what is wrong, by the catalogue's names (the nearest one where there is none); none if it
            is right.
        sentence: all of it in plain words.
        advice: what right code does too, by the names of the checks' faults.
        meant: what the gate sees and the author means, by the catalogue's names.
    """

    name: str
    target: Any
    interface: str
    without: tuple[str, ...]
    faults: tuple[str, ...]
    sentence: str
    advice: tuple[str, ...] = ()
    meant: tuple[str, ...] = ()


_GRADIENTS = ("dx", "dh_0", "dWx", "dWh", "db")
_OPTIONS = ("layers", "bidirectional", "no-bias", "batch-first", "unbatched", "packed", "lengths", "dropout")
_MANY_TO_ONE = ("hs", "dx", "dh_0", "initial-state", "dense-gradient")
_THROUGH_IDENTITY = "non-finite"
"""A product with an identity matrix, for code that has a matrix of outputs, spreads NaN and infinity."""
_BY_REFERENCE = ("results are the cache", "backward reads the current weights", "inputs kept by reference")
_DOUBLE = ("float32 in, float64 out",)

STRANGERS = [
    Stranger(
        "library layer",
        library_layer,
        "adapter",
        ("dh_0",),
        ("tanh taken again in the slope", "db from the upstream gradient", "dx without the carry"),
        "the slope takes the tanh of the state once more, db sums the upstream gradient, and dx is the "
        "upstream gradient through Wh^T and Wx^T, with neither slope nor carry",
        advice=_DOUBLE,
    ),
    Stranger(
        "line break",
        broken_lines,
        "adapter",
        _GRADIENTS,
        ("sum broken over lines", "nonlinearity missing"),
        "the recurrent term and the bias are lost, and there is no tanh",
    ),
    Stranger(
        "line break, tanh behind",
        broken_lines_with_tanh,
        "adapter",
        _GRADIENTS,
        ("sum broken over lines",),
        "the recurrent term and the bias are lost",
    ),
    Stranger(
        "truncated, an optimizer inside",
        truncated_with_ones,
        "adapter",
        ("dh_0", "initial-state", _THROUGH_IDENTITY),
        ("truncated backpropagation", "dx without the carry"),
        "each output's gradient goes back six steps at most, and dx is that of its own output alone",
        advice=_DOUBLE,
    ),
    Stranger(
        "truncated, weights only",
        truncated_weights_only,
        "adapter",
        ("dx", "dh_0", "initial-state", _THROUGH_IDENTITY),
        ("truncated backpropagation",),
        "each output's gradient goes back six steps at most",
        advice=_DOUBLE,
    ),
    Stranger(
        "loss inside, split off",
        loss_split_off,
        "adapter",
        ("dx", "dh_0", _THROUGH_IDENTITY),
        (
            "tanh taken again in the slope",
            "dWh with the last state at the first step",
            "gradients scaled down to a norm",
            "constant inside the nonlinearity",
        ),
        "the slope takes the tanh of the state once more, dWh pairs step 0 with the last state, each "
        "sequence's gradients are scaled down to a norm of 0.25, and 1e-12 is added in the tanh",
    ),
    Stranger(
        "relu cell, many to one",
        ReluManyToOne,
        "module",
        ("hs", "dx", "dh_0", "initial-state", "dense-gradient", *_OPTIONS),
        ("relu mask true everywhere", "carry through Wh not transposed"),
        "relu's mask is that of the state before, which is never below 0, and the carry goes through Wh",
        advice=("backward reads the current weights",),
        meant=("relu in place of tanh",),
    ),
    Stranger(
        "relu, a function of torch",
        ReluOfTorch,
        "module",
        _OPTIONS,
        ("db times a size", "d_h_n not used"),
        "bias_ih's gradient is D times too large and bias_hh's H times, and the gradient of h_n is not used",
        advice=_DOUBLE,
        meant=("relu in place of tanh",),
    ),
    Stranger(
        "last output",
        last_output,
        "adapter",
        (*_MANY_TO_ONE, _THROUGH_IDENTITY),
        (
            "last upstream gradient at every step",
            "carry without the slope",
            "dWh with the last state at the first step",
        ),
        "the last output's gradient enters at every step, the carry is not multiplied by the slope, and dWh "
        "pairs step 0 with the last state",
        advice=_DOUBLE,
    ),
    Stranger(
        "two directions",
        TwoWays,
        "module",
        (
            *("dx", "dh_0", "dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh", "relu"),
            *(name for name in _OPTIONS if name != "bidirectional"),
        ),
        (),
        "nothing: it is right",
    ),
    Stranger(
        "update inside",
        update_inside,
        "adapter",
        _MANY_TO_ONE,
        (),
        "nothing: it is right",
    ),
    Stranger(
        "notebook, cell",
        NotebookCell,
        "cell",
        (),
        ("upstream gradient dropped",),
        "dz = 1 - h^2, the upstream gradient is dropped",
        advice=_BY_REFERENCE,
    ),
    Stranger(
        "notebook, layer",
        NotebookLayer,
        "layer",
        (),
        ("upstream gradient dropped", "buffers fixed to float32"),
        "dz = 1 - h^2, the upstream gradient is dropped, and hs and dxs are float32",
        advice=(*_BY_REFERENCE, "set_state keeps the caller's array"),
    ),
]
