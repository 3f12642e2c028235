"""Stacks of layers and two directions: classes that hold a list of cells, or one for each direction."""
