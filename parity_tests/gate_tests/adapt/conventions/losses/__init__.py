"""Models with an output layer and a loss."""
