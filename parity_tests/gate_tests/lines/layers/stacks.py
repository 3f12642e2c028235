"""Modules made by sizes, with several layers."""

import numpy as np


class StackedRNN:
    """Layers above one another, each with a list of its steps."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", dtype=np.float32):
        self.hidden_size, self.num_layers, self.nonlinearity = hidden_size, num_layers, nonlinearity
        self.grads = {}
        rng = np.random.default_rng(0)
        for layer in range(num_layers):
            shapes = {
                "weight_ih": (hidden_size, hidden_size if layer else input_size),
                "weight_hh": (hidden_size, hidden_size),
                "bias_ih": (hidden_size,),
                "bias_hh": (hidden_size,),
            }
            for name, shape in shapes.items():
                setattr(self, f"{name}_l{layer}", rng.normal(0, 0.1, shape).astype(dtype))
                self.grads[f"{name}_l{layer}"] = np.zeros(shape, dtype)

    def weights(self, layer):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}_l{layer}") for name in names]

    def activation(self, z):
        return np.tanh(z) if self.nonlinearity == "tanh" else np.maximum(z, 0)

    def derivative(self, h):
        return 1 - h**2 if self.nonlinearity == "tanh" else np.where(h > 0, 1, 0).astype(h.dtype)

    def forward(self, x, hx=None):
        T, B, _ = x.shape
        if hx is None:
            hx = np.zeros((self.num_layers, B, self.hidden_size), x.dtype)
        self.steps, last = [], []
        sequence = x
        for layer in range(self.num_layers):
            W_ih, W_hh, b_ih, b_hh = self.weights(layer)
            h, outputs, steps = hx[layer], [], []
            for t in range(T):
                new = self.activation(sequence[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
                steps.append((sequence[t], h, new))
                outputs.append(new)
                h = new
            self.steps.append(steps)
            last.append(h)
            sequence = np.stack(outputs)
        return sequence, np.stack(last)

    def backward(self, d_output, d_h_n=None):
        T, B = len(self.steps[0]), self.steps[0][0][0].shape[0]
        zeros = np.zeros((self.num_layers, B, self.hidden_size), self.weight_hh_l0.dtype)
        d_h_n = zeros if d_h_n is None else d_h_n
        d_sequence = np.zeros((T, *zeros.shape[1:]), zeros.dtype) if d_output is None else d_output
        d_hx = np.zeros_like(zeros)
        for layer in range(self.num_layers - 1, -1, -1):
            W_ih, W_hh, _, _ = self.weights(layer)
            gW_ih, gW_hh, gb = np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(W_hh[0])
            dh, d_below = d_h_n[-1], [None] * T
            for t in range(T - 1, -1, -1):
                x, h, new = self.steps[layer][t]
                dz = (d_sequence[t] + dh) * self.derivative(new)
                gW_ih += dz.T @ x
                gW_hh += dz.T @ h
                gb += dz.sum(axis=0)
                d_below[t] = dz @ W_ih
                dh = dz @ W_hh
            d_hx[layer] = dh
            d_sequence = np.stack(d_below)
            found = {"weight_ih": gW_ih, "weight_hh": gW_hh, "bias_ih": gb, "bias_hh": gb}
            for name, value in found.items():
                self.grads[f"{name}_l{layer}"][...] = value
        return d_sequence, d_hx


class Level:
    """One layer; knows its number, and writes into the gradients of the whole."""

    def __init__(self, owner, number):
        self.owner, self.number = owner, number

    def __getattr__(self, name):
        return getattr(self.owner, f"{name}_l{self.number}")

    def put(self, name, value):
        self.owner.grads[f"{name}_l{self.number}"][...] = value

    def up(self, xs, h):
        bias = self.bias_ih + self.bias_hh
        self.xs, self.hs = xs, [h]
        for x in xs:
            z = x @ self.weight_ih.T + h @ self.weight_hh.T + bias
            h = np.maximum(z, 0) if self.owner.relu else np.tanh(z)
            self.hs.append(h)
        return np.array(self.hs[1:]), h

    def slope(self, t):
        if not self.owner.relu:
            return 1 - self.hs[t + 1] ** 2
        return self.hs[t] > 0

    def down(self, upstream, carry):
        dzs = []
        for t in reversed(range(len(self.xs))):
            dzs.append((upstream[t] + carry) * self.slope(t))
            carry = dzs[-1] @ self.weight_hh
        dzs = np.array(dzs[::-1])
        self.put("weight_ih", np.einsum("tbh,tbi->hi", dzs, self.xs))
        self.put("weight_hh", np.einsum("tbh,tbj->hj", dzs, np.array(self.hs[:-1])))
        self.put("bias_ih", dzs.sum(axis=(0, 1)))
        self.put("bias_hh", dzs.sum(axis=(0, 1)))
        return dzs @ self.weight_ih, carry


class LeveledRNN:
    """Levels with their parameters in one place."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", dtype=np.float32):
        self.relu = nonlinearity == "relu"
        self.hidden_size, self.dtype, self.grads = hidden_size, np.dtype(dtype), {}
        for n in range(num_layers):
            self._add(f"weight_ih_l{n}", (hidden_size, hidden_size if n else input_size))
            self._add(f"weight_hh_l{n}", (hidden_size, hidden_size))
            self._add(f"bias_ih_l{n}", (hidden_size,))
            self._add(f"bias_hh_l{n}", (hidden_size,))
        self.levels = [Level(self, n) for n in range(num_layers)]

    def _add(self, name, shape):
        setattr(self, name, np.full(shape, 0.1, self.dtype))
        self.grads[name] = np.zeros(shape, self.dtype)

    def forward(self, x, hx=None):
        final = []
        for n, level in enumerate(self.levels):
            start = np.zeros((x.shape[1], self.hidden_size), self.dtype) if hx is None else hx[n]
            x, h = level.up(x, start)
            final.append(h)
        return x, np.array(final)

    def backward(self, d_output, d_h_n=None):
        shape = (len(self.levels[0].xs), self.levels[0].xs.shape[1], self.hidden_size)
        upstream = np.zeros(shape, self.dtype) if d_output is None else d_output
        first = []
        for n, level in reversed(list(enumerate(self.levels))):
            carry = np.zeros(shape[1:], self.dtype) if d_h_n is None else d_h_n[n]
            upstream, carry = level.down(upstream, carry)
            first.insert(0, carry)
        return upstream, np.array(first)
