"""Right code of every form that an adapter may declare, and the same with one piece replaced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_tests import Problem

Array = np.ndarray[Any, np.dtype[Any]]
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "identity": lambda z: z,
}
SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "sigmoid": lambda h: h * (1 - h),
    "identity": np.ones_like,
}


@dataclass(slots=True)
class Model:
    """One layer with a head and a loss; a test replaces a method to put a fault in.

    Attributes:
        loss: as ``parity_tests.adapter`` has it, ``"none"`` and ``"logits"`` too.
        reduction: of the loss.
        many_to_one: whether the head reads the last state alone.
    """

    loss: str = "none"
    reduction: str = "mean"
    many_to_one: bool = False

    def __call__(self, problem: Problem) -> dict[str, Any]:
        hs = self.states(problem)
        result: dict[str, Any] = {"hs": hs, "h_n": hs[:, -1]}
        dhs = problem.dhs
        if self.loss != "none":
            of_head = self.head(problem, hs)
            dhs = of_head.pop("dhs")
            result |= of_head
        return result | self.backward(problem, hs, dhs)

    def states(self, problem: Problem) -> Array:
        h, states = problem.h_0, []
        for t in range(problem.xs.shape[1]):
            z = problem.xs[:, t] @ problem.Wx + problem.b_ih + h @ problem.Wh + problem.b_hh
            h = FUNCTIONS[problem.nonlinearity](z)
            states.append(h)
        return np.stack(states, axis=1)

    def backward(self, problem: Problem, hs: Array, dhs: Array) -> dict[str, Array]:
        before = np.concatenate([problem.h_0[:, None], hs[:, :-1]], axis=1)
        carry, steps = np.zeros_like(problem.h_0), []
        for t in reversed(range(hs.shape[1])):
            steps.append((dhs[:, t] + carry) * self.slope(problem, hs[:, t]))
            carry = steps[-1] @ problem.Wh.T
        dz = np.stack(steps[::-1], axis=1)
        db = dz.sum((0, 1))
        return {
            "dx": dz @ problem.Wx.T,
            "dh_0": carry,
            "dWx": np.einsum("btd,bth->dh", problem.xs, dz),
            "dWh": np.einsum("btd,bth->dh", before, dz),
            "db_ih": db,
            "db_hh": db.copy(),
        }

    def slope(self, problem: Problem, h: Array) -> Array:
        return SLOPES[problem.nonlinearity](h)

    def head(self, problem: Problem, hs: Array) -> dict[str, Any]:
        read = hs[:, -1:] if self.many_to_one else hs
        logits = read @ problem.Wy + problem.by
        result: dict[str, Any] = {"logits": logits[:, 0] if self.many_to_one else logits}
        if self.loss == "logits":
            given = problem.dlogits
            dlogits = given[:, None] if self.many_to_one else given
        else:
            targets = problem.targets[:, None] if self.many_to_one else problem.targets
            result["loss"], dlogits = self.with_gradient(logits, targets)
        dhs = np.zeros_like(hs)
        dhs[:, -read.shape[1] :] = dlogits @ problem.Wy.T
        dWy = np.einsum("bth,btv->hv", read, dlogits)
        return result | {"dhs": dhs, "dWy": dWy, "dby": dlogits.sum((0, 1))}

    def with_gradient(self, logits: Array, targets: Array) -> tuple[float, Array]:
        B, T, V = logits.shape
        if self.loss == "cross_entropy":
            shifted = logits - logits.max(-1, keepdims=True)
            p = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
            one_hot = np.eye(V, dtype=p.dtype)[targets]
            total, gradient, count = -np.log((p * one_hot).sum(-1)).sum(), p - one_hot, B * T
        else:
            half = 0.5 if self.loss == "half_mse" else 1
            error = logits - targets
            total, gradient, count = half * (error**2).sum(), 2 * half * error, B * T * V
        divisor = {"mean": count, "sum": 1, "batchmean": B}[self.reduction]
        return float(total / divisor), gradient / divisor


def stack(problem: Problem) -> dict[str, Array]:
    """A stack of tanh layers in one or two directions, for sequences of any lengths."""
    weights, (B, T, _) = problem.weights, problem.xs.shape
    steps = np.arange(T)
    runs = steps < problem.lengths[:, None]
    turned = np.where(runs, problem.lengths[:, None] - 1 - steps, steps)
    rows = np.arange(B)[:, None]
    x, traces = problem.xs, list[tuple[str, Array, Array]]()
    finals: list[Array] = []
    for layer in range(problem.num_layers):
        outputs = []
        for suffix in (f"_l{layer}", f"_l{layer}_reverse")[: 1 + problem.bidirectional]:
            own = x[rows, turned] if suffix.endswith("reverse") else x
            bias = weights[f"bias_ih{suffix}"] + weights[f"bias_hh{suffix}"]
            h, states = problem.h_0[len(finals)], []
            for t in range(T):
                z = own[:, t] @ weights[f"weight_ih{suffix}"].T + h @ weights[f"weight_hh{suffix}"].T + bias
                h = np.where(runs[:, t, None], np.tanh(z), h)
                states.append(h)
            hs = np.stack(states, 1)
            traces.append((suffix, own, hs))
            finals.append(h)
            output = np.where(runs[:, :, None], hs, 0)
            outputs.append(output[rows, turned] if suffix.endswith("reverse") else output)
        x = np.concatenate(outputs, -1)
    result = {"hs": x, "h_n": np.stack(finals)}
    dy, H, starts = problem.dhs, problem.h_0.shape[-1], 0 * problem.h_0
    for layer in reversed(range(problem.num_layers)):
        below = []
        for direction in range(1 + problem.bidirectional):
            i = layer * (1 + problem.bidirectional) + direction
            suffix, own, hs = traces[i]
            d = dy[..., direction * H : (direction + 1) * H]
            d = d[rows, turned] if direction else d
            before = np.concatenate([problem.h_0[i][:, None], hs[:, :-1]], 1)
            carry, dz = problem.further["dh_n"][i] if "dh_n" in problem.further else 0 * hs[:, 0], 0 * hs
            for t in reversed(range(T)):
                dz[:, t] = np.where(runs[:, t, None], (d[:, t] + carry) * (1 - hs[:, t] ** 2), 0)
                carry = np.where(runs[:, t, None], dz[:, t] @ weights[f"weight_hh{suffix}"], carry)
            starts[i] = carry
            result[f"dweight_ih{suffix}"] = np.einsum("bth,btd->hd", dz, np.where(runs[:, :, None], own, 0))
            result[f"dweight_hh{suffix}"] = np.einsum("bth,btd->hd", dz, before)
            result[f"dbias_ih{suffix}"] = result[f"dbias_hh{suffix}"] = dz.sum((0, 1))
            dx = dz @ weights[f"weight_ih{suffix}"]
            below.append(dx[rows, turned] if direction else dx)
        dy = np.sum(below, 0)
    return {**result, "dx": dy, "dh_0": starts}
