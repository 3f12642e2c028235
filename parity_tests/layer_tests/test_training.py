"""A real training run agrees with torch's, loss by loss, and learns."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the training run is compared with torch's")

from parity_tests.gate_tests.wrong import WRONG
from parity_tests.layer_tests.training import one_hot_batches, text, train_numpy, train_torch, weights
from parity_tests.selftest.measures.right_layers import RIGHT


def test_the_losses_of_200_updates_agree_with_torch_and_fall() -> None:
    inputs, targets = one_hot_batches(text(), 200)
    assert inputs.shape[0] == 200
    start = weights(inputs.shape[-1])
    ours, theirs = train_numpy(start, inputs, targets), train_torch(start, inputs, targets)
    assert len(ours) == 200
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=0)
    assert ours[0] > 4.6
    assert np.mean(ours[-20:]) < 2.85


@pytest.mark.parametrize("name", ["upstream gradient dropped", "state forgotten", "float32 inside"])
def test_a_broken_layer_leaves_torchs_losses(name: str) -> None:
    inputs, targets = one_hot_batches(text(), 20)
    start = weights(inputs.shape[-1])
    theirs = train_torch(start, inputs, targets)
    np.testing.assert_allclose(
        train_numpy(start, inputs, targets, RIGHT["loop"].TimeRNN), theirs, rtol=1e-9, atol=0
    )
    ours = train_numpy(start, inputs, targets, WRONG[name][0].TimeRNN)
    assert not np.allclose(ours, theirs, rtol=1e-9, atol=0)
