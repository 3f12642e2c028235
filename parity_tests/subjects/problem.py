"""What an adapter is given."""

from dataclasses import dataclass

from parity_tests.cases.arrays import Array


@dataclass(frozen=True, slots=True)
class Problem:
    """What an adapter is given: one forward and backward of h_t = tanh(x_t Wx + h_{t-1} Wh + b).

    Attributes:
        Wx: [D, H], the input weights.
        Wh: [H, H], the recurrent weights.
        b: [H], the bias.
        xs: [B, T, D], the input.
        h_0: [B, H], the initial state.
        dhs: [B, T, H], the upstream gradient of every state.
        token: the token of the case.

    Example:
        An adapter that has the forward only, judged without its gradients:

        >>> import numpy as np, parity_tests
        >>> def answer(problem):
        ...     h, states = problem.h_0, []
        ...     for t in range(problem.xs.shape[1]):
        ...         h = np.tanh(problem.xs[:, t] @ problem.Wx + h @ problem.Wh + problem.b)
        ...         states.append(h)
        ...     return {"hs": np.stack(states, axis=1), "h_n": h}
        >>> gradients = ["dx", "dh_0", "dWx", "dWh", "db"]
        >>> parity_tests.check(answer, without=gradients, case="B2T3D4H5-f64-s0").ok
        True
    """

    Wx: Array
    Wh: Array
    b: Array
    xs: Array
    h_0: Array
    dhs: Array
    token: str
