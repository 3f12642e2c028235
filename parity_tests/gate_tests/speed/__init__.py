"""Tests of ``rnn-parity speed``: what it prints, refuses and checks; never how long anything takes."""
