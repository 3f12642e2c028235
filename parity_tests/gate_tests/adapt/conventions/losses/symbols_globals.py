"""A model of characters as a script: module names for weights, a loss that returns its gradients."""

import numpy as np

data = "hello world, said the little net"
chars = sorted(set(data))
n_chars, n_hidden = len(chars), 20
np.random.seed(0)  # noqa: NPY002

W_in = np.random.randn(n_hidden, n_chars) * 0.01  # noqa: NPY002
W_state = np.random.randn(n_hidden, n_hidden) * 0.01  # noqa: NPY002
W_out = np.random.randn(n_chars, n_hidden) * 0.01  # noqa: NPY002
b_state = np.zeros((n_hidden, 1))
b_out = np.zeros((n_chars, 1))


def loss_and_gradients(symbols, following, h_before):
    """Take lists of integers; return the loss, the five gradients and the last state."""
    one_hot, states, chances = {}, {-1: np.copy(h_before)}, {}
    loss = 0.0
    for t, symbol in enumerate(symbols):
        one_hot[t] = np.zeros((W_in.shape[1], 1))
        one_hot[t][symbol] = 1
        states[t] = np.tanh(W_in @ one_hot[t] + W_state @ states[t - 1] + b_state)
        scores = W_out @ states[t] + b_out
        chances[t] = np.exp(scores - scores.max())
        chances[t] /= chances[t].sum()
        loss -= np.log(chances[t][following[t], 0])
    dW_in, dW_state, dW_out = np.zeros_like(W_in), np.zeros_like(W_state), np.zeros_like(W_out)
    db_state, db_out = np.zeros_like(b_state), np.zeros_like(b_out)
    dh_later = np.zeros_like(states[0])
    for t in reversed(range(len(symbols))):
        dy = np.copy(chances[t])
        dy[following[t]] -= 1
        dW_out += dy @ states[t].T
        db_out += dy
        dh = W_out.T @ dy + dh_later
        da = (1 - states[t] * states[t]) * dh
        db_state += da
        dW_in += da @ one_hot[t].T
        dW_state += da @ states[t - 1].T
        dh_later = W_state.T @ da
    return loss, dW_in, dW_state, dW_out, db_state, db_out, states[len(symbols) - 1]


if __name__ == "__main__":
    indices = [chars.index(c) for c in data]
    print(loss_and_gradients(indices[:-1], indices[1:], np.zeros((n_hidden, 1)))[0])
