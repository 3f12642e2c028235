"""Code of strangers that has a place in torch's interface only: relu, two directions, both biases."""

import numpy as np


class ReluUnit:
    """One step with relu; gradients are attributes."""

    def __init__(self, w_in, w_rec, bias):
        self.w_in, self.w_rec, self.bias = w_in, w_rec, bias

    def forward(self, x, state):
        total = np.dot(x, self.w_in) + np.dot(state, self.w_rec) + self.bias
        total[total < 0] = 0
        return total

    def backward(self, error, x, state):
        error = np.where(state < 0, 0, error)
        self.d_in, self.d_rec, self.d_bias = np.outer(x, error), np.outer(state, error), error
        return np.dot(error, self.w_rec)


class ReluChain:
    """A loop over one sequence that gives its last state."""

    def __init__(self, unit):
        self.unit = unit

    def forward(self, sequence):
        state = np.zeros_like(self.unit.bias)
        self.seen = []
        for x in sequence:
            self.seen.append((x, state))
            state = self.unit.forward(x, state)
        return state

    def backward(self, error):
        totals = [0, 0, 0]
        for x, state in reversed(self.seen):
            error = self.unit.backward(error, x, state)
            found = self.unit.d_in, self.unit.d_rec, self.unit.d_bias
            totals = [total + part for total, part in zip(totals, found, strict=True)]
        return totals


NAMES = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"


class ReluManyToOne:
    """The chain dressed as torch's layer, because relu has a place there only."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", dtype=np.float32):
        D, H = input_size, hidden_size
        shapes = dict(zip(NAMES, ((H, D), (H, H), (H,), (H,)), strict=True))
        self.grads = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
        self.load_state_dict(self.grads)

    def load_state_dict(self, state):
        for name in NAMES:
            setattr(self, name, np.array(state[name]))

    def forward(self, x):
        bias = self.bias_ih_l0 + self.bias_hh_l0
        self.chains = [ReluChain(ReluUnit(self.weight_ih_l0.T, self.weight_hh_l0.T, bias)) for _ in x[0]]
        rows = x.swapaxes(0, 1).copy()
        return None, np.stack([chain.forward(row) for chain, row in zip(self.chains, rows, strict=True)])[
            None
        ]

    __call__ = forward

    def backward(self, d_output, d_h_n=None):
        errors = np.zeros_like(self.grads["bias_ih_l0"])
        if d_output is not None:
            errors = errors + d_output[-1]
        if d_h_n is not None:
            errors = errors + d_h_n[0]
        found = [chain.backward(error) for chain, error in zip(self.chains, errors, strict=True)]
        d_in, d_rec, d_bias = (sum(parts) for parts in zip(*found, strict=True))
        for name, gradient in zip(NAMES, (d_in.T, d_rec.T, d_bias, d_bias), strict=True):
            self.grads[name][...] = gradient
        return None, None


def relu_function():
    """Return the autograd function of somebody who has torch; relu, [B, T, D], results always double."""
    import torch

    class Relu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, first, w_in, w_rec, b_in, b_rec):
            states = torch.zeros(len(x), x.shape[1], len(w_rec), dtype=torch.float64)
            state = first[0]
            for t in range(x.shape[1]):
                state = torch.clamp(x[:, t] @ w_in.T + b_in + state @ w_rec.T + b_rec, min=0)
                states[:, t] = state
            ctx.save_for_backward(x, first, states, w_in, w_rec)
            return states, states[:, -1:].transpose(0, 1)

        @staticmethod
        def backward(ctx, errors, error_of_last):
            x, first, states, w_in, w_rec = (saved.double() for saved in ctx.saved_tensors)
            d_in, d_rec = torch.zeros_like(w_in), torch.zeros_like(w_rec)
            db_in, db_rec = torch.zeros_like(w_rec[0]), torch.zeros_like(w_rec[0])
            dx, later = torch.zeros_like(x), torch.zeros_like(first[0])
            for t in range(x.shape[1] - 1, -1, -1):
                before = states[:, t - 1] if t > 0 else first[0]
                inside = torch.where(states[:, t] > 0, errors[:, t] + later, 0.0)
                d_in += inside.T @ x[:, t]
                d_rec += inside.T @ before
                db_in += (torch.ones_like(x[:, t]).T @ inside).sum(dim=0)
                db_rec += (torch.ones_like(before).T @ inside).sum(dim=0)
                dx[:, t], later = inside @ w_in, inside @ w_rec
            return dx, later[None], d_in, d_rec, db_in, db_rec

    return Relu


class ReluOfTorch:
    """That function dressed as torch's layer, with arrays for tensors."""

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", dtype=np.float32):
        D, H = input_size, hidden_size
        self.hidden_size = H
        self.grads = dict(zip(NAMES, (np.zeros(s, dtype) for s in ((H, D), (H, H), (H,), (H,))), strict=True))
        self.load_state_dict(self.grads)

    def load_state_dict(self, state):
        for name in NAMES:
            setattr(self, name, np.array(state[name]))

    def forward(self, x, hx=None):
        import torch

        if hx is None:
            hx = np.zeros((1, x.shape[1], self.hidden_size), x.dtype)
        arrays = x.swapaxes(0, 1), hx, *(getattr(self, name) for name in NAMES)
        self.leaves = [torch.tensor(array.copy(), requires_grad=True) for array in arrays]
        self.results = relu_function().apply(*self.leaves)
        states, last = (result.detach().numpy().copy() for result in self.results)
        return states.swapaxes(0, 1), last

    __call__ = forward

    def backward(self, d_output, d_h_n=None):
        import torch

        given = None if d_output is None else d_output.swapaxes(0, 1), d_h_n
        errors = [
            torch.zeros_like(result) if error is None else torch.tensor(error.copy()).double()
            for error, result in zip(given, self.results, strict=True)
        ]
        found = torch.autograd.grad(self.results, self.leaves, errors, retain_graph=True)
        dx, dh_0, *gradients = (gradient.numpy() for gradient in found)
        for name, gradient in zip(NAMES, gradients, strict=True):
            self.grads[name][...] = gradient
        return dx.swapaxes(0, 1), dh_0


