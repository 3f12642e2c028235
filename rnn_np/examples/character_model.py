"""A character-level language model, trained on real text with ``TimeRNN`` and NumPy alone.

``python -m rnn_np.examples.character_model`` trains it and prints the loss. It shows how to use the layer
in a training run: one-hot characters [B, T, V] go into a stateful recurrent layer, a linear softmax head
predicts the next character, and the gradients come back by hand. The state goes on from one update to the
next while the gradients stop there (truncated BPTT); the optimizer is SGD with the gradient's norm
clipped, and updates the parameters in place.

The text is the help on the language that comes with every Python.
"""

from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnn_np import TimeRNN

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BATCH, STEPS, HIDDEN = 16, 16, 32
"""B rows of text, T characters in an update, H hidden units."""
RATE, CLIP = 1.0, 1.0
"""The learning rate, and the greatest norm of a gradient."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The first weights of the model: those of the layer, and those of the head."""

    Wx: Floats
    """[V, H]"""
    Wh: Floats
    """[H, H]"""
    b: Floats
    """[H]"""
    Wy: Floats
    """[H, V]"""
    by: Floats
    """[V]"""


def text() -> str:
    """Return the text that the model learns."""
    return "\n".join(topics[name] for name in sorted(topics))


def batches(text: str, updates: int) -> tuple[Floats, Integers]:
    """Cut ``text`` into inputs and targets for a number of updates.

    Each row of the batch reads its own stretch of the text, and goes on in the next update where it
    stopped in the last.

    Returns:
        The inputs [updates, B, T, V], one-hot, and the targets [updates, B, T]: the number of the
        character that follows each input.

    Example:
        >>> from rnn_np.examples.character_model import BATCH, STEPS, batches
        >>> inputs, targets = batches("ab" * BATCH * STEPS, updates=1)
        >>> inputs.shape, targets.shape
        ((1, 16, 16, 2), (1, 16, 16))
    """
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    length = updates * STEPS
    codes = np.array([number[letter] for letter in text[: BATCH * (length + 1)]]).reshape(BATCH, length + 1)
    current, following = (
        rows.reshape(BATCH, updates, STEPS).swapaxes(0, 1) for rows in (codes[:, :-1], codes[:, 1:])
    )
    return np.eye(len(letters))[current], following


def first_weights(V: int, seed: int = 0) -> Weights:
    """Draw the weights of a model of ``V`` characters from U(-1 / sqrt(H), 1 / sqrt(H))."""
    rng = np.random.default_rng(seed)

    def uniform(*shape: int) -> Floats:
        return rng.uniform(-1, 1, shape) / np.sqrt(HIDDEN)

    H = HIDDEN
    return Weights(uniform(V, H), uniform(H, H), uniform(H), uniform(H, V), uniform(V))


def softmax_loss(logits: Floats, targets: Integers) -> tuple[float, Floats]:
    """Return the mean cross-entropy of ``logits`` [B, T, V], and its gradient [B, T, V].

    Args:
        logits: the scores of each character.
        targets: [B, T], the number of the right one.

    Example:
        >>> import numpy as np
        >>> from rnn_np.examples.character_model import softmax_loss
        >>> loss, dlogits = softmax_loss(np.zeros((1, 1, 2)), np.array([[1]]))
        >>> round(loss, 6), dlogits
        (0.693147, array([[[ 0.5, -0.5]]]))
    """
    exps = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = exps / exps.sum(axis=-1, keepdims=True)
    right = np.take_along_axis(probabilities, targets[..., None], axis=-1)
    loss = float(-np.log(right).mean())
    dlogits = probabilities
    np.put_along_axis(dlogits, targets[..., None], right - 1, axis=-1)
    return loss, dlogits / targets.size


def train(first: Weights, inputs: Floats, targets: Integers, layer: Any = TimeRNN) -> list[float]:
    """Train a model from its first weights, which are not changed.

    Args:
        first: the first weights.
        inputs: [updates, B, T, V], one-hot characters.
        targets: [updates, B, T], the numbers of the characters that follow.
        layer: ``TimeRNN``, or another class with its interface.

    Returns:
        The loss of every update.
    """
    rnn = layer(first.Wx.copy(), first.Wh.copy(), first.b.copy(), stateful=True)
    Wy, by = first.Wy.copy(), first.by.copy()
    losses = []
    for xs, following in zip(inputs, targets, strict=True):
        hs = rnn.forward(xs)  # starts from the state after the last update
        loss, dlogits = softmax_loss(hs @ Wy + by, following)
        losses.append(loss)

        rnn.backward(dlogits @ Wy.T)  # fills rnn.grads
        dWy, dby = np.einsum("bth,btv->hv", hs, dlogits), dlogits.sum(axis=(0, 1))
        grads = [*rnn.grads, dWy, dby]
        norm = np.sqrt(sum((grad * grad).sum() for grad in grads))
        for param, grad in zip([*rnn.params, Wy, by], grads, strict=True):
            param -= RATE * min(1.0, CLIP / norm) * grad  # in place: the layer sees it
    return losses


def main() -> None:
    """Train for 200 updates, and print the mean loss of every 20."""
    inputs, targets = batches(text(), updates=200)
    V = inputs.shape[-1]
    losses = train(first_weights(V), inputs, targets)
    print(f"{V} characters; a guess has the loss log({V}) = {np.log(V):.2f}")
    for start in range(0, len(losses), 20):
        print(f"updates {start + 1:3} to {start + 20:3}: loss {np.mean(losses[start : start + 20]):.2f}")


if __name__ == "__main__":
    main()
