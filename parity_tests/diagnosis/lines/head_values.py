"""The right values of a head and a loss, for the lines of code that has them."""

from collections.abc import Iterator, Sequence

from parity_tests.bound_numpy import np
from parity_tests.cases.arrays import Array
from parity_tests.cases.case import Case
from parity_tests.references.float64_head import HeadTrace

HeadRow = tuple[str, str, tuple[Array, ...], bool]
"""Name, axes, the array of each call, and whether the forward has it."""


def head_rows(case: Case, traces: Sequence[HeadTrace]) -> Iterator[HeadRow]:
    """Yield the right values behind the states; the time axis is left out where one state is read."""
    of_calls = [_rows(case, trace) for trace in traces]
    for number, (name, axes, _, is_forward) in enumerate(of_calls[0]):
        arrays = [rows[number][2] for rows in of_calls]
        if case.many_to_one and axes.startswith("T"):
            axes, arrays = axes[1:], [array[0] for array in arrays]
        yield name, axes, tuple(arrays), is_forward


def _rows(case: Case, trace: HeadTrace) -> list[tuple[str, str, Array, bool]]:
    logits, states, dlogits = trace.logits[:, 0], trace.states[:, 0], trace.dlogits[:, 0]
    by = np.asarray(trace.arrays.by, np.float64)
    dWy = np.einsum("tbh,tbv->thv", states, dlogits)
    dby = dlogits.sum(axis=1)
    rows = [
        ("the logits", "TBV", logits, True),
        ("h_t Wy", "TBV", logits - by, True),
        ("Wy", "HV", np.asarray(trace.arrays.Wy, np.float64), True),
        ("by", "V", by, True),
        *_of_loss(case, trace),
        ("the gradient of the logits", "TBV", dlogits, False),
        ("the gradient of the logits times Wy^T", "TBH", trace.dhs[-len(logits) :, 0], False),
        ("h_t^T times the gradient of the logits", "THV", dWy, False),
        ("the gradient of the logits summed over the batch", "TV", dby, False),
        ("dWy", "HV", trace.dWy[0], False),
        ("dby", "V", trace.dby[0], False),
    ]
    for name, axes, steps in (("dWy", "THV", dWy), ("dby", "TV", dby)):
        rows.append((f"{name} summed from the end to t", axes, np.cumsum(steps[::-1], axis=0)[::-1], False))
        rows.append((f"{name} summed up to t", axes, np.cumsum(steps, axis=0), False))
    return rows


def _of_loss(case: Case, trace: HeadTrace) -> Iterator[tuple[str, str, Array, bool]]:
    logits = trace.logits[:, 0]
    if trace.probabilities.size:
        p = trace.probabilities[:, 0]
        shifted = logits - logits.max(axis=-1, keepdims=True)
        yield "the softmax of the logits", "TBV", p, True
        yield "the logits less their maximum", "TBV", shifted, True
        yield "exp of the logits less their maximum", "TBV", np.exp(shifted), True
        yield "exp of the logits", "TBV", np.exp(logits), True
        yield "the logarithm of the softmax", "TBV", np.log(p), True
    if not case.has_loss:
        return
    targets = trace.targets[:, 0]
    if case.loss == "cross_entropy":
        yield "the one-hot targets", "TBV", targets, True
        yield "the softmax less the one-hot targets", "TBV", p - targets, False
        yield "the softmax at the targets", "TB", (p * targets).sum(axis=-1), True
        yield "minus the logarithm at the targets", "TB", -np.log((p * targets).sum(axis=-1)), True
    else:
        yield "the targets", "TBV", targets, True
        yield "the logits less the targets", "TBV", logits - targets, True
        yield "the squared errors", "TBV", (logits - targets) ** 2, True
