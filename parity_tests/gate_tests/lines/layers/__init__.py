"""Faulty layers in many styles, each a target of its own, and the truth about the lines of their faults.

The layers are written as people write them. All else in them is right: with these lines put right they equal
torch. The truth was written down together with them, apart from anything that looks for the lines.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Further:
    """A faulty target.

    Attributes:
        file: its file in this folder.
        name: of the class or the function.
        faults: for each fault the texts, without indent, of the lines at which it may rightly be told. There are
            several only where it is told equally well at each. Every text is in its file once.
        without: what the target lacks, as ``--without`` takes it.
        kind: the interface, where it is not recognised.
    """

    file: str
    name: str
    faults: tuple[tuple[str, ...], ...]
    without: tuple[str, ...] = ()
    kind: str | None = None


ALWAYS_MISSING = ("no-bias", "unbatched", "packed", "dropout")
"""What none of the modules has."""
ONE_WAY = (*ALWAYS_MISSING, "batch-first", "bidirectional", "lengths")

FURTHER = (
    Further(
        "expressions.py",
        "ListOfStates",
        (("self.grads[1][...] = sum(h.T @ dz for h, dz in zip(states[1:], dzs, strict=True))",),),
    ),
    Further(
        "expressions.py",
        "OneExpression",
        (("dzs[:, t] = dhs[:, t] + self.dh * (1 - self.hs[:, t + 1] ** 2)",),),
    ),
    Further(
        "expressions.py",
        "Worksheet",
        (
            ("h_next = np.tanh(both)",),
            ("d_bias += d_shifted.sum()",),
            ("d_W_h += np.dot(h_next.T, d_from_h)",),
        ),
    ),
    Further(
        "helpers.py",
        "FreeFunctions",
        (("dz = (dhs[:, t] + dh) * tanh_slope(self.zs[t])",),),
    ),
    Further(
        "helpers.py",
        "StepFunctions",
        (
            ("dxs[t], dstate, parts = cell_backward(douts[:, t], caches[t], weights)",),
            ("db = np.sum(dnew, axis=0)",),
        ),
    ),
    # A name that is not bound in the first line is that of the last step in the second.
    Further(
        "helpers.py",
        "Closures",
        (("def pull(d, x=x, old=old):", "e = d * (1 - new**2)"),),
    ),
    Further("column_vectors.py", "RowAfterRow", (("dU = da @ sequence[t][None, :]",),)),
    Further(
        "column_vectors.py",
        "BatchOfColumns",
        (("dtanh = (1 - a[t] ** 2) * da",), ("dba = dba + dtanh.mean(axis=1)",)),
    ),
    # A statement is missing between the two.
    Further("in_place.py", "Workspace", (("z += recurrent", "np.tanh(z, out=self.states[t + 1])"),)),
    # What the first keeps, the second overwrites: a copy in the one or a new array in the other.
    Further(
        "in_place.py",
        "OneStateBuffer",
        (("self.entered.append(state)", "state[:] = np.tanh(xs[:, t] @ Wx + state @ Wh + b)"),),
    ),
    Further("lists_of_steps.py", "PoppedCaches", (("x, h_prev, h, Wx, Wh = caches.pop(0)",),)),
    Further("lists_of_steps.py", "WhileSteps", (("while t > 0:",),)),
    Further(
        "lists_of_steps.py",
        "KeyedByTime",
        (('grad["Wh"] = grad["Wh"] + np.dot(self.s[t].T, delta[t])',), ("self.dh = back[1]",)),
    ),
    Further(
        "lists_of_steps.py",
        "DataclassSteps",
        (("self.steps.append(Step(x, before, after, slope=1 - np.tanh(after) ** 2))",),),
    ),
    Further(
        "classes_calling_classes.py",
        "LayerOfCells",
        (("self.d_bias += np.mean(dy, axis=0)",), ("return dy * (1 - y)",)),
    ),
    Further(
        "one_function.py",
        "Recursion",
        (("dz = np.clip((dhs[:, t] + dh) * (1 - h**2), -1, 1)",),),
    ),
    Further("one_function.py", "NestedFunctions", (("state = step(xs[:, t], start)",),)),
    Further(
        "whole_sequences.py",
        "Einsums",
        (('self.grads[1][...] = np.einsum("tbj,tbh->hj", before, dpre)',),),
    ),
    Further("whole_sequences.py", "Concatenated", (("carry += d_stacked[:, self.D :]",),)),
    Further("whole_sequences.py", "AfterTheLoop", (("previous = np.roll(self.hs, 1, axis=1)",),)),
    Further(
        "torch_by_hand.py",
        "TensorLayer",
        (("delta[t] = d_state * (torch.ones_like(states[t + 1]) - states[t + 1])",),),
    ),
    Further(
        "torch_by_hand.py",
        "answer",
        (("return torch.stack(grad_x, 1), grad_h, grad_W, grad_U, grad_b",),),
        kind="adapter",
    ),
    Further("adapters.py", "elman", (("g_state = g_sum @ self.W_hh.T",),), kind="adapter"),
    Further(
        "adapters.py",
        "sequence_by_sequence",
        (
            ("s[t] = np.tanh(x[t].dot(U) + s[t - 1].dot(W.T) + b)",),
            ("db = delta",),
            ("dW = dW.mean(axis=0)",),
        ),
        kind="adapter",
    ),
    Further(
        "adapters.py",
        "functional",
        (("return scan(undo, nothing, list(zip(states[:-1], upstream, strict=True))[::-1])[1:]",),),
        kind="adapter",
    ),
    Further("cells.py", "TextbookCell", (("dh_prev = np.dot(dt, Wh)",),)),
    Further(
        "cells.py",
        "EinsumCell",
        (
            ('np.einsum("nk,nh->kh", self.new, d_sum, out=self.grads[1])',),
            ('dx = np.einsum("nh,dh->nd", dh_next, w_in)',),
        ),
    ),
    Further(
        "cells.py",
        "VectorCell",
        (("deltas = [d * (1 - old**2) for d, (_, old, _) in zip(dh_next, self.rows, strict=True)]",),),
    ),
    Further("stacks.py", "StackedRNN", (("dh, d_below = d_h_n[-1], [None] * T",),), without=ONE_WAY),
    Further("stacks.py", "LeveledRNN", (("return self.hs[t] > 0",),), without=ONE_WAY),
    Further(
        "directions.py",
        "BidirectionalRNN",
        (("outputs.append(np.stack(self.behind[1:]))",),),
        without=(*ALWAYS_MISSING, "batch-first", "layers", "lengths", "relu"),
    ),
    Further(
        "directions.py",
        "DeepBidirectional",
        (("half = up[turn, :, :H]",), ("down = dx[turn]",)),
        without=(*ALWAYS_MISSING, "batch-first", "lengths", "relu"),
    ),
    Further(
        "sequences_of_lengths.py",
        "LengthsRNN",
        (("d_state = dz @ self.weight_hh_l0",),),
        without=(*ALWAYS_MISSING, "batch-first", "bidirectional", "layers", "relu"),
    ),
    Further(
        "sequences_of_lengths.py",
        "BatchFirstEncoder",
        (("h_n = np.stack([h for way in zip(*lasts, strict=True) for h in way])",),),
        without=(*ALWAYS_MISSING, "lengths", "relu"),
    ),
)
