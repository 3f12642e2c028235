"""A torch Module with parameters of its own, stored [in, out]; time comes first."""

import math

import torch


class HandmadeRNN(torch.nn.Module):
    def __init__(self, input_size, state_size):
        super().__init__()
        self.input_size = input_size
        self.state_size = state_size
        self.W_x = torch.nn.Parameter(torch.empty(input_size, state_size))
        self.W_s = torch.nn.Parameter(torch.empty(state_size, state_size))
        self.b = torch.nn.Parameter(torch.zeros(state_size))
        self.reset_parameters()

    def reset_parameters(self):
        bound = 1 / math.sqrt(self.state_size)
        for weight in (self.W_x, self.W_s):
            torch.nn.init.uniform_(weight, -bound, bound)

    def init_state(self, batch_size):
        return self.b.new_zeros(batch_size, self.state_size)

    def forward(self, sequence, state=None):
        """Take [time, batch, input_size]; return the states in the same order."""
        if state is None:
            state = self.init_state(sequence.size(1))
        projected = sequence @ self.W_x
        projected = projected + self.b
        result = []
        for row in projected:
            recurrent = state @ self.W_s
            state = (row + recurrent).tanh()
            result.append(state)
        return torch.stack(result)


def count_weights(model):
    """How many numbers the model learns."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
