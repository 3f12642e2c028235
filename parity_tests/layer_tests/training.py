"""The character model of ``rnn_np.examples.character_model``, trained in torch from the same weights.

The NumPy half is the example itself; ``train_numpy`` is its ``train``.
"""

from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array
from rnn_np.examples.character_model import CLIP, RATE, Weights, text
from rnn_np.examples.character_model import batches as one_hot_batches
from rnn_np.examples.character_model import first_weights as weights
from rnn_np.examples.character_model import train as train_numpy

__all__ = ["one_hot_batches", "text", "train_numpy", "train_torch", "weights"]


def train_torch(first: Weights, inputs: Array, targets: Array) -> list[float]:
    """Train the same model in torch; return the loss of every update."""
    import torch

    V, H = first.Wx.shape
    rnn = torch.nn.RNN(V, H, batch_first=True, dtype=torch.float64)
    head = torch.nn.Linear(H, V, dtype=torch.float64)
    values = (first.Wx.T, first.Wh.T, first.b, np.zeros(H), first.Wy.T, first.by)
    parameters: list[Any] = [*rnn.parameters(), *head.parameters()]
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(torch.tensor(value))
    # One bias is trained, as in the NumPy layer.
    rnn.bias_hh_l0.requires_grad_(False)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE)
    losses, state = [], None
    for xs, after in zip(inputs, targets, strict=True):
        hs, state = rnn(torch.tensor(xs), state)
        state = state.detach()
        logits = head(hs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(after).flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.sqrt(sum((p.grad**2).sum() for p in trained))
        for parameter in trained:
            parameter.grad *= min(1.0, CLIP / float(norm))
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