class TwoWayCell:
    """One matrix for [state, input] in each direction."""

    def __init__(self, ahead, back):
        self.ahead, self.back = ahead, back

    def step(self, way, state, x):
        weight, bias = way
        return np.tanh(np.dot(np.hstack((state, x)), weight) + bias)

    def scan(self, inputs, from_left, from_right):
        left, right = [from_left], [from_right]
        for x in inputs:
            left.append(self.step(self.ahead, left[-1], x))
        for x in inputs[::-1]:
            right.append(self.step(self.back, right[-1], x))
        return np.concatenate((left[1:], right[:0:-1]), axis=2)


class TwoWays:
    """The cell dressed as torch's layer; of one direction it gives half of what it has."""

    def __init__(self, input_size, hidden_size, num_layers=1, bidirectional=False, dtype=np.float32):
        self.hidden_size, self.dtype = hidden_size, dtype
        self.endings = ("", "_reverse") if bidirectional else ("",)

    def load_state_dict(self, state):
        for name, value in state.items():
            setattr(self, name, np.array(value, self.dtype))

    def way(self, ending):
        w_in, w_rec, b_in, b_rec = (getattr(self, name + ending) for name in NAMES)
        return np.concatenate((w_rec, w_in), axis=1).T, b_in + b_rec

    def forward(self, x, hx=None):
        H = self.hidden_size
        firsts = np.zeros((len(self.endings), x.shape[1], H), x.dtype) if hx is None else hx
        both = TwoWayCell(self.way(self.endings[0]), self.way(self.endings[-1])).scan(
            x, firsts[0], firsts[-1]
        )
        if len(self.endings) == 1:
            return both[:, :, :H].copy(), both[-1:, :, :H].copy()
        return both, np.stack((both[-1, :, :H], both[0, :, H:]))

    __call__ = forward
