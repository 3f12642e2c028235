"""A torch.autograd.Function of one step of one sample; a loop over it is the layer."""

import torch


class StepFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, h, W, R, b):
        """Take vectors x [in] and h [out], matrices W [out, in] and R [out, out]."""
        a = torch.mv(W, x)
        a = a + torch.mv(R, h)
        a = a + b
        new = torch.tanh(a)
        ctx.save_for_backward(x, h, W, R, new)
        return new

    @staticmethod
    def backward(ctx, grad_new):
        x, h, W, R, new = ctx.saved_tensors
        grad_a = grad_new * (1 - new * new)
        grad_x = torch.mv(W.t(), grad_a)
        grad_h = torch.mv(R.t(), grad_a)
        grad_W = torch.outer(grad_a, x)
        grad_R = torch.outer(grad_a, h)
        grad_b = grad_a.clone()
        return grad_x, grad_h, grad_W, grad_R, grad_b


def run(xs, h, W, R, b):
    """Take a sequence [time, in]; return the states [time, out]."""
    states = []
    for x in xs:
        h = StepFunction.apply(x, h, W, R, b)
        states.append(h)
    return torch.stack(states)


def fresh_weights(features, units, seed=0):
    """Return W, R and b, to be trained."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (units, features), (units, units), (units,)
    return [(0.1 * torch.randn(shape, generator=generator)).requires_grad_() for shape in shapes]
