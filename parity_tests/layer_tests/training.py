"""A character-level model trained on real text, in NumPy with ``TimeRNN`` and in torch with ``nn.RNN``.

One-hot characters, a stateful recurrent layer, a linear softmax head, truncated BPTT, SGD with the
gradient's norm clipped. The NumPy half is the way to use the layer; the torch half is its twin.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_tests.cases.arrays import Array
from rnn_np import TimeRNN

BATCH, STEPS, HIDDEN = 16, 16, 32
RATE, CLIP = 1.0, 1.0


@dataclass(frozen=True, slots=True)
class Weights:
    """Where both models start."""

    Wx: Array
    Wh: Array
    b: Array
    Wy: Array
    by: Array


def text() -> str:
    """English that comes with every Python: its own help on the language."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def one_hot_batches(text: str, updates: int) -> tuple[Array, Array]:
    """Return inputs [updates, B, T, V], one-hot, and the characters that follow, [updates, B, T].

    Every batch row reads a stretch of the text of its own, from one update to the next.
    """
    letters = sorted(set(text))
    codes = np.array([letters.index(letter) for letter in text[: BATCH * (updates * STEPS + 1)]])
    rows = codes.reshape(BATCH, -1)
    shape = BATCH, updates, STEPS
    now, after = rows[:, :-1].reshape(shape), rows[:, 1:].reshape(shape)
    return np.eye(len(letters))[now].swapaxes(0, 1), after.swapaxes(0, 1)


def weights(letters: int) -> Weights:
    """Uniform weights of torch's own scale, from bits."""
    bits = np.random.PCG64(1)

    def uniform(*shape: int) -> Array:
        raw = bits.random_raw(int(np.prod(shape))).reshape(shape) >> np.uint64(40)
        return np.asarray((raw.astype(np.float64) / 2**23 - 1) / np.sqrt(HIDDEN))

    V, H = letters, HIDDEN
    return Weights(uniform(V, H), uniform(H, H), uniform(H), uniform(H, V), uniform(V))


def train_numpy(start: Weights, inputs: Array, targets: Array, layer: Any = TimeRNN) -> list[float]:
    """Train with ``rnn_np``, or another ``layer`` of its interface; return the loss of every update."""
    rnn = layer(start.Wx.copy(), start.Wh.copy(), start.b.copy(), stateful=True)
    Wy, by = start.Wy.copy(), start.by.copy()
    losses = []
    for xs, after in zip(inputs, targets, strict=True):
        hs = rnn.forward(xs)
        logits = hs @ Wy + by
        exps = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities = exps / exps.sum(axis=-1, keepdims=True)
        picked = np.take_along_axis(probabilities, after[..., None], axis=-1)
        losses.append(float(-np.log(picked).mean()))

        dlogits = probabilities.copy()
        np.put_along_axis(dlogits, after[..., None], picked - 1, axis=-1)
        dlogits /= after.size
        rnn.backward(dlogits @ Wy.T)
        params = [*rnn.params, Wy, by]
        grads = [*rnn.grads, np.einsum("bth,btv->hv", hs, dlogits), dlogits.sum(axis=(0, 1))]
        norm = np.sqrt(sum((grad * grad).sum() for grad in grads))
        for param, grad in zip(params, grads, strict=True):
            param -= RATE * min(1.0, CLIP / norm) * grad
    return losses


def train_torch(start: Weights, inputs: Array, targets: Array) -> list[float]:
    """Train the same model in torch; return the loss of every update."""
    import torch

    V, H = start.Wx.shape
    rnn = torch.nn.RNN(V, H, batch_first=True, dtype=torch.float64)
    head = torch.nn.Linear(H, V, dtype=torch.float64)
    values = (start.Wx.T, start.Wh.T, start.b, np.zeros(H), start.Wy.T, start.by)
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
