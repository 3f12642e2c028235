"""Cells, called a step at a time."""
