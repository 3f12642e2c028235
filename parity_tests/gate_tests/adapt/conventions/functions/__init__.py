"""Functions and scripts."""
