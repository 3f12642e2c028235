"""Tests of the layers: the contract of ``rnn_np``, line by line."""
