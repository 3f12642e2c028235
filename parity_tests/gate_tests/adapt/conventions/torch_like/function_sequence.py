"""A torch.autograd.Function over a whole sequence, with the backward written by hand."""

import torch


class ElmanFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, h0, weight_x, weight_h, bias):
        """Take x [batch, time, in] and weights [in, out]; return the states [batch, time, out]."""
        h = h0
        states = []
        for t in range(x.shape[1]):
            h = torch.tanh(x[:, t] @ weight_x + h @ weight_h + bias)
            states.append(h)
        hs = torch.stack(states, dim=1)
        ctx.save_for_backward(x, h0, weight_x, weight_h, hs)
        return hs

    @staticmethod
    def backward(ctx, grad_hs):
        x, h0, weight_x, weight_h, hs = ctx.saved_tensors
        grad_x = torch.zeros_like(x)
        grad_weight_x = torch.zeros_like(weight_x)
        grad_weight_h = torch.zeros_like(weight_h)
        grad_bias = torch.zeros(weight_h.shape[1], dtype=x.dtype)
        grad_h = torch.zeros_like(h0)
        for t in reversed(range(x.shape[1])):
            grad_h = grad_h + grad_hs[:, t]
            delta = grad_h * (1 - hs[:, t].pow(2))
            before = hs[:, t - 1] if t > 0 else h0
            grad_weight_x += x[:, t].t() @ delta
            grad_weight_h += before.t() @ delta
            grad_bias += delta.sum(0)
            grad_x[:, t] = delta @ weight_x.t()
            grad_h = delta @ weight_h.t()
        return grad_x, grad_h, grad_weight_x, grad_weight_h, grad_bias


def elman(x, h0, weight_x, weight_h, bias):
    """The function, to be called."""
    return ElmanFunction.apply(x, h0, weight_x, weight_h, bias)
