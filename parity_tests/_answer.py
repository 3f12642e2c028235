"""An answer: the tensors of one call under their names, from the reference or the layer judged."""

from parity_tests._inputs import Array

Answer = dict[str, Array]
"""Tensor name to array, a subset of ``TENSORS``."""

TENSORS = {
    "hs": "[B, T, H] output of every time step; torch: output",
    "h_n": "[B, H] final state; torch: h_n[0]; a cell's h_next",
    "dx": "[B, T, D] gradient of the input ([B, D] of a cell); torch: input.grad",
    "dh_0": "[B, H] gradient of the initial state; torch: h_0.grad[0]; a cell's dh_prev",
    "dWx": "[D, H] gradient of Wx; torch: weight_ih_l0.grad.T",
    "dWh": "[H, H] gradient of Wh; torch: weight_hh_l0.grad.T",
    "db": "[H] gradient of b; torch: bias_ih_l0.grad and bias_hh_l0.grad, which are equal",
}
"""Every tensor compared, by the one name it has in cases, reports, messages and recorded answers."""

SECOND_BIAS = "db_hh"
"""In the reference's answers only: torch's bias_hh gradient, which must equal ``db``."""


def cell_answer(answer: Answer) -> Answer:
    """Turn a one-step sequence's answer into a cell's: no ``hs``, and ``dx`` [B, D]."""
    return {
        name: value[..., 0, :] if name == "dx" else value for name, value in answer.items() if name != "hs"
    }


def cell_slices(slices: Answer) -> Answer:
    """The same for what is said of every slice: ``dx`` [B]."""
    return {name: value[:, 0] if name == "dx" else value for name, value in slices.items() if name != "hs"}
