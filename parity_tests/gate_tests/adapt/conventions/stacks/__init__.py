"""Several layers, and two directions."""
