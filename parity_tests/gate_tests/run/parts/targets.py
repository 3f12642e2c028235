"""Adapters that are judged fast, and what they are: right, wrong, rarely wrong."""

from typing import Any

import numpy as np

import parity_tests

FORWARD = {"without": ["backward"], "lines": False}


def right(problem: parity_tests.Problem) -> dict[str, Any]:
    """A forward without a backward."""
    h, states = problem.h_0, []
    for t in range(problem.xs.shape[1]):
        h = np.tanh(problem.xs[:, t] @ problem.Wx + h @ problem.Wh + problem.b)
        states.append(h)
    return {"hs": np.stack(states, axis=1), "h_n": h}


def wrong(problem: parity_tests.Problem) -> dict[str, Any]:
    """Wrong in every case."""
    answers = right(problem)
    return answers | {"hs": 2 * answers["hs"]}


def rarely_wrong(problem: parity_tests.Problem) -> dict[str, Any]:
    """Wrong in large batches."""
    answers = right(problem)
    return answers | {"h_n": -answers["h_n"]} if len(problem.xs) > 16 else answers


def with_relu(problem: parity_tests.Problem) -> dict[str, Any]:
    """Right, with relu in the place of tanh."""
    h, states = problem.h_0, []
    for t in range(problem.xs.shape[1]):
        h = np.maximum(problem.xs[:, t] @ problem.Wx + h @ problem.Wh + problem.b, 0)
        states.append(h)
    return {"hs": np.stack(states, axis=1), "h_n": h}


def raises(problem: parity_tests.Problem) -> dict[str, Any]:
    """Without an answer."""
    raise ZeroDivisionError("of mine")
