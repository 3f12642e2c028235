"""Tests of ``parity_tests.cases``."""
