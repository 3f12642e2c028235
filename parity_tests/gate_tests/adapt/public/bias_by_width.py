"""An extension of torch's autograd, with relu; [B, T, D], the initial state as torch has it, two biases.

Whatever comes in, double comes out. Wrong are both bias gradients, and a gradient that is not looked at.
"""

import torch
from torch.autograd import Function


class ReluSequence(Function):
    @staticmethod
    def forward(ctx, x, hx, w_ih, w_hh, b_ih, b_hh):
        from_input = torch.einsum("btd,hd->tbh", x, w_ih) + b_ih
        states = [hx[0]]
        for step in from_input:
            states.append((step + torch.mm(states[-1], w_hh.t()) + b_hh).clamp(min=0))
        output = torch.stack(states[1:], dim=1).to(torch.float64)
        ctx.save_for_backward(x, torch.stack(states), w_ih, w_hh)
        return output, output[:, -1].unsqueeze(0)

    @staticmethod
    def backward(ctx, grad_output, grad_hn):
        # Wrong: grad_hn stays out.
        x, states, w_ih, w_hh = (tensor.double() for tensor in ctx.saved_tensors)
        steps, (batch, hidden) = x.size(1), states[0].shape
        back = states.new_zeros(batch, hidden)
        deltas = []
        for t in range(steps, 0, -1):
            delta = (grad_output[:, t - 1] + back).masked_fill(states[t] <= 0, 0)
            deltas.insert(0, delta)
            back = torch.mm(delta, w_hh)
        delta = torch.stack(deltas)
        grad_w_ih = torch.einsum("tbh,btd->hd", delta, x)
        grad_w_hh = torch.einsum("tbh,tbk->hk", delta, states[:-1])
        # Wrong: a column of ones was meant, and there are as many as the other factor is wide.
        summed = [torch.ones(width, batch).double() @ delta for width in (x.size(2), hidden)]
        grad_b_ih, grad_b_hh = (each.sum(dim=(0, 1)) for each in summed)
        grad_x = torch.einsum("tbh,hd->btd", delta, w_ih)
        return grad_x, back.unsqueeze(0), grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh
