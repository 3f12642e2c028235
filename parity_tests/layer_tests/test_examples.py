"""The examples of ``rnn_np`` run, and need NumPy alone."""

import subprocess
import sys

import numpy as np
import pytest

from rnn_np.examples import character_model


def test_the_character_model_learns_and_prints_its_loss(capsys: pytest.CaptureFixture[str]) -> None:
    character_model.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert "a guess has the loss" in head
    losses = [float(line.split()[-1]) for line in lines]
    assert len(losses) == 10
    assert losses[0] < 4
    assert losses[-1] < 2.9


def test_training_leaves_the_first_weights_alone() -> None:
    inputs, targets = character_model.batches(character_model.text(), 2)
    first, again = (character_model.first_weights(inputs.shape[-1]) for _ in "12")
    losses = character_model.train(first, inputs, targets)
    assert losses == character_model.train(first, inputs, targets)
    for name in character_model.Weights.__slots__:
        assert np.array_equal(getattr(first, name), getattr(again, name))


def test_every_row_reads_on_where_it_stopped() -> None:
    text = "".join(map(chr, range(100, 2000)))
    inputs, targets = character_model.batches(text, 3)
    numbers = inputs.argmax(axis=-1)
    assert np.array_equal(numbers[:, :, 1:], targets[:, :, :-1])
    assert np.array_equal(numbers[1:, :, 0], targets[:-1, :, -1])
    assert len(np.unique(numbers)) == numbers.size


def test_the_examples_need_numpy_alone() -> None:
    code = """
import sys
import numpy
before = set(sys.modules)
import rnn_np.examples.character_model
after = {name.split('.')[0] for name in set(sys.modules) - before}
assert after <= {'rnn_np', 'numpy', *sys.stdlib_module_names}, after
"""
    subprocess.run([sys.executable, "-c", code], check=True)
