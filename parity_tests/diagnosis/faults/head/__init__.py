"""Faults of a head and of a loss, by what they are in."""
