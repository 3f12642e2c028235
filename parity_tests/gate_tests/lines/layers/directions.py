"""Modules made by sizes, that read a sequence from both ends."""

import numpy as np

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def make_parameters(module, width, hidden_size, tail, dtype):
    shapes = ((hidden_size, width), (hidden_size, hidden_size), (hidden_size,), (hidden_size,))
    for name, shape in zip(NAMES, shapes, strict=True):
        setattr(module, name + tail, np.zeros(shape, dtype))
        module.grads[name + tail] = np.zeros(shape, dtype)


def read(xs, h, weights):
    """One direction, in the order of xs [T, B, *]."""
    W, U, b, c = weights
    states = [h]
    for x in xs:
        states.append(np.tanh(x @ W.T + b + states[-1] @ U.T + c))
    return states


def read_back(xs, states, upstream, carry, weights):
    """The gradients of a direction, in the order of xs."""
    W, U, _, _ = weights
    dzs = np.zeros_like(upstream)
    for t in range(len(xs) - 1, -1, -1):
        dzs[t] = (upstream[t] + carry) * (1 - states[t + 1] ** 2)
        carry = dzs[t] @ U
    flat = dzs.reshape(-1, len(U))
    dW = flat.T @ xs.reshape(len(flat), -1)
    dU = flat.T @ np.stack(states[:-1]).reshape(flat.shape)
    return dzs @ W, carry, (dW, dU, flat.sum(axis=0), flat.sum(axis=0))


class BidirectionalRNN:
    """One layer, in one direction or both."""

    def __init__(self, input_size, hidden_size, bidirectional=False, dtype=np.float32):
        self.hidden_size, self.dtype, self.grads = hidden_size, dtype, {}
        self.tails = ("", "_reverse") if bidirectional else ("",)
        for tail in self.tails:
            make_parameters(self, input_size, hidden_size, "_l0" + tail, dtype)

    def weights(self, tail):
        return [getattr(self, f"{name}_l0{tail}") for name in NAMES]

    def forward(self, x, hx=None):
        if hx is None:
            hx = np.zeros((len(self.tails), x.shape[1], self.hidden_size), self.dtype)
        self.x = np.ascontiguousarray(x)
        self.ahead = read(self.x, hx[0], self.weights(""))
        outputs, last = [np.stack(self.ahead[1:])], [self.ahead[-1]]
        if len(self.tails) == 2:
            self.behind = read(self.x[::-1], hx[1], self.weights("_reverse"))
            outputs.append(np.stack(self.behind[1:]))
            last.append(self.behind[-1])
        return np.concatenate(outputs, axis=-1), np.stack(last)

    def backward(self, d_output, d_h_n=None):
        H, n, B = self.hidden_size, len(self.tails), self.x.shape[1]
        d_output = np.zeros((len(self.x), B, n * H), self.dtype) if d_output is None else d_output
        d_h_n = np.zeros((n, B, H), self.dtype) if d_h_n is None else d_h_n
        args = self.x, self.ahead, d_output[..., :H], d_h_n[0], self.weights("")
        dx, first, found = read_back(*args)
        self.write("", found)
        d_hx = [first]
        if n == 2:
            args = self.x[::-1], self.behind, d_output[::-1, :, H:], d_h_n[1], self.weights("_reverse")
            turned, first, found = read_back(*args)
            self.write("_reverse", found)
            dx = dx + turned[::-1]
            d_hx.append(first)
        return dx, np.stack(d_hx)

    def write(self, tail, found):
        for name, value in zip(NAMES, found, strict=True):
            self.grads[f"{name}_l0{tail}"][...] = value


class DeepBidirectional:
    """Several layers, each of which reads the outputs of both directions below."""

    def __init__(self, input_size, hidden_size, num_layers=1, bidirectional=False, dtype=np.float32):
        self.H, self.layers, self.sides = hidden_size, num_layers, 1 + bidirectional
        self.dtype, self.grads = dtype, {}
        for layer in range(num_layers):
            width = self.sides * hidden_size if layer else input_size
            for side in range(self.sides):
                make_parameters(self, width, hidden_size, self.tail(layer, side), dtype)

    def tail(self, layer, side):
        return f"_l{layer}" + "_reverse" * side

    def weights(self, layer, side):
        return [getattr(self, name + self.tail(layer, side)) for name in NAMES]

    def forward(self, x, hx=None):
        if hx is None:
            hx = np.zeros((self.layers * self.sides, x.shape[1], self.H), self.dtype)
        self.memo, finals, level = {}, [], np.ascontiguousarray(x)
        for layer in range(self.layers):
            halves = []
            for side in range(self.sides):
                turn = slice(None, None, -1 if side else 1)
                states = read(level[turn], hx[layer * self.sides + side], self.weights(layer, side))
                self.memo[layer, side] = level[turn], states
                halves.append(np.stack(states[1:])[turn])
                finals.append(states[-1])
            level = np.concatenate(halves, axis=2)
        return level, np.stack(finals)

    def backward(self, d_output, d_h_n=None):
        T, B = self.memo[0, 0][0].shape[:2]
        S, H = self.sides, self.H
        up = np.zeros((T, B, S * H), self.dtype) if d_output is None else d_output
        d_last = np.zeros((self.layers * S, B, H), self.dtype) if d_h_n is None else d_h_n
        d_hx = np.zeros_like(d_last)
        for layer in range(self.layers - 1, -1, -1):
            down = 0
            for side in range(S):
                turn, k = slice(None, None, -1 if side else 1), layer * S + side
                half = up[turn, :, :H]
                weights = self.weights(layer, side)
                dx, d_hx[k], found = read_back(*self.memo[layer, side], half, d_last[k], weights)
                down = dx[turn]
                for name, value in zip(NAMES, found, strict=True):
                    self.grads[name + self.tail(layer, side)][...] = value
            up = down
        return up, d_hx
