"""A head and a loss behind the states, forward and backward, in float64."""

from dataclasses import dataclass

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array, HeadArrays
from parity_tests.cases.case import Case
from parity_tests.cases.tensors import Answer
from parity_tests.references.rounding import RoundingNoise


@dataclass(slots=True)
class HeadTrace:
    """What the head computes in one call; T is 1 for many to one."""

    arrays: HeadArrays
    states: Array
    """[T, runs, B, H], what the head reads"""
    logits: Array
    """[T, runs, B, V]"""
    probabilities: Array
    """[T, runs, B, V], the softmax of the logits; empty for squared errors"""
    targets: Array
    """[T, 1, B, V], one-hot for cross entropy; empty without a loss"""
    loss: Array
    """[runs], empty without a loss"""
    dlogits: Array
    """[T, runs, B, V]"""
    dhs: Array
    """[steps, runs, B, H], the gradient of every state"""
    dWy: Array
    """[runs, H, V]"""
    dby: Array
    """[runs, V]"""

    def answer(self, case: Case) -> Answer:
        """The tensors of the head under their names, [runs, ...] each."""
        runs = {"logits": self.logits.transpose(1, 2, 0, 3)}
        if self.probabilities.size:
            runs["probabilities"] = self.probabilities.transpose(1, 2, 0, 3)
        if case.has_loss:
            runs["loss"] = self.loss[:, None]
        return runs | {"dWy": self.dWy} | ({"dby": self.dby} if case.head_bias == "by" else {})


class Head:
    """The linear layer behind the states, the loss, and their gradients."""

    case: Case
    noise: RoundingNoise

    def head(self, arrays: HeadArrays, hs: Array) -> HeadTrace:
        """Run head and loss over the states ``hs`` [T, runs, B, H], forward and backward."""
        empty = np.zeros(0)
        states = self.head_states(hs)
        logits = self.logits(arrays, states)
        trace = HeadTrace(arrays, states, logits, empty, empty, empty, empty, empty, empty, empty)
        if self.case.loss in ("cross_entropy", "logits"):
            trace.probabilities = self.softmax(logits)
        if self.case.has_loss:
            trace.targets = self.targets(arrays)
            losses = self.losses(trace)
            trace.loss = self.reduced(trace, losses)
        trace.dlogits = self.logits_gradient(trace)
        trace.dhs = self.states_gradient(trace, len(hs))
        trace.dWy, trace.dby = self.head_gradients(trace)
        return trace

    def targets(self, arrays: HeadArrays) -> Array:
        """Return the targets, [T, 1, B, V]."""
        assert arrays.targets is not None  # drawn for every loss
        targets = arrays.targets
        if self.case.loss == "cross_entropy":
            targets = np.eye(self.case.V)[targets]
        return np.asarray(targets, np.float64).swapaxes(0, 1)[:, None]

    def divisor(self, B: int, T: int) -> float:
        """Return what the sum of the losses of ``B`` rows and ``T`` steps is divided by."""
        case = self.case
        values = B * T * (1 if case.loss == "cross_entropy" else case.V)
        divisor = {"mean": values, "sum": 1, "batchmean": B}[case.reduction]
        return float(divisor * (2 if case.loss == "half_mse" else 1))

    # Pieces that a fault may replace: each does one part of the forward or the backward.

    def head_states(self, hs: Array) -> Array:
        """Return the states that the head reads, of ``hs`` [T, runs, B, H]."""
        return hs[-1:] if self.case.many_to_one else hs

    def logits(self, arrays: HeadArrays, states: Array) -> Array:
        """Return the logits [T, runs, B, V] of ``states`` [T, runs, B, H]."""
        Wy, by = np.asarray(arrays.Wy, np.float64), np.asarray(arrays.by, np.float64)
        logits: Array = states @ Wy
        self.noise.product(logits[:, 1:], states[:, 0], Wy)
        logits += by
        self.noise.relative(logits[:, 1:])
        return logits

    def softmax(self, logits: Array) -> Array:
        """Return the softmax of ``logits`` [T, runs, B, V]."""
        shifted = logits - logits.max(axis=-1, keepdims=True)
        self.noise.relative(shifted[:, 1:])
        powers = np.exp(shifted)
        self.noise.relative(powers[:, 1:])
        powers /= powers.sum(axis=-1, keepdims=True)
        self.noise.relative(powers[:, 1:])
        return powers

    def losses(self, trace: HeadTrace) -> Array:
        """Return the loss of every step and row, [T, runs, B], squared errors summed over V."""
        if self.case.loss == "cross_entropy":
            right = trace.targets > 0
            losses = -np.log(np.where(right, trace.probabilities, 1.0).min(axis=-1))
            self.noise.absolute(losses[:, 1:])  # of a logarithm whose argument is near 1
            return losses
        squares = self.errors(trace) ** 2
        self.noise.relative(squares[:, 1:])
        return np.asarray(squares.sum(axis=-1))

    def errors(self, trace: HeadTrace) -> Array:
        """Return how far the logits are from the targets, [T, runs, B, V]."""
        errors = trace.logits - trace.targets
        self.noise.relative(errors[:, 1:])
        return errors

    def reduced(self, trace: HeadTrace, losses: Array) -> Array:
        """Return the loss [runs] from the losses of every step and row, [T, runs, B]."""
        T, runs, B = losses.shape
        rows = self.noise.partial_sums(losses.swapaxes(0, 1).reshape(runs, T * B, 1))
        loss = rows.sum(axis=(1, 2)) / self.divisor(B, T)
        self.noise.relative(loss[1:])
        return np.asarray(loss)

    def logits_gradient(self, trace: HeadTrace) -> Array:
        """Return the gradient of the logits, [T, runs, B, V]."""
        if not self.case.has_loss:
            assert trace.arrays.dlogits is not None  # drawn where there is no loss
            given = np.asarray(trace.arrays.dlogits, np.float64).swapaxes(0, 1)[:, None]
            return np.broadcast_to(given, trace.logits.shape).copy()
        if self.case.loss == "cross_entropy":
            gradient = trace.probabilities - trace.targets
            self.noise.relative(gradient[:, 1:])
        else:
            gradient = 2 * self.errors(trace)
        T, _, B, _ = gradient.shape
        gradient /= self.divisor(B, T)
        self.noise.relative(gradient[:, 1:])
        return gradient

    def states_gradient(self, trace: HeadTrace, steps: int) -> Array:
        """Return the gradient of every state, [steps, runs, B, H]."""
        Wy = np.asarray(trace.arrays.Wy, np.float64)
        own: Array = trace.dlogits @ Wy.T
        self.noise.product(own[:, 1:], trace.dlogits[:, 0], Wy.T)
        if len(own) == steps:
            return own
        gradient = np.zeros((steps, *own.shape[1:]))
        gradient[-1] = own[0]
        return gradient

    def head_gradients(self, trace: HeadTrace) -> tuple[Array, Array]:
        """Return dWy [runs, H, V] and dby [runs, V]."""
        states, gradient = rows_of(trace.states), rows_of(trace.dlogits)
        rows = self.noise.partial_sums(gradient, states)
        return states.transpose(0, 2, 1) @ rows, rows.sum(axis=1)


def rows_of(array: Array) -> Array:
    """Reshape [T, runs, B, H] to [runs, T * B, H]."""
    T, runs, B, H = array.shape
    return np.ascontiguousarray(array.transpose(1, 0, 2, 3)).reshape(runs, T * B, H)
